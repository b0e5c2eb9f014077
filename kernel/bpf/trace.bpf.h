/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The recorder: what the scheduler is told and what it answers, in the order in
 * which that happens (qsocket.h says what a record holds). It stops when there
 * is no room, and counts on. Where nothing is to be recorded it costs a branch.
 *
 * Records are written once, into memory of zeros, and under the qdisc's lock; a
 * reader takes those whose turn is over (device/trace.c).
 */
#ifndef QS_TRACE_BPF_H
#define QS_TRACE_BPF_H

#include "host.bpf.h"

/* The next record; NULL where there is none. */
static struct qsocket_record QS_MEM *next_record(struct qs_trace QS_MEM *t, u32 kind, u32 stream)
{
	struct qsocket_record QS_MEM *r;

	if (t->len >= t->max) {
		t->missed++;
		return NULL;
	}
	r = (struct qsocket_record QS_MEM *)t->address + t->len;
	r->turn = (u32)BELOW->turn;
	r->kind = (u8)kind;
	r->stream = stream;
	t->len++;
	return r;
}

static struct qsocket_record QS_MEM *record(u32 kind, u32 stream)
{
	struct qs_trace QS_MEM *t = &BELOW->trace;
	struct qsocket_record QS_MEM *r;

	if (!t->max)
		return NULL;
	if (t->rate != BELOW->link.rate) {
		t->rate = BELOW->link.rate;
		r = next_record(t, QSOCKET_RECORD_RATE, QS_NONE);
		if (r)
			r->value = t->rate;
	}
	return next_record(t, kind, stream);
}

static void record_attr(u32 kind, u32 stream, const struct qsocket_attr *attr)
{
	struct qsocket_record QS_MEM *r = record(kind, stream);

	if (!r)
		return;
	/* field by field: clang 19 does not copy structs from one memory to the other */
	r->attr.ipg_ns = attr->ipg_ns;
	r->attr.oln = attr->oln;
	r->attr.old = attr->old;
	r->attr.flags = attr->flags;
	r->attr.queue_messages = attr->queue_messages;
	r->attr.queue_bytes = attr->queue_bytes;
	r->attr.unit_bytes = attr->unit_bytes;
	r->attr.weight = attr->weight;
	r->attr.class_id = attr->class_id;
}

/* What became of a message or of a stream's queue. */
static void record_loss(u32 kind, u32 stream, u32 message, u32 reason)
{
	struct qsocket_record QS_MEM *r = record(kind, stream);

	if (!r)
		return;
	r->message = message;
	r->reason = (u8)reason;
}

static __always_inline int enqueue_recorded(u32 stream, u64 now_ns, const struct qs_arrival *a,
					    struct qs_queued *queued)
{
	int error = below_enqueue(stream, now_ns, a, queued);
	struct qsocket_record QS_MEM *r = record(QSOCKET_RECORD_ARRIVE, stream);

	if (!r)
		return error;
	r->at_ns = now_ns;
	r->time_ns = a->deadline_ns;
	r->value = BELOW->link.messages_max; /* the host may have lowered it for this one */
	r->bytes = a->bytes;
	r->flags = a->flags;
	r->result = error;
	r->message = queued->message;
	r->reason = (u8)queued->reason;
	return error;
}

static int dequeue_recorded(u64 now_ns, struct qs_packet *p)
{
	struct qs_link QS_MEM *link = &BELOW->link;
	int served = qs_dequeue(link, now_ns, 0, p);
	struct qsocket_record QS_MEM *r =
		record(QSOCKET_RECORD_DECIDE, served ? p->stream : QS_NONE);

	if (!r)
		return served;
	r->at_ns = now_ns;
	r->value = link->lag_ns;
	r->message = QS_NONE;
	if (!served) {
		r->time_ns = qs_next_ns(link);
		return 0;
	}
	r->message = p->message;
	r->time_ns = p->done_ns;
	r->bytes = p->bytes;
	r->outcome = p->outcome;
	return 1;
}

#endif
