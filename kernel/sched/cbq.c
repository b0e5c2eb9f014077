/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Class-based link sharing: which of the classes that may send does.
 *
 *	1. A leaf within its own rate goes first, then one that borrows from
 *	   a class above it that is within its rate, then one that borrows
 *	   from the link: what is guaranteed goes before what is left.
 *	2. Of those, the lowest priority number.
 *	3. Of those, the share served least: start-time fair queueing (see
 *	   fair.c), a class weighing what it is guaranteed, but at least a
 *	   256th of the link's rate. A class has a tag for each of the three
 *	   ways to send, so that what it was guaranteed is not held against it
 *	   when the rest is shared.
 *	4. Within a leaf, its streams share by their weights, in the same way.
 *
 * None sends above its ceiling, nor above that of a class above it: the link
 * may idle while something waits, and next_ns() says until when. Except that
 * a frame that was begun with a deadline is promised: it is finished beyond
 * any limit, and all its classes are charged for it. See class.c for the tree
 * and its clocks.
 *
 * Floyd, Van Jacobson: "Link-sharing and Resource Management Models for Packet
 * Networks", IEEE/ACM Trans. Networking 3(4), 1995. The three steps of 1. are
 * the formal link-sharing guidelines with one level between leaves and link.
 */
#include "parts.h"

/* Nanoseconds of a share's tag ahead of the virtual time: the largest frame at
 * a byte per second. What is further ahead is a tag of the past. */
#define LEAD_MAX (1ull << 57)

_Static_assert(QSOCKET_UNIT_BYTES_MAX * 1000000000ull <= LEAD_MAX, "a frame's lead");

static uint64_t start_tag(const struct qs_classes QS_MEM *classes,
			  const struct qs_class QS_MEM *class, enum qs_source source)
{
	uint64_t vtime = classes->vtime[source][class->priority], tag = class->shares[source].ns;

	return tag - vtime <= LEAD_MAX ? tag : vtime;
}

/* The leaf whose turn it is, or QS_NONE. */
static uint32_t choose(const struct qs_link QS_MEM *link, uint64_t now_ns)
{
	const struct qs_classes QS_MEM *classes = link->own;
	uint32_t best = QS_NONE, best_rank = UINT32_MAX;
	uint64_t best_tag = 0;

	for (uint32_t i = 0; i <= classes->len; i++) {
		const struct qs_class QS_MEM *class = &classes->all[i];
		enum qs_source source;
		uint64_t tag;
		uint32_t rank;

		if (!class->leaf || !class->busy || !qs_class_open(link, i, now_ns))
			continue;
		source = qs_class_source(classes, i, now_ns);
		if (source == QS_NO_SOURCE)
			continue;
		rank = source * QSOCKET_CLASS_PRIORITIES + class->priority;
		tag = start_tag(classes, class, source);
		if (rank < best_rank || (rank == best_rank && (int64_t)(tag - best_tag) < 0)) {
			best = i;
			best_rank = rank;
			best_tag = tag;
		}
	}
	return best;
}

static uint32_t first(struct qs_link QS_MEM *link, uint64_t now_ns)
{
	struct qs_classes QS_MEM *classes = link->own;
	uint32_t unit;

	classes->turn = choose(link, now_ns);
	if (classes->turn != QS_NONE)
		return qs_fair_first(link, &classes->all[classes->turn].streams);
	unit = qs_promised_first(link);
	return unit == QS_NONE ? QS_NONE : link->units[unit].stream;
}

static uint64_t next_ns(const struct qs_link QS_MEM *link)
{
	const struct qs_classes QS_MEM *classes = link->own;
	uint64_t next_ns = QS_FOREVER;

	for (uint32_t i = 0; i <= classes->len; i++) {
		uint64_t ns;

		if (!classes->all[i].leaf || !classes->all[i].busy)
			continue;
		ns = qs_class_next_ns(link, i);
		next_ns = ns < next_ns ? ns : next_ns;
	}
	return next_ns;
}

/* Another class's turn leaves the virtual time where it is: see fair.c. */
static void charge_share(struct qs_classes QS_MEM *classes, uint32_t leaf, uint32_t bytes,
			 uint64_t now_ns)
{
	struct qs_class QS_MEM *class = &classes->all[leaf];
	enum qs_source source = qs_class_source(classes, leaf, now_ns);
	struct qs_clock QS_MEM *share = &class->shares[source];

	if (source == QS_NO_SOURCE)
		return;
	share->ns = start_tag(classes, class, source);
	if (classes->turn == leaf)
		classes->vtime[source][class->priority] = share->ns;
	qs_clock_advance(share, class->weight, bytes);
}

static void charge(struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes, uint64_t now_ns)
{
	struct qs_classes QS_MEM *classes = link->own;
	uint32_t leaf = link->streams[stream].leaf;

	charge_share(classes, leaf, bytes, now_ns);
	qs_class_charge(link, leaf, bytes, now_ns);
	qs_fair_charge(link, &classes->all[leaf].streams, stream, bytes, now_ns);
}

static void push(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_classes QS_MEM *classes = link->own;
	struct qs_stream QS_MEM *s = &link->streams[stream];
	struct qs_class QS_MEM *class = &classes->all[s->class_id];
	int idle = class->streams.root == QS_NONE;

	if (s->leaf != s->class_id) { /* it joins: no debts, no credit */
		s->leaf = s->class_id;
		s->finish = class->streams.vtime;
		s->carry = 0;
	}
	qs_fair_push(link, &class->streams, stream);
	if (idle)
		qs_class_wake(classes, s->leaf, qs_whole_ns(link, stream));
}

static void remove(struct qs_link QS_MEM *link, uint32_t stream)
{
	struct qs_classes QS_MEM *classes = link->own;
	uint32_t leaf = link->streams[stream].leaf;

	qs_fair_remove(link, &classes->all[leaf].streams, stream);
	if (classes->all[leaf].streams.root == QS_NONE)
		qs_class_rest(classes, leaf);
}

static const struct qs_order order = {
	.push = push,
	.remove = remove,
	.first = first,
	.next_ns = next_ns,
};

QS_LOCAL const struct qs_policy qs_cbq = {
	.name = "cbq",
	.classes = 1,
	.frames = 1,
	.lossy = 1,
	.all = 1,
	.key = qs_tag_key,
	.charge = charge,
	.order = &order,
	.own_bytes = sizeof(struct qs_classes),
	.own_init = qs_classes_init,
};
