/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Start-time fair queueing: streams that have something to send share by
 * their weights, whatever the sizes of their packets and the link's rate.
 *
 * A packet of l bytes of a stream of weight w has the start tag
 * S = max(v, F of the packet before) and the finish tag F = S + l/w. The
 * lowest S goes first. The virtual time v is the start tag of the packet in
 * service, and of the highest F served once all is served. So over any time
 * in which two streams have something to send, what they were served differs
 * by no more than |W1/w1 - W2/w2| <= l1/w1 + l2/w2, l the largest packet.
 *
 * A frame that was begun and has a deadline is promised, and may be sent ahead
 * of its turn. It is charged for all of it, and v stays with the packet whose
 * turn it was: for such a stream l is its largest frame. What is lost before
 * it is served is not charged.
 *
 * Tags are 2^-TAG_SHIFT of a byte at weight 1; what the division by the weight
 * leaves is carried to the stream's next packet, so nothing adds up. They wrap
 * after 2^44 bytes at weight 1 and are compared by their difference; a finish
 * tag that lies further ahead of v than a frame can take it is one of the
 * past, and counts as v, as 0 does: of a stream that was never served.
 *
 * The streams that wait are in a treap by (S, order of arrival): a stream's
 * two links are all it takes, and tags that wrap need no array to be moved.
 *
 * Goyal, Vin, Cheng: "Start-Time Fair Queuing: A Scheduling Algorithm for
 * Integrated Services Packet Switching Networks", SIGCOMM 1996.
 */
#include "parts.h"

#define TAG_SHIFT 20
#define LEAD_MAX (1ull << 47) /* of the largest frame at weight 1, twice */

_Static_assert((uint64_t)QSOCKET_UNIT_BYTES_MAX << TAG_SHIFT <= LEAD_MAX / 2, "a frame's lead");

static int tag_before(const struct qs_stream QS_MEM *a, const struct qs_stream QS_MEM *b)
{
	int64_t ahead = (int64_t)(a->tag - b->tag);

	return ahead != 0 ? ahead < 0 : a->seq < b->seq;
}

static void queue_up(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair, uint32_t stream)
{
	struct qs_stream QS_MEM *streams = link->streams, *s = &streams[stream];
	uint32_t QS_MEM *slot = &fair->root;
	uint32_t QS_MEM *lower = &s->before;
	uint32_t QS_MEM *higher = &s->after;
	uint32_t rest;

	while (QS_LOOP && *slot != QS_NONE && qs_tree_weight(*slot) >= qs_tree_weight(stream))
		slot = tag_before(s, &streams[*slot]) ? &streams[*slot].before
						      : &streams[*slot].after;
	if (fair->first != QS_NONE && tag_before(s, &streams[fair->first]))
		fair->first = stream;
	rest = *slot;
	*slot = stream;
	while (QS_LOOP && rest != QS_NONE) {
		if (tag_before(&streams[rest], s)) {
			*lower = rest;
			lower = &streams[rest].after;
			rest = *lower;
		} else {
			*higher = rest;
			higher = &streams[rest].before;
			rest = *higher;
		}
	}
	*lower = *higher = QS_NONE;
}

void qs_fair_remove(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair, uint32_t stream)
{
	struct qs_stream QS_MEM *streams = link->streams, *s = &streams[stream];
	uint32_t QS_MEM *slot = &fair->root;
	uint32_t lower = s->before, higher = s->after;

	if (fair->first == stream)
		fair->first = QS_NONE;
	if (fair->served == stream)
		fair->served = QS_NONE;
	while (QS_LOOP && *slot != stream)
		slot = tag_before(s, &streams[*slot]) ? &streams[*slot].before
						      : &streams[*slot].after;
	while (QS_LOOP && lower != QS_NONE && higher != QS_NONE) {
		if (qs_tree_weight(lower) >= qs_tree_weight(higher)) {
			*slot = lower;
			slot = &streams[lower].after;
			lower = *slot;
		} else {
			*slot = higher;
			slot = &streams[higher].before;
			higher = *slot;
		}
	}
	*slot = lower != QS_NONE ? lower : higher;
}

uint32_t qs_fair_first(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair)
{
	uint32_t served = fair->served, first;

	if (served != QS_NONE) {
		qs_fair_remove(link, fair, served);
		link->streams[served].tag = link->streams[served].finish;
		queue_up(link, fair, served);
	}
	if (fair->first == QS_NONE) {
		first = fair->root;
		while (QS_LOOP && first != QS_NONE && link->streams[first].before != QS_NONE)
			first = link->streams[first].before;
		fair->first = first;
	}
	return fair->first;
}

uint64_t qs_whole_ns(const struct qs_link QS_MEM *link, uint32_t stream)
{
	return link->messages[link->units[link->streams[stream].head].last].arrival_ns;
}

void qs_fair_init(struct qs_fair QS_MEM *fair)
{
	*fair = (struct qs_fair){.root = QS_NONE, .first = QS_NONE, .served = QS_NONE};
}

void qs_fair_push(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair, uint32_t stream)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];

	/* all was served, and had left, when this came */
	if (fair->root == QS_NONE && qs_whole_ns(link, stream) > fair->free_ns)
		fair->vtime = fair->finish;
	s->tag = s->finish && s->finish - fair->vtime <= LEAD_MAX ? s->finish : fair->vtime;
	queue_up(link, fair, stream);
}

void qs_fair_charge(struct qs_link QS_MEM *link, struct qs_fair QS_MEM *fair, uint32_t stream,
		    uint32_t bytes, uint64_t now_ns)
{
	struct qs_stream QS_MEM *s = &link->streams[stream];
	uint64_t cost = ((uint64_t)bytes << TAG_SHIFT) + s->carry;

	fair->vtime = link->streams[qs_fair_first(link, fair)].tag;
	fair->free_ns = qs_done_ns(link, now_ns, bytes);
	fair->served = stream; /* its place is changed only if it stays: see qs_fair_first() */
	s->finish = s->tag + cost / s->weight;
	s->carry = (uint32_t)(cost % s->weight);
	if ((int64_t)(s->finish - fair->finish) > 0)
		fair->finish = s->finish;
}
