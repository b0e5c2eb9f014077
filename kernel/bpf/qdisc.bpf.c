/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The scheduler as a root qdisc: what net/sched asks of one, in the order in
 * which a packet meets it. One object a policy (QS_ONLY), one load a device.
 *
 * A packet waits in `packets`, in the slot of the scheduler's number for its
 * message; whatever the scheduler has lost it names by that number, and the
 * packet is freed before the call returns.
 */
#include "arrive.bpf.h"
#include "gate.bpf.h"

char LICENSE[] SEC("license") = "GPL";
const char STAMP[] SEC("qsockets") = QS_STAMP_PREFIX QS_STAMP;

static struct sk_buff *take(u32 message)
{
	struct slot *slot = bpf_map_lookup_elem(&packets, &message);
	struct user *user;

	if (!slot)
		return NULL;
	user = slot->uid ? bpf_map_lookup_elem(&users, &slot->uid) : NULL;
	if (user && user->queued) /* one who was forgotten meanwhile has none */
		user->queued--;
	return bpf_kptr_xchg(&slot->skb, NULL);
}

/* NULL, or what could not be put there. */
static struct sk_buff *hold(struct sk_buff *skb, u32 message, u32 uid, struct user *user)
{
	struct slot *slot = bpf_map_lookup_elem(&packets, &message);

	if (!slot)
		return skb;
	slot->uid = user ? uid : 0;
	if (user)
		user->queued++;
	return bpf_kptr_xchg(&slot->skb, skb);
}

static void count_lost(u32 reason, u32 drop, u32 bytes, u32 rest)
{
	struct qs_below QS_MEM *b = BELOW;

	b->dropped[reason & (QSOCKET_REASONS - 1)]++;
	b->dropped_by_priority[drop & (QS_PRIORITIES - 1)]++;
	b->dropped_bytes += bytes;
	b->rest_dropped += rest;
}

/* The packet of a message that was lost; NULL where there is no more. */
static struct sk_buff *next_lost(struct Qdisc *sch)
{
	struct qs_below QS_MEM *b = BELOW;
	u32 message = qs_reap(&b->link);
	struct qs_message QS_MEM *m;
	struct sk_buff *skb;

	if (message == QS_NONE)
		return NULL;
	m = &b->link.messages[message];
	count_lost(m->reason, m->drop, m->bytes, m->rest);
	record_loss(QSOCKET_RECORD_LOST, m->stream, message, m->reason);
	b->queued_bytes -= m->bytes;
	skb = take(message);
	qs_free(&b->link, message);
	if (!skb) {
		b->astray++;
		return NULL;
	}
	sch->q.qlen--;
	sch->qstats.backlog -= wire_bytes(skb);
	sch->qstats.drops++;
	return skb;
}

/* Takes over the rate that the owner wants (device/memory.c), here, where no
 * decision is under way. What the link owes of the packet before is as many
 * bytes as it was. */
static void take_over(u64 now_ns)
{
	struct qs_below QS_MEM *b = BELOW;
	u64 rate = *(volatile u64 QS_MEM *)&b->rate_wanted;

	if (rate != b->link.rate)
		qs_pace_rate(&b->link, &b->pace, rate, now_ns);
}

/* For one message of a stream. Not inlined: there is no stack left beside what it
 * is called from. */
static __noinline void set_room(u32 stream, const struct user *user)
{
	struct qs_below QS_MEM *b = BELOW;
	u32 most = b->messages_max, len = b->link.messages_len;

	b->link.messages_max = user ? qs_room_of_user(most, len, user->queued) : most;
	b->link.rest_max = qs_room_of_rest(most);
	if (stream == QS_NEIGHBOURS)
		b->link.rest_max = qs_room_of_questions(most);
	else if (stream < QS_BELOW_FLOWS)
		b->link.messages_max = qs_room_of_flows(most);
}

static __always_inline int enqueue_within(u32 stream, u64 now_ns, const struct qs_arrival *a,
					  struct qs_queued *queued, const struct user *user)
{
	struct qs_below QS_MEM *b = BELOW;
	int error;

