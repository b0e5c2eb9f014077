/* SPDX-License-Identifier: MIT
 * The host below the stack, on loopback, with a scheduler that this program
 * plays itself: it answers the socket options of bpf/gate.h.
 */
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <sys/syscall.h>

#include "net.h"

#include "below/below.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

static struct qs_gate_link scheduler;
static struct qs_gate_stream kept;
static struct qsocket_attr registered;
static int absent, refuses, entered, left, asked;
static uint64_t usual;

/* TCP: a thread of the link's sends as well */
static _Atomic int send_error, send_times, send_bytes_max;
static _Atomic int send_passes; /* then there is no room any more; -1: never */
static uint64_t sent_time;
static uint32_t ifindex;

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
	if ((level == QS_GATE_LINK || level == QS_GATE_STREAM) && !absent) {
		if ((uint32_t)name != ifindex) {
			errno = ENOPROTOOPT;
			return -1;
		}
		*len = level == QS_GATE_LINK ? sizeof(scheduler) : sizeof(kept);
		memcpy(value, level == QS_GATE_LINK ? (void *)&scheduler : (void *)&kept, *len);
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == QS_GATE_STREAM && !absent) {
		if (refuses) {
			errno = refuses;
			return -1;
		}
		memcpy(&registered, value, sizeof(registered));
		entered++;
		return 0;
	}
	if (level == QS_GATE_USUAL && !absent) {
		memcpy(&usual, value, sizeof(usual));
		return 0;
	}
	if (level == QS_GATE_LEAVE && !absent) {
		left++;
		return 0;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

static int fails(void)
{
	if (send_passes == 0) {
		errno = EAGAIN;
		return 1;
	}
	if (send_passes > 0)
		send_passes--;
	if (send_times <= 0)
		return 0;
	send_times--;
	errno = send_error;
	return 1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	ssize_t sent;

	if (fails())
		return -1;
	sent = syscall(SYS_sendmsg, fd, message, flags);
	if (control && control->cmsg_type == SCM_TXTIME)
		memcpy(&sent_time, CMSG_DATA(control), sizeof(sent_time));
	kept.arrived += sent >= 0 && scheduler.attached;
	return sent;
}

/* Without flags it is a question about a route. */
ssize_t sendto(int fd, const void *data, size_t bytes, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	ssize_t sent;

	asked += !flags;
	if (flags && fails())
		return -1;
	sent = syscall(SYS_sendto, fd, data, bytes, flags, to, to_len);
	if (flags)
		sent_time = 0;
	kept.arrived += flags && sent >= 0 && scheduler.attached;
	return sent;
}

ssize_t send(int fd, const void *data, size_t bytes, int flags)
{
	if (fails())
		return -1;
	if (send_bytes_max && bytes > (size_t)send_bytes_max)
		bytes = (size_t)send_bytes_max;
	__atomic_fetch_add(&kept.arrived, 1, __ATOMIC_RELAXED);
	return syscall(SYS_sendto, fd, data, bytes, flags, NULL, 0);
}

static void play(void)
{
	memset(&kept, 0, sizeof(kept));
	memset(&scheduler, 0, sizeof(scheduler));
	scheduler.abi = kept.abi = QS_GATE_ABI;
	scheduler.attached = 1;
	strcpy(scheduler.scheduler, "dwcs");
	scheduler.rate = 1000000;
	scheduler.mode = 0666;
	scheduler.streams_max = 100;
	kept.stream = QS_NONE;
	ifindex = if_nametoindex("lo");
	absent = refuses = entered = left = send_times = send_bytes_max = asked = 0;
	usual = QS_GATE_USUAL_DEFAULT;
	send_passes = -1;
}

static int32_t init(const char *name, uint64_t rate)
{
	struct qsockinit_args args = {.device = "lo", .rate = rate};

	strcpy(args.scheduler, name);
	return qsocketcall(QSOCKINIT, &args, sizeof(args));
}

static const char *judges(void)
{
	struct below_watch w = {.arrived = 5, .sent = 3};
	struct below_sight s = {.answered = 1, .arrived = 6};

	HOLDS(below_judge(&w, &s) == BELOW_FINE);
	s.arrived = 5;
	HOLDS(below_judge(&w, &s) == BELOW_LOOK_CLOSER);
	s.attached = 1;
	HOLDS(below_judge(&w, &s) == BELOW_LOOK_CLOSER);
	s.near = 1;
	HOLDS(below_judge(&w, &s) == BELOW_FINE);
	w.sent = 0;
	s.attached = s.near = 0;
	HOLDS(below_judge(&w, &s) == BELOW_FINE);
	w.away = 1; /* once away, a count that moves is not enough */
	s.arrived = 9;
	HOLDS(below_judge(&w, &s) == BELOW_LOOK_CLOSER);
	s.answered = 0;
	HOLDS(below_judge(&w, &s) == BELOW_AWAY);
	below_seen(&w, &s, 1000);
	HOLDS(w.away && w.due_ns == 1000 + BELOW_LOOK_AGAIN_NS);
	s = (struct below_sight){.answered = 1, .attached = 1, .near = 1, .arrived = 9};
	w.sent = 4;
	below_seen(&w, &s, 2000);
	HOLDS(!w.away && w.due_ns == 2000 + BELOW_LOOK_NS && w.arrived == 9 && w.sent == 0);
	return NULL;
}

static const char *joins(void)
{
	struct qsocket_info info;
	int32_t link, again;

	play();
	HOLDS(init("edf", 0) == -EBUSY && init("", 5) == -EEXIST);
	link = init("", 0);
	HOLDS(link > 0);
	info = call_info(link);
	HOLDS(info.host == QSOCKET_BELOW && info.rate == 1000000 &&
	      !strcmp(info.scheduler, "dwcs"));
	again = init("dwcs", 1000000);
	HOLDS(again == link && !call_close(again, 0));
	HOLDS(init("edf", 0) == -EBUSY && init("", 5) == -EEXIST && !call_close(link, 0));
	scheduler.abi++;
	HOLDS(init("", 0) == -EPROTO);
	absent = 1;
	HOLDS(init("dwcs", 0) == -EINVAL);
	link = init("dwcs", FAST);
	HOLDS(link > 0 && call_info(link).host == QSOCKET_ABOVE);
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *passes_refusals_on(void)
{
	static const int errors[] = {EACCES, EDQUOT, ENOSPC, EBUSY};
	struct qsocket_args args = {.type = QSOCKET_UDP, .peer = loopback(AF_INET, 9)};
	int32_t link;

	play();
	link = init("", 0);
	args.link = (uint32_t)link;
	kept.admission.utilisation_ppm = 1234567;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		refuses = errors[i];
		HOLDS(qsocketcall(QSOCKET, &args, sizeof(args)) == -errors[i]);
	}
	HOLDS(args.admission.utilisation_ppm == 1234567);
	HOLDS(call_info(link).streams == 0 && !call_close(link, 0));
	return NULL;
}

static const char *says_times_and_flags(int family)
{
	uint32_t flags = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END | 5u << QSOCKET_DROP_SHIFT |
			 1u << QSOCKET_LEVEL_SHIFT;
	struct qsocket_addr to;
	uint64_t before_ns;
	int32_t link, stream, free_stream;
	char data[2500] = {1}, got[2500];
	uint16_t port;
	int fd = plain_socket(family, SOCK_DGRAM, &port);

	if (fd < 0)
		return SKIP "no such addresses here";
	play();
	link = init("", 0);
	to = loopback(family, port);
	stream = open_stream(link, QSOCKET_UDP, to);
	HOLDS(stream > 0 && entered == 1);
	before_ns = qsocket_now();
	HOLDS(qsend((uint32_t)stream, data, 100, flags | QSOCKET_DEADLINE, 50000) == 100);
	HOLDS(sent_time % 1024 == (flags | QSOCKET_DEADLINE));
	HOLDS(sent_time + 1024 > before_ns + 50000000);
	HOLDS(sent_time <= qsocket_now() + 50001024);
	HOLDS(receive(fd, got, sizeof(got)) == 100);
	HOLDS(qsend((uint32_t)stream, data, 10, 7u << QSOCKET_DROP_SHIFT, 0) == 10);
	HOLDS(sent_time % 1024 == 7u << QSOCKET_DROP_SHIFT && sent_time <= qsocket_now());
	HOLDS(receive(fd, got, sizeof(got)) == 10);
	/* cut by the kernel */
	HOLDS(qsend((uint32_t)stream, data, 2500, flags | 1000u << QSOCKET_SEGMENT_SHIFT, 0) ==
	      2500);
	HOLDS(receive(fd, got, sizeof(got)) == 1000 && receive(fd, got, sizeof(got)) == 1000 &&
	      receive(fd, got, sizeof(got)) == 500);
	/* of a family that is not known before the first message */
	free_stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	HOLDS(free_stream > 0 && entered == 2);
	HOLDS(qsend((uint32_t)free_stream, data, 10, 0, 0) == -EDESTADDRREQ);
	HOLDS(qsendto((uint32_t)free_stream, data, 11, 0, 0, &to) == 11);
	HOLDS(receive(fd, got, sizeof(got)) == 11);
	HOLDS(!call_close(free_stream, 0) && left == 1);
	HOLDS(call_info(stream).syscalls == 3 && call_info(stream).sndbuf_bytes > 0);
	HOLDS(!call_close(link, 0) && left == 2);
	close(fd);
	return NULL;
}

/* As often as it takes to become the usual, and once more. */
static int repeats(int32_t stream, uint32_t flags, uint32_t deadline_us)
{
	for (int i = 0; i < BELOW_USUAL_AFTER + 1; i++)
		if (qsend((uint32_t)stream, "data", 4, flags, deadline_us) != 4)
			return 0;
	return 1;
}

static const char *says_the_usual_once(void)
{
	uint32_t plain = QS_GATE_USUAL_DEFAULT, whole = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;
	int32_t link, stream;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(qsend((uint32_t)stream, "data", 4, plain, 0) == 4 && !sent_time);
	HOLDS(qsend((uint32_t)stream, "data", 4, plain | QSOCKET_DEADLINE, 40000) == 4);
	HOLDS(sent_time && usual == plain);
	HOLDS(repeats(stream, plain | whole | QSOCKET_DEADLINE, 40000) && !sent_time);
	HOLDS(usual == (40000ull << 32 | plain | whole | QSOCKET_DEADLINE));
	/* whatever differs is said, and what was the default before */
	HOLDS(qsend((uint32_t)stream, "data", 4, plain | whole | QSOCKET_DEADLINE, 40001) == 4);
	HOLDS(sent_time);
	HOLDS(qsend((uint32_t)stream, "data", 4, plain, 0) == 4 && sent_time % 1024 == plain);
	HOLDS(qsend((uint32_t)stream, "data", 4, plain | whole | QSOCKET_DEADLINE, 40000) == 4);
	HOLDS(!sent_time);
	/* parts of a frame never are the usual */
	HOLDS(qsend((uint32_t)stream, "data", 4, plain | QSOCKET_FRAME | QSOCKET_START, 0) == 4);
	HOLDS(repeats(stream, plain | QSOCKET_FRAME, 0) && sent_time);
	HOLDS(qsend((uint32_t)stream, "data", 4, plain | QSOCKET_FRAME | QSOCKET_END, 0) == 4);
	/* a scheduler that came after it has not been told */
	scheduler.attached = 0;
	for (int i = 0; i < PATIENCE_MS && qsend((uint32_t)stream, "data", 4, plain, 0) == 4; i++)
		usleep(1000);
	HOLDS(call_info(stream).last_error == ENOLINK);
	scheduler.attached = 1;
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (qsend((uint32_t)stream, "data", 4, plain | whole | QSOCKET_DEADLINE, 40000) ==
		    4)
			break;
		usleep(1000);
	}
	HOLDS(entered == 2 && sent_time);
	HOLDS(repeats(stream, plain, 0) && !sent_time && usual == plain);
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *drops_what_has_expired(void)
{
	uint32_t start = QSOCKET_FRAME | QSOCKET_START | 2u << QSOCKET_LEVEL_SHIFT;
	int32_t link, stream;
	struct qsocket_info info;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(send_bytes(stream, "data", 4, start | QSOCKET_DEADLINE) == -ETIME);
	HOLDS(send_bytes(stream, "data", 4, QSOCKET_FRAME | QSOCKET_END) == 4);
	HOLDS(send_bytes(stream, "data", 4, QSOCKET_DEADLINE) == -ETIME);
	info = call_info(stream);
	HOLDS(info.dropped[QSOCKET_EXPIRED] == 2 && info.dropped[QSOCKET_INCOMPLETE] == 1);
	HOLDS(info.frames_dropped[2][QSOCKET_EXPIRED] == 1 && balanced(&info));
	HOLDS(!info.syscalls && !info.socket_errors);
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *remembers_peers(void)
{
	int32_t link, stream;
	struct qsocket_addr to[BELOW_PEERS_MAX + 1];
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port), before;

	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	for (unsigned i = 0; i <= BELOW_PEERS_MAX; i++) {
		to[i] = loopback(AF_INET, port);
		to[i].bytes[3] = (uint8_t)(i + 1);
	}
	for (int i = 0; i < 10 * BELOW_PEERS_MAX; i++)
		HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to[i % BELOW_PEERS_MAX]) == 4);
	HOLDS(asked == BELOW_PEERS_MAX);
	/* one more takes the place of the first */
	HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to[BELOW_PEERS_MAX]) == 4);
	HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to[1]) == 4);
	HOLDS(asked == BELOW_PEERS_MAX + 1);
	HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to[0]) == 4);
	HOLDS(asked == BELOW_PEERS_MAX + 2);
	/* none, where something has not reached the device */
	before = asked;
	kept.arrived -= 5;
	for (int i = 0; i < PATIENCE_MS && asked == before; i++) {
		HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to[0]) == 4);
		usleep(1000);
	}
	HOLDS(asked > before);
	before = asked;
	HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to[3]) == 4 && asked == before + 1);
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *serves_both_families(void)
{
	int file, fd;
	uint16_t port;
	struct qsocket_addr to;
	int32_t link, stream;
	char got[8];

	if (!own_network(65536))
		return SKIP "no network of one's own here";
	file = open("/proc/sys/net/ipv6/bindv6only", O_WRONLY);
	if (file < 0 || write(file, "1", 1) != 1)
		return SKIP "no IPv6 here";
	close(file);
	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	HOLDS(stream > 0);
	fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	to = loopback(AF_INET, port);
	HOLDS(qsendto((uint32_t)stream, "four", 4, 0, 0, &to) == 4 && receive(fd, got, 8) == 4);
	close(fd);
	fd = plain_socket(AF_INET6, SOCK_DGRAM, &port);
	to = loopback(AF_INET6, port);
	HOLDS(qsendto((uint32_t)stream, "six", 3, 0, 0, &to) == 3 && receive(fd, got, 8) == 3);
	close(fd);
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *counts_what_is_refused(void)
{
	uint32_t start = QSOCKET_FRAME | QSOCKET_START | 2u << QSOCKET_LEVEL_SHIFT;
	int32_t link, stream;
	struct qsocket_info info;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port), n = 0;

	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(send_bytes(stream, &n, 4, QSOCKET_FRAME) == -EPROTO);
	send_error = EAGAIN;
	send_times = 1;
	HOLDS(send_bytes(stream, &n, 4, start) == -ENOBUFS);
	HOLDS(send_bytes(stream, &n, 4, QSOCKET_FRAME) == 4); /* accepted, and dropped at once */
	HOLDS(send_bytes(stream, &n, 4, QSOCKET_FRAME | QSOCKET_END) == 4);
	HOLDS(send_bytes(stream, &n, 4, QSOCKET_FRAME) == -EPROTO);
	n = 7;
	HOLDS(send_bytes(stream, &n, 4, start) == 4);
	HOLDS(send_bytes(stream, &n, 4, 0) == -EPROTO);
	send_error = EPERM;
	send_times = 1;
	HOLDS(send_bytes(stream, &n, 4, QSOCKET_FRAME) == -EPERM);
	HOLDS(send_bytes(stream, &n, 4, QSOCKET_FRAME | QSOCKET_END) == 4);
	/* another datagram's error: tried again */
	send_error = ECONNREFUSED;
	send_times = 2;
	HOLDS(send_bytes(stream, &n, 4, 0) == 4);
	HOLDS(receive(fd, &n, 4) == 4 && n == 7 && receive(fd, &n, 4) == 4);
	info = call_info(stream);
	HOLDS(info.dropped[QSOCKET_OVERFLOW] == 1 && info.dropped[QSOCKET_INCOMPLETE] == 3 &&
	      info.dropped[QSOCKET_ERROR] == 1 && info.last_error == EPERM);
	HOLDS(info.frames_offered[2] == 1 && info.frames_dropped[2][QSOCKET_OVERFLOW] == 1);
	HOLDS(info.dropped_bytes == 5 * 32 && balanced(&info));
	HOLDS(!call_close(stream, 0));
	info = call_info(link);
	HOLDS(dropped(&info) == 5 && balanced(&info));
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *tells_what_the_scheduler_counts(void)
{
	struct qchange_args change = {.attr = {.ipg_ns = 5000000, .oln = 1, .old = 9}};
	struct qsocket_info info;
	int32_t link, stream;

	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, 9));
	info = call_info(stream);
	HOLDS(info.attr.queue_messages == QSOCKET_STREAM_MESSAGES_DEFAULT && info.attr.weight == 1);
	HOLDS(info.host == QSOCKET_BELOW && info.kind == QSOCKET_STREAM);
	kept.stream = 3;
	kept.state.head = 12345; /* points at what is not here */
	kept.state.open = 12346;
	kept.state.sent = 5;
	kept.state.late = 2;
	kept.state.messages = 4;
	kept.state.ledgered = 1;
	kept.state.period_ns = 10000000;
	kept.state.unit_bytes = 1000;
	kept.ledger.dropped[QSOCKET_EXPIRED] = 3;
	info = call_info(stream);
	HOLDS(info.sent == 5 && info.late == 2 && info.queued == 4 && info.offered == 14);
	HOLDS(info.dropped[QSOCKET_EXPIRED] == 3 && balanced(&info));
	HOLDS(info.utilisation_ppm == 100000 && !info.state);
	change.handle = (uint32_t)stream;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)) && registered.old == 9);
	change = (struct qchange_args){.handle = (uint32_t)link, .rate = 5};
	HOLDS(qsocketcall(QCHANGE, &change, sizeof(change)) == -EPERM);
	scheduler.sent = 50;
	scheduler.streams = 7;
	info = call_info(link);
	HOLDS(info.sent == 50 && info.streams == 7 && balanced(&info));
	HOLDS(!call_close(stream, QCLOSE_DRAIN));
	HOLDS(call_info(stream).state == QSOCKET_STATE_CLOSING && call_info(stream).queued == 4);
	HOLDS(send_bytes(stream, &info, 4, 0) == -EPIPE);
	/* a frame that was never ended is all that is left */
	kept.state.head = kept.state.open;
	kept.state.messages = 2;
	info = call_info(stream);
	HOLDS(info.queued == 0 && info.dropped[QSOCKET_CLOSED] == 2 && balanced(&info));
	kept.state.messages = 0;
	HOLDS(call_info(stream).queued == 0 && !call_close(stream, 0) && !call_close(link, 0));
	return NULL;
}

