/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The scheduler (../sched) as one unit with one policy, QS_ONLY, of the file
 * QS_POLICY_FILE: no call in it goes through a pointer, which costs a kernel
 * dearly, and what other policies need is not there.
 */
#ifndef QS_LINUX_POLICY_H
#define QS_LINUX_POLICY_H

#define QS_POLICY(link) ((void)(link), &QS_ONLY)
/* Several may be linked into one kernel, and none needs all of it. */
#define QS_LOCAL static
#pragma GCC diagnostic ignored "-Wunused-function" /* looked at when all is read */

/* Names that the kernel has for something else; its headers come after this one. */
#define complete qs_complete

#include "../sched/parts.h"

#include QS_POLICY_FILE

/* Without classes a stream can only be of none. */
#define qs_class_ok(link, class_id) ((void)(link), (class_id) == 0)

#include "../sched/admit.c"
#include "../sched/fair.c"
#include "../sched/feasible.c"
#include "../sched/frame.c"
#include "../sched/heap.c"
#include "../sched/link.c"
#include "../sched/lose.c"
#include "../sched/outcome.c"
#include "../sched/pace.c"
#include "../sched/ready.c"
#include "../sched/ring.c"
#include "../sched/sched.c"
#include "../sched/stream.c"
#include "../sched/watch.c"
#include "../sched/window.c"
#include "../sched/worth.c"

#undef complete
#undef qs_class_ok

#endif
