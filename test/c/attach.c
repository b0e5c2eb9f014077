/* SPDX-License-Identifier: MIT
 * QATTACH: a socket that the program has open already, by its descriptor or
 * found by its addresses.
 */
#include "net.h"

static int32_t attach(int32_t link, uint32_t type, int fd, struct qsocket_addr local,
		      struct qsocket_addr peer)
{
	struct qattach_args args = {
		.link = (uint32_t)link, .type = type, .fd = fd, .local = local, .peer = peer};

	return qsocketcall(QATTACH, &args, sizeof(args));
}

static const struct qsocket_addr none;
static char got[100];

static const char *takes_a_descriptor(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	uint16_t port, from;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	int plain = plain_socket(AF_INET, SOCK_DGRAM, &from);
	struct qsocket_addr to = loopback(AF_INET, port);

	stream = attach(link, QSOCKET_UDP, plain, none, none);
	HOLDS(stream > 0 && send_bytes(stream, "x", 1, 0) == -EDESTADDRREQ);
	close(plain); /* a duplicate was taken */
	HOLDS(qsendto((uint32_t)stream, "hello", 5, 0, 0, &to) == 5);
	HOLDS(receive(fd, got, sizeof(got)) == 5 && !memcmp(got, "hello", 5));
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *finds_a_socket(int family)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	uint16_t port, from;
	int fd = plain_socket(family, SOCK_DGRAM, &port);
	int plain = plain_socket(family, SOCK_DGRAM, &from);
	struct qsocket_addr to = loopback(family, port), local = loopback(family, from);
	struct qsocket_addr wrong = local;

	if (fd < 0)
		return SKIP "no such addresses here";
	wrong.bytes[3]++;
	HOLDS(attach(link, QSOCKET_UDP, -1, wrong, none) == -ENOENT);
	HOLDS(attach(link, QSOCKET_TCP, -1, local, none) == -ENOENT);
	HOLDS(attach(link, QSOCKET_UDP, -1, local, to) == -ENOENT); /* it is not connected */
	stream = attach(link, QSOCKET_UDP, -1, local, none);
	HOLDS(stream > 0 && qsendto((uint32_t)stream, "hello", 5, 0, 0, &to) == 5);
	HOLDS(receive(fd, got, sizeof(got)) == 5);
	HOLDS(!call_close(stream, 0));
	/* the program's own descriptor still works */
	HOLDS(send(plain, "x", 1, 0) == -1 && errno == EDESTADDRREQ);
	HOLDS(!call_close(link, 0));
	close(plain);
	close(fd);
	return NULL;
}

static const char *finds_a_connection(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	uint16_t port, from;
	int server = plain_socket(AF_INET, SOCK_STREAM, &port);
	int plain = plain_socket(AF_INET, SOCK_STREAM, &from), peer;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	HOLDS(!listen(server, 1));
	HOLDS(attach(link, QSOCKET_TCP, plain, none, none) == -ENOTCONN);
	HOLDS(!connect(plain, (struct sockaddr *)&to, sizeof(to)));
	peer = accept(server, NULL, NULL);
	stream = attach(link, QSOCKET_TCP, -1, loopback(AF_INET, from), loopback(AF_INET, port));
	HOLDS(stream > 0 && send_bytes(stream, "hello", 5, 0) == 5);
	HOLDS(receive(peer, got, sizeof(got)) == 5);
	HOLDS(!call_close(stream, 0));
	HOLDS(send(plain, "more", 4, 0) == 4); /* only the duplicate was closed */
	HOLDS(receive(peer, got, sizeof(got)) == 4);
	HOLDS(!call_close(link, 0));
	close(plain);
	close(peer);
	close(server);
	return NULL;
}

static const char *refuses_what_is_no_socket(void)
{
	int32_t link = call_init("dwcs", FAST, 0);
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port), ends[2];

	HOLDS(!pipe(ends));
	HOLDS(attach(link, QSOCKET_UDP, ends[0], none, none) == -ENOTSOCK);
	HOLDS(attach(link, QSOCKET_TCP, fd, none, none) == -ENOTSOCK);
	close(ends[0]);
	close(ends[1]);
	HOLDS(attach(link, QSOCKET_UDP, ends[0], none, none) == -EBADF);
	HOLDS(!socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
	HOLDS(attach(link, QSOCKET_UDP, ends[0], none, none) == -EAFNOSUPPORT);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	HOLDS(!call_close(link, 0));
	return NULL;
}

int main(void)
{
	check("QATTACH takes a descriptor", takes_a_descriptor());
	check("QATTACH finds an IPv4 socket by its address", finds_a_socket(AF_INET));
	check("QATTACH finds an IPv6 socket by its address", finds_a_socket(AF_INET6));
	check("QATTACH finds a TCP connection by its ends", finds_a_connection());
	check("QATTACH refuses what is no such socket", refuses_what_is_no_socket());
	return check_end();
}
