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

/* A socket bound to a port of every address; 0: any port. */
static int wildcard(int family, int v6only, int shared, uint16_t *port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address;
	socklen_t len = family == AF_INET ? sizeof(address.in) : sizeof(address.in6);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(&address, 0, sizeof(address));
	address.any.sa_family = (sa_family_t)family;
	address.in.sin_port = htons(*port); /* as in6's */
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared));
	if (fd < 0 || bind(fd, &address.any, len) || getsockname(fd, &address.any, &len)) {
		close(fd);
		return -1;
	}
	*port = ntohs(address.in.sin_port);
	return fd;
}

/* Whether a stream sends from a socket: a datagram sent through it has left
 * with the option that only that socket has. */
static int is_attached_to(int32_t stream, int fd)
{
	uint16_t port;
	int peer = plain_socket(AF_INET, SOCK_DGRAM, &port), ttl = 0, mark = 77, one = 1, got_it;
	struct qsocket_addr to = loopback(AF_INET, port);
	char control[100];
	struct iovec iovec = {got, sizeof(got)};
	struct msghdr header = {.msg_iov = &iovec,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct pollfd poller = {.fd = peer, .events = POLLIN};

	setsockopt(fd, IPPROTO_IP, IP_TTL, &mark, sizeof(mark));
	setsockopt(peer, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
	got_it = qsendto((uint32_t)stream, "x", 1, 0, 0, &to) == 1 &&
		 poll(&poller, 1, PATIENCE_MS) == 1 && recvmsg(peer, &header, 0) == 1 &&
		 CMSG_FIRSTHDR(&header);
	if (got_it)
		memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(ttl));
	close(peer);
	return ttl == mark;
}

static const char *prefers_the_family_asked_for(void)
{
	int32_t link = call_init("dwcs", FAST, 0), stream;
	uint16_t port = 0;
	int v6 = wildcard(AF_INET6, 1, 0, &port), v4;
	struct qsocket_addr ipv4 = {.family = AF_INET, .port = port};
	struct qsocket_addr ipv6 = {.family = AF_INET6, .port = port};

	if (v6 < 0)
		return SKIP "no such addresses here";
	HOLDS(attach(link, QSOCKET_UDP, -1, ipv4, none) == -ENOENT); /* it takes no IPv4 */
	v4 = wildcard(AF_INET, 0, 0, &port); /* has the larger number: comes after v6 */
	HOLDS(v4 >= 0);
	stream = attach(link, QSOCKET_UDP, -1, ipv4, none);
	HOLDS(stream > 0 && is_attached_to(stream, v4) && !call_close(stream, 0));
	stream = attach(link, QSOCKET_UDP, -1, ipv6, none);
	HOLDS(stream > 0 && !call_close(stream, 0));
	close(v6);
	HOLDS(attach(link, QSOCKET_UDP, -1, ipv6, none) == -ENOENT); /* nor does v4 IPv6 */
	close(v4);
	port = 0;
	v6 = wildcard(AF_INET6, 0, 0, &port);
	ipv4.port = port;
	stream = attach(link, QSOCKET_UDP, -1, ipv4, none);
	HOLDS(stream > 0); /* this one takes both */
	close(v6);
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *refuses_to_choose(void)
{
	int free_fd = dup(0), closed = close(free_fd);
	int32_t link = call_init("dwcs", FAST, 0), stream;
	uint16_t port = 0;
	int one = wildcard(AF_INET, 0, 1, &port), same = dup(one), other;
	struct qsocket_addr local = {.family = AF_INET, .port = port};

	stream = attach(link, QSOCKET_UDP, -1, local, none);
	HOLDS(stream > 0 && is_attached_to(stream, one)); /* by two numbers: the same socket */
	other = wildcard(AF_INET, 0, 1, &port);
	HOLDS(other >= 0 && attach(link, QSOCKET_UDP, -1, local, none) == -ENOTUNIQ);
	HOLDS(attach(link, QSOCKET_UDP, other, local, none) > 0);
	HOLDS(!call_close(link, 0));
	close(one);
	close(same);
	close(other);
	HOLDS(!closed && dup(0) == free_fd && !close(free_fd)); /* nothing is left open */
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
	check("QATTACH prefers a socket of the family asked for", prefers_the_family_asked_for());
	check("QATTACH refuses to choose between sockets", refuses_to_choose());
	check("QATTACH refuses what is no such socket", refuses_what_is_no_socket());
	return check_end();
}
