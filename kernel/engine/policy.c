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

int32_t policy_open(struct link *link, const struct qsockinit_args *args)
{
	const struct qs_policy *policy = qs_policy_find(args->scheduler);
	uint32_t messages_max =
		args->queue_messages ? args->queue_messages : QSOCKET_QUEUE_MESSAGES_DEFAULT;
	int32_t error;

	if (!policy)
		return -EPROTONOSUPPORT;
	link->memory_bytes = qs_link_bytes(policy, QSOCKET_STREAMS_MAX, messages_max);
	link->memory = memory_map(link->memory_bytes);
	if (!link->memory)
		return -ENOMEM;
	qs_init(&link->policy, policy, args->rate, link->memory, QSOCKET_STREAMS_MAX, messages_max);
	error = qs_classes(&link->policy, args->classes, args->classes_len);
	if (error) {
		policy_shut(link);
		return error;
	}
	memset(link->handles, 0, sizeof(link->handles));
	memset(link->closing, 0, sizeof(link->closing));
	link->past = (struct qsocket_info){0};
	return 0;
}

void policy_shut(struct link *link)
{
	memory_unmap(link->memory, link->memory_bytes);
	link->memory = NULL;
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
	for (uint32_t stream = 0; stream < QSOCKET_STREAMS_MAX; stream++) {
		if (!link->handles[stream])
			continue;
		qs_info(&link->policy, stream, info);
		link->host->describe(link, stream, info);
		info->streams++;
	}
	info->attr = (struct qsocket_attr){0};
	info->window_lost = info->window_left = 0;
	info->state = 0;
	describe_link(link, QSOCKET_LINK, info);
}

void policy_remove(struct link *link, uint32_t stream)
{
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
