/* SPDX-License-Identifier: MIT
 *
 * The calls on a link whose scheduler is the device's queue. Whose that is, and
 * how fast, was said when the device was initialised; here a program's sockets
 * join it.
 */
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "below.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* The send buffer bounds what is queued, as the scheduler's limits do: as large
 * as the stream's, or as may be (net.core.wmem_max). The kernel doubles what it
 * is told, for its own. Of TCP it finds a better size itself. */
static void set_room(struct below_stream *s, const struct qsocket_attr *attr)
{
	uint64_t bytes = attr->queue_bytes ? attr->queue_bytes : QSOCKET_STREAM_BYTES_DEFAULT;
	int wanted = bytes < INT_MAX / 2 ? (int)bytes : INT_MAX / 2, has = 0, locked = 0;
	socklen_t len = sizeof(has);

	if (s->socket.type == QSOCKET_TCP && !attr->queue_bytes)
		return;
	if (s->socket.attached) {
		/* its owner may have asked for more */
		if (getsockopt(s->socket.fd, SOL_SOCKET, SO_SNDBUF, &has, &len) ||
		    has / 2 >= wanted)
			return;
		getsockopt(s->socket.fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &len);
		if (!s->before.sndbuf_bytes) {
			s->before.sndbuf_bytes = has / 2;
			s->before.locked = locked;
		}
	}
	if (setsockopt(s->socket.fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted)))
		return; /* it stays as it is */
}

/* What its owner has said of times is kept for it. */
static int32_t set_time(struct below_stream *s)
{
	struct sock_txtime txtime = {.clockid = CLOCK_MONOTONIC};
	socklen_t len = sizeof(txtime);

	if (s->socket.attached &&
	    getsockopt(s->socket.fd, SOL_SOCKET, SO_TXTIME, &s->before.txtime, &len))
		return -errno;
	return setsockopt(s->socket.fd, SOL_SOCKET, SO_TXTIME, &txtime, sizeof(txtime)) ? -errno
											: 0;
}

/* The socket is its owner's alone again. That it may carry times cannot be taken
 * back, and a clock that asks for privilege not without: it means nothing to who
 * sends none. */
static void give_back(const struct below *b, const struct below_stream *s)
{
	const struct below_before *was = &s->before;
	int fd = s->socket.fd;

	if (!s->socket.attached)
		return;
	if (was->sndbuf_bytes) {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &was->sndbuf_bytes,
			   sizeof(was->sndbuf_bytes));
		setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &was->locked, sizeof(was->locked));
	}
	if (s->socket.type == QSOCKET_UDP && b->gate == &bpf_gate)
		setsockopt(fd, SOL_SOCKET, SO_TXTIME, &was->txtime, sizeof(was->txtime));
}

/* The peer of a connected socket, as qsocket.h writes addresses. */
static void peer_of(int fd, struct qsocket_addr *peer)
{
	union address address = {0};
	socklen_t len = sizeof(address);

	*peer = (struct qsocket_addr){0};
	if (getpeername(fd, &address.any, &len))
		return;
	peer->family = address.any.sa_family;
	if (peer->family == AF_INET) {
		peer->port = ntohs(address.in.sin_port);
		memcpy(peer->bytes, &address.in.sin_addr, 4);
	} else {
		peer->port = ntohs(address.in6.sin6_port);
		peer->scope = address.in6.sin6_scope_id;
		memcpy(peer->bytes, &address.in6.sin6_addr, 16);
	}
}

/* A handle for a socket, once the scheduler knows it. */
static int32_t join(struct link *link, struct below_stream *ready, const struct qsocket_attr *attr,
		    struct qsocket_admission *admission)
{
	struct below *b = link->state;
	int fd = ready->socket.fd;
	uint32_t stream = b->free == QS_NONE ? b->used : b->free;
	int32_t result = 0;

	if (stream == b->streams_max)
		return -ENOSPC;
	if (ready->connected_to.family)
		result = route_check(b->route_fd, b->ifindex, fd, &ready->connected_to);
	if (!result && ready->socket.type == QSOCKET_UDP && b->gate == &bpf_gate)
		result = set_time(ready);
	if (result)
		return result;
	result = b->gate->enter(b, &ready->socket, attr, admission);
	if (result)
		goto give_back;
	set_room(ready, attr);
	ready->attr = *attr;
	ready->usual = QS_GATE_USUAL_DEFAULT;
	if (ready->socket.type == QSOCKET_TCP)
		result = tcp_open(link, ready, stream);
	if (!result)
		result = streams_add(link, stream);
	if (result < 0)
		goto leave;
	if (stream == b->used)
		b->used++;
	else
		b->free = b->streams[stream].next;
	b->streams[stream] = *ready;
	return result;

leave:
	tcp_close(b, ready);
	b->gate->leave(b, &ready->socket);
give_back:
	give_back(b, ready);
	return result;
}

