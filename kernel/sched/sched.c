/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * One decision: which packet leaves next.
 *
 *	1. What has expired is lost.
 *	2. Under DWCS a head whose rank deadline has passed is a miss for every
 *	   period that passed, and its rank moves on by as many.
 *	3. Best effort has its turn when managed traffic has used up enough of
 *	   the link since the last (1/QSOCKET_BEST_EFFORT_SHARE is its own), as
 *	   long as no begun frame and no frame that is never to be dropped pays
 *	   for it.
 *	4. The first head in the policy's order is judged: doomed or given up,
 *	   it is lost, and the next one is judged; if it fits beside what was
 *	   promised to frames already begun, it is served; if not, the promised
 *	   frame that is due first is.
 *
 * Rank and expiry are two deadlines. A unit's release is its arrival, but not
 * before the period after the last release: a stream that sends faster than
 * it said, or claims early deadlines, only competes with itself. Its rank is
 * its deadline, but not before its release. It expires by its deadline alone.
 */
#include "parts.h"

enum verdict { SERVE, LOST, WAIT };

/* Ranks a stream's head unit, once it is complete, and lets it compete. */
void qs_settle(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint64_t earliest_ns;
	struct qs_unit QS_MEM *u;

	if (s->head == QS_NONE || s->blocked)
		return;
	u = &link->units[s->head];
	if (!(u->flags & QS_ENDED) || s->competes)
		return;
	if (!(u->flags & QS_READY)) {
		u->flags |= QS_READY;
		QS_FETCH(&link->messages[u->first]); /* served soon */
		s->seq = u->seq;
		earliest_ns = s->released ? s->release_ns + s->period_ns : 0;
		s->release_ns = u->arrival_ns > earliest_ns ? u->arrival_ns : earliest_ns;
		if (u->due_ns != QS_FOREVER)
			s->rank_ns = u->due_ns > s->release_ns ? u->due_ns : s->release_ns;
		else
			s->rank_ns = s->period_ns ? s->release_ns + s->period_ns : QS_FOREVER;
		s->managed = qs_manages(QS_POLICY(link), s->period_ns, u->due_ns);
		if (!s->managed)
			qs_tag(link, stream);
	}
	qs_compete(link, stream);
}

/* Takes a unit out of its stream and frees it; the next head is not ranked. */
void qs_unit_unlink(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_unit QS_MEM *u = &link->units[unit];
	struct qs_stream QS_MEM *s = &link->streams[u->stream];

	if (u->flags & QS_READY) {
		if (s->competes)
			qs_withdraw(link, u->stream);
		s->released = 1;
	}
	if (u->prev == QS_NONE)
		s->head = u->next;
	else
		link->units[u->prev].next = u->next;
	if (u->next == QS_NONE)
		s->tail = u->prev;
	else
		link->units[u->next].prev = u->prev;
	u->next = link->units_free;
	link->units_free = unit;
}

static int promises(const struct qs_link QS_MEM *link, const struct qs_unit QS_MEM *u)
{
	return u->flags & QS_MORTAL && link->promised_len < QSOCKET_BEGUN_MAX;
}

static uint32_t packet_bytes(const struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes_max)
{
	const struct qs_unit QS_MEM *u = &link->units[link->streams[stream].head];
	const struct qs_message QS_MEM *m = &link->messages[u->first];
	uint32_t cut;

	if (m->segment == 0 || bytes_max == 0 || m->left <= bytes_max)
		return m->left;
	cut = bytes_max / m->segment * m->segment;
	if (cut == 0)
		cut = m->segment;
	return cut < m->left ? cut : m->left;
}

/* DWCS: missed rank deadlines, as many as have passed. */
static void slide(struct qs_link QS_MEM *link, uint64_t now_ns)
{
	struct qs_queue QS_MEM *ranks =
		QS_POLICY(link)->ranks_apart ? &link->ranks : &link->managed;
	uint32_t stream;

	while (QS_LOOP && (stream = qs_queue_first(ranks, link)) != QS_NONE) {
		struct qs_stream QS_MEM *s = &link->streams[stream];
		uint64_t periods;

		if (s->rank_ns > now_ns)
			return;
		periods = (now_ns - s->rank_ns) / s->period_ns + 1;
		qs_window_missed(s, periods);
		s->rank_ns += periods * s->period_ns;
		s->release_ns += periods * s->period_ns;
		qs_reorder(link, stream);
	}
}

