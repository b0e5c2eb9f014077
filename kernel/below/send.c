/* SPDX-License-Identifier: MIT
 *
 * A message's way to the scheduler below: one sendmsg(2), which carries its
 * deadline and its flags as the time of sending (bpf/gate.h). The kernel takes
 * it or does not; what it did not take is counted here, and the rest of its
 * frame is given up. TCP has no such times: its streams are served by what was
 * asked for when they were opened.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "below.h"

#ifndef SCM_TXTIME
#define SCM_TXTIME 61
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* Headers of a message that never got to have any. */
#define UDP4_BYTES 28u
#define UDP6_BYTES 48u

/* The control messages of one datagram: the segment is left out without one. */
union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(uint64_t)) + CMSG_SPACE(sizeof(uint16_t))];
};

static void put(union control *control, uint32_t at, int level, int type, const void *data,
		uint32_t len)
{
	struct cmsghdr *header = (struct cmsghdr *)(void *)(control->bytes + at);

	*header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(len),
		.cmsg_level = level,
		.cmsg_type = type,
	};
	memcpy(CMSG_DATA(header), data, len);
}

static int starts(uint32_t flags)
{
	return (flags & (QSOCKET_FRAME | QSOCKET_START)) == (QSOCKET_FRAME | QSOCKET_START);
}

static int continues(uint32_t flags)
{
	return (flags & (QSOCKET_FRAME | QSOCKET_START)) == QSOCKET_FRAME;
}

/* Counts a message that the scheduler has not seen. */
static void lose(struct below_stream *s, const struct qsend_args *args, uint8_t reason)
{
	struct below_counts *c = &s->counts;
	uint32_t segment = args->flags >> QSOCKET_SEGMENT_SHIFT, parts = 1;
	uint32_t level = args->flags >> QSOCKET_LEVEL_SHIFT & QSOCKET_LEVEL_NONE;

	if (segment && segment < args->data_len)
		parts = (args->data_len + segment - 1) / segment;
	c->dropped[reason]++;
	c->dropped_by_priority[args->flags >> QSOCKET_DROP_SHIFT & QSOCKET_DROP_NEVER]++;
	c->dropped_bytes +=
		args->data_len + parts * (s->socket.family == AF_INET6 ? UDP6_BYTES : UDP4_BYTES);
	if (!(args->flags & QSOCKET_FRAME))
		return;
	if (starts(args->flags)) /* of those that it knows it counts the end itself */
		c->frames_lost[level][reason]++;
	s->discarding = !(args->flags & QSOCKET_END);
	s->frame_open = 0;
}

/* Frame marks: 0 and the message is part of what is sent, 1 and it is part of
 * what is lost already, or -errno. */
static int32_t take_marks(struct below_stream *s, const struct qsend_args *args)
{
	uint32_t flags = args->flags;

	if (continues(flags) ? !s->frame_open && !s->discarding : s->frame_open)
		return -EPROTO;
	if (continues(flags) && s->discarding) {
		lose(s, args, QSOCKET_INCOMPLETE);
		return 1;
	}
	s->discarding = 0;
	if (starts(flags)) {
		s->frame_open = 1;
		s->frame_messages = 0;
	}
	if (flags & QSOCKET_FRAME && ++s->frame_messages > QSOCKET_FRAME_MESSAGES_MAX) {
		lose(s, args, QSOCKET_INCOMPLETE);
		return -EMSGSIZE;
	}
	if (flags & QSOCKET_END)
		s->frame_open = 0;
	return 0;
}

/* Where an unconnected socket sends to; the route there must be the device's. */
static int32_t check_to(struct below *b, struct below_stream *s, const struct qsocket_addr *to)
{
	int32_t error;

	if (!memcmp(&s->to, to, sizeof(*to)))
		return 0;
	error = route_check(b->route_fd, b->ifindex, s->socket.fd, to);
	if (!error)
		s->to = *to;
	return error;
}

