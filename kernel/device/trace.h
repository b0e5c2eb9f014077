/* SPDX-License-Identifier: MIT
 *
 * Records of a scheduler below the stack, as bpf.c lays it out.
 */
#ifndef QS_DEVICE_TRACE_H
#define QS_DEVICE_TRACE_H

#include "../bpf/below.h"

/* What they need behind the scheduler's memory: 0 unless they are asked for. */
uint32_t trace_pages(const struct qsockinit_args *args);
/* Begins them at this address; the streams that there are have these attributes. */
void trace_lay_out(struct qs_below *b, const struct qsockinit_args *args, uint64_t address,
		   const struct qsocket_attr *flow);

#endif
