/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What callers may say of a stream and of a message, whichever host they say it to.
 * Whoever lets it in from outside asks, before anything else looks at it: 0, or
 * -errno.
 */
#ifndef QS_CHECK_H
#define QS_CHECK_H

#include "sched.h"

/* Limits, of one user's streams on a device below the stack. */
#define QS_USER_PERIODS 500000u /* a second, of all of them */
#define QS_PERIODS_MAX 100000u	/* a second: the most that one counts as */

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

/* The periods a second that a stream counts as. A scheduler that slides (sched.c)
 * counts those that a message waits for, once for each or each decision, with the
 * queue locked: a thousand streams of a nanosecond each would leave a device time
 * for nothing else. */
static inline uint32_t qs_periods(const struct qsocket_attr *attr)
{
	uint64_t periods = attr->ipg_ns ? 1000000000ull / attr->ipg_ns : 0;

	return periods < QS_PERIODS_MAX ? (uint32_t)periods : QS_PERIODS_MAX;
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
