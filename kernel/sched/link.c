/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * A link's memory, and the streams' life on it.
 */
#include "parts.h"

/* Messages that the host still holds (being sent, not yet reaped) come on top
 * of those that are queued. */
#define HELD_MAX 4096u

const struct qs_policy *qs_policy_find(const char *name)
{
	static const struct qs_policy *const all[] = {
		&qs_dwcs, &qs_dwcs99, &qs_vds, &qs_edf, &qs_edf_lossless, &qs_fifo,
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
	return (bytes + 15) / 16 * 16;
}

uint32_t qs_messages_held(uint32_t messages_max)
{
	return messages_max + HELD_MAX;
}

static size_t heap_bytes(uint32_t streams_max)
{
	return round_up(streams_max * sizeof(struct qs_heap_entry)) +
	       round_up(streams_max * sizeof(uint32_t));
}

size_t qs_link_bytes(const struct qs_policy *policy, uint32_t streams_max, uint32_t messages_max)
{
	return round_up(streams_max * sizeof(struct qs_stream)) +
	       round_up(messages_max * sizeof(struct qs_unit)) +
	       round_up(qs_messages_held(messages_max) * sizeof(struct qs_message)) +
	       (policy->ranks_apart ? 3 : 2) * heap_bytes(streams_max) +
	       round_up(policy->own_bytes);
}

static void *take(char **memory, size_t bytes)
{
	void *taken = *memory;

	*memory += round_up(bytes);
	return taken;
}

static void heap_init(struct qs_heap *heap, char **memory, uint32_t streams_max,
		      void (*key)(const struct qs_stream *, struct qs_key *))
{
	heap->entries = take(memory, streams_max * sizeof(struct qs_heap_entry));
	heap->places = take(memory, streams_max * sizeof(uint32_t));
	heap->key = key;
	for (uint32_t i = 0; i < streams_max; i++)
		heap->places[i] = QS_NONE;
}

void qs_init(struct qs_link *link, const struct qs_policy *policy, uint64_t rate, void *memory,
	     uint32_t streams_max, uint32_t messages_max)
{
	char *free_memory = memory;
	uint32_t held = qs_messages_held(messages_max);

	*link = (struct qs_link){
		.policy = policy,
		.rate = rate,
		.messages_max = messages_max,
		.dead = QS_NONE,
		.watch = QS_NONE,
	};
	link->streams = take(&free_memory, streams_max * sizeof(struct qs_stream));
	link->units = take(&free_memory, messages_max * sizeof(struct qs_unit));
	link->messages = take(&free_memory, held * sizeof(struct qs_message));
	heap_init(&link->managed, &free_memory, streams_max, policy->key);
	heap_init(&link->rest, &free_memory, streams_max, qs_tag_key);
	if (policy->ranks_apart)
		heap_init(&link->ranks, &free_memory, streams_max, qs_rank_key);
	link->own = take(&free_memory, policy->own_bytes);
	if (policy->own_init)
		policy->own_init(link);
	for (uint32_t i = 0; i < streams_max; i++)
		link->streams[i].head = i + 1 < streams_max ? i + 1 : QS_NONE;
	for (uint32_t i = 0; i < messages_max; i++)
		link->units[i].next = i + 1 < messages_max ? i + 1 : QS_NONE;
	for (uint32_t i = 0; i < held; i++)
		link->messages[i].next = i + 1 < held ? i + 1 : QS_NONE;
}

/* The stream's attributes; a window that did not change goes on. */
void qs_change(struct qs_link *link, uint32_t stream, const struct qsocket_attr *attr)
{
	struct qs_stream *s = &link->streams[stream];
	int same_window = s->x == attr->oln && s->y == attr->old;

	qs_unbook(link, s);
	if (s->period_ns != attr->ipg_ns)
		s->released = 0; /* what it owed in periods that are no more is forgotten */
	s->period_ns = attr->ipg_ns;
	s->x = attr->oln;
	s->y = attr->old;
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
	if (s->head == QS_NONE)
		return;
	/* managed or not is the head's from when it was ranked: rank it anew */
	if (qs_competes(link, stream))
		qs_withdraw(link, stream);
	if (!(link->units[s->head].flags & QS_BEGUN))
		link->units[s->head].flags &= (uint16_t)~QS_READY;
	else if (link->policy->slides && s->period_ns == 0)
		s->managed = 0;
	qs_settle(link, stream);
}

int32_t qs_add(struct qs_link *link, const struct qsocket_attr *attr)
{
	uint32_t stream = link->streams_free;
	struct qs_stream *s;

	if (stream == QS_NONE)
		return -QS_ENOSPC;
	s = &link->streams[stream];
	link->streams_free = s->head;
	*s = (struct qs_stream){
		.head = QS_NONE,
		.tail = QS_NONE,
		.open = QS_NONE,
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
		s->frames_dropped[s->fifo_level][s->fifo_lost ? s->fifo_lost : reason]++;
		s->frames_partial += s->left_frame == s->fifo_seq + 1;
		s->fifo_open = 0;
	}
}

void qs_remove(struct qs_link *link, uint32_t stream)
{
	struct qs_stream *s = &link->streams[stream];

	qs_flush(link, stream, QSOCKET_CLOSED);
	qs_unbook(link, s);
	s->head = link->streams_free;
	link->streams_free = stream;
}

void qs_rate(struct qs_link *link, uint64_t rate)
{
	link->rate = rate;
}

static void add_frames(struct qsocket_info *info, const struct qs_stream *s)
{
	for (unsigned level = 0; level < QS_LEVELS; level++) {
		info->frames_offered[level] += s->frames_offered[level];
		info->frames_sent[level] += s->frames_sent[level];
		info->frames_late[level] += s->frames_late[level];
		for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++)
			info->frames_dropped[level][reason] += s->frames_dropped[level][reason];
	}
	info->frames_partial += s->frames_partial;
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
	info->offered += s->offered;
	info->sent += s->sent;
	info->late += s->late;
	for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++)
		info->dropped[reason] += s->dropped[reason];
	for (unsigned drop = 0; drop < QS_PRIORITIES; drop++)
		info->dropped_by_priority[drop] += s->dropped_by_priority[drop];
	info->offered_bytes += s->offered_bytes;
	info->sent_bytes += s->sent_bytes;
	info->dropped_bytes += s->dropped_bytes;
	info->queued += s->messages;
	info->queued_bytes += s->bytes;
	info->delay_ns_sum += s->delay_ns_sum;
	if (s->delay_ns_max > info->delay_ns_max)
		info->delay_ns_max = s->delay_ns_max;
	if (s->open != QS_NONE || s->fifo_open)
		info->state |= QSOCKET_STATE_FRAME_OPEN;
	if (s->blocked)
		info->state |= QSOCKET_STATE_BLOCKED;
	add_frames(info, s);
}
