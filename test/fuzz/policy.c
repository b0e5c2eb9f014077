/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the scheduler alone, through the interface that its hosts have
 * (kernel/sched/sched.h): any policy, streams that come and go, messages and
 * frames good and bad, a host that is punctual or is not, packets that are
 * sent, late, refused or kept in hand. Beside it a ledger is kept of what a
 * host can know, and after each operation the two must agree (ledger.h, host.h).
 *
 * A run may be undisturbed: the host takes each packet as the one before has
 * left, and nothing but messages changes. Then what the README promises of
 * droppable streams must hold: nothing late, no partial frame.
 */
#include "host.h"

#define NOW_NS_MAX (1ull << 62)
#define MANY_MAX 4 /* operations of an input that queue a very large frame */

static const uint64_t rates[] = {1, 7, 1000, 125000, 333333, 1000000, 1000000000, 1000000000000};
static const uint32_t capacities[] = {1, 2, 3, 5, 8, 16, 40, 64, 300, 1500};
static const uint64_t starts_ns[] = {0, 1, 1000000000, 1ull << 61};
static const uint64_t periods_ns[] = {0,       0,	 1,	   1000,
				      1000000, 10000000, 40000000, QSOCKET_IPG_NS_MAX};
static const uint32_t sizes[] = {0, 1, 28, 100, 1228, 1500, 9000, 65535, QSOCKET_PACKET_BYTES_MAX};
static const uint64_t spans_ns[] = {1, 1000, 50000, 1000000, 4000000, 10000000, 1000000000};
static const uint32_t cuts[] = {0, 0, 1, 100, 1228, 3000, 20000};
static const uint64_t lags_ns[] = {0, 0, 1, 1000000, 10000000};

static uint64_t busy_ns; /* the link sends until then, if undisturbed */
static int undisturbed, many;

/* Classes for cbq: right or wrong is the scheduler's to say. */
static void make_classes(struct record *r, uint64_t rate)
{
	static const uint32_t lens[] = {0, 1, 2, 3, 5, 9, QSOCKET_CLASSES_MAX};
	uint8_t len = byte_of(r), tree = byte_of(r), share = byte_of(r), kind = byte_of(r);

	memset(classes, 0, sizeof(classes));
	classes_len = strcmp(policy_row->name, "cbq") && len < 0xf0 ? 0 : PICK(lens, len);
	for (uint32_t i = 0; i < classes_len; i++)
		classes[i] = (struct qsocket_class){
			.rate = rate / 16 * (share >> (i & 3) & 7),
			.ceil = share >> (i & 7) & 1 ? rate / (1 + (share & 3)) : 0,
			.parent = tree >> (i & 7) & 1 ? i / 2 : 0,
			.priority = (uint8_t)(kind >> (i & 1) & 7),
			.flags = (uint8_t)(kind >> (i & 7) & 1),
		};
	if (classes_len && kind == 255)
		classes[0].parent = 1;
}

static struct qsocket_attr attr_of(struct record *r)
{
	static const uint32_t windows[] = {0, 1, 2, 3, 5, 12, QSOCKET_WINDOW_MAX};
	static const uint32_t messages[] = {0, 0, 0, 1, 2, 5, QSOCKET_QUEUE_MESSAGES_MAX};
	static const uint64_t bytes[] = {0, 0, 0, 1, 1500, 10000, UINT64_MAX};
	static const uint32_t flags[] = {0, 0, QSOCKET_UNDROPPABLE, 0, QSOCKET_ADMIT};
	static const uint32_t units[] = {0, 1, 1228, 100000, QSOCKET_UNIT_BYTES_MAX};
	static const uint32_t weights[] = {0, 0, 1, 2, 10, QSOCKET_WEIGHT_MAX};
	struct qsocket_attr attr = {0};
	uint8_t period = byte_of(r), window = byte_of(r), oln = byte_of(r), queue = byte_of(r);

	attr.ipg_ns = period & 0x80 ? (period & 0x7fu) * 500000ull : PICK(periods_ns, period);
	attr.old = PICK(windows, window);
	attr.oln = oln == 255 ? attr.old : oln % (attr.old + 1);
	attr.queue_messages = PICK(messages, queue);
	attr.queue_bytes = PICK(bytes, queue >> 4);
	attr.flags = PICK(flags, byte_of(r));
	attr.unit_bytes = PICK(units, byte_of(r));
	attr.weight = PICK(weights, byte_of(r));
	attr.class_id = byte_of(r) % (classes_len + 1);
	return attr;
}

static struct flow *flow_of(uint8_t byte)
{
	struct flow *f = &flows[byte % flows_max];

	return f->open ? f : NULL;
}

