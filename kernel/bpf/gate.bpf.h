/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The gate (gate.h): programs on the root cgroup that answer for the options
 * of one device, in the context of whoever asks. They write to the members and
 * to what these have booked, never to the scheduler: the qdisc finds what is
 * new with the next packet.
 */
#ifndef QS_GATE_BPF_H
#define QS_GATE_BPF_H

#include "host.bpf.h"

#define GATE_GROUPS_MAX 256	   /* of a process, looked through */
#define GATE_USER_GONE 0x80000000u /* members of who is being forgotten */

/* Linux's numbers. */
#define GATE_ENOENT 2
#define GATE_ENXIO 6
#define GATE_EAGAIN 11
#define GATE_EACCES 13
#define GATE_EAFNOSUPPORT 97
#define GATE_EDQUOT 122
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_UDP 17
#define IPPROTO_SMC 256

static int for_us(const struct bpf_sockopt *ctx)
{
	return (u32)ctx->optname == BELOW->ifindex &&
	       bpf_get_netns_cookie((void *)ctx) == BELOW->netns_cookie;
}

/* Of other sockets nobody would learn that they are gone (gate_release): SMC's
 * (smc(7)) end in a way of their own. */
static int speaks_ip(const void *sk)
{
	const struct sock *s = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock));
	u16 family = s->__sk_common.skc_family;

	return (family == AF_INET || family == AF_INET6) && s->sk_protocol != IPPROTO_SMC;
}

/* What TCP loses it sends again, so nothing of it may be dropped (catch_up). */
static int is_udp(const void *sk)
{
	const struct sock *s = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock));

	return s->sk_protocol == IPPROTO_UDP;
}

static u64 cookie_of(const void *sk)
{
	const struct sock *s = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock));

	return s->__sk_common.skc_cookie.counter;
}

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
	u32 zero = 0, uid = (u32)bpf_get_current_uid_gid();
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
		fresh.pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(fresh.comm, sizeof(fresh.comm));
		if (bpf_map_update_elem(&members, &cookie, &fresh, BPF_NOEXIST)) {
			leave_user(uid);
			return -QS_ENOSPC;
		}
		m = bpf_map_lookup_elem(&members, &cookie);
		if (!m)
			return -QS_ENOSPC;
		__sync_fetch_and_add(&BELOW->members, 1);
	} else {
		ask_of(&QS_ONLY, &m->attr, &before);
	}
	error = book(desk, &before, &after, strict, &admission);
	m->admission = admission;
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

SEC("cgroup/setsockopt")
int gate_set(struct bpf_sockopt *ctx)
{
	struct qsocket_attr *given = ctx->optval, attr;
	int level = ctx->level, error = -QS_EINVAL;
	u64 cookie, *usual = ctx->optval;

	USE_MEMORY();
	if ((level != QS_GATE_STREAM && level != QS_GATE_LEAVE && level != QS_GATE_USUAL) ||
	    !for_us(ctx))
		return 1;
	cookie = cookie_of(ctx->sk);
	if (!speaks_ip(ctx->sk)) {
		error = -GATE_EAFNOSUPPORT;
	} else if (!cookie) {
		error = -GATE_ENXIO;
	} else if (level == QS_GATE_LEAVE) {
		error = leave(cookie);
	} else if (level == QS_GATE_USUAL) {
		if ((void *)(usual + 1) <= ctx->optval_end && ctx->optlen == sizeof(*usual))
			error = set_usual(cookie, *usual);
	} else if ((void *)(given + 1) <= ctx->optval_end && ctx->optlen == sizeof(*given)) {
		attr = *given;
		if (!is_udp(ctx->sk))
			attr.flags |= QSOCKET_UNDROPPABLE;
		error = qs_attr_check(&attr);
		if (!error)
			error = attr.class_id ? -QS_EINVAL : register_member(cookie, &attr);
	}
	if (error) {
		bpf_set_retval(error);
		return 0;
	}
	ctx->optlen = -1; /* the kernel is not asked */
	return 1;
}

