// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's packets, from the one call of net/sched to the other. Part of each
 * scheduler's module, behind policy.h; the same flow as ../bpf/qdisc.bpf.c.
 *
 * A packet waits in `packets`, in the slot of the scheduler's number for its
 * message; what the scheduler has lost it names by that number, and the packet
 * is freed before the call returns. All of it is under the lock of the queue.
 */
#include <linux/netdevice.h>
#include <net/pkt_sched.h>

#include "../sched/pace.h"
#include "../sched/room.h"
#include "compat.h"
#include "manager.h"
#include "trace.h"

struct slot {
	struct sk_buff *skb;
	struct qsocket_user *user; /* whose it is, if anybody's */
};

struct host {
	struct qsocket_root root; /* the manager's; first */
	struct qdisc_watchdog watchdog;
	void *memory;	      /* the scheduler's */
	struct slot *packets; /* by message */
	struct qs_pace pace;
	/* all of the device's traffic, in packets */
	u64 sent, late, sent_bytes;
	u64 dropped[QSOCKET_REASONS], dropped_by_priority[QS_PRIORITIES], dropped_bytes;
	u64 delay_ns_sum, delay_ns_max;
	u64 delays[QSOCKET_DELAYS];
	u64 queued_bytes;
	struct qs_link link;
};

static struct sk_buff *host_take(struct host *h, u32 message)
{
	struct slot *slot = &h->packets[message];
	struct sk_buff *skb = slot->skb;

	if (slot->user)
		slot->user->queued--;
	*slot = (struct slot){};
	return skb;
}

static void host_hold(struct host *h, u32 message, struct sk_buff *skb, struct qsocket_user *user)
{
	h->packets[message] = (struct slot){skb, user};
	if (user)
		user->queued++;
}

static void host_count_lost(struct host *h, u32 reason, u32 drop, u32 bytes)
{
	h->dropped[reason % QSOCKET_REASONS]++;
	h->dropped_by_priority[drop % QS_PRIORITIES]++;
	h->dropped_bytes += bytes;
}

/* The packet of a message that was lost; NULL where there is no more. */
static struct sk_buff *host_next_lost(struct Qdisc *sch)
{
	struct host *h = qdisc_priv(sch);
	u32 message = qs_reap(&h->link);
	const struct qs_message *m;
	struct sk_buff *skb;

	if (message == QS_NONE)
		return NULL;
	m = &h->link.messages[message];
	host_count_lost(h, m->reason, m->drop, m->bytes);
	qs_record_loss(h->root.trace, &h->link, QSOCKET_RECORD_LOST, m->stream, message, m->reason);
	h->queued_bytes -= m->bytes;
	skb = host_take(h, message);
	qs_free(&h->link, message);
	qs_qlen_add(sch, -1, -(int)qdisc_pkt_len(skb));
	qs_drops_add(sch, 1);
	return skb;
}

/* What was lost since the last call, to be freed without the lock. */
static struct sk_buff *host_lost(struct Qdisc *sch)
{
	struct sk_buff *list = NULL, *skb;

	while ((skb = host_next_lost(sch))) {
		skb->next = list;
		list = skb;
	}
	return list;
}

static int host_enqueue_within(struct host *h, u32 stream, u64 now_ns, const struct qs_arrival *a,
			       struct qs_queued *queued, const struct qsocket_user *user)
{
	u32 most = h->link.messages_max, len = h->link.messages_len;
	int error;

	h->link.rest_max = qs_room_of_rest(most);
	if (user)
		h->link.messages_max = qs_room_of_user(most, len, user->queued);
	else if (stream == QS_NEIGHBOURS)
		h->link.rest_max = qs_room_of_questions(most);
	else if (stream < QSOCKET_FLOWS)
		h->link.messages_max = qs_room_of_flows(most);
	error = qs_enqueue_recorded(h->root.trace, &h->link, stream, now_ns, a, queued);
	h->link.messages_max = most;
	return error;
}

/* Takes a message, or says what its sender may be told of it (ip(7),
 * IP_RECVERR): of a queue that is full, nothing of what is lost by its deadline,
 * or with its frame. */
static int host_admit(struct host *h, struct qs_arrival *a, u32 stream, u64 now_ns,
		      const struct qsocket_user *user, u32 *message)
{
	bool continues = a->flags & QSOCKET_FRAME && !(a->flags & QSOCKET_START);
	struct qs_queued queued;
	int error = host_enqueue_within(h, stream, now_ns, a, &queued, user);
	u32 reason;

	/* the end of the frame before it was lost on its way */
	if (error == -QS_EPROTO && !continues) {
		qs_abandon(&h->link, stream);
		qs_record(h->root.trace, &h->link, QSOCKET_RECORD_ABANDON, stream);
		error = host_enqueue_within(h, stream, now_ns, a, &queued, user);
	}
	*message = queued.message;
	if (!error && queued.message != QS_NONE)
		return NET_XMIT_SUCCESS;
	*message = QS_NONE;
	reason = queued.reason;
	if (error == -QS_EPROTO || error == -QS_EMSGSIZE) {
		reason = QSOCKET_INCOMPLETE; /* of a frame whose start is missing, or too long */
		qs_refuse(&h->link, stream, a, reason);
		qs_record_loss(h->root.trace, &h->link, QSOCKET_RECORD_REFUSE, stream, QS_NONE,
			       reason);
	} else if (error) {
		reason = error == -QS_ETIME ? QSOCKET_EXPIRED : QSOCKET_OVERFLOW;
	}
	host_count_lost(h, reason, a->flags >> QSOCKET_DROP_SHIFT, a->bytes);
	return reason == QSOCKET_OVERFLOW ? NET_XMIT_DROP : NET_XMIT_CN;
}

