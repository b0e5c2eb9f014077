/* SPDX-License-Identifier: MIT
 * What the kernel may answer to a send, each answer given here in its place:
 * nothing is lost without being counted, nothing overtakes, nothing is cut.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "net.h"

#define FDS_MAX 4096

/* What the next calls answer: errors first, `times` of them, and then the
 * kernel, to at most `bytes_max` of a message if that is not 0. */
static _Atomic int inject, inject_times, inject_bytes_max;
static _Atomic uint32_t inject_random; /* if not 0: a mixture of answers */
static _Atomic int inject_port;	       /* if not 0: only to sockets connected to it ... */
static _Atomic char full[FDS_MAX];     /* ... which poll(2) finds full after EAGAIN */
static _Atomic int gate, at_gate;      /* calls wait while it is closed (1) */

static int is_meant(int fd)
{
	struct sockaddr_in peer = {0};
	socklen_t len = sizeof(peer);

	return !inject_port || (!getpeername(fd, (struct sockaddr *)&peer, &len) &&
				ntohs(peer.sin_port) == inject_port);
}

int ppoll(struct pollfd *polls, nfds_t len, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec left = timeout ? *timeout : (struct timespec){0};
	int ready;

	for (nfds_t i = 0; i < len; i++)
		if (full[polls[i].fd] && inject_times)
			polls[i].fd = ~polls[i].fd; /* passed over */
	ready = (int)syscall(SYS_ppoll, polls, len, timeout ? &left : NULL, mask, 8);
	for (nfds_t i = 0; i < len; i++)
		if (polls[i].fd < 0)
			polls[i].fd = ~polls[i].fd;
	return ready;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned len, int flags)
{
	static const int errors[] = {EAGAIN, EINTR, ENOBUFS, ECONNREFUSED, EPERM, 0, 0, 0};
	int times = inject_times, bytes_max = inject_bytes_max;
	uint32_t random = inject_random;

	for (at_gate = gate; gate;)
		usleep(100);
	if (random) { /* a linear congruence: the same run each time */
		inject_random = random = random * 1103515245u + 12345u;
		errno = errors[(random >> 16) & 7];
		if (errno)
			return -1;
	}
	if (times > 0 && is_meant(fd)) {
		inject_times = times - 1;
		errno = inject;
		full[fd] = inject_port && inject == EAGAIN;
		return -1;
	}
	if (bytes_max) {
		struct msghdr *header = &messages[0].msg_hdr;

		header->msg_iovlen = 1;
		if (header->msg_iov[0].iov_len > (size_t)bytes_max)
			header->msg_iov[0].iov_len = (size_t)bytes_max;
		len = 1;
	}
	return (int)syscall(SYS_sendmmsg, fd, messages, len, flags);
}

static void answer(int error, int times)
{
	inject = error;
	inject_times = times;
}

static int32_t link_handle, stream;
static int fd;

static void open_pair(const char *scheduler)
{
	uint16_t port;

	fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	link_handle = call_init(scheduler, FAST, 0);
	stream = open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, port));
}

static const char *close_pair(void)
{
	inject_times = inject_bytes_max = inject_port = 0;
	inject_random = 0;
	memset((char *)full, 0, sizeof(full));
	HOLDS(!call_close(link_handle, 0));
	close(fd);
	return NULL;
}

static const char *send_numbers(int first, int end)
{
	for (int n = first; n < end; n++)
		HOLDS(send_bytes(stream, &n, sizeof(n), 0) == sizeof(n));
	return NULL;
}

static const char *expect_numbers(int first, int end)
{
	for (int n = first; n < end; n++) {
		int number;

		HOLDS(receive(fd, &number, sizeof(number)) == sizeof(number) && number == n);
	}
	return NULL;
}

/* All arrive, in order, whatever the kernel said before. */
static const char *is_overcome(int error, int times, uint64_t errors)
{
	struct qsocket_info info;
	const char *why;

	open_pair("dwcs");
	answer(error, times);
	if ((why = send_numbers(0, 100)) || (why = expect_numbers(0, 100)))
		return why;
	info = wait_until_idle(stream);
	HOLDS(info.sent == 100 && balanced(&info) && info.socket_errors == errors);
	HOLDS(info.syscalls > (uint64_t)times && info.last_error == (errors ? error : 0));
	return close_pair();
}

static const char *full_buffer(void)
{
	return is_overcome(EAGAIN, 5, 0);
}

static const char *full_device(void)
{
	return is_overcome(ENOBUFS, 3, 3);
}

static const char *signal_arrives(void)
{
	return is_overcome(EINTR, 9, 0);
}

