/* SPDX-License-Identifier: MIT
 *
 * The order of ready streams by itself (kernel/sched/ready.c): what of a
 * message's cost is comparable to a heap's, and what a scheduler is usually
 * measured by (take the first stream, count it as served in its window, put it
 * back with its next deadline). Here it is looked at from inside; there are no
 * messages.
 */
#ifndef SCHED_ORDER_H
#define SCHED_ORDER_H

#include "parts.h"

/* Only where a key alone makes the order. */
static inline int order_is_keyed(const struct qs_link *link)
{
	return !link->policy->order && !link->policy->ranks_apart;
}

static inline uint32_t order_take(struct qs_link *link)
{
	uint32_t stream = qs_queue_first(&link->managed, link);

	qs_withdraw(link, stream);
	qs_window_served(&link->streams[stream]);
	return stream;
}

static inline void order_give(struct qs_link *link, uint32_t stream, uint64_t deadline_ns)
{
	struct qs_stream *s = &link->streams[stream];

	s->head = 0; /* of a unit that is all zeros */
	s->managed = 1;
	s->rank_ns = deadline_ns;
	s->seq = link->seq++;
	qs_compete(link, stream);
}

#endif
