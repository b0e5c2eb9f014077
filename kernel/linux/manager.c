// SPDX-License-Identifier: GPL-2.0-only
/*
 * The QSocket manager: one entry for all calls, as socketcall(2) is for a
 * socket's, and the table of the schedulers that have registered. A caller's
 * struct is copied once, and may be of another version (copy_struct_from_user).
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "manager.h"

DEFINE_MUTEX(qsocket_lock);

static LIST_HEAD(schedulers);

union args {
	struct qsockinit_args qsockinit;
	struct qsocket_args qsocket;
	struct qattach_args qattach;
	struct qchange_args qchange;
	struct qinfo_args qinfo;
	struct qclose_args qclose;
	struct qtrace_args qtrace;
};

struct request {
	union args args;
	struct file *opened; /* by QSOCKET, of the descriptor that it answers */
};

static long call_qsockinit(struct request *request)
{
	return qsocket_init(&request->args.qsockinit);
}

static long call_qsocket(struct request *request)
{
	return qsocket_create(&request->args.qsocket, &request->opened);
}

static long call_qattach(struct request *request)
{
	return qsocket_attach(&request->args.qattach);
}

static long call_qchange(struct request *request)
{
	return qsocket_change(&request->args.qchange);
}

static long call_qinfo(struct request *request)
{
	return qsocket_report(&request->args.qinfo);
}

static long call_qclose(struct request *request)
{
	return qsocket_close(&request->args.qclose);
}

static long call_qtrace(struct request *request)
{
	return qsocket_trace_tell(&request->args.qtrace);
}

/* Of each call: its struct as it is now, and the last that a caller must have of it. */
#define CALL(function, type, last)                                                                 \
	{                                                                                          \
		function, sizeof(struct type), offsetofend(struct type, last)                      \
	}

static const struct {
	long (*call)(struct request *request);
	u16 bytes, bytes_min;
} calls[] = {
	[QSOCKINIT] = CALL(call_qsockinit, qsockinit_args, why),
	[QSOCKET] = CALL(call_qsocket, qsocket_args, admission.zero),
	[QATTACH] = CALL(call_qattach, qattach_args, admission.zero),
	[QCHANGE] = CALL(call_qchange, qchange_args, admission.zero),
	[QINFO] = CALL(call_qinfo, qinfo_args, zero),
	[QCLOSE] = CALL(call_qclose, qclose_args, flags),
	[QTRACE] = CALL(call_qtrace, qtrace_args, trace.missed),
};

#define QSEND_BYTES_MIN offsetofend(struct qsend_args, to.bytes)

static_assert(sizeof(union args) <= QSOCKET_ARGS_BYTES_MAX);

/* Whether a call has anything to say beside its result. */
static bool answers(u32 call, long result)
{
	switch (call) {
	case QSOCKINIT:
		return true;
	case QSOCKET:
	case QATTACH:
	case QCHANGE:
		return result >= 0 || result == -EBUSY; /* the admission */
	case QINFO:
	case QTRACE:
		return result >= 0;
	default:
		return false;
	}
}

/* A descriptor is there once its caller is told of it: nobody could close another. */
static long answer(u32 call, void __user *args, u32 args_len, const struct request *request,
		   long result)
{
	u32 bytes = calls[call].bytes;
	bool is_told =
		!answers(call, result) || !copy_to_user(args, &request->args, min(bytes, args_len));

	if (request->opened && is_told) {
		fd_install(result, request->opened);
	} else if (request->opened) {
		put_unused_fd(result);
		fput(request->opened);
	}
	return is_told ? result : -EFAULT;
}

static long call_with(u32 call, void __user *args, u32 args_len, struct request *request)
{
	long result = copy_struct_from_user(&request->args, calls[call].bytes, args, args_len);

	if (result)
		return result;
	result = calls[call].call(request);
	return answer(call, args, args_len, request, result);
}

static long call_qsend(u32 call, void __user *args, u32 args_len)
{
	struct qsend_args copy;
	int error = copy_struct_from_user(&copy, sizeof(copy), args, args_len);

	if (error)
		return error;
	if (call == QSENDTO && !copy.to.family)
		return -EDESTADDRREQ;
	if (call == QSEND && memchr_inv(&copy.to, 0, sizeof(copy.to)))
		return -EINVAL;
	return qsocket_send(&copy);
}

long qsocket_call(u32 call, void __user *args, u32 args_len)
{
	bool sends = call == QSEND || call == QSENDTO;
	struct request *request;
	long result;

	if (call == QLIST)
		return args_len < sizeof(struct qlist_args) ? -EINVAL
							    : qsocket_list(args, args_len);
	if (!sends && (call >= ARRAY_SIZE(calls) || !calls[call].call))
		return -ENOSYS;
	if (args_len > QSOCKET_ARGS_BYTES_MAX)
		return -E2BIG;
	if (args_len < (sends ? QSEND_BYTES_MIN : calls[call].bytes_min))
		return -EINVAL;
	if (sends)
		return call_qsend(call, args, args_len);
	/* too large for a kernel's stack */
	request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request)
		return -ENOMEM;
	result = call_with(call, args, args_len, request);
	kfree(request);
	return result;
}

static void forget(struct qsocket_scheduler *scheduler)
{
	mutex_lock(&qsocket_lock);
	list_del(&scheduler->list);
	mutex_unlock(&qsocket_lock);
}

int qsocket_register(struct qsocket_scheduler *scheduler)
{
	int error;

	mutex_lock(&qsocket_lock);
	list_add_tail(&scheduler->list, &schedulers);
	mutex_unlock(&qsocket_lock);
	error = register_qdisc(scheduler->qdisc);
	if (error)
		forget(scheduler);
	return error;
}
EXPORT_SYMBOL_GPL(qsocket_register);

/* No device has it any more: its module could not be unloaded otherwise. */
void qsocket_unregister(struct qsocket_scheduler *scheduler)
{
	unregister_qdisc(scheduler->qdisc);
	forget(scheduler);
}
EXPORT_SYMBOL_GPL(qsocket_unregister);

static bool is_registered(const char *name)
{
	const struct qsocket_scheduler *scheduler;
	bool found = false;

	mutex_lock(&qsocket_lock);
	list_for_each_entry(scheduler, &schedulers, list) found |= !strcmp(scheduler->name, name);
	mutex_unlock(&qsocket_lock);
	return found;
}

bool qsocket_knows(const struct Qdisc_ops *ops)
{
	const struct qsocket_scheduler *scheduler;
	bool found = false;

	list_for_each_entry(scheduler, &schedulers, list) found |= scheduler->qdisc == ops;
	return found;
}

bool qsocket_has(const char *name)
{
	if (is_registered(name))
		return true;
	request_module("qsocket-%s", name);
	return is_registered(name);
}

static int __init qsockets_init(void)
{
	int error = qsocket_members_init();

	if (error)
		return error;
	error = qsocket_device_init();
	if (error)
		qsocket_members_exit();
	return error;
}

/* Every root is a qdisc of a module that needs this one: there are none, and
 * with them no streams. */
static void __exit qsockets_exit(void)
{
	qsocket_device_exit();
	qsocket_members_exit();
}

module_init(qsockets_init);
module_exit(qsockets_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Q.Sockets: sockets with quality of service, and their schedulers");