static const char *earlier_refusal(void)
{
	static const int errors[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,
				     ENONET,	   ENOPROTOOPT,	 EPROTO};
	const char *why = NULL;

	for (size_t i = 0; !why && i < sizeof(errors) / sizeof(errors[0]); i++)
		why = is_overcome(errors[i], 3, 3);
	return why;
}

static int32_t open_periodic(uint16_t port)
{
	struct qsocket_args args = {.link = (uint32_t)link_handle,
				    .type = QSOCKET_UDP,
				    .attr.ipg_ns = 1000000000,
				    .peer = loopback(AF_INET, port)};

	return qsocketcall(QSOCKET, &args, sizeof(args));
}

/* A batch of a frame's first packet, another stream's message and the frame's
 * second packet, whose first finds no room: the second must not overtake it,
 * nor the frame's memory be given back with the second. */
static const char *keeps_order_around_others(void)
{
	const uint32_t frame = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;
	struct qchange_args change = {.rate = 1000000}; /* a datagram of it is a packet */
	struct qsocket_info info;
	static char data[2000], got[2000];
	uint16_t port;
	int peer = plain_socket(AF_INET, SOCK_DGRAM, &port);
	int32_t periodic;

	open_pair("dwcs");
	change.handle = (uint32_t)link_handle;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)));
	periodic = open_periodic(port);
	gate = 1;
	HOLDS(send_bytes(stream, "a", 1, 0) == 1);
	while (!at_gate)
		usleep(100);
	memset(data, 1, 1000);
	memset(data + 1000, 2, 1000);
	HOLDS(send_bytes(periodic, data, 2000, frame | 1000u << QSOCKET_SEGMENT_SHIFT) == 2000);
	HOLDS(send_bytes(stream, "b", 1, 0) == 1);
	usleep(10000); /* of the link's time, at the least: for one batch */
	inject_port = port;
	answer(EAGAIN, 1);
	gate = 0;
	HOLDS(receive(fd, got, sizeof(got)) == 1 && receive(fd, got, sizeof(got)) == 1);
	HOLDS(send_bytes(stream, data, 1500, 0) == 1500); /* takes the memory that is free */
	HOLDS(receive(peer, got, sizeof(got)) == 1000 && got[0] == 1 && got[999] == 1);
	HOLDS(receive(peer, got, sizeof(got)) == 1000 && got[0] == 2 && got[999] == 2);
	info = wait_until_idle(periodic);
	HOLDS(info.sent == 1 && info.frames_sent[0] == 1 && balanced(&info));
	close(peer);
	return close_pair();
}

static int waits_for_room(int32_t handle)
{
	for (int tries = 0; tries < PATIENCE_MS * 10; tries++) {
		if (call_info(handle).state & QSOCKET_STATE_BLOCKED)
			return 1;
		usleep(100);
	}
	return 0;
}

/* All the streams that a link can have but one wait for room, some with as
 * much as a batch holds: the one still sends. */
static const char *full_sockets_leave_room(void)
{
	struct rlimit files;
	static int32_t waiting[QSOCKET_STREAMS_MAX];
	struct qsocket_info info;
	uint16_t port;
	int peer = plain_socket(AF_INET, SOCK_DGRAM, &port);
	const char *why;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < FDS_MAX ? files.rlim_max : FDS_MAX;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < QSOCKET_STREAMS_MAX + 100)
		return SKIP "too few files may be open";
	open_pair("edf");
	inject_port = port;
	answer(EAGAIN, 1 << 30);
	for (int i = 0; i < QSOCKET_STREAMS_MAX - 1; i++) {
		int messages = i < 40 ? 64 : 3; /* a batch of packets */

		waiting[i] = open_periodic(port);
		HOLDS(waiting[i] > 0);
		gate = i < 40;
		at_gate = 0;
		if (gate) {
			HOLDS(send_bytes(stream, "x", 1, 0) == 1);
			while (!at_gate)
				usleep(10);
		}
		for (int n = 0; n < messages; n++)
			HOLDS(send_bytes(waiting[i], "x", 1, 0) == 1);
		gate = 0;
		HOLDS(i >= 40 || waits_for_room(waiting[i]));
	}
	for (int i = 0; i < QSOCKET_STREAMS_MAX - 1; i++)
		HOLDS(waits_for_room(waiting[i]));
	for (int n = 0; n < 40; n++) {
		char byte;

		HOLDS(receive(fd, &byte, 1) == 1);
	}
	if ((why = send_numbers(0, 100)) || (why = expect_numbers(0, 100)))
		return why;
	answer(0, 0);
	info = wait_until_idle(link_handle);
	HOLDS(info.sent == info.offered && balanced(&info));
	close(peer);
	return close_pair();
}

