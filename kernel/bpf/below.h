/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The memory of a scheduler below the stack, a BPF arena, as the programs in
 * the kernel and the process that sets it up see it: at the same address in
 * both. The scheduler's own memory (sched/link.c) follows struct qs_below.
 */
#ifndef QS_BELOW_H
#define QS_BELOW_H

#include "../sched/sched.h"

#define QS_BELOW_ADDRESS 0x100000000000ull
#define QS_BELOW_ABI 1
#define QS_BELOW_FLOWS 64 /* of best effort, by hash: the first streams */
#define QS_BELOW_FLOW_MESSAGES 256
#define QS_BELOW_STREAMS_DEFAULT 16384
#define QS_BELOW_CATCH_UP_NS 10000000ull /* of the link's time made good after a late wake-up */
#define QS_BELOW_GUARD_NS 1000000ull     /* what a wake-up may be late: asked of a deadline */
#define QS_BELOW_DEADLINE_NS_MAX 4294967295000ull /* from now: as far as qsend() can say */
#define QS_BELOW_LEAVING_MAX 8			  /* streams taken leave of in one decision */
#define QS_BELOW_REAPED_MAX 4096		  /* dead messages freed in one decision */

struct qs_below {
	uint32_t abi;
	uint32_t attached; /* the device's root qdisc */
	uint64_t turn;	   /* odd while a decision is made */
	/* who may register streams: as of a file's write permission */
	uint32_t uid, gid, mode;
	uint32_t ifindex;
	uint64_t netns_cookie;
	/* pacing, as the engine's (engine/link.c) */
	uint64_t free_ns;   /* when the link will have sent all that was handed out */
	uint64_t remainder; /* of the division that free_ns is a sum of */
	/* all of the device's traffic */
	uint64_t sent, late, sent_bytes, dropped_bytes;
	uint64_t dropped[QSOCKET_REASONS], dropped_by_priority[QS_PRIORITIES];
	uint64_t rest_sent, rest_sent_bytes, rest_dropped;
	uint64_t delay_ns_sum, delay_ns_max;
	uint64_t unknown; /* packets that the scheduler lost track of: a defect, counted */
	struct qs_packet packet;
	struct qs_arrival arrival;
	struct qs_queued queued;
	struct qsocket_attr attr;
	struct qs_link link;
};

/* A registered socket, by its cookie. */
struct qs_member {
	struct qsocket_attr attr;
	uint32_t stream;     /* QS_NONE before its first packet */
	uint32_t wanted;     /* counts the changes of attr */
	uint32_t applied;    /* the last that the scheduler has */
	uint32_t type;	     /* enum qsocket_type */
	uint32_t uid, pid;
	uint64_t arrived;
	char comm[16];
};

#endif
