/* SPDX-License-Identifier: MIT
 *
 * What a host of the scheduler can know, kept beside the scheduler: where each
 * message is, and what each stream must have counted.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <errno.h>
#include <stdint.h>

#include "records.h"
#include "sched/sched.h"

#define FLOWS_MAX 20 /* more than QSOCKET_BEGUN_MAX */
#define HAND_MAX 24
#define LATE_NS_MAX 10000000000ull /* that a packet is kept to be late */
#define STEPS_MAX 400000	   /* of a host, until everything has left */

/* in_time: to a punctual host nothing late of a droppable stream, and no
 * partial frame. frames: nothing of a frame leaves before its end is queued.
 * drops: what expires, or gives way to others. first_come: in order of arrival. */
static const struct policy_row {
	const char *name;
	uint8_t in_time, frames, drops, first_come;
} policy_rows[] = {
	{"dwcs", 1, 1, 1, 0}, {"dwcs99", 1, 1, 1, 0},	    {"vds", 1, 1, 1, 0},
	{"edf", 1, 1, 1, 0},  {"edf-lossless", 0, 1, 0, 0}, {"fifo", 0, 0, 0, 1},
	{"sfq", 1, 1, 1, 0},  {"cbq", 1, 1, 1, 0},
};

enum where { FREE, QUEUED, OUT, REAPED };

/* A message, by the scheduler's number for it. */
struct parcel {
	struct flow *flow;
	uint64_t arrival; /* of all streams */
	uint64_t serial, frame, deadline_ns;
	uint32_t bytes, left, segment;
	uint8_t where; /* enum where */
	uint8_t in_hand, failed;
	uint8_t drop, frame_drop;
};

struct flow {
	uint32_t index;
	uint8_t open, blocked, in_frame, frame_drop;
	uint8_t was_droppable;	   /* since it was empty */
	uint64_t serial, frame;	   /* of the newest message */
	uint64_t serial_out;	   /* of the last message handed out */
	struct qsocket_attr attr;  /* as asked for */
	struct qsocket_info count; /* as it must be */
};

struct in_hand {
	struct flow *flow;
	struct qs_packet packet;
};

static const struct policy_row *policy_row;
static struct qs_link qs;
static void *memory;
static uint64_t now_ns;
static struct flow flows[FLOWS_MAX];
static uint32_t flows_max, messages_max, parcels_max;
static struct parcel *parcels;
static uint32_t parcels_len; /* that are not free */
static uint64_t arrivals;    /* of messages so far */
static struct in_hand hand[HAND_MAX];
static uint32_t hand_len;
static struct qsocket_class classes[QSOCKET_CLASSES_MAX];
static uint32_t classes_len;
static int owed;     /* an outcome for every message: refused ones are counted too */
static int promised; /* nothing is late */

static inline int find_policy(uint8_t byte)
{
	policy_row = &PICK(policy_rows, byte);
	return qs_policy_find(policy_row->name) != NULL;
}

static inline int is_droppable(const struct flow *f)
{
	return policy_row->drops && !(f->attr.flags & QSOCKET_UNDROPPABLE);
}

static inline struct flow *flow_at(uint32_t index)
{
	for (uint32_t i = 0; i < flows_max; i++)
		if (flows[i].open && flows[i].index == index)
			return &flows[i];
	MUST(0, "no such stream: %u", index);
}

static inline uint32_t in_hand(uint32_t index)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < hand_len; i++)
		len += hand[i].packet.stream == index;
	return len;
}

#define SAME(field)                                                                                \
	MUST(info.field == f->count.field, "stream %u: " #field " is %llu, must be %llu",          \
	     f->index, (unsigned long long)info.field, (unsigned long long)f->count.field)

