/* SPDX-License-Identifier: MIT
 *
 * The host: what it asks of the scheduler, each with what the answer must be.
 * It keeps the rules that sched.h has for hosts, and nothing else: packets of
 * a stream are settled in order, by exactly one of qs_sent() and qs_unsend(),
 * and what is reaped, or done and settled, is freed.
 */
#ifndef HOST_H
#define HOST_H

#include "ledger.h"

static inline void free_parcel(uint32_t message)
{
	parcels[message].where = FREE;
	parcels_len--;
	qs_free(&qs, message);
}

static inline void reap(void)
{
	uint32_t message;

	while ((message = qs_reap(&qs)) != QS_NONE) {
		struct parcel *p;
		uint8_t reason;

		MUST(message < parcels_max, "message %u", message);
		p = &parcels[message];
		reason = qs.messages[message].reason;
		MUST(p->where == QUEUED, "message %u was lost, and is not queued: %u", message,
		     p->where);
		TRACE("\tlost %u of %u: %u\n", message, p->flow->index, reason);
		MUST(reason != QSOCKET_WINDOW || p->frame_drop < QSOCKET_DROP_NEVER,
		     "message %u, never to be dropped, was given up", message);
		MUST((reason != QSOCKET_WINDOW && reason != QSOCKET_EXPIRED &&
		      reason != QSOCKET_DEPENDENCY) ||
			     p->flow->was_droppable,
		     "message %u of an undroppable stream was lost: %u", message, reason);
		count_dropped(p->flow, reason, p->drop, p->bytes);
		p->flow->count.queued--;
		p->flow->count.queued_bytes -= p->left;
		p->where = REAPED;
		if (!p->in_hand)
			free_parcel(message);
	}
}

/* What a sender that minds the order of its frames must never be told. */
static inline void check_protocol(const struct flow *f, const struct qs_arrival *a)
{
	int continues = a->flags & QSOCKET_FRAME && !(a->flags & QSOCKET_START);

	MUST(continues ? !f->in_frame : f->in_frame, "stream %u: -EPROTO, flags %#x", f->index,
	     a->flags);
}

static inline void accept_parcel(struct flow *f, const struct qs_arrival *a, uint32_t message)
{
	struct parcel *p;
	uint32_t queue_messages =
		f->attr.queue_messages ? f->attr.queue_messages : QSOCKET_STREAM_MESSAGES_DEFAULT;
	uint64_t queue_bytes =
		f->attr.queue_bytes ? f->attr.queue_bytes : QSOCKET_STREAM_BYTES_DEFAULT;

	MUST(message < parcels_max, "message %u", message);
	p = &parcels[message];
	MUST(p->where == FREE, "message %u is in use", message);
	MUST(a->deadline_ns > now_ns, "what had expired was accepted");
	*p = (struct parcel){
		.flow = f,
		.arrival = ++arrivals,
		.serial = ++f->serial,
		.frame = f->frame,
		.deadline_ns = a->deadline_ns,
		.bytes = a->bytes,
		.left = a->bytes,
		.segment = a->segment,
		.where = QUEUED,
		.drop = a->flags >> QSOCKET_DROP_SHIFT & 7,
		.frame_drop = f->frame_drop,
	};
	parcels_len++;
	f->count.queued++;
	f->count.queued_bytes += a->bytes;
	MUST(f->count.queued <= queue_messages && f->count.queued_bytes <= queue_bytes,
	     "stream %u has %llu messages queued, %llu bytes", f->index,
	     (unsigned long long)f->count.queued, (unsigned long long)f->count.queued_bytes);
}

static inline void check_room(void)
{
	uint64_t queued = 0;

	for (uint32_t i = 0; i < flows_max; i++)
		queued += flows[i].open ? flows[i].count.queued : 0;
	MUST(queued <= messages_max, "%llu messages queued", (unsigned long long)queued);
}

