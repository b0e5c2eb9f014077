/* SPDX-License-Identifier: MIT
 *
 * The engine's calls: what a program's threads do to a link, while the link's
 * own thread (link.c) sends.
 */
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../device/device.h"
#include "engine.h"

void engine_wake(struct engine *e)
{
	uint64_t one = 1;

	e->idle = 0;
	if (write(e->waker, &one, sizeof(one)) < 0)
		return; /* it is awake: only a full counter is refused */
}

/* What a message costs the link, and each datagram it is cut into. */
static void set_costs(const struct engine_stream *s, uint32_t bytes, uint32_t segment,
		      struct qs_arrival *arrival)
{
	uint32_t extra = s->socket.family == AF_INET6 ? ENGINE_UDP6_BYTES : ENGINE_UDP4_BYTES;
	uint32_t parts = 1;

	if (s->socket.type == QSOCKET_TCP) {
		extra = s->socket.family == AF_INET6 ? ENGINE_TCP6_BYTES : ENGINE_TCP4_BYTES;
		parts = (bytes + ENGINE_TCP_SEGMENT_BYTES - 1) / ENGINE_TCP_SEGMENT_BYTES;
	} else if (segment && segment < bytes) {
		parts = (bytes + segment - 1) / segment;
		arrival->segment = segment + extra;
	}
	arrival->bytes = bytes + parts * extra;
}

/* Whether a stream can send what it is asked to; its socket may have to be
 * opened for that. */
static int32_t may_send(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[stream];
	int32_t error;

	if (link->closing[stream] || s->broken)
		return -EPIPE;
	if ((error = check_send(&s->socket, args)))
		return error;
	if (!args->to.family)
		return s->socket.connected ? 0 : -EDESTADDRREQ;
	if (s->socket.type == QSOCKET_TCP)
		return -EISCONN;
	if (!s->socket.family) {
		struct qsocket_addr any = {.family = args->to.family};

		error = socket_open(&s->socket, &any, &(struct qsocket_addr){0});
		if (error)
			return error;
	}
	return s->socket.family == args->to.family ? 0 : -EAFNOSUPPORT;
}

static void store(struct engine *e, uint32_t message, const struct qsend_args *args,
		  uint32_t segment)
{
	struct parcel *parcel = &e->parcels[message];

	parcel->chunk =
		payload_store(&e->payload, (const void *)(uintptr_t)args->data, args->data_len);
	parcel->bytes = args->data_len;
	parcel->segment = (uint16_t)segment;
	parcel->in_hand = 0;
	parcel->dead = parcel->failed = 0;
	parcel->to_len = 0;
	if (args->to.family)
		parcel->to_len = (uint8_t)address_of(&args->to, &parcel->to);
}

static int32_t queue(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	struct engine *e = link->state;
	struct qs_arrival arrival = {.deadline_ns = QS_FOREVER, .flags = args->flags};
	uint32_t segment = args->flags >> QSOCKET_SEGMENT_SHIFT;
	struct qs_queued queued;
	uint64_t now_ns = qsocket_now();
	int32_t error = may_send(link, stream, args);

	if (error)
		return error;
	set_costs(&e->streams[stream], args->data_len, segment, &arrival);
	if (args->flags & QSOCKET_DEADLINE)
		arrival.deadline_ns = now_ns + args->deadline_us * 1000ull;
	qs_pace_stand_still(&link->policy, &e->pace, now_ns);
	error = qs_enqueue(&link->policy, stream, now_ns, &arrival, &queued);
	if (link->policy.dead != QS_NONE)
		engine_reap(link);
	if (error)
		return error;
	if (queued.message != QS_NONE)
		store(e, queued.message, args, arrival.segment ? segment : 0);
	if (e->idle) /* under the lock: else it would run at once, in this thread's place */
		engine_wake(e);
	return (int32_t)args->data_len;
}

static int32_t engine_send(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	int32_t result = queue(link, stream, args);

	pthread_mutex_unlock(&link->lock);
	return result;
}

/* The handle of a stream that drained stays, for its counters, until it is
 * closed again. */
void engine_drain(struct link *link)
{
	struct engine *e = link->state;

	while (e->ended != QS_NONE) {
		uint32_t stream = e->ended;
		struct engine_stream *s = &e->streams[stream];

		e->ended = s->ended_next;
		s->ended = 0;
		if (s->socket.fd < 0 || s->busy || s->held_len)
			continue;
		if (policy_stuck(link, stream)) {
			qs_flush(&link->policy, stream, QSOCKET_CLOSED);
			engine_reap(link);
		}
		if (link->policy.streams[stream].messages > 0)
			continue;
		engine_go_on(link, stream);
		socket_close(&s->socket, 0);
	}
}

