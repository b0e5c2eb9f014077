/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Which unit of a stream overflow takes first: the lowest drop priority, then
 * leaves before what is referenced (the highest level), then the last to come.
 * A unit's worth is one of QS_WORTHS kinds, in that order. Each stream keeps
 * the units of a kind that have not begun in a chain from the newest on, and
 * a bit for every kind there is: the least valuable is found at once, however
 * long the queue.
 */
#include "parts.h"

static uint32_t worth_of(const struct qs_unit *u)
{
	return (uint32_t)u->drop * QS_LEVELS + (QS_LEVELS - 1u - u->level);
}

void qs_worth_add(struct qs_link *link, uint32_t unit)
{
	struct qs_unit *u = &link->units[unit];
	struct qs_stream *s = &link->streams[u->stream];
	uint32_t worth = worth_of(u);

	u->newer = QS_NONE;
	u->older = s->worths >> worth & 1 ? s->newest[worth] : QS_NONE;
	if (u->older != QS_NONE)
		link->units[u->older].newer = unit;
	s->newest[worth] = unit;
	s->worths |= 1u << worth;
}

void qs_worth_remove(struct qs_link *link, uint32_t unit)
{
	struct qs_unit *u = &link->units[unit];
	struct qs_stream *s = &link->streams[u->stream];
	uint32_t worth = worth_of(u);

	if (u->older != QS_NONE)
		link->units[u->older].newer = u->newer;
	if (u->newer != QS_NONE)
		link->units[u->newer].older = u->older;
	else if (u->older != QS_NONE)
		s->newest[worth] = u->older;
	else
		s->worths &= ~(1u << worth);
}

/* QS_NONE if there is none but `except`. */
uint32_t qs_least_valuable(const struct qs_link *link, const struct qs_stream *s, uint32_t except)
{
	for (uint32_t worths = s->worths; worths; worths &= worths - 1) {
		uint32_t unit = s->newest[__builtin_ctz(worths)];

		if (unit == except)
			unit = link->units[unit].older;
		if (unit != QS_NONE)
			return unit;
	}
	return QS_NONE;
}

_Static_assert(QS_WORTHS <= 32, "a bit for every kind");
