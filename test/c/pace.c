/* SPDX-License-Identifier: MIT
 * Pacing under a clock of the test's own: what a packet costs the link, what a
 * late wake-up makes good, and what an idle link does not save up.
 */
#include <stdlib.h>

#include "check.h"
#include "sched/pace.h"

#define MS 1000000ull
#define NOW_NS 1000000000ull
#define STREAMS 2
#define MESSAGES 16

static struct qs_link link_;
static struct qs_pace pace;
static void *memory;

static void open_link(const char *name, uint64_t rate)
{
	const struct qs_policy *policy = qs_policy_find(name);
	size_t bytes = qs_link_bytes(policy, STREAMS, MESSAGES);

	bytes = (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT;
	memory = aligned_alloc(QS_ALIGNMENT, bytes);
	memset(memory, 0, bytes);
	qs_init(&link_, policy, rate, memory, STREAMS, MESSAGES);
	pace = (struct qs_pace){.free_ns = NOW_NS};
}

static int offer(uint32_t stream, uint32_t bytes)
{
	struct qs_arrival arrival = {.deadline_ns = QS_FOREVER, .bytes = bytes};
	struct qs_queued queued;

	return !qs_enqueue(&link_, stream, NOW_NS, &arrival, &queued);
}

static const char *loses_no_fraction(void)
{
	open_link("edf", 7);
	for (uint64_t n = 1; n <= 1000; n++) {
		qs_pace_charge(&link_, &pace, 1, NOW_NS);
		HOLDS(pace.free_ns == NOW_NS + n * 1000000000 / 7);
	}
	free(memory);
	return NULL;
}

static const char *opens_when_all_has_left(void)
{
	open_link("edf", 1000000);
	qs_pace_charge(&link_, &pace, 1000, NOW_NS);
	HOLDS(pace.free_ns == NOW_NS + MS);
	HOLDS(!qs_pace_open(&link_, &pace, NOW_NS + MS - 1));
	HOLDS(qs_pace_open(&link_, &pace, NOW_NS + MS) && link_.lag_ns == 0);
	free(memory);
	return NULL;
}

static const char *makes_good_so_much(void)
{
	open_link("edf", 1000000);
	HOLDS(qs_pace_open(&link_, &pace, NOW_NS + 3 * MS) && link_.lag_ns == 3 * MS);
	qs_pace_charge(&link_, &pace, 1000, NOW_NS + 3 * MS);
	HOLDS(pace.free_ns == NOW_NS + MS); /* two more may go at once */
	HOLDS(qs_pace_open(&link_, &pace, NOW_NS + 20 * MS));
	HOLDS(link_.lag_ns == QS_PACE_CATCH_UP_NS);
	qs_pace_charge(&link_, &pace, 1000, NOW_NS + 20 * MS);
	HOLDS(pace.free_ns == NOW_NS + 20 * MS - QS_PACE_CATCH_UP_NS + MS);
	free(memory);
	return NULL;
}

static const char *saves_nothing_up(void)
{
	struct qsocket_attr attr = {0};
	uint32_t stream;

	open_link("edf", 1000000);
	stream = (uint32_t)qs_add(&link_, &attr);
	qs_pace_stand_still(&link_, &pace, NOW_NS + 5 * MS);
	HOLDS(pace.free_ns == NOW_NS + 5 * MS); /* idle */
	qs_pace_stand_still(&link_, &pace, NOW_NS + 4 * MS);
	HOLDS(pace.free_ns == NOW_NS + 5 * MS); /* time does not go back */
	HOLDS(offer(stream, 1000));
	qs_pace_stand_still(&link_, &pace, NOW_NS + 9 * MS);
	HOLDS(pace.free_ns == NOW_NS + 5 * MS); /* overslept */
	qs_pace_rest(&pace, NOW_NS + 9 * MS);
	HOLDS(pace.free_ns == NOW_NS + 9 * MS);
	free(memory);
	return NULL;
}

/* A class that has used up its burst may go on later: until then the link, though
 * it has something queued, stands still. */
static const char *waits_for_a_ceiling(void)
{
	static const struct qsocket_class classes[] = {{.rate = 1000, .ceil = 1000}};
	struct qsocket_attr attr = {.class_id = 1};
	struct qs_packet packet;
	uint64_t now_ns = NOW_NS, open_ns;
	uint32_t stream, served = 0;

	open_link("cbq", 1000000);
	HOLDS(!qs_classes(&link_, classes, 1));
	stream = (uint32_t)qs_add(&link_, &attr);
	for (uint32_t i = 0; i < 8; i++)
		HOLDS(offer(stream, 1000));
	for (; qs_dequeue(&link_, now_ns, 0, &packet); served++) {
		now_ns = packet.done_ns;
		qs_sent(&link_, &packet);
		qs_free(&link_, packet.message);
	}
	open_ns = qs_open_ns(&link_);
	HOLDS(served > 0 && served < 8 && open_ns > now_ns && open_ns < QS_FOREVER);
	pace.free_ns = now_ns;
	qs_pace_stand_still(&link_, &pace, open_ns - 1);
	HOLDS(pace.free_ns == open_ns - 1);
	qs_pace_stand_still(&link_, &pace, open_ns + 3 * MS);
	HOLDS(pace.free_ns == open_ns); /* from there on it is the host that is late */
	free(memory);
	return NULL;
}

int main(void)
{
	check("the times of packets add up to the nanosecond", loses_no_fraction());
	check("a packet leaves when those before it have", opens_when_all_has_left());
	check("a late wake-up is made good, but no more than so much of it", makes_good_so_much());
	check("a link with nothing to send saves nothing up", saves_nothing_up());
	check("... nor one of which no class may send", waits_for_a_ceiling());
	return check_end();
}