static int32_t check_send(const struct link *link, uint32_t stream, const struct qsend_args *args)
{
	const struct below *b = link->state;
	const struct below_stream *s = &b->streams[stream];

	if (link->closing[stream] || s->broken)
		return -EPIPE;
	if (args->at_ns || args->message)
		return -EINVAL;
	if (!args->data && args->data_len)
		return -EFAULT;
	if (s->socket.type == QSOCKET_UDP && !args->to.family)
		return s->socket.connected ? 0 : -EDESTADDRREQ;
	if (s->socket.type == QSOCKET_UDP)
		return s->both || args->to.family == s->socket.family ? 0 : -EAFNOSUPPORT;
	if (!args->data_len || args->flags >> QSOCKET_SEGMENT_SHIFT)
		return -EINVAL;
	return args->to.family ? -EISCONN : 0;
}

/* An IPv6 socket's name for an IPv4 address (RFC 4291, section 2.5.5.2). */
static uint32_t mapped(const struct qsocket_addr *to, union address *address)
{
	memset(address, 0, sizeof(*address));
	address->in6.sin6_family = AF_INET6;
	address->in6.sin6_port = htons(to->port);
	memset(address->in6.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(address->in6.sin6_addr.s6_addr + 12, to->bytes, 4);
	return sizeof(address->in6);
}

/* Answers to earlier datagrams (ICMP), which whichever send comes next reports. */
static int may_be_pending(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == EHOSTDOWN ||
	       error == EPROTO;
}

/* Without the lock: what sendmsg() said, and how often it was called. */
static ssize_t send_udp(int fd, int both, const struct qsend_args *args, uint64_t time_ns,
			uint32_t *calls)
{
	union control control;
	union address address;
	struct iovec data = {(void *)(uintptr_t)args->data, args->data_len};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(time_ns)),
	};
	uint16_t segment = (uint16_t)(args->flags >> QSOCKET_SEGMENT_SHIFT);
	ssize_t sent;

	put(&control, 0, SOL_SOCKET, SCM_TXTIME, &time_ns, sizeof(time_ns));
	if (segment && segment < args->data_len) {
		put(&control, CMSG_SPACE(sizeof(time_ns)), IPPROTO_UDP, UDP_SEGMENT, &segment,
		    sizeof(segment));
		message.msg_controllen = sizeof(control);
	}
	if (args->to.family) {
		message.msg_name = &address;
		message.msg_namelen = both && args->to.family == AF_INET
					      ? mapped(&args->to, &address)
					      : address_of(&args->to, &address);
	}
	do {
		sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		++*calls;
	} while (sent < 0 && may_be_pending(errno) && *calls <= BELOW_RETRIES_MAX);
	return sent;
}

/* With the lock, so that no other thread's message comes between the parts of
 * one. A connection in the making takes nothing yet: the first message waits for
 * it, without. */
