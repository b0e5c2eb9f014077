/* SPDX-License-Identifier: MIT
 * The scheduler's queues against a look at everything: whatever is added,
 * moved, blocked, changed, served or lost, and whatever keys it has, the first
 * ready stream, the units that can expire, in their order, and the unit that
 * overflow takes are those that a search finds; nothing is served before the
 * time that was told; and a ring's buckets, bits and chunks agree.
 *
 *	queues [SEED [ROUNDS]]
 */
#include <stdlib.h>

#include "check.h"
#include "sched/parts.h"

#if defined(__SANITIZE_THREAD__) /* there is but one thread: nothing to find */
#define ROUNDS 1
#else
#define ROUNDS 6
#endif

#define IDS 3000u
#define STREAMS 150u
#define MESSAGES 1200u
#define STEPS 6000u
#define WINDOW_NS 1000000000u

static uint64_t seed = 20241;
static uint32_t rounds = ROUNDS;

static uint32_t below(uint32_t limit)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 33) % limit);
}

static uint64_t any(void)
{
	return (uint64_t)below(1u << 31) << 33 | (uint64_t)below(1u << 31) << 2 | below(4);
}

static void *zeros(size_t bytes)
{
	size_t all = (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT;
	void *memory = aligned_alloc(QS_ALIGNMENT, all);

	return memory ? memset(memory, 0, all) : memory;
}

/* ---- rings -------------------------------------------------------------- */

/* Near each other, within a ring's reach, beyond it, equal, or at the ends. */
static uint64_t key_near(uint64_t at, uint32_t kind)
{
	switch (kind) {
	case 0:
		return at;
	case 1:
		return at + below(100000);
	case 2:
		return at + below(WINDOW_NS);
	case 3:
		return at - below(WINDOW_NS / 2);
	case 4:
		return at + below(8) * (uint64_t)WINDOW_NS;
	case 5:
		return UINT64_MAX - below(3);
	case 6:
		return (1ull << 62) - 2 + below(4);
	default:
		return any();
	}
}

/* Buckets, bits, chunks and places are of one mind. */
static const char *ring_sound(const struct qs_ring *ring, uint32_t ids_max)
{
	uint32_t len = 0, chunks = 0;
	uint64_t first = QS_FOREVER;

	for (uint64_t number = ring->base; number - ring->base <= ring->mask; number++) {
		uint32_t slot = (uint32_t)number & ring->mask;
		const struct qs_bucket *bucket = &ring->buckets[slot];
		uint32_t left = bucket->len, chunk = bucket->chunk;

		HOLDS((ring->bits[slot / 64] >> slot % 64 & 1) == (left > 0));
		HOLDS(left <= QS_BUCKET_MAX);
		len += left;
		if (left && first == QS_FOREVER)
			first = number;
		for (; left > 0; chunk = ring->chunks_next[chunk], chunks++) {
			HOLDS(chunk < ring->chunks_used);
			for (uint32_t i = (left - 1) % QS_CHUNK_IDS + 1; i-- > 0; left--) {
				const struct qs_place *place =
					&ring->places[ring->chunks[chunk].ids[i]];

				HOLDS(place->a == chunk && place->b == i);
				HOLDS(place->c == (QS_IN_RING | slot));
			}
		}
	}
	for (uint32_t i = ring->chunks_free; i != QS_NONE; i = ring->chunks_next[i])
		chunks++;
	HOLDS(len == ring->len && (len == 0 || ring->first <= first));
	HOLDS(len == 0 || ring->first >= ring->base);
	HOLDS(chunks == ring->chunks_used && chunks <= ids_max);
	for (uint32_t word = 0; word <= ring->mask / 64; word++)
		HOLDS((ring->words[word / 64] >> word % 64 & 1) == (ring->bits[word] != 0));
	for (uint32_t group = 0; group < 64; group++)
		HOLDS((ring->groups >> group & 1) == (ring->words[group] != 0));
	return NULL;
}

/* Takes the first bucket: all that is in the ring and of the lowest number. */
static const char *take(struct qs_ring *ring, uint64_t *keys, uint8_t *in, uint64_t *at)
{
	uint64_t number = UINT64_MAX;
	uint32_t expected = 0, len;

	for (uint32_t id = 0; id < IDS; id++)
		if (in[id] && keys[id] >> ring->shift < number)
			number = keys[id] >> ring->shift;
	for (uint32_t id = 0; id < IDS; id++)
		expected += in[id] && keys[id] >> ring->shift == number;
	HOLDS(ring->base <= ring->first && ring->first <= number);
	len = qs_ring_take(ring);
	if (!len) /* what it took for the first was empty by now */
		len = qs_ring_take(ring);
	HOLDS(len == expected && len <= QS_BUCKET_MAX);
	for (uint32_t i = 0; i < len; i++) {
		uint32_t id = ring->taken[i];

		HOLDS(in[id] && keys[id] >> ring->shift == number);
		in[id] = 0;
	}
	if (*at < number << ring->shift)
		*at = number << ring->shift;
	return NULL;
}

static const char *rings(uint8_t span_log)
{
	static uint64_t keys[IDS];
	static uint8_t in[IDS];
	static struct qs_place places[IDS];
	void *memory = zeros(qs_ring_bytes(IDS));
	uint64_t at = below(2) ? WINDOW_NS : any() >> below(40);
	uint32_t crowd = 1 + below(IDS - 1), first_kind = below(3), patience = below(2) ? 8 : 2000;
	struct qs_ring ring;
	const char *why;

	memset(in, 0, sizeof(in));
	qs_ring_init(&ring, memory, places, IDS, span_log);
	for (uint32_t step = 0; step < 4 * STEPS; step++) {
		uint32_t id = below(crowd), bucket_len = 0;
		uint64_t key = key_near(at, below(4) ? first_kind : below(8)), number;

		if (below(16) == 0) /* at the end of its reach */
			key = (ring.base + ring.mask - 1 + below(4)) << ring.shift;
		if (in[id] && below(patience) == 0) {
			why = take(&ring, keys, in, &at);
			if (why)
				return why;
		} else if (in[id]) {
			if (patience > 8 && below(8))
				continue;
			qs_ring_remove(&ring, id);
			in[id] = 0;
		} else {
			number = key >> ring.shift;
			if (ring.len)
				bucket_len = ring.buckets[number & ring.mask].len;
			if (qs_ring_add(&ring, id, key)) {
				keys[id] = key;
				in[id] = 1;
			} else {
				HOLDS(number >= 1ull << 62 || bucket_len == QS_BUCKET_MAX ||
				      number - ring.base > ring.mask);
			}
		}
		if (step % 512 == 0 && (why = ring_sound(&ring, IDS)))
			return why;
	}
	free(memory);
	return NULL;
}

static const char *any_ring(void)
{
	static const uint8_t spans[] = {0, 20, 30, 50, 63};

	for (uint32_t i = 0; i < rounds * sizeof(spans); i++) {
		const char *why = rings(spans[i % sizeof(spans)]);

		if (why)
			return why;
	}
	return NULL;
}

/* ---- a link ------------------------------------------------------------- */

static struct qs_link link;
static uint64_t now_ns;
static uint8_t added[STREAMS];
static uint64_t offered[STREAMS];

static int key_before(const struct qs_key *a, const struct qs_key *b)
{
	if (a->first != b->first)
		return a->first < b->first;
	return a->second != b->second ? a->second < b->second : a->third < b->third;
}

/* The first stream of a queue is the first of all that compete for it. */
static const char *queue_sound(struct qs_queue *queue, int managed)
{
	uint32_t best = QS_NONE, len = 0;
	struct qs_key best_key = {0}, key;

	for (uint32_t i = 0; i < STREAMS; i++) {
		const struct qs_stream *s = &link.streams[i];

		if (!added[i])
			continue;
		HOLDS(s->competes ==
		      (s->head != QS_NONE && !s->blocked && link.units[s->head].flags & QS_ENDED));
		if (!s->competes || s->managed != managed)
			continue;
		len++;
		if (queue == &link.ranks)
			key = (struct qs_key){s->rank_ns, s->seq, 0};
		else if (managed)
			link.policy->key(s, &key);
		else
			qs_tag_key(s, &key);
		if (best == QS_NONE || key_before(&key, &best_key)) {
			best = i;
			best_key = key;
		}
	}
	HOLDS(len == queue->ring.len + queue->heap.len);
	HOLDS(qs_queue_first(queue, &link) == best);
	for (uint32_t i = 0; i < queue->heap.len; i++)
		HOLDS(queue->heap.places[queue->heap.entries[i].stream].c == i);
	return NULL;
}

static int by_due(const void *a, const void *b)
{
	const struct qs_unit *u = &link.units[*(const uint32_t *)a];
	const struct qs_unit *v = &link.units[*(const uint32_t *)b];

	return qs_due_before(u, v) ? -1 : 1;
}

static uint64_t first_deadline_ns(const struct qs_unit *u)
{
	uint64_t first_ns = QS_FOREVER;

	for (uint32_t i = u->first; i != QS_NONE; i = link.messages[i].next)
		if (link.messages[i].deadline_ns < first_ns)
			first_ns = link.messages[i].deadline_ns;
	return first_ns;
}

/* Units not begun that can expire come in the order of their deadlines. */
static const char *watch_sound(uint32_t depth)
{
	static uint32_t units[MESSAGES];
	uint32_t len = 0, by_drop[QS_PRIORITIES] = {0}, unit;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < STREAMS; i++) {
		if (!added[i])
			continue;
		for (unit = link.streams[i].head; unit != QS_NONE; unit = link.units[unit].next) {
			const struct qs_unit *u = &link.units[unit];
			int watched = u->flags & QS_MORTAL && !(u->flags & QS_BEGUN);

			HOLDS(watched == ((u->flags & QS_WATCHED) != 0));
			if (!watched)
				continue;
			HOLDS(u->due_ns == first_deadline_ns(u));
			units[len++] = unit;
			bytes += u->bytes;
			by_drop[u->drop]++;
		}
	}
	HOLDS(bytes == link.watch.bytes);
	HOLDS(!memcmp(by_drop, link.watch.by_drop, sizeof(by_drop)));
	qsort(units, len, sizeof(*units), by_due);
	HOLDS(!len || qs_watch_bound_ns(&link) <= link.units[units[0]].due_ns);
	unit = qs_watch_first(&link);
	for (uint32_t i = 0; i < len && i < depth; i++) {
		HOLDS(unit == units[i]);
		unit = qs_watch_next(&link, unit);
	}
	HOLDS(len > depth || unit == QS_NONE);
	return NULL;
}