/* Words, as the verifier wants to see each. */
#define COPY(to, from)                                                                             \
	do {                                                                                       \
		_Static_assert(sizeof(to) == sizeof(from) && sizeof(to) % 8 == 0, "words");        \
		_Pragma("unroll") for (unsigned i = 0; i < sizeof(to) / 8; i++)((u64 *)&(to))[i] = \
			((const u64 QS_MEM *)&(from))[i];                                          \
	} while (0)

static int tell_stream(struct bpf_sockopt *ctx)
{
	struct qs_gate_stream *out = ctx->optval;
	const struct qs_below QS_MEM *b = BELOW;
	u64 cookie = cookie_of(ctx->sk);
	struct qs_member *m = cookie ? bpf_map_lookup_elem(&members, &cookie) : NULL;
	u32 stream;

	if ((void *)(out + 1) > ctx->optval_end)
		return -QS_EINVAL;
	if (!m || !is_in(m))
		return -GATE_ENOENT;
	stream = m->stream;
	out->arrived = m->arrived;
	if (m->left == QS_BACK) { /* these are of before */
		stream = QS_NONE;
		out->arrived = 0;
	}
	out->abi = QS_GATE_ABI;
	out->stream = stream;
	out->attr = m->attr;
	out->admission = m->admission;
	out->before = *(volatile u64 QS_MEM *)&b->turn;
	if (stream == QS_NONE)
		stream = 0; /* anything: it is not looked at */
	COPY(out->state, b->link.streams[stream]);
	COPY(out->ledger, b->link.ledgers[stream]);
	COPY(out->delays, b->link.delays[stream]);
	out->after = *(volatile u64 QS_MEM *)&b->turn;
	ctx->optlen = sizeof(*out);
	/* one that was refused, and is kept for being told why: it is no member */
	if (!m->wanted)
		leave(cookie);
	return 0;
}

static int tell_link(struct bpf_sockopt *ctx)
{
	struct qs_gate_link *out = ctx->optval;
	const struct qs_below QS_MEM *b = BELOW;
	struct qsocket_admission admission = {0};

	if ((void *)(out + 1) > ctx->optval_end)
		return -QS_EINVAL;
	tell_wanted(&admission);
	out->abi = QS_GATE_ABI;
	out->attached = b->attached;
	COPY(out->scheduler, b->scheduler);
	out->rate = b->rate_wanted;
	out->astray = b->astray;
	out->streams = (u32)b->members;
	out->streams_max = b->link.streams_max - QS_BELOW_FLOWS;
	out->uid = b->uid;
	out->gid = b->access >> 32;
	out->mode = (u32)b->access;
	out->messages_max = b->link.messages_max;
	out->admission = admission;
	out->sent = b->sent;
	out->late = b->late;
	out->sent_bytes = b->sent_bytes;
	COPY(out->dropped, b->dropped);
	COPY(out->dropped_by_priority, b->dropped_by_priority);
	out->dropped_bytes = b->dropped_bytes;
	out->queued = b->link.messages_len;
	out->queued_bytes = b->queued_bytes;
	out->rest_sent = b->rest_sent;
	out->rest_sent_bytes = b->rest_sent_bytes;
	out->rest_dropped = b->rest_dropped;
	out->delay_ns_sum = b->delay_ns_sum;
	out->delay_ns_max = b->delay_ns_max;
	COPY(out->delays, b->delays);
	ctx->optlen = sizeof(*out);
	return 0;
}

SEC("cgroup/getsockopt")
int gate_get(struct bpf_sockopt *ctx)
{
	int level = ctx->level, error;

	USE_MEMORY();
	if ((level != QS_GATE_STREAM && level != QS_GATE_LINK) || !for_us(ctx))
		return 1;
	error = level == QS_GATE_LINK ? tell_link(ctx) : tell_stream(ctx);
	if (error) {
		bpf_set_retval(error);
		return 0;
	}
	ctx->retval = 0;
	return 1;
}

SEC("cgroup/sock_release")
int gate_release(struct bpf_sock *sk)
{
	USE_MEMORY();
	leave(bpf_get_socket_cookie(sk));
	return 1;
}

#endif
