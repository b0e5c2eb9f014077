/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Start-time fair queueing as a policy: all streams of the link share by their
 * weights. fair.c has the algorithm, which cbq has in each of its classes.
 */
#include "parts.h"

static void set_up(struct qs_link QS_MEM *link)
{
	qs_fair_init(link->own);
}

static void push(struct qs_link QS_MEM *link, uint32_t stream)
{
	qs_fair_push(link, link->own, stream);
}

static void remove(struct qs_link QS_MEM *link, uint32_t stream)
{
	qs_fair_remove(link, link->own, stream);
}

static uint32_t first(struct qs_link QS_MEM *link, uint64_t now_ns)
{
	(void)now_ns;
	return qs_fair_first(link, link->own);
}

static uint64_t next_ns(const struct qs_link QS_MEM *link)
{
	(void)link;
	return 0; /* whatever competes may go at once */
}

static void charge(struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes, uint64_t now_ns)
{
	qs_fair_charge(link, link->own, stream, bytes, now_ns);
}

static const struct qs_order order = {
	.push = push,
	.remove = remove,
	.first = first,
	.next_ns = next_ns,
};

QS_LOCAL const struct qs_policy qs_sfq = {
	.name = "sfq",
	.frames = 1,
	.lossy = 1,
	.all = 1,
	.key = qs_tag_key,
	.charge = charge,
	.order = &order,
	.own_bytes = sizeof(struct qs_fair),
	.own_init = set_up,
};
