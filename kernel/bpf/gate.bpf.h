/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The gate (gate.h): programs on the root cgroup that answer for the options
 * of one device, in the context of whoever asks. They write to the members and
 * to what these have booked, never to the scheduler: the qdisc finds what is
 * new with the next packet.
 */
#ifndef QS_GATE_BPF_H
#define QS_GATE_BPF_H

#include "members.bpf.h"

/* Linux's numbers. */
#define GATE_ENXIO 6
#define GATE_EAFNOSUPPORT 97
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
	settle_periods(m);
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
	out->messages_max = b->messages_max;
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
