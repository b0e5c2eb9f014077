/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The classifier: which stream a packet belongs to, and what its sender says
 * about it. A socket is known by its cookie, which is never used again, and
 * its stream comes into being with its first packet. All other traffic is best
 * effort, shared among flows by the hash of their addresses.
 */
#ifndef QS_ARRIVE_BPF_H
#define QS_ARRIVE_BPF_H

#include "gate.bpf.h"

#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define SOCK_RAW 3
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd

#define NEIGHBOURS 0 /* the flow of what finds them */

static u32 wire_bytes(const struct sk_buff *skb)
{
	return ((const struct qdisc_skb_cb *)skb->cb)->pkt_len;
}

/* One that has left unseen is being taken out, and not to be touched. */
static struct qs_member *member_of(const struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	u64 cookie = sk ? sk->__sk_common.skc_cookie.counter : 0;
	struct qs_member *m = cookie ? bpf_map_lookup_elem(&members, &cookie) : NULL;

	if (m && m->claimed != QS_SEEN &&
	    __sync_val_compare_and_swap(&m->claimed, QS_UNSEEN, QS_SEEN) != QS_UNSEEN)
		return NULL;
	return m;
}

/* The flow of best effort. Questions for a neighbour have one of their own:
 * whoever floods all others could else keep everybody from new neighbours. They
 * are not IP, or sent by the kernel's own socket (ndisc.c). */
static u32 flow_of(struct sk_buff *skb)
{
	const struct sock *sk = skb->sk;

	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return NEIGHBOURS;
	if (sk && sk->sk_protocol == IPPROTO_ICMPV6 && sk->sk_type == SOCK_RAW)
		return NEIGHBOURS;
	return NEIGHBOURS + 1 + bpf_skb_get_hash(skb) % (QS_BELOW_FLOWS - 1);
}

/* Opens a member's stream, or changes it to what was asked for meanwhile. An
 * attr that is being written is left for the next packet. */
static __noinline void catch_up(struct qs_member *m, int udp)
{
	u32 wanted = *(volatile u32 *)&m->wanted;
	struct qsocket_attr attr = m->attr;
	int added;

	barrier();
	if (wanted & 1 || wanted != *(volatile u32 *)&m->wanted)
		return;
	if (!udp) /* what is lost would be sent again */
		attr.flags |= QSOCKET_UNDROPPABLE;
	if (m->stream != QS_NONE) {
		qs_change(&BELOW->link, m->stream, &attr);
	} else {
		added = qs_add(&BELOW->link, &attr);
		if (added < 0)
			return;
		m->stream = (u32)added;
	}
	m->applied = wanted;
}

/* Flags that a message may have. */
static u32 sound(u32 flags)
{
	return flags & QSOCKET_FRAME ? flags
				     : flags & ~(QSOCKET_START | QSOCKET_END | QSOCKET_LEADING);
}

/* What travels with a datagram of a member. */
static void read_message(struct sk_buff *skb, u64 now_ns, struct qs_arrival *a)
{
	u64 time_ns = (u64)skb->tstamp;

	if (!time_ns)
		return;
	skb->tstamp = 0; /* it means something else to whoever comes next */
	a->flags = sound(time_ns & QS_GATE_FLAGS);
	if (!(a->flags & QSOCKET_DEADLINE))
		return;
	time_ns &= ~(u64)QS_GATE_FLAGS;
	a->deadline_ns =
		time_ns < now_ns + QS_BELOW_LIFETIME_NS ? time_ns : now_ns + QS_BELOW_LIFETIME_NS;
}

/* The stream of a packet, its message, and the user it is to be counted to. */
static u32 classify(struct sk_buff *skb, u64 now_ns, struct qs_arrival *a, u32 *uid)
{
	struct qs_member *m = member_of(skb);
	u32 bytes = wire_bytes(skb);
	int udp;

	*uid = 0;
	a->deadline_ns = QS_FOREVER;
	a->segment = 0;
	a->flags = 0;
	a->bytes = bytes < QSOCKET_PACKET_BYTES_MAX ? bytes : QSOCKET_PACKET_BYTES_MAX;
	if (m) {
		struct sock *sk = skb->sk;

		udp = sk && sk->sk_protocol == IPPROTO_UDP;
		m->arrived++;
		if (m->wanted != m->applied)
			catch_up(m, udp);
		if (udp)
			read_message(skb, now_ns, a);
		if (m->stream != QS_NONE && !m->left) {
			*uid = m->uid;
			return m->stream;
		}
		a->flags = 0;
		a->deadline_ns = QS_FOREVER;
	}
	return flow_of(skb);
}

/* Members whose sockets are gone: what they have queued is lost. */
static __noinline void take_leave(void)
{
	u64 cookie;

	for (u32 i = QS_ZERO; may_go_on() && i < QS_BELOW_LEAVING_MAX; i++) {
		struct qs_member *m;

		if (bpf_map_pop_elem(&leaving, &cookie))
			return;
		m = bpf_map_lookup_elem(&members, &cookie);
		if (!m)
			continue;
		if (m->stream != QS_NONE)
			qs_remove(&BELOW->link, m->stream);
		bpf_map_delete_elem(&members, &cookie);
	}
}

#endif
