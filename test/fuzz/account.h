/* SPDX-License-Identifier: MIT
 *
 * A call, and what it must have left: every message that was accepted is in
 * exactly one counter, on a virtual link every one of them ends in one event,
 * in order, and a handle that was closed is closed.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "handles.h"

#define CHECKED_CALLS_MAX 400 /* of an input; of those behind one in 64 */

static uint32_t calls_len;

static inline uint64_t sum_of(const uint64_t *counts, int len)
{
	uint64_t sum = 0;

	while (len-- > 0)
		sum += counts[len];
	return sum;
}

static inline void check_stream(const struct object *o, const struct qsocket_info *info)
{
	int idle = o->is_virtual && o->ended == o->offered;

	MUST(info->sent + info->late >= o->sent + o->late, "%u: %llu sent, events of %llu",
	     o->handle, (unsigned long long)(info->sent + info->late),
	     (unsigned long long)(o->sent + o->late));
	for (int i = 0; i < QSOCKET_REASONS && o->is_virtual; i++)
		MUST(info->dropped[i] >= o->dropped[i] &&
			     (!idle || info->dropped[i] == o->dropped[i]),
		     "%u: dropped[%d] is %llu, events of %llu", o->handle, i,
		     (unsigned long long)info->dropped[i], (unsigned long long)o->dropped[i]);
	MUST(!idle || (!info->queued && !info->queued_bytes && info->sent == o->sent &&
		       info->late == o->late),
	     "%u: all has ended, and %llu messages are queued, %llu sent", o->handle,
	     (unsigned long long)info->queued, (unsigned long long)info->sent);
	MUST(!info->attr.old || (info->window_left && info->window_lost <= info->window_left),
	     "%u: window %u/%u", o->handle, info->window_lost, info->window_left);
	MUST(!(info->state & QSOCKET_STATE_CLOSING) == !o->closing, "%u: closing", o->handle);
	if (o->is_virtual && o->lossy && o->undisturbed && link_of(o)->undisturbed)
		MUST(!info->late && !info->frames_partial, "%u: %llu late, %llu partial frames",
		     o->handle, (unsigned long long)info->late,
		     (unsigned long long)info->frames_partial);
	if (!idle || info->state & QSOCKET_STATE_FRAME_OPEN)
		return;
	for (int level = 0; level < 4; level++)
		MUST(info->frames_sent[level] +
				     sum_of(info->frames_dropped[level], QSOCKET_REASONS) ==
			     info->frames_offered[level],
		     "%u: level %d, of %llu frames %llu were sent", o->handle, level,
		     (unsigned long long)info->frames_offered[level],
		     (unsigned long long)info->frames_sent[level]);
}

static inline void check_info(const struct object *o, const struct qsocket_info *info)
{
	uint64_t dropped = sum_of(info->dropped, QSOCKET_REASONS);

	MUST(info->offered == info->sent + info->late + dropped + info->queued,
	     "%u: offered %llu, sent %llu, late %llu, dropped %llu, queued %llu", o->handle,
	     (unsigned long long)info->offered, (unsigned long long)info->sent,
	     (unsigned long long)info->late, (unsigned long long)dropped,
	     (unsigned long long)info->queued);
	MUST(info->offered == o->offered, "%u: offered is %llu, must be %llu", o->handle,
	     (unsigned long long)info->offered, (unsigned long long)o->offered);
	MUST(dropped == sum_of(info->dropped_by_priority, 8), "%u: %llu dropped, by priority not",
	     o->handle, (unsigned long long)dropped);
	MUST(info->offered_bytes >= info->sent_bytes + info->dropped_bytes, "%u: bytes", o->handle);
	MUST(!info->queued ? info->queued_bytes == 0 &&
				     info->offered_bytes == info->sent_bytes + info->dropped_bytes
			   : 1,
	     "%u: nothing is queued, and %llu bytes are", o->handle,
	     (unsigned long long)info->queued_bytes);
	MUST(info->kind == o->kind &&
		     info->host == (o->is_virtual ? QSOCKET_VIRTUAL : QSOCKET_ABOVE),
	     "%u: kind %u, host %u", o->handle, info->kind, info->host);
	for (int level = 0; level < 4; level++) {
		uint64_t lost = sum_of(info->frames_dropped[level], QSOCKET_REASONS);

		MUST(info->frames_sent[level] + lost <= info->frames_offered[level] &&
			     info->frames_late[level] <= info->frames_sent[level],
		     "%u: level %d, %llu frames, %llu sent, %llu late, %llu dropped", o->handle,
		     level, (unsigned long long)info->frames_offered[level],
		     (unsigned long long)info->frames_sent[level],
		     (unsigned long long)info->frames_late[level], (unsigned long long)lost);
	}
	if (o->kind == QSOCKET_STREAM)
		check_stream(o, info);
	else
		MUST(info->streams == o->streams, "%u: %u streams of %u", o->handle, info->streams,
		     o->streams);
}

