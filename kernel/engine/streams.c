/* SPDX-License-Identifier: MIT
 *
 * Which streams of a link are open, and their handles: the same for every host.
 */
#include <errno.h>
#include <sys/mman.h>

#include "../host.h"

/* In struct link of each stream: its handle, its place, a place, and `closing`. */
#define STREAM_BYTES (3 * sizeof(uint32_t) + sizeof(uint8_t))

int32_t streams_open(struct link *link, uint32_t streams_max)
{
	link->streams_max = streams_max;
	link->handles = memory_map(streams_max * STREAM_BYTES);
	if (!link->handles)
		return -ENOMEM;
	link->open = link->handles + streams_max;
	link->places = link->open + streams_max;
	link->closing = (uint8_t *)(link->places + streams_max);
	link->open_len = 0;
	link->past = (struct qsocket_info){0};
	return 0;
}

void streams_shut(struct link *link)
{
	memory_unmap(link->handles, link->streams_max * STREAM_BYTES);
	link->handles = NULL;
}

int32_t streams_add(struct link *link, uint32_t stream)
{
	int32_t handle = handle_open(link, stream);

	if (handle < 0)
		return handle;
	link->handles[stream] = (uint32_t)handle;
	link->places[stream] = link->open_len;
	link->open[link->open_len++] = stream;
	return handle;
}

void streams_remove(struct link *link, uint32_t stream)
{
	uint32_t last = link->open[--link->open_len];

	link->open[link->places[stream]] = last;
	link->places[last] = link->places[stream];
	handle_close(link->handles[stream]);
	link->handles[stream] = 0;
	link->closing[stream] = 0;
}

void *memory_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void memory_unmap(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}