/* The least valuable unit of a stream that has not begun, the last of equals. */
static const char *worth_sound(uint32_t stream)
{
	const struct qs_stream *s = &link.streams[stream];
	uint32_t best = QS_NONE, except = below(2) ? s->open : s->tail;

	for (uint32_t unit = s->head; unit != QS_NONE; unit = link.units[unit].next) {
		const struct qs_unit *u = &link.units[unit], *v = &link.units[best];

		if (unit == except || u->flags & QS_BEGUN)
			continue;
		if (best == QS_NONE || u->drop < v->drop ||
		    (u->drop == v->drop && u->level >= v->level))
			best = unit;
	}
	HOLDS(qs_least_valuable(&link, s, except) == best);
	return NULL;
}

static const char *counted(uint32_t stream)
{
	struct qsocket_info info = {0};

	qs_info(&link, stream, &info);
	HOLDS(info.offered == offered[stream] && balanced(&info));
	return NULL;
}

static void reap(void)
{
	uint32_t message;

	while ((message = qs_reap(&link)) != QS_NONE)
		qs_free(&link, message);
}

static void offer(uint32_t stream, uint32_t kind)
{
	const struct qs_stream *s = &link.streams[stream];
	int open = s->open != QS_NONE || s->discarding || s->fifo_open;
	uint32_t level = below(4);
	struct qs_arrival arrival = {
		.deadline_ns = below(8) ? key_near(now_ns + WINDOW_NS, kind) : QS_FOREVER,
		.bytes = below(1500),
		.flags = below(8) << QSOCKET_DROP_SHIFT,
	};
	struct qs_queued queued;
	int32_t error;

	if (below(2)) /* with others at the beginning of a bucket */
		arrival.deadline_ns &= ~0ull << 20;
	if (below(32) == 0)
		arrival.deadline_ns = now_ns - below(2);
	if (below(64) == 0)
		open = !open; /* against the protocol */
	if (open || below(2))
		arrival.flags |= QSOCKET_FRAME | level << QSOCKET_LEVEL_SHIFT |
				 (below(3) ? 0 : QSOCKET_END) | (open ? 0 : QSOCKET_START) |
				 (below(4) ? 0 : QSOCKET_LEADING);
	if (below(4) == 0)
		arrival.segment = 100;
	offered[stream]++;
	error = qs_enqueue(&link, stream, now_ns, &arrival, &queued);
	if (error == -QS_EPROTO || error == -QS_EMSGSIZE)
		qs_refuse(&link, stream, &arrival, QSOCKET_INCOMPLETE);
	reap();
}

