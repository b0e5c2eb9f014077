/* SPDX-License-Identifier: MIT
 *
 * The engine: the host above the protocol stack.
 */
#include <errno.h>

#include "engine.h"

static int32_t engine_open(struct link *link, const struct qsockinit_args *args)
{
	(void)link;
	(void)args;
	return -EOPNOTSUPP;
}

const struct host engine_host = {.name = QSOCKET_ABOVE, .open = engine_open};
