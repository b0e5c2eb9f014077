/* SPDX-License-Identifier: MIT
 *
 * The scheduler as a link holds it: its memory, and what it has counted.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../host.h"

#define HUGE_BYTES_MIN (64u << 20)

int32_t policy_open(struct link *link, const struct qsockinit_args *args)
{
	const struct qs_policy *policy = qs_policy_find(args->scheduler);
	uint32_t messages_max =
		args->queue_messages ? args->queue_messages : QSOCKET_QUEUE_MESSAGES_DEFAULT;
	int32_t error;

	if (!policy)
		return -EPROTONOSUPPORT;
	error = streams_open(link, args->streams ? args->streams : QSOCKET_STREAMS_DEFAULT);
	if (error)
		return error;
	link->memory_bytes = qs_link_bytes(policy, link->streams_max, messages_max);
	link->memory = memory_map(link->memory_bytes);
	if (!link->memory) {
		policy_shut(link);
		return -ENOMEM;
	}
	/* of much memory that is touched here and there, page tables cost the most */
	if (link->memory_bytes >= HUGE_BYTES_MIN)
		madvise(link->memory, link->memory_bytes, MADV_HUGEPAGE);
	qs_init(&link->policy, policy, args->rate, link->memory, link->streams_max, messages_max);
	error = qs_classes(&link->policy, args->classes, args->classes_len);
	if (error) {
		policy_shut(link);
		return error;
	}
	return 0;
}

void policy_shut(struct link *link)
{
	memory_unmap(link->memory, link->memory_bytes);
	link->memory = NULL;
	streams_shut(link);
}

int32_t policy_share(struct link *link, const struct qsockinit_args *args)
{
	if (strcmp(link->policy.policy->name, args->scheduler))
		return -EBUSY;
	if (link->policy.rate != args->rate ||
	    !qs_classes_same(&link->policy, args->classes, args->classes_len))
		return -EEXIST;
	return 0;
}

void policy_rate(struct link *link, struct qchange_args *args)
{
	qs_rate(&link->policy, args->rate);
	qs_booked(&link->policy, &args->admission);
}

int32_t policy_feasible(struct link *link, uint32_t stream, struct qchange_args *args)
{
	if (stream != QS_NONE)
		return qs_feasible(&link->policy, stream, &args->attr, &args->admission);
	args->admission = (struct qsocket_admission){0};
	return 0;
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

static void info_stream(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	memset(info, 0, sizeof(*info));
	qs_info(&link->policy, stream, info);
	link->host->describe(link, stream, info);
	info->utilisation_ppm = qs_share_ppm(&link->policy, stream);
	if (link->closing[stream])
		info->state |= QSOCKET_STATE_CLOSING;
	describe_link(link, QSOCKET_STREAM, info);
	if (link->host->socket)
		stack_info(link->host->socket(link, stream), info);
}

static void info_link(struct link *link, struct qsocket_info *info)
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

int32_t policy_info(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	if (stream == QS_NONE)
		info_link(link, info);
	else
		info_stream(link, stream, info);
	return 0;
}

int32_t policy_opened(struct link *link, uint32_t stream)
{
	int32_t handle = streams_add(link, stream);

	if (handle < 0)
		qs_remove(&link->policy, stream);
	return handle;
}

void policy_remove(struct link *link, uint32_t stream)
{
	qs_info(&link->policy, stream, &link->past);
	link->host->describe(link, stream, &link->past);
	qs_remove(&link->policy, stream);
	streams_remove(link, stream);
}

int policy_stuck(const struct link *link, uint32_t stream)
{
	const struct qs_stream *s = &link->policy.streams[stream];

	return s->open != QS_NONE && s->head == s->open;
}
