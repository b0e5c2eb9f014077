// SPDX-License-Identifier: GPL-2.0-only
/*
 * The scheduler as a root qdisc and as the manager knows it: its life, and its
 * streams'. Part of each scheduler's module, behind packets.c.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

static int host_check(const struct qsocket_attr *attr)
{
	return QS_ONLY.slides && attr->old && !attr->ipg_ns ? -EINVAL : 0;
}

static int host_add(struct qsocket_root *root, const struct qsocket_attr *attr,
		    struct qsocket_admission *admission)
{
	struct host *h = qdisc_priv(root->sch);
	int error = host_check(attr), stream;

	if (!error)
		error = qs_feasible(&h->link, QS_NONE, attr, admission);
	if (error)
		return error;
	stream = qs_add(&h->link, attr);
	qs_turn(h->root.trace);
	if (stream >= 0)
		qs_record_attr(h->root.trace, &h->link, QSOCKET_RECORD_ADD, stream, attr);
	return stream;
}

static int host_change(struct qsocket_root *root, u32 stream, const struct qsocket_attr *attr,
		       struct qsocket_admission *admission)
{
	struct host *h = qdisc_priv(root->sch);
	int error = host_check(attr);

	if (!error)
		error = qs_feasible(&h->link, stream, attr, admission);
	if (error)
		return error;
	qs_change(&h->link, stream, attr);
	qs_turn(h->root.trace);
	qs_record_attr(h->root.trace, &h->link, QSOCKET_RECORD_CHANGE, stream, attr);
	return 0;
}

static void host_remove(struct qsocket_root *root, u32 stream, struct qsocket_info *past)
{
	struct host *h = qdisc_priv(root->sch);

	qs_flush(&h->link, stream, QSOCKET_CLOSED);
	qs_info(&h->link, stream, past);
	qs_remove(&h->link, stream);
	qs_turn(h->root.trace);
	qs_record(h->root.trace, &h->link, QSOCKET_RECORD_REMOVE, stream);
	kfree_skb_list(host_lost(root->sch));
}

static void host_abandon(struct qsocket_root *root, u32 stream)
{
	struct host *h = qdisc_priv(root->sch);

	qs_abandon(&h->link, stream);
	qs_turn(root->trace);
	qs_record(root->trace, &h->link, QSOCKET_RECORD_ABANDON, stream);
	kfree_skb_list(host_lost(root->sch));
}

static void host_report_all(const struct host *h, struct qsocket_info *info)
{
	struct qsocket_admission admission = {};

	info->sent = h->sent;
	info->late = h->late;
	info->sent_bytes = h->sent_bytes;
	info->queued = h->link.messages_len;
	info->queued_bytes = h->queued_bytes;
	info->offered = h->sent + h->late + info->queued;
	for (u32 reason = 0; reason < QSOCKET_REASONS; reason++) {
		info->dropped[reason] = h->dropped[reason];
		info->offered += h->dropped[reason];
	}
	for (u32 drop = 0; drop < QS_PRIORITIES; drop++)
		info->dropped_by_priority[drop] = h->dropped_by_priority[drop];
	info->dropped_bytes = h->dropped_bytes;
	info->offered_bytes = h->sent_bytes + h->queued_bytes + h->dropped_bytes;
	info->delay_ns_sum = h->delay_ns_sum;
	info->delay_ns_max = h->delay_ns_max;
	memcpy(info->delays, h->delays, sizeof(h->delays));
	qs_booked(&h->link, &admission);
	info->utilisation_ppm = admission.utilisation_ppm;
}

static void host_report(struct qsocket_root *root, u32 stream, struct qsocket_info *info)
{
	const struct host *h = qdisc_priv(root->sch);

	if (stream == QS_NONE) {
		host_report_all(h, info);
		return;
	}
	qs_info(&h->link, stream, info);
	info->utilisation_ppm = qs_share_ppm(&h->link, stream);
}

static struct qsocket_scheduler host_scheduler;

static int host_options(struct nlattr *attr, struct qsocket_options *options,
			struct netlink_ext_ack *extack)
{
	if (!attr || nla_len(attr) != sizeof(*options)) {
		NL_SET_ERR_MSG(extack,
			       "this qdisc is set up by QSOCKINIT, which knows its options");
		return -EINVAL;
	}
	memcpy(options, nla_data(attr), sizeof(*options));
	if (options->rate == 0 || options->rate > QSOCKET_RATE_MAX ||
	    options->mode > QSOCKET_MODE_MAX || options->streams > QSOCKET_STREAMS_MAX ||
	    options->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX)
		return -ERANGE;
	return options->flags & ~QSOCKET_OPTION_TRACE || options->zero ? -EINVAL : 0;
}

static int host_lay_out(struct host *h, const struct qsocket_options *options)
{
	const struct qsocket_attr flow = {.queue_messages = QSOCKET_FLOW_MESSAGES};
	u32 streams = options->streams, messages = options->queue_messages;

	h->memory = kvzalloc(qs_link_bytes(&QS_ONLY, streams, messages) + QS_ALIGNMENT,
			     GFP_KERNEL_ACCOUNT);
	h->packets = kvcalloc(qs_messages_held(streams, messages), sizeof(*h->packets),
			      GFP_KERNEL_ACCOUNT);
	if (!h->memory || !h->packets)
		return -ENOMEM;
	qs_init(&h->link, &QS_ONLY, options->rate, PTR_ALIGN(h->memory, QS_ALIGNMENT), streams,
		messages);
	h->link.guard_ns = QS_PACE_GUARD_NS;
	if (options->flags & QSOCKET_OPTION_TRACE) {
		h->root.trace = qsocket_trace_make(&h->link, QS_NAME);
		if (!h->root.trace)
			return -ENOMEM;
	}
	for (u32 i = 0; i < QSOCKET_FLOWS; i++) {
		if (qs_add(&h->link, &flow) != i)
			return -ENOSPC;
		qs_record_attr(h->root.trace, &h->link, QSOCKET_RECORD_ADD, i, &flow);
	}
	return 0;
}

/* Where it fails, destroy is called. */
static int host_init(struct Qdisc *sch, struct nlattr *attr, struct netlink_ext_ack *extack)
{
	struct host *h = qdisc_priv(sch);
	struct qsocket_options options;
	int error;

	qdisc_watchdog_init(&h->watchdog, sch);
	spin_lock_init(&h->root.calls);
	if (sch->parent != TC_H_ROOT) {
		NL_SET_ERR_MSG(extack, "a device's root qdisc alone sees all of its traffic");
		return -EOPNOTSUPP;
	}
	error = host_options(attr, &options, extack);
	if (error)
		return error;
	if (!options.streams)
		options.streams = QSOCKET_ROOT_STREAMS;
	if (!options.queue_messages)
		options.queue_messages = QSOCKET_QUEUE_MESSAGES_DEFAULT;
	if (options.streams <= QSOCKET_FLOWS) {
		NL_SET_ERR_MSG(extack, "of the streams 64 are best effort's");
		return -ERANGE;
	}
	error = host_lay_out(h, &options);
	if (error)
		return error;
	sch->limit = options.queue_messages;
	sch->flags |= QS_QDISC_FLAGS;
	return qsocket_root_enter(&h->root, sch, &host_scheduler, &options);
}

