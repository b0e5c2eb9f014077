/* SPDX-License-Identifier: MIT
 *
 * Talking to the scheduler of a device where the kernel has calls of its own for
 * that: a stream's handle there is a descriptor of its socket, and a link's is
 * made of the device's index (../linux/gate.h). What travels with a message, and
 * that it leaves by the device, the kernel looks after itself.
 *
 * A device that gets another scheduler ends its streams: the first message after
 * that finds it out, and the socket is registered again, or nothing is sent.
 */
#include <errno.h>
#include <string.h>

#include "below.h"
#include "kernel.h"

static uint32_t handle_of(const struct below *b)
{
	return QSOCKET_LINK_HANDLE | b->ifindex;
}

int32_t calls_find(const char *device, uint32_t *streams_max)
{
	struct qsockinit_args args = {0};
	int32_t result;

	memcpy(args.device, device, strnlen(device, sizeof(args.device) - 1));
	result = kernel_call(QSOCKINIT, &args, sizeof(args));
	if (result == -ENOSYS || result == -ENOENT)
		return -ENOPROTOOPT;
	*streams_max = args.streams > QSOCKET_FLOWS ? args.streams - QSOCKET_FLOWS : 0;
	return result < 0 ? result : 0;
}

/* How many streams there can be is told once, by calls_find(). */
static int32_t calls_link(struct below *b, struct qs_gate_link *found)
{
	struct qinfo_args args = {.handle = handle_of(b)};
	const struct qsocket_info *info = &args.info;
	uint32_t streams_max = b->found.streams_max;
	int32_t error = kernel_call(QINFO, &args, sizeof(args));

	memset(found, 0, sizeof(*found));
	found->streams_max = streams_max;
	if (error)
		return error == -ENOLINK ? -ENOPROTOOPT : error;
	b->gate_name = info->gate;
	found->attached = 1;
	memcpy(found->scheduler, info->scheduler, sizeof(found->scheduler) - 1);
	found->rate = info->rate;
	found->streams = info->streams;
	found->admission.utilisation_ppm = info->utilisation_ppm;
	found->sent = info->sent;
	found->late = info->late;
	found->sent_bytes = info->sent_bytes;
	memcpy(found->dropped, info->dropped, sizeof(found->dropped));
	memcpy(found->dropped_by_priority, info->dropped_by_priority,
	       sizeof(found->dropped_by_priority));
	found->dropped_bytes = info->dropped_bytes;
	found->queued = info->queued;
	found->queued_bytes = info->queued_bytes;
	found->delay_ns_sum = info->delay_ns_sum;
	found->delay_ns_max = info->delay_ns_max;
	memcpy(found->delays, info->delays, sizeof(found->delays));
	return 0;
}

static int32_t calls_enter(const struct below *b, const struct socket *socket,
			   const struct qsocket_attr *attr, struct qsocket_admission *admission)
{
	struct qattach_args args = {
		.link = handle_of(b),
		.type = socket->type,
		.fd = socket->fd,
		.attr = *attr,
	};
	struct qchange_args change = {.handle = (uint32_t)socket->fd, .attr = *attr};
	int32_t result = kernel_call(QATTACH, &args, sizeof(args));

	*admission = args.admission;
	if (result != -EALREADY)
		return result < 0 ? result : 0;
	result = kernel_call(QCHANGE, &change, sizeof(change));
	*admission = change.admission;
	return result;
}

static void calls_leave(const struct below *b, const struct socket *socket)
{
	struct qclose_args args = {.handle = (uint32_t)socket->fd};

	(void)b;
	if (kernel_call(QCLOSE, &args, sizeof(args)))
		return; /* it had left, or its device has another scheduler */
}

static void add(uint64_t *to, const uint64_t *from, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		to[i] += from[i];
}

/* As qs_info() adds them (../sched/stream.c). */
static void calls_describe(const struct below *b, const struct socket *socket,
			   struct qsocket_info *info)
{
	struct qinfo_args args = {.handle = (uint32_t)socket->fd};
	const struct qsocket_info *found = &args.info;