/* Leaves an error among the answers. */
static int ask_by_hand(int route_fd)
{
	struct {
		struct nlmsghdr header;
		struct rtmsg route;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
			   .nlmsg_type = RTM_GETROUTE,
			   .nlmsg_flags = NLM_F_REQUEST,
			   .nlmsg_seq = 7},
		.route = {.rtm_family = 250},
	};

	return sendto(route_fd, &question, sizeof(question), 0, NULL, 0) == sizeof(question);
}

static const char *knows_the_way(void)
{
	int route_fd = route_open(), fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct qsocket_addr v4 = loopback(AF_INET, 9), v6 = loopback(AF_INET6, 9), mapped = {0};
	uint32_t lo = if_nametoindex("lo");

	HOLDS(route_fd >= 0);
	HOLDS(!route_check(route_fd, lo, fd, &v4));
	HOLDS(route_check(route_fd, lo + 1000, fd, &v4) == -ENOLINK);
	/* an earlier question's answer is not taken for this one's */
	HOLDS(ask_by_hand(route_fd));
	HOLDS(!route_check(route_fd, lo, fd, &v4));
	mapped.family = AF_INET6;
	memcpy(mapped.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	HOLDS(!route_check(route_fd, lo, fd, &mapped));
	close(fd);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	if (fd >= 0 && route_check(route_fd, lo, fd, &v6) != -ENETUNREACH) {
		HOLDS(!route_check(route_fd, lo, fd, &v6));
		HOLDS(route_check(route_fd, lo + 1000, fd, &v6) == -ENOLINK);
		close(fd);
	}
	close(route_fd);
	return NULL;
}

/* Sends until the answer is this one. */
static int sends_until(int32_t stream, int32_t answer)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (send_bytes(stream, "data", 4, 0) == answer)
			return 1;
		usleep(1000);
	}
	return 0;
}

