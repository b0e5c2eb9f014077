/* SPDX-License-Identifier: MIT
 * Frames of equal datagrams: joined where the kernel cuts them again, one by
 * one where it will not.
 */
#include "net.h"

#define FRAME QSOCKET_FRAME
#define SEGMENT(bytes) ((uint32_t)(bytes) << QSOCKET_SEGMENT_SHIFT)

static char data[QSOCKET_MESSAGE_BYTES_MAX], got[QSOCKET_MESSAGE_BYTES_MAX];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 + (i >> 8));
}

/* Receives so many bytes in datagrams of `segment`, the last one shorter. */
static const char *expect(int fd, uint32_t bytes, uint32_t segment)
{
	for (uint32_t at = 0; at < bytes; at += segment) {
		uint32_t part = bytes - at < segment ? bytes - at : segment;

		HOLDS(receive(fd, got, sizeof(got)) == (int)part);
		HOLDS(!memcmp(got, data + at, part));
	}
	return NULL;
}

static const char *cuts(uint64_t rate, uint32_t calls_max, uint64_t errors)
{
	static const uint32_t sizes[] = {12000, 12001, 11999, 1200, 1199, 1, 64 * 900};
	int32_t link = call_init("dwcs", rate, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	const char *why;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t segment = i == 6 ? 900 : 1200;

		HOLDS(send_bytes(stream, data, sizes[i],
				 FRAME | QSOCKET_START | QSOCKET_END | SEGMENT(segment)) ==
		      (int32_t)sizes[i]);
		if ((why = expect(fd, sizes[i], segment)))
			return why;
	}
	info = wait_until_idle(stream);
	HOLDS(info.sent == 7 && info.frames_sent[0] == 7 && balanced(&info));
	HOLDS(info.syscalls <= calls_max && info.socket_errors == errors);
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *cuts_in_one_call(void)
{
	return cuts(FAST, 7, 0);
}

static const char *cuts_slowly(void)
{
	return cuts(1000000, 200, 0);
}

static const char *joins_equal_messages(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	const char *why;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	for (int frame = 0; frame < 10; frame++) {
		for (uint32_t i = 0; i < 20; i++) {
			uint32_t flags = FRAME | (i == 0) * QSOCKET_START | (i == 19) * QSOCKET_END;

			HOLDS(send_bytes(stream, data + i * 1000, i == 19 ? 500 : 1000, flags) > 0);
		}
		if ((why = expect(fd, 19500, 1000)))
			return why;
	}
	info = wait_until_idle(stream);
	HOLDS(info.sent == 200 && info.frames_sent[0] == 10 && balanced(&info));
	HOLDS(info.syscalls <= 20); /* a frame is one call, or two where it was cut by a batch */
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

/* A frame of messages that differ in size and peer: nothing is joined wrongly. */
static const char *keeps_messages_apart(void)
{
	static const uint32_t sizes[] = {1000, 1000, 300, 1000, 1500, 1500, 20, 20, 20, 4000, 4000};
	int32_t link = call_init("dwcs", FAST, 0), stream;
	uint32_t at[2] = {0, 0}, len = sizeof(sizes) / sizeof(sizes[0]);
	uint16_t ports[2];
	int fds[2];

	stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	for (int i = 0; i < 2; i++)
		fds[i] = plain_socket(AF_INET, SOCK_DGRAM, &ports[i]);
	for (uint32_t i = 0; i < 2 * len; i++) {
		struct qsocket_addr to = loopback(AF_INET, ports[i / 3 % 2]);
		uint32_t flags =
			FRAME | (i == 0) * QSOCKET_START | (i == 2 * len - 1) * QSOCKET_END;

		HOLDS(qsendto((uint32_t)stream, data + i, sizes[i % len], flags, 0, &to) > 0);
	}
	for (uint32_t i = 0; i < 2 * len; i++) {
		int peer = i / 3 % 2;

		HOLDS(receive(fds[peer], got, sizeof(got)) == (int)sizes[i % len]);
		HOLDS(!memcmp(got, data + i, sizes[i % len]));
		at[peer]++;
	}
	HOLDS(at[0] + at[1] == 2 * len && !call_close(link, 0));
	close(fds[0]);
	close(fds[1]);
	return NULL;
}

static const char *small_mtu(void)
{
	if (!own_network(1000)) /* the kernel refuses segments above the MTU */
		return SKIP "no network of one's own here";
	return cuts(FAST, 200, 1);
}

static const char *falls_back(void)
{
	return in_child(small_mtu);
}

int main(void)
{
	fill();
	check("a refused UDP_SEGMENT falls back to single datagrams", falls_back());
	check("a message is cut into segments in one call", cuts_in_one_call());
	check("a message is cut into segments on a slow link", cuts_slowly());
	check("equal messages of a frame are joined", joins_equal_messages());
	check("messages that differ are kept apart", keeps_messages_apart());
	return check_end();
}
