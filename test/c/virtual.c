/* SPDX-License-Identifier: MIT
 * A virtual link: the order of what happens, and the log.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"

#define MS 1000000ull
#define KB_PER_S 1000000ull /* a byte takes 1 us */

static int32_t link_handle, stream_handle;
static uint32_t number;

static struct qrun_args *runs;

static int32_t run(uint64_t until_ns, uint32_t events_max)
{
	runs->link = (uint32_t)link_handle;
	runs->events_max = events_max;
	runs->until_ns = until_ns;
	return qsocketcall(QRUN, runs,
			   (uint32_t)(sizeof(*runs) + events_max * sizeof(runs->events[0])));
}

static int32_t send_at(uint64_t at_ns, uint32_t bytes, uint32_t flags, uint32_t deadline_us)
{
	struct qsend_args args = {
		.handle = (uint32_t)stream_handle,
		.flags = flags | 6 << QSOCKET_DROP_SHIFT,
		.data_len = bytes,
		.deadline_us = deadline_us,
		.at_ns = at_ns,
		.message = number++,
	};

	return qsocketcall(QSEND, &args, sizeof(args));
}

static int32_t open_stream(uint64_t ipg_ns, uint32_t queue_messages)
{
	struct qsocket_args args = {
		.link = (uint32_t)link_handle,
		.type = QSOCKET_UDP,
		.attr = {.ipg_ns = ipg_ns, .queue_messages = queue_messages},
	};

	return qsocketcall(QSOCKET, &args, sizeof(args));
}

static void start(const char *scheduler)
{
	link_handle = call_init(scheduler, KB_PER_S, QSOCKINIT_VIRTUAL);
	stream_handle = open_stream(0, 0);
	number = 0;
}

static const char *transmits_in_order(void)
{
	HOLDS(link_handle > 0 && stream_handle > 0);
	HOLDS(send_at(5 * MS, 1000, 0, 0) == 1000);
	HOLDS(send_at(5 * MS, 500, 0, 0) == 500);
	HOLDS(run(5 * MS, 16) == 0); /* decisions are strictly before until */
	HOLDS(run(6 * MS, 16) == 1); /* completions up to and including it */
	HOLDS(runs->events[0].at_ns == 6 * MS && runs->events[0].message == 0);
	HOLDS(runs->events[0].outcome == QSOCKET_SENT && runs->events[0].bytes == 1000);
	HOLDS(runs->events[0].stream == (uint32_t)stream_handle && runs->now_ns == 6 * MS);
	HOLDS(run(6 * MS + 499999, 16) == 0);
	HOLDS(run(100 * MS, 16) == 1);
	HOLDS(runs->events[0].at_ns == 6 * MS + 500000 && runs->now_ns == 100 * MS);
	return NULL;
}

static const char *refuses_the_past(void)
{
	HOLDS(run(10 * MS, 16) == 0);
	HOLDS(send_at(9 * MS, 100, 0, 0) == -EINVAL);
	HOLDS(run(9 * MS, 16) == -EINVAL);
	HOLDS(send_at(10 * MS, 100, 0, 0) == 100);
	return NULL;
}

static const char *sending_moves_the_clock(void)
{
	HOLDS(send_at(0, 1000, 0, 0) == 1000);
	HOLDS(send_at(3 * MS, 1000, 0, 0) == 1000);
	HOLDS(send_at(2 * MS, 1000, 0, 0) == -EINVAL);
	HOLDS(run(10 * MS, 16) == 2);
	HOLDS(runs->events[0].at_ns == 1 * MS && runs->events[1].at_ns == 4 * MS);
	return NULL;
}

static const char *logs_drops_at_arrival(void)
{
	struct qsocket_info info;

	HOLDS(send_at(0, 100, QSOCKET_DEADLINE, 0) == -ETIME);
	HOLDS(send_at(0, 100, QSOCKET_FRAME, 0) == -EPROTO);
	HOLDS(run(0, 16) == 2);
	HOLDS(runs->events[0].outcome == QSOCKET_DROPPED &&
	      runs->events[0].reason == QSOCKET_EXPIRED);
	HOLDS(runs->events[1].message == 1 && runs->events[1].reason == QSOCKET_INCOMPLETE);
	info = call_info(stream_handle);
	HOLDS(info.offered == 2 && balanced(&info));
	HOLDS(info.host == QSOCKET_VIRTUAL && info.kind == QSOCKET_STREAM);
	return NULL;
}

static const char *hands_out_events_in_parts(void)
{
	uint64_t last_ns = 0;
	int events = 0;

	for (int i = 0; i < 100; i++)
		HOLDS(send_at(0, 10, 0, 0) == 10);
	do {
		HOLDS(run(1 * MS, 7) <= 7);
		for (uint32_t i = 0; i < runs->events_len; i++, events++) {
			HOLDS(runs->events[i].message == (uint32_t)events);
			HOLDS(runs->events[i].at_ns > last_ns);
			last_ns = runs->events[i].at_ns;
		}
		HOLDS(runs->events_len == 7 || runs->now_ns == 1 * MS);
	} while (runs->now_ns < 1 * MS);
	HOLDS(events == 100);
	return NULL;
}

