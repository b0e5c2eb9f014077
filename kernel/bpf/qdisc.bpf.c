/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel.bpf.h"
#include "sched.bpf.h"
#include "below.h"

char LICENSE[] SEC("license") = "GPL";

#define BELOW ((struct qs_below QS_MEM *)QS_BELOW_ADDRESS)

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__ulong(map_extra, QS_BELOW_ADDRESS);
} memory SEC(".maps");

struct slot {
	struct sk_buff __kptr *skb;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, struct slot);
	__uint(max_entries, 1);
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64);
	__type(value, struct qs_member);
	__uint(max_entries, 1);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, u32);
	__uint(max_entries, 1);
} leaving SEC(".maps");

static u32 wire_bytes(const struct sk_buff *skb)
{
	return ((const struct qdisc_skb_cb *)skb->cb)->pkt_len;
}

/* A message that the scheduler is through with, and its packet, if any. */
static struct sk_buff *take(u32 message)
{
	struct slot *slot = bpf_map_lookup_elem(&packets, &message);

	return slot ? bpf_kptr_xchg(&slot->skb, NULL) : NULL;
}

SEC("struct_ops/enqueue")
int BPF_PROG(enqueue, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	struct qs_below QS_MEM *b = BELOW;
	struct qs_arrival a = {.deadline_ns = QS_FOREVER};
	struct qs_queued q;
	u64 now_ns = bpf_ktime_get_ns();
	u32 stream = bpf_skb_get_hash(skb) % QS_BELOW_FLOWS;
	u32 bytes = wire_bytes(skb);
	struct slot *slot;
	int error;

	a.bytes = bytes;
	error = qs_enqueue(&b->link, stream, now_ns, &a, &q);
	if (error || q.message == QS_NONE) {
		bpf_qdisc_skb_drop(skb, to_free);
		return NET_XMIT_DROP;
	}
	slot = bpf_map_lookup_elem(&packets, &q.message);
	if (!slot) {
		bpf_qdisc_skb_drop(skb, to_free);
		return NET_XMIT_DROP;
	}
	skb = bpf_kptr_xchg(&slot->skb, skb);
	if (skb)
		bpf_qdisc_skb_drop(skb, to_free);
	sch->q.qlen++;
	sch->qstats.backlog += bytes;
	return NET_XMIT_SUCCESS;
}

SEC("struct_ops/dequeue")
struct sk_buff *BPF_PROG(dequeue, struct Qdisc *sch)
{
	struct qs_below QS_MEM *b = BELOW;
	struct qs_packet p;
	struct sk_buff *skb;
	u64 now_ns = bpf_ktime_get_ns();

	if (!qs_dequeue(&b->link, now_ns, 0, &p))
		return NULL;
	skb = take(p.message);
	if (!skb)
		return NULL;
	qs_sent(&b->link, &p);
	qs_free(&b->link, p.message);
	sch->q.qlen--;
	sch->qstats.backlog -= wire_bytes(skb);
	bpf_qdisc_bstats_update(sch, skb);
	return skb;
}

SEC("struct_ops/init")
int BPF_PROG(init, struct Qdisc *sch, struct nlattr *arg, struct netlink_ext_ack *extack)
{
	sch->limit = 1000;
	return 0;
}

SEC("struct_ops/reset")
void BPF_PROG(reset, struct Qdisc *sch)
{
	sch->q.qlen = 0;
}

SEC("struct_ops/destroy")
void BPF_PROG(destroy, struct Qdisc *sch)
{
}

SEC(".struct_ops.link")
struct Qdisc_ops scheduler = {
	.enqueue = (void *)enqueue,
	.dequeue = (void *)dequeue,
	.init = (void *)init,
	.reset = (void *)reset,
	.destroy = (void *)destroy,
	.id = "qsockets",
};
