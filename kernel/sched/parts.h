/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the files of the scheduler ask of each other. Nothing here is for a
 * host: see sched.h.
 */
#ifndef QS_PARTS_H
#define QS_PARTS_H

#include "sched.h"

/* Linux's numbers, without a C library's header. */
#define QS_EBUSY 16
#define QS_EINVAL 22
#define QS_ENOSPC 28
#define QS_ERANGE 34
#define QS_ETIME 62
#define QS_EPROTO 71
#define QS_EMSGSIZE 90
#define QS_ENOBUFS 105

QS_LOCAL_EXTERN const struct qs_policy qs_dwcs, qs_dwcs99, qs_vds, qs_edf, qs_edf_lossless, qs_fifo;
QS_LOCAL_EXTERN const struct qs_policy qs_sfq, qs_cbq;

/* window.c */
QS_LOCAL void qs_window_reset(struct qs_stream QS_MEM *s);
QS_LOCAL void qs_window_served(struct qs_stream QS_MEM *s);
QS_LOCAL void qs_window_missed(struct qs_stream QS_MEM *s, uint64_t times);
QS_LOCAL int qs_window_allows_loss(const struct qs_stream QS_MEM *s);

/* ring.c: what is far from being the first, in buckets */
QS_LOCAL size_t qs_ring_bytes(uint32_t ids_max);
/* 2^span_log of keys are in its reach, in memory of zeros. */
QS_LOCAL void qs_ring_init(struct qs_ring QS_MEM *ring, void QS_MEM *memory,
			   struct qs_place QS_MEM *places, uint32_t ids_max, uint8_t span_log);
/* 0 where it belongs into the exact part instead. */
QS_LOCAL int qs_ring_add(struct qs_ring QS_MEM *ring, uint32_t id, uint64_t key);
QS_LOCAL void qs_ring_remove(struct qs_ring QS_MEM *ring, uint32_t id);
/* Takes out the first bucket: how many there were in it, now in ring->taken.
 * None where it has become empty; then the next call finds another. */
QS_LOCAL uint32_t qs_ring_take(struct qs_ring QS_MEM *ring);

/* heap.c: streams that come up, first to be served on top */
QS_LOCAL void qs_heap_push(struct qs_heap QS_MEM *heap, const struct qs_heap_entry *entry);
QS_LOCAL void qs_heap_remove(struct qs_heap QS_MEM *heap, uint32_t place);

/* watch.c: units that can still expire, earliest first */
QS_LOCAL void qs_watch(struct qs_link QS_MEM *link, uint32_t unit);
QS_LOCAL void qs_unwatch(struct qs_link QS_MEM *link, uint32_t unit);
QS_LOCAL uint64_t qs_watch_bound_ns(const struct qs_link QS_MEM *link);
QS_LOCAL uint32_t qs_watch_first(struct qs_link QS_MEM *link);
QS_LOCAL uint32_t qs_watch_next(struct qs_link QS_MEM *link, uint32_t unit);

/* admit.c: what the frames already begun were promised, and who may begin */
QS_LOCAL int qs_doomed(const struct qs_link QS_MEM *link, uint32_t unit, uint64_t now_ns);
QS_LOCAL int qs_fits(const struct qs_link QS_MEM *link, uint32_t unit, uint32_t packet_bytes,
		     uint64_t now_ns);
QS_LOCAL int qs_endangers(struct qs_link QS_MEM *link, uint32_t unit, uint64_t bytes, uint8_t drop,
			  uint64_t now_ns);
QS_LOCAL void qs_promise(struct qs_link QS_MEM *link, uint32_t unit);
QS_LOCAL void qs_unpromise(struct qs_link QS_MEM *link, uint32_t unit);
QS_LOCAL uint32_t qs_promised_first(const struct qs_link QS_MEM *link);

/* feasible.c: counts what a stream asks for, and takes it out again */
QS_LOCAL void qs_book(struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s);
QS_LOCAL void qs_unbook(struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s);

