/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The scheduler as one program for the verifier: all of its files, with one
 * policy, QS_ONLY, so that no call goes through a pointer.
 */
#ifndef QS_SCHED_BPF_H
#define QS_SCHED_BPF_H

#define QS_MEM __attribute__((address_space(1)))
#define QS_LOOP may_go_on()
#define QS_POLICY(link) ((void)(link), &QS_ONLY)
#define QS_FETCH(p) ((void)(p))

#pragma clang attribute push(__attribute__((internal_linkage)),                                    \
			     apply_to = any(function, variable(is_global)))
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wundefined-internal"

#include "../sched/parts.h"

#include "../sched/admit.c"
#include "../sched/feasible.c"
#include "../sched/frame.c"
#include "../sched/heap.c"
#include "../sched/stream.c"
#include "../sched/lose.c"
#include "../sched/outcome.c"
#include "../sched/ready.c"
#include "../sched/ring.c"
#include "../sched/sched.c"
#include "../sched/watch.c"
#include "../sched/window.c"
#include "../sched/worth.c"
#include QS_POLICY_FILE

#pragma clang diagnostic pop
#pragma clang attribute pop

#endif
