/* SPDX-License-Identifier: GPL-2.0-only
 *
 * A freestanding compiler's <stddef.h>, of the kernel's own.
 */
#ifndef QS_LINUX_STDDEF_H
#define QS_LINUX_STDDEF_H

#include <linux/stddef.h>
#include <linux/types.h>

#endif
