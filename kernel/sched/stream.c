/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The streams' life on a link, and what is told of them.
 */
#include "parts.h"

typedef uint64_t __attribute__((may_alias)) word;

/* A loop, for compilers that know no memset in another address space. */
static void clear(void QS_MEM *memory, uint32_t bytes)
{
	word QS_MEM *words = memory;

	for (uint32_t i = QS_ZERO; QS_LOOP && i < bytes / sizeof(word); i++)
		words[i] = 0;
}

int32_t qs_attr_check(const struct qsocket_attr *attr)
{
	if (attr->flags & ~(QSOCKET_UNDROPPABLE | QSOCKET_ADMIT) || attr->zero)
		return -QS_EINVAL;
	if (attr->ipg_ns > QSOCKET_IPG_NS_MAX || attr->old > QSOCKET_WINDOW_MAX ||
	    attr->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	    attr->unit_bytes > QSOCKET_UNIT_BYTES_MAX || attr->weight > QSOCKET_WEIGHT_MAX)
		return -QS_ERANGE;
	return attr->oln > attr->old ? -QS_EINVAL : 0;
}

/* The stream's attributes; a window that did not change goes on. */
void qs_change(struct qs_link QS_MEM *link, uint32_t stream, const struct qsocket_attr *attr)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
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
	s->lossy = QS_POLICY(link)->lossy && !(attr->flags & QSOCKET_UNDROPPABLE);
	s->undroppable = (attr->flags & QSOCKET_UNDROPPABLE) != 0;
	qs_book(link, s);
	if (!same_window)
		qs_window_reset(s);
	if (!same_period) {
		s->released = 0; /* what it owed in periods that are no more is forgotten */
		/* managed or not is the head's from when it was ranked: rank it anew */
		if (s->head != QS_NONE && !(link->units[s->head].flags & QS_BEGUN))
			link->units[s->head].flags &= (uint16_t)~QS_READY;
		else if (QS_POLICY(link)->slides && s->period_ns == 0 && s->managed) {
			s->managed = 0;
			if (s->head != QS_NONE)
				qs_tag(link, stream);
		}
	}
	qs_settle(link, stream);
}

int32_t qs_add(struct qs_link QS_MEM *link, const struct qsocket_attr *attr)
{
	uint32_t stream = link->streams_free;
	struct qs_stream QS_MEM *s;

	if (stream == QS_NONE && link->streams_used == link->streams_max)
		return -QS_ENOSPC;
	if (stream == QS_NONE)
		stream = link->streams_used++;
	s = &link->streams[stream];
	if (stream == link->streams_free)
		link->streams_free = s->head;
	clear(s, sizeof(*s));
	s->head = s->tail = s->open = s->kinds = QS_NONE;
	s->fifo_level = QSOCKET_LEVEL_NONE;
	qs_change(link, stream, attr);
	qs_window_reset(s);
	return (int32_t)stream;
}

static void end_fifo_frame(struct qs_link QS_MEM *link, uint32_t stream, uint8_t reason,
			   int partial)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	struct qs_ledger QS_MEM *ledger = qs_ledger(link, stream);

	ledger->frames_dropped[s->fifo_level][s->fifo_lost ? s->fifo_lost : reason]++;
	ledger->frames_partial += partial;
	s->fifo_open = 0;
}

void qs_abandon(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	if (s->open != QS_NONE)
		qs_lose(link, s->open, QSOCKET_INCOMPLETE);
	if (s->fifo_open) /* what came of it has left, or will */
		end_fifo_frame(link, stream, QSOCKET_INCOMPLETE, s->fifo_kept);
	s->discarding = 0;
}

void qs_flush(struct qs_link QS_MEM *link, uint32_t stream, uint8_t reason)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	while (QS_LOOP && s->head != QS_NONE)
		qs_drop(link, s->head, reason);
	if (s->fifo_open) {
		const struct qs_ledger QS_MEM *ledger = &link->ledgers[stream];

		end_fifo_frame(link, stream, reason, ledger->left_frame == ledger->fifo_seq + 1);
	}
}

void qs_remove(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	qs_flush(link, stream, QSOCKET_CLOSED);
	qs_unbook(link, s);
	if (s->ledgered)
		clear(&link->ledgers[stream], sizeof(struct qs_ledger));
	if (s->sent + s->late > 0)
		clear(&link->delays[stream], sizeof(struct qs_delays));
	s->head = link->streams_free;
	link->streams_free = stream;
}

/* Every message offered is sent, late, dropped or queued: what was offered need
 * not be counted apart. */
static void add_ledger(const struct qs_ledger QS_MEM *ledger, struct qsocket_info *info)
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
static uint64_t handed_out_bytes(const struct qs_link QS_MEM *link,
				 const struct qs_stream QS_MEM *s)
{
	const struct qs_message QS_MEM *m;

	if (s->head == QS_NONE)
		return 0;
	m = &link->messages[link->units[s->head].first];
	return m->bytes - m->left;
}

/* Adds a stream's counters to `info`, and says what the stream is now. */
void qs_info(const struct qs_link QS_MEM *link, uint32_t stream, struct qsocket_info *info)
{
	const struct qs_stream QS_MEM *s = &link->streams[stream];

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
	for (unsigned i = 0; i < QSOCKET_DELAYS && s->sent + s->late > 0; i++)
		info->delays[i] += link->delays[stream].low[i] +
				   ((uint64_t)link->delays[stream].high[i] << 32);
	if (s->open != QS_NONE || s->fifo_open)
		info->state |= QSOCKET_STATE_FRAME_OPEN;
	if (s->open != QS_NONE && s->open == s->head)
		info->state |= QSOCKET_STATE_STUCK;
	if (s->blocked)
		info->state |= QSOCKET_STATE_BLOCKED;
	if (s->ledgered)
		add_ledger(&link->ledgers[stream], info);
}
