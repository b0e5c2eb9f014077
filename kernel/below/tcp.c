/* SPDX-License-Identifier: MIT
 *
 * TCP below the stack: its streams are served by what was asked for when they
 * were opened, message by message nothing can be said. A message is sent whole
 * or not at all, and nobody waits: what a connection in the making cannot take
 * yet, and the rest of a message that the socket took in part, is kept in
 * memory that the stream has from its start, and written by a thread of the
 * link as soon as there is room.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "below.h"

static void keep(struct below *b, uint32_t stream, const struct qsend_args *args, uint32_t sent)
{
	struct below_stream *s = &b->streams[stream];
	struct epoll_event room = {.events = EPOLLOUT | EPOLLONESHOT, .data.u32 = stream};

	if (!s->rest_len) /* it is known there: this takes no memory */
		epoll_ctl(b->epoll_fd, EPOLL_CTL_MOD, s->socket.fd, &room);
	memcpy(s->rest + s->rest_len, (const uint8_t *)(uintptr_t)args->data + sent,
	       args->data_len - sent);
	s->rest_len += args->data_len - sent;
	s->rest_messages[args->flags >> QSOCKET_DROP_SHIFT & QSOCKET_DROP_NEVER]++;
}

static void forget_rest(struct below_stream *s)
{
	s->rest_at = s->rest_len = 0;
	memset(s->rest_messages, 0, sizeof(s->rest_messages));
}

void tcp_lose_rest(struct below_stream *s, uint8_t reason)
{
	s->counts.dropped_bytes += s->rest_len - s->rest_at;
	for (unsigned drop = 0; drop < QS_PRIORITIES; drop++) {
		s->counts.dropped[reason] += s->rest_messages[drop];
		s->counts.dropped_by_priority[drop] += s->rest_messages[drop];
	}
	forget_rest(s);
}

int32_t tcp_flush(struct below_stream *s)
{
	ssize_t sent;

	if (!s->rest_len)
		return 0;
	sent = send(s->socket.fd, s->rest + s->rest_at, s->rest_len - s->rest_at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	s->counts.calls++;
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		s->broken = 1;
		s->counts.errors++;
		s->counts.last_error = errno;
		tcp_lose_rest(s, QSOCKET_ERROR);
		return -EPIPE;
	}
	if (sent > 0) {
		s->socket.connecting = 0;
		s->rest_at += (uint32_t)sent;
	}
	if (s->rest_at < s->rest_len)
		return -ENOBUFS;
	forget_rest(s);
	return 0;
}

/* With the lock, so that no other thread's message comes between the parts of
 * one. */
int32_t tcp_send(struct below *b, uint32_t stream, const struct qsend_args *args)
{
	struct below_stream *s = &b->streams[stream];
	ssize_t sent = -1;
	int error = EAGAIN;

	if (!tcp_flush(s)) {
		sent = send(s->socket.fd, (const void *)(uintptr_t)args->data, args->data_len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		error = errno;
		s->counts.calls++;
	} else if (s->broken) {
		below_lose(s, args, QSOCKET_ERROR);
		return -EPIPE;
	}
	if (sent >= 0) {
		s->socket.connecting = 0;
		s->watch.sent++;
		if ((uint32_t)sent < args->data_len)
			keep(b, stream, args, (uint32_t)sent);
		return (int32_t)args->data_len;
	}
	if (error != EAGAIN || !s->socket.connecting ||
	    args->data_len > BELOW_REST_BYTES - s->rest_len)
		return below_refused(s, args, error);
	keep(b, stream, args, 0);
	return (int32_t)args->data_len;
}

static void write_rests(struct link *link, const struct epoll_event *ready, int len)
{
	struct below *b = link->state;

	for (int i = 0; i < len; i++) {
		struct epoll_event room = {.events = EPOLLOUT | EPOLLONESHOT};
		struct below_stream *s;

		room.data.u32 = ready[i].data.u32;
		if (room.data.u32 == QS_NONE)
			continue;
		s = &b->streams[room.data.u32];
		if (s->rest_len && tcp_flush(s) == -ENOBUFS)
			epoll_ctl(b->epoll_fd, EPOLL_CTL_MOD, s->socket.fd, &room);
	}
}

static void *run(void *argument)
{
	struct link *link = argument;
	struct epoll_event ready[BELOW_READY_MAX];
	struct below *b;
	int fd, len;

	pthread_mutex_lock(&link->lock);
	b = link->state;
	fd = b->epoll_fd;
	while (!b->stop) {
		pthread_mutex_unlock(&link->lock);
		len = epoll_wait(fd, ready, BELOW_READY_MAX, -1);
		pthread_mutex_lock(&link->lock);
		write_rests(link, ready, len);
	}
	b->running = 0;
	pthread_cond_broadcast(&b->stopped);
	pthread_mutex_unlock(&link->lock);
	return NULL;
}

/* The link's thread, from its first TCP stream on. */
static int32_t start(struct link *link)
{
	struct below *b = link->state;
	struct epoll_event waker = {.events = EPOLLIN, .data.u32 = QS_NONE};
	int error;

	if (b->running)
		return 0;
	if (b->epoll_fd < 0)
		b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (b->waker_fd < 0)
		b->waker_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->epoll_fd < 0 || b->waker_fd < 0)
		return -errno;
	if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, b->waker_fd, &waker) && errno != EEXIST)
		return -errno;
	error = thread_start(run, link, BELOW_STACK_BYTES);
	b->running = !error;
	return error;
}

static void wake(const struct below *b)
{
	uint64_t one = 1;

	if (write(b->waker_fd, &one, sizeof(one)) < 0)
		return; /* it is awake: only a full counter is refused */
}

void tcp_stop(struct link *link)
{
	struct below *b = link->state;

	b->stop = 1;
	if (b->running)
		wake(b);
	while (b->running)
		pthread_cond_wait(&b->stopped, &link->lock);
}

int32_t tcp_open(struct link *link, struct below_stream *ready, uint32_t stream)
{
	struct below *b = link->state;
	struct epoll_event nothing = {.data.u32 = stream};
	int32_t error = start(link);

	if (error)
		return error;
	ready->rest = memory_map(BELOW_REST_BYTES);
	if (!ready->rest)
		return -ENOMEM;
	if (!epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, ready->socket.fd, &nothing))
		return 0;
	error = -errno;
	tcp_close(b, ready);
	return error;
}

void tcp_close(struct below *b, struct below_stream *s)
{
	uint8_t *rest = s->rest;

	s->rest = NULL;
	memory_unmap(rest, BELOW_REST_BYTES);
	/* its owner may have it open still: it would be told of on and on */
	if (rest && epoll_ctl(b->epoll_fd, EPOLL_CTL_DEL, s->socket.fd, NULL))
		return; /* it was not entered */
}
