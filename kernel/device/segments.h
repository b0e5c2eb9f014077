/* SPDX-License-Identifier: MIT
 *
 * How much TCP hands to a device in one packet, to be cut into segments behind
 * the device's queue.
 */
#ifndef QS_SEGMENTS_H
#define QS_SEGMENTS_H

#include "netlink.h"

#define SEGMENTS_NS_MAX                                                                            \
	2000000u /* of the device's rate in one packet, if it is not one segment                   \
		  */

struct device;

/* A device's gso_max_segs; a part of its state (state.h). */
struct segments {
	uint32_t before; /* what it had; 0: not known, and left as it is */
	uint32_t set;	 /* what it was given; 0: nothing */
	uint32_t next;	 /* not 0: what it is about to be given */
};

/* What the kernel says of it. */
struct segments_shown {
	uint32_t ifindex;
	uint32_t now, most; /* 0: not said; most is what the driver can take */
	uint32_t group;	    /* the device's */
};

/* Pure: so many at a rate, never more than there were; whether a message is of
 * the device, which is written then. */
uint32_t segments_at(uint64_t rate, uint32_t mtu, uint32_t before);
int segments_read(const struct nlmsghdr *message, struct segments_shown *shown);

/* Says what will be set, to be written before it is: and does it. Where the
 * device refuses, it stays as it is. */
void segments_begin(int fd, const struct device *d, uint64_t rate, struct segments *s);
void segments_apply(int fd, const struct device *d, struct segments *s);
/* Of a device whose state was lost. */
void segments_lost(int fd, const struct device *d, struct segments *s);
/* What it had, but where somebody has set something else since; or
 * -ENOTRECOVERABLE and why. */
int32_t segments_restore(int fd, const struct device *d, struct segments *s,
			 char why[QSOCKET_WHY_BYTES]);

#endif
