/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The units that can still expire, ordered by (expiry, order of arrival): a
 * treap, whose heap order comes from a hash of the unit's index, so that no
 * sequence of deadlines that a sender chooses makes it deep. It is a tree and
 * not a heap because admission walks it in order (qs_endangers()).
 *
 * Seidel, Aragon: "Randomized Search Trees", Algorithmica 16, 1996.
 */
#include "parts.h"

static uint32_t weight(uint32_t unit)
{
	unit ^= unit >> 16;
	unit *= 0x7feb352du;
	unit ^= unit >> 15;
	unit *= 0x846ca68bu;
	return unit ^ unit >> 16;
}

static void replace(struct qs_link *link, uint32_t parent, uint32_t old, uint32_t new)
{
	struct qs_unit *units = link->units;

	if (parent == QS_NONE)
		link->watch = new;
	else if (units[parent].left == old)
		units[parent].left = new;
	else
		units[parent].right = new;
	if (new != QS_NONE)
		units[new].up = parent;
}

/* Lifts a node over its parent. */
static void rotate(struct qs_link *link, uint32_t unit)
{
	struct qs_unit *units = link->units, *u = &units[unit];
	uint32_t parent = u->up, middle;

	replace(link, units[parent].up, parent, unit);
	if (units[parent].left == unit) {
		middle = u->right;
		u->right = parent;
		units[parent].left = middle;
	} else {
		middle = u->left;
		u->left = parent;
		units[parent].right = middle;
	}
	if (middle != QS_NONE)
		units[middle].up = parent;
	units[parent].up = unit;
}

void qs_watch(struct qs_link *link, uint32_t unit)
{
	struct qs_unit *units = link->units, *u = &units[unit];
	uint32_t parent = QS_NONE, *slot = &link->watch;

	while (*slot != QS_NONE) {
		parent = *slot;
		slot = qs_expires_before(u, &units[parent]) ? &units[parent].left
							    : &units[parent].right;
	}
	*slot = unit;
	u->left = u->right = QS_NONE;
	u->up = parent;
	while (u->up != QS_NONE && weight(u->up) > weight(unit))
		rotate(link, unit);
	u->flags |= QS_WATCHED;
	link->watch_bytes += u->bytes;
}

void qs_unwatch(struct qs_link *link, uint32_t unit)
{
	struct qs_unit *units = link->units, *u = &units[unit];

	while (u->left != QS_NONE && u->right != QS_NONE)
		rotate(link, weight(u->left) < weight(u->right) ? u->left : u->right);
	replace(link, u->up, unit, u->left != QS_NONE ? u->left : u->right);
	u->flags &= (uint16_t)~QS_WATCHED;
	link->watch_bytes -= u->bytes;
}

uint32_t qs_watch_first(const struct qs_link *link)
{
	uint32_t unit = link->watch;

	while (unit != QS_NONE && link->units[unit].left != QS_NONE)
		unit = link->units[unit].left;
	return unit;
}

uint32_t qs_watch_next(const struct qs_link *link, uint32_t unit)
{
	const struct qs_unit *units = link->units;

	if (units[unit].right != QS_NONE) {
		unit = units[unit].right;
		while (units[unit].left != QS_NONE)
			unit = units[unit].left;
		return unit;
	}
	while (units[unit].up != QS_NONE && units[units[unit].up].right == unit)
		unit = units[unit].up;
	return units[unit].up;
}
