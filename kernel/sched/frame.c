/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * From messages to units. A frame is a unit of several messages, from its
 * start mark to its end mark; an unmarked message is a unit of one. A unit is
 * served, or lost, whole: once a part of it was lost, what still comes of it
 * is dropped on arrival (the stream is "discarding"), until its end or the
 * next start. Every queue is bounded: a newcomer that finds no room takes the
 * place of the least valuable unit of its own stream, if that is worth less
 * than itself, and is refused otherwise. It never takes another stream's.
 */
#include "parts.h"

enum room { ACCEPTED, DISCARDED, NO_ROOM };

static uint8_t drop_of(uint32_t flags)
{
	return flags >> QSOCKET_DROP_SHIFT & 7;
}

static uint8_t level_of(uint32_t flags)
{
	return flags & QSOCKET_FRAME ? flags >> QSOCKET_LEVEL_SHIFT & 3 : QSOCKET_LEVEL_NONE;
}

static int continues(uint32_t flags)
{
	return (flags & QSOCKET_FRAME) && !(flags & QSOCKET_START);
}

static int starts_frame(uint32_t flags)
{
	return (flags & QSOCKET_FRAME) && (flags & QSOCKET_START);
}

/* A message that ends here and now, without having been queued. */
void qs_refuse(struct qs_link QS_MEM *link, uint32_t stream, const struct qs_arrival *a,
	       uint8_t reason)
{
	qs_count_lost(link, stream, drop_of(a->flags), a->bytes, reason);
}

/* Loses the frame of a message that was itself just refused: the part that is
 * queued, and the part that is still to come. */
static void lose_frame(struct qs_link QS_MEM *link, uint32_t stream, const struct qs_arrival *a,
		       uint8_t reason)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint8_t level = level_of(a->flags);

	if (continues(a->flags)) {
		if (s->open != QS_NONE)
			qs_lose(link, s->open, QSOCKET_INCOMPLETE);
	} else {
		if (starts_frame(a->flags)) {
			struct qs_ledger QS_MEM *ledger = qs_ledger(link, stream);

			ledger->frames_offered[level]++;
			ledger->frames_dropped[level][reason]++;
		}
		qs_missed(link, stream);
		if (reason != QSOCKET_DEPENDENCY && s->lossy && level < 2)
			s->chain = QS_BROKEN;
	}
	s->discarding = 0;
	if ((a->flags & QSOCKET_FRAME) && !(a->flags & QSOCKET_END))
		s->discarding = reason == QSOCKET_DEPENDENCY ? reason : QSOCKET_INCOMPLETE;
}

static int best_effort(const struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s,
		       const struct qs_arrival *a)
{
	return !qs_manages(QS_POLICY(link), s->period_ns, a->deadline_ns);
}

static QS_APART int has_room(const struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s,
			     const struct qs_arrival *a)
{
	if (link->rest_len >= link->rest_max && best_effort(link, s, a))
		return 0;
	return s->messages < s->messages_max && s->bytes + a->bytes <= s->bytes_max &&
	       link->messages_len < link->messages_max &&
	       (link->messages_free != QS_NONE || link->messages_used < link->messages_held);
}

/* One victim makes room for one message. Where best effort is in its own way only
 * one of its does, and none where it has more than this one is to find. */
static int in_vain(const struct qs_link QS_MEM *link, const struct qs_unit QS_MEM *victim)
{
	return link->rest_len > link->rest_max ||
	       (link->rest_len == link->rest_max && !link->messages[victim->first].rest);
}

static enum room make_room(struct qs_link QS_MEM *link, struct qs_stream QS_MEM *s, uint64_t now_ns,
			   const struct qs_arrival *a)
{
	uint8_t drop = drop_of(a->flags), level = level_of(a->flags);
	int cont = continues(a->flags);

	if (has_room(link, s, a))
		return ACCEPTED;
	if (a->bytes > s->bytes_max)
		return NO_ROOM;
	if (QS_POLICY(link)->lossy)
		qs_expire(link, now_ns);
	while (QS_LOOP) {
		uint32_t victim;

		if (cont && s->open == QS_NONE)
			return DISCARDED;
		if (has_room(link, s, a))
			return ACCEPTED;
		if (!s->lossy)
			return NO_ROOM;
		if (cont) {
			drop = link->units[s->open].drop;
			level = link->units[s->open].level;
		}
		victim = qs_least_valuable(link, s, s->open);
		if (victim == QS_NONE || link->units[victim].drop > drop ||
		    (link->units[victim].drop == drop && link->units[victim].level <= level) ||
		    (best_effort(link, s, a) && in_vain(link, &link->units[victim])))
			return NO_ROOM;
		qs_lose(link, victim, QSOCKET_OVERFLOW);
	}
	return NO_ROOM;
}

