/* SPDX-License-Identifier: MIT
 *
 * The virtual link: the scheduler under a clock that the caller owns. There
 * are no sockets and no payload; a message is a number and a size.
 *
 * Time stands at now_ns. What happens at one time happens in this order: a
 * transmission completes, messages arrive (QSEND), the link, if it is idle,
 * decides what it transmits next. QRUN moves the time to `until`: completions
 * up to and including it, decisions before it, so that arrivals at `until`
 * are still heard by the decision at `until`. QSEND at a later time than
 * now_ns moves the clock there first. With nothing to send, the next decision
 * is at the next arrival or when the first waiting message expires.
 *
 * What becomes of a message is logged, in order of time; QRUN empties the
 * log. Every message queued has its place in the log kept free: QSEND is
 * refused with -EAGAIN while there is none for one more, and the caller runs
 * the link (to the same time, say) to have it emptied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../host.h"

#define TIME_NS_MAX (1ull << 62) /* sums of two times, and of a duration, stay in 64 bits */

struct virtual_link {
	uint64_t now_ns;
	struct qs_packet packet;      /* on the wire, if busy */
	struct qsocket_event on_wire; /* what is logged when it has passed */
	uint8_t busy;
	uint32_t *numbers; /* the caller's, by message */
	size_t numbers_bytes;
	struct qsocket_event *log; /* a ring */
	uint32_t log_max, log_first, log_len;
};

static void log_event(struct virtual_link *v, const struct qsocket_event *event)
{
	v->log[(v->log_first + v->log_len++) % v->log_max] = *event;
}

/* A frame whose end was never sent keeps its stream from draining. */
static void drop_stuck(struct link *link, uint32_t stream)
{
	if (link->closing[stream] && policy_stuck(link, stream))
		qs_flush(&link->policy, stream, QSOCKET_CLOSED);
}

/* Logs what the scheduler has just dropped. */
static void reap(struct link *link)
{
	struct virtual_link *v = link->state;
	uint32_t i;

	while ((i = qs_reap(&link->policy)) != QS_NONE) {
		const struct qs_message *m = &link->policy.messages[i];

		log_event(v, &(struct qsocket_event){
				     .at_ns = v->now_ns,
				     .stream = link->handles[m->stream],
				     .message = v->numbers[i],
				     .bytes = m->bytes,
				     .outcome = QSOCKET_DROPPED,
				     .reason = m->reason,
			     });
		drop_stuck(link, m->stream);
		qs_free(&link->policy, i);
	}
}

static void begin(struct link *link)
{
	struct virtual_link *v = link->state;
	const struct qs_packet *p = &v->packet;

	v->busy = 1;
	v->on_wire = (struct qsocket_event){
		.at_ns = p->done_ns,
		.stream = link->handles[p->stream],
		.message = v->numbers[p->message],
		.bytes = p->bytes,
		.outcome = p->outcome,
	};
}

/* The next thing that happens, completions until and decisions before
 * `until_ns`. 0: nothing more happens, and time stands at until_ns. */
static int step(struct link *link, uint64_t until_ns)
{
	struct virtual_link *v = link->state;
	uint64_t next_ns;

	if (v->busy) {
		if (v->packet.done_ns > until_ns) {
			v->now_ns = until_ns;
			return 0;
		}
		v->now_ns = v->packet.done_ns;
		v->busy = 0;
		log_event(v, &v->on_wire);
		qs_free(&link->policy, v->packet.message);
		drop_stuck(link, v->packet.stream);
		reap(link);
		return 1;
	}
	if (v->now_ns >= until_ns)
		return 0;
	if (qs_dequeue(&link->policy, v->now_ns, 0, &v->packet)) {
		qs_sent(&link->policy, &v->packet);
		begin(link);
		reap(link);
		return 1;
	}
	reap(link);
	next_ns = qs_next_ns(&link->policy);
	if (next_ns <= v->now_ns)
		next_ns = v->now_ns + 1;
	v->now_ns = next_ns < until_ns ? next_ns : until_ns;
	return v->now_ns < until_ns;
}

static int32_t virtual_run(struct link *link, struct qrun_args *args)
{
	struct virtual_link *v = link->state;
	uint32_t n = 0;

	if (args->until_ns < v->now_ns || args->until_ns > TIME_NS_MAX)
		return -EINVAL;
	while (v->log_len < args->events_max && step(link, args->until_ns))
		;
	while (n < args->events_max && v->log_len > 0) {
		args->events[n++] = v->log[v->log_first];
		v->log_first = (v->log_first + 1) % v->log_max;
		v->log_len--;
	}
	if (!v->log_len)
		v->log_first = 0;
	/* what is left in the log may lie at until_ns: have it fetched */
	args->now_ns = v->now_ns;
	if (v->log_len && args->now_ns == args->until_ns && args->now_ns > 0)
		args->now_ns--;
	args->events_len = n;
	return (int32_t)n;
}