	set_room(stream, user);
	error = enqueue_recorded(stream, now_ns, a, queued);
	b->link.messages_max = b->messages_max;
	return error;
}

/* Takes a message, or says what its sender may be told of it (ip(7),
 * IP_RECVERR): of a queue that is full, nothing of what is lost by its deadline,
 * or with its frame. */
static int admit(struct qs_arrival *a, u32 stream, u64 now_ns, struct qs_queued *queued,
		 const struct user *user)
{
	struct qs_below QS_MEM *b = BELOW;
	int error = enqueue_within(stream, now_ns, a, queued, user);
	int continues = a->flags & QSOCKET_FRAME && !(a->flags & QSOCKET_START);
	u32 reason;

	/* the end of the frame before it was lost on its way */
	if (error == -QS_EPROTO && !continues) {
		below_abandon(stream);
		record(QSOCKET_RECORD_ABANDON, stream);
		error = enqueue_within(stream, now_ns, a, queued, user);
	}
	reason = queued->reason;
	if (!error && queued->message != QS_NONE)
		return NET_XMIT_SUCCESS;
	if (error == -QS_EPROTO || error == -QS_EMSGSIZE) {
		reason = QSOCKET_INCOMPLETE; /* of a frame whose start is missing, or too long */
		qs_refuse(&b->link, stream, a, reason);
		record_loss(QSOCKET_RECORD_REFUSE, stream, QS_NONE, reason);
	} else if (error) {
		reason = error == -QS_ETIME ? QSOCKET_EXPIRED : QSOCKET_OVERFLOW;
	}
	count_lost(reason, a->flags >> QSOCKET_DROP_SHIFT, a->bytes, stream < QS_BELOW_FLOWS);
	return reason == QSOCKET_OVERFLOW ? NET_XMIT_DROP : NET_XMIT_CN;
}

SEC("struct_ops/enqueue")
int BPF_PROG(enqueue, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	struct qs_below QS_MEM *b = BELOW;
	u64 now_ns = bpf_ktime_get_ns();
	struct qs_arrival a;
	struct qs_queued queued;
	struct user *user;
	u32 stream, uid;
	int result;

	USE_MEMORY();
	turn();
	take_leave();
	take_over(now_ns);
	qs_pace_stand_still(&b->link, &b->pace, now_ns);
	stream = classify(skb, now_ns, &a, &uid);
	user = uid ? bpf_map_lookup_elem(&users, &uid) : NULL;
	result = admit(&a, stream, now_ns, &queued, user);
	if (result != NET_XMIT_SUCCESS) {
		sch->qstats.drops++;
		bpf_qdisc_skb_drop(skb, to_free);
	} else {
		sch->q.qlen++;
		b->queued_bytes += a.bytes;
		sch->qstats.backlog += wire_bytes(skb);
		skb = hold(skb, queued.message, uid, user);
		if (skb) {
			b->astray++;
			bpf_qdisc_skb_drop(skb, to_free);
		}
	}
	while (may_go_on() && b->link.dead != QS_NONE) {
		skb = next_lost(sch);
		if (skb)
			bpf_qdisc_skb_drop(skb, to_free);
	}
	turn();
	return result;
}

static void count_sent(const struct qs_packet *p)
{
	struct qs_below QS_MEM *b = BELOW;
	const struct qs_message QS_MEM *m = &b->link.messages[p->message];
	u64 delay_ns = p->done_ns - m->arrival_ns;

	if (p->outcome == QSOCKET_LATE)
		b->late++;
	else
		b->sent++;
	b->sent_bytes += p->bytes;
	b->queued_bytes -= p->bytes;
	if (m->rest) {
		b->rest_sent++;
		b->rest_sent_bytes += p->bytes;
	}
	b->delay_ns_sum += delay_ns;
	if (delay_ns > b->delay_ns_max)
		b->delay_ns_max = delay_ns;
	b->delays[qs_delay_bucket(delay_ns)]++;
}