/* Whether a new unit needs something that was lost before it. */
static int leans_on_loss(const struct qs_stream QS_MEM *s, const struct qs_arrival *a)
{
	uint8_t level = level_of(a->flags);

	if (!s->lossy || level == QSOCKET_LEVEL_NONE || s->chain == QS_SOUND)
		return 0;
	return s->chain == QS_BROKEN ? level > 0 : (a->flags & QSOCKET_LEADING) != 0;
}

/* A unit that leans on no loss has been let in: the chain mends. */
static void mend_chain(struct qs_stream QS_MEM *s, const struct qs_arrival *a)
{
	if (level_of(a->flags) != QSOCKET_LEVEL_NONE)
		s->chain = s->chain == QS_BROKEN ? QS_RECOVERING : QS_SOUND;
}

static uint32_t new_unit(struct qs_link QS_MEM *link, uint32_t stream, uint64_t now_ns,
			 const struct qs_arrival *a)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint32_t unit = link->units_free == QS_NONE ? link->units_used++ : link->units_free;
	struct qs_unit QS_MEM *u = &link->units[unit];

	if (unit == link->units_free)
		link->units_free = u->next;
	u->due_ns = QS_FOREVER;
	u->seq = link->seq++;
	u->arrival_ns = now_ns;
	u->stream = stream;
	u->prev = s->tail;
	u->next = u->first = u->last = QS_NONE;
	u->bytes = 0;
	u->drop = drop_of(a->flags);
	u->level = QS_POLICY(link)->frames ? level_of(a->flags) : s->fifo_level;
	u->flags = a->flags & QSOCKET_LEADING ? QS_LEADS : 0;
	if (QS_POLICY(link)->frames)
		qs_worth_add(link, unit);
	else
		u->frame_seq = s->fifo_open ? link->ledgers[stream].fifo_seq : u->seq;
	s->frame_messages = 0;
	if (s->tail == QS_NONE)
		s->head = unit;
	else
		link->units[s->tail].next = unit;
	s->tail = unit;
	return unit;
}

static uint32_t append(struct qs_link QS_MEM *link, uint32_t unit, uint64_t now_ns,
		       const struct qs_arrival *a)
{
	struct qs_unit QS_MEM *u = &link->units[unit];
	struct qs_stream QS_MEM *s = &link->streams[u->stream];
	uint32_t message =
		link->messages_free == QS_NONE ? link->messages_used++ : link->messages_free;
	struct qs_message QS_MEM *m = &link->messages[message];
	uint8_t rest = (uint8_t)best_effort(link, s, a);

	if (message == link->messages_free)
		link->messages_free = m->next;
	link->messages_len++;
	link->rest_len += rest;
	*m = (struct qs_message){
		.deadline_ns = a->deadline_ns,
		.arrival_ns = now_ns,
		.next = QS_NONE,
		.stream = u->stream,
		.bytes = a->bytes,
		.segment = a->segment,
		.left = a->bytes,
		.drop = drop_of(a->flags),
		.level = u->level,
		.rest = rest,
	};
	if (u->last == QS_NONE)
		u->first = message;
	else
		link->messages[u->last].next = message;
	u->last = message;
	s->frame_messages++;
	s->messages++;
	s->bytes += a->bytes;

	if (u->flags & QS_WATCHED && a->deadline_ns >= u->due_ns) {
		u->bytes += a->bytes;
		link->watch.bytes += a->bytes;
		return message;
	}
	if (u->flags & QS_WATCHED)
		qs_unwatch(link, unit);
	u->bytes += a->bytes;
	if (a->deadline_ns < u->due_ns)
		u->due_ns = a->deadline_ns;
	if (s->lossy && u->due_ns != QS_FOREVER)
		u->flags |= QS_MORTAL;
	if (u->flags & QS_MORTAL)
		qs_watch(link, unit);
	return message;
}

/* Under a policy without frames: a message is a unit, and of frames there is
 * only the count of what the tail drop left of them. */
