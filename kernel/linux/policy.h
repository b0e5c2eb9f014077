/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The scheduler (../sched) as one unit with one policy, QS_ONLY, of the file
 * QS_POLICY_FILE: no call in it goes through a pointer, which costs a kernel
 * dearly, and what other policies need is not there.
 */
#ifndef QS_LINUX_POLICY_H
#define QS_LINUX_POLICY_H

#define QS_POLICY(link) ((void)(link), &QS_ONLY)

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
#include "../sched/lose.c"
#include "../sched/outcome.c"
#if __has_include("../sched/pace.c")
#include "../sched/pace.c"
#endif
#include "../sched/ready.c"
#include "../sched/ring.c"
#include "../sched/sched.c"
#include "../sched/stream.c"
#include "../sched/watch.c"
#include "../sched/window.c"
#include "../sched/worth.c"

/* The table of all policies names the others, which are in other modules. */
#pragma weak qs_dwcs
#pragma weak qs_dwcs99
#pragma weak qs_vds
#pragma weak qs_edf
#pragma weak qs_edf_lossless
#pragma weak qs_fifo
#pragma weak qs_sfq
#pragma weak qs_cbq
#include "../sched/link.c"

#undef complete
#undef qs_class_ok

#endif
