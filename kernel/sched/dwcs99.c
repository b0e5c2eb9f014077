/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Dynamic window-constrained scheduling, in the order of 1999: the windows
 * before the deadlines.
 *
 *	1. the lowest W' = x'/y' (least tolerance left);
 *	2. of W' = 0, the highest y' (most starved);
 *	3. of these equal, the earliest deadline;
 *	4. of equal deadlines and equal W' > 0, the lowest x';
 *	5. first come.
 *
 * It spreads losses over the streams by their tolerances, however much the
 * link is overloaded. Deadlines it only meets by chance: a stream with a tight
 * window and a far deadline goes before one with a wide window that is due
 * now. The order of 2004 (dwcs.c) looks at deadlines first.
 *
 * West, Schwan: "Dynamic Window-Constrained Scheduling for Multimedia
 * Applications", IEEE International Conference on Multimedia Computing and
 * Systems (ICMCS), 1999.
 */
#include "parts.h"

static void key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	/* no window: everything may be lost, W' = 1/1 */
	uint64_t x_left = s->y ? s->x_left : 1, y_left = s->y ? s->y_left : 1;

	/* W' as an integer: two different fractions of numbers below 2^16 are
	 * more than 2^-32 apart */
	key->first =
		(x_left << 33) / y_left << 16 | (x_left == 0 ? QSOCKET_WINDOW_MAX - y_left : 0);
	key->second = s->rank_ns;
	key->third = x_left << 48 | s->seq;
}

QS_LOCAL const struct qs_policy qs_dwcs99 = {
	.name = "dwcs99",
	.frames = 1,
	.lossy = 1,
	.slides = 1,
	.ranks_apart = 1,
	.key_span_log = 50, /* all of W' */
	.key = key,
	.equal_periods = 1,
};
