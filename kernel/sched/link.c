/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A link's memory, and the streams' life on it.
 */
#include "parts.h"

/* Messages that the host still holds (being sent, not yet reaped) come on top
 * of those that are queued: some, and one of every stream. */
#define HELD_MAX 3072u

/* In reach of rings: a second of deadlines, a megabyte of best effort's tags. */
#define TIME_SPAN_LOG 30
#define BYTES_SPAN_LOG 20

const struct qs_policy *qs_policy_find(const char *name)
{
	static const struct qs_policy *const all[] = {
		&qs_dwcs,	  &qs_dwcs99, &qs_vds, &qs_edf,
		&qs_edf_lossless, &qs_fifo,   &qs_sfq, &qs_cbq,
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *a = all[i]->name, *b = name;

		while (*a && *a == *b)
			a++, b++;
		if (*a == *b)
			return all[i];
	}
	return NULL;
}

static size_t round_up(size_t bytes)
{
	return (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT;
}

uint32_t qs_messages_held(uint32_t streams_max, uint32_t messages_max)
{
	return messages_max + streams_max + HELD_MAX;
}

/* The parts of a link's memory, in this order. */
enum part {
	STREAMS,
	LEDGERS,
	UNITS,
	MESSAGES,
	WATCH_PLACES,
	WATCH_RING,
	PLACES,
	MANAGED_HEAP,
	MANAGED_RING,
	REST_HEAP,
	REST_RING,
	RANKS_PLACES,
	RANKS_HEAP,
	RANKS_RING,
	OWN,
	PARTS
};

static void measure(const struct qs_policy *policy, uint32_t streams_max, uint32_t messages_max,
		    size_t bytes[PARTS])
{
	size_t streams = streams_max, messages = messages_max, apart = policy->ranks_apart;

	bytes[STREAMS] = streams * sizeof(struct qs_stream);
	bytes[LEDGERS] = streams * sizeof(struct qs_ledger);
	bytes[UNITS] = messages * sizeof(struct qs_unit);
	bytes[MESSAGES] = qs_messages_held(streams_max, messages_max) * sizeof(struct qs_message);
	bytes[WATCH_PLACES] = messages * sizeof(struct qs_place);
	bytes[PLACES] = streams * sizeof(struct qs_place);
	bytes[MANAGED_HEAP] = bytes[REST_HEAP] = streams * sizeof(struct qs_heap_entry);
	bytes[WATCH_RING] = qs_ring_bytes(messages_max);
	bytes[MANAGED_RING] = bytes[REST_RING] = qs_ring_bytes(streams_max);
	bytes[RANKS_PLACES] = apart * bytes[PLACES];
	bytes[RANKS_HEAP] = apart * bytes[MANAGED_HEAP];
	bytes[RANKS_RING] = apart * bytes[MANAGED_RING];
	bytes[OWN] = policy->own_bytes;
}

size_t qs_link_bytes(const struct qs_policy *policy, uint32_t streams_max, uint32_t messages_max)
{
	size_t bytes[PARTS], sum = 0;

	measure(policy, streams_max, messages_max, bytes);
	for (unsigned i = 0; i < PARTS; i++)
		sum += round_up(bytes[i]);
	return sum;
}

static void init_queue(struct qs_queue *queue, void *places, void *heap, void *ring,
		       uint32_t streams_max, uint8_t span_log,
		       void (*key)(const struct qs_stream *, struct qs_key *))
{
	queue->key = key;
	queue->heap.entries = heap;
	queue->heap.places = places;
	qs_ring_init(&queue->ring, ring, places, streams_max, span_log);
}

void qs_init(struct qs_link *link, const struct qs_policy *policy, uint64_t rate, void *memory,
	     uint32_t streams_max, uint32_t messages_max)
{
	size_t bytes[PARTS];
	char *parts[PARTS], *next = memory;

	measure(policy, streams_max, messages_max, bytes);
	for (unsigned i = 0; i < PARTS; i++) {
		parts[i] = next;
		next += round_up(bytes[i]);
	}
	*link = (struct qs_link){
		.policy = policy,
		.streams = (void *)parts[STREAMS],
		.ledgers = (void *)parts[LEDGERS],
		.units = (void *)parts[UNITS],
		.messages = (void *)parts[MESSAGES],
		.streams_max = streams_max,
		.messages_max = messages_max,
		.messages_held = qs_messages_held(streams_max, messages_max),
		.streams_free = QS_NONE,
		.units_free = QS_NONE,
		.messages_free = QS_NONE,
		.dead = QS_NONE,
		.watch = {.places = (void *)parts[WATCH_PLACES], .root = QS_NONE, .first = QS_NONE},
		.own = parts[OWN],
	};
	qs_rate(link, rate);
	qs_ring_init(&link->watch.ring, parts[WATCH_RING], link->watch.places, messages_max,
		     TIME_SPAN_LOG);
	init_queue(&link->managed, parts[PLACES], parts[MANAGED_HEAP], parts[MANAGED_RING],
		   streams_max, policy->key_span_log, policy->key);
	init_queue(&link->rest, parts[PLACES], parts[REST_HEAP], parts[REST_RING], streams_max,
		   BYTES_SPAN_LOG, qs_tag_key);
	if (policy->ranks_apart)
		init_queue(&link->ranks, parts[RANKS_PLACES], parts[RANKS_HEAP], parts[RANKS_RING],
			   streams_max, TIME_SPAN_LOG, qs_rank_key);
	if (policy->own_init)
		policy->own_init(link);
}

/* The stream's attributes; a window that did not change goes on. */
void qs_change(struct qs_link *link, uint32_t stream, const struct qsocket_attr *attr)
{
	struct qs_stream *s = &link->streams[stream];
	int same_window = s->x == attr->oln && s->y == attr->old;
	int same_period = s->period_ns == attr->ipg_ns;

	qs_unbook(link, s);
	if (s->competes)
		qs_withdraw(link, stream);
	s->period_ns = attr->ipg_ns;
	s->x = (uint16_t)attr->oln;
	s->y = (uint16_t)attr->old;
	s->unit_bytes = attr->unit_bytes;
	s->weight = attr->weight ? attr->weight : 1;
	s->class_id = (uint8_t)attr->class_id;
	s->messages_max =
		attr->queue_messages ? attr->queue_messages : QSOCKET_STREAM_MESSAGES_DEFAULT;
	s->bytes_max = attr->queue_bytes ? attr->queue_bytes : QSOCKET_STREAM_BYTES_DEFAULT;
	s->lossy = link->policy->lossy && !(attr->flags & QSOCKET_UNDROPPABLE);
	s->undroppable = (attr->flags & QSOCKET_UNDROPPABLE) != 0;
	qs_book(link, s);
	if (!same_window)
		qs_window_reset(s);
	if (!same_period) {
		s->released = 0; /* what it owed in periods that are no more is forgotten */
		/* managed or not is the head's from when it was ranked: rank it anew */
		if (s->head != QS_NONE && !(link->units[s->head].flags & QS_BEGUN))
			link->units[s->head].flags &= (uint16_t)~QS_READY;
		else if (link->policy->slides && s->period_ns == 0 && s->managed) {
			s->managed = 0;
			if (s->head != QS_NONE)
				qs_tag(link, stream);
		}
	}
	qs_settle(link, stream);
}

int32_t qs_add(struct qs_link *link, const struct qsocket_attr *attr)
{
	uint32_t stream = link->streams_free;
	struct qs_stream *s;

	if (stream == QS_NONE && link->streams_used == link->streams_max)
		return -QS_ENOSPC;
	if (stream == QS_NONE)
		stream = link->streams_used++;
	s = &link->streams[stream];
	if (stream == link->streams_free)
		link->streams_free = s->head;
	*s = (struct qs_stream){
		.head = QS_NONE,
		.tail = QS_NONE,
		.open = QS_NONE,
		.kinds = QS_NONE,
		.fifo_level = QSOCKET_LEVEL_NONE,
	};
	qs_change(link, stream, attr);
	qs_window_reset(s);
	return (int32_t)stream;
}

void qs_flush(struct qs_link *link, uint32_t stream, uint8_t reason)
{
	struct qs_stream *s = &link->streams[stream];

	while (s->head != QS_NONE)
		qs_drop(link, s->head, reason);
	if (s->fifo_open) {
		struct qs_ledger *ledger = qs_ledger(link, stream);

		ledger->frames_dropped[s->fifo_level][s->fifo_lost ? s->fifo_lost : reason]++;
		ledger->frames_partial += ledger->left_frame == ledger->fifo_seq + 1;
		s->fifo_open = 0;
	}
}

void qs_remove(struct qs_link *link, uint32_t stream)
{
	struct qs_stream *s = &link->streams[stream];

	qs_flush(link, stream, QSOCKET_CLOSED);
	qs_unbook(link, s);
	if (s->ledgered)
		link->ledgers[stream] = (struct qs_ledger){0};
	s->head = link->streams_free;
	link->streams_free = stream;
}

void qs_rate(struct qs_link *link, uint64_t rate)
{
	link->rate = rate;
	link->product_ns_max = UINT64_MAX / rate;
}

/* Every message offered is sent, late, dropped or queued: what was offered need
 * not be counted apart. */
static void add_ledger(const struct qs_ledger *ledger, struct qsocket_info *info)
{
	for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++) {
		info->dropped[reason] += ledger->dropped[reason];
		info->offered += ledger->dropped[reason];
	}
	for (unsigned drop = 0; drop < QS_PRIORITIES; drop++)
		info->dropped_by_priority[drop] += ledger->dropped_by_priority[drop];
	info->dropped_bytes += ledger->dropped_bytes;
	info->offered_bytes += ledger->dropped_bytes;
	for (unsigned level = 0; level < QS_LEVELS; level++) {
		info->frames_offered[level] += ledger->frames_offered[level];
		info->frames_sent[level] += ledger->frames_sent[level];
		info->frames_late[level] += ledger->frames_late[level];
		for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++)
			info->frames_dropped[level][reason] +=
				ledger->frames_dropped[level][reason];
	}
	info->frames_partial += ledger->frames_partial;
}

