/* SPDX-License-Identifier: MIT
 * Many streams on a link, and many handles in a process.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"

#define REST_MAX 131072 /* as handle.c has it */
#define INDEX_MASK (QSOCKET_HANDLES_MAX - 1)

static uint64_t rate = QSOCKET_RATE_MAX;

static int32_t init(uint32_t streams)
{
	struct qsockinit_args args = {.scheduler = "dwcs",
				      .rate = rate,
				      .flags = QSOCKINIT_VIRTUAL,
				      .queue_messages = 64,
				      .streams = streams};

	return qsocketcall(QSOCKINIT, &args, sizeof(args));
}

static int32_t add(int32_t link)
{
	struct qsocket_args args = {.link = (uint32_t)link, .type = QSOCKET_UDP};

	return qsocketcall(QSOCKET, &args, sizeof(args));
}

/* One message of a stream, which leaves before the next comes. */
static int send_one(int32_t link, int32_t stream, uint64_t at_ns)
{
	struct {
		struct qrun_args args;
		struct qsocket_event events[2];
	} run = {.args = {.link = (uint32_t)link, .events_max = 2, .until_ns = at_ns + 1}};
	struct qsend_args args = {
		.handle = (uint32_t)stream, .data_len = 1000, .at_ns = at_ns, .message = 7};
	const struct qsocket_event *event = (void *)((char *)&run + sizeof(run.args));

	return qsocketcall(QSEND, &args, sizeof(args)) == 1000 &&
	       qsocketcall(QRUN, &run, sizeof(run)) == 1 && event->stream == (uint32_t)stream &&
	       event->outcome == QSOCKET_SENT && event->message == 7;
}

static const char *a_link_of_the_most_streams(void)
{
	int32_t link = init(QSOCKET_STREAMS_MAX);
	int32_t *streams = calloc(QSOCKET_STREAMS_MAX, sizeof(*streams));
	struct qsocket_info info;

	HOLDS(link > 0 && streams);
	for (int i = 0; i < QSOCKET_STREAMS_MAX; i++)
		HOLDS((streams[i] = add(link)) > 0);
	HOLDS(add(link) == -ENOSPC);
	for (int i = 0; i < QSOCKET_STREAMS_MAX; i++)
		HOLDS(send_one(link, streams[i], 2ull * (uint64_t)i));
	info = call_info(link);
	HOLDS(info.streams == QSOCKET_STREAMS_MAX && info.sent == info.streams);
	/* in an order that is neither that of opening nor its reverse */
	for (int i = 0; i < QSOCKET_STREAMS_MAX / 2; i++)
		HOLDS(!call_close(streams[i * 2 % QSOCKET_STREAMS_MAX], i % 3 ? 0 : QCLOSE_DRAIN));
	info = call_info(link);
	HOLDS(info.sent == QSOCKET_STREAMS_MAX);
	HOLDS(info.streams == QSOCKET_STREAMS_MAX / 2 + (QSOCKET_STREAMS_MAX / 2 + 2) / 3);
	HOLDS(call_info(streams[1]).sent == 1 && call_info(streams[2]).kind == 0);
	HOLDS(add(link) > 0);
	HOLDS(!call_close(link, 0) && call_info(streams[1]).kind == 0);
	free(streams);
	return NULL;
}

/* A draining stream ends when it has sent, or its frame can have no end. */
static const char *each_draining_stream_ends(void)
{
	enum { STREAMS = 300 };
	int32_t link = init(STREAMS), streams[STREAMS];
	struct {
		struct qrun_args args;
		struct qsocket_event events[16];
	} run = {.args = {.link = (uint32_t)link, .events_max = 16, .until_ns = 1000000}};

	for (int i = 0; i < STREAMS; i++) {
		struct qsend_args args = {.data_len = 1000};

		HOLDS((streams[i] = add(link)) > 0);
		args.handle = (uint32_t)streams[i];
		if (i < 8)
			HOLDS(qsocketcall(QSEND, &args, sizeof(args)) == 1000);
		args.flags = QSOCKET_FRAME | QSOCKET_START;
		if (i < 8)
			HOLDS(qsocketcall(QSEND, &args, sizeof(args)) == 1000);
		HOLDS(!call_close(streams[i], QCLOSE_DRAIN));
		HOLDS(call_info(streams[i]).queued == (i < 8 ? 2 : 0));
	}
	HOLDS(qsocketcall(QRUN, &run, sizeof(run)) == 16);
	for (int i = 0; i < STREAMS; i++) {
		struct qsocket_info info = call_info(streams[i]);

		HOLDS(info.state & QSOCKET_STATE_CLOSING && info.queued == 0);
		HOLDS(info.sent == (i < 8) && info.dropped[QSOCKET_CLOSED] == (i < 8));
		HOLDS(!call_close(streams[i], 0));
	}
	HOLDS(call_info(link).streams == 0 && call_info(link).sent == 8 && !call_close(link, 0));
	return NULL;
}

