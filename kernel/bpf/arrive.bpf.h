/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The classifier: which stream a packet belongs to, and what its sender says
 * about it. A socket is known by its cookie, which is never used again, and
 * its stream comes into being with its first packet. All other traffic is best
 * effort, shared among flows by the hash of their addresses.
 */
#ifndef QS_ARRIVE_BPF_H
#define QS_ARRIVE_BPF_H

#include <bpf/bpf_endian.h>

#include "../sched/marks.h"
#include "../sched/room.h"
#include "gate.bpf.h"
#include "trace.bpf.h"

#define IPPROTO_FRAGMENT 44
#define IPPROTO_ICMPV6 58
#define SOCK_RAW 3

#define IP6_CUT_AT 42 /* of an IPv6 header, that of a fragment coming first */

#ifndef ETH_P_IP
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_IPV6 0x86dd
#endif

static u32 wire_bytes(const struct sk_buff *skb)
{
	return ((const struct qdisc_skb_cb *)skb->cb)->pkt_len;
}

/* One that has left unseen is being taken out, and not to be touched; nor is
 * another that came to its place meanwhile, so it is looked up once more. */
static struct qs_member *member_of(const struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	u64 cookie = sk ? sk->__sk_common.skc_cookie.counter : 0;
	struct qs_member *m = cookie ? bpf_map_lookup_elem(&members, &cookie) : NULL;

	if (!m || m->claimed == QS_SEEN)
		return m;
	if (__sync_val_compare_and_swap(&m->claimed, QS_UNSEEN, QS_SEEN) != QS_UNSEEN)
		return NULL;
	m = bpf_map_lookup_elem(&members, &cookie);
	return m && m->claimed == QS_SEEN ? m : NULL;
}

/* The flow of best effort. Questions for a neighbour have one of their own:
 * whoever floods all others could else keep everybody from new neighbours. They
 * are ARP, or sent by a socket of the kernel's own (ndisc.c). */
static u32 flow_of(struct sk_buff *skb)
{
	const struct sock *sk = skb->sk;

	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return QS_NEIGHBOURS;
	if (sk && sk->sk_protocol == IPPROTO_ICMPV6 && sk->sk_type == SOCK_RAW)
		return QS_NEIGHBOURS;
	return QS_NEIGHBOURS + 1 + bpf_skb_get_hash(skb) % (QS_BELOW_FLOWS - 1);
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
		record_attr(QSOCKET_RECORD_CHANGE, m->stream, &attr);
	} else {
		added = qs_add(&BELOW->link, &attr);
		if (added < 0)
			return;
		m->stream = (u32)added;
		record_attr(QSOCKET_RECORD_ADD, m->stream, &attr);
	}
	m->applied = wanted;
}

/* What of a packet's IP header says that it is a fragment. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sk_buff___ip {
	u16 protocol;
	u16 network_header;
	unsigned char *head;
};

struct iphdr {
	u16 frag_off;
};

struct ipv6hdr {
	u8 nexthdr;
};
#pragma clang attribute pop

static u32 mark_fragment(const struct sk_buff *skb, u32 flags)
{
	const struct sk_buff___ip *p = (const void *)skb;
	u64 header = (u64)p->head + p->network_header;
	u16 cut = 0;

	if (p->protocol == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip =
			bpf_rdonly_cast((void *)header, bpf_core_type_id_kernel(struct iphdr));

		return qs_marks_ipv4(flags, bpf_ntohs(ip->frag_off));
	}
	if (p->protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip =
			bpf_rdonly_cast((void *)header, bpf_core_type_id_kernel(struct ipv6hdr));

		if (ip->nexthdr != IPPROTO_FRAGMENT ||
		    bpf_probe_read_kernel(&cut, sizeof(cut), (void *)(header + IP6_CUT_AT)))
			return flags;
		return qs_marks_ipv6(flags, bpf_ntohs(cut));
	}
	return flags;
}

/* What a datagram of a member says, or travels with it. */
static void read_message(struct sk_buff *skb, u64 usual, u64 now_ns, struct qs_arrival *a)
{
	u64 time_ns = (u64)skb->tstamp;

	if (!time_ns) {
		a->flags = qs_marks_sound(usual & QS_GATE_FLAGS);
		if (usual & QSOCKET_DEADLINE)
			a->deadline_ns = now_ns + (usual >> 32) * 1000;
		return;
	}
	skb->tstamp = 0; /* it means something else to whoever comes next */
	a->flags = qs_marks_sound(time_ns & QS_GATE_FLAGS);
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
		if (m->wanted != m->applied && m->left == QS_STAYS)
			catch_up(m, udp);
		if (udp) {
			read_message(skb, *(volatile u64 *)&m->usual, now_ns, a);
			a->flags = mark_fragment(skb, a->flags);
		}
		if (m->stream != QS_NONE && m->left == QS_STAYS) {
			*uid = m->uid;
			return m->stream;
		}
		a->flags = 0;
		a->deadline_ns = QS_FOREVER;
	}
	return flow_of(skb);
}

/* Whether a member that has left, and whose stream is removed, is settled: it is
 * deleted, or back. Not while the gate is at it. */
static __always_inline int settle(struct qs_member *m, const u64 *cookie)
{
	if (__sync_val_compare_and_swap(&m->left, QS_LEAVES, QS_TAKEN) == QS_LEAVES) {
		bpf_map_delete_elem(&members, cookie);
		return 1;
	}
	return __sync_val_compare_and_swap(&m->left, QS_BACK, QS_STAYS) == QS_BACK;
}

/* Members whose sockets have left: what they have queued is lost. */
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
		if (m->stream != QS_NONE) {
			qs_remove(&BELOW->link, m->stream);
			record(QSOCKET_RECORD_REMOVE, m->stream);
			m->stream = QS_NONE;
		}
		m->arrived = 0;
		if (!settle(m, &cookie)) {
			/* there is room: each member is in it once */
			bpf_map_push_elem(&leaving, &cookie, 0);
			return;
		}
	}
}

#endif
