/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Losing a unit whole, and what its loss costs: a loss in the stream's window,
 * and, where others refer to it, those others. After a lost frame of level 0
 * or 1 nothing of its group decodes any more: the chain is broken until a
 * group starts. The frames that follow that start in decoding order but come
 * before it in display (open GOP) lean on the broken group as well: while the
 * chain recovers, they are dropped too. A leaf (level 2) poisons nothing.
 */
#include "parts.h"

/* One message more that will not be sent. */
void qs_count_lost(struct qs_link QS_MEM *link, uint32_t stream, uint8_t drop, uint32_t bytes,
		   uint8_t reason)
{
	struct qs_ledger QS_MEM *ledger = qs_ledger(link, stream);

	ledger->dropped[reason]++;
	ledger->dropped_by_priority[drop]++;
	ledger->dropped_bytes += bytes;
}

/* A unit's messages join the list of the dead, for the host to reap. */
static void bury(struct qs_link QS_MEM *link, struct qs_stream QS_MEM *s,
		 const struct qs_unit QS_MEM *u, uint8_t reason)
{
	for (uint32_t i = u->first; QS_LOOP && i != QS_NONE;) {
		struct qs_message QS_MEM *m = &link->messages[i];
		uint32_t next = m->next;

		m->reason = reason;
		qs_count_lost(link, u->stream, m->drop, m->bytes, reason);
		s->bytes -= m->left;
		s->messages--;
		link->messages_len--;
		link->rest_len -= m->rest;
		m->next = QS_NONE;
		if (link->dead == QS_NONE)
			link->dead = i;
		else
			link->messages[link->dead_last].next = i;
		link->dead_last = i;
		i = next;
	}
}

void qs_missed(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	qs_window_missed(s, 1);
	if (s->competes)
		qs_reorder(link, stream);
}

/* Takes one unit out, with all that is counted; the chain is qs_lose()'s. */
void qs_drop(struct qs_link QS_MEM *link, uint32_t unit, uint8_t reason)
{
	struct qs_unit QS_MEM *u = &link->units[unit];
	uint32_t stream = u->stream;
	struct qs_stream QS_MEM *s = &link->streams[stream];
	struct qs_ledger QS_MEM *ledger = qs_ledger(link, stream);

	if (u->flags & QS_WATCHED)
		qs_unwatch(link, unit);
	if (u->flags & QS_BEGUN) {
		qs_unpromise(link, unit);
		ledger->failed_frame = qs_frame_seq(link, u) + 1;
		ledger->failed_reason = reason;
	} else if (QS_POLICY(link)->frames) {
		qs_worth_remove(link, unit);
	}
	if (u->flags & (QS_MARKED | QS_LAST))
		ledger->frames_dropped[u->level][reason]++;
	if (u->flags & QS_MARKED && u->flags & QS_BEGUN) {
		ledger->frames_partial++;
		ledger->partial_frame = qs_frame_seq(link, u) + 1;
	}
	bury(link, s, u, reason);
	if (s->open == unit) {
		s->open = QS_NONE;
		s->discarding = reason == QSOCKET_DEPENDENCY ? reason : QSOCKET_INCOMPLETE;
	}
	qs_unit_unlink(link, unit);
	qs_missed(link, stream);
}

/* Drops what follows a lost frame and needs it, from `unit` on. */
void qs_break_chain(struct qs_link QS_MEM *link, struct qs_stream QS_MEM *s, uint32_t unit)
{
	enum qs_tail chain = QS_BROKEN;

	while (QS_LOOP && unit != QS_NONE) {
		const struct qs_unit QS_MEM *v = &link->units[unit];
		uint32_t next = v->next;

		if (v->level != QSOCKET_LEVEL_NONE) {
			if (chain == QS_BROKEN && v->level == 0)
				chain = QS_RECOVERING;
			else if (chain == QS_BROKEN || v->flags & QS_LEADS)
				qs_drop(link, unit, QSOCKET_DEPENDENCY);
			else
				return; /* sound again before the queue's end */
		}
		unit = next;
	}
	/* what was refused or lost at the queue's end stays so: a group that
	 * started before it in the queue does not mend it */
	if (s->chain != QS_BROKEN)
		s->chain = (uint8_t)chain;
}

void qs_lose(struct qs_link QS_MEM *link, uint32_t unit, uint8_t reason)
{
	const struct qs_unit QS_MEM *u = &link->units[unit];
	uint32_t stream = u->stream, next = u->next;
	struct qs_stream QS_MEM *s = &link->streams[stream];
	int referenced = s->lossy && u->level < 2;

	qs_drop(link, unit, reason);
	if (referenced)
		qs_break_chain(link, s, next);
	qs_settle(link, stream);
}

/* Loses what has expired, begun frames that cannot end in time included: those
 * only where the link was slower than it said. */
void qs_expire(struct qs_link QS_MEM *link, uint64_t now_ns)
{
	for (uint32_t i = QS_ZERO; QS_LOOP && i < link->promised_len;) {
		const struct qs_unit QS_MEM *p = &link->units[link->promised[i]];

		if (qs_done_ns(link, now_ns, p->bytes) > p->due_ns)
			qs_lose(link, link->promised[i], QSOCKET_INCOMPLETE);
		else
			i++;
	}
	while (QS_LOOP && qs_watch_bound_ns(link) <= now_ns) {
		uint32_t unit = qs_watch_first(link);

		if (unit == QS_NONE || link->units[unit].due_ns > now_ns)
			return;
		qs_lose(link, unit,
			link->units[unit].flags & QS_ENDED ? QSOCKET_EXPIRED : QSOCKET_INCOMPLETE);
	}
}