static const char *expires_while_the_device_is_full(void)
{
	struct qsocket_info info;

	open_pair("dwcs");
	answer(ENOBUFS, 1000000);
	HOLDS(qsend((uint32_t)stream, "x", 1, QSOCKET_DEADLINE, 20000) == 1);
	do {
		info = call_info(stream);
		HOLDS(balanced(&info));
		usleep(1000);
	} while (!dropped(&info));
	HOLDS(info.dropped[QSOCKET_EXPIRED] == 1 && info.sent == 0 && info.last_error == ENOBUFS);
	return close_pair();
}

static const char *is_late_after_the_device_was_full(void)
{
	struct qsocket_info info;
	const uint32_t frame = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;

	open_pair("edf-lossless");
	answer(ENOBUFS, 1000000);
	HOLDS(qsend((uint32_t)stream, "x", 1, frame | QSOCKET_DEADLINE, 20000) == 1);
	usleep(30000); /* at the least: the deadline has passed */
	answer(0, 0);
	do {
		info = call_info(stream);
		HOLDS(balanced(&info));
		usleep(1000);
	} while (info.queued);
	HOLDS(info.late == 1 && info.sent == 0 && info.frames_late[0] == 1);
	return close_pair();
}

static const char *loses_a_frame_whole(void)
{
	struct qsocket_info info;
	const uint32_t frame = QSOCKET_FRAME | 2u << QSOCKET_LEVEL_SHIFT;
	char got[8];

	open_pair("dwcs");
	answer(EPERM, 1);
	HOLDS(send_bytes(stream, "one", 3, frame | QSOCKET_START) == 3);
	HOLDS(send_bytes(stream, "two", 3, frame) == 3);
	HOLDS(send_bytes(stream, "three", 5, frame | QSOCKET_END) == 5);
	HOLDS(send_bytes(stream, "next", 4, frame | QSOCKET_START | QSOCKET_END) == 4);
	while (receive(fd, got, sizeof(got)) != 4)
		;
	for (int ms = 0; ms < PATIENCE_MS && !call_info(stream).socket_errors; ms++)
		usleep(1000); /* it is counted after the batch, which "next" was in */
	info = call_info(stream);
	HOLDS(info.dropped[QSOCKET_ERROR] > 0 && balanced(&info));
	HOLDS(info.frames_offered[2] == 2 && info.frames_sent[2] == 1);
	HOLDS(info.frames_dropped[2][QSOCKET_ERROR] + info.frames_dropped[2][QSOCKET_INCOMPLETE] ==
	      1);
	return close_pair();
}

/* Messages that the network keeps refusing for a while: closing gives them up. */
static const char *is_closed_while_held(void)
{
	struct qsocket_info info;
	const char *why;

	open_pair("dwcs");
	answer(EAGAIN, 1000000);
	if ((why = send_numbers(0, 100)))
		return why;
	do {
		info = call_info(stream);
	} while (!(info.state & QSOCKET_STATE_BLOCKED));
	HOLDS(info.queued == 100 && info.sent == 0 && balanced(&info)); /* none has left yet */
	HOLDS(!call_close(stream, 0));
	info = call_info(link_handle);
	HOLDS(info.dropped[QSOCKET_CLOSED] == 100 && info.sent == 0 && balanced(&info));
	return close_pair();
}

