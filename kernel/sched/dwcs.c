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
 * Feasible when all periods are equal and the sum of (1 - x/y) C/T is at most
 * 1: then no window is violated. With unequal periods that is not promised.
 *
 * West, Zhang, Schwan, Poellabauer: "Dynamic Window-Constrained Scheduling of
 * Real-Time Streams in Media Servers", IEEE Trans. Computers 53(6), 2004.
 */
#include "parts.h"

static int before(const struct qs_stream *a, const struct qs_stream *b)
{
	/* no window: everything may be lost, W' = 1/1 */
	uint32_t ax = a->y ? a->x_left : 1, ay = a->y ? a->y_left : 1;
	uint32_t bx = b->y ? b->x_left : 1, by = b->y ? b->y_left : 1;
	uint64_t aw = (uint64_t)ax * by, bw = (uint64_t)bx * ay;

	if (a->rank_ns != b->rank_ns)
		return a->rank_ns < b->rank_ns;
	if (aw != bw)
		return aw < bw;
	if (ax == 0 && ay != by)
		return ay > by;
	if (ax != bx)
		return ax < bx;
	return a->seq < b->seq;
}

const struct qs_policy qs_dwcs = {
	.name = "dwcs",
	.frames = 1,
	.lossy = 1,
	.slides = 1,
	.before = before,
};
