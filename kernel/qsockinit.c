/* SPDX-License-Identifier: MIT
 *
 * QSOCKINIT: opens a link, once what it says of it holds. Of a device that may
 * be one that this process has open already, one that was prepared for all
 * processes, or one that is to be.
 */
#include <errno.h>
#include <string.h>

#include "device/device.h"
#include "host.h"

/* A device has one link in a process: asked for again, it is shared. */
static int32_t share(struct link *link, const struct qsockinit_args *a)
{
	int32_t result;

	pthread_mutex_lock(&link->lock);
	result = link->host->share(link, a);
	if (!result) {
		link->references++;
		result = (int32_t)link->handle;
	}
	pthread_mutex_unlock(&link->lock);
	return result;
}

static int32_t check_qsockinit(const struct qsockinit_args *a)
{
	const uint32_t system = a->flags & (QSOCKINIT_SYSTEM | QSOCKINIT_OFF);

	if (a->flags & ~(QSOCKINIT_VIRTUAL | QSOCKINIT_SYSTEM | QSOCKINIT_REPLACE | QSOCKINIT_OFF |
			 QSOCKINIT_TRACE))
		return -EINVAL;
	/* nobody else can record */
	if (a->flags & QSOCKINIT_TRACE && (system != QSOCKINIT_SYSTEM || a->host != QSOCKET_BELOW))
		return -EINVAL;
	if (!qs_name_ok(a->device) || !qs_name_ok(a->scheduler) || a->rate > QSOCKET_RATE_MAX)
		return -EINVAL;
	/* of a device: one of these, and nobody's clock */
	if (system == (QSOCKINIT_SYSTEM | QSOCKINIT_OFF) || (system && !*a->device) ||
	    (a->flags & QSOCKINIT_REPLACE && system != QSOCKINIT_SYSTEM) ||
	    (a->flags & QSOCKINIT_VIRTUAL && (system || *a->device)))
		return -EINVAL;
	if (a->zero || a->mode > DEVICE_MODE_MAX || a->host == QSOCKET_VIRTUAL ||
	    a->host > QSOCKET_ISOLATED)
		return -EINVAL;
	if (system != QSOCKINIT_SYSTEM && (a->gid || a->mode))
		return -EINVAL;
	if (a->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	    a->classes_len > QSOCKET_CLASSES_MAX || a->streams > QSOCKET_STREAMS_MAX)
		return -ERANGE;
	return zeroed(a->classes + a->classes_len,
		      (QSOCKET_CLASSES_MAX - a->classes_len) * sizeof(a->classes[0]))
		       ? 0
		       : -EINVAL;
}

/* What a link on a device will be, or why it cannot: the device itself may
 * have to be made ready for that. */
static int32_t prepare(struct qsockinit_args *a)
{
	int32_t error = 0;

	if (*a->device && !(a->flags & QSOCKINIT_SYSTEM))
		error = device_join(a);
	if (error)
		return error;
	if (*a->device && !*a->scheduler)
		strcpy(a->scheduler, QSOCKET_SCHEDULER_DEFAULT);
	if (!*a->scheduler || !a->rate)
		return -EINVAL;
	if (!qs_policy_find(a->scheduler))
		return -EPROTONOSUPPORT;
	if (a->flags & QSOCKINIT_SYSTEM)
		error = device_init(a);
	return !error && a->flags & QSOCKINIT_TRACE ? trace_check(a) : error;
}

static const struct host *host_of(const struct qsockinit_args *a)
{
	if (a->flags & QSOCKINIT_VIRTUAL)
		return &virtual_host;
	if (a->host == QSOCKET_BELOW)
		return &below_host;
	return a->host == QSOCKET_ISOLATED ? &isolated_host : &engine_host;
}

int32_t link_init(struct qsockinit_args *a)
{
	int32_t result = check_qsockinit(a);
	struct link *link;

	/* what is out may be what an earlier call wrote */
	memset(a->obstacle, 0, sizeof(a->obstacle));
	memset(a->why, 0, sizeof(a->why));
	if (!(a->flags & QSOCKINIT_SYSTEM))
		a->host = 0;
	if (!result && a->flags & QSOCKINIT_OFF)
		return device_off(a);
	if (!result)
		result = prepare(a);
	if (result)
		return result;

	table_lock();
	link = *a->device ? link_of_device(a->device) : NULL;
	if (link) {
		result = share(link, a);
		goto unlock_table;
	}
	result = -ENOMEM;
	link = link_new();
	if (!link)
		goto unlock_table;
	pthread_mutex_lock(&link->lock);
	link->host = host_of(a);
	result = link->host->open(link, a);
	if (result < 0)
		goto unlock_link;
	result = handle_open(link, QS_NONE);
	if (result < 0)
		link->host->shut(link);
	link->handle = result < 0 ? 0 : (uint32_t)result;
unlock_link:
	pthread_mutex_unlock(&link->lock);
	if (result < 0)
		link_free(link);
	else
		link_name(link, a->device);
unlock_table:
	table_unlock();
	return result;
}
