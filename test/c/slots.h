/* SPDX-License-Identifier: MIT
 *
 * Sets of periodic streams on virtual links: a slot is the time of one
 * message, all messages are of one size, periods are whole slots, and the
 * message of each period is due at its end. play() says what came of a set.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include <stdlib.h>

#include "check.h"

#define SLOT_NS 1000000ull
#define SLOT_BYTES 1000u
#define WHOLE 3600u /* shares of the link: whole ones for periods times windows that divide it */
#define STREAMS_MAX 24u
#define SLOTS_MAX 432u
#define EVENTS_MAX 1024u
#define RUNS_BYTES (sizeof(struct qrun_args) + EVENTS_MAX * sizeof(struct qsocket_event))

/* At most x of y are lost; one each so many slots, from the slot `offset` on. */
struct stream {
	uint32_t slots, x, y, offset;
};

struct set {
	uint32_t len, share;
	struct stream streams[STREAMS_MAX];
};

/* What came of a stream. It waits, in slots, from when it may be served again
 * (the period after its last message sent) until it is; or in a window from
 * when that begins, if that is later. */
struct fate {
	uint32_t messages, violated;
	uint32_t wait, wait_in_window; /* the longest */
	uint64_t violations;	       /* as the scheduler counts them */
	int32_t sent_at[SLOTS_MAX];    /* slot, or -1 */
};

static struct fate fates[STREAMS_MAX];
static struct qrun_args *runs;
static char why[1024];

/* Of the link, in parts of WHOLE: what a stream's losses leave of a message a period. */
static uint32_t share(const struct stream *s)
{
	return (s->y - s->x) * WHOLE / (s->slots * s->y);
}

/* ---- a set on the link -------------------------------------------------- */

/* A link outlives its sets: each begins where the clock stands. */
struct host {
	const char *scheduler;
	int32_t link;
	uint64_t now; /* slot */
	int32_t streams[STREAMS_MAX];
};

static int send_due(const struct host *host, const struct set *set, uint32_t slot)
{
	for (uint32_t i = 0; i < set->len; i++) {
		const struct stream *s = &set->streams[i];
		struct qsend_args args = {
			.handle = (uint32_t)host->streams[i],
			.flags = QSOCKET_DEADLINE | 6 << QSOCKET_DROP_SHIFT,
			.data_len = SLOT_BYTES,
			.deadline_us = (uint32_t)(s->slots * SLOT_NS / 1000),
			.at_ns = (host->now + slot) * SLOT_NS,
			.message = fates[i].messages,
		};

		if (slot < s->offset || (slot - s->offset) % s->slots != 0)
			continue;
		if (qsocketcall(QSEND, &args, sizeof(args)) != (int32_t)SLOT_BYTES)
			return 0;
		fates[i].sent_at[fates[i].messages++] = -1;
	}
	return 1;
}

static int collect(const struct host *host, uint32_t until)
{
	uint64_t until_ns = (host->now + until) * SLOT_NS;

	do {
		runs->link = (uint32_t)host->link;
		runs->events_max = EVENTS_MAX;
		runs->until_ns = until_ns;
		if (qsocketcall(QRUN, runs, RUNS_BYTES) < 0)
			return 0;
		for (uint32_t e = 0; e < runs->events_len; e++) {
			const struct qsocket_event *event = &runs->events[e];
			uint32_t i = 0;

			while ((uint32_t)host->streams[i] != event->stream)
				i++;
			if (event->outcome == QSOCKET_LATE)
				return 0; /* a droppable stream sends nothing late */
			if (event->outcome == QSOCKET_SENT)
				fates[i].sent_at[event->message] =
					(int32_t)(event->at_ns / SLOT_NS - host->now) - 1;
		}
	} while (runs->now_ns < until_ns);
	return 1;
}

/* What the outcomes say, window by window: y messages each. */
static void judge(const struct stream *s, struct fate *f)
{
	uint32_t lost = 0, free_from = s->offset;

	for (uint32_t k = 0; k < f->messages; k++) {
		uint32_t window_from = s->offset + k / s->y * s->y * s->slots;
		uint32_t at = (uint32_t)f->sent_at[k];

		if (k % s->y == 0)
			lost = 0;
		if (f->sent_at[k] < 0) {
			f->violated += ++lost > s->x;
			continue;
		}
		if (at - free_from > f->wait)
			f->wait = at - free_from;
		if (free_from < window_from)
			free_from = window_from;
		if (at - free_from > f->wait_in_window)
			f->wait_in_window = at - free_from;
		free_from = s->offset + (k + 1) * s->slots;
	}
}

static int open_streams(struct host *host, const struct set *set)
{
	for (uint32_t i = 0; i < set->len; i++) {
		const struct stream *s = &set->streams[i];
		struct qsocket_args args = {
			.link = (uint32_t)host->link,
			.type = QSOCKET_UDP,
			.attr = {.ipg_ns = s->slots * SLOT_NS, .oln = s->x, .old = s->y},
		};

		memset(&fates[i], 0, sizeof(fates[i]));
		host->streams[i] = qsocketcall(QSOCKET, &args, sizeof(args));
		if (host->streams[i] < 0)
			return 0;
	}
	return 1;
}

/* The link of a scheduler, opened on first use. */
static struct host *host_of(const char *scheduler)
{
	static struct host hosts[8];
	struct host *host = hosts;
	struct qsockinit_args init = {
		.rate = SLOT_BYTES * 1000000000ull / SLOT_NS,
		.flags = QSOCKINIT_VIRTUAL,
		.queue_messages = 4 * STREAMS_MAX,
	};

	while (host->scheduler && strcmp(host->scheduler, scheduler) != 0)
		host++;
	if (!host->scheduler) {
		strncpy(init.scheduler, scheduler, sizeof(init.scheduler) - 1);
		host->scheduler = scheduler;
		host->link = qsocketcall(QSOCKINIT, &init, sizeof(init));
	}
	return host;
}

/* Plays a set for so many slots, and until nothing waits. 0 if a call failed. */
static int play(const char *scheduler, const struct set *set, uint32_t slots)
{
	struct host *host = host_of(scheduler);
	int played = host->link >= 0 && open_streams(host, set);

	for (uint32_t slot = 0; slot < slots && played; slot++) {
		played = send_due(host, set, slot);
		if (slot % 16 == 15)
			played = played && collect(host, slot);
	}
	played = played && collect(host, slots + SLOTS_MAX);
	for (uint32_t i = 0; i < set->len && played; i++) {
		fates[i].violations = call_info(host->streams[i]).violations;
		judge(&set->streams[i], &fates[i]);
		played = call_close(host->streams[i], 0) == 0;
	}
	host->now += slots + SLOTS_MAX;
	return played;
}

static uint32_t violated(const struct set *set)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < set->len; i++)
		sum += fates[i].violated + (fates[i].violations > 0);
	return sum;
}

static const char *about(const char *what, const struct set *set)
{
	int len = snprintf(why, sizeof(why), "%s: %u/%u of the link:", what, set->share, WHOLE);

	for (uint32_t i = 0; i < set->len; i++)
		len += snprintf(why + len, sizeof(why) - (size_t)len, " %u of %u/T=%u+%u",
				set->streams[i].x, set->streams[i].y, set->streams[i].slots,
				set->streams[i].offset);
	return why;
}

#endif