/* Step 3 and 4 for one head. `turn`: best effort, ahead of managed streams. */
static enum verdict judge(struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes,
			  uint64_t now_ns, int turn)
{
	const struct qs_stream QS_MEM *s = &link->streams[stream];
	uint32_t unit = s->head;
	const struct qs_unit QS_MEM *u = &link->units[unit];
	int mortal = u->flags & QS_MORTAL;

	if (!QS_POLICY(link)->frames)
		return SERVE;
	if (!(u->flags & QS_BEGUN) && mortal && qs_doomed(link, unit, now_ns)) {
		qs_lose(link, unit, QSOCKET_EXPIRED);
		return LOST;
	}
	if (turn) {
		uint64_t ahead = u->flags & QS_BEGUN ? bytes : u->bytes;

		if (qs_endangers(link, unit, ahead, QSOCKET_DROP_NEVER - 1, now_ns))
			return WAIT;
	} else if (!(u->flags & QS_BEGUN) && s->managed && s->lossy &&
		   u->drop < QSOCKET_DROP_NEVER && qs_window_allows_loss(s) &&
		   qs_endangers(link, unit, u->bytes, u->drop, now_ns)) {
		qs_lose(link, unit, QSOCKET_WINDOW);
		return LOST;
	}
	if (!(u->flags & QS_BEGUN)) {
		if (link->promised_len == 0)
			return SERVE; /* in time for itself, and owed to nobody else */
		if (mortal && bytes < u->bytes && !promises(link, u))
			return WAIT;
	}
	return qs_fits(link, unit, bytes, now_ns) ? SERVE : WAIT;
}

/* A served unit is over: its window and its release. */
static void complete(struct qs_link QS_MEM *link, uint32_t stream, uint32_t unit, uint64_t done_ns)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	qs_unpromise(link, unit);
	qs_unit_unlink(link, unit);
	if (done_ns <= s->rank_ns)
		qs_window_served(s);
	else
		qs_window_missed(s, 1);
	qs_settle(link, stream);
}

static void account(struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes, uint64_t now_ns)
{
	const struct qs_stream QS_MEM *s = &link->streams[stream];
	const uint64_t most = (uint64_t)QSOCKET_BEST_EFFORT_SHARE * QSOCKET_PACKET_BYTES_MAX;

	if (s->managed) {
		if (QS_POLICY(link)->charge)
			QS_POLICY(link)->charge(link, stream, bytes, now_ns);
		if (link->rest_streams == 0)
			link->credit = 0;
		else
			link->credit = link->credit + bytes < most ? link->credit + bytes : most;
	} else {
		uint64_t used = (uint64_t)bytes * QSOCKET_BEST_EFFORT_SHARE;

		link->credit -= used < link->credit ? used : link->credit;
		link->vtime = s->tag;
	}
}

/* All of a message is handed out. */
static void end_message(struct qs_link QS_MEM *link, struct qs_stream QS_MEM *s,
			struct qs_unit QS_MEM *u, struct qs_message QS_MEM *m,
			struct qs_packet *packet)
{
	packet->outcome = packet->done_ns > m->deadline_ns ? QSOCKET_LATE : QSOCKET_SENT;
	if (packet->outcome == QSOCKET_LATE)
		s->late++;
	else
		s->sent++;
	s->sent_bytes += m->bytes;
	s->messages--;
	link->messages_len--;
	link->rest_len -= m->rest;
	u->first = m->next;
	m->next = QS_NONE;
}

static int serve(struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes, uint64_t now_ns,
		 struct qs_packet *packet)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint32_t unit = s->head, message = link->units[unit].first;
	struct qs_unit QS_MEM *u = &link->units[unit];
	struct qs_message QS_MEM *m = &link->messages[message];
	uint64_t done_ns = qs_done_ns(link, now_ns, bytes);

	QS_FETCH(&link->delays[stream]); /* of qs_sent() */
	if (u->flags & QS_WATCHED)
		qs_unwatch(link, unit);
	/* field by field: zeros first would cost more than all of these */
	packet->message = message;
	packet->stream = stream;
	packet->bytes = bytes;
	packet->offset = m->bytes - m->left;
	packet->unit_seq = u->seq;
	packet->frame_seq = qs_frame_seq(link, u);
	packet->framed = !QS_POLICY(link)->frames || u->flags & QS_MARKED;
	packet->marked = (u->flags & (QS_MARKED | QS_LAST)) != 0;
	packet->done = m->left == bytes;
	packet->frame_done = u->bytes == bytes && u->first == u->last;
	packet->done_ns = done_ns;
	packet->outcome = 0;
	m->left -= bytes;
	u->bytes -= bytes;
	s->bytes -= bytes;
	account(link, stream, bytes, now_ns);
	if (!(u->flags & QS_BEGUN)) {
		u->flags |= QS_BEGUN;
		if (QS_POLICY(link)->frames)
			qs_worth_remove(link, unit);
		if (!packet->frame_done && promises(link, u))
			qs_promise(link, unit);
	}
	if (packet->done)
		end_message(link, s, u, m, packet);
	if (packet->frame_done)
		complete(link, stream, unit, done_ns);
	else if (QS_POLICY(link)->charge && s->managed)
		qs_reorder(link, stream);
	return 1;
}