static const char *notices_that_the_queue_is_gone(void)
{
	int32_t link, stream;
	struct qsocket_info info;
	uint64_t sent;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(send_bytes(stream, "data", 4, 0) == 4);
	scheduler.attached = 0;
	HOLDS(sends_until(stream, -ENOLINK));
	info = call_info(stream);
	sent = info.syscalls;
	HOLDS(info.dropped[QSOCKET_ERROR] == 1 && info.last_error == ENOLINK);
	HOLDS(send_bytes(stream, "data", 4, 0) == -ENOLINK && call_info(stream).syscalls == sent);
	scheduler.attached = 1;
	HOLDS(sends_until(stream, 4) && entered > 1);
	absent = 1; /* all of it, and its answers */
	HOLDS(sends_until(stream, -ENOLINK) && call_info(stream).host == QSOCKET_BELOW);
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *takes_sockets_that_exist(void)
{
	struct qattach_args args = {.type = QSOCKET_UDP};
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port), own = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sock_txtime txtime = {.clockid = CLOCK_MONOTONIC, .flags = SOF_TXTIME_REPORT_ERRORS};
	int sndbuf = 5000, locked = 0, now = 0;
	socklen_t len = sizeof(now);
	int32_t link, stream;
	char got[8];

	HOLDS(!setsockopt(own, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)));
	HOLDS(!setsockopt(own, SOL_SOCKET, SO_TXTIME, &txtime, sizeof(txtime)));
	HOLDS(!getsockopt(own, SOL_SOCKET, SO_SNDBUF, &sndbuf, &len));
	HOLDS(!getsockopt(own, SOL_SOCKET, SO_BUF_LOCK, &locked, &len));
	play();
	link = init("", 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	HOLDS(!connect(own, (struct sockaddr *)&to, sizeof(to)));
	args.link = (uint32_t)link;
	args.fd = own;
	stream = qsocketcall(QATTACH, &args, sizeof(args));
	HOLDS(stream > 0 && send_bytes(stream, "data", 4, 0) == 4 && receive(fd, got, 8) == 4);
	/* past us its owner sends what means nothing */
	HOLDS(repeats(stream, QSOCKET_DEADLINE, 40000) && sent_time);
	HOLDS(usual == QS_GATE_USUAL_DEFAULT);
	HOLDS(!getsockopt(own, SOL_SOCKET, SO_SNDBUF, &now, &len) && now > sndbuf);
	HOLDS(!call_close(stream, 0) && left == 1);
	HOLDS(!getsockopt(own, SOL_SOCKET, SO_SNDBUF, &now, &len) && now == sndbuf);
	HOLDS(!getsockopt(own, SOL_SOCKET, SO_BUF_LOCK, &now, &len) && now == locked);
	len = sizeof(txtime);
	HOLDS(!getsockopt(own, SOL_SOCKET, SO_TXTIME, &txtime, &len));
	HOLDS(txtime.clockid == CLOCK_MONOTONIC && txtime.flags == SOF_TXTIME_REPORT_ERRORS);
	while (recv(fd, got, 8, MSG_DONTWAIT) > 0)
		;
	HOLDS(send(own, "mine", 4, 0) == 4 && receive(fd, got, 8) == 4);
	HOLDS(!call_close(link, 0));
	close(own);
	close(fd);
	return NULL;
}

