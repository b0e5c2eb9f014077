/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Who competes: the streams whose head is whole, each in one queue. Managed
 * ones are ordered by the policy's key, or by an order that it keeps itself;
 * best effort by its tags. A policy whose misses are counted by rank deadlines
 * but whose order is another has its streams in a second queue as well.
 */
#include "parts.h"

/* Best effort: start-time fair queueing by bytes, all weights equal.
 * Goyal, Vin, Cheng: "Start-Time Fair Queuing", SIGCOMM 1996. */
void qs_tag_key(const struct qs_stream *s, struct qs_key *key)
{
	*key = (struct qs_key){s->tag, s->seq, 0};
}

void qs_rank_key(const struct qs_stream *s, struct qs_key *key)
{
	*key = (struct qs_key){s->rank_ns, s->seq, 0};
}

int qs_competes(const struct qs_link *link, uint32_t stream)
{
	return link->streams[stream].competes;
}

void qs_compete(struct qs_link *link, uint32_t stream)
{
	struct qs_stream *s = &link->streams[stream];

	s->competes = 1;
	if (!s->managed) {
		qs_heap_push(&link->rest, link->streams, stream);
		return;
	}
	link->managed_len++;
	if (link->policy->order)
		link->policy->order->push(link, stream);
	else
		qs_heap_push(&link->managed, link->streams, stream);
	if (link->policy->ranks_apart)
		qs_heap_push(&link->ranks, link->streams, stream);
}

void qs_withdraw(struct qs_link *link, uint32_t stream)
{
	struct qs_stream *s = &link->streams[stream];

	s->competes = 0;
	if (!s->managed) {
		qs_heap_remove(&link->rest, stream);
		return;
	}
	link->managed_len--;
	if (link->policy->order)
		link->policy->order->remove(link, stream);
	else
		qs_heap_remove(&link->managed, stream);
	if (link->policy->ranks_apart)
		qs_heap_remove(&link->ranks, stream);
}

/* What a competing stream is ordered by has changed. */
void qs_reorder(struct qs_link *link, uint32_t stream)
{
	struct qs_stream *s = &link->streams[stream];

	if (!s->managed) {
		qs_heap_fix(&link->rest, link->streams, stream);
		return;
	}
	if (!link->policy->order)
		qs_heap_fix(&link->managed, link->streams, stream);
	if (link->policy->ranks_apart)
		qs_heap_fix(&link->ranks, link->streams, stream);
}
