/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A 4-ary heap of streams, first to be served on top: half the levels of a
 * binary heap, and the four children of a node share a cache line. Every
 * stream knows its place, so that one can be moved or taken out of the middle.
 */
#include "parts.h"

#define ARITY 4u

static void put(struct qs_heap *heap, struct qs_stream *streams, uint32_t place, uint32_t stream)
{
	heap->streams[place] = stream;
	streams[stream].place = place;
}

static uint32_t rise(struct qs_heap *heap, struct qs_stream *streams, uint32_t place)
{
	uint32_t stream = heap->streams[place];

	while (place > 0) {
		uint32_t parent = (place - 1) / ARITY;

		if (!heap->before(&streams[stream], &streams[heap->streams[parent]]))
			break;
		put(heap, streams, place, heap->streams[parent]);
		place = parent;
	}
	put(heap, streams, place, stream);
	return place;
}

static void sink(struct qs_heap *heap, struct qs_stream *streams, uint32_t place)
{
	uint32_t stream = heap->streams[place];

	for (;;) {
		uint32_t child = place * ARITY + 1, first = child;
		uint32_t end = child + ARITY < heap->len ? child + ARITY : heap->len;

		if (child >= heap->len)
			break;
		while (++child < end)
			if (heap->before(&streams[heap->streams[child]],
					 &streams[heap->streams[first]]))
				first = child;
		if (!heap->before(&streams[heap->streams[first]], &streams[stream]))
			break;
		put(heap, streams, place, heap->streams[first]);
		place = first;
	}
	put(heap, streams, place, stream);
}

void qs_heap_fix(struct qs_heap *heap, struct qs_stream *streams, uint32_t stream)
{
	sink(heap, streams, rise(heap, streams, streams[stream].place));
}

void qs_heap_push(struct qs_heap *heap, struct qs_stream *streams, uint32_t stream)
{
	put(heap, streams, heap->len, stream);
	rise(heap, streams, heap->len++);
}

void qs_heap_remove(struct qs_heap *heap, struct qs_stream *streams, uint32_t stream)
{
	uint32_t place = streams[stream].place, last = heap->streams[--heap->len];

	streams[stream].place = QS_NONE;
	if (last == stream)
		return;
	put(heap, streams, place, last);
	qs_heap_fix(heap, streams, last);
}
