/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What programs and the module agree on, beside ../qsocket.h.
 *
 * The calls are those of ../qsocket.h. A kernel that they are built into has a
 * system call for them, syscall(QSOCKETS_SYSCALL, call, args, sizeof(*args)). No
 * kernel but such a one knows its number, but some day one may use it for
 * something else: so ask first, as syscall(QSOCKETS_SYSCALL, 0, NULL, 0), for
 * QSOCKETS_SYSCALL_IS. A module cannot add a system call; it has QSOCKETS_DEVICE,
 * ioctl(fd, QSOCKETS_CALL(call, sizeof(*args)), args). Of both the result is that
 * of qsocketcall(call, args, sizeof(*args)), with -1 and errno for -errno.
 *
 * A struct may be shorter than the kernel's (the rest is zeros) or longer (-E2BIG
 * where that is not zeros), but not shorter than in the first version.
 *
 * A stream's handle is a file descriptor of its socket, in the calling process,
 * whichever it is; a stream is its socket's, and ends with it. A link's handle
 * is QSOCKET_LINK_HANDLE | the device's index; it names no state of the
 * caller's, and closing it does nothing.
 *
 *	QSOCKINIT	QSOCKINIT_SYSTEM, _REPLACE, _OFF as there; without flags it
 *			finds what is on a device (-ENOENT: nothing). A configured
 *			qdisc that _REPLACE removed is not brought back by _OFF.
 *	QSOCKET		`local.family` says of which family, or else `peer.family`
 *			(neither: AF_INET). Where all else of `local` is zeros the socket is
 *			not bound. The system call binds and connects it as bind(2) and
 *			connect(2) do, and never waits: until a TCP connection is there
 *			QSEND says -EAGAIN. A module refuses addresses (-EOPNOTSUPP), as it
 *			could not ask the security module: use bind(2) and connect(2).
 *	QATTACH		`fd`, not -1; the addresses are zeros. Returns `fd`.
 *	QINFO		`syscalls` are the stream's QSEND and QSENDTO, whoever made them,
 *			and `socket_errors` those that failed, but for -EAGAIN; of a link,
 *			those of all its streams since its start, and `last_error` that of
 *			one of them. What is refused before that is not counted (-EINVAL,
 *			-EMSGSIZE). The stack's numbers are read without the socket's lock,
 *			one after the other. Only a library knows of QSOCKET_STATE_BLOCKED
 *			and _BROKEN.
 *	QSEND(TO)	never waits (-EAGAIN). -ENOLINK: the socket is no stream (any
 *			more), or what it sends there leaves by another device.
 *	QCLOSE		the stream ends and what is queued is dropped; the socket is
 *			still the caller's to close(2), and has SO_TXTIME as before.
 *			QCLOSE_DRAIN: QSEND takes no more (-EPIPE), what is queued still
 *			leaves by contract, also of a socket that is closed meanwhile,
 *			and then the stream ends by itself; a frame that was begun and
 *			not ended is lost. QINFO says QSOCKET_STATE_CLOSING, and then
 *			-ENOLINK. Without that flag, it ends at once after all.
 *	QLIST		of the streams of all programs: CAP_NET_ADMIN in the network
 *			namespace of the caller. A stream's key is its cookie.
 *	QTRACE		what a device's scheduler was told and decided, where QSOCKINIT
 *			said QSOCKINIT_TRACE; CAP_NET_ADMIN as well.
 *	QRUN		-ENOSYS
 *
 * What a program sends with its own sendmsg(2) on such a socket is of the
 * stream, too, with an SCM_TXTIME as message.c makes one, or without: then it
 * has drop priority 6, no level and no deadline.
 */
#ifndef QS_LINUX_GATE_H
#define QS_LINUX_GATE_H

#include "../qsocket.h"

#define QSOCKETS_SYSCALL 1000 /* far from those that are given out: 472 in Linux 7.2 */
#define QSOCKETS_SYSCALL_IS 0x51530001
#define QSOCKETS_DEVICE "/dev/qsockets"
#define QSOCKETS_IOCTL 0xd7 /* in no header of Linux 7.2 */
#define QSOCKETS_CALL(call, bytes) _IOC(_IOC_READ | _IOC_WRITE, QSOCKETS_IOCTL, call, bytes)

#define QSOCKET_LINK_HANDLE 0x40000000u
#define QSOCKET_FLOWS 64u /* best effort's: so many of QSOCKINIT's `streams` */

#define QTRACE 64 /* a call beside those of ../qsocket.h */

/* QTRACE: the records from the first on; the result is how many were written. */
struct qtrace_args {
	uint32_t link;
	uint32_t records_max;	    /* at `records`; 0 = none is wanted, but their number is */
	uint64_t records;	    /* pointer: struct qsocket_record */
	struct qsocket_trace trace; /* out: records_len and missed of all; `device` stays */
};

_Static_assert(sizeof(struct qtrace_args) == 88, "qtrace_args");

/* A qdisc's kind is this and the scheduler's name. */
#define QSOCKET_KIND "qs_"
#define QSOCKET_HANDLE 0x51530000u /* of a root qdisc that QSOCKINIT made */

/* A qdisc's TCA_OPTIONS. Of a change, 0 (and gid -1 with mode 0) is as before. */
struct qsocket_options {
	uint64_t rate;		 /* bytes per second */
	uint32_t streams;	 /* most at once, 0 = default */
	uint32_t queue_messages; /* of all streams, 0 = default */
	uint32_t gid;		 /* who may register, as of a file's write permission */
	uint32_t mode;
	uint32_t flags; /* QSOCKET_OPTION_TRACE: for good */
	uint32_t zero;
};

#define QSOCKET_OPTION_TRACE 0x1u

_Static_assert(sizeof(struct qsocket_options) == 32, "qsocket_options");

#endif
