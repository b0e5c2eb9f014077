/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Loss windows. A stream with the window x/y may lose x of every y units.
 * x' and y' are what is left of the current window: losses still allowed,
 * units still to come.
 *
 *	served in time: a unit of the window is over, and no loss was spent;
 *			when the losses left fill what is left of the window
 *			(x' = y'), one of them is forgone.
 *	missed or lost: a loss is spent; with none left the window is violated,
 *			and y' grows, so that W' = x'/y' = 0/y' ranks the
 *			stream before all that owe less, until it is served.
 *
 * A window begins anew at x' = y' = 0, not where x' = y': resetting there
 * would forget losses already spent, and break the guarantee.
 *
 * West, Zhang, Schwan, Poellabauer: "Dynamic Window-Constrained Scheduling of
 * Real-Time Streams in Media Servers", IEEE Trans. Computers 53(6), 2004.
 */
#include "parts.h"

void qs_window_reset(struct qs_stream QS_MEM *s)
{
	s->x_left = s->x;
	s->y_left = s->y;
	s->tagged = 0;
}

void qs_window_served(struct qs_stream QS_MEM *s)
{
	if (s->y == 0)
		return;
	if (s->y_left > s->x_left) {
		s->y_left--;
	} else if (s->x_left > 0) {
		s->x_left--;
		s->y_left--;
	}
	if (s->tagged || (s->x_left == 0 && s->y_left == 0))
		qs_window_reset(s);
}

/* The same as that many single misses, in closed form. */
void qs_window_missed(struct qs_stream QS_MEM *s, uint64_t times)
{
	uint64_t room;

	if (s->y == 0)
		return;
	if (s->x == s->y && s->x_left == s->y_left) {
		/* all may be lost: the window only turns round */
		s->x_left = (uint16_t)((s->x_left + s->x - 1 - times % s->x) % s->x + 1);
		s->y_left = s->x_left;
		return;
	}
	/* what is left of this window, then at the most one whole window more */
	for (int window = 0; QS_LOOP && window < 2 && times > 0 && s->x_left > 0; window++) {
		uint32_t spent = times < s->x_left ? (uint32_t)times : s->x_left;

		s->x_left = (uint16_t)(s->x_left - spent);
		s->y_left = (uint16_t)(s->y_left - spent);
		times -= spent;
		if (s->x_left == 0 && s->y_left == 0) {
			s->x_left = s->x;
			s->y_left = s->y;
		}
	}
	if (times == 0)
		return;
	room = s->y_left < QSOCKET_WINDOW_MAX ? QSOCKET_WINDOW_MAX - s->y_left : 0;
	s->y_left = (uint16_t)(s->y_left + (times < room ? times : room));
	s->tagged = 1;
	s->violations += times;
}

int qs_window_allows_loss(const struct qs_stream QS_MEM *s)
{
	return s->y == 0 || s->x_left > 0;
}
