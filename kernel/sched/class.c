/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The classes of a link: a tree, and what each class may send by its clocks.
 *
 * A clock says when the class will have used up, at a rate, all that it has
 * sent: it has not, and may send, once the clock is past. Two of them: one at
 * its guaranteed rate, one at its ceiling. A clock that lags is credit, and
 * that is bounded:
 *
 *	a ceiling's, always, by the burst: 10 ms, or 3000 bytes where those
 *	take longer. So a class sends no more in any time t than
 *	ceil * t + burst + one packet + what is left of frames begun with a
 *	deadline, which are finished, and charged.
 *
 *	a rate's, when a class begins to send after it had nothing to, by
 *	the burst: idling saves nothing up. While it has something to send,
 *	by what the other classes can hold it up: a large packet of each. So
 *	turns that come late are made good, but no more than those.
 *
 * A class that may not send by its own rate may, if it borrows, do so by its
 * parent's, and by that one's parent's if that borrows, and so on up to the
 * link, which has always something left. (Leaves with something to send times
 * classes above them are looked at: 32 * 32 at the most.)
 */
#include "parts.h"

#define BURST_NS 10000000u /* of credit */
#define BURST_BYTES 3000u  /* of credit, at least: two packets of an Ethernet */
#define LEFT_SHARE 256u	   /* of the link's rate: the least that counts in sharing what is left */

static uint64_t later_by(uint64_t time_ns, uint64_t ns)
{
	return time_ns > ns ? time_ns - ns : 0;
}

static uint64_t burst_ns(uint64_t rate)
{
	uint64_t ns = BURST_BYTES * 1000000000ull / rate;

	return ns > BURST_NS ? ns : BURST_NS;
}

void qs_clock_advance(struct qs_clock QS_MEM *clock, uint64_t rate, uint32_t bytes)
{
	uint64_t product = bytes * 1000000000ull + clock->carry;

	clock->ns += product / rate;
	clock->carry = product % rate;
}

/* Credit from before this time is forgotten. */
static void forget(struct qs_clock QS_MEM *clock, uint64_t time_ns)
{
	if (clock->ns < time_ns)
		clock->ns = time_ns;
}

static int within_rate(const struct qs_class QS_MEM *class, uint64_t now_ns)
{
	return class->rate && class->rated.ns <= now_ns;
}

/* A ceiling at the link's rate or above binds nobody: the link itself does. */
static int has_ceil(const struct qs_link QS_MEM *link, const struct qs_class QS_MEM *class)
{
	return class->ceil && class->ceil < link->rate;
}

int qs_class_open(const struct qs_link QS_MEM *link, uint32_t leaf, uint64_t now_ns)
{
	const struct qs_classes QS_MEM *classes = link->own;

	for (uint32_t i = leaf;; i = classes->all[i].parent) {
		const struct qs_class QS_MEM *class = &classes->all[i];

		if (has_ceil(link, class) && class->ceiled.ns > now_ns)
			return 0;
		if (!class->parent)
			return 1;
	}
}

enum qs_source qs_class_source(const struct qs_classes QS_MEM *classes, uint32_t leaf,
			       uint64_t now_ns)
{
	const struct qs_class QS_MEM *class = &classes->all[leaf];

	if (within_rate(class, now_ns))
		return QS_OWN;
	while (class->borrows) {
		if (!class->parent)
			return QS_OF_LINK;
		class = &classes->all[class->parent];
		if (within_rate(class, now_ns))
			return QS_OF_CLASS;
	}
	return QS_NO_SOURCE;
}

uint64_t qs_class_next_ns(const struct qs_link QS_MEM *link, uint32_t leaf)
{
	const struct qs_classes QS_MEM *classes = link->own;
	uint64_t open_ns = 0, source_ns = QS_FOREVER;
	int borrows = 1;

	for (uint32_t i = leaf;; i = classes->all[i].parent) {
		const struct qs_class QS_MEM *class = &classes->all[i];

		if (has_ceil(link, class) && class->ceiled.ns > open_ns)
			open_ns = class->ceiled.ns;
		if (borrows && class->rate && class->rated.ns < source_ns)
			source_ns = class->rated.ns;
		borrows &= class->borrows;
		if (class->parent)
			continue;
		if (borrows)
			source_ns = 0;
		return open_ns > source_ns ? open_ns : source_ns;
	}
}

void qs_class_wake(struct qs_classes QS_MEM *classes, uint32_t leaf, uint64_t time_ns)
{
	for (uint32_t i = leaf;; i = classes->all[i].parent) {
		struct qs_class QS_MEM *class = &classes->all[i];

		if (class->busy++ == 0 && class->rate && time_ns > class->free_ns)
			forget(&class->rated, later_by(time_ns, burst_ns(class->rate)));
		if (!class->parent)
			return;
	}
}

void qs_class_rest(struct qs_classes QS_MEM *classes, uint32_t leaf)
{
	for (uint32_t i = leaf;; i = classes->all[i].parent) {
		classes->all[i].busy--;
		if (!classes->all[i].parent)
			return;
	}
}

