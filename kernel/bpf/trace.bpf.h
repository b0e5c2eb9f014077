/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The device's recorder (../sched/trace.h), for the programs: which one it is,
 * and what turn it is.
 */
#ifndef QS_TRACE_BPF_H
#define QS_TRACE_BPF_H

#include "host.bpf.h"

#define TRACE (&BELOW->trace)

/* Said twice of all that changes anything: before it, and behind it. */
static void turn(void)
{
	TRACE->turn = (u32)++BELOW->turn;
}

static void record(u32 kind, u32 stream)
{
	qs_record(TRACE, LINK, kind, stream);
}

static void record_attr(u32 kind, u32 stream, const struct qsocket_attr *attr)
{
	qs_record_attr(TRACE, LINK, kind, stream, attr);
}

static void record_loss(u32 kind, u32 stream, u32 message, u32 reason)
{
	qs_record_loss(TRACE, LINK, kind, stream, message, reason);
}

static __always_inline int enqueue_recorded(u32 stream, u64 now_ns, const struct qs_arrival *a,
					    struct qs_queued *queued)
{
	int error = below_enqueue(stream, now_ns, a, queued);

	qs_record_arrival(TRACE, LINK, stream, now_ns, a, queued, error);
	return error;
}

static int dequeue_recorded(u64 now_ns, struct qs_packet *p)
{
	int served = qs_dequeue(LINK, now_ns, 0, p);

	qs_record_decision(TRACE, LINK, now_ns, served, p);
	return served;
}

#endif
