/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Admission: before a unit's first byte leaves, three questions.
 *
 *	Is it doomed? What was promised to frames already begun, if it is due
 *	before, and the unit itself no longer fit before its expiry.
 *
 *	Does it fit? Frames of several streams may be interleaved, packet by
 *	packet, as long as every begun frame still arrives whole and in time.
 *	The promised set is kept feasible: in the order of their expiries
 *	(earliest first, which meets all deadlines if any order does) each
 *	promised unit ends in time, even if the packet in question goes first.
 *	So at a constant rate no begun frame is ever cut off.
 *
 *	Does it endanger a more valuable one? Of the units that still wait,
 *	the first QSOCKET_LOOKAHEAD_MAX to expire are laid out in the order
 *	of their expiries, behind and among what was promised, without and
 *	with this unit in front. If one of them is in time without it and
 *	not with it, this unit is the one to give up. That is asked for every
 *	threshold of value above this unit's own, counting only what reaches
 *	the threshold: where the middling ones alone would make the most
 *	valuable late, they will be given up for it in their turn, and must
 *	not hide that this unit would make it late as well.
 */
#include "parts.h"

/* The most bytes that, sent from now on, are over by `expiry_ns`: no division,
 * as qs_done_ns() needs one. */
static int64_t capacity(const struct qs_link QS_MEM *link, uint64_t now_ns, uint64_t expiry_ns)
{
	uint64_t ns = expiry_ns - now_ns + link->lag_ns + 1;

	if (expiry_ns < now_ns)
		return -1;
	if (ns > link->product_ns_max)
		return INT64_MAX / 2;
	return (int64_t)((ns * link->rate - 1) / 1000000000u);
}

static int in_time(const struct qs_link QS_MEM *link, uint64_t now_ns, uint64_t bytes,
		   uint64_t expiry_ns)
{
	return (int64_t)bytes <= capacity(link, now_ns, expiry_ns);
}

/* A host's clock is late by a little: ask for that much more, but never for
 * more than an eighth of the lifetime that the sender gave. */
static uint64_t guard_ns(const struct qs_link QS_MEM *link, const struct qs_unit QS_MEM *u)
{
	uint64_t eighth = (u->due_ns - u->arrival_ns) / 8;

	return link->guard_ns < eighth ? link->guard_ns : eighth;
}

int qs_doomed(const struct qs_link QS_MEM *link, uint32_t unit, uint64_t now_ns)
{
	const struct qs_unit QS_MEM *u = &link->units[unit];
	uint64_t bytes = QS_ZERO + u->bytes;

	for (uint32_t i = QS_ZERO; QS_LOOP && i < link->promised_len; i++) {
		const struct qs_unit QS_MEM *p = &link->units[link->promised[i]];

		if (!qs_due_before(p, u))
			break;
		bytes += QS_ZERO + p->bytes;
	}
	return !in_time(link, now_ns + guard_ns(link, u), bytes, u->due_ns);
}

int qs_fits(const struct qs_link QS_MEM *link, uint32_t unit, uint32_t packet_bytes,
	    uint64_t now_ns)
{
	const struct qs_unit QS_MEM *u = &link->units[unit];
	int listed = !(u->flags & QS_MORTAL);
	uint64_t bytes = QS_ZERO + packet_bytes;

	for (uint32_t i = QS_ZERO; QS_LOOP && i < link->promised_len; i++) {
		uint32_t other = link->promised[i];
		const struct qs_unit QS_MEM *p = &link->units[other];

		if (other == unit || (!listed && qs_due_before(u, p))) {
			bytes += QS_ZERO + u->bytes - packet_bytes;
			if (!in_time(link, now_ns, bytes, u->due_ns))
				return 0;
			listed = 1;
			if (other == unit)
				continue;
		}
		bytes += QS_ZERO + p->bytes;
		if (!in_time(link, now_ns, bytes, p->due_ns))
			return 0;
	}
	return listed || in_time(link, now_ns, bytes + u->bytes - packet_bytes, u->due_ns);
}

