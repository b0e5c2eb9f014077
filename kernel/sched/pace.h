/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Pacing, for hosts with a clock of their own: a link's packets leave no faster
 * than its rate, so that what goes next is decided as late as can be.
 */
#ifndef QS_PACE_H
#define QS_PACE_H

#include "sched.h"

#define QS_PACE_CATCH_UP_NS 10000000ull /* of the link's time made good after a late wake-up */
#define QS_PACE_GUARD_NS 1000000ull	/* what a wake-up may be late: asked of a deadline */

struct qs_pace {
	uint64_t free_ns;   /* when the link will have sent all that was handed out */
	uint64_t remainder; /* of the division that free_ns is a sum of */
};

/* Whether a packet may leave now. Then the scheduler may count on what the host
 * has overslept (lag_ns). */
QS_LOCAL int qs_pace_open(struct qs_link QS_MEM *link, const struct qs_pace QS_MEM *pace,
			  uint64_t now_ns);
/* One of so many bytes leaves. */
QS_LOCAL void qs_pace_charge(const struct qs_link QS_MEM *link, struct qs_pace QS_MEM *pace,
			     uint32_t bytes, uint64_t now_ns);
/* None could: what time there was is gone. */
QS_LOCAL void qs_pace_rest(struct qs_pace QS_MEM *pace, uint64_t now_ns);
/* From now on another rate: what is on its way goes at that. */
QS_LOCAL void qs_pace_rate(struct qs_link QS_MEM *link, struct qs_pace QS_MEM *pace, uint64_t rate,
			   uint64_t now_ns);
/* Before anything comes that may be sent: while nothing might be, the link's
 * time stood still. */
QS_LOCAL void qs_pace_stand_still(const struct qs_link QS_MEM *link, struct qs_pace QS_MEM *pace,
				  uint64_t now_ns);

#endif