static struct qs_arrival arrival_of(struct record *r)
{
	uint8_t kind = byte_of(r), size = byte_of(r), deadline = byte_of(r), cut = byte_of(r);
	struct qs_arrival a = {.deadline_ns = QS_FOREVER};

	a.flags = (uint32_t)(kind & 7) << QSOCKET_DROP_SHIFT |
		  (uint32_t)(kind >> 3 & 3) << QSOCKET_LEVEL_SHIFT |
		  (kind & 0x20 ? QSOCKET_LEADING : 0);
	a.bytes = size & 0x80 ? (size & 0x7fu) * 40u : PICK(sizes, size);
	if (deadline)
		a.deadline_ns = now_ns + (uint64_t)(deadline >> 3) * PICK(spans_ns, deadline & 7);
	if (cut & 1 && a.bytes > 0) {
		uint32_t least = (a.bytes + QSOCKET_SEGMENTS_MAX - 1) / QSOCKET_SEGMENTS_MAX;

		a.segment = least + (uint32_t)(cut >> 1) * 10;
		if (a.segment >= a.bytes)
			a.segment = 0;
	}
	return a;
}

/* One message, whatever its place in a frame. */
static void do_message(struct record *r)
{
	struct flow *f = flow_of(byte_of(r));
	struct qs_arrival a = arrival_of(r);
	uint8_t place = byte_of(r);

	if (!f)
		return;
	if (!(place & 0xe0)) /* mostly it is in order */
		a.flags |= place & 8 ? QSOCKET_FRAME | (place & 3) : 0;
	else if (f->in_frame)
		a.flags |= QSOCKET_FRAME | (place & QSOCKET_END);
	else if (place & 8)
		a.flags |= QSOCKET_FRAME | QSOCKET_START | (place & QSOCKET_END);
	enqueue(f, &a);
}

/* A frame as a sender should send it; the last message may be missing. */
static void do_frame(struct record *r)
{
	struct flow *f = flow_of(byte_of(r));
	struct qs_arrival a = arrival_of(r);
	uint8_t shape = byte_of(r);
	uint32_t len = 1 + (shape & 7), flags = a.flags | QSOCKET_FRAME;

	if ((shape & 0x38) == 0x38 && many++ < MANY_MAX)
		len = (shape & 7) * (QSOCKET_FRAME_MESSAGES_MAX / 5);
	for (uint32_t i = 0; f && i < len; i++) {
		a.flags = flags | (i == 0 && !f->in_frame ? QSOCKET_START : 0);
		if (i == len - 1 && !(shape & 0x40))
			a.flags |= QSOCKET_END;
		enqueue(f, &a);
	}
}

/* What the network makes of a stream's oldest packet in hand. */
static void settle_oldest(struct flow *f, uint8_t verdict)
{
	uint8_t reason = 0;

	if (verdict % 4 == 1 && !undisturbed)
		reason = verdict & 4 && is_droppable(f) ? QSOCKET_EXPIRED : QSOCKET_ERROR;
	settle(f, reason, (verdict & 8) != 0, (verdict & 0x10) != 0 && !undisturbed);
}

static int take_packet(uint32_t bytes_max, uint8_t verdict)
{
	struct qs_packet packet;

	if (undisturbed && busy_ns > now_ns)
		now_ns = busy_ns;
	if (hand_len == HAND_MAX)
		settle_oldest(hand[0].flow, 0);
	if (!dequeue(bytes_max, &packet))
		return 0;
	busy_ns = packet.done_ns;
	if (verdict % 4 != 3)
		while (in_hand(packet.stream))
			settle_oldest(flow_at(packet.stream), verdict);
	return 1;
}

/* The host serves for as long as it takes, or sleeps. */
static void advance(uint64_t until_ns, uint32_t bytes_max)
{
	if (until_ns > NOW_NS_MAX || until_ns < now_ns)
		return;
	for (uint32_t step = 0; undisturbed; step++) {
		uint64_t next_ns;

		MUST(step < STEPS_MAX, "the link is never through");
		if (busy_ns > now_ns)
			now_ns = busy_ns;
		if (now_ns >= until_ns)
			return;
		if (take_packet(bytes_max, 0))
			continue;
		next_ns = qs_next_ns(&qs);
		MUST(next_ns > now_ns, "asked again at once, %llu", (unsigned long long)next_ns);
		if (next_ns >= until_ns)
			break;
		now_ns = next_ns;
	}
	now_ns = until_ns;
}

static void do_dequeue(struct record *r)
{
	uint32_t bytes_max = PICK(cuts, byte_of(r));
	uint8_t times = byte_of(r), verdict = byte_of(r), lag = byte_of(r);

	if (!undisturbed)
		qs.lag_ns = PICK(lags_ns, lag);
	for (uint32_t i = 0; i <= times % 8u; i++) {
		if (!take_packet(bytes_max, verdict))
			break;
		if (lag & 0x80 && busy_ns > now_ns && busy_ns < NOW_NS_MAX)
			now_ns = busy_ns;
	}
}