static const char *a_full_log_loses_nothing(void)
{
	uint32_t refused = 0, logged = 0;
	int32_t result;
	struct qsocket_info info;

	stream_handle = open_stream(0, 10);
	for (uint32_t i = 0; i < 100000; i++) {
		result = send_at(0, 10, 0, 0);
		HOLDS(result == 10 || result == -ENOBUFS || result == -EAGAIN);
		if (result == -EAGAIN) {
			refused++;
			HOLDS(run(0, 1000) == 1000);
			logged += 1000;
		}
	}
	HOLDS(refused > 0);
	while ((result = run(10 * MS, 60000)) > 0)
		logged += (uint32_t)result;
	info = call_info(stream_handle);
	HOLDS(info.sent == 10 && balanced(&info));
	HOLDS(logged == info.offered && logged == 100000 - refused);
	return NULL;
}

static const char *drains_and_closes(void)
{
	struct qsocket_info info;

	HOLDS(send_at(0, 1000, 0, 0) == 1000);
	HOLDS(send_at(0, 1000, QSOCKET_FRAME | QSOCKET_START, 0) == 1000);
	HOLDS(call_close(stream_handle, QCLOSE_DRAIN) == 0);
	HOLDS(send_at(0, 1000, 0, 0) == -EPIPE);
	info = call_info(stream_handle);
	HOLDS(info.state & QSOCKET_STATE_CLOSING && info.queued == 2);
	HOLDS(run(5 * MS, 16) == 2);
	HOLDS(runs->events[0].outcome == QSOCKET_SENT || runs->events[1].outcome == QSOCKET_SENT);
	info = call_info(stream_handle);
	HOLDS(info.queued == 0 && info.sent == 1 && info.dropped[QSOCKET_CLOSED] == 1);
	HOLDS(call_close(stream_handle, 0) == 0);
	HOLDS(call_close(stream_handle, 0) == -EBADF);
	info = call_info(link_handle);
	HOLDS(info.kind == QSOCKET_LINK && info.streams == 0 && info.sent == 1 && balanced(&info));
	return NULL;
}

static const char *discards(void)
{
	HOLDS(send_at(0, 1000, 0, 0) == 1000);
	HOLDS(send_at(0, 1000, 0, 0) == 1000);
	HOLDS(run(1000, 16) == 0); /* the first is on the wire */
	HOLDS(call_close(stream_handle, 0) == 0);
	HOLDS(run(5 * MS, 16) == 2);
	HOLDS(runs->events[0].message == 1 && runs->events[0].reason == QSOCKET_CLOSED);
	HOLDS(runs->events[1].message == 0 && runs->events[1].outcome == QSOCKET_SENT);
	HOLDS(runs->events[1].stream == (uint32_t)stream_handle);
	return NULL;
}

static const char *waits_for_an_expiry(void)
{
	/* its end never comes: lost when it expires, with the link idle */
	HOLDS(send_at(0, 1000, QSOCKET_FRAME | QSOCKET_START | QSOCKET_DEADLINE, 7000) == 1000);
	HOLDS(run(50 * MS, 16) == 1);
	HOLDS(runs->events[0].at_ns == 7 * MS && runs->events[0].reason == QSOCKET_INCOMPLETE);
	return NULL;
}

/* A stream that was served far ahead of its period has its next release far
 * off. With a new period it starts anew beside an equal one. */
static const char *a_new_period_forgets_the_old(void)
{
	struct qchange_args change = {0};
	int32_t slow = open_stream(1000 * MS, 0), fast = open_stream(2 * MS, 0);
	uint32_t served[2] = {0};

	stream_handle = slow;
	for (int i = 0; i < 20; i++)
		HOLDS(send_at(0, 1000, 0, 0) == 1000);
	HOLDS(run(20 * MS, 64) == 20);
	change.handle = (uint32_t)slow;
	change.attr.ipg_ns = 2 * MS;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)));
	for (int i = 0; i < 40; i++) {
		stream_handle = i % 2 ? slow : fast;
		HOLDS(send_at(20 * MS, 1000, 0, 0) == 1000);
	}
	HOLDS(run(40 * MS, 64) == 20);
	for (int i = 0; i < 20; i++)
		served[runs->events[i].stream == (uint32_t)slow]++;
	HOLDS(served[0] == 10 && served[1] == 10);
	return NULL;
}

int main(void)
{
	static const struct {
		const char *name, *scheduler;
		const char *(*promise)(void);
	} promises[] = {
		{"QRUN transmits in order of arrival", "fifo", transmits_in_order},
		{"a virtual link refuses the past", "fifo", refuses_the_past},
		{"QSEND moves the clock of a virtual link", "dwcs", sending_moves_the_clock},
		{"QRUN returns what was dropped at QSEND", "dwcs", logs_drops_at_arrival},
		{"QRUN hands out events in parts", "edf", hands_out_events_in_parts},
		{"a full log of events refuses messages and loses none", "fifo",
		 a_full_log_loses_nothing},
		{"QCLOSE_DRAIN sends what is queued on a virtual link", "dwcs", drains_and_closes},
		{"QCLOSE discards what is queued on a virtual link", "dwcs", discards},
		{"an idle virtual link wakes for an expiry", "dwcs", waits_for_an_expiry},
		{"QCHANGE to a new period forgets the debts of the old", "dwcs",
		 a_new_period_forgets_the_old},
	};

	runs = calloc(1, sizeof(*runs) + 65536 * sizeof(runs->events[0]));
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		start(promises[i].scheduler);
		check(promises[i].name, promises[i].promise());
		if (call_close(link_handle, 0))
			check("QCLOSE closes a virtual link", "it did not");
	}
	free(runs);
	return check_end();
}
