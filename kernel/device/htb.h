/* SPDX-License-Identifier: MIT
 *
 * A device whose managed packets are kept from the others by an HTB.
 */
#ifndef QS_HTB_H
#define QS_HTB_H

#include "device.h"
#include "netlink.h"

#define HTB_KIND "htb"

/* Makes it the root, in place of what is there; half of it may be there after
 * an error, and goes with the root. */
int32_t htb_install(int fd, const struct device *d, uint64_t rate);
/* Another rate of one that is there, in place: no packet is lost. */
int32_t htb_change(int fd, const struct device *d, uint64_t rate);
/* What of the rate is guaranteed to managed packets, in bytes per second. */
uint64_t htb_managed_rate(uint64_t rate);

#endif