static inline void enqueue(struct flow *f, const struct qs_arrival *a)
{
	uint8_t drop = a->flags >> QSOCKET_DROP_SHIFT & 7;
	struct qs_queued queued = {.message = QS_NONE};
	int continues = a->flags & QSOCKET_FRAME && !(a->flags & QSOCKET_START);
	int32_t result;

	if (!f->count.queued)
		f->was_droppable = 0;
	f->was_droppable |= is_droppable(f);
	result = qs_enqueue(&qs, f->index, now_ns, a, &queued);
	TRACE("at %llu stream %u: %u bytes, segment %u, flags %#x, deadline %+lld: %d, message "
	      "%d\n",
	      (unsigned long long)now_ns, f->index, a->bytes, a->segment, a->flags,
	      a->deadline_ns == QS_FOREVER ? -1 : (long long)(a->deadline_ns - now_ns), result,
	      (int)queued.message);
	MUST(!result || queued.message == QS_NONE, "refused, and has a number: %u", queued.message);
	MUST(result != -ETIME || a->deadline_ns <= now_ns, "-ETIME before its deadline");
	switch (result) {
	case -EPROTO:
		check_protocol(f, a);
		break;
	case 0:
	case -EMSGSIZE:
	case -ETIME:
	case -ENOBUFS:
		if (!continues) {
			f->frame++;
			f->frame_drop = drop;
		}
		f->in_frame = a->flags & QSOCKET_FRAME && !(a->flags & QSOCKET_END);
		break;
	default:
		MUST(0, "result %d", result);
	}
	if (result == -ETIME || result == -ENOBUFS)
		queued.reason = result == -ETIME ? QSOCKET_EXPIRED : QSOCKET_OVERFLOW;
	if (result == -EPROTO || result == -EMSGSIZE) {
		queued.reason = QSOCKET_INCOMPLETE;
		if (owed)
			qs_refuse(&qs, f->index, a, queued.reason);
	}
	if (owed || (result != -EPROTO && result != -EMSGSIZE)) {
		f->count.offered++;
		f->count.offered_bytes += a->bytes;
		if (queued.message == QS_NONE)
			count_dropped(f, queued.reason, drop, a->bytes);
	}
	reap(); /* those whose place it took */
	if (queued.message != QS_NONE)
		accept_parcel(f, a, queued.message);
	check_room();
}

/* The oldest packet in hand of a stream: 0, or why the network refused it. */
static inline void settle(struct flow *f, uint8_t reason, int late, int partly)
{
	uint32_t i = 0;
	struct qs_packet packet;
	struct parcel *p;

	while (hand[i].flow != f)
		i++;
	packet = hand[i].packet;
	memmove(&hand[i], &hand[i + 1], (--hand_len - i) * sizeof(hand[0]));
	p = &parcels[packet.message];
	if (late && p->deadline_ns < now_ns + LATE_NS_MAX && !promised && now_ns <= p->deadline_ns)
		now_ns = p->deadline_ns + 1;
	if (late && now_ns > p->deadline_ns && packet.done && packet.outcome == QSOCKET_SENT &&
	    !promised) {
		qs_late(&qs, &packet);
		MUST(packet.outcome == QSOCKET_LATE, "late, and not counted so");
		f->count.sent--;
		f->count.late++;
	}
	if (reason)
		p->failed = reason;
	TRACE("settle %u: %u %u\n", packet.message, reason, p->failed);
	p->in_hand--;
	if (reason || (packet.done && p->failed)) {
		qs_unsend(&qs, &packet, p->failed, partly);
		if (packet.done) {
			*(packet.outcome == QSOCKET_LATE ? &f->count.late : &f->count.sent) -= 1;
			f->count.sent_bytes -= p->bytes;
			count_dropped(f, p->failed, p->drop, p->bytes);
		}
		p->in_hand++; /* what is reaped now must still be there to be settled */
		reap();
		p->in_hand--;
	} else {
		qs_sent(&qs, &packet);
	}
	if (!p->in_hand && (p->where == REAPED || (p->where == OUT && packet.done)))
		free_parcel(packet.message);
}

static inline void check_packet(const struct qs_packet *k, const struct parcel *p,
				uint32_t bytes_max)
{
	const struct flow *f = p->flow;
	uint64_t left = p->left;

	MUST(p->where == QUEUED && f->open && f->index == k->stream, "message %u is %u of %u",
	     k->message, p->where, k->stream);
	MUST(!f->blocked, "stream %u is blocked", f->index);
	MUST(k->offset == p->bytes - p->left && k->bytes <= left, "message %u: %u at %u of %u",
	     k->message, k->bytes, k->offset, p->bytes);
	MUST(!k->done == (k->bytes < left), "message %u: done %u with %u of %llu", k->message,
	     k->done, k->bytes, (unsigned long long)left);
	MUST(k->done || k->bytes > 0, "message %u: an empty part", k->message);
	MUST(k->done || (p->segment && k->bytes % p->segment == 0), "message %u: cut at %u of %u",
	     k->message, k->bytes, p->segment);
	MUST(!bytes_max || !p->segment || k->bytes <= bytes_max || k->bytes <= p->segment,
	     "message %u: %u bytes at once", k->message, k->bytes);
	MUST(k->done_ns >= now_ns, "done before now");
	MUST(!k->done || k->outcome == (k->done_ns > p->deadline_ns ? QSOCKET_LATE : QSOCKET_SENT),
	     "message %u: outcome %u", k->message, k->outcome);
	MUST(p->serial >= f->serial_out, "message %u overtook another", k->message);
	MUST(!policy_row->frames || !f->in_frame || p->frame != f->frame,
	     "message %u left before its frame's end was queued", k->message);
}

