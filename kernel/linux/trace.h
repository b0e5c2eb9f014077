/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The recorder of a device: what its scheduler is told and what it answers, in
 * the order in which that happens (../qsocket.h says what a record holds), as
 * ../bpf/trace.bpf.h writes it. It stops where there is no room, and counts on.
 * Where nothing is to be recorded, it costs a look at a pointer.
 *
 * Records are written once, and under the lock that the scheduler is called
 * with; those that were there when a reader had that lock, it may read without.
 */
#ifndef QS_LINUX_TRACE_H
#define QS_LINUX_TRACE_H

#include <linux/refcount.h>

#include "manager.h"

struct qs_trace {
	refcount_t users;
	u32 turn; /* counts what is done under one lock */
	u32 max;
	u64 rate;		    /* that was recorded last */
	struct qsocket_trace about; /* records_len and missed as they are now */
	struct qsocket_record records[];
};

/* trace.c: with room for what may be queued; NULL without memory. The link is
 * set up, and without streams. */
struct qs_trace *qsocket_trace_make(const struct qs_link *link, const char *scheduler);
void qsocket_trace_put(struct qs_trace *trace); /* NULL is fine */

static inline void qs_turn(struct qs_trace *t)
{
	if (t)
		t->turn++;
}

/* The next record, of zeros but for these; NULL where there is none. */
static inline struct qsocket_record *qs_record_next(struct qs_trace *t, u8 kind, u32 stream)
{
	struct qsocket_record *r;

	if (t->about.records_len >= t->max) {
		t->about.missed++;
		return NULL;
	}
	r = &t->records[t->about.records_len++];
	r->turn = t->turn;
	r->kind = kind;
	r->stream = stream;
	return r;
}

static inline struct qsocket_record *qs_record(struct qs_trace *t, const struct qs_link *link,
					       u8 kind, u32 stream)
{
	struct qsocket_record *r;

	if (!t)
		return NULL;
	if (t->rate != link->rate) {
		t->rate = link->rate;
		r = qs_record_next(t, QSOCKET_RECORD_RATE, QS_NONE);
		if (r)
			r->value = t->rate;
	}
	return qs_record_next(t, kind, stream);
}

static inline void qs_record_attr(struct qs_trace *t, const struct qs_link *link, u8 kind,
				  u32 stream, const struct qsocket_attr *attr)
{
	struct qsocket_record *r = qs_record(t, link, kind, stream);

	if (r)
		r->attr = *attr;
}

/* What became of a message or of a stream's queue. */
static inline void qs_record_loss(struct qs_trace *t, const struct qs_link *link, u8 kind,
				  u32 stream, u32 message, u8 reason)
{
	struct qsocket_record *r = qs_record(t, link, kind, stream);

	if (!r)
		return;
	r->message = message;
	r->reason = reason;
}

static inline int qs_enqueue_recorded(struct qs_trace *t, struct qs_link *link, u32 stream,
				      u64 now_ns, const struct qs_arrival *a,
				      struct qs_queued *queued)
{
	int error = qs_enqueue(link, stream, now_ns, a, queued);
	struct qsocket_record *r = qs_record(t, link, QSOCKET_RECORD_ARRIVE, stream);

	if (!r)
		return error;
	r->at_ns = now_ns;
	r->time_ns = a->deadline_ns;
	r->value = link->messages_max; /* the host may have lowered it for this one */
	r->bytes = a->bytes;
	r->flags = a->flags;
	r->result = error;
	r->message = queued->message;
	r->reason = (u8)queued->reason;
	return error;
}

static inline int qs_dequeue_recorded(struct qs_trace *t, struct qs_link *link, u64 now_ns,
				      struct qs_packet *p)
{
	int served = qs_dequeue(link, now_ns, 0, p);
	struct qsocket_record *r =
		qs_record(t, link, QSOCKET_RECORD_DECIDE, served ? p->stream : QS_NONE);

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
