/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Which unit of a stream overflow takes first: the lowest drop priority, then
 * leaves before what is referenced (the highest level), then the last to come.
 * A unit's worth is one of QS_WORTHS kinds, in that order. Each stream keeps
 * the units of a kind that have not begun in a chain from the newest on, and
 * the newest of each kind in a chain from the least worth on: the least
 * valuable is found at once, however long the queue.
 */
#include "parts.h"

static uint32_t worth_of(const struct qs_unit QS_MEM *u)
{
	return (uint32_t)u->drop * QS_LEVELS + (QS_LEVELS - 1u - u->level);
}

void qs_worth_add(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_unit QS_MEM *units = link->units;
	struct qs_unit QS_MEM *u = &units[unit];
	uint32_t QS_MEM *kind = &link->streams[u->stream].kinds;
	uint32_t worth = worth_of(u);

	while (QS_LOOP && *kind != QS_NONE && worth_of(&units[*kind]) < worth)
		kind = &units[*kind].newer;
	u->older = QS_NONE;
	u->newer = *kind;
	if (*kind != QS_NONE && worth_of(&units[*kind]) == worth) {
		struct qs_unit QS_MEM *newest = &units[*kind];

		u->older = *kind;
		u->newer = newest->newer;
		newest->newer = unit;
		newest->flags &= (uint16_t)~QS_NEWEST;
	}
	*kind = unit;
	u->flags |= QS_NEWEST;
}

void qs_worth_remove(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_unit QS_MEM *units = link->units;
	struct qs_unit QS_MEM *u = &units[unit];
	uint32_t QS_MEM *kind = &link->streams[u->stream].kinds;

	if (!(u->flags & QS_NEWEST)) {
		units[u->newer].older = u->older;
		if (u->older != QS_NONE)
			units[u->older].newer = u->newer;
		return;
	}
	while (QS_LOOP && *kind != unit)
		kind = &units[*kind].newer;
	*kind = u->newer;
	if (u->older == QS_NONE)
		return;
	units[u->older].newer = u->newer;
	units[u->older].flags |= QS_NEWEST;
	*kind = u->older;
}

/* QS_NONE if there is none but `except`. */
uint32_t qs_least_valuable(const struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s,
			   uint32_t except)
{
	for (uint32_t kind = s->kinds; QS_LOOP && kind != QS_NONE; kind = link->units[kind].newer) {
		uint32_t unit = kind == except ? link->units[kind].older : kind;

		if (unit != QS_NONE)
			return unit;
	}
	return QS_NONE;
}
