/* SPDX-License-Identifier: MIT
 * What the kernel may answer to a send, each answer given here in its place:
 * nothing is lost without being counted, and nothing overtakes.
 */
#include <sys/resource.h>

#include "inject.h"

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
	static int32_t waiting[QSOCKET_STREAMS_DEFAULT];
	struct qsocket_info info;
	uint16_t port;
	int peer = plain_socket(AF_INET, SOCK_DGRAM, &port);
	const char *why;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < FDS_MAX ? files.rlim_max : FDS_MAX;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < QSOCKET_STREAMS_DEFAULT + 100)
		return SKIP "too few files may be open";
	open_pair("edf");
	inject_port = port;
	answer(EAGAIN, 1 << 30);
	for (int i = 0; i < QSOCKET_STREAMS_DEFAULT - 1; i++) {
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
	for (int i = 0; i < QSOCKET_STREAMS_DEFAULT - 1; i++)
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
	/* so long that the thread tries to send it first, however busy the machine */
	HOLDS(qsend((uint32_t)stream, "x", 1, QSOCKET_DEADLINE, 500000) == 1);
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
	check("QCLOSE gives up what the network would not take", is_closed_while_held());
	return check_end();
}
