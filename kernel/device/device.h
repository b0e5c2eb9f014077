/* SPDX-License-Identifier: MIT
 *
 * The privileged side of a link: a network device that QSOCKINIT_SYSTEM makes
 * ready for all processes, QSOCKINIT_OFF gives back, and a program without
 * privileges joins.
 *
 *	device.c	init and off: which host, in which order, what if it fails
 *	install.c	what it gets of these
 *	join.c		what a program finds on a device
 *	htb.c		QSOCKET_ISOLATED: a class for managed sockets, one for the rest
 *	kernel.c	QSOCKET_BELOW: the kernel's own scheduler as the device's qdisc
 *	bpf.c		the same, in BPF
 *	members.c	who is registered with that
 *	memory.c	what root may see and change of that while it runs
 *	trace.c		... and what it has recorded
 *	restore.c	the qdiscs that somebody configured: which can come back, and how
 *	parameters.c	theirs: those that the kernel shows, and those that it takes
 *	segments.c	how much TCP hands to it in one packet
 *	state.c		what is remembered, in STATE_DIRECTORY
 *	device_of.c	what a device is called, and by what it is known again
 *	netlink.c	the kernel's traffic control messages
 */
#ifndef QS_DEVICE_H
#define QS_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "../qsocket.h"

/* What marks the packets of managed sockets where an HTB tells them apart: a
 * code point for local use, of pool 2 of RFC 2474, section 6 (xxxx11). */
#define DEVICE_DSCP 0x2bu
#define DEVICE_TOS (DEVICE_DSCP << 2) /* as IP_TOS and IPV6_TCLASS have it */
#define DEVICE_TOS_MASK 0xfcu	      /* the other two bits are ECN's */

#define STATE_DIRECTORY "/run/qsockets"

#define DEVICE_HANDLE 0x51530000u /* of a root qdisc that is ours */
#define DEVICE_ADDRESS_BYTES 32	  /* MAX_ADDR_LEN */
#define DEVICE_MODE_DEFAULT 0660u
#define DEVICE_MODE_MAX 0777u

struct device {
	char name[QSOCKET_NAME_BYTES];
	uint32_t ifindex;
	uint32_t type; /* ARPHRD_... */
	uint32_t mtu;
	uint32_t address_len;
	uint8_t address[DEVICE_ADDRESS_BYTES];
	uint64_t netns_inode;  /* of /proc/self/ns/net */
	uint64_t netns_cookie; /* never used twice; 0: this kernel has none */
};

struct qs_gate_link;
struct root;
struct state;

/* device.c, join.c: results as of qsocketcall(), and what struct qsockinit_args
 * says is out. A result of 0 of the first two: open the link that args now says. */
int32_t device_init(struct qsockinit_args *args);
int32_t device_join(struct qsockinit_args *args);
int32_t device_off(struct qsockinit_args *args);
/* For both: whether a root qdisc is of this kind and ours; what a state has to
 * say to who asks for the device. */
int device_is_ours(const struct root *root, const char *kind);
void device_tell(const struct state *state, struct qsockinit_args *args);

/* install.c: the scheduler below the stack (the kernel's own where it has one, else
 * one in BPF; a failure leaves why in the state), or an HTB; with a netlink socket. */
int32_t install_below(int fd, const struct device *d, struct state *state,
		      const struct qsockinit_args *args);
int32_t install_isolated(int fd, const struct device *d, struct state *state);

/* device_of.c: the device of a name, in the network of this thread, or -errno */
int32_t device_of(const char *name, struct device *device);
/* Says why, as printf(3) does, in a field of so many bytes. */
__attribute__((format(printf, 2, 3))) void device_why(char why[QSOCKET_WHY_BYTES],
						      const char *format, ...);

/* kernel.c: below the stack, by the kernel's own calls; -ENOSYS where it has none.
 *
 * What a program finds on the device: as device_join(); -ENOENT. */
int32_t kernel_join(struct qsockinit_args *args);
/* Makes what args say the device's root qdisc, or, where it is that already, changes
 * its rate, gid and mode. The caller is the owner; `why` is written on failure alone. */
int32_t kernel_init(const struct qsockinit_args *args, char why[QSOCKET_WHY_BYTES]);
int32_t kernel_change(const struct qsockinit_args *args, char why[QSOCKET_WHY_BYTES]);
/* What such a qdisc of a scheduler is called; whether one is called so. */
void kernel_kind(char kind[QSOCKET_NAME_BYTES], const char *scheduler);
int kernel_is(const char *kind);
/* As bpf_list() below; -ENOENT: the device's scheduler is not the kernel's own. */
int32_t kernel_list(const struct device *d, struct qlist_args *args, void *streams);
/* As qsocket_trace_read(). */
int32_t kernel_trace(const struct device *d, struct qsocket_trace *trace,
		     struct qsocket_record *records, uint32_t records_max);

/* bpf.c: below the stack. `why` is written on failure alone; -errno.
 *
 * Whether this kernel and machine can: 0. */
int32_t bpf_probe(char why[QSOCKET_WHY_BYTES]);
/* Loads and pins what args say (gid, mode, scheduler, rate ...); the caller is
 * the owner. `kind` is the name under which it can be the device's root qdisc,
 * which device.c makes it. */
int32_t bpf_install(const struct device *d, const struct qsockinit_args *args,
		    char kind[QSOCKET_NAME_BYTES], char why[QSOCKET_WHY_BYTES]);
/* Another rate, gid or mode, at once; the scheduler stays. */
int32_t bpf_change(const struct device *d, const struct qsockinit_args *args, const char *kind,
		   char why[QSOCKET_WHY_BYTES]);
/* For root, the streams of all processes: as QLIST answers; -ENOENT, -EACCES and
 * -EPERM where it is shown none. */
int32_t bpf_list(const struct device *d, struct qlist_args *args, void *streams);
/* Unpins, after the qdisc was removed. Nothing to unpin is no error. */
void bpf_uninstall(const struct device *d);

/* trace.c: of a device that was to be initialised with QSOCKINIT_TRACE: whether it
 * was; -EEXIST, and args->why. */
int32_t trace_check(struct qsockinit_args *args);

#endif
