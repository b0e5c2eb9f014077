/* SPDX-License-Identifier: MIT
 * What the scheduler counts where no program gets it easily: delays of streams
 * that come and go, and of very many messages; and frames whose ends are lost
 * on their way to it, as below the stack.
 */
#include <stdlib.h>

#include "check.h"
#include "sched/parts.h"

#define STREAMS 4
#define MESSAGES 64
#define RATE 1000000000ull /* a byte a nanosecond */
#define MS 1000000ull
#define STEPS 20000

static const char *const policies[] = {"dwcs",	       "dwcs99", "vds", "edf",
				       "edf-lossless", "fifo",	 "sfq", "cbq"};
static struct qs_link link_;
static void *memory;
static uint64_t now_ns;

static void open_link(const char *name)
{
	const struct qs_policy *policy = qs_policy_find(name);
	size_t bytes = qs_link_bytes(policy, STREAMS, MESSAGES);

	bytes = (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT;
	memory = aligned_alloc(QS_ALIGNMENT, bytes);
	memset(memory, 0, bytes);
	qs_init(&link_, policy, RATE, memory, STREAMS, MESSAGES);
	now_ns = MS;
}

static uint32_t add(uint32_t oln, uint32_t old)
{
	struct qsocket_attr attr = {.ipg_ns = MS, .oln = oln, .old = old};

	return (uint32_t)qs_add(&link_, &attr);
}

static struct qsocket_info info_of(uint32_t stream)
{
	struct qsocket_info info = {0};

	qs_info(&link_, stream, &info);
	return info;
}

/* As the qdisc does it: a frame that is not continued is abandoned, and what
 * belongs to none is refused. Returns what is queued of it. */
static int arrive(uint32_t stream, uint32_t flags, uint64_t deadline_ns)
{
	struct qs_arrival a = {.deadline_ns = deadline_ns, .bytes = 1000, .flags = flags};
	struct qs_queued queued = {.message = QS_NONE};
	int32_t error = qs_enqueue(&link_, stream, now_ns, &a, &queued);

	if (error == -QS_EPROTO && !(flags & QSOCKET_FRAME && !(flags & QSOCKET_START))) {
		qs_abandon(&link_, stream);
		error = qs_enqueue(&link_, stream, now_ns, &a, &queued);
	}
	if (error == -QS_EPROTO || error == -QS_EMSGSIZE)
		qs_refuse(&link_, stream, &a, QSOCKET_INCOMPLETE);
	return !error && queued.message != QS_NONE;
}

static int frame(uint32_t stream, uint32_t level, uint32_t marks)
{
	return arrive(stream, QSOCKET_FRAME | level << QSOCKET_LEVEL_SHIFT | marks, QS_FOREVER);
}

static void reap(void)
{
	uint32_t message;

	while ((message = qs_reap(&link_)) != QS_NONE)
		qs_free(&link_, message);
}

/* How many packets leave, one after the other. */
static uint32_t send_all(uint32_t most)
{
	struct qs_packet p;
	uint32_t n = 0;

	for (; n < most && qs_dequeue(&link_, now_ns, 0, &p); n++) {
		now_ns = p.done_ns;
		qs_sent(&link_, &p);
		qs_free(&link_, p.message);
		reap();
	}
	return n;
}

static const char *delays_begin_anew(void)
{
	struct qsocket_info info;
	uint32_t first, second;

	open_link("edf");
	first = add(0, 0);
	HOLDS(arrive(first, 0, QS_FOREVER) && send_all(8) == 1);
	info = info_of(first);
	HOLDS(info.delays[0] == 1);
	qs_remove(&link_, first);
	second = add(0, 0);
	HOLDS(second == first);
	HOLDS(arrive(second, 0, QS_FOREVER));
	now_ns += QSOCKET_DELAY_NS_MIN;
	HOLDS(send_all(8) == 1);
	info = info_of(second);
	HOLDS(info.delays[0] == 0 && info.delays[1] == 1);
	free(memory);
	return NULL;
}

static const char *delays_are_never_full(void)
{
	struct qsocket_info info;
	uint32_t stream;

	open_link("edf");
	stream = add(0, 0);
	HOLDS(arrive(stream, 0, QS_FOREVER) && send_all(8) == 1);
	link_.delays[stream].low[0] = UINT32_MAX;
	HOLDS(arrive(stream, 0, QS_FOREVER) && send_all(8) == 1);
	info = info_of(stream);
	HOLDS(info.delays[0] == 1ull << 32 && info.delays[1] == 0);
	free(memory);
	return NULL;
}

static const char *gives_up_a_frame_without_end(void)
{
	struct qsocket_info info;
	uint32_t stream;

	open_link("dwcs");
	stream = add(1, 4);
	HOLDS(frame(stream, 2, QSOCKET_START) && frame(stream, 2, 0));
	HOLDS(frame(stream, 2, QSOCKET_START)); /* of the next one */
	reap();
	info = info_of(stream);
	HOLDS(info.dropped[QSOCKET_INCOMPLETE] == 2 && info.queued == 1 && info.offered == 3);
	HOLDS(info.dropped_bytes == 2000 && info.queued_bytes == 1000);
	HOLDS(info.frames_offered[2] == 2 && info.frames_dropped[2][QSOCKET_INCOMPLETE] == 1);
	HOLDS(info.window_lost == 0 && info.window_left == 3 && info.violations == 0);
	HOLDS(frame(stream, 2, QSOCKET_END) && send_all(8) == 2);
	info = info_of(stream);
	HOLDS(info.sent == 2 && info.offered == 4 && info.queued == 0);
	HOLDS(info.frames_sent[2] == 1 && info.frames_partial == 0);
	free(memory);
	return NULL;
}

/* A message of no frame ends it too, and a frame's end belongs to none then. */
static const char *gives_it_up_for_a_lone_message(void)
{
	struct qsocket_info info;
	uint32_t stream;

	open_link("edf");
	stream = add(0, 0);
	HOLDS(frame(stream, 2, QSOCKET_START) && arrive(stream, 0, QS_FOREVER));
	HOLDS(!frame(stream, 2, QSOCKET_END));
	reap();
	info = info_of(stream);
	HOLDS(info.dropped[QSOCKET_INCOMPLETE] == 2 && info.queued == 1 && info.offered == 3);
	HOLDS(info.frames_offered[2] == 1 && info.frames_dropped[2][QSOCKET_INCOMPLETE] == 1);
	HOLDS(!(info.state & QSOCKET_STATE_FRAME_OPEN) && send_all(8) == 1);
	free(memory);
	return NULL;
}

/* What needs a frame that was given up goes with it, until a group starts. */
static const char *its_group_goes_with_it(void)
{
	struct qsocket_info info;
	uint32_t stream;

	open_link("edf");
	stream = add(0, 0);
	HOLDS(frame(stream, 0, QSOCKET_START | QSOCKET_END) && frame(stream, 1, QSOCKET_START));
	HOLDS(!frame(stream, 1, QSOCKET_START | QSOCKET_END));
	HOLDS(!frame(stream, 2, QSOCKET_START | QSOCKET_END));
	HOLDS(frame(stream, 0, QSOCKET_START | QSOCKET_END));
	HOLDS(frame(stream, 2, QSOCKET_START | QSOCKET_END));
	reap();
	info = info_of(stream);
	HOLDS(info.dropped[QSOCKET_INCOMPLETE] == 1 && info.dropped[QSOCKET_DEPENDENCY] == 2);
	HOLDS(info.offered == 6 && info.queued == 3 && send_all(8) == 3);
	free(memory);
	return NULL;
}

/* Under fifo messages leave by themselves: what of the frame came goes out, and
 * the frame is partial, whether that is before or after it is given up. */
static const char *fifo_sends_what_came(uint32_t sent_before)
{
	struct qsocket_info info;
	uint32_t stream;

	open_link("fifo");
	stream = add(0, 0);
	HOLDS(frame(stream, 2, QSOCKET_START) && frame(stream, 2, 0));
	HOLDS(send_all(sent_before) == sent_before);
	HOLDS(frame(stream, 2, QSOCKET_START) && frame(stream, 2, QSOCKET_END));
	HOLDS(send_all(8) == 4 - sent_before);
	info = info_of(stream);
	HOLDS(info.offered == 4 && info.sent == 4 && dropped(&info) == 0);
	HOLDS(info.frames_offered[2] == 2 && info.frames_sent[2] == 1);
	HOLDS(info.frames_dropped[2][QSOCKET_INCOMPLETE] == 1 && info.frames_partial == 1);
	free(memory);
	return NULL;
}

/* A frame that was lost and of which more is to come: what comes after all is
 * of no frame, and not lost for the other's reason. */
static const char *gives_up_what_is_discarded(void)
{
	const uint32_t start = QSOCKET_FRAME | QSOCKET_START;
	struct qsocket_info info;
	uint32_t stream;

	open_link("edf");
	stream = add(0, 0);
	HOLDS(!arrive(stream, start | QSOCKET_END, 1));
	HOLDS(!frame(stream, 1, QSOCKET_START));
	qs_abandon(&link_, stream);
	HOLDS(!frame(stream, 1, 0));
	info = info_of(stream);
	HOLDS(info.dropped[QSOCKET_EXPIRED] == 1 && info.dropped[QSOCKET_DEPENDENCY] == 1);
	HOLDS(info.dropped[QSOCKET_INCOMPLETE] == 1 && info.offered == 3);
	HOLDS(frame(stream, 0, QSOCKET_START | QSOCKET_END) && send_all(8) == 1);
	free(memory);
	return NULL;
}

static uint32_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(seed >> 8) * n >> 24);
}