/* Closing discards: at once, but for the batch that may be on its way. A TCP
 * message of which a part was written already cannot be taken back; rather
 * than wait for a peer that may not read, the connection is reset. */
static int32_t engine_close(struct link *link, uint32_t stream, uint32_t flags)
{
	struct engine *e = link->state;
	struct engine_stream *s = &e->streams[stream];
	int cut = 0;

	if ((flags & QCLOSE_DRAIN) && !link->closing[stream]) {
		link->closing[stream] = 1;
		engine_ended(link, stream);
		engine_drain(link);
		engine_wake(e);
		return 0;
	}
	engine_drain(link); /* none that is gone stays in the list */
	link->closing[stream] = 1;
	s->leaving = 1;
	qs_block(&link->policy, stream, 1);
	engine_wake(e);
	while (s->busy) /* with the table's lock: see engine.h */
		pthread_cond_wait(&e->settled, &link->lock);
	if (s->held_len > 0 && s->socket.type == QSOCKET_TCP)
		cut = e->hand[s->held_first].at > 0;
	engine_lose(link, stream, QSOCKET_CLOSED);
	assert(!s->ended);
	socket_close(&s->socket, cut);
	policy_remove(link, stream);
	return 0;
}

static int32_t open_handle(struct link *link, const struct qsocket_attr *attr,
			   const struct engine_stream *ready)
{
	struct engine *e = link->state;
	int32_t error = engine_start(link), stream, handle;

	if (error)
		return error;
	stream = qs_add(&link->policy, attr);
	if (stream < 0)
		return stream;
	handle = policy_opened(link, (uint32_t)stream);
	if (handle < 0)
		return handle;
	e->streams[stream] = *ready;
	if (ready->socket.connecting) {
		engine_wait(link, (uint32_t)stream, WAIT_CONNECT);
		engine_wake(e);
	}
	return handle;
}

static uint8_t mark_of(const struct link *link)
{
	return link->host->name == QSOCKET_ISOLATED ? DEVICE_TOS : 0;
}

static int32_t engine_add(struct link *link, struct qsocket_args *args)
{
	struct engine_stream s = {
		.socket = {.type = (uint8_t)args->type, .tos = mark_of(link)},
	};
	int32_t result = qs_feasible(&link->policy, QS_NONE, &args->attr, &args->admission);

	if (result)
		return result;
	if (args->type == QSOCKET_TCP && !args->peer.family)
		return -EDESTADDRREQ;
	result = socket_open(&s.socket, &args->local, &args->peer);
	if (!result)
		result = open_handle(link, &args->attr, &s);
	if (result < 0)
		socket_close(&s.socket, 0);
	return result;
}

static int32_t engine_attach(struct link *link, struct qattach_args *args)
{
	struct engine_stream s = {
		.socket = {.type = (uint8_t)args->type, .tos = mark_of(link)},
	};
	int32_t result = qs_feasible(&link->policy, QS_NONE, &args->attr, &args->admission);

	if (!result)
		result = socket_attach(&s.socket, args->fd);
	if (result)
		return result;
	result = open_handle(link, &args->attr, &s);
	if (result < 0)
		socket_unmark(&s.socket);
	return result;
}

static int32_t engine_change(struct link *link, uint32_t stream, struct qchange_args *args)
{
	struct engine *e = link->state;
	uint64_t now_ns = qsocket_now();
	int32_t error = policy_feasible(link, stream, args);

	if (error)
		return error;
	qs_pace_stand_still(&link->policy, &e->pace, now_ns);
	if (stream != QS_NONE) {
		qs_change(&link->policy, stream, &args->attr);
		if (e->idle) /* its new class may send what the old one may not yet */
			engine_wake(e);
		return 0;
	}
	engine_rate(link, args->rate, now_ns);
	qs_booked(&link->policy, &args->admission);
	return 0;
}

static void engine_describe(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	const struct engine *e = link->state;
	const struct engine_stream *s = &e->streams[stream];

	info->sent -= s->hand_sent;
	info->late -= s->hand_late;
	info->sent_bytes -= s->hand_bytes;
	info->queued += s->hand_sent + s->hand_late;
	info->queued_bytes += s->hand_bytes;
	info->socket_errors += s->errors;
	info->syscalls += s->calls;
	if (s->last_error)
		info->last_error = s->last_error;
	info->state &= ~QSOCKET_STATE_BLOCKED;
	if (s->wait != WAIT_NONE)
		info->state |= QSOCKET_STATE_BLOCKED;
	if (s->broken)
		info->state |= QSOCKET_STATE_BROKEN;
}