static int host_enqueue(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free)
{
	struct host *h = qdisc_priv(sch);
	u64 now_ns = ktime_get_ns();
	struct qsocket_user *user;
	struct qs_arrival arrival;
	struct sk_buff *lost;
	u32 stream, message;
	int result;

	qs_turn(h->root.trace);
	qs_pace_stand_still(&h->link, &h->pace, now_ns);
	stream = qsocket_classify(&h->root, skb, now_ns, &arrival, &user);
	result = host_admit(h, &arrival, stream, now_ns, user, &message);
	if (message == QS_NONE) {
		qdisc_drop(skb, sch, to_free);
	} else {
		host_hold(h, message, skb, user);
		h->queued_bytes += arrival.bytes;
		qs_qlen_add(sch, 1, qdisc_pkt_len(skb));
	}
	while ((lost = host_next_lost(sch)))
		__qdisc_drop(lost, to_free);
	return result;
}

static void host_count_sent(struct host *h, const struct qs_packet *p)
{
	u64 delay_ns = p->done_ns - h->link.messages[p->message].arrival_ns;

	if (p->outcome == QSOCKET_LATE)
		h->late++;
	else
		h->sent++;
	h->sent_bytes += p->bytes;
	h->delay_ns_sum += delay_ns;
	h->delay_ns_max = max(h->delay_ns_max, delay_ns);
	h->delays[qs_delay_bucket(delay_ns)]++;
}

/* A stream whose socket is gone, before the manager looks for such. What has
 * been handed out of it is taken back. No record can say that: where there are
 * some, the manager is waited for. */
static bool host_is_gone(const struct host *h, const struct sk_buff *skb, u32 stream)
{
	return stream >= QSOCKET_FLOWS && skb->sk && skb->sk->sk_protocol == IPPROTO_UDP &&
	       sock_flag(skb->sk, SOCK_DEAD) && !h->root.trace && !qsocket_drains(skb->sk);
}

static void host_lose_gone(struct Qdisc *sch, const struct qs_packet *p, struct sk_buff *skb)
{
	struct host *h = qdisc_priv(sch);
	const struct qs_message *m = &h->link.messages[p->message];

	host_count_lost(h, QSOCKET_CLOSED, m->drop, m->bytes);
	qs_unsend(&h->link, p, QSOCKET_CLOSED, 0);
	qs_free(&h->link, p->message);
	qs_drops_add(sch, 1);
	qs_drop_at_dequeue(sch, skb);
	qs_flush(&h->link, p->stream, QSOCKET_CLOSED);
}

/* The packet that leaves now, and its message, which is still to be freed; or
 * NULL and when to ask again. */
static struct sk_buff *host_decide(struct Qdisc *sch, u64 now_ns, u32 *message)
{
	struct host *h = qdisc_priv(sch);
	struct qs_packet p;
	struct sk_buff *skb;
	u64 next_ns;

	if (!qs_pace_open(&h->link, &h->pace, now_ns)) {
		qdisc_qstats_overlimit(sch);
		qdisc_watchdog_schedule_ns(&h->watchdog, h->pace.free_ns);
		return NULL;
	}
	for (u32 gone = 0; gone < QSOCKET_DEAD_MAX; gone++) {
		if (!qs_dequeue_recorded(h->root.trace, &h->link, now_ns, &p)) {
			qs_pace_rest(&h->pace, now_ns);
			next_ns = qs_next_ns(&h->link);
			if (next_ns != QS_FOREVER)
				qdisc_watchdog_schedule_ns(&h->watchdog, next_ns);
			return NULL;
		}
		skb = host_take(h, p.message);
		h->queued_bytes -= p.bytes;
		qs_qlen_add(sch, -1, -(int)qdisc_pkt_len(skb));
		if (!host_is_gone(h, skb, p.stream)) {
			qs_pace_charge(&h->link, &h->pace, qdisc_pkt_len(skb), now_ns);
			host_count_sent(h, &p);
			qs_sent(&h->link, &p);
			*message = p.message;
			return skb;
		}
		host_lose_gone(sch, &p, skb);
	}
	qdisc_watchdog_schedule_ns(&h->watchdog, now_ns);
	return NULL;
}

static struct sk_buff *host_dequeue(struct Qdisc *sch)
{
	struct host *h = qdisc_priv(sch);
	struct sk_buff *skb, *lost;
	u32 message;

	qs_turn(h->root.trace);
	skb = host_decide(sch, ktime_get_ns(), &message);
	while ((lost = host_next_lost(sch)))
		qs_drop_at_dequeue(sch, lost);
	if (skb) {
		qs_free(&h->link, message);
		qdisc_bstats_update(sch, skb);
	}
	return skb;
}
