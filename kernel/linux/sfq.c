// SPDX-License-Identifier: GPL-2.0-only
/* Start-time fair queueing (../sched/sfq.c) */
#define QS_NAME "sfq"
#define QS_ONLY qs_sfq
#define QS_POLICY_FILE "../sched/sfq.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: start-time fair queueing");
