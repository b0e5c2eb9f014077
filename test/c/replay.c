/* SPDX-License-Identifier: MIT
 * What a replay makes of records: of its own the same again, of anybody's
 * making nothing worse than a refusal.
 */
#include <errno.h>
#include <stdlib.h>

#include "../../kernel/sched/room.h"
#include "check.h"

#define RECORDS 400u
#define TRACES 3000
#define STREAMS 6u

static struct qsocket_record records[RECORDS], first[2 * RECORDS], second[2 * RECORDS];
static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % limit;
}

static struct qsocket_trace about(const char *scheduler)
{
	struct qsocket_trace trace = {
		.rate = 1000000,
		.guard_ns = below(2) * 1000000,
		.streams_max = STREAMS,
		.messages_max = 1 + below(64),
		.records_len = RECORDS,
	};

	strncpy(trace.scheduler, scheduler, sizeof(trace.scheduler) - 1);
	return trace;
}

static uint64_t room(uint64_t all, uint64_t best_effort)
{
	return best_effort << 32 | all;
}

static struct qsocket_attr any_attr(void)
{
	uint32_t old = below(5);

	return (struct qsocket_attr){
		.ipg_ns = (1 + below(10)) * 1000000,
		.oln = old ? below(old) : 0,
		.old = old,
		.flags = below(8) ? 0 : QSOCKET_UNDROPPABLE,
		.queue_messages = below(20),
	};
}

/* Mostly such as a link makes; of a few anything may be wrong. */
static void make_trace(int wild)
{
	static const uint8_t kinds[] = {
		QSOCKET_RECORD_ADD,	QSOCKET_RECORD_CHANGE, QSOCKET_RECORD_REMOVE,
		QSOCKET_RECORD_RATE,	QSOCKET_RECORD_ARRIVE, QSOCKET_RECORD_ARRIVE,
		QSOCKET_RECORD_ARRIVE,	QSOCKET_RECORD_ARRIVE, QSOCKET_RECORD_ARRIVE,
		QSOCKET_RECORD_ABANDON, QSOCKET_RECORD_FLUSH,  QSOCKET_RECORD_DECIDE,
		QSOCKET_RECORD_DECIDE,	QSOCKET_RECORD_DECIDE, QSOCKET_RECORD_DECIDE,
	};
	uint64_t at_ns = 1000000000;
	/* numbers of streams as a link gives them: the last that came free, or a new one */
	uint32_t open = 0, used = 0, freed[STREAMS], freed_len = 0;

	for (uint32_t i = 0; i < RECORDS; i++) {
		struct qsocket_record *r = &records[i];
		uint32_t stream = below(STREAMS);
		uint8_t kind = kinds[below(sizeof(kinds))];

		if (kind == QSOCKET_RECORD_ADD && open == (1u << STREAMS) - 1)
			kind = QSOCKET_RECORD_DECIDE;
		if (!open || (kind != QSOCKET_RECORD_ADD && !(open & 1u << stream)))
			kind = open ? QSOCKET_RECORD_DECIDE : QSOCKET_RECORD_ADD;
		at_ns += below(1000000);
		*r = (struct qsocket_record){
			.turn = i,
			.kind = kind,
			.reason = kind == QSOCKET_RECORD_FLUSH ? QSOCKET_ERROR : 0,
			.stream = stream,
			.at_ns = at_ns,
			.time_ns = below(4) ? at_ns + below(50000000) : UINT64_MAX,
			.value = kind == QSOCKET_RECORD_RATE	 ? 1000 + below(2000000)
				 : kind == QSOCKET_RECORD_ARRIVE ? below(2)
								 : below(10000000),
			.bytes = 1 + below(below(8) ? 1500 : QSOCKET_PACKET_BYTES_MAX),
			.flags = below(1u << 10),
			.attr = any_attr(),
		};
		if (kind == QSOCKET_RECORD_ADD)
			open |= 1u << (freed_len ? freed[--freed_len] : used++);
		if (kind == QSOCKET_RECORD_REMOVE) {
			open &= ~(1u << stream);
			freed[freed_len++] = stream;
		}
		if (wild && !below(100))
			((uint8_t *)r)[below(sizeof(*r))] = (uint8_t)below(256);
	}
}