static inline void check_object(const struct object *o)
{
	struct qinfo_args args = {.handle = o->handle};
	int32_t result = qsocketcall(QINFO, &args, sizeof(args));

	MUST(result == (o->open ? 0 : -EBADF), "QINFO of %u: %d", o->handle, result);
	if (o->open)
		check_info(o, &args.info);
}

static inline struct object *add_object(uint32_t handle, uint8_t kind)
{
	struct object *o = &objects[objects_len++];

	MUST(objects_len < OBJECTS_MAX, "too many handles");
	MUST(handle, "no handle");
	for (uint32_t at = buckets[handle % BUCKETS]; at; at = objects[at - 1].next)
		MUST(objects[at - 1].handle != handle, "handle %u is given out twice", handle);
	*o = (struct object){.handle = handle, .kind = kind, .open = 1, .undisturbed = 1};
	o->next = buckets[handle % BUCKETS];
	buckets[handle % BUCKETS] = objects_len;
	return o;
}

static inline void opened_link(const struct qsockinit_args *a, uint32_t handle)
{
	struct object *o = *a->device ? object_of(handle) : NULL;

	if (!o) {
		o = add_object(handle, QSOCKET_LINK);
		o->link = (uint32_t)(o - objects);
		o->is_virtual = a->flags & QSOCKINIT_VIRTUAL;
		o->lossy = !scheduler_of(a->scheduler)->late;
	}
	o->references++;
}

static inline void opened_stream(uint32_t link_handle, const struct qsocket_attr *attr,
				 uint32_t handle)
{
	struct object *link = object_of(link_handle), *o = add_object(handle, QSOCKET_STREAM);

	o->link = link->link;
	o->is_virtual = link->is_virtual;
	o->lossy = link->lossy && !(attr->flags & QSOCKET_UNDROPPABLE);
	link->streams++;
}

static inline void closed(const struct qclose_args *a)
{
	struct object *o = object_of(a->handle);

	if (o->kind == QSOCKET_STREAM) {
		if (a->flags & QCLOSE_DRAIN && !o->closing) {
			o->closing = 1;
			return;
		}
		o->open = 0;
		link_of(o)->streams--;
	} else if (!--o->references) {
		for (uint32_t i = 0; i < objects_len; i++)
			if (objects[i].link == o->link)
				objects[i].open = 0;
		for (uint32_t i = 0; i < pending_len; i++)
			if (objects[pending[i].object].link == o->link)
				pending[i].over = 1;
	}
	if (!o->open)
		check_object(o);
}

/* Whether a message was taken into account, whatever became of it. */
static inline void offered(const struct qsend_args *a, int32_t result, enum verdict verdict)
{
	struct object *o = object_of(a->handle), *link;
	int by_scheduler = result == -EPROTO || result == -EMSGSIZE;

	MUST(result < 0 || (uint32_t)result == a->data_len, "%u bytes: %d", a->data_len, result);
	if (verdict == FAILS || (result < 0 && result != -ETIME && result != -ENOBUFS &&
				 !(by_scheduler && o->is_virtual)))
		return;
	link = link_of(o);
	o->offered++;
	link->offered++;
	if (!o->is_virtual)
		return;
	if (link->clock_ns < a->at_ns)
		link->clock_ns = a->at_ns;
	MUST(pending_len < PENDING_MAX, "too many messages");
	pending[pending_len++] =
		(struct pending){(uint32_t)(o - objects), a->message, a->data_len, 0};
}

static inline void ended(struct object *link, const struct qsocket_event *e)
{
	struct object *o;
	uint32_t i;

	while (pending_first < pending_len && pending[pending_first].over)
		pending_first++;
	for (i = pending_first; i < pending_len; i++)
		if (!pending[i].over && pending[i].message == e->message &&
		    pending[i].bytes == e->bytes &&
		    objects[pending[i].object].handle == e->stream &&
		    objects[pending[i].object].link == link->link)
			break;
	TRACE("\tat %llu message %u of %u: outcome %u, reason %u\n", (unsigned long long)e->at_ns,
	      e->message, e->stream, e->outcome, e->reason);
	MUST(i < pending_len, "message %u of stream %u ends, and is not queued", e->message,
	     e->stream);
	pending[i].over = 1;
	o = &objects[pending[i].object];
	o->ended++;
	MUST(!e->zero &&
		     (e->outcome == QSOCKET_DROPPED ? e->reason > 0 && e->reason < QSOCKET_REASONS
						    : !e->reason && (e->outcome == QSOCKET_SENT ||
								     e->outcome == QSOCKET_LATE)),
	     "outcome %u, reason %u", e->outcome, e->reason);
	if (e->outcome == QSOCKET_DROPPED) {
		o->dropped[e->reason]++;
		return;
	}
	*(e->outcome == QSOCKET_LATE ? &o->late : &o->sent) += 1;
	MUST(i + 1 > o->serial_out, "message %u of %u overtook another", e->message, e->stream);
	o->serial_out = i + 1;
}

