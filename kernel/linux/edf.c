// SPDX-License-Identifier: GPL-2.0-only
/* Earliest deadline first, dropping what is late (../sched/edf.c) */
#define QS_NAME "edf"
#define QS_ONLY qs_edf
#define QS_POLICY_FILE "../sched/edf.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: earliest deadline first, dropping what is late");
