/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A link's memory: how much, and what lies where.
 */
#include "parts.h"
#include "room.h"

/* Messages that the host still holds (being sent, not yet reaped) come on top
 * of those that are queued: some, and one of every stream. */
#define HELD_MAX 3072u

/* In reach of rings: a second of deadlines, a megabyte of best effort's tags. */
#define TIME_SPAN_LOG 30
#define BYTES_SPAN_LOG 20

const struct qs_policy *qs_policy_find(const char *name)
{
	static const struct qs_policy *const all[] = {
		&qs_dwcs,	  &qs_dwcs99, &qs_vds, &qs_edf,
		&qs_edf_lossless, &qs_fifo,   &qs_sfq, &qs_cbq,
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *a = all[i]->name, *b = name;

		while (*a && *a == *b)
			a++, b++;
		if (*a == *b)
			return all[i];
	}
	return NULL;
}

static size_t round_up(size_t bytes)
{
	return (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT;
}

uint32_t qs_messages_held(uint32_t streams_max, uint32_t messages_max)
{
	return messages_max + streams_max + HELD_MAX;
}

/* The parts of a link's memory, in this order. */
enum part {
	STREAMS,
	LEDGERS,
	DELAYS,
	UNITS,
	MESSAGES,
	WATCH_PLACES,
	WATCH_RING,
	PLACES,
	MANAGED_HEAP,
	MANAGED_RING,
	REST_HEAP,
	REST_RING,
	RANKS_PLACES,
	RANKS_HEAP,
	RANKS_RING,
	OWN,
	PARTS
};

static void measure(const struct qs_policy *policy, uint32_t streams_max, uint32_t messages_max,
		    size_t bytes[PARTS])
{
	size_t streams = streams_max, messages = messages_max, apart = policy->ranks_apart;

	bytes[STREAMS] = streams * sizeof(struct qs_stream);
	bytes[LEDGERS] = streams * sizeof(struct qs_ledger);
	bytes[DELAYS] = streams * sizeof(struct qs_delays);
	bytes[UNITS] = messages * sizeof(struct qs_unit);
	bytes[MESSAGES] = qs_messages_held(streams_max, messages_max) * sizeof(struct qs_message);
	bytes[WATCH_PLACES] = messages * sizeof(struct qs_place);
	bytes[PLACES] = streams * sizeof(struct qs_place);
	bytes[MANAGED_HEAP] = bytes[REST_HEAP] = streams * sizeof(struct qs_heap_entry);
	bytes[WATCH_RING] = qs_ring_bytes(messages_max);
	bytes[MANAGED_RING] = bytes[REST_RING] = qs_ring_bytes(streams_max);
	bytes[RANKS_PLACES] = apart * bytes[PLACES];
	bytes[RANKS_HEAP] = apart * bytes[MANAGED_HEAP];
	bytes[RANKS_RING] = apart * bytes[MANAGED_RING];
	bytes[OWN] = policy->own_bytes;
}

size_t qs_link_bytes(const struct qs_policy *policy, uint32_t streams_max, uint32_t messages_max)
{
	size_t bytes[PARTS], sum = 0;

	measure(policy, streams_max, messages_max, bytes);
	for (unsigned i = 0; i < PARTS; i++)
		sum += round_up(bytes[i]);
	return sum;
}

static void init_queue(struct qs_queue QS_MEM *queue, void QS_MEM *places, void QS_MEM *heap,
		       void QS_MEM *ring, uint32_t streams_max, uint8_t span_log,
		       enum qs_key_kind kind)
{
	queue->kind = kind;
	queue->heap.entries = heap;
	queue->heap.places = places;
	qs_ring_init(&queue->ring, ring, places, streams_max, span_log);
}

void qs_init(struct qs_link QS_MEM *link, const struct qs_policy *policy, uint64_t rate,
	     void QS_MEM *memory, uint32_t streams_max, uint32_t messages_max)
{
	size_t bytes[PARTS];
	char QS_MEM *parts[PARTS];
	char QS_MEM *next = memory;

	measure(policy, streams_max, messages_max, bytes);
	for (unsigned i = 0; i < PARTS; i++) {
		parts[i] = next;
		next += round_up(bytes[i]);
	}
	*link = (struct qs_link){
		.policy = policy,
		.streams = (void QS_MEM *)parts[STREAMS],
		.ledgers = (void QS_MEM *)parts[LEDGERS],
		.delays = (void QS_MEM *)parts[DELAYS],
		.units = (void QS_MEM *)parts[UNITS],
		.messages = (void QS_MEM *)parts[MESSAGES],
		.streams_max = streams_max,
		.messages_max = messages_max,
		.rest_max = qs_room_of_rest(messages_max),
		.messages_held = qs_messages_held(streams_max, messages_max),
		.streams_free = QS_NONE,
		.units_free = QS_NONE,
		.messages_free = QS_NONE,
		.dead = QS_NONE,
		.watch = {.places = (void QS_MEM *)parts[WATCH_PLACES],
			  .root = QS_NONE,
			  .first = QS_NONE},
		.own = parts[OWN],
	};
	qs_rate(link, rate);
	qs_ring_init(&link->watch.ring, parts[WATCH_RING], link->watch.places, messages_max,
		     TIME_SPAN_LOG);
	init_queue(&link->managed, parts[PLACES], parts[MANAGED_HEAP], parts[MANAGED_RING],
		   streams_max, policy->key_span_log, QS_KEY_POLICY);
	init_queue(&link->rest, parts[PLACES], parts[REST_HEAP], parts[REST_RING], streams_max,
		   BYTES_SPAN_LOG, QS_KEY_TAG);
	if (policy->ranks_apart)
		init_queue(&link->ranks, parts[RANKS_PLACES], parts[RANKS_HEAP], parts[RANKS_RING],
			   streams_max, TIME_SPAN_LOG, QS_KEY_RANK);
	if (policy->own_init)
		policy->own_init(link);
}
