/* SPDX-License-Identifier: MIT
 *
 * Below the stack where the kernel has calls for it: its own scheduler as the
 * device's qdisc. Such a qdisc is taken away like any other, by traffic control.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../below/kernel.h"
#include "../sched/sched.h"
#include "device.h"

#define IOCTL_BYTES_MAX ((1u << _IOC_SIZEBITS) - 1)

int32_t kernel_join(struct qsockinit_args *args)
{
	struct qsockinit_args found = {.rate = args->rate};
	int32_t result;

	memcpy(found.device, args->device, sizeof(found.device));
	memcpy(found.scheduler, args->scheduler, sizeof(found.scheduler));
	result = kernel_call(QSOCKINIT, &found, sizeof(found));
	if (result < 0) {
		memcpy(args->why, found.why, sizeof(args->why));
		return result;
	}
	memcpy(args->scheduler, found.scheduler, sizeof(args->scheduler));
	args->scheduler[sizeof(args->scheduler) - 1] = 0;
	args->rate = found.rate;
	args->host = QSOCKET_BELOW;
	return 0;
}

/* Has it done, and passes on what the kernel says of a failure. */
static int32_t ask(struct qsockinit_args *wanted, char why[QSOCKET_WHY_BYTES])
{
	int32_t result = kernel_call(QSOCKINIT, wanted, sizeof(*wanted));

	if (result >= 0)
		return 0;
	wanted->why[sizeof(wanted->why) - 1] = 0;
	if (result == -EPROTONOSUPPORT)
		device_why(why, "the kernel has no module for %.15s", wanted->scheduler);
	else
		device_why(why, "%s", *wanted->why ? wanted->why : strerror(-result));
	return result;
}

static struct qsockinit_args ours(const struct qsockinit_args *args)
{
	struct qsockinit_args result = {
		.rate = args->rate,
		.flags = QSOCKINIT_SYSTEM | QSOCKINIT_REPLACE,
		.gid = args->gid,
		.mode = args->mode,
	};

	memcpy(result.device, args->device, sizeof(result.device));
	memcpy(result.scheduler, args->scheduler, sizeof(result.scheduler));
	return result;
}

int32_t kernel_init(const struct qsockinit_args *args, char why[QSOCKET_WHY_BYTES])
{
	struct qsockinit_args wanted = ours(args);

	wanted.flags |= args->flags & QSOCKINIT_TRACE;
	wanted.streams = args->streams ? args->streams + QSOCKET_FLOWS : 0;
	wanted.queue_messages = args->queue_messages;
	return ask(&wanted, why);
}

/* What is not said stays: so many streams and messages, and what is queued. */
int32_t kernel_change(const struct qsockinit_args *args, char why[QSOCKET_WHY_BYTES])
{
	struct qsockinit_args wanted = ours(args);

	return ask(&wanted, why);
}

void kernel_kind(char kind[QSOCKET_NAME_BYTES], const char *scheduler)
{
	memset(kind, 0, QSOCKET_NAME_BYTES);
	snprintf(kind, QSOCKET_NAME_BYTES, QSOCKET_KIND "%s", scheduler);
}

int kernel_is(const char *kind)
{
	const size_t len = strlen(QSOCKET_KIND);

	return !strncmp(kind, QSOCKET_KIND, len) && qs_policy_find(kind + len);
}

static uint32_t handle_of(const struct device *d)
{
	return QSOCKET_LINK_HANDLE | d->ifindex;
}

/* One part of a list, as much as fits in an ioctl. */
static int32_t list_part(const struct device *d, struct qlist_args *args, void *streams,
			 uint32_t streams_max)
{
	uint32_t bytes = (uint32_t)sizeof(*args) + streams_max * args->stream_bytes;
	struct qlist_args *part = calloc(1, bytes);
	int32_t result;

	if (!part)
		return -ENOMEM;
	part->link = handle_of(d);
	part->streams_max = streams_max;
	part->stream_bytes = args->stream_bytes;
	part->after = args->after;
	result = kernel_call(QLIST, part, bytes);
	if (result > (int32_t)streams_max)
		result = -EPROTO;
	if (result > 0) {
		memcpy(streams, part->streams, (size_t)result * args->stream_bytes);
		args->after = part->after;
	}
	free(part);
	return result;
}

int32_t kernel_list(const struct device *d, struct qlist_args *args, void *streams)
{
	const uint32_t most = (IOCTL_BYTES_MAX - (uint32_t)sizeof(*args)) / args->stream_bytes;
	uint32_t len = 0, wanted;
	int32_t told;

	do {
		wanted = args->streams_max - len < most ? args->streams_max - len : most;
		told = list_part(d, args, (char *)streams + (size_t)len * args->stream_bytes,
				 wanted);
		if (told < 0)
			return told == -ENOLINK ? -ENOENT : told;
		len += (uint32_t)told;
	} while ((uint32_t)told == wanted && len < args->streams_max);
	args->streams_len = len;
	args->scope = QLIST_ALL;
	return (int32_t)len;
}

int32_t kernel_trace(const struct device *d, struct qsocket_trace *trace,
		     struct qsocket_record *records, uint32_t records_max)
{
	struct qtrace_args args = {
		.link = handle_of(d),
		.records_max = records_max,
		.records = (uintptr_t)records,
	};
	int32_t result = kernel_call(QTRACE, &args, sizeof(args));

	if (result < 0)
		return result;
	memcpy(args.trace.device, trace->device, sizeof(args.trace.device));
	*trace = args.trace;
	trace->scheduler[sizeof(trace->scheduler) - 1] = 0;
	return result;
}
