/* SPDX-License-Identifier: MIT
 *
 * The kernel's own calls, for who uses its schedulers: below/calls.c for their
 * streams, device/kernel.c for its devices.
 */
#ifndef QS_BELOW_KERNEL_H
#define QS_BELOW_KERNEL_H

#include <sys/ioctl.h>

#include "../linux/gate.h"

/* Whether this kernel has them. */
int kernel_has_calls(void);
/* Results as of qsocketcall(); -ENOSYS where it has not. */
int32_t kernel_call(uint32_t call, void *args, uint32_t args_len);

#endif
