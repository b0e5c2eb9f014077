/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Who competes: the streams whose head is whole, each in one queue. Managed
 * ones are ordered by the policy's key, or by an order that it keeps itself;
 * best effort by its tags. A policy whose misses are counted by rank deadlines
 * but whose order is another has its streams in a second queue as well.
 *
 * A queue is a ring of buckets by the first part of the key (ring.c), and a
 * heap of what comes up. The heap may hold any key: its top is the first of
 * all unless a bucket begins before it.
 */
#include "parts.h"

#define HEAP_FEW 64u

/* Best effort: start-time fair queueing by bytes, all weights equal.
 * Goyal, Vin, Cheng: "Start-Time Fair Queuing", SIGCOMM 1996. */
void qs_tag_key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	*key = (struct qs_key){s->tag, s->seq, 0};
}

static void rank_key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	*key = (struct qs_key){s->rank_ns, s->seq, 0};
}

static void key_of(const struct qs_link QS_MEM *link, const struct qs_queue QS_MEM *queue,
		   uint32_t stream, struct qs_key *key)
{
	const struct qs_stream QS_MEM *s = &link->streams[stream];

	if (queue->kind == QS_KEY_POLICY)
		QS_POLICY(link)->key(s, key);
	else if (queue->kind == QS_KEY_TAG)
		qs_tag_key(s, key);
	else
		rank_key(s, key);
}

/* The start tag of best effort's head: behind what its stream was served. */
void qs_tag(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	s->tag = s->finish > link->vtime ? s->finish : link->vtime;
	s->finish = s->tag + link->units[s->head].bytes;
}

static void add(struct qs_queue QS_MEM *queue, const struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_heap_entry entry = {.stream = stream};

	key_of(link, queue, stream, &entry.key);
	/* few need no buckets */
	if ((queue->ring.len == 0 && queue->heap.len < HEAP_FEW) ||
	    !qs_ring_add(&queue->ring, stream, entry.key.first))
		qs_heap_push(&queue->heap, &entry);
}

static void take_out(struct qs_queue QS_MEM *queue, uint32_t stream)
{
	uint32_t place = queue->heap.places[stream].c;

	if (place & QS_IN_RING)
		qs_ring_remove(&queue->ring, stream);
	else
		qs_heap_remove(&queue->heap, place);
}

/* The first bucket moves to the heap. The streams and their head units will be
 * served soon: they are fetched together, not one after the other. */
static void bring_up(struct qs_queue QS_MEM *queue, const struct qs_link QS_MEM *link)
{
	const uint32_t QS_MEM *ids = queue->ring.taken;
	uint32_t len = qs_ring_take(&queue->ring);
	struct qs_heap_entry entry = {0};

	for (uint32_t i = 0; QS_FETCHES && i < len; i++) {
		QS_FETCH(&link->streams[ids[i]]);
		QS_FETCH(&link->streams[ids[i]].bytes);
		QS_FETCH(&queue->heap.places[ids[i]]);
	}
	for (uint32_t i = 0; QS_FETCHES && i < len; i++)
		QS_FETCH(&link->units[link->streams[ids[i]].head]);
	for (uint32_t i = QS_ZERO; QS_LOOP && i < len; i++) {
		const struct qs_stream QS_MEM *s = &link->streams[ids[i]];
		const struct qs_unit QS_MEM *u = &link->units[s->head];

		QS_FETCH(&link->messages[u->first]);
		if (u->next != QS_NONE) {
			QS_FETCH(&link->units[u->next]);
			QS_FETCH(&link->watch.places[u->next]);
		}
		QS_FETCH(&link->watch.places[s->head]);
		entry.stream = ids[i];
		key_of(link, queue, ids[i], &entry.key);
		qs_heap_push(&queue->heap, &entry);
	}
}

uint32_t qs_queue_first(struct qs_queue QS_MEM *queue, const struct qs_link QS_MEM *link)
{
	while (QS_LOOP && queue->ring.len > 0 &&
	       (queue->heap.len == 0 ||
		queue->heap.entries[0].key.first >= queue->ring.first << queue->ring.shift))
		bring_up(queue, link);
	return queue->heap.len > 0 ? queue->heap.entries[0].stream : QS_NONE;
}

void qs_compete(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	s->competes = 1;
	if (!s->managed) {
		link->rest_streams++;
		add(&link->rest, link, stream);
		return;
	}
	link->managed_streams++;
	if (QS_POLICY(link)->order)
		QS_POLICY(link)->order->push(link, stream);
	else
		add(&link->managed, link, stream);
	if (QS_POLICY(link)->ranks_apart)
		add(&link->ranks, link, stream);
}

void qs_withdraw(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	s->competes = 0;
	if (!s->managed) {
		link->rest_streams--;
		take_out(&link->rest, stream);
		return;
	}
	link->managed_streams--;
	if (QS_POLICY(link)->order)
		QS_POLICY(link)->order->remove(link, stream);
	else
		take_out(&link->managed, stream);
	if (QS_POLICY(link)->ranks_apart)
		take_out(&link->ranks, stream);
}

/* What a competing stream is ordered by has changed. */
void qs_reorder(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	if (!s->managed) {
		take_out(&link->rest, stream);
		add(&link->rest, link, stream);
		return;
	}
	if (!QS_POLICY(link)->order) {
		take_out(&link->managed, stream);
		add(&link->managed, link, stream);
	}
	if (QS_POLICY(link)->ranks_apart) {
		take_out(&link->ranks, stream);
		add(&link->ranks, link, stream);
	}
}
