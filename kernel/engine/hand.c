/* SPDX-License-Identifier: MIT
 *
 * Packets in hand: out of the scheduler's queue, and not yet taken by the
 * network. The scheduler has counted them as sent; one that the network
 * refuses, or that is given up here, is taken out of that count again
 * (qs_unsend), and until it is known QINFO says that they are queued. A
 * message's memory is freed with the last of its packets.
 */
#include <assert.h>

#include "engine.h"

/* Counts a message's last packet into what is in hand, or out of it. */
static void count(struct link *link, const struct qs_packet *packet, int32_t by)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[packet->stream];

	if (!packet->done)
		return;
	if (packet->outcome == QSOCKET_LATE)
		s->hand_late += (uint32_t)by;
	else
		s->hand_sent += (uint32_t)by;
	s->hand_bytes += (uint64_t)(by * (int64_t)link->policy.messages[packet->message].bytes);
}

/* The payload that a packet's share of the link's bytes stands for. */
static void set_range(const struct parcel *parcel, struct outgoing *o, uint32_t cost)
{
	uint32_t datagrams;

	o->at = 0;
	o->left = parcel->bytes;
	if (!cost)
		return;
	o->at = o->packet.offset / cost * parcel->segment;
	datagrams = (o->packet.bytes + cost - 1) / cost;
	o->left = parcel->bytes - o->at;
	if (o->left > datagrams * parcel->segment)
		o->left = datagrams * parcel->segment;
}

uint32_t engine_hand(struct link *link, const struct qs_packet *packet)
{
	struct engine *e = link->state;
	struct parcel *parcel = &e->parcels[packet->message];
	uint32_t hand = e->hand_free;
	struct outgoing *o;

	if (hand == QS_NONE)
		hand = e->hand_fresh++;
	else
		e->hand_free = e->hand[hand].next;
	assert(hand < e->streams_max + ENGINE_HAND_SPARE); /* ENGINE_HAND_CROWDED sees to that */
	o = &e->hand[hand];
	e->hand_len++;
	*o = (struct outgoing){.packet = *packet, .state = PACKET_UNSENT};
	set_range(parcel, o, link->policy.messages[packet->message].segment);
	parcel->in_hand++;
	count(link, packet, 1);
	return hand;
}

void engine_late(struct link *link, uint32_t hand)
{
	struct engine *e = link->state;

	count(link, &e->hand[hand].packet, -1);
	qs_late(&link->policy, &e->hand[hand].packet);
	count(link, &e->hand[hand].packet, 1);
}

static void release(struct link *link, uint32_t message)
{
	struct engine *e = link->state;

	assert(!e->parcels[message].in_hand);
	payload_free(&e->payload, e->parcels[message].chunk);
	qs_free(&link->policy, message);
}

void engine_ended(struct link *link, uint32_t stream)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[stream];

	if (!link->closing[stream] || s->leaving || s->ended)
		return;
	s->ended = 1;
	s->ended_next = e->ended;
	e->ended = stream;
}

void engine_reap(struct link *link)
{
	struct engine *e = link->state;
	uint32_t message;

	while ((message = qs_reap(&link->policy)) != QS_NONE) {
		engine_ended(link, link->policy.messages[message].stream);
		if (e->parcels[message].in_hand)
			e->parcels[message].dead = 1;
		else
			release(link, message);
	}
}

void engine_finish(struct link *link, uint32_t hand, uint8_t reason)
{
	struct engine *e = link->state;
	struct outgoing *o = &e->hand[hand];
	uint32_t message = o->packet.message;
	struct parcel *parcel = &e->parcels[message];
	uint32_t stream = o->packet.stream;

	if (reason)
		parcel->failed = reason;
	if (reason || (o->packet.done && parcel->failed)) {
		qs_unsend(&link->policy, &o->packet, parcel->failed, o->partly);
		engine_reap(link);
	} else {
		qs_sent(&link->policy, &o->packet);
	}
	parcel->in_hand--;
	assert(!o->packet.done || !parcel->in_hand); /* a stream keeps its order */
	count(link, &o->packet, -1);
	if (o->packet.done)
		parcel->dead = 1;
	if (parcel->dead && !parcel->in_hand)
		release(link, message);
	o->next = e->hand_free;
	e->hand_free = hand;
	e->hand_len--;
	engine_ended(link, stream);
}

void engine_wait(struct link *link, uint32_t stream, enum wait wait)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[stream];

	if (s->wait == WAIT_NONE) {
		s->waiting_at = e->waiting_len;
		e->waiting[e->waiting_len++] = stream;
	}
	s->wait = (uint8_t)wait;
	qs_block(&link->policy, stream, 1);
}

void engine_go_on(struct link *link, uint32_t stream)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[stream];

	if (s->wait != WAIT_NONE) {
		uint32_t last = e->waiting[--e->waiting_len];

		e->waiting[s->waiting_at] = last;
		e->streams[last].waiting_at = s->waiting_at;
		s->wait = WAIT_NONE;
	}
	if (!s->leaving)
		qs_block(&link->policy, stream, 0);
}

void engine_lose(struct link *link, uint32_t stream, uint8_t reason)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[stream];

	while (s->held_len > 0) {
		uint32_t hand = s->held_first;

		s->held_first = e->hand[hand].next;
		s->held_len--;
		engine_finish(link, hand, reason);
	}
	qs_flush(&link->policy, stream, reason);
	engine_reap(link);
	engine_go_on(link, stream);
}

void engine_hold(struct link *link, uint32_t hand, enum wait wait)
{
	struct engine *e = link->state;
	uint32_t stream = e->hand[hand].packet.stream;
	struct engine_stream *s = &e->streams[stream];

	e->hand[hand].next = QS_NONE;
	if (s->held_len++ == 0)
		s->held_first = hand;
	else
		e->hand[s->held_last].next = hand;
	s->held_last = hand;
	engine_wait(link, stream, wait);
}