static const char *const schedulers[] = {"dwcs",	 "dwcs99", "vds", "edf",
					 "edf-lossless", "fifo",   "sfq", "cbq"};

static const char *same_again(void)
{
	for (int i = 0; i < TRACES; i++) {
		struct qsocket_trace trace = about(schedulers[below(8)]);
		int32_t len, again;

		make_trace(0);
		len = qsocket_trace_replay(&trace, records, first, 2 * RECORDS);
		HOLDS(len >= (int32_t)RECORDS);
		trace.records_len = (uint32_t)len;
		again = qsocket_trace_replay(&trace, first, second, 2 * RECORDS);
		HOLDS(again == len);
		HOLDS(!memcmp(first, second, (uint32_t)len * sizeof(first[0])));
	}
	return NULL;
}

static const char *distrusts(void)
{
	int refused = 0;

	for (int i = 0; i < TRACES; i++) {
		struct qsocket_trace trace = about(schedulers[below(8)]);
		int32_t result;

		make_trace(1);
		if (!below(10))
			((uint8_t *)&trace)[below(offsetof(struct qsocket_trace, records_len))] =
				(uint8_t)below(256);
		result = qsocket_trace_replay(&trace, records, first, RECORDS);
		HOLDS(result <= (int32_t)RECORDS);
		HOLDS(result >= 0 || result == -EINVAL || result == -EPROTONOSUPPORT ||
		      result == -ENOMEM);
		refused += result < 0;
	}
	HOLDS(refused > TRACES / 10 && refused < TRACES);
	return NULL;
}

static const char *refused_with(void (*spoil)(struct qsocket_trace *trace))
{
	struct qsocket_trace trace = about("dwcs");

	memset(records, 0, sizeof(records));
	trace.records_len = 2;
	records[0] = (struct qsocket_record){.kind = QSOCKET_RECORD_ADD};
	records[1] = (struct qsocket_record){
		.kind = QSOCKET_RECORD_ARRIVE, .bytes = 100, .at_ns = 1000, .time_ns = UINT64_MAX};
	HOLDS(qsocket_trace_replay(&trace, records, first, RECORDS) == 2);
	spoil(&trace);
	HOLDS(qsocket_trace_replay(&trace, records, first, RECORDS) == -EINVAL);
	return NULL;
}

static void no_rate(struct qsocket_trace *trace)
{
	trace->rate = 0;
}

static void unknown_kind(struct qsocket_trace *trace)
{
	(void)trace;
	records[1].kind = 99;
}

static void stream_not_open(struct qsocket_trace *trace)
{
	(void)trace;
	records[1].stream = 1;
}

static void too_many_bytes(struct qsocket_trace *trace)
{
	(void)trace;
	records[1].bytes = QSOCKET_PACKET_BYTES_MAX + 1;
}

static void more_room_than_there_is(struct qsocket_trace *trace)
{
	records[1].value = trace->messages_max + 1;
}

static void more_best_effort_than_there_is(struct qsocket_trace *trace)
{
	records[1].value = room(trace->messages_max, qs_room_of_questions(trace->messages_max) + 1);
}

/* Of 8 messages best effort may have 4, and a question for a neighbour may be the fifth. */
static const char *questions_have_more(void)
{
	struct qsocket_trace trace = about("dwcs");

	memset(records, 0, sizeof(records));
	trace.messages_max = 8;
	trace.records_len = 8;
	records[0] = (struct qsocket_record){.kind = QSOCKET_RECORD_ADD};
	for (int i = 1; i < 8; i++)
		records[i] = (struct qsocket_record){.kind = QSOCKET_RECORD_ARRIVE,
						     .bytes = 100,
						     .at_ns = 1000,
						     .time_ns = UINT64_MAX,
						     .value = i < 6 ? 0 : room(8, 5)};
	HOLDS(qsocket_trace_replay(&trace, records, first, RECORDS) == 8);
	HOLDS(!first[4].result && first[5].result == -ENOBUFS);
	HOLDS(!first[6].result && first[7].result == -ENOBUFS);
	return NULL;
}

