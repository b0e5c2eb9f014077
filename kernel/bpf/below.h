/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A scheduler below the stack as the programs in the kernel and the process
 * that sets it up (device/bpf.c) see it: the struct at the start of its memory,
 * a BPF arena that is at the same address in both, and a registered socket.
 * The scheduler's own memory (sched/link.c) follows struct qs_below.
 */
#ifndef QS_BELOW_H
#define QS_BELOW_H

#include "../sched/pace.h"
#include "../sched/trace.h"

#define QS_BELOW_ABI 3
#define QS_BELOW_ADDRESS 0x100000000000ull
#define QS_BELOW_ZERO 8 /* where in it there is a zero */

/* Names the sources of a library and of an object (Makefile): they must be the
 * same. Built without, a library takes no object. */
#ifndef QS_STAMP
#define QS_STAMP ""
#endif
#define QS_STAMP_BYTES 24
#define QS_STAMP_PREFIX "qsockets sources "

/* Limits. */
#define QS_BELOW_FLOWS 64u		      /* of best effort, by hash: the first streams */
#define QS_BELOW_FLOW_MESSAGES 256u	      /* queued in one of them */
#define QS_BELOW_STREAMS_DEFAULT 16384u	      /* registered at once */
#define QS_BELOW_USER_SHARE 4u		      /* 1/4 of all streams may be one user's, but root's */
#define QS_BELOW_LEAVING_MAX 64u	      /* members taken leave of at one packet */
#define QS_BELOW_LIFETIME_NS 4294967295000ull /* the furthest deadline that qsend() can say */

struct qs_below {
	uint32_t abi;
	uint32_t ifindex;  /* the device */
	uint64_t nought;   /* 0, and the verifier does not know */
	uint32_t attached; /* as its root qdisc, */
	uint32_t handle;   /* under this number */
	uint64_t turn;	   /* odd while a decision is made */
	uint64_t netns_cookie;
	char scheduler[QSOCKET_NAME_BYTES];
	char stamp[QS_STAMP_BYTES];
	/* who may register streams: as of a file's write permission. The group is
	 * in the upper half of `access`, the mode in the lower: they change at once. */
	uint64_t access;
	uint64_t rate_wanted; /* by the owner: the link has it from the next packet on */
	uint32_t uid;
	uint32_t messages_max; /* the link's; there it is another while a message is taken */
	struct qs_pace pace;
	/* all of the device's traffic, in packets; and best effort's part */
	uint64_t sent, late, sent_bytes;
	uint64_t dropped[QSOCKET_REASONS], dropped_by_priority[QS_PRIORITIES], dropped_bytes;
	uint64_t rest_sent, rest_sent_bytes, rest_dropped;
	uint64_t delay_ns_sum, delay_ns_max;
	uint64_t delays[QSOCKET_DELAYS];
	uint64_t queued_bytes;
	uint64_t astray;	 /* packets without a message, or the other way round: a defect */
	struct qs_booked booked; /* what its members ask for */
	struct qs_trace trace;	 /* its records lie behind the scheduler's memory */
	uint64_t members;	 /* registered sockets (gate) */
	struct qs_link link;
};

/* Who takes a member out when it has left: the gate, as long as the qdisc has
 * seen no packet of it; then the qdisc, which may be about to use it. */
enum qs_claim { QS_UNSEEN, QS_SEEN, QS_GONE };

/* Whether a member's socket is a stream. One that has left waits in `leaving`,
 * once, until the qdisc removes its stream; it may register again before that,
 * and is then best effort until it gets another. The gate goes by one CAS from
 * state to state, and alone writes a member that is QS_MOVES. */
enum qs_left {
	QS_STAYS,
	QS_LEAVES,
	QS_BACK,  /* what it had is still to be removed */
	QS_MOVES, /* the gate is at it */
	QS_TAKEN, /* by the qdisc: it is being deleted */
};

/* A registered socket. The gate writes all but what says otherwise. */
struct qs_member {
	struct qsocket_attr attr;
	uint32_t wanted;  /* counts the changes of attr, odd while one is made */
	uint32_t applied; /* the last one that the scheduler has (qdisc) */
	uint32_t stream;  /* its number; QS_NONE before its first packet (qdisc) */
	uint32_t left;	  /* enum qs_left */
	uint32_t claimed; /* enum qs_claim */
	uint32_t periods; /* a second, counted to its user (members.bpf.h) */
	uint32_t uid, pid;
	char comm[16];
	uint64_t arrived; /* packets (qdisc) */
	uint64_t usual;	  /* of a datagram that says nothing (gate.h) */
	struct qsocket_admission admission;
};

#endif
