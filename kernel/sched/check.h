/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What callers may say of a stream and of a message, whichever host they say it to.
 * Whoever lets it in from outside asks, before anything else looks at it: 0, or
 * -errno.
 */
#ifndef QS_CHECK_H
#define QS_CHECK_H

#include "sched.h"

/* NUL-terminated, and nothing behind the NUL. */
static inline int qs_name_ok(const char name[QSOCKET_NAME_BYTES])
{
	uint32_t len = 0, i;

	while (len < QSOCKET_NAME_BYTES && name[len])
		len++;
	for (i = len; i < QSOCKET_NAME_BYTES && !name[i]; i++)
		;
	return len < QSOCKET_NAME_BYTES && i == QSOCKET_NAME_BYTES;
}

/* Of a stream on whatever link: -EINVAL or -ERANGE. */
static inline int32_t qs_attr_check(const struct qsocket_attr *attr)
{
	if (attr->flags & ~(QSOCKET_UNDROPPABLE | QSOCKET_ADMIT) || attr->zero)
		return -QS_EINVAL;
	if (attr->ipg_ns > QSOCKET_IPG_NS_MAX || attr->old > QSOCKET_WINDOW_MAX ||
	    attr->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	    attr->unit_bytes > QSOCKET_UNIT_BYTES_MAX || attr->weight > QSOCKET_WEIGHT_MAX)
		return -QS_ERANGE;
	return attr->oln > attr->old ? -QS_EINVAL : 0;
}

/* Where it goes, and whether its data are there, is the host's to ask. */
static inline int32_t qs_message_check(const struct qsend_args *args)
{
	uint32_t segment = args->flags >> QSOCKET_SEGMENT_SHIFT;

	if (args->flags & QSOCKET_FLAGS_RESERVED || args->zero)
		return -QS_EINVAL;
	if (args->flags & (QSOCKET_START | QSOCKET_END) && !(args->flags & QSOCKET_FRAME))
		return -QS_EINVAL;
	if (args->deadline_us && !(args->flags & QSOCKET_DEADLINE))
		return -QS_EINVAL;
	if (args->data_len > QSOCKET_MESSAGE_BYTES_MAX || segment > QSOCKET_MESSAGE_BYTES_MAX)
		return -QS_EMSGSIZE;
	return segment && args->data_len > segment * QSOCKET_SEGMENTS_MAX ? -QS_EMSGSIZE : 0;
}

#endif
