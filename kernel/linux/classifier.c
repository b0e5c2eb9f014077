// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket classifier: which stream a packet is of, and what its sender says
 * about it. A socket is known by its address, which no other can have as long
 * as it is held here. All other traffic is best effort, shared among flows by
 * the hash of their addresses.
 */
#include <linux/hash.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include "../sched/marks.h"
#include "../sched/room.h"
#include "compat.h"
#include "manager.h"

static inline u32 hash_of(const void *key, u32 len, u32 seed)
{
	return hash_64((unsigned long)*(const void *const *)key ^ seed, 32);
}

static inline int differs(struct rhashtable_compare_arg *arg, const void *member)
{
	return *(struct sock *const *)arg->key != ((const struct qsocket_member *)member)->sk;
}

static const struct rhashtable_params params = {
	.hashfn = hash_of,
	.obj_cmpfn = differs,
	.key_len = sizeof(struct sock *),
	.key_offset = offsetof(struct qsocket_member, sk),
	.head_offset = offsetof(struct qsocket_member, node),
	.automatic_shrinking = true,
};

static struct rhashtable members;

int qsocket_members_add(struct qsocket_member *member)
{
	return rhashtable_insert_fast(&members, &member->node, params);
}

void qsocket_members_remove(struct qsocket_member *member)
{
	rhashtable_remove_fast(&members, &member->node, params);
}

struct qsocket_member *qsocket_member_of(const struct sock *sk)
{
	return rhashtable_lookup_fast(&members, &sk, params);
}

static u32 mark_fragment(const struct sk_buff *skb, u32 flags)
{
	const struct frag_hdr *header;
	struct frag_hdr copy;

	if (skb->protocol == htons(ETH_P_IP))
		return qs_marks_ipv4(flags, ntohs(ip_hdr(skb)->frag_off));
	if (skb->protocol != htons(ETH_P_IPV6) || ipv6_hdr(skb)->nexthdr != NEXTHDR_FRAGMENT)
		return flags;
	header = skb_header_pointer(skb, skb_network_offset(skb) + sizeof(struct ipv6hdr),
				    sizeof(copy), &copy);
	return header ? qs_marks_ipv6(flags, ntohs(header->frag_off)) : flags;
}

/* What a datagram says, or travels with it. */
static void read_message(struct sk_buff *skb, u64 now_ns, struct qs_arrival *arrival)
{
	u64 time_ns = ktime_to_ns(skb->tstamp);

	if (!time_ns) {
		arrival->flags = QSOCKET_USUAL;
		return;
	}
	skb_set_delivery_time(skb, 0, 0); /* it means something else to whoever comes next */
	arrival->flags = qs_marks_sound(time_ns & QSOCKET_TIME_FLAGS);
	if (arrival->flags & QSOCKET_DEADLINE)
		arrival->deadline_ns =
			min(time_ns & ~(u64)QSOCKET_TIME_FLAGS, now_ns + QSOCKET_LIFETIME_NS);
}

/* The flow of best effort. Questions for a neighbour have one of their own:
 * whoever floods all others could else keep everybody from new neighbours. They
 * are ARP, or sent by a socket of the kernel's own (ndisc.c). */
static u32 flow_of(struct sk_buff *skb, const struct sock *sk)
{
	if (skb->protocol == htons(ETH_P_ARP))
		return QS_NEIGHBOURS;
	if (sk && sk->sk_protocol == IPPROTO_ICMPV6 && sk->sk_type == SOCK_RAW)
		return QS_NEIGHBOURS;
	return QS_NEIGHBOURS + 1 + skb_get_hash(skb) % (QSOCKET_FLOWS - 1);
}

u32 qsocket_classify(struct qsocket_root *root, struct sk_buff *skb, u64 now_ns,
		     struct qs_arrival *arrival, struct qsocket_user **user)
{
	struct sock *sk = skb->sk && sk_fullsock(skb->sk) ? skb->sk : NULL;
	struct qsocket_member *member = sk ? qsocket_member_of(sk) : NULL;
	u32 stream = QS_NONE;

	*arrival = (struct qs_arrival){
		.deadline_ns = QS_FOREVER,
		.bytes = min_t(u32, qdisc_pkt_len(skb), QSOCKET_PACKET_BYTES_MAX),
	};
	*user = NULL;
	if (member && member->udp) {
		read_message(skb, now_ns, arrival);
		arrival->flags = mark_fragment(skb, arrival->flags);
	}
	/* a route may lead a stream's packets past its own device */
	if (member && member->root == root)
		stream = member->stream;
	if (stream != QS_NONE) {
		*user = member->user;
		return stream;
	}
	arrival->flags = 0;
	arrival->deadline_ns = QS_FOREVER;
	return flow_of(skb, sk);
}
EXPORT_SYMBOL_GPL(qsocket_classify);

int __init qsocket_members_init(void)
{
	return rhashtable_init(&members, &params);
}

void qsocket_members_exit(void)
{
	rhashtable_destroy(&members);
}
