/* SPDX-License-Identifier: MIT
 *
 * What is remembered of a device that was initialised for all processes: a file
 * in STATE_DIRECTORY, of root's, that everybody may read.
 */
#ifndef QS_STATE_H
#define QS_STATE_H

#include "device.h"
#include "netlink.h"
#include "segments.h"

#define STATE_MAGIC 0x73715153u /* "SQqs" */
#define STATE_VERSION 3

enum state_phase {
	STATE_BEGUN = 1, /* what is said may be there, or half of it, or nothing */
	STATE_READY = 2,
};

/* As it is in the file. */
struct state {
	uint32_t magic, version, bytes;
	uint32_t phase; /* enum state_phase */
	uint32_t host;	/* enum qsocket_host */
	uint32_t uid, gid, mode;
	struct device device;
	char scheduler[QSOCKET_NAME_BYTES];
	uint64_t rate;		       /* of the device */
	uint64_t rate_next;	       /* not 0: a change to it was begun */
	char kind[QSOCKET_NAME_BYTES]; /* of the root qdisc that is ours */
	char why[QSOCKET_WHY_BYTES];   /* no better host */
	/* the root qdisc that it took the place of; handle 0: the default, which
	 * comes back by itself */
	struct root saved;
	struct segments segments;
};

/* Pure: whether that is a state as this build writes it: 0 or -EBADMSG. */
int32_t state_check(const void *bytes, size_t len);
/* The state of a device: 0, -ENOENT if there is none, -ESTALE if it is of
 * another device that had its number, or of this one under another address: its
 * root qdisc tells which; else -errno: it cannot be believed. */
int32_t state_read(const struct device *d, struct state *state);
/* With the lock, in the place of what was there. */
int32_t state_write(const struct state *state);
int32_t state_remove(const struct device *d);
/* With the lock: forgets devices of this network that are gone; how many of
 * them were called `name`. */
uint32_t state_sweep(const struct device *d, const char *name);
/* Against two that change the same: a descriptor to close, or -errno. */
int32_t state_lock(void);

#endif