static inline void ran(const struct qrun_args *asked, const struct qrun_args *a, int32_t result)
{
	struct object *link = object_of(a->link);
	uint64_t at_ns = 0;

	MUST((uint32_t)result <= a->events_max && a->events_len == (uint32_t)result &&
		     a->now_ns <= a->until_ns && !a->zero,
	     "%d events of %u", result, a->events_max);
	MUST((uint32_t)result == a->events_max || a->now_ns == a->until_ns, "stopped early");
	MUST(!memcmp(asked, a, offsetof(struct qrun_args, now_ns)), "arguments changed");
	for (int32_t i = 0; i < result; i++) {
		MUST(a->events[i].at_ns >= at_ns && a->events[i].at_ns <= a->until_ns,
		     "event %d is out of order", i);
		at_ns = a->events[i].at_ns;
		ended(link, &a->events[i]);
	}
	MUST(!memcmp(&a->events[result], &asked->events[result],
		     (a->events_max - (uint32_t)result) * sizeof(a->events[0])),
	     "more was written than %d events", result);
	if (link->clock_ns < a->now_ns)
		link->clock_ns = a->now_ns;
}

/* Open streams of the link, each once, in the order in which they are asked for. */
static inline void listed(const struct qlist_args *asked, const struct qlist_args *a,
			  int32_t result)
{
	const struct object *link = object_of(a->link);
	const uint8_t *streams = (const uint8_t *)a->streams;
	struct qlist_stream stream;

	MUST((uint32_t)result <= a->streams_max && a->streams_len == (uint32_t)result &&
		     a->scope == QLIST_OWN && a->after >= asked->after,
	     "%d streams of %u", result, a->streams_max);
	MUST((uint32_t)result <= link->streams, "%d streams of %u open", result, link->streams);
	MUST(asked->after || (uint32_t)result == a->streams_max ||
		     (uint32_t)result == link->streams,
	     "%d streams told of, of %u open", result, link->streams);
	if (a->stream_bytes < sizeof(stream))
		return;
	for (int32_t i = 0; i < result; i++) {
		const struct object *o;

		memcpy(&stream, streams + (size_t)i * a->stream_bytes, sizeof(stream));
		o = object_of(stream.handle);
		MUST(o && o->kind == QSOCKET_STREAM && link_of(o) == link, "stream %u is not open",
		     stream.handle);
		check_info(o, &stream.info);
	}
}

static inline void changed(const struct qchange_args *a)
{
	struct object *o = object_of(a->handle);

	o->undisturbed = 0;
	if (o->kind == QSOCKET_STREAM)
		link_of(o)->undisturbed = 0;
}

/* Everything that a call has told. */
static inline void observe(uint32_t call, const void *asked, const void *args, int32_t result,
			   enum verdict verdict)
{
	const struct object *o;

	if (call == QSEND || call == QSENDTO)
		offered(asked, result, verdict);
	if (result < 0)
		return;
	if (call == QSOCKINIT)
		opened_link(asked, (uint32_t)result);
	else if (call == QSOCKET)
		opened_stream(((const struct qsocket_args *)asked)->link,
			      &((const struct qsocket_args *)asked)->attr, (uint32_t)result);
	else if (call == QATTACH)
		opened_stream(((const struct qattach_args *)asked)->link,
			      &((const struct qattach_args *)asked)->attr, (uint32_t)result);
	else if (call == QCHANGE)
		changed(asked);
	else if (call == QCLOSE)
		closed(asked);
	else if (call == QRUN)
		ran(asked, args, result);
	else if (call == QLIST)
		listed(asked, args, result);
	else if (call == QINFO)
		check_info(object_of(((const struct qinfo_args *)asked)->handle),
			   &((const struct qinfo_args *)args)->info);
	if (calls_len > CHECKED_CALLS_MAX && calls_len % 64)
		return;
	/* every struct but QSOCKINIT's begins with a handle */
	o = call == QSOCKINIT ? object_of((uint32_t)result) : object_of(*(const uint32_t *)asked);
	if (o) {
		check_object(o);
		check_object(link_of(o));
	}
}

/* A call with its arguments in memory of just that size. */
static inline int32_t issue(uint32_t call, const void *args, uint32_t args_len)
{
	enum verdict verdict = judge(call, args, args_len);
	uint8_t *copy = args ? malloc(args_len) : NULL;
	int32_t result;

	if (args)
		memcpy(copy, args, args_len);
	calls_len++;
	result = qsocketcall(call, copy, args_len);
	TRACE("call %u, %u bytes: %d\n", call, args_len, result);
	MUST(result >= 0 || is_known(call, -result), "call %u: %d", call, result);
	MUST(verdict != FAILS || result < 0, "call %u should fail, and gave %d", call, result);
	MUST(verdict != PASSES || result >= 0 || result == -EMFILE || result == -ENOSPC,
	     "call %u should succeed, and gave %d", call, result);
	if (args)
		observe(call, args, copy, result, verdict);
	free(copy);
	return result;
}

#endif
