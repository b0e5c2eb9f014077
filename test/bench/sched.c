/* SPDX-License-Identifier: MIT
 *
 * What a message costs in the scheduler, beside a binary heap (sched_heap.h).
 *
 *	sched backlogged|sparse POLICY STREAMS DEPTH SPREAD LEAD CHUNK BUDGET_MS
 *	sched memory POLICY		see sched_memory.c
 *	sched policies NAME ...		prints those that there are
 *
 * The loop is a host's: take the next message, let the clock move on by its
 * transmission, give the link one more. But for the order alone, it knows no
 * more than sched.h says.
 *
 *	backlogged	every stream has DEPTH messages queued; the one that was
 *			served gets its next, due a period after its last. This is
 *			the hold model of event queues, with U just below 1.
 *	sparse		16 messages are queued in all; the next one is a random
 *			stream's, due its period from now.
 *
 * SPREAD is the longest period by the shortest, LEAD how far ahead of their
 * deadlines the senders are at the start, in CYCLE_NS.
 *
 * Five contenders run through the same messages by the same clock, in turns
 * of CHUNK messages: nothing (the loop alone: streams round-robin), the two
 * heaps, the policy, and its order alone (sched_order.h). A turn starts
 * untimed, until the caches are its own. The result is JSON: every turn's ns a
 * message, in CPU time of the thread, so that other programs cost less of it.
 *
 * Jones: "An empirical comparison of priority-queue and event-set
 * implementations", CACM 29(4), 1986 (the hold model).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sched.h"
#include "sched_heap.h"
#include "sched_load.h"
#include "sched_order.h"

#define TURNS_MIN 3
#define TURNS_MAX 25
#define INLINE static inline __attribute__((always_inline))

struct contender {
	const char *name;
	const struct load *load;
	void (*fill)(struct contender *c);
	void (*run)(struct contender *c, uint64_t messages, int traced);
	struct source *sources;
	uint64_t now_ns;
	uint32_t seq, arrival;
	uint64_t late, waits, dropped, replaced;
	uint64_t trace; /* of the order in which streams were served */
	double ns[TURNS_MAX];
	struct record_heap records;
	struct indexed_heap indexed;
	struct qs_link *link;
	uint32_t round;
	int absent; /* has nothing to show under this policy and load */
};

/* Takes the next message off, and moves the clock on; 0 when there is none. */
typedef int (*take_fn)(struct contender *c, uint32_t *stream);
typedef void (*give_fn)(struct contender *c, uint32_t stream, uint64_t deadline_ns);

INLINE void hold(struct contender *c, take_fn take, give_fn give, uint64_t messages, int traced)
{
	const struct load *load = c->load;

	while (messages-- > 0) {
		struct source *source;
		uint32_t stream;

		if (!take(c, &stream))
			die("Cannot go on: %s has nothing to send", c->name);
		if (traced)
			c->trace = (c->trace ^ stream) * 0x9e3779b97f4a7c15ull;
		if (load->sparse)
			stream = load->arrivals[c->arrival++ % ARRIVALS];
		source = &c->sources[stream];
		source->deadline_ns =
			(load->sparse ? c->now_ns : source->deadline_ns) + source->period_ns;
		give(c, stream, source->deadline_ns);
	}
}

INLINE int nothing_take(struct contender *c, uint32_t *stream)
{
	*stream = c->load->arrivals[c->round++];
	if (c->round == c->load->streams)
		c->round = 0;
	c->now_ns += c->load->tx_ns;
	return 1;
}

INLINE void nothing_give(struct contender *c, uint32_t stream, uint64_t deadline_ns)
{
	(void)c;
	__asm__ volatile("" : : "r"(stream), "r"(deadline_ns));
}

INLINE struct heap_record record_of(struct contender *c, uint32_t stream, uint64_t deadline_ns)
{
	return (struct heap_record){deadline_ns, c->seq++, stream, MESSAGE_BYTES, MESSAGE_FLAGS};
}