/* An IPv6 socket for whichever family comes, even where those of the system are
 * for one alone (net.ipv6.bindv6only). */
static int32_t open_for_both(struct socket *s)
{
	int only = 0;

	s->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	s->family = AF_INET6;
	if (s->fd < 0)
		return -errno;
	return setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) ? -errno : 0;
}

static int32_t below_add(struct link *link, struct qsocket_args *args)
{
	struct below_stream s = {.socket.type = (uint8_t)args->type, .connected_to = args->peer};
	struct qsocket_addr any = {.family = AF_INET};
	int32_t result;

	if (args->type == QSOCKET_TCP && !args->peer.family)
		return -EDESTADDRREQ;
	/* to be registered it must exist */
	if (args->local.family || args->peer.family) {
		result = socket_open(&s.socket, &args->local, &args->peer);
	} else {
		result = open_for_both(&s.socket);
		s.both = !result;
		if (result == -EAFNOSUPPORT)
			result = socket_open(&s.socket, &any, &args->peer);
	}
	/* a full queue tells who asks for it */
	if (!result && args->type == QSOCKET_UDP)
		result = stack_hear(s.socket.fd, s.socket.family);
	if (!result)
		result = join(link, &s, &args->attr, &args->admission);
	if (result < 0)
		socket_close(&s.socket, 0);
	return result;
}

static int32_t below_attach(struct link *link, struct qattach_args *args)
{
	struct below_stream s = {.socket.type = (uint8_t)args->type};
	int32_t result = socket_attach(&s.socket, args->fd);

	if (result)
		return result;
	peer_of(args->fd, &s.connected_to);
	return join(link, &s, &args->attr, &args->admission);
}

static int32_t below_change(struct link *link, uint32_t stream, struct qchange_args *args)
{
	struct below *b = link->state;
	struct below_stream *s;
	int32_t result;

	if (stream == QS_NONE)
		return -EPERM; /* it is not this program's alone */
	s = &b->streams[stream];
	result = b->gate->enter(b, &s->socket, &args->attr, &args->admission);
	if (result)
		return result;
	s->attr = args->attr;
	set_room(s, &args->attr);
	return 0;
}

/* What is queued now will be dropped, and nobody can ask for it any more. */
static void keep_counters(struct link *link, uint32_t stream)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];

	below_describe(link, stream, &link->past);
	link->past.dropped[QSOCKET_CLOSED] += link->past.queued;
	link->past.dropped_bytes += link->past.queued_bytes;
	link->past.queued = link->past.queued_bytes = 0;
	for (unsigned reason = 0; reason < QSOCKET_REASONS; reason++) {
		b->past.dropped[reason] += s->counts.dropped[reason];
		for (unsigned level = 0; level < QS_LEVELS; level++)
			b->past.frames_lost[level][reason] += s->counts.frames_lost[level][reason];
	}
	for (unsigned drop = 0; drop < QS_PRIORITIES; drop++)
		b->past.dropped_by_priority[drop] += s->counts.dropped_by_priority[drop];
	b->past.dropped_bytes += s->counts.dropped_bytes;
}

/* Waits for the sends that are under way, with the table's lock: they wait for
 * nothing. */
static void settle(struct link *link, const struct below_stream *s)
{
	const struct timespec nap = {.tv_nsec = BELOW_CLOSE_NS};

	while (atomic_load_explicit(&s->in_flight, memory_order_acquire)) {
		pthread_mutex_unlock(&link->lock);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		pthread_mutex_lock(&link->lock);
	}
}

/* Draining takes no thread: what was sent is the kernel's already, and the
 * socket is kept until it is closed again, once nothing is queued. */