static int32_t queue(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	struct virtual_link *v = link->state;
	struct qs_arrival arrival = {
		.deadline_ns = QS_FOREVER,
		.bytes = args->data_len,
		.flags = args->flags,
	};
	struct qs_queued queued;
	int32_t error;

	if (args->data || args->to.family)
		return -EINVAL;
	if (args->at_ns < v->now_ns || args->at_ns > TIME_NS_MAX)
		return -EINVAL;
	if (link->closing[stream])
		return -EPIPE;
	if (v->log_len + link->policy.messages_len + v->busy >= v->log_max)
		return -EAGAIN;
	while (step(link, args->at_ns))
		;
	if (args->flags & QSOCKET_DEADLINE)
		arrival.deadline_ns = args->at_ns + args->deadline_us * 1000ull;
	error = qs_enqueue(&link->policy, stream, args->at_ns, &arrival, &queued);
	reap(link);
	if (!error && queued.message != QS_NONE) {
		v->numbers[queued.message] = args->message;
		return (int32_t)args->data_len;
	}
	if (error == -EPROTO || error == -EMSGSIZE) {
		queued.reason = QSOCKET_INCOMPLETE;
		qs_refuse(&link->policy, stream, &arrival, QSOCKET_INCOMPLETE);
	} else if (error) {
		queued.reason = error == -ETIME ? QSOCKET_EXPIRED : QSOCKET_OVERFLOW;
	}
	log_event(v, &(struct qsocket_event){
			     .at_ns = v->now_ns,
			     .stream = link->handles[stream],
			     .message = args->message,
			     .bytes = args->data_len,
			     .outcome = QSOCKET_DROPPED,
			     .reason = (uint8_t)queued.reason,
		     });
	return error ? error : (int32_t)args->data_len;
}

static int32_t virtual_send(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	int32_t result = queue(link, stream, args);

	pthread_mutex_unlock(&link->lock);
	return result;
}

static int32_t virtual_open(struct link *link, const struct qsockinit_args *args)
{
	struct virtual_link *v = calloc(1, sizeof(*v));
	int32_t error = -ENOMEM;
	uint32_t messages;

	if (!v)
		return error;
	error = policy_open(link, args);
	if (error)
		goto no_policy;
	link->policy.guard_ns = 0;
	messages = qs_messages_held(link->streams_max, link->policy.messages_max);
	v->numbers_bytes = messages * sizeof(*v->numbers);
	v->numbers = memory_map(v->numbers_bytes);
	v->log_max = messages + QSOCKET_EVENTS_MAX;
	v->log = memory_map(v->log_max * sizeof(*v->log));
	if (!v->numbers || !v->log) {
		error = -ENOMEM;
		goto no_memory;
	}
	link->state = v;
	return 0;

no_memory:
	memory_unmap(v->numbers, v->numbers_bytes);
	memory_unmap(v->log, v->log_max * sizeof(*v->log));
	policy_shut(link);
no_policy:
	free(v);
	return error;
}

static void virtual_shut(struct link *link)
{
	struct virtual_link *v = link->state;

	memory_unmap(v->numbers, v->numbers_bytes);
	memory_unmap(v->log, v->log_max * sizeof(*v->log));
	free(v);
	link->state = NULL;
	policy_shut(link);
}

static int32_t virtual_add(struct link *link, struct qsocket_args *args)
{
	int32_t stream = qs_feasible(&link->policy, QS_NONE, &args->attr, &args->admission);

	if (stream)
		return stream;
	if (args->local.family || args->peer.family)
		return -EINVAL;
	stream = qs_add(&link->policy, &args->attr);
	return stream < 0 ? stream : policy_opened(link, (uint32_t)stream);
}

static int32_t virtual_attach(struct link *link, struct qattach_args *args)
{
	(void)link;
	(void)args;
	return -EOPNOTSUPP;
}

static int32_t virtual_change(struct link *link, uint32_t stream, struct qchange_args *args)
{
	int32_t error = policy_feasible(link, stream, args);

	if (error)
		return error;
	if (stream == QS_NONE)
		policy_rate(link, args);
	else
		qs_change(&link->policy, stream, &args->attr);
	return 0;
}

static void virtual_describe(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	(void)link;
	(void)stream;
	(void)info;
}

/* The second close of a drained stream, or one that discards, ends it: what
 * was queued is logged as closed. */
static int32_t virtual_close(struct link *link, uint32_t stream, uint32_t flags)
{
	if ((flags & QCLOSE_DRAIN) && !link->closing[stream]) {
		link->closing[stream] = 1;
		drop_stuck(link, stream);
		reap(link);
		return 0;
	}
	qs_flush(&link->policy, stream, QSOCKET_CLOSED);
	reap(link);
	policy_remove(link, stream);
	return 0;
}

const struct host virtual_host = {
	.name = QSOCKET_VIRTUAL,
	.open = virtual_open,
	.shut = virtual_shut,
	.share = policy_share,
	.add = virtual_add,
	.attach = virtual_attach,
	.change = virtual_change,
	.info = policy_info,
	.describe = virtual_describe,
	.send = virtual_send,
	.run = virtual_run,
	.close = virtual_close,
};