/* What a host looks at in a message that leaves. */
INLINE int left(struct contender *c, const struct heap_record *record, uint32_t *stream)
{
	*stream = record->stream;
	c->now_ns += c->load->tx_ns;
	c->late += record->deadline_ns < c->now_ns;
	return 1;
}

INLINE int records_take(struct contender *c, uint32_t *stream)
{
	struct heap_record record;

	return record_heap_pop(&c->records, &record) && left(c, &record, stream);
}

INLINE void records_give(struct contender *c, uint32_t stream, uint64_t deadline_ns)
{
	struct heap_record record = record_of(c, stream, deadline_ns);

	record_heap_push(&c->records, &record);
}

INLINE int indexed_take(struct contender *c, uint32_t *stream)
{
	struct heap_record record;

	return indexed_heap_pop(&c->indexed, &record) && left(c, &record, stream);
}

INLINE void indexed_give(struct contender *c, uint32_t stream, uint64_t deadline_ns)
{
	struct heap_record record = record_of(c, stream, deadline_ns);

	indexed_heap_push(&c->indexed, &record);
}

/* What was dropped, as a host hears of it. */
INLINE void reap(struct contender *c)
{
	uint32_t message;

	while ((message = qs_reap(c->link)) != QS_NONE) {
		c->dropped++;
		qs_free(c->link, message);
	}
}

INLINE int policy_take(struct contender *c, uint32_t *stream)
{
	struct qs_packet packet;

	while (!qs_dequeue(c->link, c->now_ns, 0, &packet)) {
		uint64_t next_ns = qs_next_ns(c->link);

		reap(c);
		c->waits++;
		if (next_ns == QS_FOREVER)
			return 0;
		c->now_ns = next_ns > c->now_ns ? next_ns : c->now_ns + 1;
	}
	qs_sent(c->link, &packet);
	qs_free(c->link, packet.message);
	reap(c);
	*stream = packet.stream;
	c->now_ns = packet.done_ns;
	c->late += packet.outcome == QSOCKET_LATE;
	return 1;
}

INLINE void policy_give(struct contender *c, uint32_t stream, uint64_t deadline_ns)
{
	const struct qs_arrival arrival = {
		.deadline_ns = deadline_ns, .bytes = MESSAGE_BYTES, .flags = MESSAGE_FLAGS};
	struct qs_queued queued;

	if (qs_enqueue(c->link, stream, c->now_ns, &arrival, &queued) < 0 ||
	    queued.message == QS_NONE)
		c->dropped++;
}

INLINE int ordered_take(struct contender *c, uint32_t *stream)
{
	*stream = order_take(c->link);
	c->now_ns += c->load->tx_ns;
	return 1;
}

INLINE void ordered_give(struct contender *c, uint32_t stream, uint64_t deadline_ns)
{
	order_give(c->link, stream, deadline_ns);
}

INLINE void fill(struct contender *c, give_fn give)
{
	const struct load *load = c->load;

	for (uint32_t i = 0; i < load->queued; i++) {
		uint32_t stream = load->arrivals[load->sparse ? c->arrival++ : i % load->streams];
		struct source *source = &c->sources[stream];

		if (load->sparse)
			source->deadline_ns = source->period_ns;
		else if (i >= load->streams)
			source->deadline_ns += source->period_ns;
		give(c, stream, source->deadline_ns);
	}
}

/* Before a turn: another stream's message for each that was dropped. A backlogged stream whose
 * only message was dropped stays silent; the runner takes no result with many of these. */
INLINE void refill(struct contender *c, give_fn give)
{
	uint64_t dropped = c->load->sparse ? c->dropped : 0;

	for (; c->replaced < dropped; c->replaced++) {
		uint32_t stream = c->load->arrivals[c->arrival++ % ARRIVALS];

		give(c, stream, c->now_ns + c->sources[stream].period_ns);
	}
}

