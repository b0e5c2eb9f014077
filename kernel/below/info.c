/* SPDX-License-Identifier: MIT
 *
 * What is told of streams and links: the scheduler's own counters, and what this
 * side has counted. Those of a scheduler in BPF are read here, by the code that
 * made them (sched/stream.c).
 */
#include <errno.h>
#include <string.h>

#include "below.h"

static const struct qs_policy *policy_of(const struct qs_gate_link *found)
{
	const struct qs_policy *policy = qs_policy_find(found->scheduler);

	return policy && !policy->classes ? policy : NULL;
}

/* A link of this one stream, for what reads streams of links. Nothing that the
 * copy points at is here. */
void below_scheduled(const struct qs_gate_link *found, struct qs_gate_stream *stream,
		     struct qsocket_info *info)
{
	struct qs_link link = {
		.policy = policy_of(found),
		.rate = found->rate,
		.streams = &stream->state,
		.ledgers = &stream->ledger,
		.delays = &stream->delays,
		.streams_max = 1,
		.streams_used = 1,
	};

	if (stream->state.open != QS_NONE && stream->state.open == stream->state.head)
		info->state |= QSOCKET_STATE_STUCK;
	stream->state.head = QS_NONE;
	qs_info(&link, 0, info);
	if (link.policy)
		info->utilisation_ppm = qs_share_ppm(&link, 0);
}

static void add_counts(const struct below_counts *c, struct qsocket_info *info)
{
	for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++) {
		info->dropped[reason] += c->dropped[reason];
		info->offered += c->dropped[reason];
		for (unsigned level = 0; level < QS_LEVELS; level++) {
			info->frames_offered[level] += c->frames_lost[level][reason];
			info->frames_dropped[level][reason] += c->frames_lost[level][reason];
		}
	}
	for (unsigned drop = 0; drop < QS_PRIORITIES; drop++)
		info->dropped_by_priority[drop] += c->dropped_by_priority[drop];
	info->dropped_bytes += c->dropped_bytes;
	info->offered_bytes += c->dropped_bytes;
	info->socket_errors += c->errors;
	info->syscalls += c->calls;
	if (c->last_error)
		info->last_error = c->last_error;
}

/* All that is left is a frame whose end will never come: it goes when the stream
 * is closed, which whoever drains it does once nothing is queued. */
static void lose_stuck(const struct below_stream *s, struct qsocket_info *info)
{
	info->dropped[QSOCKET_CLOSED] += info->queued;
	info->dropped_by_priority[s->frame_drop] += info->queued;
	info->dropped_bytes += info->queued_bytes;
	info->frames_dropped[s->frame_level][QSOCKET_CLOSED]++;
	info->queued = info->queued_bytes = 0;
}

void below_describe(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];

	b->gate->describe(b, &s->socket, info);
	if (info->state & QSOCKET_STATE_STUCK && link->closing[stream])
		lose_stuck(s, info);
	add_counts(&s->counts, info);
	info->state &= ~(QSOCKET_STATE_FRAME_OPEN | QSOCKET_STATE_BLOCKED | QSOCKET_STATE_STUCK);
	if (s->frame_open)
		info->state |= QSOCKET_STATE_FRAME_OPEN;
	if (s->rest_len)
		info->state |= QSOCKET_STATE_BLOCKED;
	if (s->broken)
		info->state |= QSOCKET_STATE_BROKEN;
	if (link->closing[stream])
		info->state |= QSOCKET_STATE_CLOSING;
}

static void set_link(const struct link *link, uint32_t kind, struct qsocket_info *info)
{
	const struct below *b = link->state;

	info->kind = kind;
	info->host = QSOCKET_BELOW;
	info->gate = b->gate_name;
	info->rate = b->found.rate;
	memcpy(info->scheduler, b->found.scheduler, sizeof(info->scheduler));
}

