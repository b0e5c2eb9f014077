/* SPDX-License-Identifier: MIT
 *
 * What a competent programmer would write without this library: messages in
 * a binary heap, first the earliest deadline, of equal ones the first to
 * come. Twice, as either may be the faster one:
 *
 *	records		the heap's array holds the messages themselves, like a
 *			std::priority_queue of structs: fewer misses, more to move
 *	indexed		it holds {deadline, seq, slot}, and the message waits in a
 *			slot of its own: less to move, one miss more
 *
 * Both sink the hole to the bottom and lift the last entry from there, as
 * C++'s libraries do: the last entry mostly belongs near the bottom, so one
 * comparison a level is enough. All is inlined into the caller.
 *
 * Wegener: "Bottom-up heapsort", Theoretical Computer Science 118, 1993.
 */
#ifndef SCHED_HEAP_H
#define SCHED_HEAP_H

#include <stdint.h>

struct heap_record {
	uint64_t deadline_ns;
	uint32_t seq; /* turns over: compared by its difference */
	uint32_t stream;
	uint32_t bytes;
	uint32_t flags;
};

struct heap_slot {
	uint64_t deadline_ns;
	uint32_t seq;
	uint32_t slot;
};

struct record_heap {
	struct heap_record *entries;
	uint32_t len;
};

struct indexed_heap {
	struct heap_slot *entries;
	struct heap_record *records;
	uint32_t *free; /* slots: a stack */
	uint32_t len, free_len;
};

/* For entries of either kind. */
#define HEAP_BEFORE(a, b)                                                                          \
	((a)->deadline_ns < (b)->deadline_ns ||                                                    \
	 ((a)->deadline_ns == (b)->deadline_ns && (int32_t)((a)->seq - (b)->seq) < 0))

/* Puts `entry` where it belongs, from the free place `hole` upwards. */
#define HEAP_RISE(entries, hole, entry)                                                            \
	do {                                                                                       \
		while ((hole) > 0 && HEAP_BEFORE(entry, &(entries)[((hole)-1) / 2])) {             \
			(entries)[hole] = (entries)[((hole)-1) / 2];                               \
			(hole) = ((hole)-1) / 2;                                                   \
		}                                                                                  \
		(entries)[hole] = *(entry);                                                        \
	} while (0)

/* Moves the free place at the top of `len` entries to the bottom. */
#define HEAP_SINK(entries, len, hole)                                                              \
	do {                                                                                       \
		uint32_t child;                                                                    \
                                                                                                   \
		while ((child = 2 * (hole) + 1) < (len)) {                                         \
			if (child + 1 < (len))                                                     \
				child += HEAP_BEFORE(&(entries)[child + 1], &(entries)[child]);    \
			(entries)[hole] = (entries)[child];                                        \
			(hole) = child;                                                            \
		}                                                                                  \
	} while (0)

static inline void record_heap_push(struct record_heap *heap, const struct heap_record *record)
{
	uint32_t hole = heap->len++;

	HEAP_RISE(heap->entries, hole, record);
}

/* 0 when the heap is empty. */
static inline int record_heap_pop(struct record_heap *heap, struct heap_record *record)
{
	struct heap_record last;
	uint32_t hole = 0;

	if (heap->len == 0)
		return 0;
	*record = heap->entries[0];
	last = heap->entries[--heap->len];
	HEAP_SINK(heap->entries, heap->len, hole);
	HEAP_RISE(heap->entries, hole, &last);
	return 1;
}

static inline void indexed_heap_push(struct indexed_heap *heap, const struct heap_record *record)
{
	struct heap_slot entry = {
		.deadline_ns = record->deadline_ns,
		.seq = record->seq,
		.slot = heap->free[--heap->free_len],
	};
	uint32_t hole = heap->len++;

	heap->records[entry.slot] = *record;
	HEAP_RISE(heap->entries, hole, &entry);
}

static inline int indexed_heap_pop(struct indexed_heap *heap, struct heap_record *record)
{
	struct heap_slot last;
	uint32_t hole = 0;

	if (heap->len == 0)
		return 0;
	*record = heap->records[heap->entries[0].slot];
	heap->free[heap->free_len++] = heap->entries[0].slot;
	last = heap->entries[--heap->len];
	HEAP_SINK(heap->entries, heap->len, hole);
	HEAP_RISE(heap->entries, hole, &last);
	return 1;
}

#endif
