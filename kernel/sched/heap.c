/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A 4-ary heap of streams, first to be served on top: half the levels of a
 * binary heap, and the four children of a node lie side by side. The entries
 * carry their keys, so that finding a place touches no stream but the one
 * that moves into it; every stream's place is known, so that it can be moved
 * or taken out of the middle.
 */
#include "parts.h"

#define ARITY 4u

static int before(const struct qs_key *a, const struct qs_key *b)
{
	if (a->first != b->first)
		return a->first < b->first;
	if (a->second != b->second)
		return a->second < b->second;
	return a->third < b->third;
}

static void put(struct qs_heap QS_MEM *heap, uint32_t place, const struct qs_heap_entry *entry)
{
	heap->entries[place] = *entry;
	heap->places[entry->stream].c = place;
}

static uint32_t rise(struct qs_heap QS_MEM *heap, uint32_t place, const struct qs_heap_entry *entry)
{
	while (QS_LOOP && place > 0) {
		uint32_t upper = (place - 1) / ARITY;
		const struct qs_heap_entry parent = heap->entries[upper];

		if (!before(&entry->key, &parent.key))
			break;
		put(heap, place, &parent);
		place = upper;
	}
	return place;
}

static uint32_t sink(struct qs_heap QS_MEM *heap, uint32_t place, const struct qs_heap_entry *entry)
{
	while (QS_LOOP) {
		uint32_t child = place * ARITY + 1, upper = child;
		uint32_t end = child + ARITY < heap->len ? child + ARITY : heap->len;
		struct qs_heap_entry first;

		if (child >= heap->len)
			break;
		first = heap->entries[child];
		while (QS_LOOP && ++child < end) {
			const struct qs_heap_entry other = heap->entries[child];

			if (before(&other.key, &first.key)) {
				first = other;
				upper = child;
			}
		}
		if (!before(&first.key, &entry->key))
			break;
		put(heap, place, &first);
		place = upper;
	}
	return place;
}

void qs_heap_push(struct qs_heap QS_MEM *heap, const struct qs_heap_entry *entry)
{
	put(heap, rise(heap, heap->len++, entry), entry);
}

void qs_heap_remove(struct qs_heap QS_MEM *heap, uint32_t place)
{
	struct qs_heap_entry last = heap->entries[--heap->len];

	if (place == heap->len)
		return;
	place = rise(heap, place, &last);
	place = sink(heap, place, &last);
	put(heap, place, &last);
}