/* Before a stream's first packet the scheduler has only what was asked for. */
static void set_attr(const struct below_stream *s, struct qsocket_info *info)
{
	info->attr = s->attr;
	info->attr.flags &= QSOCKET_UNDROPPABLE;
	if (!info->attr.weight)
		info->attr.weight = 1;
	if (!info->attr.queue_messages)
		info->attr.queue_messages = QSOCKET_STREAM_MESSAGES_DEFAULT;
	if (!info->attr.queue_bytes)
		info->attr.queue_bytes = QSOCKET_STREAM_BYTES_DEFAULT;
	info->window_lost = info->attr.oln;
	info->window_left = info->attr.old;
}

static void info_stream(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];

	tcp_flush(s);
	set_attr(s, info);
	below_describe(link, stream, info);
	stack_info(&s->socket, info);
	/* of TCP the scheduler has only what is on its way just now */
	if (s->socket.type == QSOCKET_TCP && !s->broken && !info->queued &&
	    (info->unsent_bytes || s->rest_len)) {
		info->queued = 1;
		info->offered++;
		info->queued_bytes = info->unsent_bytes + s->rest_len - s->rest_at;
		info->offered_bytes += info->queued_bytes;
	}
	set_link(link, QSOCKET_STREAM, info);
}

/* All of the device's traffic, and what never reached it of this program's. Of
 * frames, and of calls, only this program's are known. */
static int32_t info_link(struct link *link, struct qsocket_info *info)
{
	struct below *b = link->state;
	struct qs_gate_link found;
	int32_t error = b->gate->link(b, &found);
	struct qsocket_info own = link->past;

	if (error)
		return error == -ENOPROTOOPT ? -ENOLINK : error;
	b->found = found;
	add_counts(&b->past, info);
	for (uint32_t i = 0; i < link->open_len; i++) {
		below_describe(link, link->open[i], &own);
		add_counts(&b->streams[link->open[i]].counts, info);
	}
	memcpy(info->frames_offered, own.frames_offered, sizeof(own.frames_offered));
	memcpy(info->frames_sent, own.frames_sent, sizeof(own.frames_sent));
	memcpy(info->frames_late, own.frames_late, sizeof(own.frames_late));
	memcpy(info->frames_dropped, own.frames_dropped, sizeof(own.frames_dropped));
	info->frames_partial = own.frames_partial;
	info->violations = own.violations;
	info->socket_errors = own.socket_errors;
	info->syscalls = own.syscalls;
	info->last_error = own.last_error;
	info->sent = found.sent;
	info->late = found.late;
	info->sent_bytes = found.sent_bytes;
	info->queued = found.queued;
	info->queued_bytes = found.queued_bytes;
	info->offered += found.sent + found.late + found.queued;
	for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++) {
		info->dropped[reason] += found.dropped[reason];
		info->offered += found.dropped[reason];
	}
	for (unsigned drop = 0; drop < QS_PRIORITIES; drop++)
		info->dropped_by_priority[drop] += found.dropped_by_priority[drop];
	info->dropped_bytes += found.dropped_bytes;
	info->offered_bytes += found.sent_bytes + found.queued_bytes + found.dropped_bytes;
	info->delay_ns_sum = found.delay_ns_sum;
	info->delay_ns_max = found.delay_ns_max;
	memcpy(info->delays, found.delays, sizeof(info->delays));
	info->streams = found.streams;
	info->utilisation_ppm = found.admission.utilisation_ppm;
	set_link(link, QSOCKET_LINK, info);
	return 0;
}

int32_t below_info(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	if (stream == QS_NONE)
		return info_link(link, info);
	info_stream(link, stream, info);
	return 0;
}

void below_found(const struct qs_gate_link *link, struct qs_gate_stream *stream,
		 struct qsocket_info *info)
{
	const struct below b = {.found = *link, .gate_name = QSOCKET_GATE_BPF};
	const struct below_stream s = {.attr = stream->attr};
	const struct link of = {.state = (void *)&b};

	set_attr(&s, info);
	if (stream->stream != QS_NONE)
		below_scheduled(link, stream, info);
	set_link(&of, QSOCKET_STREAM, info);
}
