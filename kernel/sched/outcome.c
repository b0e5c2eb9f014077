/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the network made of the packets. A host may hold several of a frame
 * before it learns that the first of them was refused, so frames are counted
 * when the host is through with their last packet; a frame of which anything
 * was refused is dropped, and partial if anything of it left.
 */
#include "parts.h"

static void count_partial(struct qs_ledger QS_MEM *ledger, uint64_t frame)
{
	if (ledger->left_frame != frame || ledger->partial_frame == frame)
		return;
	ledger->partial_frame = frame;
	ledger->frames_partial++;
}

/* The last packet of a frame has had its outcome. */
static void end_frame(struct qs_ledger QS_MEM *ledger, uint64_t frame, uint8_t level)
{
	if (ledger->failed_frame == frame) {
		ledger->frames_dropped[level][ledger->failed_reason]++;
		count_partial(ledger, frame);
		return;
	}
	ledger->frames_sent[level]++;
	ledger->frames_late[level] += ledger->late_frame == frame;
}

static void count_delay(struct qs_delays QS_MEM *delays, uint32_t bucket)
{
	if (!++delays->low[bucket])
		delays->high[bucket]++;
}

void qs_sent(struct qs_link QS_MEM *link, const struct qs_packet *packet)
{
	struct qs_stream QS_MEM *s = &link->streams[packet->stream];
	const struct qs_message QS_MEM *m = &link->messages[packet->message];
	uint64_t frame = packet->frame_seq + 1, delay_ns = packet->done_ns - m->arrival_ns;
	struct qs_ledger QS_MEM *ledger;

	if (packet->done) {
		s->delay_ns_sum += delay_ns;
		if (delay_ns > s->delay_ns_max)
			s->delay_ns_max = delay_ns;
		count_delay(&link->delays[packet->stream], qs_delay_bucket(delay_ns));
	}
	if (!packet->framed)
		return;
	ledger = qs_ledger(link, packet->stream);
	ledger->left_frame = frame;
	if (packet->marked && ledger->failed_frame == frame && !packet->frame_done)
		count_partial(ledger, frame);
	if (!packet->done)
		return;
	if (packet->outcome == QSOCKET_LATE)
		ledger->late_frame = frame;
	if (packet->marked && packet->frame_done)
		end_frame(ledger, frame, m->level);
}

/* Gives up the rest of a frame that is still queued, or, when all of it has
 * been handed out, what leans on it. */
static void give_up(struct qs_link QS_MEM *link, const struct qs_packet *packet, uint8_t level,
		    uint8_t reason)
{
	struct qs_stream QS_MEM *s = &link->streams[packet->stream];
	uint32_t unit = s->head;
	struct qs_ledger QS_MEM *ledger = qs_ledger(link, packet->stream);
	uint64_t partial = ledger->frames_partial, frame = packet->frame_seq + 1;

	if (unit != QS_NONE && link->units[unit].seq == packet->unit_seq) {
		qs_lose(link, unit, packet->done ? QSOCKET_INCOMPLETE : reason);
		if (ledger->left_frame != frame) {
			ledger->frames_partial = partial;
			ledger->partial_frame = 0;
		}
		return;
	}
	if (!packet->marked || !s->lossy || level > 1)
		return;
	if (unit != QS_NONE && link->units[unit].flags & QS_BEGUN)
		unit = link->units[unit].next;
	qs_break_chain(link, s, unit);
	qs_settle(link, packet->stream);
}

void qs_unsend(struct qs_link QS_MEM *link, const struct qs_packet *packet, uint8_t reason,
	       int partly)
{
	struct qs_stream QS_MEM *s = &link->streams[packet->stream];
	const struct qs_message QS_MEM *m = &link->messages[packet->message];
	struct qs_ledger QS_MEM *ledger = qs_ledger(link, packet->stream);
	uint64_t frame = packet->frame_seq + 1;
	uint8_t level = m->level;

	if (packet->done) {
		if (packet->outcome == QSOCKET_LATE)
			s->late--;
		else
			s->sent--;
		s->sent_bytes -= m->bytes;
		qs_count_lost(link, packet->stream, m->drop, m->bytes, reason);
	}
	if (partly)
		ledger->left_frame = frame;
	if (ledger->failed_frame != frame) {
		ledger->failed_frame = frame;
		ledger->failed_reason = reason;
		give_up(link, packet, level, reason);
	}
	if (packet->marked && packet->frame_done)
		end_frame(ledger, frame, level);
}

void qs_late(struct qs_link QS_MEM *link, struct qs_packet *packet)
{
	struct qs_stream QS_MEM *s = &link->streams[packet->stream];

	if (!packet->done || packet->outcome == QSOCKET_LATE)
		return;
	packet->outcome = QSOCKET_LATE;
	s->sent--;
	s->late++;
}