void qs_class_charge(struct qs_link QS_MEM *link, uint32_t leaf, uint32_t bytes, uint64_t now_ns)
{
	struct qs_classes QS_MEM *classes = link->own;
	uint64_t held_bytes = (classes->len + 1ull) * QSOCKET_PACKET_BYTES_MAX;
	uint64_t held_ns = later_by(now_ns, qs_duration_ns(link, held_bytes));

	for (uint32_t i = leaf;; i = classes->all[i].parent) {
		struct qs_class QS_MEM *class = &classes->all[i];

		class->free_ns = qs_done_ns(link, now_ns, bytes);
		if (class->rate) {
			forget(&class->rated, later_by(held_ns, burst_ns(class->rate)));
			qs_clock_advance(&class->rated, class->rate, bytes);
		}
		if (class->ceil) {
			forget(&class->ceiled, later_by(now_ns, burst_ns(class->ceil)));
			qs_clock_advance(&class->ceiled, class->ceil, bytes);
		}
		if (!class->parent)
			return;
	}
}

/* Class 0 stands for the leaf of streams that name no class. */
void qs_classes_init(struct qs_link QS_MEM *link)
{
	struct qs_classes QS_MEM *classes = link->own;
	uint64_t least = link->rate / LEFT_SHARE;

	classes->turn = QS_NONE;
	classes->all[0].priority = QSOCKET_CLASS_PRIORITIES - 1;
	classes->all[0].borrows = classes->all[0].leaf = 1;
	for (uint32_t i = 0; i <= classes->len; i++) {
		struct qs_class QS_MEM *class = &classes->all[i];

		class->weight = class->rate > least ? class->rate : least;
		if (class->weight == 0)
			class->weight = 1;
		qs_fair_init(&class->streams);
	}
}

/* Whether a leaf can ever send: by a rate of its own, or of one it borrows of. */
static int has_source(const struct qs_classes QS_MEM *classes, uint32_t leaf)
{
	const struct qs_class QS_MEM *class = &classes->all[leaf];

	while (!class->rate && class->borrows) {
		if (!class->parent)
			return 1;
		class = &classes->all[class->parent];
	}
	return class->rate > 0;
}

static int is_sound(const struct qsocket_class *class, uint32_t number)
{
	return class->parent < number && class->priority < QSOCKET_CLASS_PRIORITIES &&
	       !(class->flags & ~QSOCKET_BORROWS) && !class->zero &&
	       class->rate <= QSOCKET_RATE_MAX && class->ceil <= QSOCKET_RATE_MAX &&
	       (!class->ceil || class->rate <= class->ceil);
}

int32_t qs_classes(struct qs_link QS_MEM *link, const struct qsocket_class *given, uint32_t len)
{
	struct qs_classes QS_MEM *classes = link->own;

	if (len == 0)
		return 0;
	if (!QS_POLICY(link)->classes || len > QSOCKET_CLASSES_MAX)
		return -QS_EINVAL;
	for (uint32_t i = 1; i <= len; i++) {
		const struct qsocket_class *g = &given[i - 1];

		if (!is_sound(g, i))
			return -QS_EINVAL;
		classes->all[i] = (struct qs_class){
			.rate = g->rate,
			.ceil = g->ceil,
			.parent = g->parent,
			.priority = g->priority,
			.borrows = (g->flags & QSOCKET_BORROWS) != 0,
			.leaf = 1,
		};
		if (g->parent)
			classes->all[g->parent].leaf = 0;
		classes->all[g->parent].promised += g->rate;
	}
	for (uint32_t i = 0; i <= len; i++) {
		uint64_t rate = i ? classes->all[i].rate : link->rate;

		if (classes->all[i].promised > rate ||
		    (classes->all[i].leaf && i && !has_source(classes, i)))
			return -QS_EINVAL;
	}
	classes->len = len;
	qs_classes_init(link);
	return 0;
}

int qs_classes_same(const struct qs_link QS_MEM *link, const struct qsocket_class *given,
		    uint32_t len)
{
	const struct qs_classes QS_MEM *classes = link->own;

	if (!QS_POLICY(link)->classes)
		return len == 0;
	if (classes->len != len)
		return 0;
	for (uint32_t i = 1; i <= len; i++) {
		const struct qs_class QS_MEM *class = &classes->all[i];
		const struct qsocket_class *g = &given[i - 1];

		if (class->rate != g->rate || class->ceil != g->ceil ||
		    class->parent != g->parent || class->priority != g->priority ||
		    class->borrows != ((g->flags & QSOCKET_BORROWS) != 0))
			return 0;
	}
	return 1;
}

int qs_class_ok(const struct qs_link QS_MEM *link, uint32_t class_id)
{
	const struct qs_classes QS_MEM *classes = link->own;

	if (class_id == 0)
		return 1;
	return QS_POLICY(link)->classes && class_id <= classes->len && classes->all[class_id].leaf;
}
