/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A ring of buckets, for what is far from being the first: a bucket holds, in
 * no order, what lies within the same 2^shift of a key, and a bit per bucket
 * says whether it holds anything, so that adding, removing and finding the
 * first bucket are a few steps however much there is. What a bucket holds is
 * in chunks of a cache line: who takes it all can fetch what it leads to at
 * once, not one after the other as from a list. Order is made only when
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

#define WORD_BITS 64u
#define BUCKETS_LOG_MIN 12
#define BUCKETS_LOG_MAX 18 /* as many as three levels of bits can say */

/* Bucket numbers stay below this; other keys are not for a ring. */
#define NUMBER_MAX (1ull << 62)

/* As many buckets as there may be ids, within reason. */
static uint8_t buckets_log(uint32_t ids_max)
{
	uint8_t log = BUCKETS_LOG_MIN;

	while (log < BUCKETS_LOG_MAX && 1ull << log < ids_max)
		log++;
	return log;
}

/* A chunk is taken for the first id of a bucket, and for every so many more. */
size_t qs_ring_bytes(uint32_t ids_max)
{
	size_t buckets = (size_t)1 << buckets_log(ids_max);

	return ids_max * sizeof(struct qs_chunk) + buckets * sizeof(struct qs_bucket) +
	       buckets / WORD_BITS * sizeof(uint64_t) +
	       (QS_BUCKET_MAX + (size_t)ids_max) * sizeof(uint32_t);
}

void qs_ring_init(struct qs_ring QS_MEM *ring, void QS_MEM *memory, struct qs_place QS_MEM *places,
		  uint32_t ids_max, uint8_t span_log)
{
	uint8_t log = buckets_log(ids_max);
	struct qs_chunk QS_MEM *chunks = memory;
	struct qs_bucket QS_MEM *buckets = (struct qs_bucket QS_MEM *)(chunks + ids_max);
	uint64_t QS_MEM *bits = (uint64_t QS_MEM *)(buckets + ((size_t)1 << log));
	uint32_t QS_MEM *rest = (uint32_t QS_MEM *)(bits + ((size_t)1 << log) / WORD_BITS);

	*ring = (struct qs_ring){
		.chunks = chunks,
		.chunks_free = QS_NONE,
		.buckets = buckets,
		.bits = bits,
		.taken = rest,
		.chunks_next = rest + QS_BUCKET_MAX,
		.places = places,
		.mask = (1u << log) - 1,
		.shift = span_log > log ? (uint8_t)(span_log - log) : 0,
		.first = QS_FOREVER,
	};
}

static void mark(struct qs_ring QS_MEM *ring, uint32_t slot)
{
	uint32_t word = slot / WORD_BITS;

	ring->bits[word] |= 1ull << slot % WORD_BITS;
	ring->words[word / WORD_BITS] |= 1ull << word % WORD_BITS;
	ring->groups |= 1ull << word / WORD_BITS;
}

static void unmark(struct qs_ring QS_MEM *ring, uint32_t slot)
{
	uint32_t word = slot / WORD_BITS, group = word / WORD_BITS;

	ring->bits[word] &= ~(1ull << slot % WORD_BITS);
	if (ring->bits[word])
		return;
	ring->words[group] &= ~(1ull << word % WORD_BITS);
	if (!ring->words[group])
		ring->groups &= ~(1ull << group);
}

/* The lowest bit that is set: each 64th part of this de Bruijn sequence, from
 * bit 63 on, is another number. (Compilers for BPF have no instruction for it,
 * and some fail over the builtin.) */
static const uint8_t bit_places[64] = {
	0,  1,	48, 2,	57, 49, 28, 3,	61, 58, 50, 42, 38, 29, 17, 4,	62, 55, 59, 36, 53, 51,
	43, 22, 45, 39, 33, 30, 24, 18, 12, 5,	63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21,
	44, 32, 23, 11, 46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9,	13, 8,	7,  6,
};

static uint32_t lowest(uint64_t bits)
{
	return bit_places[(bits & (0 - bits)) * 0x03f79d71b4cb0a89ull >> 58];
}

/* The bits after one of a word. */
static uint64_t after(uint64_t bits, uint32_t bit)
{
	return bits & ~1ull << bit;
}

