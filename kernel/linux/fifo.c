// SPDX-License-Identifier: GPL-2.0-only
/* First come, first served (../sched/fifo.c) */
#define QS_NAME "fifo"
#define QS_ONLY qs_fifo
#define QS_POLICY_FILE "../sched/fifo.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: first come, first served");
