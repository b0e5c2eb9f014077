/* SPDX-License-Identifier: MIT
 *
 * The scheduler as a link holds it: its memory, and what it has counted.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine.h"

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

#define HUGE_BYTES_MIN (64u << 20)

/* In struct link of each stream: its handle, its place, a place, and `closing`. */
#define STREAM_BYTES (3 * sizeof(uint32_t) + sizeof(uint8_t))

int32_t policy_open(struct link *link, const struct qsockinit_args *args)
{
	const struct qs_policy *policy = qs_policy_find(args->scheduler);
	uint32_t messages_max =
		args->queue_messages ? args->queue_messages : QSOCKET_QUEUE_MESSAGES_DEFAULT;
	int32_t error;

	if (!policy)
		return -EPROTONOSUPPORT;
	link->streams_max = args->streams ? args->streams : QSOCKET_STREAMS_DEFAULT;
	link->memory_bytes = qs_link_bytes(policy, link->streams_max, messages_max);
	link->memory = memory_map(link->memory_bytes);
	link->handles = memory_map(link->streams_max * STREAM_BYTES);
	if (!link->memory || !link->handles) {
		policy_shut(link);
		return -ENOMEM;
	}
	/* of much memory that is touched here and there, page tables cost the most */
	if (link->memory_bytes >= HUGE_BYTES_MIN)
		madvise(link->memory, link->memory_bytes, MADV_HUGEPAGE);
	link->open = link->handles + link->streams_max;
	link->places = link->open + link->streams_max;
	link->closing = (uint8_t *)(link->places + link->streams_max);
	link->open_len = 0;
	qs_init(&link->policy, policy, args->rate, link->memory, link->streams_max, messages_max);
	error = qs_classes(&link->policy, args->classes, args->classes_len);
	if (error) {
		policy_shut(link);
		return error;
	}
	link->past = (struct qsocket_info){0};
	return 0;
}

void policy_shut(struct link *link)
{
	memory_unmap(link->memory, link->memory_bytes);
	memory_unmap(link->handles, link->streams_max * STREAM_BYTES);
	link->memory = link->handles = NULL;
}

static void describe_link(const struct link *link, uint32_t kind, struct qsocket_info *info)
{
	const char *name = link->policy.policy->name;

	info->kind = kind;
	info->host = link->host->name;
	info->rate = link->policy.rate;
	memset(info->scheduler, 0, sizeof(info->scheduler));
	memcpy(info->scheduler, name, strlen(name));
}

void info_stream(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	memset(info, 0, sizeof(*info));
	qs_info(&link->policy, stream, info);
	link->host->describe(link, stream, info);
	info->utilisation_ppm = qs_share_ppm(&link->policy, stream);
	if (link->closing[stream])
		info->state |= QSOCKET_STATE_CLOSING;
	describe_link(link, QSOCKET_STREAM, info);
}

void info_link(struct link *link, struct qsocket_info *info)
{
	struct qsocket_admission admission;

	*info = link->past;
	qs_booked(&link->policy, &admission);
	info->utilisation_ppm = admission.utilisation_ppm;
	for (uint32_t i = 0; i < link->open_len; i++) {
		qs_info(&link->policy, link->open[i], info);
		link->host->describe(link, link->open[i], info);
	}
	info->streams = link->open_len;
	info->attr = (struct qsocket_attr){0};
	info->window_lost = info->window_left = 0;
	info->state = 0;
	describe_link(link, QSOCKET_LINK, info);
}

int32_t policy_opened(struct link *link, uint32_t stream)
{
	int32_t handle = handle_open(link, stream);

	if (handle < 0) {
		qs_remove(&link->policy, stream);
		return handle;
	}
	link->handles[stream] = (uint32_t)handle;
	link->places[stream] = link->open_len;
	link->open[link->open_len++] = stream;
	return handle;
}

void policy_remove(struct link *link, uint32_t stream)
{
	uint32_t last = link->open[--link->open_len];

	link->open[link->places[stream]] = last;
	link->places[last] = link->places[stream];
	qs_info(&link->policy, stream, &link->past);
	link->host->describe(link, stream, &link->past);
	qs_remove(&link->policy, stream);
	handle_close(link->handles[stream]);
	link->handles[stream] = 0;
	link->closing[stream] = 0;
}

int policy_stuck(const struct link *link, uint32_t stream)
{
	const struct qs_stream *s = &link->policy.streams[stream];

	return s->open != QS_NONE && s->head == s->open;
}
