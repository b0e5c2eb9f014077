// SPDX-License-Identifier: GPL-2.0-only
/*
 * The QSocket manager: one entry for all calls, as socketcall(2) is for a
 * socket's, and the table of the schedulers that have registered. A caller's
 * struct is copied once, and may be of another version (copy_struct_from_user).
 */
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

static long call_qsockinit(union args *args)
{
	return qsocket_init(&args->qsockinit);
}

static long call_qsocket(union args *args)
{
	return qsocket_create(&args->qsocket);
}

static long call_qattach(union args *args)
{
	return qsocket_attach(&args->qattach);
}

static long call_qchange(union args *args)
{
	return qsocket_change(&args->qchange);
}

static long call_qinfo(union args *args)
{
	return qsocket_report(&args->qinfo);
}

static long call_qclose(union args *args)
{
	return qsocket_close(&args->qclose);
}

static long call_qtrace(union args *args)
{
	return qsocket_trace_tell(&args->qtrace);
}

/* Of each call: its struct as it is now, and the least that a caller must have
 * of it. */
static const struct {
	long (*call)(union args *args);
	u16 bytes, bytes_min;
} calls[] = {
	[QSOCKINIT] = {call_qsockinit, sizeof(struct qsockinit_args), 216},
	[QSOCKET] = {call_qsocket, sizeof(struct qsocket_args), 120},
	[QATTACH] = {call_qattach, sizeof(struct qattach_args), 128},
	[QCHANGE] = {call_qchange, sizeof(struct qchange_args), 80},
	[QINFO] = {call_qinfo, sizeof(struct qinfo_args), 8},
	[QCLOSE] = {call_qclose, sizeof(struct qclose_args), 8},
	[QTRACE] = {call_qtrace, sizeof(struct qtrace_args), 88},
};

#define QSEND_BYTES_MIN 64

static_assert(offsetof(struct qsockinit_args, classes) == 216);
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

static long call_with(u32 call, void __user *args, u32 args_len, union args *copy)
{
	u32 bytes = calls[call].bytes;
	long result = copy_struct_from_user(copy, bytes, args, args_len);

	if (result)
		return result;
	result = calls[call].call(copy);
	if (answers(call, result) && copy_to_user(args, copy, min(bytes, args_len)))
		return -EFAULT;
	return result;
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
	union args *copy;
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
	copy = kzalloc(sizeof(*copy), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	result = call_with(call, args, args_len, copy);
	kfree(copy);
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
