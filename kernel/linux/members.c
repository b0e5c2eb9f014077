// SPDX-License-Identifier: GPL-2.0-only
/*
 * A socket's time as a stream: it enters a device's streams, and leaves them when
 * it says so, is gone, or the device has another qdisc.
 *
 * A socket is gone when it is released for the last time, after close(2), exit,
 * SIGKILL, and whoever it was shared with by fork(2) or SCM_RIGHTS. It is then
 * dead (SOCK_DEAD), and freed only when nobody holds it. Here it is held, and
 * looked at: when one of its packets would leave (packets.c), when there seem to
 * be too many streams or somebody counts them, and every QSOCKET_REAP_MS. So no
 * code of a module is entered in any socket, and none can be left there when the
 * module goes.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/sock_diag.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "manager.h"

/* Nothing is queued of it, nor on its way to the queue or from there. */
static noinline_for_stack bool is_empty(const struct qsocket_member *member)
{
	struct qsocket_root *root = member->root;
	struct qsocket_info info = {};

	if (READ_ONCE(member->sk->sk_wmem_queued) || sk_wmem_alloc_get(member->sk))
		return false;
	qsocket_root_lock(root);
	root->scheduler->report(root, member->stream, &info);
	qsocket_root_unlock(root);
	return !info.queued;
}

/* Of TCP, what was written before is delivered first; of what drains, all. */
static bool is_gone(const struct qsocket_member *member)
{
	const struct sock *sk = member->sk;

	if (member->draining)
		return is_empty(member);
	return sock_flag(sk, SOCK_DEAD) && (member->udp || sk->sk_state == TCP_CLOSE);
}

bool qsocket_drains(const struct sock *sk)
{
	struct qsocket_member *member;
	bool drains;

	rcu_read_lock();
	member = qsocket_member_of(sk);
	drains = member && READ_ONCE(member->draining);
	rcu_read_unlock();
	return drains;
}
EXPORT_SYMBOL_GPL(qsocket_drains);

/* A message's time is that of SO_TXTIME, switched on as setsockopt(2) does it;
 * with the socket's lock. */
static void take_time(struct sock *sk, struct qsocket_time *before)
{
	before->on = sock_flag(sk, SOCK_TXTIME);
	before->clockid = sk->sk_clockid;
	before->deadline_mode = sk->sk_txtime_deadline_mode;
	before->report_errors = sk->sk_txtime_report_errors;
	sk->sk_clockid = CLOCK_MONOTONIC;
	sk->sk_txtime_deadline_mode = 0;
	sk->sk_txtime_report_errors = 0;
	sock_set_flag(sk, SOCK_TXTIME);
}

static void give_time_back(struct sock *sk, const struct qsocket_time *before)
{
	sk->sk_clockid = before->clockid;
	sk->sk_txtime_deadline_mode = before->deadline_mode;
	sk->sk_txtime_report_errors = before->report_errors;
	sock_valbool_flag(sk, SOCK_TXTIME, before->on);
}

/* For who has qsocket_lock, and may not wait for whoever has the socket. */
static bool try_give_time_back(const struct qsocket_member *member)
{
	struct sock *sk = member->sk;
	bool is_free;

	if (!member->udp)
		return true;
	local_bh_disable();
	bh_lock_sock(sk);
	is_free = !sock_owned_by_user(sk);
	if (is_free)
		give_time_back(sk, &member->before);
	bh_unlock_sock(sk);
	local_bh_enable();
	return is_free;
}

static struct qsocket_user *user_of(struct qsocket_root *root, kuid_t uid)
{
	return xa_load(&root->users, __kuid_val(uid));
}

/* One more stream of a user's; NULL without memory. */
static struct qsocket_user *take_user(struct qsocket_root *root, kuid_t uid)
{
	struct qsocket_user *user = user_of(root, uid);

	if (!user) {
		user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
		if (user && xa_err(xa_store(&root->users, __kuid_val(uid), user, GFP_KERNEL))) {
			kfree(user);
			user = NULL;
		}
	}
	if (user)
		user->streams++;
	return user;
}

void qsocket_set_periods(struct qsocket_member *member, u32 periods)
{
	struct qsocket_user *user = user_of(member->root, member->payer);

	user->periods += periods;
	user->periods -= member->periods;
	member->periods = periods;
}

