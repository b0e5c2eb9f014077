/* SPDX-License-Identifier: MIT
 * Datagrams through the engine: what is sent is what arrives.
 */
#include "net.h"

static char data[QSOCKET_MESSAGE_BYTES_MAX], got[QSOCKET_MESSAGE_BYTES_MAX + 1];

static const char *arrives(int family)
{
	static const uint32_t sizes[] = {1, 0, 1200, 2048, 2049, 4096, 9000, 65507, 3};
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	int fd = plain_socket(family, SOCK_DGRAM, &port);

	if (fd < 0)
		return SKIP "no such addresses here";
	stream = open_stream(link, QSOCKET_UDP, loopback(family, port));
	HOLDS(link > 0 && stream > 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (uint32_t j = 0; j < sizes[i]; j++)
			data[j] = (char)(j * 7 + i);
		HOLDS(send_bytes(stream, data, sizes[i], 0) == (int32_t)sizes[i]);
		HOLDS(receive(fd, got, sizeof(got)) == (int)sizes[i]);
		HOLDS(!memcmp(data, got, sizes[i]));
	}
	info = wait_until_idle(stream);
	HOLDS(info.host == QSOCKET_ABOVE && info.sent == sizeof(sizes) / sizeof(sizes[0]));
	HOLDS(balanced(&info) && !info.socket_errors && info.syscalls > 0);
	HOLDS(!call_close(link, 0) && call_close(stream, 0) == -EBADF);
	close(fd);
	return NULL;
}

static const char *arrives_over_ipv4(void)
{
	return arrives(AF_INET);
}

static const char *arrives_over_ipv6(void)
{
	return arrives(AF_INET6);
}

static const char *goes_to_several(void)
{
	int32_t link = call_init("edf", FAST, 0);
	int32_t stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	uint16_t ports[3];
	int fds[3];

	HOLDS(qsend((uint32_t)stream, "x", 1, 0, 0) == -EDESTADDRREQ);
	for (int i = 0; i < 3; i++)
		fds[i] = plain_socket(AF_INET, SOCK_DGRAM, &ports[i]);
	for (int n = 0; n < 30; n++) {
		struct qsocket_addr to = loopback(AF_INET, ports[n % 3]);

		HOLDS(qsendto((uint32_t)stream, &n, sizeof(n), 0, 0, &to) == sizeof(n));
	}
	for (int n = 0; n < 30; n++) {
		int number;

		HOLDS(receive(fds[n % 3], &number, sizeof(number)) == sizeof(number));
		HOLDS(number == n);
	}
	/* the first message decided on the family */
	struct qsocket_addr other = loopback(AF_INET6, ports[0]);
	HOLDS(qsendto((uint32_t)stream, "x", 1, 0, 0, &other) == -EAFNOSUPPORT);
	HOLDS(!call_close(link, 0));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	return NULL;
}

static const char *keeps_order(void)
{
	int32_t link = call_init("dwcs", 5000000, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	for (int n = 0; n < 1000; n += 100) { /* no more than the receiver's buffer takes */
		for (int i = 0; i < 100; i++) {
			int number = n + i;

			HOLDS(send_bytes(stream, &number, sizeof(number), 0) == sizeof(number));
		}
		info = call_info(stream);
		HOLDS(balanced(&info));
		for (int i = 0; i < 100; i++) {
			int number;

			HOLDS(receive(fd, &number, sizeof(number)) == sizeof(number));
			HOLDS(number == n + i);
		}
	}
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

/* An answer that nobody listens comes as an error of some later send: it is
 * counted, and costs no later message. */
static const char *survives_a_refusing_port(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	struct qsocket_info info;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	close(fd);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	for (int n = 0; n < 20; n++) {
		HOLDS(send_bytes(stream, "x", 1, 0) == 1);
		info = wait_until_idle(stream);
		usleep(200);
	}
	info = wait_until_idle(stream);
	HOLDS(info.socket_errors > 0 && info.last_error == ECONNREFUSED);
	HOLDS(info.sent + dropped(&info) == 20 && info.sent >= 19 && balanced(&info));
	return call_close(link, 0) ? "close failed" : NULL;
}

/* A deadline that has passed counts and is an error; one that cannot be met
 * is lost in the queue. */
static const char *drops_what_is_too_late(void)
{
	int32_t link = call_init("dwcs", 10000, 0), stream; /* 1000 bytes take 0.1 s */
	struct qsocket_info info;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(qsend((uint32_t)stream, data, 100, QSOCKET_DEADLINE, 0) == -ETIME);
	HOLDS(qsend((uint32_t)stream, data, 1000, QSOCKET_DEADLINE, 20000) == 1000);
	info = wait_until_idle(stream);
	HOLDS(info.dropped[QSOCKET_EXPIRED] == 2 && info.offered == 2 && balanced(&info));
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *reports_a_dead_network(void)
{
	int32_t link, stream;
	struct qsocket_info info;
	uint16_t port;
	int fd;

	if (!own_network(1500))
		return SKIP "no network of one's own here";
	fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	link = call_init("dwcs", FAST, 0);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(fd >= 0 && send_bytes(stream, "x", 1, 0) == 1 && receive(fd, got, 1) == 1);
	HOLDS(loopback_gone());
	HOLDS(send_bytes(stream, "x", 1, QSOCKET_FRAME | QSOCKET_START | QSOCKET_END) == 1);
	info = wait_until_idle(stream);
	for (int ms = 0; ms < PATIENCE_MS && !info.dropped[QSOCKET_ERROR]; ms++) {
		usleep(1000);
		info = call_info(stream);
	}
	HOLDS(info.dropped[QSOCKET_ERROR] == 1 && info.sent == 1 && balanced(&info));
	HOLDS(info.frames_dropped[0][QSOCKET_ERROR] == 1 && info.frames_sent[0] == 0);
	/* it could have been an earlier datagram's: tried 4 times more */
	HOLDS(info.last_error == ENETUNREACH && info.socket_errors == 5);
	return NULL;
}

static const char *dead_network(void)
{
	return in_child(reports_a_dead_network);
}

int main(void)
{
	check("a message whose interface is gone is dropped as an error", dead_network());
	check("datagrams arrive over IPv4, of every size", arrives_over_ipv4());
	check("datagrams arrive over IPv6, of every size", arrives_over_ipv6());
	check("QSENDTO sends to several peers", goes_to_several());
	check("datagrams of a stream keep their order", keeps_order());
	check("a port that refuses is counted and loses nothing", survives_a_refusing_port());
	check("what cannot arrive in time is dropped", drops_what_is_too_late());
	return check_end();
}