static int32_t below_close(struct link *link, uint32_t stream, uint32_t flags)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];
	int cut = s->rest_len > 0, drained = link->closing[stream] && !cut;

	if ((flags & QCLOSE_DRAIN) && !link->closing[stream]) {
		link->closing[stream] = 1;
		if (s->socket.type == QSOCKET_TCP && !s->socket.attached && !tcp_flush(s))
			shutdown(s->socket.fd, SHUT_WR);
		return 0;
	}
	link->closing[stream] = 1;
	settle(link, s);
	tcp_lose_rest(s, QSOCKET_CLOSED);
	keep_counters(link, stream);
	/* what TCP has taken is still delivered, and by the stream's contract */
	if (s->socket.attached || s->socket.type == QSOCKET_UDP || !drained)
		b->gate->leave(b, &s->socket);
	tcp_close(b, s);
	give_back(b, s);
	socket_close(&s->socket, cut);
	streams_remove(link, stream);
	memset(s, 0, sizeof(*s));
	s->next = b->free;
	b->free = stream;
	return 0;
}

static const struct socket *below_socket(const struct link *link, uint32_t stream)
{
	const struct below *b = link->state;

	return &b->streams[stream].socket;
}

static int32_t below_run(struct link *link, struct qrun_args *args)
{
	(void)link;
	(void)args;
	return -EOPNOTSUPP;
}

/* A link says nothing of a device's scheduler, or what that is. */
static int32_t agrees(const struct below *b, const struct qsockinit_args *args)
{
	if (*args->scheduler && strcmp(args->scheduler, b->found.scheduler))
		return -EBUSY;
	return (args->rate && args->rate != b->found.rate) || args->classes_len ? -EEXIST : 0;
}

/* Its owner may have changed it since the link was opened. */
static int32_t below_share(struct link *link, const struct qsockinit_args *args)
{
	struct below *b = link->state;
	struct qs_gate_link now;

	if (!b->gate->link(b, &now))
		b->found = now;
	return agrees(b, args);
}

static void free_below(struct below *b)
{
	if (b->gate_fd >= 0)
		close(b->gate_fd);
	if (b->route_fd >= 0)
		close(b->route_fd);
	if (b->epoll_fd >= 0)
		close(b->epoll_fd);
	if (b->waker_fd >= 0)
		close(b->waker_fd);
	memory_unmap(b->streams, b->streams_max * sizeof(*b->streams));
	pthread_cond_destroy(&b->stopped);
	free(b);
}

/* The kernel's own, where the device has one. */
static int32_t find_scheduler(struct below *b, const char *device)
{
	int32_t error = calls_find(device, &b->found.streams_max);

	b->gate = error == -ENOPROTOOPT ? &bpf_gate : &calls_gate;
	b->gate_name = QSOCKET_GATE_BPF;
	return error && error != -ENOPROTOOPT ? error : b->gate->link(b, &b->found);
}

static int32_t open_below(struct below *b, const struct qsockinit_args *args)
{
	int32_t error;

	b->ifindex = if_nametoindex(args->device);
	if (!b->ifindex)
		return -ENODEV;
	b->gate_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (b->gate_fd < 0)
		return -errno;
	b->route_fd = route_open();
	if (b->route_fd < 0)
		return b->route_fd;
	error = find_scheduler(b, args->device);
	if (!error)
		error = agrees(b, args);
	if (error)
		return error;
	b->streams_max = args->streams ? args->streams : b->found.streams_max;
	if (b->streams_max == 0 || b->streams_max > QSOCKET_STREAMS_MAX)
		b->streams_max = QSOCKET_STREAMS_DEFAULT;
	b->streams = memory_map(b->streams_max * sizeof(*b->streams));
	return b->streams ? 0 : -ENOMEM;
}

static int32_t below_open(struct link *link, const struct qsockinit_args *args)
{
	struct below *b = calloc(1, sizeof(*b));
	int32_t error;

	if (!b)
		return -ENOMEM;
	pthread_cond_init(&b->stopped, NULL);
	b->gate_fd = b->route_fd = b->epoll_fd = b->waker_fd = -1;
	b->free = QS_NONE;
	error = open_below(b, args);
	if (!error)
		error = streams_open(link, b->streams_max);
	if (error)
		free_below(b);
	else
		link->state = b;
	return error;
}

static void below_shut(struct link *link)
{
	tcp_stop(link);
	free_below(link->state);
	link->state = NULL;
	streams_shut(link);
}

const struct host below_host = {
	.name = QSOCKET_BELOW,
	.open = below_open,
	.shut = below_shut,
	.share = below_share,
	.add = below_add,
	.attach = below_attach,
	.change = below_change,
	.info = below_info,
	.describe = below_describe,
	.socket = below_socket,
	.send = below_send,
	.run = below_run,
	.close = below_close,
};