static const struct socket *engine_socket(const struct link *link, uint32_t stream)
{
	const struct engine *e = link->state;

	return &e->streams[stream].socket;
}

static int32_t engine_run(struct link *link, struct qrun_args *args)
{
	(void)link;
	(void)args;
	return -EOPNOTSUPP;
}

static void free_engine(struct engine *e)
{
	payload_shut(&e->payload);
	memory_unmap(e->parcels, e->parcels_max * sizeof(*e->parcels));
	memory_unmap(e->streams, e->streams_max * sizeof(*e->streams));
	memory_unmap(e->hand, (e->streams_max + ENGINE_HAND_SPARE) * sizeof(*e->hand));
	memory_unmap(e->waiting, e->streams_max * sizeof(*e->waiting));
	memory_unmap(e->polls, (e->streams_max + 1) * sizeof(*e->polls));
	memory_unmap(e->polled, (e->streams_max + 1) * sizeof(*e->polled));
	if (e->waker >= 0)
		close(e->waker);
	pthread_cond_destroy(&e->settled);
	memory_unmap(e, sizeof(*e));
}

/* An engine of so many streams, in memory that is taken up as it is touched. */
static int32_t new_engine(uint32_t streams_max, uint32_t parcels_max, struct engine **engine)
{
	struct engine *e = memory_map(sizeof(*e));
	int32_t error = -ENOMEM;

	if (!e)
		return error;
	pthread_cond_init(&e->settled, NULL);
	e->waker = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->waker < 0)
		error = -errno;
	e->hand_free = e->ended = QS_NONE;
	e->look_ns = QS_FOREVER;
	e->streams_max = streams_max;
	e->parcels_max = parcels_max;
	e->parcels = memory_map(parcels_max * sizeof(*e->parcels));
	e->streams = memory_map(streams_max * sizeof(*e->streams));
	e->hand = memory_map((streams_max + ENGINE_HAND_SPARE) * sizeof(*e->hand));
	e->waiting = memory_map(streams_max * sizeof(*e->waiting));
	e->polls = memory_map((streams_max + 1) * sizeof(*e->polls));
	e->polled = memory_map((streams_max + 1) * sizeof(*e->polled));
	*engine = e;
	if (e->waker >= 0 && e->parcels && e->streams && e->hand && e->waiting && e->polls &&
	    e->polled && !payload_open(&e->payload, parcels_max))
		return 0;
	free_engine(e);
	return error;
}

static void engine_shut(struct link *link)
{
	struct engine *e = link->state;

	e->stop = 1;
	engine_wake(e);
	while (e->running)
		pthread_cond_wait(&e->settled, &link->lock);
	free_engine(e);
	link->state = NULL;
	policy_shut(link);
}

static int32_t engine_open(struct link *link, const struct qsockinit_args *args)
{
	struct engine *e;
	uint32_t messages;
	int32_t error;

	if (*args->device && !if_nametoindex(args->device))
		return -ENODEV;
	error = policy_open(link, args);
	if (error)
		return error;
	link->policy.guard_ns = QS_PACE_GUARD_NS;
	assert(qs_messages_held(0, 0) >= ENGINE_HAND_SPARE + ENGINE_BATCH_PACKETS);
	messages = qs_messages_held(link->streams_max, link->policy.messages_max);
	error = new_engine(link->streams_max, messages, &e);
	if (error) {
		policy_shut(link);
		return error;
	}
	link->state = e;
	if (link->host->name == QSOCKET_ISOLATED)
		error = isolated_open(link, args);
	if (error)
		engine_shut(link);
	return error;
}

#define ENGINE_CALLS                                                                               \
	.open = engine_open, .shut = engine_shut, .add = engine_add, .attach = engine_attach,      \
	.change = engine_change, .describe = engine_describe, .socket = engine_socket,             \
	.send = engine_send, .run = engine_run, .close = engine_close,

const struct host engine_host = {
	.name = QSOCKET_ABOVE, .share = policy_share, .info = policy_info, ENGINE_CALLS};
const struct host isolated_host = {
	.name = QSOCKET_ISOLATED, .share = isolated_share, .info = isolated_info, ENGINE_CALLS};
