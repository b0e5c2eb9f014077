/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The members: sockets that are registered, who may be one, what they have
 * booked, and how one leaves and comes back. In the context of whoever asks;
 * below.h says what the qdisc writes of a member.
 */
#ifndef QS_MEMBERS_BPF_H
#define QS_MEMBERS_BPF_H

#include "host.bpf.h"

#define GATE_GROUPS_MAX 256	   /* of a process, looked through */
#define GATE_USER_GONE 0x80000000u /* members of who is being forgotten */

/* Linux's numbers. */
#define GATE_ENOENT 2
#define GATE_EAGAIN 11
#define GATE_EACCES 13
#define GATE_EDQUOT 122

/* The address of the list as a number: the verifier follows no pointer by an
 * index that it does not know. */
static int in_group(u32 gid)
{
	const struct task_struct *task = (void *)bpf_get_current_task_btf();
	u64 groups = 0;
	u32 len = task->cred->group_info->ngroups, one;

	if (task->cred->egid.val == gid)
		return 1;
	bpf_probe_read_kernel(&groups, sizeof(groups), &task->cred->group_info);
	groups += bpf_core_field_offset(struct group_info, gid);
	for (u32 i = QS_ZERO; may_go_on() && i < len && i < GATE_GROUPS_MAX; i++)
		if (!bpf_probe_read_kernel(&one, sizeof(one), (void *)(groups + i * sizeof(one))) &&
		    one == gid)
			return 1;
	return 0;
}

static int may_register(u32 uid)
{
	const struct qs_below QS_MEM *b = BELOW;
	u64 access = *(volatile u64 QS_MEM *)&b->access;
	u32 gid = access >> 32;

	return qs_gate_lets_in(uid, b->uid, gid, (u32)access, in_group);
}

/* As tell() does, of the rate that the owner wants: the link may not have it yet. */
static __always_inline void tell_wanted(struct qsocket_admission *admission)
{
	const struct qs_below QS_MEM *b = BELOW;

	*admission = (struct qsocket_admission){
		.utilisation_ppm = ppm_of(b->booked.all, b->rate_wanted),
	};
	if (admission->utilisation_ppm > PPM)
		admission->flags |= QSOCKET_OVERBOOKED;
	if (periods_differ(&b->booked))
		admission->flags |= QSOCKET_UNEQUAL;
}

/* Books what a member asks for in place of what it did: 0, or -EBUSY. */
static int book(struct desk *desk, const struct ask *before, const struct ask *after, int strict,
		struct qsocket_admission *admission)
{
	struct qs_below QS_MEM *b = BELOW;
	int refused;

	bpf_spin_lock(&desk->lock);
	count(&b->booked, before, (u64)-1);
	count(&b->booked, after, 1);
	tell_wanted(admission);
	refused = strict && admission->flags & QSOCKET_OVERBOOKED && asks_more(before, after);
	if (refused) {
		count(&b->booked, after, (u64)-1);
		count(&b->booked, before, 1);
	}
	bpf_spin_unlock(&desk->lock);
	return refused ? -QS_EBUSY : 0;
}

/* Forgets a user who has nothing: whoever counted one more meanwhile finds too
 * many. */
static long forget_user(void *map, const u32 *uid, struct user *user, void *nothing)
{
	(void)nothing;
	if (!user->queued && __sync_val_compare_and_swap(&user->members, 0, GATE_USER_GONE) == 0)
		bpf_map_delete_elem(map, uid);
	return 0;
}

/* One more of a user's; 0 where these are too many, or so many users are. Root's
 * are not counted: whatever others do, root finds a place. */
