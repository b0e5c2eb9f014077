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
#define QS_ENOSPC 28
#define QS_ETIME 62
#define QS_EPROTO 71
#define QS_EMSGSIZE 90
#define QS_ENOBUFS 105

extern const struct qs_policy qs_dwcs, qs_dwcs99, qs_vds, qs_edf, qs_edf_lossless, qs_fifo;

/* window.c */
void qs_window_reset(struct qs_stream *s);
void qs_window_served(struct qs_stream *s);
void qs_window_missed(struct qs_stream *s, uint64_t times);
int qs_window_allows_loss(const struct qs_stream *s);

/* heap.c: ready streams, first to be served on top */
void qs_heap_push(struct qs_heap *heap, const struct qs_stream *streams, uint32_t stream);
void qs_heap_remove(struct qs_heap *heap, uint32_t stream);
void qs_heap_fix(struct qs_heap *heap, const struct qs_stream *streams, uint32_t stream);

/* watch.c: units that can still expire, earliest first */
void qs_watch(struct qs_link *link, uint32_t unit);
void qs_unwatch(struct qs_link *link, uint32_t unit);
uint32_t qs_watch_first(const struct qs_link *link);
uint32_t qs_watch_next(const struct qs_link *link, uint32_t unit);

/* admit.c: what the frames already begun were promised, and who may begin */
int qs_doomed(const struct qs_link *link, uint32_t unit, uint64_t now_ns);
int qs_fits(const struct qs_link *link, uint32_t unit, uint32_t packet_bytes, uint64_t now_ns);
int qs_endangers(const struct qs_link *link, uint32_t unit, uint64_t bytes, uint8_t drop,
		 uint64_t now_ns);
void qs_promise(struct qs_link *link, uint32_t unit);
void qs_unpromise(struct qs_link *link, uint32_t unit);
uint32_t qs_promised_first(const struct qs_link *link);

/* feasible.c: counts what a stream asks for, and takes it out again */
void qs_book(struct qs_link *link, const struct qs_stream *s);
void qs_unbook(struct qs_link *link, const struct qs_stream *s);

/* lose.c */
void qs_lose(struct qs_link *link, uint32_t unit, uint8_t reason);
void qs_drop(struct qs_link *link, uint32_t unit, uint8_t reason);
void qs_expire(struct qs_link *link, uint64_t now_ns);
void qs_missed(struct qs_link *link, uint32_t stream);
void qs_break_chain(struct qs_link *link, struct qs_stream *s, uint32_t unit);

/* worth.c: units not begun, by what overflow takes first */
void qs_worth_add(struct qs_link *link, uint32_t unit);
void qs_worth_remove(struct qs_link *link, uint32_t unit);
uint32_t qs_least_valuable(const struct qs_link *link, const struct qs_stream *s, uint32_t except);

/* sched.c */
void qs_settle(struct qs_link *link, uint32_t stream);

/* ready.c: streams that compete */
int qs_competes(const struct qs_link *link, uint32_t stream);
void qs_compete(struct qs_link *link, uint32_t stream);
void qs_withdraw(struct qs_link *link, uint32_t stream);
void qs_reorder(struct qs_link *link, uint32_t stream);
void qs_tag_key(const struct qs_stream *s, struct qs_key *key);
void qs_rank_key(const struct qs_stream *s, struct qs_key *key);

void qs_unit_unlink(struct qs_link *link, uint32_t unit);

/* Whether a unit is scheduled by its attributes; else it is best effort. */
static inline int qs_manages(const struct qs_policy *policy, uint64_t period_ns, uint64_t due_ns)
{
	return !policy->frames || policy->all || period_ns > 0 ||
	       (policy->by_deadline && due_ns != QS_FOREVER);
}

/* When so many bytes, sent from now on, have left. */
static inline uint64_t qs_done_ns(const struct qs_link *link, uint64_t now_ns, uint64_t bytes)
{
	uint64_t ns = qs_duration_ns(link, bytes);

	return ns > link->lag_ns ? now_ns + ns - link->lag_ns : now_ns;
}

/* Earlier in (expiry, order of arrival). */
static inline int qs_expires_before(const struct qs_unit *a, const struct qs_unit *b)
{
	return a->expiry_ns != b->expiry_ns ? a->expiry_ns < b->expiry_ns : a->seq < b->seq;
}

#endif