/* What has been handed out already of a message that is still queued. */
static uint64_t handed_out_bytes(const struct qs_link *link, const struct qs_stream *s)
{
	const struct qs_message *m;

	if (s->head == QS_NONE)
		return 0;
	m = &link->messages[link->units[s->head].first];
	return m->bytes - m->left;
}

/* Adds a stream's counters to `info`, and says what the stream is now. */
void qs_info(const struct qs_link *link, uint32_t stream, struct qsocket_info *info)
{
	const struct qs_stream *s = &link->streams[stream];

	info->attr = (struct qsocket_attr){
		.ipg_ns = s->period_ns,
		.oln = s->x,
		.old = s->y,
		.flags = s->undroppable ? QSOCKET_UNDROPPABLE : 0,
		.queue_messages = s->messages_max,
		.queue_bytes = s->bytes_max,
		.unit_bytes = s->unit_bytes,
		.weight = s->weight,
		.class_id = s->class_id,
	};
	info->window_lost = s->x_left;
	info->window_left = s->y_left;
	info->violations += s->violations;
	info->offered += s->sent + s->late + s->messages;
	info->sent += s->sent;
	info->late += s->late;
	info->offered_bytes += s->sent_bytes + s->bytes + handed_out_bytes(link, s);
	info->sent_bytes += s->sent_bytes;
	info->queued += s->messages;
	info->queued_bytes += s->bytes;
	info->delay_ns_sum += s->delay_ns_sum;
	if (s->delay_ns_max > info->delay_ns_max)
		info->delay_ns_max = s->delay_ns_max;
	if (s->open != QS_NONE || s->fifo_open)
		info->state |= QSOCKET_STATE_FRAME_OPEN;
	if (s->blocked)
		info->state |= QSOCKET_STATE_BLOCKED;
	if (s->ledgered)
		add_ledger(&link->ledgers[stream], info);
}