static int enter_user(u32 uid)
{
	u32 most = (BELOW->link.streams_max - QS_BELOW_FLOWS) / QS_BELOW_USER_SHARE;
	struct user nobody = {0}, *user;

	if (uid == 0)
		return 1;
	user = bpf_map_lookup_elem(&users, &uid);
	if (!user) {
		if (bpf_map_update_elem(&users, &uid, &nobody, BPF_NOEXIST)) {
			bpf_for_each_map_elem(&users, forget_user, NULL, 0);
			bpf_map_update_elem(&users, &uid, &nobody, BPF_NOEXIST);
		}
		user = bpf_map_lookup_elem(&users, &uid);
		if (!user)
			return 0;
	}
	if (__sync_fetch_and_add(&user->members, 1) < most)
		return 1;
	__sync_fetch_and_sub(&user->members, 1);
	return 0;
}

static void leave_user(u32 uid)
{
	struct user *user = bpf_map_lookup_elem(&users, &uid);

	if (user)
		__sync_fetch_and_sub(&user->members, 1);
}

/* Counts a member with more periods a second than before: whether its user may have
 * them, of whoever asks for it. Fewer are not counted before the scheduler has them
 * (settle_periods): it would go on with the many. */
static int take_periods(struct qs_member *m, u32 periods, u32 caller)
{
	struct user *user = bpf_map_lookup_elem(&users, &m->uid);
	u32 more = periods - m->periods;

	if (periods <= m->periods)
		return 1;
	if (user && __sync_fetch_and_add(&user->periods, more) + more > QS_USER_PERIODS && caller) {
		__sync_fetch_and_sub(&user->periods, more);
		return 0;
	}
	m->periods = periods;
	return 1;
}

static void give_periods(struct qs_member *m, u32 left)
{
	struct user *user = bpf_map_lookup_elem(&users, &m->uid);

	if (user)
		__sync_fetch_and_sub(&user->periods, m->periods - left);
	m->periods = left;
}

/* What the scheduler has now is all that is counted. */
static void settle_periods(struct qs_member *m)
{
	u32 periods = qs_periods(&m->attr);

	if (*(volatile u32 *)&m->applied == m->wanted && periods < m->periods)
		give_periods(m, periods);
}

/* Whether a member is a stream, or will be one as soon as it has another. */
static int is_in(const struct qs_member *m)
{
	u32 left = *(volatile u32 *)&m->left;

	return left == QS_STAYS || left == QS_BACK;
}

/* One that has left comes back, and is the caller's to write (QS_MOVES); not one
 * that has sent nothing, which whoever makes it leave deletes at once. */
static int return_member(struct qs_member *m, u64 cookie, u32 uid)
{
	if (m->claimed != QS_SEEN ||
	    __sync_val_compare_and_swap(&m->left, QS_LEAVES, QS_MOVES) != QS_LEAVES)
		return -GATE_EAGAIN;
	/* deleted meanwhile, and another's */
	if (bpf_map_lookup_elem(&members, &cookie) != m) {
		*(volatile u32 *)&m->left = QS_LEAVES;
		return -GATE_EAGAIN;
	}
	if (!enter_user(uid)) {
		*(volatile u32 *)&m->left = QS_LEAVES;
		return -GATE_EDQUOT;
	}
	m->uid = uid;
	m->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(m->comm, sizeof(m->comm));
	*(volatile u64 *)&m->usual = QS_GATE_USUAL_DEFAULT;
	__sync_fetch_and_add(&BELOW->members, 1);
	return 0;
}