	(void)b;
	if (kernel_call(QINFO, &args, sizeof(args)))
		return;
	info->attr = found->attr;
	info->window_lost = found->window_lost;
	info->window_left = found->window_left;
	info->violations += found->violations;
	info->offered += found->offered;
	info->sent += found->sent;
	info->late += found->late;
	add(info->dropped, found->dropped, QSOCKET_REASONS);
	add(info->dropped_by_priority, found->dropped_by_priority, QS_PRIORITIES);
	info->offered_bytes += found->offered_bytes;
	info->sent_bytes += found->sent_bytes;
	info->dropped_bytes += found->dropped_bytes;
	info->queued += found->queued;
	info->queued_bytes += found->queued_bytes;
	add(info->frames_offered, found->frames_offered, QS_LEVELS);
	add(info->frames_sent, found->frames_sent, QS_LEVELS);
	add(info->frames_late, found->frames_late, QS_LEVELS);
	for (unsigned level = 0; level < QS_LEVELS; level++)
		add(info->frames_dropped[level], found->frames_dropped[level], QSOCKET_REASONS);
	info->frames_partial += found->frames_partial;
	info->delay_ns_sum += found->delay_ns_sum;
	if (found->delay_ns_max > info->delay_ns_max)
		info->delay_ns_max = found->delay_ns_max;
	add(info->delays, found->delays, QSOCKET_DELAYS);
	info->state |= found->state;
	info->utilisation_ppm = found->utilisation_ppm;
}

/* Whether the device's scheduler knows the socket no longer. */
static int is_lost(const struct below_stream *s)
{
	struct qinfo_args args = {.handle = (uint32_t)s->socket.fd};

	return kernel_call(QINFO, &args, sizeof(args)) == -ENOLINK;
}

/* Registers it again, unless that has just failed. */
static int32_t rejoin(const struct below *b, struct below_stream *s)
{
	struct qsocket_admission admission;
	uint64_t now_ns = qsocket_now();

	if (s->watch.away && now_ns < s->watch.due_ns)
		return -ENOLINK;
	s->watch.away = calls_enter(b, &s->socket, &s->attr, &admission) != 0;
	s->watch.due_ns = now_ns + (s->watch.away ? BELOW_LOOK_AGAIN_NS : BELOW_LOOK_NS);
	return s->watch.away ? -ENOLINK : 0;
}

/* TCP's messages are written as ever, so that nobody is told where they go. */
static int32_t look(const struct below *b, struct below_stream *s)
{
	const struct qsocket_addr *to = below_peer_last(s);
	uint64_t now_ns;

	if (s->watch.due_ns && s->watch.sent % BELOW_LOOK_SENDS)
		return 0;
	now_ns = qsocket_now();
	if (now_ns < s->watch.due_ns)
		return 0;
	s->watch.due_ns = now_ns + BELOW_LOOK_NS;
	if (is_lost(s))
		return rejoin(b, s);
	return to ? route_check(b->route_fd, b->ifindex, s->socket.fd, to) : 0;
}

/* Sends a datagram, again where what is answered is of an earlier one; `calls` are
 * added up. */
static int32_t send_call(const struct below_stream *s, const struct qsend_args *args,
			 uint32_t *calls)
{
	const uint32_t calls_max = *calls + 1 + BELOW_RETRIES_MAX;
	struct qsend_args call = *args;
	int32_t result;

	call.handle = (uint32_t)s->socket.fd;
	do {
		++*calls;
		result = kernel_call(args->to.family ? QSENDTO : QSEND, &call, sizeof(call));
	} while (result < 0 && *calls < calls_max && below_may_be_pending(s, -result));
	return result;
}

/* As of send.c, the lock is let go meanwhile. */
static int32_t send_udp(struct link *link, struct below_stream *s, const struct qsend_args *args)
{
	uint32_t calls = 0;
	int32_t result;

	s->counts.calls++;
	atomic_fetch_add_explicit(&s->in_flight, 1, memory_order_relaxed);
	pthread_mutex_unlock(&link->lock);
	result = send_call(s, args, &calls);
	if (result < 0 || calls > 1) {
		pthread_mutex_lock(&link->lock);
		if (result == -ENOLINK && is_lost(s) && !rejoin(link->state, s))
			result = send_call(s, args, &calls);
		s->counts.calls += calls - 1;
		if (result < 0)
			result = below_refused(s, args, -result);
		pthread_mutex_unlock(&link->lock);
	}
	atomic_fetch_sub_explicit(&s->in_flight, 1, memory_order_release);
	return result;
}

/* 0, or why nothing of the stream may be sent. */
static int32_t check_way(const struct below *b, struct below_stream *s)
{
	if (s->watch.away)
		return rejoin(b, s);
	return s->socket.type == QSOCKET_TCP ? look(b, s) : 0;
}

int32_t calls_send(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];
	int32_t result = below_check(link, stream, args), error;

	if (!result)
		result = below_marks(s, args);
	if (!result) {
		error = check_way(b, s);
		if (!error && s->socket.type == QSOCKET_UDP)
			return send_udp(link, s, args);
		result = error ? below_refused(s, args, -error) : tcp_send(b, stream, args);
	}
	pthread_mutex_unlock(&link->lock);
	return result == 1 ? (int32_t)args->data_len : result;
}

const struct gate calls_gate = {
	.link = calls_link,
	.enter = calls_enter,
	.leave = calls_leave,
	.describe = calls_describe,
};
