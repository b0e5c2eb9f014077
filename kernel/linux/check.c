// SPDX-License-Identifier: GPL-2.0-only
/*
 * What callers hand in: padding, names, ranges and flags, beyond what every host
 * asks (../sched/check.h). A scheduler may ask for more.
 */
#include <linux/string.h>

#include "../sched/check.h"
#include "manager.h"

int qsocket_check_init(const struct qsockinit_args *args)
{
	u32 system = args->flags & (QSOCKINIT_SYSTEM | QSOCKINIT_OFF);

	if (args->flags & ~(QSOCKINIT_SYSTEM | QSOCKINIT_REPLACE | QSOCKINIT_OFF | QSOCKINIT_TRACE))
		return args->flags & QSOCKINIT_VIRTUAL ? -EOPNOTSUPP : -EINVAL;
	if (system == (QSOCKINIT_SYSTEM | QSOCKINIT_OFF) ||
	    (args->flags & (QSOCKINIT_REPLACE | QSOCKINIT_TRACE) && system != QSOCKINIT_SYSTEM))
		return -EINVAL;
	if (!qs_name_ok(args->device) || !*args->device || !qs_name_ok(args->scheduler) ||
	    args->zero)
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
	return attr->class_id ? -EINVAL : qs_attr_check(attr);
}

int qsocket_check_message(const struct qsend_args *args)
{
	return args->at_ns || args->message ? -EINVAL : qs_message_check(args);
}
