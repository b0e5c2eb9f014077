/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the network made of the packets. A host may hold several of a frame
 * before it learns that the first of them was refused, so frames are counted
 * when the host is through with their last packet; a frame of which anything
 * was refused is dropped, and partial if anything of it left.
 */
#include "parts.h"

static void count_partial(struct qs_stream *s, uint64_t frame)
{
	if (s->left_frame != frame || s->partial_frame == frame)
		return;
	s->partial_frame = frame;
	s->frames_partial++;
}

/* The last packet of a frame has had its outcome. */
static void end_frame(struct qs_stream *s, uint64_t frame, uint8_t level)
{
	if (s->failed_frame == frame) {
		s->frames_dropped[level][s->failed_reason]++;
		count_partial(s, frame);
		return;
	}
	s->frames_sent[level]++;
	s->frames_late[level] += s->late_frame == frame;
}

void qs_sent(struct qs_link *link, const struct qs_packet *packet)
{
	struct qs_stream *s = &link->streams[packet->stream];
	const struct qs_message *m = &link->messages[packet->message];
	uint64_t frame = packet->frame_seq + 1, delay_ns = packet->done_ns - m->arrival_ns;

	s->left_frame = frame;
	if (packet->marked && s->failed_frame == frame && !packet->frame_done)
		count_partial(s, frame);
	if (!packet->done)
		return;
	s->delay_ns_sum += delay_ns;
	if (delay_ns > s->delay_ns_max)
		s->delay_ns_max = delay_ns;
	if (packet->outcome == QSOCKET_LATE)
		s->late_frame = frame;
	if (packet->marked && packet->frame_done)
		end_frame(s, frame, m->level);
}

/* Gives up the rest of a frame that is still queued, or, when all of it has
 * been handed out, what leans on it. */
static void give_up(struct qs_link *link, const struct qs_packet *packet, uint8_t level,
		    uint8_t reason)
{
	struct qs_stream *s = &link->streams[packet->stream];
	uint32_t unit = s->head;
	uint64_t partial = s->frames_partial, frame = packet->frame_seq + 1;

	if (unit != QS_NONE && link->units[unit].seq == packet->unit_seq) {
		qs_lose(link, unit, packet->done ? QSOCKET_INCOMPLETE : reason);
		if (s->left_frame != frame) {
			s->frames_partial = partial;
			s->partial_frame = 0;
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

void qs_unsend(struct qs_link *link, const struct qs_packet *packet, uint8_t reason, int partly)
{
	struct qs_stream *s = &link->streams[packet->stream];
	const struct qs_message *m = &link->messages[packet->message];
	uint64_t frame = packet->frame_seq + 1;
	uint8_t level = m->level;

	if (packet->done) {
		if (packet->outcome == QSOCKET_LATE)
			s->late--;
		else
			s->sent--;
		s->sent_bytes -= m->bytes;
		s->dropped[reason]++;
		s->dropped_by_priority[m->drop]++;
		s->dropped_bytes += m->bytes;
	}
	if (partly)
		s->left_frame = frame;
	if (s->failed_frame != frame) {
		s->failed_frame = frame;
		s->failed_reason = reason;
		give_up(link, packet, level, reason);
	}
	if (packet->marked && packet->frame_done)
		end_frame(s, frame, level);
}

void qs_late(struct qs_link *link, struct qs_packet *packet)
{
	struct qs_stream *s = &link->streams[packet->stream];

	if (!packet->done || packet->outcome == QSOCKET_LATE)
		return;
	packet->outcome = QSOCKET_LATE;
	s->sent--;
	s->late++;
}