/* The first slot with a bit, from `slot` on, round the ring. There is one. */
static uint32_t search(const struct qs_ring QS_MEM *ring, uint32_t slot)
{
	uint32_t word = slot / WORD_BITS, group = word / WORD_BITS;
	uint64_t bits = ring->bits[word] & ~0ull << slot % WORD_BITS;

	if (bits)
		return word * WORD_BITS + lowest(bits);
	bits = after(ring->words[group], word % WORD_BITS);
	if (!bits) {
		bits = after(ring->groups, group);
		group = lowest(bits ? bits : ring->groups);
		bits = ring->words[group];
	}
	word = group * WORD_BITS + lowest(bits);
	return word * WORD_BITS + lowest(ring->bits[word]);
}

static void find_first(struct qs_ring QS_MEM *ring)
{
	uint32_t slot = (uint32_t)ring->base & ring->mask;

	ring->first = QS_FOREVER;
	if (ring->len > 0)
		ring->first = ring->base + ((search(ring, slot) - slot) & ring->mask);
}

/* Where the last id of a bucket is in its first chunk. */
static uint32_t last_index(const struct qs_bucket QS_MEM *bucket)
{
	return (bucket->len - 1) % QS_CHUNK_IDS;
}

static uint32_t new_chunk(struct qs_ring QS_MEM *ring, uint32_t next)
{
	uint32_t chunk = ring->chunks_free;

	if (chunk == QS_NONE)
		chunk = ring->chunks_used++;
	else
		ring->chunks_free = ring->chunks_next[chunk];
	ring->chunks_next[chunk] = next;
	return chunk;
}

static void free_chunk(struct qs_ring QS_MEM *ring, uint32_t chunk)
{
	ring->chunks_next[chunk] = ring->chunks_free;
	ring->chunks_free = chunk;
}

int qs_ring_add(struct qs_ring QS_MEM *ring, uint32_t id, uint64_t key)
{
	uint64_t number = key >> ring->shift;
	uint32_t slot = (uint32_t)number & ring->mask, index;
	struct qs_bucket QS_MEM *bucket = &ring->buckets[slot];

	if (number >= NUMBER_MAX)
		return 0;
	if (ring->len == 0) { /* begins anew, with some reach to both sides */
		ring->base = number > ring->mask / 4 ? number - ring->mask / 4 : 0;
		ring->first = number;
	} else if (number - ring->base > ring->mask || bucket->len >= QS_BUCKET_MAX) {
		return 0;
	}
	if (bucket->len++ == 0) {
		mark(ring, slot);
		bucket->chunk = new_chunk(ring, QS_NONE);
		if (number < ring->first)
			ring->first = number;
	} else if (last_index(bucket) == 0) {
		bucket->chunk = new_chunk(ring, bucket->chunk);
	}
	index = last_index(bucket);
	ring->chunks[bucket->chunk].ids[index] = id;
	ring->places[id] = (struct qs_place){bucket->chunk, index, QS_IN_RING | slot};
	ring->len++;
	return 1;
}

/* The last of the bucket takes its place. */
void qs_ring_remove(struct qs_ring QS_MEM *ring, uint32_t id)
{
	const struct qs_place QS_MEM *place = &ring->places[id];
	uint32_t slot = place->c & ~QS_IN_RING;
	struct qs_bucket QS_MEM *bucket = &ring->buckets[slot];
	uint32_t index = last_index(bucket), last = ring->chunks[bucket->chunk].ids[index];

	ring->chunks[place->a].ids[place->b] = last;
	ring->places[last] = (struct qs_place){place->a, place->b, place->c};
	if (index == 0) {
		uint32_t next = ring->chunks_next[bucket->chunk];

		free_chunk(ring, bucket->chunk);
		bucket->chunk = next;
	}
	ring->len--;
	if (--bucket->len == 0)
		unmark(ring, slot);
}

uint32_t qs_ring_take(struct qs_ring QS_MEM *ring)
{
	uint32_t slot = (uint32_t)ring->first & ring->mask, len = QS_ZERO;
	struct qs_bucket QS_MEM *bucket = &ring->buckets[slot];

	if (bucket->len == 0) {
		find_first(ring);
		return 0;
	}
	while (QS_LOOP && bucket->len > 0) {
		const struct qs_chunk QS_MEM *chunk = &ring->chunks[bucket->chunk];
		uint32_t next = ring->chunks_next[bucket->chunk];

		for (uint32_t i = last_index(bucket) + 1; QS_LOOP && i-- > 0; bucket->len--)
			ring->taken[len++] = chunk->ids[i];
		free_chunk(ring, bucket->chunk);
		bucket->chunk = next;
	}
	ring->len -= len;
	unmark(ring, slot);
	ring->base = ring->first + 1;
	find_first(ring);
	return len;
}
