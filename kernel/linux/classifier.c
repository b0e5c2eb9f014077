// SPDX-License-Identifier: GPL-2.0-only
/*
 * The socket classifier: which stream a packet is of, and what its sender says
 * about it. A socket is known by its address, which no other can have as long
 * as it is held here. All other traffic is best effort, shared among flows by
 * the hash of their addresses.
 */
#include <linux/rhashtable.h>
#include <linux/skbuff.h>
#include <net/sock.h>

#include "compat.h"
#include "manager.h"

static const struct rhashtable_params params = {
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

/* Flags that a message may have: another sender's than message.c may say any. */
static u32 sound(u32 flags)
{
	return flags & QSOCKET_FRAME ? flags
				     : flags & ~(QSOCKET_START | QSOCKET_END | QSOCKET_LEADING);
}

/* What travels with a datagram. */
static void read_message(struct sk_buff *skb, u64 now_ns, struct qs_arrival *arrival)
{
	u64 time_ns = ktime_to_ns(skb->tstamp);

	if (!time_ns)
		return;
	skb_set_delivery_time(skb, 0, 0); /* it means something else to whoever comes next */
	arrival->flags = sound(time_ns & QSOCKET_TIME_FLAGS);
	if (arrival->flags & QSOCKET_DEADLINE)
		arrival->deadline_ns =
			min(time_ns & ~(u64)QSOCKET_TIME_FLAGS, now_ns + QSOCKET_LIFETIME_NS);
}

u32 qsocket_classify(struct qsocket_root *root, struct sk_buff *skb, u64 now_ns,
		     struct qs_arrival *arrival)
{
	struct sock *sk = skb->sk;
	struct qsocket_member *member = sk && sk_fullsock(sk) ? qsocket_member_of(sk) : NULL;
	u32 stream = QS_NONE;

	*arrival = (struct qs_arrival){
		.deadline_ns = QS_FOREVER,
		.bytes = min_t(u32, qdisc_pkt_len(skb), QSOCKET_PACKET_BYTES_MAX),
	};
	if (member && member->udp)
		read_message(skb, now_ns, arrival);
	/* a route may lead a stream's packets past its own device */
	if (member && member->root == root)
		stream = member->stream;
	if (stream != QS_NONE)
		return stream;
	arrival->flags = 0;
	arrival->deadline_ns = QS_FOREVER;
	return skb_get_hash(skb) % QSOCKET_FLOWS;
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
