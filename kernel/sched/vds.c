/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Virtual deadline scheduling: windows at unequal periods.
 *
 * A stream with the window x/y owes m = y - x of every k = y units. Of its
 * current window k' = y' units are still to come, and m' = y' - x' still owed.
 * Spread evenly over what is left of the window they are k'T/m' apart, so the
 * next one is due, counted from the start of the head's period, at
 *
 *	virtual deadline = start of the period + k' T / m'
 *
 *	1. the earliest virtual deadline;
 *	2. of equal ones, the highest m'/k' (most owed of what is left);
 *	3. first come;
 *	4. behind them all, what owes nothing now (m' = 0, or no window): by
 *	   the earliest deadline, then first come.
 *
 * With m' = k' the virtual deadline is the end of the period, with m' = 1 the
 * end of the window. Where every stream has one or the other this is earliest
 * deadline first; where all periods are equal, it is the order of dwcs.c.
 *
 * window.c counts k' and m' as they are wanted here. Served: both go down by
 * one, and only k' where nothing is owed (x' = y'). Missed: only k'. Violated,
 * x' is 0 and y' grows, so m' = k': the stream is as urgent as it can be, until
 * it is served and its window begins anew.
 *
 * Zhang, West, Qi: "A Virtual Deadline Scheduler for Window-Constrained
 * Service Guarantees", IEEE Real-Time Systems Symposium (RTSS), 2004.
 */
#include "parts.h"

#define OWES_NOTHING (1ull << 63)

static void key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	uint64_t owed = s->y ? s->y_left - s->x_left : 0, spread_ns;

	if (owed == 0) {
		*key = (struct qs_key){OWES_NOTHING | s->rank_ns, s->seq, 0};
		return;
	}
	/* k'T stays below 2^58; the fractions are of numbers below 2^16, so that
	 * two that differ are more than 2^-32 apart */
	spread_ns = s->y_left * s->period_ns;
	key->first = s->release_ns + spread_ns / owed;
	key->second =
		(spread_ns % owed << 32) / owed << 32 | ((uint64_t)s->x_left << 32) / s->y_left;
	key->third = s->seq;
}

QS_LOCAL const struct qs_policy qs_vds = {
	.name = "vds",
	.frames = 1,
	.lossy = 1,
	.slides = 1,
	.ranks_apart = 1,
	.key_span_log = 30, /* a second */
	.key = key,
};