static inline void check_frames(const struct flow *f, const struct qsocket_info *info, int over)
{
	for (int level = 0; level < QS_LEVELS; level++) {
		uint64_t ended = info->frames_sent[level];

		for (int reason = 0; reason < QSOCKET_REASONS; reason++)
			ended += info->frames_dropped[level][reason];
		MUST(ended <= info->frames_offered[level],
		     "stream %u, level %d: of %llu frames %llu have ended", f->index, level,
		     (unsigned long long)info->frames_offered[level], (unsigned long long)ended);
		MUST(!over || ended == info->frames_offered[level],
		     "stream %u, level %d: of %llu frames only %llu have ended", f->index, level,
		     (unsigned long long)info->frames_offered[level], (unsigned long long)ended);
		MUST(info->frames_late[level] <= info->frames_sent[level],
		     "stream %u, level %d: more late than sent", f->index, level);
		MUST(info->frames_sent[level] <= info->sent + info->late || in_hand(f->index),
		     "stream %u, level %d: more frames than messages", f->index, level);
	}
	MUST(info->frames_partial <= info->offered, "stream %u: %llu partial frames", f->index,
	     (unsigned long long)info->frames_partial);
}

static inline void check(const struct flow *f)
{
	struct qsocket_info info = {0};
	uint64_t sum;

	qs_info(&qs, f->index, &info);
	SAME(offered);
	SAME(sent);
	SAME(late);
	SAME(queued);
	SAME(offered_bytes);
	SAME(sent_bytes);
	SAME(dropped_bytes);
	SAME(queued_bytes);
	sum = info.sent + info.late + info.queued;
	for (int i = 0; i < QSOCKET_REASONS; i++) {
		SAME(dropped[i]);
		SAME(dropped_by_priority[i]);
		sum += info.dropped[i];
	}
	MUST(sum == info.offered, "stream %u: %llu of %llu accounted for", f->index,
	     (unsigned long long)sum, (unsigned long long)info.offered);
	MUST(info.attr.ipg_ns == f->attr.ipg_ns && info.attr.oln == f->attr.oln &&
		     info.attr.old == f->attr.old &&
		     info.attr.flags == (f->attr.flags & QSOCKET_UNDROPPABLE),
	     "stream %u has other attributes", f->index);
	if (info.attr.old)
		MUST(info.window_lost <= info.window_left && info.window_left >= 1 &&
			     info.window_left <= QSOCKET_WINDOW_MAX &&
			     info.window_lost <= info.attr.oln,
		     "stream %u: window %u/%u, left %u/%u", f->index, info.attr.oln, info.attr.old,
		     info.window_lost, info.window_left);
	MUST(!(info.state & QSOCKET_STATE_BLOCKED) == !f->blocked, "stream %u: blocked", f->index);
	MUST(f->count.violations <= info.violations, "stream %u: violations", f->index);
	check_frames(f, &info, 0);
	if (promised && is_droppable(f))
		MUST(info.late == 0 && info.frames_partial == 0,
		     "stream %u: %llu late, %llu partial frames", f->index,
		     (unsigned long long)info.late, (unsigned long long)info.frames_partial);
}

/* What the link has promised is the sum of what its streams asked for. */
static inline void check_booked(void)
{
	struct qsocket_admission booked = {0};
	uint64_t sum = 0, ppm;

	for (uint32_t i = 0; i < flows_max; i++)
		sum += flows[i].open ? qs_share_ppm(&qs, flows[i].index) : 0;
	qs_booked(&qs, &booked);
	ppm = booked.utilisation_ppm;
	MUST(ppm <= QSOCKET_UTILISATION_PPM_MAX && !booked.zero &&
		     !(booked.flags & QSOCKET_OVERBOOKED) == (ppm <= 1000000),
	     "booked %llu ppm, flags %u", (unsigned long long)ppm, booked.flags);
	/* without classes each share, and the sum, is rounded by less than two */
	MUST(classes_len || sum > QSOCKET_UTILISATION_PPM_MAX / FLOWS_MAX ||
		     (ppm <= sum + 2 * FLOWS_MAX && sum <= ppm + 2 * FLOWS_MAX),
	     "booked %llu ppm, and the shares are %llu", (unsigned long long)ppm,
	     (unsigned long long)sum);
}

static inline void check_all(void)
{
	for (uint32_t i = 0; i < flows_max; i++)
		if (flows[i].open)
			check(&flows[i]);
	check_booked();
}

static inline void count_dropped(struct flow *f, uint8_t reason, uint8_t drop, uint64_t bytes)
{
	MUST(reason > 0 && reason < QSOCKET_REASONS, "reason %u", reason);
	f->count.dropped[reason]++;
	f->count.dropped_by_priority[drop]++;
	f->count.dropped_bytes += bytes;
}

#endif
