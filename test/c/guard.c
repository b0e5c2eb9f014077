/* SPDX-License-Identifier: MIT
 * What only a host with a clock of its own asks of the scheduler: time to
 * spare before a deadline, and time that it overslept and will make good.
 */
#include <stdlib.h>

#include "check.h"
#include "sched/parts.h"

#define STREAMS 4
#define MESSAGES 64
#define RATE 1000000000ull /* a byte a nanosecond */
#define NOW_NS 1000ull

static struct qs_link link_;
static void *memory;

static void open_link(uint64_t guard_ns, uint64_t lag_ns)
{
	const struct qs_policy *policy = qs_policy_find("edf");
	size_t bytes = qs_link_bytes(policy, STREAMS, MESSAGES);

	bytes = (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT;
	memory = aligned_alloc(QS_ALIGNMENT, bytes);
	memset(memory, 0, bytes);
	qs_init(&link_, policy, RATE, memory, STREAMS, MESSAGES);
	link_.guard_ns = guard_ns;
	link_.lag_ns = lag_ns;
}

/* A message on a stream of its own, handed in at NOW_NS. */
static int offer(uint32_t bytes, uint64_t lifetime_ns, uint32_t drop)
{
	struct qsocket_attr attr = {0};
	struct qs_arrival arrival = {
		.deadline_ns = NOW_NS + lifetime_ns,
		.bytes = bytes,
		.flags = drop << QSOCKET_DROP_SHIFT | QSOCKET_LEVEL_NONE << QSOCKET_LEVEL_SHIFT,
	};
	struct qs_queued queued;

	return !qs_enqueue(&link_, (uint32_t)qs_add(&link_, &attr), NOW_NS, &arrival, &queued);
}

/* The stream that is served first, or -1: none. */
static int serve(uint64_t now_ns)
{
	struct qs_packet packet;

	return qs_dequeue(&link_, now_ns, 0, &packet) ? (int)packet.stream : -1;
}

static int alone(uint64_t guard_ns, uint64_t lag_ns, uint32_t bytes, uint64_t lifetime_ns,
		 uint64_t late_ns)
{
	int served;

	open_link(guard_ns, lag_ns);
	served = offer(bytes, lifetime_ns, 6) && serve(NOW_NS + late_ns) == 0;
	free(memory);
	return served;
}

static const char *asks_for_a_guard(void)
{
	HOLDS(alone(0, 0, 16000, 16000, 0) && !alone(0, 0, 16001, 16000, 0));
	HOLDS(alone(1000, 0, 15000, 16000, 0) && !alone(1000, 0, 15001, 16000, 0));
	/* nor does what is left of it turn round below nothing */
	HOLDS(alone(1000, 0, 100, 16000, 14900) && !alone(1000, 0, 100, 16000, 15500));
	return NULL;
}

static const char *asks_for_an_eighth_at_most(void)
{
	HOLDS(alone(1000, 0, 700, 800, 0) && !alone(1000, 0, 701, 800, 0));
	return NULL;
}

/* Nanoseconds times rate are 2^64 and a little there. */
static const char *has_time_for_far_deadlines(void)
{
	HOLDS(alone(0, 0, 1000, 18446744073, 0));
	return NULL;
}

static const char *makes_good_what_it_overslept(void)
{
	HOLDS(alone(0, 1000, 1500, 500, 0) && !alone(0, 1000, 1501, 500, 0));
	return NULL;
}

/* A frame's messages on a stream, in bytes; 0 ends them. */
static int offer_frame(uint32_t stream, uint64_t now, uint64_t due_ns, const uint32_t bytes[])
{
	struct qs_queued queued;

	for (uint32_t i = 0; bytes[i]; i++) {
		struct qs_arrival arrival = {
			.deadline_ns = due_ns,
			.bytes = bytes[i],
			.flags = QSOCKET_FRAME | 2u << QSOCKET_LEVEL_SHIFT |
				 (i == 0) * QSOCKET_START | !bytes[i + 1] * QSOCKET_END,
		};

		if (qs_enqueue(&link_, stream, now, &arrival, &queued))
			return 0;
	}
	return 1;
}

/* Two frames are begun when the link turns slower, so that both no longer end
 * in time. The later one comes first by rank, but not ahead of the other one:
 * even if its next packet goes out, its last one would be late. */
static const char *finishes_the_first_of_two_that_do_not_fit(void)
{
	struct qsocket_attr attr = {.ipg_ns = 1000000};
	uint32_t early, late;

	open_link(0, 0);
	early = (uint32_t)qs_add(&link_, &attr);
	attr.ipg_ns = 0;
	late = (uint32_t)qs_add(&link_, &attr);
	/* the period is used up, so that its frame is ranked behind the other's */
	HOLDS(offer_frame(early, NOW_NS, NOW_NS + 9000, (uint32_t[]){1, 0}));
	HOLDS(serve(NOW_NS) == (int)early);
	HOLDS(offer_frame(early, NOW_NS, NOW_NS + 10000, (uint32_t[]){1000, 1000, 0}));
	HOLDS(serve(NOW_NS + 1) == (int)early);
	HOLDS(offer_frame(late, NOW_NS + 2, NOW_NS + 12000, (uint32_t[]){4000, 500, 2500, 0}));
	HOLDS(serve(NOW_NS + 1001) == (int)late);
	qs_rate(&link_, RATE / 2);
	/* 5001 + 2 (500 + 1000) <= 10000, but 5001 + 2 (3000 + 1000) > 12000 */
	HOLDS(serve(NOW_NS + 5001) == (int)early);
	free(memory);
	return NULL;
}

/* A begun frame of a socket that is full: who comes meanwhile owes it nothing,
 * but does once the socket goes on. */
static int first_beside_a_blocked_frame(int goes_on)
{
	struct qsocket_attr attr = {0};
	uint32_t held, other;
	int served;

	open_link(0, 0);
	held = (uint32_t)qs_add(&link_, &attr);
	other = (uint32_t)qs_add(&link_, &attr);
	served = offer_frame(held, NOW_NS, NOW_NS + 10000, (uint32_t[]){1000, 4001, 0}) &&
		 serve(NOW_NS) == (int)held;
	qs_block(&link_, held, 1);
	if (goes_on)
		qs_block(&link_, held, 0);
	/* 1000 + 5000 + 4001 > 10000 */
	served = served &&
		 offer_frame(other, NOW_NS + 1, NOW_NS + 9500, (uint32_t[]){2500, 2500, 0});
	served = served ? serve(NOW_NS + 1000) : -1;
	free(memory);
	return served < 0 ? -1 : served == (int)held;
}

static const char *owes_nothing_to_a_blocked_frame(void)
{
	HOLDS(first_beside_a_blocked_frame(0) == 0);
	HOLDS(first_beside_a_blocked_frame(1) == 1);
	return NULL;
}

/* Behind the first, the second is in time by 100 ns: by less than two guards. */
static int first_of_two(uint64_t guard_ns)
{
	int served;

	open_link(guard_ns, 0);
	served = offer(1000, 2050, 0) && offer(1000, 2100, QSOCKET_DROP_NEVER) ? serve(NOW_NS) : -1;
	free(memory);
	return served;
}

static const char *plans_for_twice_the_guard(void)
{
	HOLDS(first_of_two(0) == 0 && first_of_two(50) == 0);
	HOLDS(first_of_two(51) == 1);
	return NULL;
}

int main(void)
{
	check("a message begins with a guard to spare", asks_for_a_guard());
	check("... but of an eighth of its lifetime at most", asks_for_an_eighth_at_most());
	check("a message that is due in 18 s is in time", has_time_for_far_deadlines());
	check("what the host overslept is there to be used", makes_good_what_it_overslept());
	check("of two frames begun that no longer fit the first is finished",
	      finishes_the_first_of_two_that_do_not_fit());
	check("nothing is owed to a begun frame while its socket is full",
	      owes_nothing_to_a_blocked_frame());
	check("what another is given up for has two guards to spare", plans_for_twice_the_guard());
	return check_end();
}