static const char *any_answer(const char *scheduler, uint64_t rate, uint32_t deadline_us)
{
	static char data[1400];
	struct qsocket_info info;
	uint32_t taken = 0, offered = 0, seed = 7;

	struct qchange_args change = {.rate = rate};
	int32_t result;

	open_pair(scheduler);
	change.handle = (uint32_t)link_handle;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)));
	inject_random = 12345;
	for (uint32_t frame = 0; frame < 300; frame++) {
		uint32_t messages = 1 + (seed = seed * 69069 + 1) % 7;

		for (uint32_t i = 0; i < messages; i++) {
			uint32_t flags = QSOCKET_FRAME | frame % 3 << QSOCKET_LEVEL_SHIFT |
					 (i == 0) * QSOCKET_START |
					 (i == messages - 1) * QSOCKET_END;

			memcpy(data, &offered, sizeof(offered));
			result = qsend((uint32_t)stream, data, 100 + i % 2 * 50,
				       flags | (deadline_us ? QSOCKET_DEADLINE : 0), deadline_us);
			HOLDS(result > 0 || result == -ENOBUFS);
			offered++;
		}
		if (deadline_us && frame % 16 == 0)
			usleep(deadline_us / 2);
		info = call_info(stream);
		HOLDS(balanced(&info));
	}
	HOLDS(!call_close(stream, QCLOSE_DRAIN));
	/* what arrives is in order; what is counted as sent has arrived */
	for (int64_t last = -1;;) {
		uint32_t number;

		if (recv(fd, &number, sizeof(number), MSG_DONTWAIT) > 0) {
			HOLDS((int64_t)number > last);
			last = number;
			taken++;
			continue;
		}
		info = call_info(stream);
		HOLDS(balanced(&info));
		if (!info.queued && info.state == QSOCKET_STATE_CLOSING &&
		    taken >= info.sent + info.late)
			break;
		usleep(100);
	}
	HOLDS(info.offered == offered && info.socket_errors > 0);
	HOLDS(dropped(&info) > 0 && taken == info.sent + info.late);
	for (int level = 0; level < 4; level++) {
		uint64_t ended = info.frames_sent[level];

		for (int reason = 0; reason < QSOCKET_REASONS; reason++)
			ended += info.frames_dropped[level][reason];
		HOLDS(info.frames_offered[level] == ended);
	}
	return close_pair();
}

static const char *any_answer_to_frames(void)
{
	return any_answer("edf", FAST, 0);
}

static const char *any_answer_to_fifo(void)
{
	return any_answer("fifo", FAST, 0);
}

static const char *any_answer_to_frames_with_deadlines(void)
{
	return any_answer("dwcs", 1000000, 3000);
}

/* A TCP stream whose writes are taken a few bytes at a time. */
static const char *tcp_in_small_parts(void)
{
	static char data[5000], got[5000];
	uint16_t port;
	int server = plain_socket(AF_INET, SOCK_STREAM, &port), peer;
	struct qsocket_info info;

	HOLDS(!listen(server, 1));
	link_handle = call_init("dwcs", FAST, 0);
	stream = open_stream(link_handle, QSOCKET_TCP, loopback(AF_INET, port));
	peer = accept(server, NULL, NULL);
	inject_bytes_max = 37;
	for (int n = 0; n < 10; n++) {
		memset(data, n, sizeof(data));
		answer(n % 2 ? EAGAIN : ENOBUFS, n);
		HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
		for (size_t at = 0; at < sizeof(got);) {
			int part = receive(peer, got + at, sizeof(got) - at);

			HOLDS(part > 0);
			at += (size_t)part;
		}
		HOLDS(!memcmp(data, got, sizeof(got)));
	}
	info = wait_until_idle(stream);
	HOLDS(info.sent == 10 && balanced(&info));

	/* cut in the middle by closing: the reader must see it */
	inject_bytes_max = 37;
	HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
	HOLDS(receive(peer, got, 37) == 37);
	answer(EAGAIN, 1000000);
	do {
		info = call_info(stream);
	} while (!(info.state & QSOCKET_STATE_BLOCKED) && info.syscalls < 1000);
	if (info.state & QSOCKET_STATE_BLOCKED) {
		int part;

		HOLDS(!call_close(stream, 0));
		while ((part = receive(peer, got, sizeof(got))) > 0)
			;
		HOLDS(part < 0 && errno == ECONNRESET);
	}
	inject_times = inject_bytes_max = 0;
	HOLDS(!call_close(link_handle, 0));
	close(peer);
	close(server);
	return NULL;
}

int main(void)
{
	check("EAGAIN keeps what was not sent, in order", full_buffer());
	check("ENOBUFS keeps what was not sent, in order", full_device());
	check("EINTR is tried again", signal_arrives());
	check("the error of an earlier datagram is tried again", earlier_refusal());
	check("EAGAIN to a part of a frame holds the rest, whoever is between",
	      keeps_order_around_others());
	check("however many sockets are full, a stream with room sends", full_sockets_leave_room());
	check("what expires while the device is full is dropped",
	      expires_while_the_device_is_full());
	check("what may not be dropped is late after the device was full",
	      is_late_after_the_device_was_full());
	check("a refused message costs its frame, and only that", loses_a_frame_whole());
	check("QCLOSE gives up what the network would not take", is_closed_while_held());
	check("frames are counted once whatever the kernel answers", any_answer_to_frames());
	check("frames are counted once whatever the kernel answers and expires",
	      any_answer_to_frames_with_deadlines());
	check("messages are counted once whatever the kernel answers", any_answer_to_fifo());
	check("TCP goes on where the kernel stopped, and resets where it must",
	      tcp_in_small_parts());
	return check_end();
}
