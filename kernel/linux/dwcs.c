// SPDX-License-Identifier: GPL-2.0-only
/* Dynamic window-constrained scheduling (../sched/dwcs.c) */
#define QS_NAME "dwcs"
#define QS_ONLY qs_dwcs
#define QS_POLICY_FILE "../sched/dwcs.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: dynamic window-constrained scheduling");
