/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * First come, first served, message by message, with a bounded queue whose
 * tail is dropped: what a socket does without this library, and the measure
 * of what the other policies are worth.
 */
#include "parts.h"

static int before(const struct qs_stream *a, const struct qs_stream *b)
{
	return a->seq < b->seq;
}

const struct qs_policy qs_fifo = {
	.name = "fifo",
	.before = before,
};
