// SPDX-License-Identifier: GPL-2.0-only
/* Earliest deadline first, sending what is late (../sched/edf.c) */
#define QS_NAME "edf-lossless"
#define QS_ONLY qs_edf_lossless
#define QS_POLICY_FILE "../sched/edf.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: earliest deadline first, sending what is late");