static const char *keeps_tcp_messages_whole(void)
{
	uint16_t port;
	int listener = plain_socket(AF_INET, SOCK_STREAM, &port), fd;
	int32_t link, stream;
	struct qsocket_info info;
	char got[16] = {0};

	HOLDS(!listen(listener, 1));
	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	HOLDS(stream > 0);
	fd = accept(listener, NULL, NULL);
	HOLDS(fd >= 0);
	HOLDS(send_bytes(stream, "one", 3, 0) == 3 && receive(fd, got, 16) == 3);
	send_bytes_max = 2; /* a full buffer takes a part */
	send_passes = 1;
	HOLDS(send_bytes(stream, "three", 5, 0) == 5);
	HOLDS(send_bytes(stream, "four", 4, 0) == -ENOBUFS);
	send_bytes_max = 0;
	send_passes = -1; /* the rest is sent by itself, or before the next message */
	HOLDS(send_bytes(stream, "five", 4, 0) == 4);
	for (int at = 0, n; at < 9; at += n) {
		n = receive(fd, got + at, (size_t)(9 - at));
		HOLDS(n > 0);
	}
	HOLDS(!memcmp(got, "threefive", 9));
	info = call_info(stream);
	HOLDS(info.cwnd > 0 && info.rtt_us > 0 && info.peer_window_bytes > 0);
	HOLDS(info.dropped[QSOCKET_OVERFLOW] == 1 && balanced(&info));
	/* a device that is away has broken no connection */
	absent = 1;
	HOLDS(sends_until(stream, -ENOLINK));
	info = call_info(stream);
	HOLDS(!(info.state & QSOCKET_STATE_BROKEN) && info.last_error == ENOLINK);
	absent = 0;
	HOLDS(sends_until(stream, 4));
	/* a message that was begun is never taken for the whole */
	send_bytes_max = 2;
	send_passes = 1;
	HOLDS(send_bytes(stream, "seven", 5, 0) == 5);
	HOLDS(!call_close(stream, 0));
	while (recv(fd, got, sizeof(got), 0) > 0)
		;
	HOLDS(errno == ECONNRESET);
	HOLDS(!call_close(link, 0));
	close(fd);
	close(listener);
	return NULL;
}

