/* SPDX-License-Identifier: GPL-2.0-only
 *
 * A freestanding compiler's <stdint.h>, of the kernel's own types: all that
 * ../qsocket.h and ../sched ask for.
 */
#ifndef QS_LINUX_STDINT_H
#define QS_LINUX_STDINT_H

#include <linux/limits.h>
#include <linux/types.h>

#ifndef UINT32_MAX
#define UINT32_MAX U32_MAX
#endif
#ifndef UINT64_MAX
#define UINT64_MAX U64_MAX
#endif
#ifndef INT64_MAX
#define INT64_MAX S64_MAX
#endif

#endif
