/* SPDX-License-Identifier: MIT
 *
 * What was the root qdisc of a device before, and is again afterwards.
 */
#ifndef QS_RESTORE_H
#define QS_RESTORE_H

#include "device.h"
#include "netlink.h"

/* Pure: whether a root qdisc could be brought back; -EOPNOTSUPP and why not. */
int32_t restore_check(const struct root *root, uint32_t filters, char why[QSOCKET_WHY_BYTES]);
/* The same, and keeps it. */
int32_t restore_save(int fd, const struct device *d, const struct root *root, struct root *saved,
		     char why[QSOCKET_WHY_BYTES]);
/* Brings it back, where the root is the default; nothing was kept: does nothing. */
int32_t restore(int fd, const struct device *d, const struct root *saved);

#endif
