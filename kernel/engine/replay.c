/* SPDX-License-Identifier: MIT
 *
 * Replays what was recorded of a link: this library's scheduler is told the
 * same at the same times, and writes down in its turn what it makes of that.
 *
 * The records of one turn are what a host did in one go. Losses are what came
 * of it: they are not read but written, at the turn's end, as a host reaps
 * them there; the message that left is given back behind them. So even the
 * numbers of messages are the same, if the decisions are.
 *
 * A record may be of anybody's making: it is distrusted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../host.h"
#include "../sched/room.h"
#include "../sched/trace.h"

#define AT_NS_MAX (1ull << 62) /* sums of two times stay in 64 bits */
#define LAG_NS_MAX 1000000000ull

struct replay {
	struct qs_link link;
	void *memory;
	size_t memory_bytes;
	uint8_t *open; /* by stream */
	struct qs_arrival last;
	uint32_t last_stream; /* of it */
	uint32_t leaving;     /* the message that left in this turn, or QS_NONE */
	uint64_t now_ns;
	struct qs_trace trace; /* what is written */
};

static void end_turn(struct replay *r)
{
	uint32_t i;

	while ((i = qs_reap(&r->link)) != QS_NONE) {
		const struct qs_message *m = &r->link.messages[i];

		qs_record_loss(&r->trace, &r->link, QSOCKET_RECORD_LOST, m->stream, i, m->reason);
		qs_free(&r->link, i);
	}
	if (r->leaving != QS_NONE)
		qs_free(&r->link, r->leaving);
	r->leaving = QS_NONE;
}

/* Time that goes on. */
static int32_t advance(struct replay *r, uint64_t at_ns)
{
	if (at_ns < r->now_ns || at_ns > AT_NS_MAX)
		return -EINVAL;
	r->now_ns = at_ns;
	return 0;
}

/* Classes are no part of a record. */
static int attr_ok(const struct qsocket_attr *attr)
{
	return !qs_attr_check(attr) && !attr->class_id;
}

static int32_t add(struct replay *r, const struct qsocket_record *in)
{
	int32_t stream = attr_ok(&in->attr) ? 0 : -EINVAL;

	if (!stream)
		stream = qs_add(&r->link, &in->attr);
	if (stream < 0)
		return -EINVAL;
	r->open[stream] = 1;
	qs_record_attr(&r->trace, &r->link, in->kind, (uint32_t)stream, &in->attr);
	return 0;
}

static int32_t change(struct replay *r, const struct qsocket_record *in)
{
	if (!attr_ok(&in->attr))
		return -EINVAL;
	qs_change(&r->link, in->stream, &in->attr);
	qs_record_attr(&r->trace, &r->link, in->kind, in->stream, &in->attr);
	return 0;
}

static int room_ok(const struct qs_link *link, uint32_t stream, uint64_t room)
{
	uint32_t rest_max =
		stream == QS_NEIGHBOURS ? qs_room_of_questions(link->messages_max) : link->rest_max;

	return (uint32_t)room <= link->messages_max && room >> 32 <= rest_max;
}

static void set_room(struct qs_link *link, uint64_t room)
{
	link->messages_max = (uint32_t)room;
	link->rest_max = (uint32_t)(room >> 32);
}

static int32_t arrive(struct replay *r, const struct qsocket_record *in)
{
	uint64_t room = qs_trace_room(&r->link);
	struct qs_queued queued;
	int32_t error;

	if (in->bytes > QSOCKET_PACKET_BYTES_MAX || !room_ok(&r->link, in->stream, in->value) ||
	    advance(r, in->at_ns) || (in->time_ns > AT_NS_MAX && in->time_ns != QS_FOREVER))
		return -EINVAL;
	r->last_stream = in->stream;
	r->last = (struct qs_arrival){
		.deadline_ns = in->time_ns,
		.bytes = in->bytes,
		.flags = in->flags,
	};
	if (in->value)
		set_room(&r->link, in->value);
	error = qs_enqueue(&r->link, in->stream, in->at_ns, &r->last, &queued);
	set_room(&r->link, in->value); /* as it was said: 0 is all of it */
	qs_record_arrival(&r->trace, &r->link, in->stream, in->at_ns, &r->last, &queued, error);
	set_room(&r->link, room);
	return 0;
}

static int32_t refuse(struct replay *r, const struct qsocket_record *in)
{
	if (in->stream != r->last_stream || !in->reason || in->reason >= QSOCKET_REASONS)
		return -EINVAL;
	qs_refuse(&r->link, in->stream, &r->last, in->reason);
	qs_record_loss(&r->trace, &r->link, in->kind, in->stream, QS_NONE, in->reason);
	return 0;
}

