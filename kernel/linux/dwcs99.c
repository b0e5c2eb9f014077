// SPDX-License-Identifier: GPL-2.0-only
/* Dynamic window-constrained scheduling, in the order of 1999 (../sched/dwcs99.c) */
#define QS_NAME "dwcs99"
#define QS_ONLY qs_dwcs99
#define QS_POLICY_FILE "../sched/dwcs99.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: dynamic window-constrained scheduling, windows before deadlines");