/* Whether a waiting unit counts as more valuable, in qs_endangers(). */
static int outranks(const struct qs_link QS_MEM *link, uint32_t other, uint32_t unit, uint8_t drop)
{
	const struct qs_unit QS_MEM *v = &link->units[other];

	return other != unit && v->drop > drop &&
	       qs_manages(QS_POLICY(link), link->streams[v->stream].period_ns, v->due_ns);
}

/* `bytes` of `unit`, of the value `drop`, would go first. */
int qs_endangers(struct qs_link QS_MEM *link, uint32_t unit, uint64_t bytes, uint8_t drop,
		 uint64_t now_ns)
{
	const struct qs_unit QS_MEM *units = link->units;
	uint32_t other, promised = QS_ZERO;
	int64_t QS_MEM *counted = link->counted;
	int64_t QS_MEM *room = link->room;
	int64_t before = (int64_t)QS_ZERO; /* bytes promised before the unit looked at */
	uint64_t promised_bytes = QS_ZERO, first_ns;

	if (link->watch.drops >> (drop + 1) == 0)
		return 0; /* nothing waits that is worth more */
	first_ns = qs_watch_bound_ns(link);
	for (uint32_t i = QS_ZERO; QS_LOOP && i < link->promised_len; i++)
		promised_bytes += QS_ZERO + units[link->promised[i]].bytes;
	if (link->promised_len > 0 && units[link->promised[0]].due_ns < first_ns)
		first_ns = units[link->promised[0]].due_ns;
	if (in_time(link, now_ns + 2 * link->guard_ns, link->watch.bytes + bytes + promised_bytes,
		    first_ns))
		return 0; /* no overload: everything that waits is in time */

	other = qs_watch_first(link);
	for (uint32_t i = QS_ZERO; QS_LOOP && i < QS_PRIORITIES; i++)
		counted[i] = 0;
	room[link->promised_len] = INT64_MAX;
	for (uint32_t i = link->promised_len; QS_LOOP && i-- > 0;) {
		const struct qs_unit QS_MEM *p = &units[link->promised[i]];

		room[i] = capacity(link, now_ns, p->due_ns) - (int64_t)promised_bytes;
		if (room[i + 1] < room[i])
			room[i] = room[i + 1];
		promised_bytes -= QS_ZERO + p->bytes;
	}
	for (uint32_t visited = QS_ZERO;
	     QS_LOOP && other != QS_NONE && visited < QSOCKET_LOOKAHEAD_MAX;
	     visited++, other = qs_watch_next(link, other)) {
		const struct qs_unit QS_MEM *v = &units[other];
		int64_t most;

		if (!outranks(link, other, unit, drop))
			continue;
		while (QS_LOOP && promised < link->promised_len &&
		       qs_due_before(&units[link->promised[promised]], v))
			before += QS_ZERO + units[link->promised[promised++]].bytes;
		/* what is planned for here must not be doomed by a host's small delays */
		most = capacity(link, now_ns, v->due_ns - 2 * guard_ns(link, v)) - before;
		if (room[promised] < most)
			most = room[promised];
		for (unsigned least = drop + 1u; QS_LOOP && least <= v->drop; least++) {
			int64_t all = counted[least] + v->bytes;

			if (all > most)
				continue;
			if (all + (int64_t)bytes > most)
				return 1;
			counted[least] = all;
		}
	}
	return 0;
}

/* The promised set is small and kept in the order of expiries. */
void qs_promise(struct qs_link QS_MEM *link, uint32_t unit)
{
	uint32_t i = link->promised_len++;

	for (; QS_LOOP && i > 0; i--) {
		uint32_t other = link->promised[i - 1];

		if (!qs_due_before(&link->units[unit], &link->units[other]))
			break;
		link->promised[i] = other;
	}
	link->promised[i] = unit;
}

void qs_unpromise(struct qs_link QS_MEM *link, uint32_t unit)
{
	uint32_t i = 0;

	while (QS_LOOP && i < link->promised_len && link->promised[i] != unit)
		i++;
	if (i == link->promised_len)
		return;
	link->promised_len--;
	for (; QS_LOOP && i < link->promised_len; i++)
		link->promised[i] = link->promised[i + 1];
}

uint32_t qs_promised_first(const struct qs_link QS_MEM *link)
{
	return link->promised_len ? link->promised[0] : QS_NONE;
}
