/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The recorder of a link: what its scheduler is told and what it answers, in the
 * order in which that happens (../qsocket.h says what a record holds), as every
 * host that records writes it, and as a replay does (../engine/replay.c). It
 * stops where there is no room, and counts on. Where nothing is to be recorded it
 * costs a look at `max`, or at a pointer.
 *
 * Records are written once, in order, into memory of zeros, and under the lock
 * that the scheduler is called with; a reader takes those whose turn is over.
 */
#ifndef QS_TRACE_H
#define QS_TRACE_H

#include "sched.h"

struct qs_trace {
	struct qsocket_record QS_MEM *records;
	uint32_t max, len; /* max 0: nothing is recorded */
	uint32_t turn;	   /* of all that is done under one lock */
	uint32_t zero;
	uint64_t missed;	   /* for want of room */
	uint64_t first_rate, rate; /* at its start, and as recorded last */
};

/* How many there is room for, where so many messages may be queued; best effort's
 * flows are there from the start. */
static inline uint32_t qs_trace_max(uint32_t messages_max, uint32_t flows)
{
	uint64_t most = (uint64_t)QSOCKET_TRACE_PER_MESSAGE * messages_max;

	return most < QSOCKET_TRACE_RECORDS - flows ? (uint32_t)most + flows
						    : QSOCKET_TRACE_RECORDS;
}

/* The next record, of zeros but for these; NULL where there is none. */
static inline struct qsocket_record QS_MEM *qs_record_next(struct qs_trace QS_MEM *t, uint32_t kind,
							   uint32_t stream)
{
	struct qsocket_record QS_MEM *r;

	if (t->len >= t->max) {
		t->missed++;
		return NULL;
	}
	r = &t->records[t->len++];
	r->turn = t->turn;
	r->kind = (uint8_t)kind;
	r->stream = stream;
	return r;
}

static inline void qs_record_rate(struct qs_trace QS_MEM *t, uint64_t rate)
{
	struct qsocket_record QS_MEM *r = qs_record_next(t, QSOCKET_RECORD_RATE, QS_NONE);

	t->rate = rate;
	if (r)
		r->value = rate;
}

/* The next record, behind one of the link's rate where that has changed. */
static inline struct qsocket_record QS_MEM *qs_record(struct qs_trace QS_MEM *t,
						      const struct qs_link QS_MEM *link,
						      uint32_t kind, uint32_t stream)
{
	if (!t || !t->max)
		return NULL;
	if (t->rate != link->rate)
		qs_record_rate(t, link->rate);
	return qs_record_next(t, kind, stream);
}

static inline void qs_record_attr(struct qs_trace QS_MEM *t, const struct qs_link QS_MEM *link,
				  uint32_t kind, uint32_t stream, const struct qsocket_attr *attr)
{
	struct qsocket_record QS_MEM *r = qs_record(t, link, kind, stream);

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

/* What became of a message, or of a stream's queue; always inlined, as all that has
 * more arguments than a function in BPF may have. */
static inline __attribute__((always_inline)) void qs_record_loss(struct qs_trace QS_MEM *t,
								 const struct qs_link QS_MEM *link,
								 uint32_t kind, uint32_t stream,
								 uint32_t message, uint32_t reason)
{
	struct qsocket_record QS_MEM *r = qs_record(t, link, kind, stream);

	if (!r)
		return;
	r->message = message;
	r->reason = (uint8_t)reason;
}

static inline uint64_t qs_trace_room(const struct qs_link QS_MEM *link)
{
	return (uint64_t)link->rest_max << 32 | link->messages_max;
}

/* What qs_enqueue() was told, and has said. */
static inline __attribute__((always_inline)) void
qs_record_arrival(struct qs_trace QS_MEM *t, const struct qs_link QS_MEM *link, uint32_t stream,
		  uint64_t now_ns, const struct qs_arrival *a, const struct qs_queued *queued,
		  int32_t result)
{
	struct qsocket_record QS_MEM *r = qs_record(t, link, QSOCKET_RECORD_ARRIVE, stream);

	if (!r)
		return;
	r->at_ns = now_ns;
	r->time_ns = a->deadline_ns;
	r->value = qs_trace_room(link); /* the host may have changed it for this one */
	r->bytes = a->bytes;
	r->flags = a->flags;
	r->result = result;
	r->message = queued->message;
	r->reason = (uint8_t)queued->reason;
}

/* The same of qs_dequeue(); where it found nothing, when to ask again. */
static inline __attribute__((always_inline)) void qs_record_decision(struct qs_trace QS_MEM *t,
								     struct qs_link QS_MEM *link,
								     uint64_t now_ns, int served,
								     const struct qs_packet *p)
{
	struct qsocket_record QS_MEM *r =
		qs_record(t, link, QSOCKET_RECORD_DECIDE, served ? p->stream : QS_NONE);

	if (!r)
		return;
	r->at_ns = now_ns;
	r->value = link->lag_ns;
	r->message = QS_NONE;
	if (!served) {
		r->time_ns = qs_next_ns(link);
		return;
	}
	r->message = p->message;
	r->time_ns = p->done_ns;
	r->bytes = p->bytes;
	r->outcome = p->outcome;
}

#endif
