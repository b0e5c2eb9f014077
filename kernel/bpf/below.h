/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A scheduler below the stack as the programs in the kernel and the process
 * that sets it up (device/bpf.c) see it: the struct at the start of its memory,
 * a BPF arena that is at the same address in both, and a registered socket.
 * The scheduler's own memory (sched/link.c) follows struct qs_below.
 */
#ifndef QS_BELOW_H
#define QS_BELOW_H

#include "../sched/sched.h"

#define QS_BELOW_ABI 1
#define QS_BELOW_ADDRESS 0x100000000000ull
#define QS_BELOW_ZERO 8 /* where in it there is a zero */

/* Limits. */
#define QS_BELOW_FLOWS 64u		/* of best effort, by hash: the first streams */
#define QS_BELOW_FLOW_MESSAGES 256u	/* queued in one of them */
#define QS_BELOW_STREAMS_DEFAULT 16384u /* these included */
#define QS_BELOW_USER_SHARE 4u		/* 1/4 of all streams may be one user's, but root's */
#define QS_BELOW_ROOM_SHARE 2u	 /* a user may have 1/2 of the room that is left, but root's */
#define QS_BELOW_LEAVING_MAX 64u /* members taken leave of at one packet */
#define QS_BELOW_CATCH_UP_NS 10000000ull /* of the link's time made good after a late wake-up */
#define QS_BELOW_GUARD_NS 1000000ull	 /* what a wake-up may be late: asked of a deadline */
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
	/* who may register streams: as of a file's write permission */
	uint32_t uid, gid, mode;
	/* pacing: when the link will have sent all that was handed out */
	uint64_t free_ns;
	uint64_t remainder; /* of the division that free_ns is a sum of */
	/* all of the device's traffic, in packets; and best effort's part */
	uint64_t sent, late, sent_bytes;
	uint64_t dropped[QSOCKET_REASONS], dropped_by_priority[QS_PRIORITIES], dropped_bytes;
	uint64_t rest_sent, rest_sent_bytes, rest_dropped;
	uint64_t delay_ns_sum, delay_ns_max;
	uint64_t queued_bytes;
	uint64_t astray;	 /* packets without a message, or the other way round: a defect */
	struct qs_booked booked; /* what its members ask for */
	uint64_t members;	 /* registered sockets (gate) */
	struct qs_link link;
};

/* Who takes a member out when it has left: the gate, as long as the qdisc has
 * seen no packet of it; then the qdisc, which may be about to use it. */
enum qs_claim { QS_UNSEEN, QS_SEEN, QS_GONE };

/* A registered socket. The gate writes all but what says otherwise. */
struct qs_member {
	struct qsocket_attr attr;
	uint32_t wanted;  /* counts the changes of attr, odd while one is made */
	uint32_t applied; /* the last one that the scheduler has (qdisc) */
	uint32_t stream;  /* its number; QS_NONE before its first packet (qdisc) */
	uint32_t left;	  /* it is a stream no more */
	uint32_t claimed; /* enum qs_claim */
	uint32_t zero;
	uint32_t uid, pid;
	char comm[16];
	uint64_t arrived; /* packets (qdisc) */
	struct qsocket_admission admission;
};

#endif