/* So many messages of a stream in a row, due at `due_ns`. */
static uint32_t arrive(uint32_t at, uint32_t count, uint32_t stream, uint64_t due_ns, uint32_t drop,
		       uint64_t room)
{
	for (uint32_t i = 0; i < count; i++)
		records[at++] = (struct qsocket_record){.kind = QSOCKET_RECORD_ARRIVE,
							.stream = stream,
							.bytes = 100,
							.at_ns = 1000,
							.time_ns = due_ns,
							.flags = drop << QSOCKET_DROP_SHIFT,
							.value = room};
	return at;
}

/* On a link of 16 messages, what `before` queued and then one of best effort that is worth more:
 * whether it was taken, and how many it cost. */
static int crowded(const char *scheduler, uint32_t (*before)(uint32_t at), uint64_t room,
		   uint32_t *lost)
{
	struct qsocket_trace trace = about(scheduler);
	uint32_t len;
	int32_t replayed;

	memset(records, 0, sizeof(records));
	trace.messages_max = 16;
	for (len = 0; len < 3; len++)
		records[len].kind = QSOCKET_RECORD_ADD;
	len = arrive(before(len), 1, 1, UINT64_MAX, 6, room);
	trace.records_len = len;
	replayed = qsocket_trace_replay(&trace, records, first, RECORDS);
	*lost = 0;
	for (int32_t i = 0; i < replayed; i++)
		*lost += first[i].kind == QSOCKET_RECORD_LOST;
	for (int32_t i = replayed - 1; i >= 0; i--)
		if (first[i].kind == QSOCKET_RECORD_ARRIVE)
			return first[i].result;
	return -EINVAL;
}

static uint32_t half(uint32_t at)
{
	return arrive(arrive(at, 5, 1, UINT64_MAX, 0, 0), 3, 2, UINT64_MAX, 0, 0);
}

static uint32_t half_and_a_question(uint32_t at)
{
	return arrive(half(at), 1, QS_NEIGHBOURS, UINT64_MAX, 0,
		      room(16, qs_room_of_questions(16)));
}

static uint32_t others_half(uint32_t at)
{
	return arrive(arrive(at, 5, 1, 1000000000, 0, 0), 8, 2, UINT64_MAX, 0, 0);
}

/* Best effort may have 8 of the 16. */
static const char *one_place_or_none(void)
{
	uint32_t lost;

	HOLDS(!crowded("dwcs", half, 0, &lost) && lost == 1);
	HOLDS(crowded("dwcs", half_and_a_question, 0, &lost) == -ENOBUFS && lost == 0);
	HOLDS(!crowded("dwcs", half, room(8, 8), &lost) && lost == 1);
	HOLDS(crowded("edf", others_half, 0, &lost) == -ENOBUFS && lost == 0);
	return NULL;
}

static void of_a_class(struct qsocket_trace *trace)
{
	(void)trace;
	records[0].attr.class_id = 1;
}

static void time_goes_back(struct qsocket_trace *trace)
{
	trace->records_len = 3;
	records[2] = (struct qsocket_record){.kind = QSOCKET_RECORD_DECIDE, .at_ns = 999};
}

static void too_many_streams(struct qsocket_trace *trace)
{
	trace->streams_max = 1;
	records[1] = records[0];
}

int main(void)
{
	check("a replay of a replay is the same", same_again());
	check("records of anybody's making are distrusted", distrusts());
	check("a link without a rate is refused", refused_with(no_rate));
	check("a record of no kind is refused", refused_with(unknown_kind));
	check("a stream that is not open is refused", refused_with(stream_not_open));
	check("a message that is too large is refused", refused_with(too_many_bytes));
	check("more room than the link has is refused", refused_with(more_room_than_there_is));
	check("more of best effort than a question may be is refused",
	      refused_with(more_best_effort_than_there_is));
	check("questions for a neighbour have more room than best effort", questions_have_more());
	check("a newcomer of best effort costs its stream one message, or none",
	      one_place_or_none());
	check("a class is refused: a trace has none", refused_with(of_a_class));
	check("time that goes back is refused", refused_with(time_goes_back));
	check("more streams than the link has are refused", refused_with(too_many_streams));
	return check_end();
}