static const char *sound(uint32_t stream, uint64_t offered)
{
	struct qsocket_info info = info_of(stream);
	uint64_t delayed = 0, frames, ended;

	HOLDS(balanced(&info) && info.offered == offered);
	HOLDS(info.offered_bytes == info.sent_bytes + info.dropped_bytes + info.queued_bytes);
	for (uint32_t i = 0; i < QSOCKET_DELAYS; i++)
		delayed += info.delays[i];
	HOLDS(delayed == info.sent + info.late);
	for (uint32_t level = 0; level < 4; level++) {
		frames = info.frames_offered[level];
		ended = info.frames_sent[level];
		for (uint32_t reason = 0; reason < QSOCKET_REASONS; reason++)
			ended += info.frames_dropped[level][reason];
		HOLDS(ended <= frames && (info.queued || frames - ended <= 1));
		HOLDS(info.queued || ended == frames || info.state & QSOCKET_STATE_FRAME_OPEN);
	}
	return NULL;
}

/* Frames of 1 to 5 messages, of which every fifth message is lost on its way. */
static const char *counts_all_that_comes(const char *name)
{
	uint64_t offered[STREAMS] = {0};
	uint32_t at[STREAMS] = {0}, len[STREAMS] = {0};
	uint32_t most = 0, gave_up = 0;

	open_link(name);
	for (uint32_t i = 0; i < STREAMS; i++)
		add(1, 3);
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t i = below(STREAMS);
		uint32_t flags = QSOCKET_FRAME | (i + step) % 3 << QSOCKET_LEVEL_SHIFT;
		const char *why;

		if (at[i] == len[i]) {
			at[i] = 0;
			len[i] = 1 + below(5);
		}
		flags |= (at[i] == 0) * QSOCKET_START | (at[i] == len[i] - 1) * QSOCKET_END;
		at[i]++;
		if (below(5) > 0) {
			offered[i]++;
			arrive(i, below(10) ? flags | below(7) << QSOCKET_DROP_SHIFT : 0,
			       now_ns + (below(10) ? 20000 : 0));
		}
		reap();
		if (below(3) > 0)
			send_all(1 + below(3));
		else
			now_ns += below(4000);
		why = sound(i, offered[i]);
		if (why)
			return why;
	}
	now_ns += MS;
	send_all(MESSAGES);
	reap();
	for (uint32_t i = 0; i < STREAMS; i++) {
		struct qsocket_info info;

		qs_abandon(&link_, i);
		reap();
		info = info_of(i);
		HOLDS(info.offered == offered[i] && balanced(&info) && info.queued == 0);
		HOLDS(!(info.state & QSOCKET_STATE_FRAME_OPEN));
		most += info.sent > 0;
		gave_up += info.dropped[QSOCKET_INCOMPLETE] > 0;
	}
	HOLDS(most == STREAMS && gave_up == STREAMS);
	HOLDS(link_.messages_len == 0 && link_.rest_len == 0 && link_.promised_len == 0);
	free(memory);
	return NULL;
}

int main(void)
{
	check("a new stream has the delays of no other", delays_begin_anew());
	check("delays are counted beyond 2^32", delays_are_never_full());
	check("a frame whose end did not come is given up when the next starts",
	      gives_up_a_frame_without_end());
	check("... and when a message of no frame comes", gives_it_up_for_a_lone_message());
	check("... with what needs it", its_group_goes_with_it());
	check("... under fifo, which has sent what came of it", fifo_sends_what_came(2));
	check("... under fifo, which has sent some of it", fifo_sends_what_came(1));
	check("... under fifo, which has it queued", fifo_sends_what_came(0));
	check("... and of a frame that was lost before, nothing more is awaited",
	      gives_up_what_is_discarded());
	for (uint32_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		char text[80];

		seed = i + 1;
		snprintf(text, sizeof(text), "%s: all that comes of frames is counted once",
			 policies[i]);
		check(text, counts_all_that_comes(policies[i]));
	}
	return check_end();
}
