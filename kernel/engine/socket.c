/* SPDX-License-Identifier: MIT
 *
 * The sockets: opened here, or found among those the program has open.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

/* Bytes of a TCP socket's buffer that the kernel has not sent yet: what lies
 * there can be neither reordered nor dropped any more. */
#define TCP_UNSENT_BYTES 65536

#define FIRST_FD 3

uint32_t address_of(const struct qsocket_addr *addr, union address *address)
{
	memset(address, 0, sizeof(*address));
	if (addr->family == AF_INET) {
		address->in.sin_family = AF_INET;
		address->in.sin_port = htons(addr->port);
		memcpy(&address->in.sin_addr, addr->bytes, 4);
		return sizeof(address->in);
	}
	address->in6.sin6_family = AF_INET6;
	address->in6.sin6_port = htons(addr->port);
	address->in6.sin6_scope_id = addr->scope;
	memcpy(&address->in6.sin6_addr, addr->bytes, 16);
	return sizeof(address->in6);
}

static int32_t open_tcp(int fd)
{
	int one = 1, unsent = TCP_UNSENT_BYTES;

	/* a message is a write of its own, and must not wait for the next */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)))
		return -errno;
	return 0;
}

/* The connection of a TCP socket may still be in the making: s->wait. */
int32_t socket_open(struct engine_stream *s, const struct qsocket_addr *local,
		    const struct qsocket_addr *peer)
{
	int family = local->family ? local->family : peer->family;
	int type = s->type == QSOCKET_TCP ? SOCK_STREAM : SOCK_DGRAM;
	union address address;
	uint32_t len;
	int32_t error = 0;
	int fd;

	s->fd = -1;
	if (!family)
		return 0; /* when it is known what for */
	fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (s->type == QSOCKET_TCP && (error = open_tcp(fd)))
		goto close_fd;
	if (local->family) {
		len = address_of(local, &address);
		if (bind(fd, &address.any, len)) {
			error = -errno;
			goto close_fd;
		}
	}
	if (peer->family) {
		len = address_of(peer, &address);
		if (connect(fd, &address.any, len)) {
			error = -errno;
			if (error != -EINPROGRESS)
				goto close_fd;
			s->wait = WAIT_CONNECT;
		}
		s->connected = 1;
	}
	s->fd = fd;
	s->family = (uint16_t)family;
	return 0;

close_fd:
	close(fd);
	return error;
}

/* An address as a socket of either family may give it: IPv4 mapped into IPv6
 * (RFC 4291, section 2.5.5.2). */
static void map_address(const union address *address, uint8_t bytes[16], uint16_t *port)
{
	memset(bytes, 0, 16);
	if (address->any.sa_family == AF_INET6) {
		memcpy(bytes, &address->in6.sin6_addr, 16);
		*port = address->in6.sin6_port;
		return;
	}
	*port = address->in.sin_port;
	if (address->in.sin_addr.s_addr != INADDR_ANY) {
		bytes[10] = bytes[11] = 0xff;
		memcpy(bytes + 12, &address->in.sin_addr, 4);
	}
}

static int same_address(const struct qsocket_addr *wanted, const union address *found)
{
	union address address;
	uint8_t a[16], b[16];
	uint16_t a_port, b_port;

	address_of(wanted, &address);
	map_address(&address, a, &a_port);
	map_address(found, b, &b_port);
	return a_port == b_port && !memcmp(a, b, sizeof(a));
}

/* Whether a descriptor is the socket asked for; 0 or why not. */
static int32_t check_socket(int fd, const struct qattach_args *args)
{
	int wanted = args->type == QSOCKET_TCP ? SOCK_STREAM : SOCK_DGRAM, type;
	union address address;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return -errno;
	len = sizeof(address);
	memset(&address, 0, sizeof(address));
	if (getsockname(fd, &address.any, &len))
		return -errno;
	if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (type != wanted)
		return -ENOTSOCK;
	if (args->local.family && !same_address(&args->local, &address))
		return -ENOENT;
	if (!args->peer.family && args->type == QSOCKET_UDP)
		return 0;
	len = sizeof(address);
	memset(&address, 0, sizeof(address));
	if (getpeername(fd, &address.any, &len))
		return -errno;
	return !args->peer.family || same_address(&args->peer, &address) ? 0 : -ENOENT;
}

/* Looks through this process's descriptors. */
static int32_t find_socket(const struct qattach_args *args)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int found = -ENOENT;

	if (!directory)
		return -errno;
	while (found < 0 && (entry = readdir(directory))) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);

		if (end != entry->d_name && !*end && !check_socket((int)fd, args))
			found = (int)fd;
	}
	closedir(directory);
	return found;
}

/* Takes a duplicate: the program may go on using its own descriptor, and may
 * close it. What it has set on the socket is left as it is. */
int32_t socket_attach(struct engine_stream *s, const struct qattach_args *args)
{
	int32_t fd = args->fd, error;
	union address address;
	socklen_t len = sizeof(address);

	if (fd >= 0) {
		error = check_socket(fd, args);
		if (error)
			return error;
	} else {
		fd = find_socket(args);
		if (fd < 0)
			return fd;
	}
	memset(&address, 0, sizeof(address));
	s->attached = 1;
	s->connected = !getpeername(fd, &address.any, &len);
	len = sizeof(address);
	if (getsockname(fd, &address.any, &len))
		return -errno;
	s->family = address.any.sa_family;
	s->fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	return s->fd < 0 ? -errno : 0;
}

int32_t socket_connected(const struct engine_stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		return -errno;
	return -error;
}

/* A TCP receiver must never take the part of a message for the whole: where
 * one was cut, the connection is reset (connect(2) to AF_UNSPEC does that even
 * while the program has the socket open itself), so that its reader sees an
 * error. Otherwise what the socket has taken is still delivered, unless the
 * peer sent what nobody read: then closing would reset as well, so that is
 * read first. */
void socket_close(struct engine_stream *s, int cut)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	char unread[4096];

	if (s->fd < 0)
		return;
	if (cut)
		connect(s->fd, &nobody, sizeof(nobody));
	for (int i = 0; s->type == QSOCKET_TCP && !s->attached && i < ENGINE_DISCARD_READS_MAX; i++)
		if (recv(s->fd, unread, sizeof(unread), MSG_DONTWAIT) <= 0)
			break;
	close(s->fd);
	s->fd = -1;
}