/* A peer that does not answer: its queue of connections is full. */
static const char *waits_for_no_connection(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int listener, fillers[2], fd;
	uint64_t before_ns = qsocket_now();
	struct qsocket_info info;
	static char large[QSOCKET_MESSAGE_BYTES_MAX];
	int32_t link, stream;
	char got[16];
	uint16_t port;

	listener = plain_socket(AF_INET, SOCK_STREAM, &port);
	HOLDS(!listen(listener, 0));
	to.sin_port = htons(port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 2; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], (struct sockaddr *)&to, sizeof(to));
	}
	play();
	link = init("", 0);
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	HOLDS(stream > 0);
	HOLDS(send_bytes(stream, "one", 3, 0) == 3 && send_bytes(stream, "two", 3, 0) == 3);
	info = call_info(stream);
	if (!(info.state & QSOCKET_STATE_BLOCKED))
		return SKIP "this kernel's queue of connections holds more";
	HOLDS(info.queued > 0 && balanced(&info));
	/* as much as there is memory for */
	HOLDS(send_bytes(stream, large, sizeof(large), 0) == sizeof(large));
	HOLDS(send_bytes(stream, large, sizeof(large), 0) == sizeof(large));
	HOLDS(send_bytes(stream, large, sizeof(large), 0) == -ENOBUFS);
	HOLDS(call_info(stream).dropped[QSOCKET_OVERFLOW] == 1);
	HOLDS(qsocket_now() - before_ns < 900000000ull); /* the connection takes a second more */
	/* and nothing more is called for it to be sent */
	for (int i = 0; i < 2; i++) {
		fd = accept(listener, NULL, NULL);
		if (fd >= 0)
			close(fd);
		close(fillers[i]);
		if (i == 0)
			fcntl(listener, F_SETFL, O_NONBLOCK);
	}
	fcntl(listener, F_SETFL, 0);
	fd = accept(listener, NULL, NULL);
	HOLDS(fd >= 0);
	for (int at = 0, n; at < 6; at += n) {
		n = receive(fd, got + at, (size_t)(6 - at));
		HOLDS(n > 0);
	}
	HOLDS(!memcmp(got, "onetwo", 6));
	HOLDS(!call_close(stream, 0));
	close(fd);
	/* one that never comes: what was kept for it is counted */
	close(listener);
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	if (stream > 0) {
		for (int i = 0; i < PATIENCE_MS; i++) {
			if (send_bytes(stream, "data", 4, 0) == -EPIPE)
				break;
			usleep(1000);
		}
		info = call_info(stream);
		HOLDS(info.state & QSOCKET_STATE_BROKEN && info.last_error == ECONNREFUSED);
		HOLDS(info.dropped[QSOCKET_ERROR] > 0 && balanced(&info));
	}
	HOLDS(!call_close(link, 0));
	return NULL;
}

