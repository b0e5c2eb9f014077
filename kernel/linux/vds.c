// SPDX-License-Identifier: GPL-2.0-only
/* Virtual deadline scheduling (../sched/vds.c) */
#define QS_NAME "vds"
#define QS_ONLY qs_vds
#define QS_POLICY_FILE "../sched/vds.c"
#include "policy.h"
#include "packets.c"
#include "qdisc.c"

MODULE_DESCRIPTION("Q.Sockets: virtual deadline scheduling");