static ssize_t send_tcp(struct link *link, struct below_stream *s, const struct qsend_args *args)
{
	struct pollfd ready = {.fd = s->socket.fd, .events = POLLOUT};

	if (s->socket.connecting) {
		s->socket.connecting = 0;
		pthread_mutex_unlock(&link->lock);
		poll(&ready, 1, BELOW_CONNECT_MS);
		pthread_mutex_lock(&link->lock);
	}
	if (s->rest) { /* another thread's meanwhile */
		errno = EAGAIN;
		return -1;
	}
	return send(s->socket.fd, (const void *)(uintptr_t)args->data, args->data_len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
}

int32_t below_flush(struct below_stream *s)
{
	ssize_t sent;

	if (!s->rest)
		return 0;
	sent = send(s->socket.fd, s->rest + s->rest_at, s->rest_len - s->rest_at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	s->counts.calls++;
	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		s->broken = 1;
		s->counts.errors++;
		s->counts.last_error = errno;
	}
	if (sent > 0)
		s->rest_at += (uint32_t)sent;
	if (s->rest_at < s->rest_len)
		return s->broken ? -EPIPE : -ENOBUFS;
	free(s->rest);
	s->rest = NULL;
	s->rest_at = s->rest_len = 0;
	return 0;
}

/* The socket took a part: a stream of bytes must have all of a message or none
 * of what follows. Kept until there is room, which is rare. */
static int32_t keep_rest(struct below_stream *s, const struct qsend_args *args, uint32_t sent)
{
	s->rest_len = args->data_len - sent;
	s->rest_at = 0;
	s->rest = malloc(s->rest_len);
	if (!s->rest) {
		s->broken = 1;
		lose(s, args, QSOCKET_ERROR);
		return -ENOMEM;
	}
	memcpy(s->rest, (const uint8_t *)(uintptr_t)args->data + sent, s->rest_len);
	return (int32_t)args->data_len;
}

/* The kernel has not taken a message. */
static int32_t refused(struct below_stream *s, const struct qsend_args *args, int error)
{
	if (error == EAGAIN) {
		lose(s, args, QSOCKET_OVERFLOW);
		return -ENOBUFS;
	}
	s->counts.errors++;
	s->counts.last_error = error;
	/* the scheduler's own word (ip(7), IP_RECVERR): it has counted the message */
	if (error == ENOBUFS && s->socket.type == QSOCKET_UDP)
		return -ENOBUFS;
	if (s->socket.type == QSOCKET_TCP)
		s->broken = 1;
	lose(s, args, QSOCKET_ERROR);
	return -error;
}

/* Before the lock is let go: 0, 1 for what is lost and was counted, or -errno. */
static int32_t prepare(struct below *b, struct below_stream *s, const struct qsend_args *args,
		       uint64_t now_ns)
{
	int32_t result = take_marks(s, args);

	if (result)
		return result;
	if (s->socket.type == QSOCKET_TCP && s->rest && (result = below_flush(s))) {
		lose(s, args, s->broken ? QSOCKET_ERROR : QSOCKET_OVERFLOW);
		return result;
	}
	if (now_ns >= s->watch.due_ns || s->watch.away)
		result = below_look(b, s, now_ns);
	if (!result && args->to.family)
		result = check_to(b, s, &args->to);
	if (result)
		return refused(s, args, -result);
	return 0;
}

/* The kernel took less than all of a message: what that was, with the lock. */
static int32_t settle(struct below_stream *s, const struct qsend_args *args, ssize_t sent,
		      int error)
{
	if (sent >= 0)
		return keep_rest(s, args, (uint32_t)sent);
	s->watch.sent--;
	return refused(s, args, error);
}

/* The lock is not taken again for what the kernel took at once; below_close()
 * waits for `in_flight`, and nothing of the stream is looked at behind that. */
int32_t below_send(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];
	uint64_t now_ns = qsocket_now(), time_ns = now_ns;
	int fd = s->socket.fd, both = s->both, udp = s->socket.type == QSOCKET_UDP, error;
	int32_t result = check_send(link, stream, args);
	uint32_t calls = 0;
	ssize_t sent;

	if (result || (result = prepare(b, s, args, now_ns))) {
		pthread_mutex_unlock(&link->lock);
		return result < 0 ? result : (int32_t)args->data_len;
	}
	if (args->flags & QSOCKET_DEADLINE)
		time_ns += args->deadline_us * 1000ull;
	time_ns = (time_ns & ~(uint64_t)QS_GATE_FLAGS) | (args->flags & QS_GATE_FLAGS);
	s->counts.calls++;
	s->watch.sent++;
	atomic_fetch_add_explicit(&s->in_flight, 1, memory_order_relaxed);
	if (udp)
		pthread_mutex_unlock(&link->lock);
	sent = udp ? send_udp(fd, both, args, time_ns, &calls) : send_tcp(link, s, args);
	error = errno;
	result = (int32_t)args->data_len;
	if (sent != result || calls > 1 || !udp) {
		if (udp)
			pthread_mutex_lock(&link->lock);
		s->counts.calls += calls > 1 ? calls - 1 : 0;
		if (sent != result)
			result = settle(s, args, sent, error);
		pthread_mutex_unlock(&link->lock);
	}
	atomic_fetch_sub_explicit(&s->in_flight, 1, memory_order_release);
	return result;
}
