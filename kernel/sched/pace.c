/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * free_ns is when the link, at its rate, will have sent all that was handed
 * out: a sum of the packets' times, exact, for what each division leaves is
 * carried on to the next. A packet may leave once free_ns has come. The host
 * hears of that late, by a timer or a sleep: what it missed it makes good, by
 * sending on until free_ns is ahead again, but no more than
 * QS_PACE_CATCH_UP_NS of it, or a burst would follow each long sleep. Nor does
 * a link save anything up while it has nothing to send.
 */
#include "pace.h"

int qs_pace_open(struct qs_link QS_MEM *link, const struct qs_pace QS_MEM *pace, uint64_t now_ns)
{
	uint64_t lag_ns = now_ns - pace->free_ns;

	if (pace->free_ns > now_ns)
		return 0;
	link->lag_ns = lag_ns < QS_PACE_CATCH_UP_NS ? lag_ns : QS_PACE_CATCH_UP_NS;
	return 1;
}

void qs_pace_charge(const struct qs_link QS_MEM *link, struct qs_pace QS_MEM *pace, uint32_t bytes,
		    uint64_t now_ns)
{
	uint64_t product = bytes * 1000000000ull + pace->remainder;

	if (pace->free_ns + QS_PACE_CATCH_UP_NS < now_ns)
		pace->free_ns = now_ns - QS_PACE_CATCH_UP_NS;
	pace->free_ns += product / link->rate;
	pace->remainder = product % link->rate;
}

void qs_pace_rest(struct qs_pace QS_MEM *pace, uint64_t now_ns)
{
	pace->free_ns = now_ns;
}

void qs_rate(struct qs_link QS_MEM *link, uint64_t rate)
{
	link->rate = rate;
	link->product_ns_max = UINT64_MAX / rate;
}

/* What is owed is less than a packet's time: no product overflows. */
void qs_pace_rate(struct qs_link QS_MEM *link, struct qs_pace QS_MEM *pace, uint64_t rate,
		  uint64_t now_ns)
{
	if (pace->free_ns > now_ns)
		pace->free_ns = now_ns + (pace->free_ns - now_ns) * link->rate / rate;
	pace->remainder = 0;
	qs_rate(link, rate);
}

/* A host that oversleeps has that to make good from when something could have
 * been sent on, and no more. */
void qs_pace_stand_still(const struct qs_link QS_MEM *link, struct qs_pace QS_MEM *pace,
			 uint64_t now_ns)
{
	uint64_t open_ns;

	if (pace->free_ns >= now_ns)
		return;
	open_ns = qs_open_ns(link);
	if (pace->free_ns < open_ns)
		pace->free_ns = open_ns < now_ns ? open_ns : now_ns;
}