/* The last whole message is not sent but lost: nothing will end the rest. */
static const char *a_draining_stream_may_lose(void)
{
	struct {
		struct qrun_args args;
		struct qsocket_event events[2];
	} run = {.args = {.events_max = 2, .until_ns = 10000000}};
	struct qsend_args args = {.data_len = 1000, .flags = QSOCKET_DEADLINE, .deadline_us = 1};
	int32_t link, stream;
	struct qsocket_info info;

	rate = 1000;
	link = init(2);
	rate = QSOCKET_RATE_MAX;
	stream = add(link);
	args.handle = (uint32_t)stream;
	run.args.link = (uint32_t)link;
	HOLDS(qsocketcall(QSEND, &args, sizeof(args)) == 1000);
	args.flags = QSOCKET_FRAME | QSOCKET_START;
	args.deadline_us = 0;
	HOLDS(qsocketcall(QSEND, &args, sizeof(args)) == 1000);
	HOLDS(!call_close(stream, QCLOSE_DRAIN) && call_info(stream).queued == 2);
	HOLDS(qsocketcall(QRUN, &run, sizeof(run)) == 2);
	info = call_info(stream);
	HOLDS(info.dropped[QSOCKET_EXPIRED] == 1 && info.dropped[QSOCKET_CLOSED] == 1);
	HOLDS(balanced(&info) && !call_close(link, 0));
	return NULL;
}

/* Every handle that was closed stays closed, and its entry rests. */
static const char *entries_rest(void)
{
	enum { TIMES = 3 * REST_MAX };
	int32_t *handles = calloc(TIMES, sizeof(*handles)), link = init(2), kept = add(link);
	uint32_t *used = calloc(QSOCKET_HANDLES_MAX, sizeof(*used));
	const char *why = NULL;
	int again = 0;

	HOLDS(link > 0 && kept > 0 && handles && used);
	for (uint32_t i = 0; i < TIMES; i++) {
		uint32_t index;

		HOLDS((handles[i] = add(link)) > 0 && !call_close(handles[i], 0));
		index = (uint32_t)handles[i] & INDEX_MASK;
		HOLDS(!used[index] || i + 1 - used[index] > REST_MAX);
		HOLDS(!used[index] || handles[i] != handles[used[index] - 1]);
		again += used[index] != 0;
		used[index] = i + 1;
	}
	HOLDS(again > 0);
	for (int i = 0; i < TIMES && !why; i++)
		if (call_info(handles[i]).kind || call_close(handles[i], 0) != -EBADF)
			why = "a closed handle was taken";
	HOLDS(call_info(kept).kind == QSOCKET_STREAM && !call_close(link, 0));
	free(handles);
	free(used);
	return why;
}

/* What is in the table with a closed one's mark must not be a handle. */
static const char *marks_are_no_handles(void)
{
	int32_t link = init(1), stream = add(link);
	uint32_t next = (uint32_t)stream + QSOCKET_HANDLES_MAX;

	HOLDS(!call_close(stream, 0));
	HOLDS(call_info((int32_t)(next | 0x80000000u)).kind == 0);
	HOLDS(call_close((int32_t)(next | 0x80000000u), 0) == -EBADF);
	HOLDS(call_info((int32_t)next).kind == 0 && call_info(0).kind == 0);
	for (uint32_t handle = 1; handle; handle <<= 1)
		HOLDS(handle == (uint32_t)link || call_info((int32_t)handle).kind == 0);
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *a_full_table_refuses(void)
{
	enum { LINKS = QSOCKET_HANDLES_MAX / QSOCKET_STREAMS_MAX };
	int32_t links[LINKS], last = 0;
	uint32_t open = LINKS;

	for (int i = 0; i < LINKS; i++)
		HOLDS((links[i] = init(QSOCKET_STREAMS_MAX)) > 0);
	for (int i = 0; i < LINKS; i++) {
		int32_t stream;

		while ((stream = add(links[i])) > 0) {
			last = stream;
			open++;
		}
		HOLDS(stream == (i + 1 < LINKS ? -ENOSPC : -EMFILE));
	}
	HOLDS(open == QSOCKET_HANDLES_MAX && init(1) == -EMFILE);
	HOLDS(call_info(links[LINKS - 1]).streams == QSOCKET_STREAMS_MAX - LINKS);
	HOLDS(!call_close(last, 0) && add(links[0]) == -ENOSPC);
	HOLDS((last = add(links[LINKS - 1])) > 0 && add(links[LINKS - 1]) == -EMFILE);
	for (int i = 0; i < LINKS; i++)
		HOLDS(!call_close(links[i], 0));
	return NULL;
}

int main(void)
{
	check("a link has as many streams as it may", a_link_of_the_most_streams());
	check("of many draining streams each ends", each_draining_stream_ends());
	check("a draining stream ends though it loses its last", a_draining_stream_may_lose());
	check("a closed handle stays closed while 131072 others are closed", entries_rest());
	check("a closed entry's next handle is none yet", marks_are_no_handles());
	check("a full table of handles refuses, and takes again", a_full_table_refuses());
	return check_end();
}