static uint32_t first_managed(struct qs_link QS_MEM *link, uint64_t now_ns)
{
	const struct qs_order *order = QS_POLICY(link)->order;

	if (order)
		return link->managed_streams > 0 ? order->first(link, now_ns) : QS_NONE;
	return qs_queue_first(&link->managed, link);
}

int qs_dequeue(struct qs_link QS_MEM *link, uint64_t now_ns, uint32_t bytes_max,
	       struct qs_packet *packet)
{
	if (QS_POLICY(link)->lossy)
		qs_expire(link, now_ns);
	while (QS_LOOP) {
		uint32_t stream, bytes, promised, managed;
		enum verdict verdict;

		if (QS_POLICY(link)->slides)
			slide(link, now_ns);
		managed = first_managed(link, now_ns);
		if (managed != QS_NONE && link->rest_streams > 0) {
			stream = qs_queue_first(&link->rest, link);
			bytes = packet_bytes(link, stream, bytes_max);
			verdict = WAIT;
			if (link->credit >= (uint64_t)bytes * QSOCKET_BEST_EFFORT_SHARE)
				verdict = judge(link, stream, bytes, now_ns, 1);
			if (verdict == LOST)
				continue;
			if (verdict == SERVE)
				return serve(link, stream, bytes, now_ns, packet);
		}
		if (managed != QS_NONE)
			stream = managed;
		else if (link->rest_streams > 0)
			stream = qs_queue_first(&link->rest, link);
		else
			return 0;
		bytes = packet_bytes(link, stream, bytes_max);
		verdict = judge(link, stream, bytes, now_ns, 0);
		if (verdict == LOST)
			continue;
		promised = qs_promised_first(link);
		if (verdict == WAIT && promised != QS_NONE) {
			stream = link->units[promised].stream;
			bytes = packet_bytes(link, stream, bytes_max);
		}
		return serve(link, stream, bytes, now_ns, packet);
	}
	return 0;
}

uint64_t qs_next_ns(struct qs_link QS_MEM *link)
{
	const struct qs_order *order = QS_POLICY(link)->order;
	uint32_t unit = qs_watch_first(link);
	uint64_t next_ns = unit == QS_NONE ? QS_FOREVER : link->units[unit].due_ns;

	if (order && link->managed_streams > 0) {
		uint64_t order_ns = order->next_ns(link);

		next_ns = order_ns < next_ns ? order_ns : next_ns;
	}
	return next_ns;
}

int qs_idle(const struct qs_link QS_MEM *link)
{
	return link->managed_streams == 0 && link->rest_streams == 0;
}

uint64_t qs_open_ns(const struct qs_link QS_MEM *link)
{
	const struct qs_order *order = QS_POLICY(link)->order;

	if (qs_idle(link))
		return QS_FOREVER;
	/* what was promised is finished beyond any limit */
	return order && !link->rest_streams && !link->promised_len ? order->next_ns(link) : 0;
}

uint32_t qs_reap(struct qs_link QS_MEM *link)
{
	uint32_t message = link->dead;

	if (message != QS_NONE)
		link->dead = link->messages[message].next;
	return message;
}

void qs_free(struct qs_link QS_MEM *link, uint32_t message)
{
	link->messages[message].next = link->messages_free;
	link->messages_free = message;
}

/* A stream whose socket is full competes no more, and nothing is promised to
 * the frame that it has begun. */
void qs_block(struct qs_link QS_MEM *link, uint32_t stream, int blocked)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint32_t unit = s->head;

	if (s->blocked == (blocked != 0))
		return;
	s->blocked = blocked != 0;
	if (blocked && s->competes)
		qs_withdraw(link, stream);
	if (unit != QS_NONE && link->units[unit].flags & QS_BEGUN) {
		if (blocked)
			qs_unpromise(link, unit);
		else if (promises(link, &link->units[unit]))
			qs_promise(link, unit);
	}
	qs_settle(link, stream);
}