/* lose.c */
QS_LOCAL void qs_lose(struct qs_link QS_MEM *link, uint32_t unit, uint8_t reason);
QS_LOCAL void qs_drop(struct qs_link QS_MEM *link, uint32_t unit, uint8_t reason);
QS_LOCAL void qs_expire(struct qs_link QS_MEM *link, uint64_t now_ns);
QS_LOCAL void qs_missed(struct qs_link QS_MEM *link, uint32_t stream);
QS_LOCAL void qs_break_chain(struct qs_link QS_MEM *link, struct qs_stream QS_MEM *s,
			     uint32_t unit);
QS_LOCAL void qs_count_lost(struct qs_link QS_MEM *link, uint32_t stream, uint8_t drop,
			    uint32_t bytes, uint8_t reason);

/* worth.c: units not begun, by what overflow takes first */
QS_LOCAL void qs_worth_add(struct qs_link QS_MEM *link, uint32_t unit);
QS_LOCAL void qs_worth_remove(struct qs_link QS_MEM *link, uint32_t unit);
QS_LOCAL uint32_t qs_least_valuable(const struct qs_link QS_MEM *link,
				    const struct qs_stream QS_MEM *s, uint32_t except);

/* sched.c */
QS_LOCAL void qs_settle(struct qs_link QS_MEM *link, uint32_t stream);

/* ready.c: streams that compete */
QS_LOCAL void qs_compete(struct qs_link QS_MEM *link, uint32_t stream);
QS_LOCAL void qs_withdraw(struct qs_link QS_MEM *link, uint32_t stream);
QS_LOCAL void qs_reorder(struct qs_link QS_MEM *link, uint32_t stream);
QS_LOCAL uint32_t qs_queue_first(struct qs_queue QS_MEM *queue, const struct qs_link QS_MEM *link);
QS_LOCAL void qs_tag_key(const struct qs_stream QS_MEM *s, struct qs_key *key);
QS_LOCAL void qs_tag(struct qs_link QS_MEM *link, uint32_t stream);

QS_LOCAL void qs_unit_unlink(struct qs_link QS_MEM *link, uint32_t unit);

/* Whether a unit is scheduled by its attributes; else it is best effort. */
static inline int qs_manages(const struct qs_policy *policy, uint64_t period_ns, uint64_t due_ns)
{
	return !policy->frames || policy->all || period_ns > 0 ||
	       (policy->by_deadline && due_ns != QS_FOREVER);
}

/* When so many bytes, sent from now on, have left. */
static inline uint64_t qs_done_ns(const struct qs_link QS_MEM *link, uint64_t now_ns,
				  uint64_t bytes)
{
	uint64_t ns = qs_duration_ns(link, bytes);

	return ns > link->lag_ns ? now_ns + ns - link->lag_ns : now_ns;
}

/* The heap order of a treap: no sequence of keys makes it deep. */
static inline uint32_t qs_tree_weight(uint32_t id)
{
	id ^= id >> 16;
	id *= 0x7feb352du;
	id ^= id >> 15;
	id *= 0x846ca68bu;
	return id ^ id >> 16;
}