static const char *serve(void)
{
	struct qs_packet packet;
	uint64_t open_ns;

	if (link.policy->lossy)
		qs_expire(&link, now_ns);
	open_ns = qs_open_ns(&link);
	if (qs_dequeue(&link, now_ns, below(3) * 700, &packet)) {
		HOLDS(open_ns <= now_ns);
		if (below(8) == 0)
			qs_unsend(&link, &packet, QSOCKET_ERROR, below(2));
		else
			qs_sent(&link, &packet);
		/* a message that was refused in the middle is among the dead */
		if (packet.done)
			qs_free(&link, packet.message);
		now_ns += below(2) ? packet.bytes * 1000 : 0;
	}
	reap();
	return NULL;
}

static struct qsocket_attr some_attr(void)
{
	struct qsocket_attr attr = {
		.ipg_ns = below(3) ? 1 + below(3) * 1000000ull * below(100) : 0,
		.old = below(2) * (1 + below(8)),
		.flags = below(6) ? 0 : QSOCKET_UNDROPPABLE,
		.queue_messages = 1 + below(100),
		.queue_bytes = 1 + below(40000),
		.unit_bytes = below(2000),
		.weight = below(4),
		.class_id = link.policy == &qs_cbq ? below(4) : 0,
	};

	attr.oln = attr.old ? below(attr.old + 1) : 0;
	if (attr.class_id == 1)
		attr.class_id = 0;
	return attr;
}

