/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Dynamic window-constrained scheduling, in the order of 2004:
 *
 *	1. the earliest deadline;
 *	2. of equal deadlines, the lowest W' = x'/y' (least tolerance left);
 *	3. of equal deadlines with W' = 0, the highest y' (most starved);
 *	4. of equal deadlines and equal W' > 0, the lowest x';
 *	5. first come.
 *
 * No window is violated where the sum of (1 - x/y) C/T is at most 1, all
 * periods and sizes are equal, and every stream may lose none, or all but one,
 * of its window. Between these some sets fail at a lower load, as two streams
 * may run out of losses in the same period (test/c/windows.c has them, and
 * small sets that were tried to the last). With unequal periods nothing is
 * promised: vds.c is for them.
 *
 * West, Zhang, Schwan, Poellabauer: "Dynamic Window-Constrained Scheduling of
 * Real-Time Streams in Media Servers", IEEE Trans. Computers 53(6), 2004.
 */
#include "parts.h"

/* W' as an integer that orders as the fraction does: two different fractions
 * of numbers below 2^16 are at least 2^-32 apart. */
static uint64_t tolerance(uint32_t x_left, uint32_t y_left)
{
	return ((uint64_t)x_left << 33) / y_left;
}

static void key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	/* no window: everything may be lost, W' = 1/1 */
	uint32_t x_left = s->y ? s->x_left : 1, y_left = s->y ? s->y_left : 1;

	key->first = s->rank_ns;
	key->second = tolerance(x_left, y_left) << 16 |
		      (x_left == 0 ? QSOCKET_WINDOW_MAX - y_left : x_left);
	key->third = s->seq;
}

QS_LOCAL const struct qs_policy qs_dwcs = {
	.name = "dwcs",
	.frames = 1,
	.lossy = 1,
	.slides = 1,
	.key_span_log = 30, /* a second */
	.key = key,
	.equal_periods = 1,
};