/* First come, first served: nothing that may leave came before. */
static inline void check_first(const struct parcel *p)
{
	for (uint32_t i = 0, seen = 0; i < parcels_max && seen < parcels_len; i++) {
		const struct parcel *q = &parcels[i];

		seen += q->where != FREE;
		MUST(q->where != QUEUED || q->flow->blocked || q->arrival >= p->arrival,
		     "message %u came before", i);
	}
}

static inline int dequeue(uint32_t bytes_max, struct qs_packet *packet)
{
	int some = qs_dequeue(&qs, now_ns, bytes_max, packet);
	struct parcel *p;
	struct flow *f;

	MUST(some == 0 || some == 1, "result %d", some);
	if (some) {
		MUST(packet->message < parcels_max, "message %u", packet->message);
		p = &parcels[packet->message];
		f = p->flow;
		TRACE("at %llu dequeue %u of %u: %u at %u%s\n", (unsigned long long)now_ns,
		      packet->message, packet->stream, packet->bytes, packet->offset,
		      packet->done ? ", done" : "");
		check_packet(packet, p, bytes_max);
		if (policy_row->first_come)
			check_first(p);
		p->in_hand++;
		p->left -= packet->bytes;
		f->serial_out = p->serial;
		f->count.queued_bytes -= packet->bytes;
		if (packet->done) {
			p->where = OUT;
			f->count.queued--;
			*(packet->outcome == QSOCKET_LATE ? &f->count.late : &f->count.sent) += 1;
			f->count.sent_bytes += p->bytes;
		}
		hand[hand_len++] = (struct in_hand){f, *packet};
	}
	reap();
	return some;
}

/* Streams come and go. */

/* As a caller of the multiplexer is answered before anything is changed. */
static inline int is_admitted(uint32_t index, const struct qsocket_attr *attr)
{
	struct qsocket_admission admission = {0};
	int32_t result;

	result = qs_feasible(&qs, index, attr, &admission);
	MUST((result == -EINVAL) == !qs_class_ok(&qs, attr->class_id), "class %u: %d",
	     attr->class_id, result);
	if (result == -EINVAL)
		return 0;

	MUST(result == 0 || (result == -EBUSY && attr->flags & QSOCKET_ADMIT &&
			     admission.flags & QSOCKET_OVERBOOKED),
	     "result %d", result);
	MUST(!(admission.flags & QSOCKET_OVERBOOKED) == (admission.utilisation_ppm <= 1000000),
	     "%llu ppm, flags %u", (unsigned long long)admission.utilisation_ppm, admission.flags);
	return !result;
}

static inline void open_flow(const struct qsocket_attr *attr)
{
	struct flow *f = flows;
	int32_t index;

	while (f < flows + flows_max && f->open)
		f++;
	if (!is_admitted(QS_NONE, attr))
		return;
	index = qs_add(&qs, attr);
	TRACE("add: %d, period %llu, window %u/%u\n", index, (unsigned long long)attr->ipg_ns,
	      attr->oln, attr->old);
	MUST((index == -ENOSPC) == (f == flows + flows_max), "result %d", index);
	if (index < 0)
		return;
	for (uint32_t i = 0; i < flows_max; i++)
		MUST(!flows[i].open || flows[i].index != (uint32_t)index, "%d is open", index);
	MUST((uint32_t)index < flows_max, "stream %d", index);
	*f = (struct flow){.index = (uint32_t)index, .open = 1, .attr = *attr};
}

static inline void change_flow(struct flow *f, const struct qsocket_attr *attr)
{
	if (!is_admitted(f->index, attr))
		return;
	TRACE("change %u: period %llu, window %u/%u\n", f->index, (unsigned long long)attr->ipg_ns,
	      attr->oln, attr->old);
	f->attr = *attr;
	f->was_droppable |= is_droppable(f);
	qs_change(&qs, f->index, attr);
	reap();
}