static __noinline int register_member(u64 cookie, struct qsocket_attr *attr)
{
	u32 zero = 0, uid = (u32)bpf_get_current_uid_gid(), periods = qs_periods(attr), had = 0;
	struct desk *desk = bpf_map_lookup_elem(&desks, &zero);
	struct qs_member *m = bpf_map_lookup_elem(&members, &cookie);
	struct qs_member fresh = {
		.stream = QS_NONE,
		.uid = uid,
		.usual = QS_GATE_USUAL_DEFAULT,
	};
	struct ask before = {0}, after;
	struct qsocket_admission admission = {0};
	int strict = attr->flags & QSOCKET_ADMIT, back = 0, error;

	ask_of(&QS_ONLY, attr, &after);
	if (!may_register(uid))
		return -GATE_EACCES;
	if (!desk)
		return -QS_EINVAL;
	if (m && !is_in(m)) {
		error = return_member(m, cookie, uid);
		if (error)
			return error;
		back = 1;
	} else if (!m) {
		if (!enter_user(uid))
			return -GATE_EDQUOT;
		if (!take_periods(&fresh, periods, uid)) {
			leave_user(uid);
			return -GATE_EDQUOT;
		}
		fresh.pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(fresh.comm, sizeof(fresh.comm));
		if (bpf_map_update_elem(&members, &cookie, &fresh, BPF_NOEXIST)) {
			give_periods(&fresh, 0);
			leave_user(uid);
			return -QS_ENOSPC;
		}
		m = bpf_map_lookup_elem(&members, &cookie);
		if (!m)
			return -QS_ENOSPC;
		__sync_fetch_and_add(&BELOW->members, 1);
	} else {
		ask_of(&QS_ONLY, &m->attr, &before);
		settle_periods(m);
		had = m->periods;
	}
	error = -GATE_EDQUOT;
	if (take_periods(m, periods, uid)) {
		error = book(desk, &before, &after, strict, &admission);
		m->admission = admission;
	}
	if (error)
		give_periods(m, had);
	if (error && back) {
		leave_user(uid);
		__sync_fetch_and_sub(&BELOW->members, 1);
		__sync_lock_test_and_set(&m->left, QS_LEAVES);
	}
	if (error)
		return error;
	__sync_fetch_and_add(&m->wanted, 1); /* odd: it is being written */
	m->attr = *attr;
	__sync_fetch_and_add(&m->wanted, 1);
	if (back)
		__sync_lock_test_and_set(&m->left, QS_BACK);
	return 0;
}

/* What a datagram means that carries no time: half a frame it cannot be. */
static __noinline int set_usual(u64 cookie, u64 usual)
{
	const u64 whole = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;
	struct qs_member *m = bpf_map_lookup_elem(&members, &cookie);

	if (!m || !is_in(m))
		return -GATE_ENOENT;
	if ((u32)usual & ~QS_GATE_FLAGS || (usual & whole && (usual & whole) != whole) ||
	    (usual >> 32 && !(usual & QSOCKET_DEADLINE)))
		return -QS_EINVAL;
	*(volatile u64 *)&m->usual = usual;
	return 0;
}

/* The socket is gone, or wants to be a stream no more. */
static __noinline int leave(u64 cookie)
{
	u32 zero = 0;
	struct qs_member *m = bpf_map_lookup_elem(&members, &cookie);
	struct desk *desk = bpf_map_lookup_elem(&desks, &zero);
	struct qsocket_admission admission;
	struct ask none = {0}, before;
	int queued = 0;

	if (!m || !desk)
		return -GATE_ENOENT;
	if (__sync_val_compare_and_swap(&m->left, QS_STAYS, QS_MOVES) != QS_STAYS) {
		if (__sync_val_compare_and_swap(&m->left, QS_BACK, QS_MOVES) != QS_BACK)
			return -GATE_ENOENT;
		queued = 1;
	}
	ask_of(&QS_ONLY, &m->attr, &before);
	book(desk, &before, &none, 0, &admission);
	give_periods(m, 0);
	leave_user(m->uid);
	__sync_fetch_and_sub(&BELOW->members, 1);
	if (__sync_val_compare_and_swap(&m->claimed, QS_UNSEEN, QS_GONE) == QS_UNSEEN) {
		bpf_map_delete_elem(&members, &cookie);
		return 0;
	}
	__sync_lock_test_and_set(&m->left, QS_LEAVES);
	if (!queued)
		bpf_map_push_elem(&leaving, &cookie, 0);
	return 0;
}

#endif
