/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A ring of buckets, for what is far from being the first: a bucket holds, in
 * no order, what lies within the same 2^shift of a key, and a bit per bucket
 * says whether it holds anything, so that adding, removing and finding the
 * first bucket are a few steps however much there is. Order is made only when
 * a bucket comes up: then all of it moves to an exact part, the heap of a
 * queue of ready streams (ready.c) or the tree of what can expire (watch.c).
 *
 * Work is bounded: a bucket holds QS_BUCKET_MAX at most. What finds its bucket
 * full, or lies outside of the ring's reach, is told to go to the exact part
 * at once, which bears any key.
 *
 * Brown: "Calendar Queues: A Fast O(1) Priority Queue Implementation for the
 * Simulation Event Set Problem", CACM 31(10), 1988; with the bits of find
 * first set in place of its search.
 */
#include "parts.h"

#define SLOT_MASK (QS_BUCKETS - 1u)
#define WORD_BITS 64u

/* Bucket numbers stay below this; other keys are not for a ring. */
#define NUMBER_MAX (1ull << 62)

static struct qs_place *at(const struct qs_ring *ring, uint32_t id)
{
	return (struct qs_place *)((char *)ring->places + (size_t)id * ring->stride);
}

static void mark(struct qs_ring *ring, uint32_t slot)
{
	ring->bits[slot / WORD_BITS] |= 1ull << slot % WORD_BITS;
	ring->words[slot / WORD_BITS / WORD_BITS] |= 1ull << slot / WORD_BITS % WORD_BITS;
}

static void unmark(struct qs_ring *ring, uint32_t slot)
{
	uint32_t word = slot / WORD_BITS;

	ring->bits[word] &= ~(1ull << slot % WORD_BITS);
	if (!ring->bits[word])
		ring->words[word / WORD_BITS] &= ~(1ull << word % WORD_BITS);
}

/* The first slot with a bit, from `slot` on, round the ring. There is one. */
static uint32_t search(const struct qs_ring *ring, uint32_t slot)
{
	uint32_t word = slot / WORD_BITS, group;
	uint64_t bits = ring->bits[word] & ~0ull << slot % WORD_BITS;

	if (bits)
		return word * WORD_BITS + (uint32_t)__builtin_ctzll(bits);
	word = (word + 1) % QS_RING_WORDS;
	group = word / WORD_BITS;
	bits = ring->words[group] & ~0ull << word % WORD_BITS;
	while (!bits) {
		group = (group + 1) % QS_RING_GROUPS;
		bits = ring->words[group];
	}
	word = group * WORD_BITS + (uint32_t)__builtin_ctzll(bits);
	return word * WORD_BITS + (uint32_t)__builtin_ctzll(ring->bits[word]);
}

static void find_first(struct qs_ring *ring)
{
	uint32_t slot = (uint32_t)ring->base & SLOT_MASK;

	ring->first = QS_FOREVER;
	if (ring->len > 0)
		ring->first = ring->base + ((search(ring, slot) - slot) & SLOT_MASK);
}

int qs_ring_add(struct qs_ring *ring, uint32_t id, uint64_t key)
{
	uint64_t number = key >> ring->shift;
	uint32_t slot = (uint32_t)number & SLOT_MASK;
	struct qs_bucket *bucket = &ring->buckets[slot];
	struct qs_place *place = at(ring, id);

	if (number >= NUMBER_MAX)
		return 0;
	if (ring->len == 0) /* begins anew, with some reach to both sides */
		ring->base = number > QS_BUCKETS / 4 ? number - QS_BUCKETS / 4 : 0;
	else if (number - ring->base >= QS_BUCKETS || bucket->len >= QS_BUCKET_MAX)
		return 0;
	place->a = QS_NONE;
	place->b = bucket->first;
	place->c = QS_IN_RING | slot;
	if (bucket->len++)
		at(ring, bucket->first)->a = id;
	else
		mark(ring, slot);
	bucket->first = id;
	ring->len++;
	if (number < ring->first)
		ring->first = number;
	return 1;
}

void qs_ring_remove(struct qs_ring *ring, uint32_t id)
{
	const struct qs_place *place = at(ring, id);
	uint32_t slot = place->c & ~QS_IN_RING;
	struct qs_bucket *bucket = &ring->buckets[slot];

	if (place->a == QS_NONE)
		bucket->first = place->b;
	else
		at(ring, place->a)->b = place->b;
	if (place->b != QS_NONE)
		at(ring, place->b)->a = place->a;
	ring->len--;
	if (--bucket->len == 0) {
		unmark(ring, slot);
		if (((uint32_t)ring->first & SLOT_MASK) == slot)
			find_first(ring);
	}
}

uint32_t qs_ring_take(struct qs_ring *ring)
{
	uint32_t slot = (uint32_t)ring->first & SLOT_MASK;
	struct qs_bucket *bucket = &ring->buckets[slot];
	uint32_t id = bucket->first;

	ring->len -= bucket->len;
	*bucket = (struct qs_bucket){QS_NONE, 0};
	unmark(ring, slot);
	ring->base = ring->first + 1;
	find_first(ring);
	return id;
}

uint32_t qs_ring_next(const struct qs_ring *ring, uint32_t id)
{
	return at(ring, id)->b;
}

void qs_ring_init(struct qs_ring *ring, struct qs_bucket *buckets, void *places, uint32_t stride,
		  uint8_t shift)
{
	*ring = (struct qs_ring){
		.buckets = buckets,
		.places = places,
		.stride = stride,
		.shift = shift,
		.first = QS_FOREVER,
	};
	for (uint32_t i = 0; i < QS_BUCKETS; i++)
		buckets[i].first = QS_NONE;
}
