/* SPDX-License-Identifier: MIT
 *
 * The records of a device's scheduler below the stack: what root reads of them, and
 * of one in BPF (bpf/trace.bpf.h) their place behind its memory.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "memory.h"
#include "trace.h"

static uint32_t records_max(const struct qsockinit_args *args)
{
	uint64_t most =
		(uint64_t)QSOCKET_TRACE_PER_MESSAGE *
		(args->queue_messages ? args->queue_messages : QSOCKET_QUEUE_MESSAGES_DEFAULT);

	if (!(args->flags & QSOCKINIT_TRACE))
		return 0;
	return QS_BELOW_FLOWS + (uint32_t)(most < QSOCKET_TRACE_RECORDS - QS_BELOW_FLOWS
						   ? most
						   : QSOCKET_TRACE_RECORDS - QS_BELOW_FLOWS);
}

uint32_t trace_pages(const struct qsockinit_args *args)
{
	const uint64_t bytes = (uint64_t)records_max(args) * sizeof(struct qsocket_record);

	return (uint32_t)((bytes + PAGE_BYTES - 1) / PAGE_BYTES);
}

/* The streams that are there from the start are recorded like all others. */
void trace_lay_out(struct qs_below *b, const struct qsockinit_args *args, uint64_t address,
		   const struct qsocket_attr *flow)
{
	struct qsocket_record *records = (void *)(uintptr_t)address;
	struct qs_trace *t = &b->trace;

	t->address = address;
	t->rate = t->first_rate = b->link.rate;
	for (uint32_t i = 0; i < b->link.streams_used; i++)
		records[t->len++] = (struct qsocket_record){
			.kind = QSOCKET_RECORD_ADD,
			.stream = i,
			.attr = *flow,
		};
	t->max = records_max(args);
}

/* Records whose turn is not over may be half written: these are left out. */
static uint32_t copy(const struct qs_below *b, struct qsocket_trace *trace,
		     struct qsocket_record *records, uint32_t records_max)
{
	const struct qsocket_record *from = (const void *)(uintptr_t)b->trace.address;
	uint32_t len = *(volatile const uint32_t *)&b->trace.len, turn;

	atomic_thread_fence(memory_order_acquire);
	turn = (uint32_t) * (volatile const uint64_t *)&b->turn;
	while (len > 0 && turn & 1 && from[len - 1].turn == turn)
		len--;
	memcpy(trace->scheduler, b->scheduler, sizeof(trace->scheduler));
	trace->rate = b->trace.first_rate;
	trace->guard_ns = b->link.guard_ns;
	trace->streams_max = b->link.streams_max;
	trace->messages_max = b->link.messages_max;
	trace->records_len = len;
	trace->missed = b->trace.missed;
	if (len > records_max)
		len = records_max;
	memcpy(records, from, len * sizeof(*records));
	return len;
}

int32_t qsocket_trace_read(struct qsocket_trace *trace, struct qsocket_record *records,
			   uint32_t records_max)
{
	struct qs_below *b;
	struct device device;
	int32_t result;

	if (!trace || !records)
		return -EFAULT;
	if (strnlen(trace->device, sizeof(trace->device)) == sizeof(trace->device))
		return -EINVAL;
	result = device_of(trace->device, &device);
	if (result)
		return result;
	result = kernel_trace(&device, trace, records, records_max);
	if (result >= 0 || result == -ENODATA || result == -EFAULT)
		return result;
	if (result == -EPERM)
		return -EACCES;
	/* its scheduler is another's, if it has any */
	memory_lock();
	result = memory_open(&device, &b, NULL);
	if (!result) {
		result = b->trace.max ? (int32_t)copy(b, trace, records, records_max) : -ENODATA;
		memory_close(b);
	}
	memory_unlock();
	return result == -ENOSYS ? -ENOENT : result; /* the kernel has no BPF at all */
}

/* A device may be initialised already, as it was asked for, but for this. */
int32_t trace_check(struct qsockinit_args *args)
{
	struct qsocket_trace trace = {0};
	struct qsocket_record none;
	int32_t result;

	memcpy(trace.device, args->device, sizeof(trace.device));
	result = qsocket_trace_read(&trace, &none, 0);
	if (result != -ENODATA)
		return result < 0 ? result : 0;
	args->host = 0; /* none */
	device_why(args->why, "it is initialised without a trace: restore it first");
	return -EEXIST;
}
