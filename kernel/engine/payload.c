/* SPDX-License-Identifier: MIT
 *
 * Where the bytes of a message wait: copied once from the caller, sent from
 * here by reference. Nothing is allocated on the way.
 *
 * Chunks come in two sizes. A datagram fits into a small one; what is larger
 * (a whole frame, cut into datagrams by the kernel) is a chain of large ones:
 * copying and sending it in few long pieces is faster by a fifth.
 */
#include <errno.h>
#include <string.h>

#include "engine.h"

_Static_assert(ENGINE_MESSAGE_CHUNKS *ENGINE_LARGE_BYTES >= QSOCKET_MESSAGE_BYTES_MAX,
	       "the largest message must fit");

#define LARGE 0x80000000u /* in a chunk's number: it is a large one */

static uint8_t *chunk_at(const struct pool *pool, uint32_t chunk)
{
	return pool->chunks + (size_t)(chunk & ~LARGE) * pool->chunk_bytes;
}

static uint32_t take(struct pool *pool)
{
	uint32_t chunk = pool->free;

	if (chunk == QS_NONE)
		return pool->fresh++;
	pool->free = pool->next[chunk & ~LARGE];
	return chunk & ~LARGE;
}

uint32_t payload_store(struct payload *payload, const void *data, uint32_t bytes)
{
	int small = bytes <= ENGINE_SMALL_BYTES;
	struct pool *pool = small ? &payload->small : &payload->large;
	const uint8_t *from = data;
	uint32_t first = QS_NONE, *link = &first;

	while (bytes > 0) {
		uint32_t part = bytes < pool->chunk_bytes ? bytes : pool->chunk_bytes;
		uint32_t chunk = take(pool);

		memcpy(chunk_at(pool, chunk), from, part);
		*link = small ? chunk : chunk | LARGE;
		link = &pool->next[chunk];
		from += part;
		bytes -= part;
	}
	*link = QS_NONE;
	return first;
}

/* The chain goes back as it is, for the next message to take in that order. */
void payload_free(struct payload *payload, uint32_t chunk)
{
	struct pool *pool = chunk & LARGE ? &payload->large : &payload->small;
	uint32_t last = chunk;

	if (chunk == QS_NONE)
		return;
	while (pool->next[last & ~LARGE] != QS_NONE)
		last = pool->next[last & ~LARGE];
	pool->next[last & ~LARGE] = pool->free;
	pool->free = chunk;
}

uint32_t payload_iovecs(const struct payload *payload, uint32_t chunk, uint32_t at, uint32_t bytes,
			struct iovec *iovecs)
{
	const struct pool *pool = chunk & LARGE ? &payload->large : &payload->small;
	uint32_t len = 0;

	for (; at >= pool->chunk_bytes; at -= pool->chunk_bytes)
		chunk = pool->next[chunk & ~LARGE];
	for (; bytes > 0; chunk = pool->next[chunk & ~LARGE], at = 0) {
		uint32_t part = pool->chunk_bytes - at;

		if (part > bytes)
			part = bytes;
		iovecs[len++] = (struct iovec){chunk_at(pool, chunk) + at, part};
		bytes -= part;
	}
	return len;
}

static int pool_open(struct pool *pool, uint32_t chunk_bytes, uint32_t chunks_max)
{
	*pool = (struct pool){
		.free = QS_NONE,
		.chunks_max = chunks_max,
		.chunk_bytes = chunk_bytes,
		.chunks = memory_map((size_t)chunks_max * chunk_bytes),
		.next = memory_map(chunks_max * sizeof(*pool->next)),
	};
	return pool->chunks && pool->next ? 0 : -ENOMEM;
}

static void pool_shut(struct pool *pool)
{
	memory_unmap(pool->chunks, (size_t)pool->chunks_max * pool->chunk_bytes);
	memory_unmap(pool->next, pool->chunks_max * sizeof(*pool->next));
}

int payload_open(struct payload *payload, uint32_t messages_max)
{
	uint32_t large = messages_max * ENGINE_MESSAGE_CHUNKS;

	*payload = (struct payload){0};
	if (!pool_open(&payload->small, ENGINE_SMALL_BYTES, messages_max) &&
	    !pool_open(&payload->large, ENGINE_LARGE_BYTES, large))
		return 0;
	payload_shut(payload);
	return -ENOMEM;
}

void payload_shut(struct payload *payload)
{
	pool_shut(&payload->small);
	pool_shut(&payload->large);
}
