/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Earliest deadline first, as two policies. `edf` drops what can no longer
 * arrive in time, so that nothing late is ever sent and no capacity is spent
 * on it; `edf-lossless` sends everything, late if need be, and counts it.
 *
 * Liu, Layland: "Scheduling Algorithms for Multiprogramming in a
 * Hard-Real-Time Environment", J. ACM 20(1), 1973.
 */
#include "parts.h"

static void key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	*key = (struct qs_key){s->rank_ns, s->seq, 0};
}

QS_LOCAL const struct qs_policy qs_edf = {
	.name = "edf",
	.frames = 1,
	.lossy = 1,
	.by_deadline = 1,
	.key_span_log = 30, /* a second */
	.key = key,
};

QS_LOCAL const struct qs_policy qs_edf_lossless = {
	.name = "edf-lossless",
	.frames = 1,
	.by_deadline = 1,
	.key_span_log = 30, /* a second */
	.key = key,
};
