/* SPDX-License-Identifier: MIT
 *
 * Where the bytes of a message wait: copied once from the caller, sent from
 * here by reference. Nothing is allocated on the way.
 */
#include <errno.h>
#include <string.h>

#include "engine.h"

_Static_assert(ENGINE_MESSAGE_CHUNKS *ENGINE_CHUNK_BYTES >= QSOCKET_MESSAGE_BYTES_MAX,
	       "the largest message must fit");

static uint8_t *chunk_at(const struct payload *payload, uint32_t chunk)
{
	return payload->chunks + (size_t)chunk * ENGINE_CHUNK_BYTES;
}

static uint32_t take(struct payload *payload)
{
	uint32_t chunk = payload->free;

	if (chunk == QS_NONE)
		return payload->fresh++;
	payload->free = payload->next[chunk];
	return chunk;
}

uint32_t payload_store(struct payload *payload, const void *data, uint32_t bytes)
{
	const uint8_t *from = data;
	uint32_t first = QS_NONE, *link = &first;

	while (bytes > 0) {
		uint32_t part = bytes < ENGINE_CHUNK_BYTES ? bytes : ENGINE_CHUNK_BYTES;
		uint32_t chunk = take(payload);

		memcpy(chunk_at(payload, chunk), from, part);
		*link = chunk;
		link = &payload->next[chunk];
		from += part;
		bytes -= part;
	}
	*link = QS_NONE;
	return first;
}

void payload_free(struct payload *payload, uint32_t chunk)
{
	while (chunk != QS_NONE) {
		uint32_t next = payload->next[chunk];

		payload->next[chunk] = payload->free;
		payload->free = chunk;
		chunk = next;
	}
}

uint32_t payload_iovecs(const struct payload *payload, uint32_t chunk, uint32_t at, uint32_t bytes,
			struct iovec *iovecs)
{
	uint32_t len = 0;

	for (; at >= ENGINE_CHUNK_BYTES; at -= ENGINE_CHUNK_BYTES)
		chunk = payload->next[chunk];
	for (; bytes > 0; chunk = payload->next[chunk], at = 0) {
		uint32_t part = ENGINE_CHUNK_BYTES - at;

		if (part > bytes)
			part = bytes;
		iovecs[len++] = (struct iovec){chunk_at(payload, chunk) + at, part};
		bytes -= part;
	}
	return len;
}

int payload_open(struct payload *payload, uint32_t messages_max)
{
	size_t chunks = (size_t)messages_max * ENGINE_MESSAGE_CHUNKS;

	*payload = (struct payload){.free = QS_NONE, .chunks_max = (uint32_t)chunks};
	payload->chunks = memory_map(chunks * ENGINE_CHUNK_BYTES);
	payload->next = memory_map(chunks * sizeof(*payload->next));
	if (payload->chunks && payload->next)
		return 0;
	payload_shut(payload);
	return -ENOMEM;
}

void payload_shut(struct payload *payload)
{
	memory_unmap(payload->chunks, (size_t)payload->chunks_max * ENGINE_CHUNK_BYTES);
	memory_unmap(payload->next, payload->chunks_max * sizeof(*payload->next));
}