/* Each contender has the loop to itself, everything but the scheduler inlined. */
#define CONTENDER(name)                                                                            \
	static void name##_run(struct contender *c, uint64_t messages, int traced)                 \
	{                                                                                          \
		refill(c, name##_give);                                                            \
		if (traced)                                                                        \
			hold(c, name##_take, name##_give, messages, 1);                            \
		else                                                                               \
			hold(c, name##_take, name##_give, messages, 0);                            \
	}                                                                                          \
                                                                                                   \
	static void name##_fill(struct contender *c)                                               \
	{                                                                                          \
		fill(c, name##_give);                                                              \
	}

CONTENDER(nothing)
CONTENDER(records)
CONTENDER(indexed)
CONTENDER(policy)
CONTENDER(ordered)

static void open_streams(struct contender *c, const struct qs_policy *policy)
{
	const struct load *load = c->load;
	uint32_t messages_max = load->queued + 64;
	void *memory = map_memory(qs_link_bytes(policy, load->streams, messages_max));

	c->link = map_memory(sizeof(*c->link));
	qs_init(c->link, policy, load->rate, memory, load->streams, messages_max);
	for (uint32_t i = 0; i < load->streams; i++) {
		/* sparse arrivals keep no period: one that hardly any of them comes before */
		const struct qsocket_attr attr = {
			.ipg_ns = load->sources[i].period_ns / (load->sparse ? SPARSE_PERIODS : 1),
			.oln = 1,
			.old = 4,
			.queue_messages = load->sparse ? SPARSE_QUEUED : load->depth + 1,
			.queue_bytes = 1ull << 40,
		};
		int32_t stream = qs_add(c->link, &attr);

		if (stream != (int32_t)i)
			die("Cannot open stream %u of %u: qs_add gave %d", i, load->streams,
			    stream);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

enum { NOTHING, RECORDS, INDEXED, POLICY, ORDERED, CONTENDERS };

static void prepare(struct contender *all, const struct load *load, const struct qs_policy *policy)
{
	static const struct contender empty[CONTENDERS] = {
		{.name = "nothing", .fill = nothing_fill, .run = nothing_run},
		{.name = "records", .fill = records_fill, .run = records_run},
		{.name = "indexed", .fill = indexed_fill, .run = indexed_run},
		{.name = "policy", .fill = policy_fill, .run = policy_run},
		{.name = "ordered", .fill = ordered_fill, .run = ordered_run},
	};
	size_t bytes = load->streams * sizeof(*load->sources);
	uint32_t slots = load->queued + 1;

	memcpy(all, empty, sizeof(empty));
	for (int i = 0; i < CONTENDERS; i++) {
		all[i].load = load;
		all[i].sources = map_memory(bytes);
		memcpy(all[i].sources, load->sources, bytes);
	}
	all[RECORDS].records.entries = map_memory(slots * sizeof(struct heap_record));
	all[INDEXED].indexed = (struct indexed_heap){
		.entries = map_memory(slots * sizeof(struct heap_slot)),
		.records = map_memory(slots * sizeof(struct heap_record)),
		.free = map_memory(slots * sizeof(uint32_t)),
	};
	for (uint32_t slot = slots; slot-- > 0;)
		all[INDEXED].indexed.free[all[INDEXED].indexed.free_len++] = slot;
	open_streams(&all[POLICY], policy);
	open_streams(&all[ORDERED], policy);
	all[ORDERED].absent = load->sparse || load->depth > 1 || !order_is_keyed(all[ORDERED].link);
	for (int i = 0; i < CONTENDERS; i++)
		if (!all[i].absent)
			all[i].fill(&all[i]);
}

/* The first messages, untimed: the heaps must agree with each other, and all on the clock. */
static void settle(struct contender *all, const struct load *load)
{
	uint64_t messages = load->streams < 200000 ? load->streams : 200000;

	for (int i = 0; i < CONTENDERS; i++)
		if (!all[i].absent)
			all[i].run(&all[i], messages, 1);
	if (all[RECORDS].trace != all[INDEXED].trace)
		die("Cannot compare: the two heaps do not serve in the same order");
	if (!all[POLICY].dropped && !all[POLICY].waits && all[POLICY].now_ns != all[RECORDS].now_ns)
		die("Cannot compare: the link's clock is %lld ns from the heaps'",
		    (long long)(all[POLICY].now_ns - all[RECORDS].now_ns));
}

static int take_turns(struct contender *all, const struct load *load, uint64_t chunk,
		      uint64_t budget_ns)
{
	uint64_t start_ns = cpu_ns(), warm = load->queued < chunk / 4 ? load->queued : chunk / 4;
	int turns = 0;

	while (turns < TURNS_MAX && (turns < TURNS_MIN || cpu_ns() - start_ns < budget_ns)) {
		for (int i = 0; i < CONTENDERS; i++) {
			uint64_t from_ns;

			if (all[i].absent)
				continue;
			all[i].run(&all[i], warm, 0);
			from_ns = cpu_ns();
			all[i].run(&all[i], chunk, 0);
			all[i].ns[turns] = (double)(cpu_ns() - from_ns) / (double)chunk;
		}
		turns++;
	}
	return turns;
}

static void print(const struct contender *all, const struct load *load, int turns)
{
	const struct contender *policy = &all[POLICY];

	printf("{\"queued\":%u,\"tx_ns\":%ju,\"messages\":%ju", load->queued,
	       (uintmax_t)load->tx_ns, (uintmax_t)(all[RECORDS].now_ns / load->tx_ns));
	printf(",\"dropped\":%ju,\"late\":%ju,\"waits\":%ju", (uintmax_t)policy->dropped,
	       (uintmax_t)policy->late, (uintmax_t)policy->waits);
	printf(",\"heap_order\":%s", policy->trace == all[RECORDS].trace ? "true" : "false");
	for (int i = 0; i < CONTENDERS; i++) {
		printf(",\"%s\":[", all[i].name);
		for (int turn = 0; turn < turns && !all[i].absent; turn++)
			printf("%s%.2f", turn ? "," : "", all[i].ns[turn]);
		printf("]");
	}
	printf("}\n");
}

static const struct qs_policy *find(const char *name)
{
	const struct qs_policy *policy = qs_policy_find(name);

	if (!policy)
		die("Cannot run: there is no policy \"%s\"", name);
	return policy;
}

static void race(char **argument)
{
	static struct contender all[CONTENDERS];
	const struct qs_policy *policy = find(argument[1]);
	struct load load;
	uint64_t chunk = (uint64_t)number(argument[6], "CHUNK", 1000, 1e9);
	uint64_t budget_ns = (uint64_t)(1e6 * number(argument[7], "BUDGET_MS", 0, 1e6));

	plan_load(&load, !strcmp(argument[0], "sparse"), argument + 2);
	prepare(all, &load, policy);
	settle(all, &load);
	print(all, &load, take_turns(all, &load, chunk, budget_ns));
}

static void list(char **names)
{
	for (; *names; names++)
		if (qs_policy_find(*names))
			puts(*names);
}

int main(int arguments, char **argument)
{
	const char *what = arguments > 1 ? argument[1] : "";

	if (arguments == 9 && (!strcmp(what, "backlogged") || !strcmp(what, "sparse")))
		race(argument + 1);
	else if (arguments == 3 && !strcmp(what, "memory"))
		memory_report(find(argument[2]));
	else if (arguments > 2 && !strcmp(what, "policies"))
		list(argument + 2);
	else
		die("Usage: sched backlogged|sparse POLICY STREAMS DEPTH SPREAD "
		    "LEAD CHUNK BUDGET_MS\n"
		    "       sched memory POLICY\n"
		    "       sched policies NAME ...");
	return 0;
}