/* All that a stream has, in hand and queued, as an engine loses it. */
static inline void lose_flow(struct flow *f, uint8_t reason)
{
	struct qsocket_info info = {0};

	TRACE("lose %u\n", f->index);
	while (in_hand(f->index))
		settle(f, reason, 0, 0);
	qs_flush(&qs, f->index, reason);
	reap();
	f->in_frame = 0;
	MUST(f->count.queued == 0 && f->count.queued_bytes == 0, "stream %u: %llu left", f->index,
	     (unsigned long long)f->count.queued);
	qs_info(&qs, f->index, &info);
	check(f);
	check_frames(f, &info, 1);
}

static inline void close_flow(struct flow *f, int flush)
{
	TRACE("close %u\n", f->index);
	while (in_hand(f->index))
		settle(f, QSOCKET_CLOSED, 0, 0);
	if (flush)
		lose_flow(f, QSOCKET_CLOSED);
	qs_remove(&qs, f->index);
	reap();
	MUST(f->count.queued == 0, "stream %u: %llu left", f->index,
	     (unsigned long long)f->count.queued);
	f->open = 0;
}

/* Nothing more can leave: only a frame that has no end may still be queued. */
static inline void check_drained(const struct flow *f)
{
	for (uint32_t i = 0; i < parcels_max && f->count.queued; i++)
		MUST(parcels[i].where != QUEUED || parcels[i].flow != f ||
			     (policy_row->frames && f->in_frame && parcels[i].frame == f->frame),
		     "message %u of %u is left", i, f->index);
}

static inline void open_link(uint64_t rate, uint32_t streams, uint32_t messages)
{
	int32_t result;
	const struct qs_policy *policy = qs_policy_find(policy_row->name);
	size_t bytes = qs_link_bytes(policy, streams, messages);

	flows_max = streams;
	messages_max = messages;
	parcels_max = qs_messages_held(streams, messages);
	hand_len = parcels_len = 0;
	arrivals = 0;
	memset(flows, 0, sizeof(flows));
	MUST(!posix_memalign(&memory, QS_ALIGNMENT, bytes), "no memory");
	memset(memory, 0, bytes);
	parcels = calloc(parcels_max, sizeof(*parcels));
	MUST(parcels, "no memory");
	qs_init(&qs, policy, rate, memory, streams, messages);
	result = qs_classes(&qs, classes, classes_len);
	MUST(result == 0 || result == -EINVAL, "result %d", result);
	TRACE("classes: %u, %d\n", classes_len, result);
	TRACE("%s, %llu bytes/s, %u streams, %u messages%s\n", policy_row->name,
	      (unsigned long long)rate, streams, messages, promised ? ", undisturbed" : "");
}

/* After all has ended the link is as new: it takes as much as it ever did. */
static inline void check_as_new(void)
{
	const struct qsocket_attr attr = {
		.ipg_ns = 1000,
		.flags = QSOCKET_UNDROPPABLE,
		.queue_messages = QSOCKET_QUEUE_MESSAGES_MAX,
		.queue_bytes = UINT64_MAX,
	};
	const struct qs_arrival a = {
		.deadline_ns = QS_FOREVER,
		.bytes = 100,
		.flags = QSOCKET_DROP_NEVER << QSOCKET_DROP_SHIFT,
	};
	struct qs_packet packet;

	if (!qs_class_ok(&qs, 0))
		return;
	for (uint32_t i = 0; i <= flows_max; i++)
		open_flow(&attr);
	for (uint32_t i = 0; i <= messages_max; i++)
		enqueue(&flows[i % flows_max], &a);
	MUST(flows[messages_max % flows_max].count.dropped[QSOCKET_OVERFLOW] == 1,
	     "the link does not fill up");
	for (uint32_t left = messages_max; left > 0; left--) {
		while (!dequeue(0, &packet)) {
			uint64_t next_ns = qs_next_ns(&qs);

			MUST(next_ns > now_ns && next_ns < QS_FOREVER, "%u messages are stuck",
			     left);
			now_ns = next_ns;
		}
		settle(flow_at(packet.stream), 0, 0, 0);
	}
	check_all();
}

static inline void close_link(void)
{
	for (uint32_t i = 0; i < flows_max; i++) {
		if (!flows[i].open)
			continue;
		lose_flow(&flows[i], QSOCKET_CLOSED);
		close_flow(&flows[i], 0);
	}
	MUST(!parcels_len, "%u messages were never ended", parcels_len);
	promised = 0;
	if (messages_max <= 64)
		check_as_new();
	free(memory);
	free(parcels);
}

#endif
