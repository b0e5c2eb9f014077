/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * First come, first served, message by message, with a bounded queue whose
 * tail is dropped: what a socket does without this library, and the measure
 * of what the other policies are worth.
 */
#include "parts.h"

static void key(const struct qs_stream QS_MEM *s, struct qs_key *key)
{
	*key = (struct qs_key){s->seq, 0, 0};
}

QS_LOCAL const struct qs_policy qs_fifo = {
	.name = "fifo",
	.key_span_log = 20,
	.key = key,
};
