/* SPDX-License-Identifier: MIT
 *
 * A datagram's way to the scheduler below: one call of the kernel's (of one in BPF;
 * for the kernel's own, calls.c has this part). What its scheduler has to know of it travels along
 * as the time of sending (bpf/gate.h), in a control message. That costs about as much as all that
 * is done here, so a stream that says the same of one message after the other has the scheduler
 * take that for its usual, and says nothing more: a deadline counts from when it reaches the queue
 * then, microseconds later.
 *
 * The kernel takes a message or does not; what it did not take is counted here,
 * and the rest of its frame is given up.
 */
#include <errno.h>
#include <stddef.h>
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

#define FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

/* A control message with its data, as cmsg(3) lays them out: struct cmsghdr
 * cannot be a part of anything. */
struct header {
	size_t len;
	int level, type;
};

struct timed {
	struct header header;
	uint64_t time_ns;
};

struct cut {
	struct header header;
	uint16_t segment;
};

_Static_assert(sizeof(struct timed) == CMSG_SPACE(sizeof(uint64_t)) &&
		       sizeof(struct cut) == CMSG_SPACE(sizeof(uint16_t)),
	       "as CMSG_DATA has it");
_Static_assert(offsetof(struct header, len) == offsetof(struct cmsghdr, cmsg_len) &&
		       offsetof(struct header, level) == offsetof(struct cmsghdr, cmsg_level) &&
		       offsetof(struct header, type) == offsetof(struct cmsghdr, cmsg_type),
	       "as the kernel reads it");

/* A datagram on its way, without the lock. */
struct parcel {
	uint64_t time_ns; /* 0: it says nothing */
	union address to;
	uint32_t to_len;
	int fd;
};

static int starts(uint32_t flags)
{
	return (flags & (QSOCKET_FRAME | QSOCKET_START)) == (QSOCKET_FRAME | QSOCKET_START);
}

static int continues(uint32_t flags)
{
	return (flags & (QSOCKET_FRAME | QSOCKET_START)) == QSOCKET_FRAME;
}

void below_lose(struct below_stream *s, const struct qsend_args *args, uint8_t reason)
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

int32_t below_refused(struct below_stream *s, const struct qsend_args *args, int error)
{
	if (error == EAGAIN) {
		below_lose(s, args, QSOCKET_OVERFLOW);
		return -ENOBUFS;
	}
	s->counts.errors++;
	s->counts.last_error = error;
	/* the scheduler's own word (ip(7), IP_RECVERR): it has counted the message */
	if (error == ENOBUFS && s->socket.type == QSOCKET_UDP)
		return -ENOBUFS;
	/* but for the device, which may come back */
	if (s->socket.type == QSOCKET_TCP && error != ENOLINK)
		s->broken = 1;
	below_lose(s, args, QSOCKET_ERROR);
	return -error;
}

int32_t below_marks(struct below_stream *s, const struct qsend_args *args)
{
	uint32_t flags = args->flags;

	if (continues(flags) ? !s->frame_open && !s->discarding : s->frame_open)
		return -EPROTO;
	if (continues(flags) && s->discarding) {
		below_lose(s, args, QSOCKET_INCOMPLETE);
		return 1;
	}
	s->discarding = 0;
	if (starts(flags)) {
		s->frame_open = 1;
		s->frame_messages = 0;
	}
	s->frame_drop = flags >> QSOCKET_DROP_SHIFT & QSOCKET_DROP_NEVER;
	s->frame_level = flags >> QSOCKET_LEVEL_SHIFT & QSOCKET_LEVEL_NONE;
	if (flags & QSOCKET_FRAME && ++s->frame_messages > QSOCKET_FRAME_MESSAGES_MAX) {
		s->frame_open = 0;
		s->discarding = !(flags & QSOCKET_END);
		return -EMSGSIZE;
	}
	if (flags & QSOCKET_END)
		s->frame_open = 0;
	if (flags & QSOCKET_DEADLINE && args->deadline_us == 0) {
		below_lose(s, args, QSOCKET_EXPIRED);
		return -ETIME;
	}
	return 0;
}

int32_t below_check(const struct link *link, uint32_t stream, const struct qsend_args *args)
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

static uint64_t said_of(const struct qsend_args *args)
{
	return (uint64_t)args->deadline_us << 32 | (args->flags & QS_GATE_FLAGS);
}

/* The clock is read for deadlines that must be told, and now and then for the
 * watch. */
static int needs_clock(const struct below_stream *s, uint64_t said)
{
	return (said & QSOCKET_DEADLINE && said != s->usual) || s->watch.away ||
	       s->watch.due_ns == 0 || s->watch.sent % BELOW_LOOK_SENDS == 0;
}

/* Makes what a message says the usual, if it is that, time after time: but not
 * for the owner of a socket that is attached, as what that sends past us must
 * mean nothing. What is on its way to the queue would be misread, so nothing may
 * be. */
static int becomes_usual(struct below *b, struct below_stream *s, uint64_t said)
{
	const uint32_t whole = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;

	if (said != s->repeated || (said & whole && (said & whole) != whole)) {
		s->repeated = said;
		s->repeats = 0;
		return 0;
	}
	if (++s->repeats < BELOW_USUAL_AFTER || s->socket.attached ||
	    atomic_load_explicit(&s->in_flight, memory_order_acquire))
		return 0;
	s->repeats = 0;
	if (gate_usual(s->socket.fd, b->ifindex, said))
		return 0;
	s->usual = said;
	return 1;
}

