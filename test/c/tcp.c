/* SPDX-License-Identifier: MIT
 * TCP through the engine: messages whole, in order, at the reader's pace.
 */
#include "net.h"

#define MESSAGES 200
#define BYTES 20000

static char data[BYTES], got[BYTES];

static int listener(uint16_t *port, int buffer_bytes)
{
	int fd = plain_socket(AF_INET, SOCK_STREAM, port);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
	return listen(fd, 4) ? -1 : fd;
}

static int32_t send_number(int32_t stream, uint32_t number)
{
	memset(data, (int)number, sizeof(data));
	memcpy(data, &number, sizeof(number));
	return send_bytes(stream, data, sizeof(data), 0);
}

/* Reads one message; its number, -1 at the end, -2 if it is broken. */
static int read_number(int fd)
{
	uint32_t at = 0, number;

	while (at < sizeof(got)) {
		int n = receive(fd, got + at, sizeof(got) - at);

		if (n <= 0)
			return n == 0 && at == 0 ? -1 : -2;
		at += (uint32_t)n;
	}
	memcpy(&number, got, sizeof(number));
	for (uint32_t i = sizeof(number); i < sizeof(got); i++)
		if ((uint8_t)got[i] != (uint8_t)number)
			return -2;
	return (int)number;
}

static struct qsocket_info wait_until_blocked(int32_t stream)
{
	struct qsocket_info info, before = {0};

	for (int ms = 0, still = 0; ms < PATIENCE_MS && still < 20; ms++) {
		usleep(1000);
		info = call_info(stream);
		still = info.state & QSOCKET_STATE_BLOCKED && info.queued == before.queued
				? still + 1
				: 0;
		before = info;
	}
	return info;
}

static const char *waits_for_a_slow_reader(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	int server = listener(&port, 8192), peer;

	HOLDS(open_stream(link, QSOCKET_TCP, (struct qsocket_addr){0}) == -EDESTADDRREQ);
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	HOLDS(stream > 0);
	HOLDS(send_bytes(stream, data, 0, 0) == -EINVAL);
	HOLDS(send_bytes(stream, data, 10, 5 << QSOCKET_SEGMENT_SHIFT) == -EINVAL);
	peer = accept(server, NULL, NULL);
	for (uint32_t i = 0; i < MESSAGES; i++)
		HOLDS(send_number(stream, i) == BYTES);
	info = wait_until_blocked(stream);
	HOLDS(info.state & QSOCKET_STATE_BLOCKED && info.queued > 0 && balanced(&info));
	for (int i = 0; i < MESSAGES; i++) {
		HOLDS(read_number(peer) == i);
		info = call_info(stream);
		HOLDS(balanced(&info));
	}
	info = wait_until_idle(stream);
	HOLDS(info.sent == MESSAGES && !info.socket_errors);
	HOLDS(!call_close(link, 0));
	HOLDS(read_number(peer) == -1);
	close(peer);
	close(server);
	return NULL;
}

static const char *drains(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	int server = listener(&port, 8192), peer;

	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	peer = accept(server, NULL, NULL);
	for (uint32_t i = 0; i < MESSAGES; i++)
		HOLDS(send_number(stream, i) == BYTES);
	HOLDS(!call_close(stream, QCLOSE_DRAIN));
	HOLDS(send_number(stream, 0) == -EPIPE);
	info = call_info(stream);
	HOLDS(info.state & QSOCKET_STATE_CLOSING && balanced(&info));
	for (int i = 0; i < MESSAGES; i++)
		HOLDS(read_number(peer) == i);
	HOLDS(read_number(peer) == -1); /* the end, not an error */
	info = call_info(stream);
	HOLDS(info.sent == MESSAGES && !info.queued && info.state & QSOCKET_STATE_CLOSING);
	HOLDS(!call_close(stream, 0) && call_close(stream, 0) == -EBADF && !call_close(link, 0));
	close(peer);
	close(server);
	return NULL;
}

/* What the reader sees of a stream that was closed while it was full: whole
 * messages, and then an error if one was cut. */
static const char *never_cuts_silently(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	int server = listener(&port, 8192), peer, number;

	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	peer = accept(server, NULL, NULL);
	for (uint32_t i = 0; i < MESSAGES; i++)
		HOLDS(send_number(stream, i) == BYTES);
	info = wait_until_blocked(stream);
	HOLDS(info.queued > 0 && !call_close(stream, 0));
	info = call_info(link);
	HOLDS(info.dropped[QSOCKET_CLOSED] > 0 && info.streams == 0 && balanced(&info));
	for (int i = 0; (number = read_number(peer)) >= 0; i++)
		HOLDS(number == i);
	HOLDS(number == -1 || errno == ECONNRESET);
	HOLDS(!call_close(link, 0));
	close(peer);
	close(server);
	return NULL;
}

static const char *breaks_with_its_peer(void)
{
	int32_t link = call_init("edf", FAST, 0), stream, result = 0;
	struct qsocket_info info;
	uint16_t port;
	int server = listener(&port, 8192), peer;

	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	peer = accept(server, NULL, NULL);
	close(peer);
	for (int ms = 0; ms < PATIENCE_MS && result != -EPIPE; ms++) {
		result = send_number(stream, 1);
		HOLDS(result == BYTES || result == -EPIPE);
		usleep(1000);
	}
	HOLDS(result == -EPIPE);
	info = call_info(stream);
	HOLDS(info.state & QSOCKET_STATE_BROKEN && info.dropped[QSOCKET_ERROR] > 0);
	HOLDS((info.last_error == EPIPE || info.last_error == ECONNRESET) && balanced(&info));
	HOLDS(!call_close(stream, QCLOSE_DRAIN) && !call_close(stream, 0) && !call_close(link, 0));
	close(server);
	return NULL;
}

static const char *breaks_without_a_peer(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;

	close(plain_socket(AF_INET, SOCK_STREAM, &port));
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	HOLDS(stream > 0 || stream == -ECONNREFUSED);
	if (stream > 0) {
		send_number(stream, 1);
		info = wait_until_idle(stream);
		HOLDS(info.state & QSOCKET_STATE_BROKEN && info.last_error == ECONNREFUSED);
		HOLDS(balanced(&info));
	}
	HOLDS(!call_close(link, 0));
	return NULL;
}

int main(void)
{
	check("TCP messages arrive whole and in order at a slow reader", waits_for_a_slow_reader());
	check("QCLOSE_DRAIN sends all of a TCP stream, then ends it", drains());
	check("QCLOSE never cuts a TCP message silently", never_cuts_silently());
	check("a TCP stream breaks when its peer goes", breaks_with_its_peer());
	check("a TCP stream without a peer is broken", breaks_without_a_peer());
	return check_end();
}