/* The stream's packets are gone. */
static void drop_user(struct qsocket_member *member)
{
	struct qsocket_user *user = user_of(member->root, member->payer);

	qsocket_set_periods(member, 0);
	if (--user->streams)
		return;
	xa_erase(&member->root->users, __kuid_val(member->payer));
	kfree(user);
}

static void remove_stream(struct qsocket_member *member)
{
	struct qsocket_root *root = member->root;
	u32 stream = member->stream;

	qsocket_root_lock(root);
	member->stream = QS_NONE;
	root->scheduler->remove(root, stream, &root->past);
	qsocket_root_unlock(root);
}

static bool goes_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct qsocket_member, by_cookie)->cookie <
	       rb_entry(b, struct qsocket_member, by_cookie)->cookie;
}

struct qsocket_member *qsocket_member_after(const struct qsocket_root *root, u64 cookie)
{
	struct rb_node *node = root->members.rb_node;
	struct qsocket_member *found = NULL, *member;

	while (node) {
		member = rb_entry(node, struct qsocket_member, by_cookie);
		if (member->cookie > cookie)
			found = member;
		node = member->cookie > cookie ? node->rb_left : node->rb_right;
	}
	return found;
}

static void leave(struct qsocket_member *member)
{
	struct qsocket_root *root = member->root;

	lockdep_assert_held(&qsocket_lock);
	qsocket_members_remove(member);
	qsocket_route_close(&member->route);
	remove_stream(member);
	drop_user(member);
	rb_erase(&member->by_cookie, &root->members);
	root->members_len--;
	root->left++;
	put_pid(member->pid);
	sock_put(member->sk);
	kfree_rcu(member, rcu);
}

void qsocket_leave(struct qsocket_member *member)
{
	try_give_time_back(member);
	leave(member);
}

bool qsocket_reap_some(struct qsocket_root *root, u64 *after, u32 many)
{
	struct qsocket_member *member = qsocket_member_after(root, *after);

	for (; member && many; many--) {
		*after = member->cookie;
		if (is_gone(member) && try_give_time_back(member))
			leave(member);
		member = qsocket_member_after(root, *after);
	}
	return member;
}

/* The root is there until this has ended. */
void qsocket_reap(struct work_struct *work)
{
	struct qsocket_root *root = container_of(work, struct qsocket_root, reaper.work);
	bool more;
	u64 after = 0;

	do {
		mutex_lock(&qsocket_lock);
		more = qsocket_reap_some(root, &after, QSOCKET_AT_ONCE);
		if (!more && root->members_len)
			schedule_delayed_work(&root->reaper, msecs_to_jiffies(QSOCKET_REAP_MS));
		mutex_unlock(&qsocket_lock);
		cond_resched();
	} while (more);
}

/* Whose room the caller's streams take: who makes a user namespace can be any of
 * the users in it. Root has no limit to get round, and its namespaces' users one each. */
static kuid_t payer(const struct qsocket_root *root)
{
	const struct user_namespace *of_device = dev_net(qdisc_dev(root->sch))->user_ns;
	const struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_euid();

	for (; ns != of_device && ns != &init_user_ns; ns = ns->parent)
		if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
			uid = ns->owner;
	return uid;
}

static bool has_no_limit(const struct qsocket_root *root)
{
	/* most callers have it not, and none of them tries to do what takes it */
	return ns_capable_noaudit(dev_net(qdisc_dev(root->sch))->user_ns, CAP_NET_ADMIN);
}

/* A message that waits for many periods has a scheduler that slides (../sched/sched.c)
 * count them, once for each or each decision, with the queue locked: a thousand
 * streams of a nanosecond each would leave a device time for nothing else. */
int qsocket_periods(const struct qsocket_member *member, const struct qsocket_attr *attr)
{
	const struct qsocket_user *user = user_of(member->root, member->payer);
	u64 periods = attr->ipg_ns ? NSEC_PER_SEC / attr->ipg_ns : 0;

	periods = min_t(u64, periods, QSOCKET_DECISIONS);
	if (periods > member->periods &&
	    user->periods - member->periods + periods > QSOCKET_USER_PERIODS &&
	    !has_no_limit(member->root))
		return -EDQUOT;
	return periods;
}