int main(void)
{
	check("a stream asks closer where its count stands, and trusts only both answers",
	      judges());
	check("a link takes over what its device has, and must not say otherwise", joins());
	check("what the scheduler refuses a program is told", passes_refusals_on());
	check("a message says its deadline and flags, IPv4", says_times_and_flags(AF_INET));
	check("a message says its deadline and flags, IPv6", says_times_and_flags(AF_INET6));
	check("what the kernel refuses is counted, and its frame given up",
	      counts_what_is_refused());
	check("what a stream says of each message is said once", says_the_usual_once());
	check("a message whose deadline has passed is not sent, and counted",
	      drops_what_has_expired());
	check("a few peers are remembered, as long as all that is sent arrives", remembers_peers());
	check("a socket is for both families where the system's are not",
	      in_child(serves_both_families));
	check("a TCP message waits for its connection, and nobody else does",
	      waits_for_no_connection());
	check("a stream tells what the scheduler has counted", tells_what_the_scheduler_counts());
	check("a route tells its device", knows_the_way());
	check("a queue that is gone is noticed, and that it is back",
	      notices_that_the_queue_is_gone());
	check("a socket that exists is attached, and stays its owner's",
	      takes_sockets_that_exist());
	check("a TCP message is sent whole, or the connection reset", keeps_tcp_messages_whole());
	return check_end();
}