/* The number of the message that leaves now, or QS_NONE and when to ask again. */
static u32 decide(struct Qdisc *sch, u64 now_ns)
{
	struct qs_below QS_MEM *b = BELOW;
	struct qs_packet p;
	u64 next_ns;

	if (!qs_pace_open(&b->link, &b->pace, now_ns)) {
		bpf_qdisc_watchdog_schedule(sch, b->pace.free_ns, 0);
		return QS_NONE;
	}
	if (dequeue_recorded(now_ns, &p)) {
		qs_pace_charge(&b->link, &b->pace, p.bytes, now_ns);
		count_sent(&p);
		qs_sent(&b->link, &p);
		return p.message;
	}
	qs_pace_rest(&b->pace, now_ns);
	next_ns = qs_next_ns(&b->link);
	if (next_ns != QS_FOREVER)
		bpf_qdisc_watchdog_schedule(sch, next_ns, 0);
	return QS_NONE;
}

SEC("struct_ops/dequeue")
struct sk_buff *BPF_PROG(dequeue, struct Qdisc *sch)
{
	struct qs_below QS_MEM *b = BELOW;
	struct sk_buff *skb = NULL;
	u64 now_ns = bpf_ktime_get_ns();
	u32 message;

	USE_MEMORY();
	turn();
	take_leave();
	take_over(now_ns);
	message = decide(sch, now_ns);
	while (may_go_on() && b->link.dead != QS_NONE) {
		skb = next_lost(sch);
		if (skb)
			bpf_kfree_skb(skb);
	}
	skb = NULL;
	if (message != QS_NONE) {
		skb = take(message);
		qs_free(&b->link, message);
		if (skb) {
			sch->q.qlen--;
			sch->qstats.backlog -= wire_bytes(skb);
			bpf_qdisc_bstats_update(sch, skb);
		} else {
			b->astray++;
		}
	}
	turn();
	return skb;
}

/* Anybody may give a device of a network of his own that number. */
static int is_for(const struct Qdisc *sch)
{
	const struct qs_below QS_MEM *b = BELOW;
	const struct net_device *device = sch->dev_queue->dev;

	return b->ifindex == (u32)device->ifindex &&
	       b->netns_cookie == device->nd_net.net->net_cookie;
}

SEC("struct_ops/init")
int BPF_PROG(init, struct Qdisc *sch, struct nlattr *arg, struct netlink_ext_ack *extack)
{
	struct qs_below QS_MEM *b = BELOW;

	USE_MEMORY();
	if (b->attached || !is_for(sch))
		return -QS_EBUSY;
	sch->limit = b->link.messages_max;
	b->handle = sch->handle;
	b->attached = 1;
	return 0;
}

/* The device went down, or the qdisc is going: nothing stays queued. */
SEC("struct_ops/reset")
void BPF_PROG(reset, struct Qdisc *sch)
{
	struct qs_below QS_MEM *b = BELOW;
	struct sk_buff *skb;

	USE_MEMORY();
	turn();
	for (u32 i = 0; may_go_on() && i < b->link.streams_used; i++)
		if (b->link.streams[i].messages > 0) {
			qs_flush(&b->link, i, QSOCKET_ERROR);
			record_loss(QSOCKET_RECORD_FLUSH, i, QS_NONE, QSOCKET_ERROR);
		}
	while (may_go_on() && b->link.dead != QS_NONE) {
		skb = next_lost(sch);
		if (skb)
			bpf_kfree_skb(skb);
	}
	sch->q.qlen = 0;
	sch->qstats.backlog = 0;
	b->pace.free_ns = 0;
	turn();
}

/* Of one whose init was refused, too. */
SEC("struct_ops/destroy")
void BPF_PROG(destroy, struct Qdisc *sch)
{
	USE_MEMORY();
	if (is_for(sch) && BELOW->handle == sch->handle)
		BELOW->attached = 0;
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
