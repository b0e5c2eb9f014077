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
/* The same, and keeps it; of the default, what that was. */
int32_t restore_save(int fd, const struct device *d, const struct root *root, struct root *saved,
		     char why[QSOCKET_WHY_BYTES]);
/* Brings it back, where the root is the default; nothing was kept: does nothing. */
int32_t restore(int fd, const struct device *d, const struct root *saved);

/* Pure: whether what is there now is what was there before, as far as that is
 * known; -ENOTRECOVERABLE and what is not. */
int32_t restore_compare(const struct root *saved, const struct root *now, uint32_t filters,
			char why[QSOCKET_WHY_BYTES]);
/* The same, of the device; `now` is what is there. */
int32_t restore_verify(int fd, const struct device *d, const struct root *saved, struct root *now,
		       char why[QSOCKET_WHY_BYTES]);

#endif
