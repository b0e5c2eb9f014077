/* SPDX-License-Identifier: MIT
 *
 * The file of a scheduler in BPF.
 */
#ifndef QS_DEVICE_OBJECT_H
#define QS_DEVICE_OBJECT_H

#include <limits.h>

#include "../qsocket.h"

/* Where it is; -ENOENT and why there is none. */
int32_t bpf_object(char path[PATH_MAX], const char *scheduler, char why[QSOCKET_WHY_BYTES]);

#endif
