/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The units that can still expire, ordered by (expiry, order of arrival). Most
 * are served long before, so little is done for them. A unit that is due no
 * earlier than the one before it in its stream is covered by that one: it
 * enters when its turn has come, so that what is kept here grows with the
 * streams and not with their queues. The others wait in a ring of buckets
 * (ring.c), and only those whose bucket is asked for are put in order: in a
 * treap, whose heap order comes from a hash of the unit's index, so that no
 * sequence of deadlines that a sender chooses makes it deep. It is a tree and
 * not a heap because admission walks it in order (qs_endangers()).
 *
 * Seidel, Aragon: "Randomized Search Trees", Algorithmica 16, 1996.
 */
#include "parts.h"

/* A node's place, in the tree's words. */
#define LEFT(unit) watch->places[unit].a
#define RIGHT(unit) watch->places[unit].b
#define UP(unit) watch->places[unit].c

static void replace(struct qs_watch QS_MEM *watch, uint32_t parent, uint32_t old, uint32_t new)
{
	if (parent == QS_NONE)
		watch->root = new;
	else if (LEFT(parent) == old)
		LEFT(parent) = new;
	else
		RIGHT(parent) = new;
	if (new != QS_NONE)
		UP(new) = parent;
}

/* Lifts a node over its parent. */
static void rotate(struct qs_watch QS_MEM *watch, uint32_t unit)
{
	uint32_t parent = UP(unit), middle;

	replace(watch, UP(parent), parent, unit);
	if (LEFT(parent) == unit) {
		middle = RIGHT(unit);
		RIGHT(unit) = parent;
		LEFT(parent) = middle;
	} else {
		middle = LEFT(unit);
		LEFT(unit) = parent;
		RIGHT(parent) = middle;
	}
	if (middle != QS_NONE)
		UP(middle) = parent;
	UP(parent) = unit;
}

static void insert(struct qs_watch QS_MEM *watch, const struct qs_unit QS_MEM *units, uint32_t unit)
{
	uint32_t QS_MEM *slot = &watch->root;
	uint32_t parent = QS_NONE;

	while (QS_LOOP && *slot != QS_NONE) {
		parent = *slot;
		slot = qs_due_before(&units[unit], &units[parent]) ? &LEFT(parent) : &RIGHT(parent);
	}
	*slot = unit;
	LEFT(unit) = RIGHT(unit) = QS_NONE;
	UP(unit) = parent;
	while (QS_LOOP && UP(unit) != QS_NONE && qs_tree_weight(UP(unit)) > qs_tree_weight(unit))
		rotate(watch, unit);
	if (watch->first == QS_NONE || qs_due_before(&units[unit], &units[watch->first]))
		watch->first = unit;
}

/* The next in the tree. */
static uint32_t successor(const struct qs_watch QS_MEM *watch, uint32_t unit)
{
	if (RIGHT(unit) != QS_NONE) {
		unit = RIGHT(unit);
		while (QS_LOOP && LEFT(unit) != QS_NONE)
			unit = LEFT(unit);
		return unit;
	}
	while (QS_LOOP && UP(unit) != QS_NONE && RIGHT(UP(unit)) == unit)
		unit = UP(unit);
	return UP(unit);
}

static void erase(struct qs_watch QS_MEM *watch, uint32_t unit)
{
	if (watch->first == unit)
		watch->first = successor(watch, unit);
	while (QS_LOOP && LEFT(unit) != QS_NONE && RIGHT(unit) != QS_NONE)
		rotate(watch, qs_tree_weight(LEFT(unit)) < qs_tree_weight(RIGHT(unit))
				      ? LEFT(unit)
				      : RIGHT(unit));
	replace(watch, UP(unit), unit, LEFT(unit) != QS_NONE ? LEFT(unit) : RIGHT(unit));
}

static void enter(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_unit QS_MEM *u = &link->units[unit];

	u->flags &= (uint16_t) ~(QS_DISTANT | QS_COVERED);
	if (qs_ring_add(&link->watch.ring, unit, u->due_ns))
		u->flags |= QS_DISTANT;
	else
		insert(&link->watch, link->units, unit);
}

/* A unit that nothing covers any more must be watched itself. */
static void uncover(struct qs_link QS_MEM *link, uint32_t unit)
{
	if (unit != QS_NONE && link->units[unit].flags & QS_COVERED)
		enter(link, unit);
}

void qs_watch(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_unit QS_MEM *u = &link->units[unit];
	const struct qs_unit QS_MEM *prev = u->prev == QS_NONE ? NULL : &link->units[u->prev];

	u->flags |= QS_WATCHED;
	link->watch.bytes += u->bytes;
	link->watch.by_drop[u->drop]++;
	link->watch.drops |= 1u << u->drop;
	if (prev && prev->flags & QS_WATCHED && prev->due_ns <= u->due_ns)
		u->flags |= QS_COVERED;
	else
		enter(link, unit);
}

void qs_unwatch(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_unit QS_MEM *u = &link->units[unit];

	if (u->flags & QS_DISTANT)
		qs_ring_remove(&link->watch.ring, unit);
	else if (!(u->flags & QS_COVERED))
		erase(&link->watch, unit);
	u->flags &= (uint16_t) ~(QS_WATCHED | QS_DISTANT | QS_COVERED);
	uncover(link, u->next);
	link->watch.bytes -= u->bytes;
	if (--link->watch.by_drop[u->drop] == 0)
		link->watch.drops &= ~(1u << u->drop);
}

/* Puts the first bucket in order, unless it begins after a unit of the tree,
 * which is then before all that is in the ring. */
static int order_bucket(struct qs_link QS_MEM *link, uint32_t unit)
{
	struct qs_ring QS_MEM *ring = &link->watch.ring;
	const uint32_t QS_MEM *ids = ring->taken;
	uint32_t len;

	if (ring->len == 0 ||
	    (unit != QS_NONE && link->units[unit].due_ns < ring->first << ring->shift))
		return 0;
	len = qs_ring_take(ring);
	for (uint32_t i = 0; QS_FETCHES && i < len; i++)
		QS_FETCH(&link->units[ids[i]]);
	for (uint32_t i = QS_ZERO; QS_LOOP && i < len; i++) {
		link->units[ids[i]].flags &= (uint16_t)~QS_DISTANT;
		insert(&link->watch, link->units, ids[i]);
	}
	return 1;
}

/* No unit expires before this; exact enough to leave it at that. */
uint64_t qs_watch_bound_ns(const struct qs_link QS_MEM *link)
{
	const struct qs_ring QS_MEM *ring = &link->watch.ring;
	uint64_t near_ns = QS_FOREVER, far_ns = QS_FOREVER;

	if (link->watch.first != QS_NONE)
		near_ns = link->units[link->watch.first].due_ns;
	if (ring->len > 0)
		far_ns = ring->first << ring->shift;
	return near_ns < far_ns ? near_ns : far_ns;
}

uint32_t qs_watch_first(struct qs_link QS_MEM *link)
{
	while (QS_LOOP && order_bucket(link, link->watch.first))
		;
	return link->watch.first;
}

uint32_t qs_watch_next(struct qs_link QS_MEM *link, uint32_t unit)
{
	uint32_t next;

	uncover(link, link->units[unit].next);
	do
		next = successor(&link->watch, unit);
	while (QS_LOOP && order_bucket(link, next));
	return next;
}
