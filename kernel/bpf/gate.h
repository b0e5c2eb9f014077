/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * How a program without privileges talks to the scheduler below the stack: by
 * options of its own socket, which BPF programs on the root cgroup answer
 * (gate.bpf.h). Whoever has a socket open may say what its traffic needs, and
 * nobody else; the answer to a device that has no such scheduler is the
 * kernel's own, ENOPROTOOPT.
 *
 *	setsockopt(fd, QS_GATE_STREAM, ifindex, struct qsocket_attr)
 *		registers the socket as a stream of the device, or changes the
 *		stream it is. The socket's cookie must exist: ask for SO_COOKIE
 *		first (ENXIO). EAGAIN: it is just leaving; one that has left is a
 *		new stream. EAFNOSUPPORT: neither IPv4 nor IPv6; EACCES: not in the
 *		group that may; ENOSPC: no more streams; EDQUOT: no more of this
 *		user's, or no more periods a second (fewer are counted as such from
 *		the first call on after the packet that told the scheduler of them);
 *		EBUSY: QSOCKET_ADMIT was asked for, and it does not fit; EINVAL,
 *		ERANGE: qs_attr_check().
 *	setsockopt(fd, QS_GATE_LEAVE, ifindex, one byte or more)
 *		it is no stream any more: what is queued is dropped. ENOENT.
 *	setsockopt(fd, QS_GATE_USUAL, ifindex, uint64_t)
 *		what a datagram of the socket means that carries no time, from the
 *		next one on: its flags, and in the upper half its deadline in
 *		microseconds from when it reaches the queue. ENOENT; EINVAL: a frame,
 *		but not a whole one. Before that: QS_GATE_USUAL_DEFAULT.
 *	getsockopt(fd, QS_GATE_STREAM, ifindex, struct qs_gate_stream)
 *	getsockopt(fd, QS_GATE_LINK, ifindex, struct qs_gate_link)
 *
 * With a message may travel one SCM_TXTIME (CLOCK_MONOTONIC): its deadline in
 * nanoseconds, the low QS_GATE_FLAG_BITS of which are its flags as qsocket.h
 * has them (a deadline is rounded down to about a microsecond). Without
 * QSOCKET_DEADLINE the time is one that has passed, and says nothing.
 *
 * A message that the protocol stack cuts into IP fragments reaches the queue as
 * these, each with the message's time: they are taken for a frame.
 */
#ifndef QS_GATE_H
#define QS_GATE_H

#include "../sched/sched.h"

#define QS_GATE_ABI 2
#define QS_GATE_STREAM 0x51530001
#define QS_GATE_LINK 0x51530002
#define QS_GATE_LEAVE 0x51530003
#define QS_GATE_USUAL 0x51530004

#define QS_GATE_FLAG_BITS 10
#define QS_GATE_FLAGS ((1u << QS_GATE_FLAG_BITS) - 1)
/* What qsend() says where it is not told: ffi/message.ts has the same. */
#define QS_GATE_USUAL_DEFAULT (6u << QSOCKET_DROP_SHIFT | QSOCKET_LEVEL_NONE << QSOCKET_LEVEL_SHIFT)

/* Whether a user may register streams of a scheduler: as of a file with this
 * owner, group (UINT32_MAX: none) and mode, opened for writing. */
static inline __attribute__((always_inline)) int qs_gate_lets_in(uint32_t self, uint32_t uid,
								 uint32_t gid, uint32_t mode,
								 int (*in_group)(uint32_t gid))
{
	if (self == 0)
		return 1;
	if (self == uid)
		return (mode & 0200) != 0;
	if (gid != UINT32_MAX && in_group(gid))
		return (mode & 0020) != 0;
	return (mode & 0002) != 0;
}

/* As it was found; where `before` and `after` differ, or are odd, the scheduler
 * was at work meanwhile: ask again. */
struct qs_gate_stream {
	uint32_t abi;
	uint32_t stream;  /* its number; QS_NONE before its first packet */
	uint64_t before;  /* the link's turn */
	uint64_t arrived; /* packets of it that reached the device */
	struct qsocket_attr attr;
	struct qsocket_admission admission; /* what its last setsockopt found, refused or not */
	struct qs_stream state;
	struct qs_ledger ledger;
	struct qs_delays delays;
	uint64_t after;
};

struct qs_gate_link {
	uint32_t abi;
	uint32_t attached; /* it is the device's root qdisc */
	char scheduler[QSOCKET_NAME_BYTES];
	uint64_t rate;
	uint64_t astray;	       /* packets that it lost sight of: a defect */
	uint32_t streams, streams_max; /* registered, and the most there can be */
	uint32_t uid, gid, mode;       /* who may register, as of a file's write permission */
	uint32_t messages_max;
	struct qsocket_admission admission;
	/* all of the device's traffic, in packets of it */
	uint64_t sent, late, sent_bytes;
	uint64_t dropped[QSOCKET_REASONS];
	uint64_t dropped_by_priority[QS_PRIORITIES];
	uint64_t dropped_bytes;
	uint64_t queued, queued_bytes;
	uint64_t rest_sent, rest_sent_bytes, rest_dropped; /* of that, best effort */
	uint64_t delay_ns_sum, delay_ns_max;
	uint64_t delays[QSOCKET_DELAYS];
};

#endif
