/* SPDX-License-Identifier: MIT
 *
 * The memory of a scheduler below the stack, of a device that was initialised
 * by whichever process: only root may look into it.
 */
#ifndef QS_MEMORY_H
#define QS_MEMORY_H

#include "../bpf/below.h"
#include "device.h"

#define PAGE_BYTES 4096u
#define PINS "/sys/fs/bpf/qsockets"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* Linux >= 4.17 */
#endif

/* It is at one address, so one at a time is in this process: until unlock. */
void memory_lock(void);
void memory_unlock(void);

/* With the lock: that of a device, or -errno and (where `why` is given) why not.
 * -ENOENT: it has none; -EPROTO: another version's. */
int32_t memory_open(const struct device *d, struct qs_below **b, char why[QSOCKET_WHY_BYTES]);
void memory_close(struct qs_below *b);

/* A pinned map of a device: a descriptor and how many entries it has, each of
 * so many bytes; or -errno. */
int32_t memory_map_open(const struct device *d, const char *name, uint32_t *entries,
			uint32_t *value_bytes);
/* Whether what is pinned can only be root's: where anybody may write to the file
 * system of pins (its mode is 1777, unless mount(8) is told another), anybody can
 * have made the directory. */
int memory_pins_are_roots(void);
/* Where it is pinned; "": the directory. */
void memory_pin_path(char *path, size_t bytes, const struct device *d, const char *name);

#endif