static int32_t enqueue_message(struct qs_link QS_MEM *link, uint32_t stream, uint64_t now_ns,
			       const struct qs_arrival *a, struct qs_queued *queued)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint32_t flags = a->flags;
	uint8_t reason = 0;

	if ((flags & QSOCKET_FRAME) ? starts_frame(flags) == s->fifo_open : s->fifo_open)
		return -QS_EPROTO;
	if (a->deadline_ns <= now_ns)
		reason = QSOCKET_EXPIRED;
	else if (!has_room(link, s, a))
		reason = QSOCKET_OVERFLOW;
	if (starts_frame(flags)) {
		s->fifo_open = 1;
		s->fifo_level = level_of(flags);
		s->fifo_lost = s->fifo_kept = 0;
		qs_ledger(link, stream)->fifo_seq = link->seq;
		qs_ledger(link, stream)->frames_offered[s->fifo_level]++;
	}
	if (!(flags & QSOCKET_FRAME))
		s->fifo_level = QSOCKET_LEVEL_NONE;
	if (reason) {
		qs_refuse(link, stream, a, reason);
		qs_missed(link, stream);
		s->fifo_lost = reason;
	} else {
		uint32_t unit = new_unit(link, stream, now_ns, a);

		queued->message = append(link, unit, now_ns, a);
		link->units[unit].flags |= QS_ENDED;
		s->fifo_kept = 1;
		if ((flags & QSOCKET_FRAME) && (flags & QSOCKET_END) && !s->fifo_lost)
			link->units[unit].flags |= QS_LAST;
		qs_settle(link, stream);
	}
	if ((flags & QSOCKET_FRAME) && (flags & QSOCKET_END)) {
		s->fifo_open = 0;
		if (s->fifo_lost) {
			struct qs_ledger QS_MEM *ledger = qs_ledger(link, stream);

			ledger->frames_dropped[s->fifo_level][s->fifo_lost]++;
			ledger->frames_partial += s->fifo_kept;
		}
	}
	return reason == QSOCKET_EXPIRED ? -QS_ETIME : reason ? -QS_ENOBUFS : 0;
}

/* A message that was let in and dropped at once; the call does not fail. */
static int32_t accept_and_drop(struct qs_link QS_MEM *link, uint32_t stream,
			       const struct qs_arrival *a, struct qs_queued *queued)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	queued->reason = s->discarding;
	qs_refuse(link, stream, a, s->discarding);
	if (a->flags & QSOCKET_END)
		s->discarding = 0;
	return 0;
}

static int32_t drop_dependent(struct qs_link QS_MEM *link, uint32_t stream,
			      const struct qs_arrival *a, struct qs_queued *queued)
{
	queued->reason = QSOCKET_DEPENDENCY;
	qs_refuse(link, stream, a, QSOCKET_DEPENDENCY);
	lose_frame(link, stream, a, QSOCKET_DEPENDENCY);
	return 0;
}

int32_t qs_enqueue(struct qs_link QS_MEM *link, uint32_t stream, uint64_t now_ns,
		   const struct qs_arrival *a, struct qs_queued *queued)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	int cont = continues(a->flags);
	uint32_t unit;

	*queued = (struct qs_queued){.message = QS_NONE};
	if (!QS_POLICY(link)->frames)
		return enqueue_message(link, stream, now_ns, a, queued);

	if (cont ? s->open == QS_NONE && !s->discarding : s->open != QS_NONE)
		return -QS_EPROTO;
	if (cont && s->open == QS_NONE)
		return accept_and_drop(link, stream, a, queued);
	if (cont && s->frame_messages >= QSOCKET_FRAME_MESSAGES_MAX) {
		lose_frame(link, stream, a, QSOCKET_INCOMPLETE);
		return -QS_EMSGSIZE;
	}
	if (a->deadline_ns <= now_ns) {
		qs_refuse(link, stream, a, QSOCKET_EXPIRED);
		lose_frame(link, stream, a, QSOCKET_EXPIRED);
		return -QS_ETIME;
	}
	if (!cont)
		s->discarding = 0;
	/* once before room is made at others' expense, once after it was */
	if (!cont && leans_on_loss(s, a))
		return drop_dependent(link, stream, a, queued);
	switch (make_room(link, s, now_ns, a)) {
	case DISCARDED:
		return accept_and_drop(link, stream, a, queued);
	case NO_ROOM:
		qs_refuse(link, stream, a, QSOCKET_OVERFLOW);
		lose_frame(link, stream, a, QSOCKET_OVERFLOW);
		return -QS_ENOBUFS;
	case ACCEPTED:
		break;
	}
	if (!cont && leans_on_loss(s, a))
		return drop_dependent(link, stream, a, queued);
	if (!cont)
		mend_chain(s, a);

	unit = cont ? s->open : new_unit(link, stream, now_ns, a);
	queued->message = append(link, unit, now_ns, a);
	if (starts_frame(a->flags)) {
		link->units[unit].flags |= QS_MARKED;
		qs_ledger(link, stream)->frames_offered[link->units[unit].level]++;
		s->open = unit;
	}
	if (!(a->flags & QSOCKET_FRAME) || (a->flags & QSOCKET_END)) {
		link->units[unit].flags |= QS_ENDED;
		s->open = QS_NONE;
		qs_settle(link, stream);
	}
	return 0;
}