/* What travels with a message: 0 if it is the usual. */
static uint64_t time_of(struct below *b, struct below_stream *s, uint64_t said, uint64_t now_ns)
{
	if (said == s->usual || becomes_usual(b, s, said))
		return 0;
	if (said & QSOCKET_DEADLINE)
		now_ns += (said >> 32) * 1000;
	else
		now_ns = s->watch.due_ns - BELOW_LOOK_NS; /* one that has passed */
	return (now_ns & ~(uint64_t)QS_GATE_FLAGS) | (said & QS_GATE_FLAGS);
}

/* Before the lock is let go: 0, 1 for what is lost and was counted, or -errno. */
static int32_t prepare(struct below *b, struct below_stream *s, const struct qsend_args *args,
		       struct parcel *parcel)
{
	int32_t result = below_marks(s, args);
	const struct below_peer *peer;
	uint64_t said = said_of(args), now_ns = 0;

	if (result)
		return result;
	if (needs_clock(s, said))
		now_ns = qsocket_now();
	if (now_ns >= s->watch.due_ns || s->watch.away)
		result = below_look(b, s, now_ns);
	parcel->fd = s->socket.fd;
	parcel->to_len = 0;
	if (!result && args->to.family) {
		result = below_peer(b, s, &args->to, &peer);
		if (!result) {
			parcel->to = peer->address;
			parcel->to_len = peer->address_len;
		}
	}
	if (result)
		return below_refused(s, args, -result);
	if (s->socket.type == QSOCKET_UDP)
		parcel->time_ns = time_of(b, s, said, now_ns);
	return 0;
}

int below_may_be_pending(const struct below_stream *s, int error)
{
	if (error != ECONNREFUSED && error != EHOSTUNREACH && error != EHOSTDOWN && error != EPROTO)
		return 0;
	if (!s->socket.attached) /* else they are its owner's to read */
		stack_forget(s->socket.fd);
	return 1;
}

static ssize_t send_said(const struct qsend_args *args, struct parcel *parcel, int is_cut)
{
	struct iovec iovec = {(void *)(uintptr_t)args->data, args->data_len};
	struct msghdr message = {
		.msg_name = parcel->to_len ? &parcel->to : NULL,
		.msg_namelen = parcel->to_len,
		.msg_iov = &iovec,
		.msg_iovlen = 1,
	};
	struct {
		struct timed timed;
		struct cut cut;
	} control;

	control.timed = (struct timed){
		{CMSG_LEN(sizeof(uint64_t)), SOL_SOCKET, SCM_TXTIME},
		parcel->time_ns,
	};
	message.msg_control = parcel->time_ns ? (void *)&control : (void *)&control.cut;
	message.msg_controllen = parcel->time_ns ? sizeof(control.timed) : 0;
	if (is_cut) {
		control.cut = (struct cut){
			{CMSG_LEN(sizeof(uint16_t)), IPPROTO_UDP, UDP_SEGMENT},
			(uint16_t)(args->flags >> QSOCKET_SEGMENT_SHIFT),
		};
		message.msg_controllen += sizeof(control.cut);
	}
	return sendmsg(parcel->fd, &message, FLAGS);
}

static ssize_t send_once(const struct qsend_args *args, struct parcel *parcel)
{
	uint32_t segment = args->flags >> QSOCKET_SEGMENT_SHIFT;
	int is_cut = segment && segment < args->data_len;

	if (parcel->time_ns || is_cut)
		return send_said(args, parcel, is_cut);
	return sendto(parcel->fd, (const void *)(uintptr_t)args->data, args->data_len, FLAGS,
		      parcel->to_len ? &parcel->to.any : NULL, parcel->to_len);
}

/* The lock is not taken again for what the kernel took at once; below_close()
 * waits for `in_flight`, and nothing of the stream is looked at behind that. */
static int32_t send_udp(struct link *link, struct below_stream *s, const struct qsend_args *args,
			struct parcel *parcel)
{
	uint32_t again = 0;
	int32_t result = (int32_t)args->data_len;
	ssize_t sent;
	int error;

	s->counts.calls++;
	s->watch.sent++;
	atomic_fetch_add_explicit(&s->in_flight, 1, memory_order_relaxed);
	pthread_mutex_unlock(&link->lock);
	while ((sent = send_once(args, parcel)) < 0 && again < BELOW_RETRIES_MAX &&
	       below_may_be_pending(s, errno))
		again++;
	if (sent != result || again) {
		error = errno;
		pthread_mutex_lock(&link->lock);
		s->counts.calls += again;
		if (sent < 0) {
			s->watch.sent--;
			result = below_refused(s, args, error);
		}
		pthread_mutex_unlock(&link->lock);
	}
	atomic_fetch_sub_explicit(&s->in_flight, 1, memory_order_release);
	return result;
}

int32_t below_send(struct link *link, uint32_t stream, const struct qsend_args *args)
{
	struct below *b = link->state;
	struct below_stream *s = &b->streams[stream];
	struct parcel parcel;
	int32_t result;

	if (b->gate != &bpf_gate)
		return calls_send(link, stream, args);
	result = below_check(link, stream, args);
	if (!result)
		result = prepare(b, s, args, &parcel);
	if (!result && s->socket.type == QSOCKET_UDP)
		return send_udp(link, s, args, &parcel);
	if (!result)
		result = tcp_send(b, stream, args);
	pthread_mutex_unlock(&link->lock);
	return result == 1 ? (int32_t)args->data_len : result;
}
