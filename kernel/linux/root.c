// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that have a scheduler: found, and made. A root is its qdisc's, which
 * traffic control makes and destroys.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "manager.h"

/* By the device, and not by a list of all there are: whoever rules a network of
 * their own may make thousands. Its qdisc is there under RCU; as long as it has
 * entered, until qsocket_lock is released. While one replaces another a device
 * has two, of which one is attached. */
struct qsocket_root *qsocket_root_of(struct net *net, int ifindex)
{
	struct qsocket_root *root = NULL;
	const struct net_device *dev;
	struct Qdisc *sch;

	lockdep_assert_held(&qsocket_lock);
	rcu_read_lock();
	dev = dev_get_by_index_rcu(net, ifindex);
	sch = dev ? rcu_dereference(dev->qdisc) : NULL;
	if (sch && qsocket_knows(sch->ops))
		root = qdisc_priv(sch);
	if (root && !root->entered)
		root = NULL;
	rcu_read_unlock();
	return root;
}

int qsocket_root_enter(struct qsocket_root *root, struct Qdisc *sch,
		       const struct qsocket_scheduler *scheduler,
		       const struct qsocket_options *options)
{
	int error;

	root->sch = sch;
	root->scheduler = scheduler;
	root->uid = current_euid();
	root->members = RB_ROOT;
	INIT_DELAYED_WORK(&root->reaper, qsocket_reap);
	xa_init(&root->users);
	error = qsocket_root_set(root, options);
	if (error)
		return error;
	mutex_lock(&qsocket_lock);
	root->entered = true;
	mutex_unlock(&qsocket_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(qsocket_root_enter);

void qsocket_root_leave(struct qsocket_root *root)
{
	struct qsocket_member *member;

	if (!root->entered)
		return;
	mutex_lock(&qsocket_lock);
	root->entered = false;
	while ((member = qsocket_member_after(root, 0)))
		qsocket_leave(member);
	mutex_unlock(&qsocket_lock);
	cancel_delayed_work_sync(&root->reaper);
	xa_destroy(&root->users);
}
EXPORT_SYMBOL_GPL(qsocket_root_leave);

int qsocket_root_set(struct qsocket_root *root, const struct qsocket_options *options)
{
	kgid_t gid = make_kgid(current_user_ns(), options->gid);

	if (options->gid != (gid_t)-1 && !gid_valid(gid))
		return -EINVAL;
	mutex_lock(&qsocket_lock);
	root->options = *options;
	root->gid = gid;
	mutex_unlock(&qsocket_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(qsocket_root_set);

static bool lets_in(const struct qsocket_root *root)
{
	u32 mode = root->options.mode;

	if (uid_eq(current_euid(), root->uid))
		return mode & 0200;
	if (gid_valid(root->gid) && in_egroup_p(root->gid))
		return mode & 0020;
	return mode & 0002;
}

/* As of a file with this owner, group and mode, opened for writing. The capability
 * is asked for last: who is refused it may get into an audit. */
bool qsocket_may_register(const struct qsocket_root *root)
{
	return lets_in(root) || ns_capable(dev_net(qdisc_dev(root->sch))->user_ns, CAP_NET_ADMIN);
}

/* What is there, in place of what was asked for. */
static long tell(struct qsocket_root *root, struct qsockinit_args *args)
{
	strscpy_pad(args->scheduler, root->scheduler->name, sizeof(args->scheduler));
	args->rate = root->options.rate;
	args->host = QSOCKET_BELOW;
	args->streams = root->options.streams;
	args->queue_messages = root->options.queue_messages;
	return QSOCKET_LINK_HANDLE | qdisc_dev(root->sch)->ifindex;
}

static long join(struct net *net, int ifindex, struct qsockinit_args *args)
{
	struct qsocket_root *root = qsocket_root_of(net, ifindex);

	if (!root)
		return -ENOENT;
	if (!qsocket_may_register(root)) {
		strscpy(args->why, "the device's owner lets others register no streams",
			sizeof(args->why));
		return -EACCES;
	}
	if (*args->scheduler && strcmp(args->scheduler, root->scheduler->name)) {
		snprintf(args->why, sizeof(args->why), "the device has the scheduler %s",
			 root->scheduler->name);
		return -EBUSY;
	}
	if (args->rate && args->rate != root->options.rate) {
		snprintf(args->why, sizeof(args->why), "the device has a rate of %llu bytes/s",
			 root->options.rate);
		return -EEXIST;
	}
	return tell(root, args);
}

/* What to do about a device that has this scheduler, or another, or none. What
 * it has recorded it goes on to record. */
enum plan { MAKE, MAKE_ANEW, CHANGE, LEAVE, UNTRACED };

static enum plan plan(const struct qsocket_root *root, struct qsocket_options *wanted,
		      const char *scheduler)
{
	const struct qsocket_options *has;

	if (!root)
		return MAKE;
	has = &root->options;
	if (strcmp(root->scheduler->name, scheduler) ||
	    (wanted->streams && wanted->streams != has->streams) ||
	    (wanted->queue_messages && wanted->queue_messages != has->queue_messages))
		return MAKE_ANEW;
	if (wanted->flags & ~has->flags)
		return UNTRACED;
	wanted->flags = has->flags;
	return wanted->rate == has->rate && wanted->gid == has->gid && wanted->mode == has->mode
		       ? LEAVE
		       : CHANGE;
}

/* The kind of a device's root qdisc, where somebody configured one. */
static bool find_obstacle(struct net *net, int ifindex, char kind[QSOCKET_NAME_BYTES])
{
	const struct net_device *dev;
	const struct Qdisc *sch = NULL;

	rtnl_lock();
	dev = __dev_get_by_index(net, ifindex);
	if (dev)
		sch = rtnl_dereference(dev->qdisc);
	if (sch && sch->handle)
		strscpy_pad(kind, sch->ops->id, QSOCKET_NAME_BYTES);
	rtnl_unlock();
	return sch && sch->handle;
}

static int make(struct net *net, int ifindex, struct qsockinit_args *args,
		const struct qsocket_options *options)
{
	bool taken = find_obstacle(net, ifindex, args->obstacle);
	int error = 0;

	if (taken && !(args->flags & QSOCKINIT_REPLACE)) {
		snprintf(args->why, sizeof(args->why), "its root qdisc is %s", args->obstacle);
		return -EEXIST;
	}
	memset(args->obstacle, 0, sizeof(args->obstacle));
	if (taken)
		error = qsocket_tc_delete(net, ifindex);
	if (!error)
		error = qsocket_tc_add(net, ifindex, args->scheduler, options);
	if (error)
		snprintf(args->why, sizeof(args->why), "traffic control refuses it: error %d",
			 -error);
	return error;
}

static long initialise(struct net *net, int ifindex, struct qsockinit_args *args)
{
	struct qsocket_options options = {
		.rate = args->rate,
		.streams = args->streams,
		.queue_messages = args->queue_messages,
		.gid = args->gid,
		.mode = args->mode ? args->mode : QSOCKET_MODE_DEFAULT,
		.flags = args->flags & QSOCKINIT_TRACE ? QSOCKET_OPTION_TRACE : 0,
	};
	struct qsocket_root *root;
	enum plan todo;
	long result = 0;

	if (!*args->scheduler)
		strscpy_pad(args->scheduler, QSOCKET_SCHEDULER_DEFAULT, sizeof(args->scheduler));
	if (!qsocket_has(args->scheduler))
		return -EPROTONOSUPPORT;
	mutex_lock(&qsocket_lock);
	todo = plan(qsocket_root_of(net, ifindex), &options, args->scheduler);
	mutex_unlock(&qsocket_lock);
	if (todo == UNTRACED) {
		strscpy(args->why, "it is initialised without a trace: restore it first",
			sizeof(args->why));
		return -EEXIST;
	}
	if ((todo == CHANGE || todo == MAKE_ANEW) && !(args->flags & QSOCKINIT_REPLACE)) {
		strscpy(args->why, "it is initialised for something else", sizeof(args->why));
		return -EBUSY;
	}
	if (todo == CHANGE)
		result = qsocket_tc_change(net, ifindex, args->scheduler, &options);
	else if (todo != LEAVE)
		result = make(net, ifindex, args, &options);
	if (result)
		return result;
	mutex_lock(&qsocket_lock);
	root = qsocket_root_of(net, ifindex);
	result = root ? tell(root, args) : -ENODEV;
	mutex_unlock(&qsocket_lock);
	return result;
}

static long off(struct net *net, int ifindex)
{
	struct qsocket_root *root;

	mutex_lock(&qsocket_lock);
	root = qsocket_root_of(net, ifindex);
	mutex_unlock(&qsocket_lock);
	return root ? qsocket_tc_delete(net, ifindex) : -ENOENT;
}

long qsocket_init(struct qsockinit_args *args)
{
	struct net *net = current->nsproxy->net_ns;
	struct net_device *dev;
	long result = qsocket_check_init(args);
	int ifindex;

	memset(args->obstacle, 0, sizeof(args->obstacle));
	memset(args->why, 0, sizeof(args->why));
	if (result)
		return result;
	dev = dev_get_by_name(net, args->device);
	if (!dev)
		return -ENODEV;
	ifindex = dev->ifindex;
	dev_put(dev);
	if (ifindex & QSOCKET_LINK_HANDLE)
		return -ERANGE;
	if (args->flags & (QSOCKINIT_SYSTEM | QSOCKINIT_OFF) &&
	    !ns_capable(net->user_ns, CAP_NET_ADMIN)) {
		strscpy(args->why, "it takes CAP_NET_ADMIN in the device's network",
			sizeof(args->why));
		return -EPERM;
	}
	if (args->flags & QSOCKINIT_SYSTEM)
		return initialise(net, ifindex, args);
	if (args->flags & QSOCKINIT_OFF)
		return off(net, ifindex);
	mutex_lock(&qsocket_lock);
	result = join(net, ifindex, args);
	mutex_unlock(&qsocket_lock);
	return result;
}

long qsocket_change_rate(int ifindex, u64 rate)
{
	struct net *net = current->nsproxy->net_ns;
	struct qsocket_options options;
	char scheduler[QSOCKET_NAME_BYTES];
	struct qsocket_root *root;

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	mutex_lock(&qsocket_lock);
	root = qsocket_root_of(net, ifindex);
	if (root) {
		options = root->options;
		strscpy(scheduler, root->scheduler->name, sizeof(scheduler));
	}
	mutex_unlock(&qsocket_lock);
	if (!root)
		return -EBADF;
	options.rate = rate;
	return qsocket_tc_change(net, ifindex, scheduler, &options);
}
