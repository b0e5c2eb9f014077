// SPDX-License-Identifier: GPL-2.0-only
/*
 * What callers hand in: padding, names, ranges and flags, as ../engine/check.c
 * asks for them. A scheduler may ask for more.
 */
#include <linux/string.h>

#include "manager.h"

/* NUL-terminated, and nothing behind the NUL. */
static bool name_ok(const char name[QSOCKET_NAME_BYTES])
{
	size_t len = strnlen(name, QSOCKET_NAME_BYTES);

	return len < QSOCKET_NAME_BYTES && !memchr_inv(name + len, 0, QSOCKET_NAME_BYTES - len);
}

int qsocket_check_init(const struct qsockinit_args *args)
{
	u32 system = args->flags & (QSOCKINIT_SYSTEM | QSOCKINIT_OFF);

	if (args->flags & ~(QSOCKINIT_SYSTEM | QSOCKINIT_REPLACE | QSOCKINIT_OFF | QSOCKINIT_TRACE))
		return args->flags & QSOCKINIT_VIRTUAL ? -EOPNOTSUPP : -EINVAL;
	if (system == (QSOCKINIT_SYSTEM | QSOCKINIT_OFF) ||
	    (args->flags & (QSOCKINIT_REPLACE | QSOCKINIT_TRACE) && system != QSOCKINIT_SYSTEM))
		return -EINVAL;
	if (!name_ok(args->device) || !*args->device || !name_ok(args->scheduler) || args->zero)
		return -EINVAL;
	if (args->rate > QSOCKET_RATE_MAX || (system == QSOCKINIT_SYSTEM && !args->rate))
		return -EINVAL;
	if (args->host && args->host != QSOCKET_BELOW)
		return -EOPNOTSUPP;
	if (args->mode > QSOCKET_MODE_MAX ||
	    (system != QSOCKINIT_SYSTEM && (args->gid || args->mode)))
		return -EINVAL;
	if (args->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	    args->streams > QSOCKET_STREAMS_MAX)
		return -ERANGE;
	/* of classes there is no scheduler here */
	return args->classes_len || memchr_inv(args->classes, 0, sizeof(args->classes)) ? -EINVAL
											: 0;
}

int qsocket_check_attr(const struct qsocket_attr *attr)
{
	if (attr->flags & ~(QSOCKET_UNDROPPABLE | QSOCKET_ADMIT) || attr->zero || attr->class_id)
		return -EINVAL;
	if (attr->ipg_ns > QSOCKET_IPG_NS_MAX || attr->old > QSOCKET_WINDOW_MAX ||
	    attr->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	    attr->unit_bytes > QSOCKET_UNIT_BYTES_MAX || attr->weight > QSOCKET_WEIGHT_MAX)
		return -ERANGE;
	return attr->oln > attr->old ? -EINVAL : 0;
}

int qsocket_check_message(const struct qsend_args *args)
{
	u32 segment = args->flags >> QSOCKET_SEGMENT_SHIFT;

	if (args->flags & QSOCKET_FLAGS_RESERVED || args->zero || args->at_ns || args->message)
		return -EINVAL;
	if (args->flags & (QSOCKET_START | QSOCKET_END) && !(args->flags & QSOCKET_FRAME))
		return -EINVAL;
	if (args->deadline_us && !(args->flags & QSOCKET_DEADLINE))
		return -EINVAL;
	if (args->data_len > QSOCKET_MESSAGE_BYTES_MAX || segment > QSOCKET_MESSAGE_BYTES_MAX)
		return -EMSGSIZE;
	return segment && args->data_len > segment * QSOCKET_SEGMENTS_MAX ? -EMSGSIZE : 0;
}
