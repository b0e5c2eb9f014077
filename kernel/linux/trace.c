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
#include <linux/refcount.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "trace.h"

/* What readers hold. */
struct reel {
	refcount_t users;
	struct qsocket_trace about; /* but for records_len and missed */
	struct qs_trace trace;
	struct qsocket_record records[];
};

static struct reel *reel_of(struct qs_trace *trace)
{
	return container_of(trace, struct reel, trace);
}

struct qs_trace *qsocket_trace_make(const struct qs_link *link, const char *scheduler)
{
	u32 max = qs_trace_max(link->messages_max, QSOCKET_FLOWS);
	struct reel *reel = kvzalloc(struct_size(reel, records, max), GFP_KERNEL_ACCOUNT);

	if (!reel)
		return NULL;
	refcount_set(&reel->users, 1);
	reel->trace.records = reel->records;
	reel->trace.max = max;
	reel->trace.rate = reel->trace.first_rate = reel->about.rate = link->rate;
	reel->about.guard_ns = link->guard_ns;
	reel->about.streams_max = link->streams_max;
	reel->about.messages_max = link->messages_max;
	strscpy_pad(reel->about.scheduler, scheduler, sizeof(reel->about.scheduler));
	return &reel->trace;
}
EXPORT_SYMBOL_GPL(qsocket_trace_make);

void qsocket_trace_put(struct qs_trace *trace)
{
	if (trace && refcount_dec_and_test(&reel_of(trace)->users))
		kvfree(reel_of(trace));
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
		refcount_inc(&reel_of(trace)->users);
		*about = reel_of(trace)->about;
		qsocket_root_lock(root);
		about->records_len = trace->len;
		about->missed = trace->missed;
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