static int host_set(struct Qdisc *sch, struct nlattr *attr, struct netlink_ext_ack *extack)
{
	struct host *h = qdisc_priv(sch);
	struct qsocket_options options;
	int error = host_options(attr, &options, extack);

	if (error)
		return error;
	if ((options.streams && options.streams != h->root.options.streams) ||
	    (options.queue_messages && options.queue_messages != h->root.options.queue_messages)) {
		NL_SET_ERR_MSG(extack, "the number of streams and messages is for good");
		return -EOPNOTSUPP;
	}
	if (options.flags != h->root.options.flags) {
		NL_SET_ERR_MSG(extack, "it is initialised without a trace, or with one, for good");
		return -EINVAL;
	}
	options.streams = h->root.options.streams;
	options.queue_messages = h->root.options.queue_messages;
	error = qsocket_root_set(&h->root, &options);
	if (error)
		return error;
	sch_tree_lock(sch);
	qs_pace_rate(&h->link, &h->pace, options.rate, ktime_get_ns());
	/* what waits for the link has been told when it would be free at the old rate */
	if (h->link.messages_len)
		qdisc_watchdog_schedule_ns(&h->watchdog, h->pace.free_ns);
	sch_tree_unlock(sch);
	return 0;
}

/* The device went down, or the qdisc is going: nothing stays queued. In the
 * second case without the queue's lock, while streams may still be closed. */
static void host_reset(struct Qdisc *sch)
{
	struct host *h = qdisc_priv(sch);

	qdisc_watchdog_cancel(&h->watchdog);
	if (!h->packets)
		return;
	spin_lock_bh(&h->root.calls);
	qs_turn(h->root.trace);
	for (u32 i = 0; i < h->link.streams_used; i++) {
		if (!h->link.streams[i].messages)
			continue;
		qs_flush(&h->link, i, QSOCKET_ERROR);
		qs_record_loss(h->root.trace, &h->link, QSOCKET_RECORD_FLUSH, i, QS_NONE,
			       QSOCKET_ERROR);
	}
	kfree_skb_list(host_lost(sch));
	h->pace.free_ns = 0;
	spin_unlock_bh(&h->root.calls);
}

static void host_destroy(struct Qdisc *sch)
{
	struct host *h = qdisc_priv(sch);

	qsocket_root_leave(&h->root);
	qdisc_watchdog_cancel(&h->watchdog);
	qsocket_trace_put(h->root.trace);
	kvfree(h->packets);
	kvfree(h->memory);
}

/* Without a dump of its options, which tc(8) does not know: it would say so in the
 * midst of its JSON, of whatever device that is asked for. */
static struct Qdisc_ops host_ops __read_mostly = {
	.id = QSOCKET_KIND QS_NAME,
	.priv_size = sizeof(struct host),
	.enqueue = host_enqueue,
	.dequeue = host_dequeue,
	.peek = qdisc_peek_dequeued,
	.init = host_init,
	.reset = host_reset,
	.destroy = host_destroy,
	.change = host_set,
	.owner = THIS_MODULE,
};

static struct qsocket_scheduler host_scheduler = {
	.name = QS_NAME,
	.qdisc = &host_ops,
	.add = host_add,
	.change = host_change,
	.remove = host_remove,
	.abandon = host_abandon,
	.report = host_report,
};

static int __init host_module_init(void)
{
	return qsocket_register(&host_scheduler);
}

static void __exit host_module_exit(void)
{
	qsocket_unregister(&host_scheduler);
}

module_init(host_module_init);
module_exit(host_module_exit);
MODULE_ALIAS_NET_SCH(QSOCKET_KIND QS_NAME);
MODULE_LICENSE("GPL");
