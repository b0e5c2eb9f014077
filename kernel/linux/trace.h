/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The recorder of a device (../sched/trace.h): its memory, which its readers keep,
 * and the calls of the scheduler that are recorded.
 */
#ifndef QS_LINUX_TRACE_H
#define QS_LINUX_TRACE_H

#include "../sched/trace.h"
#include "manager.h"

/* trace.c: with room for what may be queued; NULL without memory. The link is
 * set up, and without streams. */
struct qs_trace *qsocket_trace_make(const struct qs_link *link, const char *scheduler);
void qsocket_trace_put(struct qs_trace *trace); /* NULL is fine */

static inline void qs_turn(struct qs_trace *t)
{
	if (t)
		t->turn++;
}

static inline int qs_enqueue_recorded(struct qs_trace *t, struct qs_link *link, u32 stream,
				      u64 now_ns, const struct qs_arrival *a,
				      struct qs_queued *queued)
{
	int error = qs_enqueue(link, stream, now_ns, a, queued);

	qs_record_arrival(t, link, stream, now_ns, a, queued, error);
	return error;
}

static inline int qs_dequeue_recorded(struct qs_trace *t, struct qs_link *link, u64 now_ns,
				      struct qs_packet *p)
{
	int served = qs_dequeue(link, now_ns, 0, p);

	qs_record_decision(t, link, now_ns, served, p);
	return served;
}

#endif
