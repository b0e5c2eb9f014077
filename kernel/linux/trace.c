// SPDX-License-Identifier: GPL-2.0-only
/*
 * The records of a device's scheduler (trace.h): their memory, and what is told
 * of them. Whoever reads them keeps them, whatever becomes of the device: no
 * lock is held while a reader's memory, which may be anything, is written.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "trace.h"

struct qs_trace *qsocket_trace_make(const struct qs_link *link, const char *scheduler)
{
	u64 most = QSOCKET_TRACE_PER_MESSAGE * (u64)link->messages_max;
	u32 max = QSOCKET_FLOWS + min_t(u64, most, QSOCKET_TRACE_RECORDS - QSOCKET_FLOWS);
	struct qs_trace *trace = kvzalloc(struct_size(trace, records, max), GFP_KERNEL_ACCOUNT);

	if (!trace)
		return NULL;
	refcount_set(&trace->users, 1);
	trace->max = max;
	trace->rate = trace->about.rate = link->rate;
	trace->about.guard_ns = link->guard_ns;
	trace->about.streams_max = link->streams_max;
	trace->about.messages_max = link->messages_max;
	strscpy_pad(trace->about.scheduler, scheduler, sizeof(trace->about.scheduler));
	return trace;
}
EXPORT_SYMBOL_GPL(qsocket_trace_make);

void qsocket_trace_put(struct qs_trace *trace)
{
	if (trace && refcount_dec_and_test(&trace->users))
		kvfree(trace);
}
EXPORT_SYMBOL_GPL(qsocket_trace_put);

/* The records of a device in the caller's network, held, and what they are now. */
static struct qs_trace *find(u32 link, struct qsocket_trace *about)
{
	struct qs_trace *trace = ERR_PTR(-ENOLINK);
	struct qsocket_root *root;

	mutex_lock(&qsocket_lock);
	root = qsocket_root_of(current->nsproxy->net_ns, link & ~QSOCKET_LINK_HANDLE);
	if (root)
		trace = root->trace ? root->trace : ERR_PTR(-ENODATA);
	if (!IS_ERR(trace)) {
		refcount_inc(&trace->users);
		qsocket_root_lock(root);
		*about = trace->about;
		qsocket_root_unlock(root);
	}
	mutex_unlock(&qsocket_lock);
	return trace;
}

long qsocket_trace_tell(struct qtrace_args *args)
{
	struct qsocket_trace about;
	struct qs_trace *trace;
	u32 len;

	if (!(args->link & QSOCKET_LINK_HANDLE))
		return -EBADF;
	if (!ns_capable(current->nsproxy->net_ns->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	trace = find(args->link, &about);
	if (IS_ERR(trace))
		return PTR_ERR(trace);
	memcpy(about.device, args->trace.device, sizeof(about.device));
	args->trace = about;
	len = min(args->records_max, about.records_len);
	if (len && copy_to_user(u64_to_user_ptr(args->records), trace->records,
				len * sizeof(*trace->records)))
		len = -EFAULT;
	qsocket_trace_put(trace);
	return (int)len;
}