static void do_settle(struct record *r)
{
	struct flow *f = flow_of(byte_of(r));
	uint8_t times = byte_of(r), verdict = byte_of(r);

	for (uint32_t i = 0; f && i <= times % 4u && in_hand(f->index); i++)
		settle_oldest(f, verdict);
}

static void do_advance(struct record *r)
{
	uint8_t span = byte_of(r), times = byte_of(r), cut = byte_of(r);
	uint64_t next_ns = qs_next_ns(&qs);

	if (span == 255 && next_ns > now_ns)
		advance(next_ns, PICK(cuts, cut));
	else
		advance(now_ns + PICK(spans_ns, span) * (times + 1u), PICK(cuts, cut));
}

static void do_stream(struct record *r)
{
	uint8_t which = byte_of(r), what = byte_of(r);
	struct flow *f = flow_of(which);
	struct qsocket_attr attr = attr_of(r);

	if (!f)
		open_flow(&attr);
	else if (what % 4 == 0 && !undisturbed)
		close_flow(f, what & 4);
	else if (what % 4 == 1 && !undisturbed)
		lose_flow(f, what & 4 ? QSOCKET_CLOSED : QSOCKET_ERROR);
	else if (what % 4 == 2 && !undisturbed)
		change_flow(f, &attr);
	else
		open_flow(&attr);
}

static void do_host(struct record *r)
{
	uint8_t what = byte_of(r), which = byte_of(r);
	struct flow *f = flow_of(which);

	if (undisturbed)
		return;
	if (what % 4 == 0) {
		qs_rate(&qs, PICK(rates, which));
		TRACE("rate %llu\n", (unsigned long long)qs.rate);
	} else if (f) {
		f->blocked = what % 4 == 1;
		qs_block(&qs, f->index, f->blocked);
		TRACE("block %u %d\n", f->index, f->blocked);
	}
	reap();
}

/* All that can leave leaves, within bounds; what is left waits for its end. */
static void drain(void)
{
	while (hand_len > 0)
		settle_oldest(hand[0].flow, 0);
	for (uint32_t i = 0; i < flows_max; i++) {
		if (flows[i].open && flows[i].blocked) {
			flows[i].blocked = 0;
			qs_block(&qs, flows[i].index, 0);
		}
	}
	if (!undisturbed) {
		qs.lag_ns = 0;
		qs_rate(&qs, 1000000000000);
	}
	for (uint32_t step = 0;; step++) {
		uint64_t next_ns;

		MUST(step < STEPS_MAX, "the queue is never empty");
		if (busy_ns > now_ns && busy_ns < NOW_NS_MAX)
			now_ns = busy_ns;
		if (take_packet(0, 0))
			continue;
		next_ns = qs_next_ns(&qs);
		if (next_ns >= NOW_NS_MAX)
			break;
		MUST(next_ns > now_ns, "asked again at once, %llu", (unsigned long long)next_ns);
		now_ns = next_ns;
	}
	for (uint32_t i = 0; i < flows_max; i++)
		if (flows[i].open)
			check_drained(&flows[i]);
}

static const struct {
	void (*run)(struct record *r);
	uint8_t share; /* of 32 */
} operations[] = {{do_message, 6}, {do_frame, 8},  {do_dequeue, 7}, {do_settle, 2},
		  {do_advance, 4}, {do_stream, 3}, {do_host, 2}};

static void operate(struct record r)
{
	uint8_t what = byte_of(&r) % 32;

	for (uint32_t i = 0; i < LEN(operations); i++) {
		if (what < operations[i].share) {
			operations[i].run(&r);
			return;
		}
		what -= operations[i].share;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	tracing = getenv("FUZZ_TRACE") != NULL;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct record head = record_at(data, bytes, 0);
	uint8_t name = byte_of(&head), streams = byte_of(&head), capacity = byte_of(&head);
	uint8_t rate = byte_of(&head), kind = byte_of(&head), start = byte_of(&head);

	if (!find_policy(name))
		return 0;
	now_ns = PICK(starts_ns, start);
	busy_ns = 0;
	many = 0;
	undisturbed = kind & 1;
	owed = (kind & 2) != 0;
	promised = undisturbed && policy_row->in_time;
	make_classes(&head, PICK(rates, rate));
	open_link(PICK(rates, rate), 1 + streams % FLOWS_MAX, PICK(capacities, capacity));
	qs.guard_ns = kind & 4 ? 1000000 : 0;
	for (uint32_t i = 1; i < records_len(bytes); i++) {
		operate(record_at(data, bytes, i));
		check_all();
	}
	drain();
	close_link();
	return 0;
}