static void disturb(uint32_t stream)
{
	struct qsocket_attr attr = some_attr();

	switch (below(6)) {
	case 0:
		qs_flush(&link, stream, QSOCKET_CLOSED);
		break;
	case 1:
		qs_remove(&link, stream);
		added[stream] = 0;
		break;
	case 2:
		qs_rate(&link, 1 + (any() >> (24 + below(40))) % QSOCKET_RATE_MAX);
		break;
	case 3:
		now_ns += below(WINDOW_NS);
		break;
	default:
		qs_change(&link, stream, &attr);
	}
	reap();
}

static const char *link_sound(uint32_t stream)
{
	const char *why = NULL;

	if (!link.policy->order)
		why = queue_sound(&link.managed, 1);
	if (!why)
		why = queue_sound(&link.rest, 0);
	if (!why && link.policy->ranks_apart)
		why = queue_sound(&link.ranks, 1);
	if (!why && below(16) == 0)
		why = watch_sound(below(3) ? below(8) : MESSAGES);
	if (!why && added[stream] && link.policy->frames)
		why = worth_sound(stream);
	if (!why && added[stream])
		why = counted(stream);
	return why;
}

static const char *play(uint32_t streams, uint32_t kind)
{
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t stream = below(streams);
		const char *why;

		if (!added[stream]) {
			struct qsocket_attr attr = some_attr();
			int32_t got = qs_add(&link, &attr);

			HOLDS(got >= 0 && !added[got]);
			stream = (uint32_t)got;
			added[stream] = 1;
			offered[stream] = 0;
		} else if (below(40) == 0) {
			disturb(stream);
		} else if (below(12) == 0) {
			qs_block(&link, stream, below(3) == 0);
		} else if (below(5) < 2) {
			why = serve();
			if (why)
				return why;
		} else {
			offer(stream, below(3) ? kind : below(8));
		}
		why = link_sound(stream);
		if (!why && step % 512 == 0) {
			why = ring_sound(&link.watch.ring, MESSAGES);
			if (!why)
				why = ring_sound(&link.managed.ring, STREAMS);
		}
		if (why)
			return why;
	}
	return NULL;
}

static const char *queues_of(const char *name)
{
	static const struct qsocket_class classes[] = {
		{.rate = 500, .flags = QSOCKET_BORROWS},
		{.rate = 100, .ceil = 400, .parent = 1},
		{.rate = 300, .parent = 1, .flags = QSOCKET_BORROWS},
	};
	const struct qs_policy *policy = qs_policy_find(name);

	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t streams = round % 3 == 2 ? 3 : STREAMS;
		void *memory = zeros(qs_link_bytes(policy, streams, MESSAGES));
		const char *why;

		memset(added, 0, sizeof(added));
		qs_init(&link, policy, 1000000, memory, streams, MESSAGES);
		HOLDS(policy != &qs_cbq || !qs_classes(&link, classes, 3));
		now_ns = 1 + below(2) * (uint64_t)below(WINDOW_NS);
		why = play(streams, round % 4);
		if (why)
			return why;
		free(memory);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"dwcs",	    "dwcs99", "vds", "edf",
					    "edf-lossless", "fifo",   "sfq", "cbq"};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		rounds = (uint32_t)strtoul(argv[2], NULL, 0);
	check("a ring of buckets keeps what it was given", any_ring());
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s: queues find what a search finds", names[i]);
		check(name, queues_of(names[i]));
	}
	return check_end();
}