static int32_t flush(struct replay *r, const struct qsocket_record *in)
{
	if (!in->reason || in->reason >= QSOCKET_REASONS)
		return -EINVAL;
	qs_flush(&r->link, in->stream, in->reason);
	qs_record_loss(&r->trace, &r->link, in->kind, in->stream, QS_NONE, in->reason);
	return 0;
}

static int32_t decide(struct replay *r, const struct qsocket_record *in)
{
	struct qs_packet packet;
	int served;

	if (in->value > LAG_NS_MAX || r->leaving != QS_NONE || advance(r, in->at_ns))
		return -EINVAL;
	r->link.lag_ns = in->value;
	served = qs_dequeue(&r->link, in->at_ns, 0, &packet);
	qs_record_decision(&r->trace, &r->link, in->at_ns, served, &packet);
	if (!served)
		return 0;
	qs_sent(&r->link, &packet);
	r->leaving = packet.message;
	return 0;
}

static int32_t set_rate(struct replay *r, const struct qsocket_record *in)
{
	if (!in->value || in->value > QSOCKET_RATE_MAX)
		return -EINVAL;
	qs_rate(&r->link, in->value);
	qs_record_rate(&r->trace, in->value);
	return 0;
}

static int32_t step(struct replay *r, const struct qsocket_record *in)
{
	if (in->kind == QSOCKET_RECORD_LOST)
		return 0;
	if (in->kind == QSOCKET_RECORD_ADD)
		return add(r, in);
	if (in->kind == QSOCKET_RECORD_RATE)
		return set_rate(r, in);
	if (in->kind == QSOCKET_RECORD_DECIDE)
		return decide(r, in);
	if (in->stream >= r->link.streams_used || !r->open[in->stream])
		return -EINVAL;
	switch (in->kind) {
	case QSOCKET_RECORD_CHANGE:
		return change(r, in);
	case QSOCKET_RECORD_REMOVE:
		qs_remove(&r->link, in->stream);
		r->open[in->stream] = 0;
		break;
	case QSOCKET_RECORD_ARRIVE:
		return arrive(r, in);
	case QSOCKET_RECORD_ABANDON:
		qs_abandon(&r->link, in->stream);
		break;
	case QSOCKET_RECORD_REFUSE:
		return refuse(r, in);
	case QSOCKET_RECORD_FLUSH:
		return flush(r, in);
	default:
		return -EINVAL;
	}
	qs_record(&r->trace, &r->link, in->kind, in->stream);
	return 0;
}

static int32_t open_replay(struct replay *r, const struct qsocket_trace *trace)
{
	const struct qs_policy *policy =
		qs_name_ok(trace->scheduler) ? qs_policy_find(trace->scheduler) : NULL;

	if (!policy)
		return -EPROTONOSUPPORT;
	if (!trace->rate || trace->rate > QSOCKET_RATE_MAX || trace->guard_ns > LAG_NS_MAX ||
	    !trace->streams_max || trace->streams_max > QSOCKET_STREAMS_MAX ||
	    !trace->messages_max || trace->messages_max > QSOCKET_QUEUE_MESSAGES_MAX)
		return -EINVAL;
	r->memory_bytes = qs_link_bytes(policy, trace->streams_max, trace->messages_max);
	r->memory = memory_map(r->memory_bytes);
	r->open = calloc(trace->streams_max, 1);
	if (!r->memory || !r->open)
		return -ENOMEM;
	qs_init(&r->link, policy, trace->rate, r->memory, trace->streams_max, trace->messages_max);
	r->link.guard_ns = trace->guard_ns;
	r->trace.rate = trace->rate;
	return 0;
}

int32_t qsocket_trace_replay(const struct qsocket_trace *trace,
			     const struct qsocket_record *records, struct qsocket_record *out,
			     uint32_t records_max)
{
	struct replay *r = calloc(1, sizeof(*r));
	int32_t error;

	if (!r)
		return -ENOMEM;
	*r = (struct replay){
		.trace = {.records = out, .max = records_max},
		.leaving = QS_NONE,
		.last_stream = QS_NONE,
	};
	error = trace && records && out ? open_replay(r, trace) : -EFAULT;
	if (!error)
		memset(out, 0, records_max * sizeof(*out));
	for (uint32_t i = 0; !error && i < trace->records_len; i++) {
		if (records[i].turn != r->trace.turn)
			end_turn(r);
		r->trace.turn = records[i].turn;
		error = step(r, &records[i]);
	}
	if (!error) {
		end_turn(r);
		error = (int32_t)r->trace.len;
	}
	memory_unmap(r->memory, r->memory_bytes);
	free(r->open);
	free(r);
	return error;
}