/* Due earlier, or of equal ones come first. */
static inline int qs_due_before(const struct qs_unit QS_MEM *a, const struct qs_unit QS_MEM *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

static inline uint64_t qs_frame_seq(const struct qs_link QS_MEM *link,
				    const struct qs_unit QS_MEM *u)
{
	return QS_POLICY(link)->frames ? u->seq : u->frame_seq;
}

static inline struct qs_ledger QS_MEM *qs_ledger(struct qs_link QS_MEM *link, uint32_t stream)
{
	link->streams[stream].ledgered = 1;
	return &link->ledgers[stream];
}

/* The bucket of a delay, as in struct qsocket_info: how many bits it has, counted
 * in units of the first one's width. */
static inline uint32_t qs_delay_bucket(uint64_t delay_ns)
{
	uint64_t units = delay_ns / QSOCKET_DELAY_NS_MIN;
	uint32_t bucket = 0;

	for (uint32_t step = QSOCKET_DELAYS / 2; step > 0; step /= 2)
		if (units >> (bucket + step - 1))
			bucket += step;
	return bucket;
}

_Static_assert(QSOCKET_DELAYS == 16, "steps of 8, 4, 2 and 1");

/* fair.c: streams that share by weight */
struct qs_fair {
	uint64_t vtime;	  /* start tag of the packet in service */
	uint64_t finish;  /* the highest finish tag served */
	uint64_t free_ns; /* when all that was served has left */
	uint32_t root;	  /* of those that wait, by start tag */
	uint32_t first;	  /* of them, or QS_NONE: not looked for yet */
	uint32_t served;  /* the last, if it has not been put where it belongs now */
};

QS_LOCAL void qs_fair_init(struct qs_fair QS_MEM *fair);
QS_LOCAL void qs_fair_push(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair,
			   uint32_t stream);
QS_LOCAL void qs_fair_remove(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair,
			     uint32_t stream);
QS_LOCAL uint32_t qs_fair_first(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair);
/* So many bytes of a stream that waits leave; its next packet waits instead. */
QS_LOCAL void qs_fair_charge(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair,
			     uint32_t stream, uint32_t bytes, uint64_t now_ns);
/* When the head of a stream became whole. */
QS_LOCAL uint64_t qs_whole_ns(const struct qs_link QS_MEM *link, uint32_t stream);

/* class.c: what a class may send; a leaf is one that streams join */
enum qs_source { QS_OWN, QS_OF_CLASS, QS_OF_LINK, QS_NO_SOURCE };

struct qs_clock {
	uint64_t ns;
	uint64_t carry; /* of the division that ns is a sum of */
};

struct qs_class {
	uint64_t rate;	   /* guaranteed; 0 = nothing */
	uint64_t promised; /* of that, to its children */
	uint64_t ceil;	   /* 0 = the link's */
	uint64_t weight;   /* in sharing what several may send */
	uint32_t parent;   /* 0 = the link */
	uint8_t priority, borrows, leaf;
	uint32_t busy;	  /* leaves with something to send, of it and below */
	uint64_t free_ns; /* when all that was served has left */
	struct qs_clock rated, ceiled;
	struct qs_clock shares[QS_NO_SOURCE]; /* a leaf's tags, by source */
	struct qs_fair streams;		      /* a leaf's */
};

struct qs_classes {
	struct qs_class all[QSOCKET_CLASSES_MAX + 1];
	uint64_t vtime[QS_NO_SOURCE][QSOCKET_CLASS_PRIORITIES];
	uint32_t len;
	uint32_t turn; /* the leaf that was chosen, or QS_NONE */
};

QS_LOCAL void qs_classes_init(struct qs_link QS_MEM *link);
QS_LOCAL void qs_clock_advance(struct qs_clock QS_MEM *clock, uint64_t rate, uint32_t bytes);
/* Whether no ceiling keeps it from sending now. */
QS_LOCAL int qs_class_open(const struct qs_link QS_MEM *link, uint32_t leaf, uint64_t now_ns);
/* By whose rate it may send now. */
enum qs_source qs_class_source(const struct qs_classes QS_MEM *classes, uint32_t leaf,
			       uint64_t now_ns);
/* When it may send next, nothing being sent before. */
QS_LOCAL uint64_t qs_class_next_ns(const struct qs_link QS_MEM *link, uint32_t leaf);
/* A leaf has something to send, as of this time; it has nothing more. */
QS_LOCAL void qs_class_wake(struct qs_classes QS_MEM *classes, uint32_t leaf, uint64_t time_ns);
QS_LOCAL void qs_class_rest(struct qs_classes QS_MEM *classes, uint32_t leaf);
/* Bytes of a leaf's leave. */
QS_LOCAL void qs_class_charge(struct qs_link QS_MEM *link, uint32_t leaf, uint32_t bytes,
			      uint64_t now_ns);

#endif