/* Whether there is room for one more of the caller's. */
static int find_room(struct qsocket_root *root, kuid_t uid)
{
	u32 most = root->options.streams - QSOCKET_FLOWS, share = most / QSOCKET_USER_SHARE;
	struct qsocket_user *user = user_of(root, uid);

	if (has_no_limit(root))
		share = most;
	if (root->members_len >= most || (user && user->streams >= share)) {
		u64 after = 0;

		qsocket_reap_some(root, &after, UINT_MAX);
		user = user_of(root, uid);
	}
	if (root->members_len >= most)
		return -ENOSPC;
	return user && user->streams >= share ? -EDQUOT : 0;
}

static int add_stream(struct qsocket_member *member, const struct qsocket_attr *attr)
{
	struct qsocket_root *root = member->root;
	int stream, error;

	member->user = take_user(root, member->payer);
	if (!member->user)
		return -ENOMEM;
	error = qsocket_periods(member, attr);
	if (error < 0) {
		drop_user(member);
		return error;
	}
	qsocket_set_periods(member, error);
	qsocket_root_lock(root);
	stream = root->scheduler->add(root, attr, &member->admission);
	qsocket_root_unlock(root);
	if (stream < 0) {
		drop_user(member);
		return stream;
	}
	member->stream = stream;
	if (uid_eq(member->payer, GLOBAL_ROOT_UID))
		member->user = NULL; /* whose messages nobody counts */
	error = qsocket_members_add(member);
	if (error) {
		remove_stream(member);
		drop_user(member);
	}
	return error;
}

static u64 cookie_of(struct sock *sk)
{
	u32 halves[2];

	sock_diag_save_cookie(sk, halves); /* gives it one, if need be */
	return halves[0] | (u64)halves[1] << 32;
}

int qsocket_enter(struct sock *sk, u32 link, const struct qsocket_attr *attr,
		  struct qsocket_admission *admission)
{
	bool udp = sk->sk_protocol == IPPROTO_UDP;
	int ifindex = link & ~QSOCKET_LINK_HANDLE, error;
	struct qsocket_root *root = qsocket_root_of(sock_net(sk), ifindex);
	struct qsocket_member *member;

	if (!(link & QSOCKET_LINK_HANDLE) || !root)
		return -EBADF;
	if (!qsocket_may_register(root))
		return -EACCES;
	member = qsocket_member_of(sk);
	if (member)
		return member->root == root ? -EALREADY : -EEXIST;
	error = find_room(root, payer(root));
	if (error)
		return error;
	member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);
	if (!member)
		return -ENOMEM;
	member->sk = sk;
	member->root = root;
	member->ifindex = ifindex;
	member->udp = udp;
	member->cookie = cookie_of(sk);
	spin_lock_init(&member->route.lock);
	member->uid = current_euid();
	member->payer = payer(root);
	get_task_comm(member->command, current);
	if (udp)
		take_time(sk, &member->before);
	error = add_stream(member, attr);
	*admission = member->admission;
	if (error) {
		if (udp)
			give_time_back(sk, &member->before);
		kfree(member);
		return error;
	}
	sock_hold(sk);
	member->pid = get_pid(task_tgid(current));
	rb_add(&member->by_cookie, &root->members, goes_before);
	if (!root->members_len++)
		schedule_delayed_work(&root->reaper, msecs_to_jiffies(QSOCKET_REAP_MS));
	return 0;
}

/* It takes nothing more; what of a frame came and is not continued is lost. */
static void drain(struct qsocket_member *member)
{
	struct qsocket_root *root = member->root;

	if (member->draining)
		return;
	WRITE_ONCE(member->draining, true);
	qsocket_root_lock(root);
	root->scheduler->abandon(root, member->stream);
	qsocket_root_unlock(root);
}

int qsocket_end(struct sock *sk, bool drains)
{
	struct qsocket_member *member = qsocket_member_of(sk);

	if (!member)
		return -ENOLINK;
	if (drains) {
		drain(member);
		return 0;
	}
	if (member->udp)
		give_time_back(sk, &member->before);
	leave(member);
	return 0;
}
