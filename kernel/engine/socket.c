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
#include <sys/stat.h>
#include <unistd.h>

#include "../device/device.h"
#include "../host.h"

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
	int one = 1, unsent = SOCKET_TCP_UNSENT_BYTES;

	/* a message is a write of its own, and must not wait for the next */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return -errno;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)))
		return -errno;
	return 0;
}

static int takes_ipv4(int fd)
{
	int only = 0;
	socklen_t len = sizeof(only);

	return !getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len) && !only;
}

/* Gives the code point (RFC 2474) of what a socket sends another value, and
 * leaves the old one in its place. The two bits beside it are ECN's (RFC 3168)
 * and stay. So does the priority, which the kernel sets by IP_TOS. */
static int32_t swap_code_point(int fd, int level, int option, uint8_t *tos)
{
	int value = 0, priority = 0, other = 0, error = 0;
	socklen_t len = sizeof(value);
	uint8_t before;

	if (getsockopt(fd, level, option, &value, &len))
		return -errno;
	len = sizeof(priority);
	/* one above 6 needs a privilege: what could not be set again is not lost */
	if (getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, &len) ||
	    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)))
		return -errno;
	before = (uint8_t)value & DEVICE_TOS_MASK;
	value = (*tos & DEVICE_TOS_MASK) | (value & ~DEVICE_TOS_MASK);
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		return -errno;
	len = sizeof(other);
	if (getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &other, &len) ||
	    (other != priority &&
	     setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority))))
		error = -errno;
	*tos = before;
	return error;
}

/* Marks what a socket sends from now on, IPv4 from an IPv6 socket as well. */
static int32_t mark(struct socket *s, int fd, int family)
{
	int32_t error = 0;

	s->ipv4_before = s->ipv6_before = s->tos;
	if (family == AF_INET6)
		error = swap_code_point(fd, IPPROTO_IPV6, IPV6_TCLASS, &s->ipv6_before);
	if (error || (family == AF_INET6 && !takes_ipv4(fd)))
		return error;
	error = swap_code_point(fd, IPPROTO_IP, IP_TOS, &s->ipv4_before);
	if (error && family == AF_INET6)
		swap_code_point(fd, IPPROTO_IPV6, IPV6_TCLASS, &s->ipv6_before);
	return error;
}

static int marked(const struct socket *s, int level, int option)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return !getsockopt(s->fd, level, option, &value, &len) &&
	       (value & DEVICE_TOS_MASK) == s->tos;
}

int32_t socket_open(struct socket *s, const struct qsocket_addr *local,
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
	if (s->tos && (error = mark(s, fd, family)))
		goto close_fd;
	if (s->tos && s->type == QSOCKET_UDP && (error = stack_hear(fd, family)))
		goto close_fd;
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
			s->connecting = 1;
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

/* How well a socket answers a request, worst first. */
enum match { MATCH_NONE, MATCH_MAPPED, MATCH_EXACT };

/* Whether an IPv6 address stands for an IPv4 one: mapped (RFC 4291, section
 * 2.5.5.2), or the wildcard for the wildcard. */
static int same_mapped(const struct in6_addr *in6, const struct in_addr *in)
{
	if (IN6_IS_ADDR_UNSPECIFIED(in6))
		return in->s_addr == INADDR_ANY;
	return IN6_IS_ADDR_V4MAPPED(in6) && !memcmp(in6->s6_addr + 12, in, sizeof(*in));
}

static enum match match_in6(const struct sockaddr_in6 *wanted, const struct sockaddr_in6 *found)
{
	if (wanted->sin6_port != found->sin6_port ||
	    !IN6_ARE_ADDR_EQUAL(&wanted->sin6_addr, &found->sin6_addr))
		return MATCH_NONE;
	/* a scope says which of several equal link-local addresses; 0 is any */
	return wanted->sin6_scope_id && found->sin6_scope_id &&
			       wanted->sin6_scope_id != found->sin6_scope_id
		       ? MATCH_NONE
		       : MATCH_EXACT;
}

/* An IPv6 socket may serve IPv4 as well; an IPv4 one never serves IPv6. */
static enum match match_address(int fd, const struct qsocket_addr *wanted,
				const union address *found)
{
	union address address;

	address_of(wanted, &address);
	if (wanted->family == AF_INET6)
		return found->any.sa_family == AF_INET6 ? match_in6(&address.in6, &found->in6)
							: MATCH_NONE;
	if (found->any.sa_family == AF_INET)
		return address.in.sin_port == found->in.sin_port &&
				       address.in.sin_addr.s_addr == found->in.sin_addr.s_addr
			       ? MATCH_EXACT
			       : MATCH_NONE;
	return address.in.sin_port == found->in6.sin6_port && takes_ipv4(fd) &&
			       same_mapped(&found->in6.sin6_addr, &address.in.sin_addr)
		       ? MATCH_MAPPED
		       : MATCH_NONE;
}

static int32_t check_type(int fd, uint32_t type)
{
	int wanted = type == QSOCKET_TCP ? SOCK_STREAM : SOCK_DGRAM, found, family;
	socklen_t len = sizeof(found);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len))
		return -errno;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	return found == wanted ? 0 : -ENOTSOCK;
}

/* enum match, or why a descriptor is not the socket asked for. */
static int32_t match_socket(int fd, const struct qattach_args *args)
{
	enum match local = MATCH_EXACT, peer = MATCH_EXACT;
	int32_t error = check_type(fd, args->type);
	union address address = {0};
	socklen_t len = sizeof(address);

	if (error)
		return error;
	if (getsockname(fd, &address.any, &len))
		return -errno;
	if (args->local.family)
		local = match_address(fd, &args->local, &address);
	if (local == MATCH_NONE)
		return -ENOENT;
	if (!args->peer.family && args->type == QSOCKET_UDP)
		return (int32_t)local;
	len = sizeof(address);
	if (getpeername(fd, &address.any, &len))
		return -errno;
	if (args->peer.family)
		peer = match_address(fd, &args->peer, &address);
	if (peer == MATCH_NONE)
		return -ENOENT;
	return (int32_t)(local < peer ? local : peer);
}

/* A duplicate of a descriptor that matches, and how well. Another thread may
 * close the descriptor, and its number be given out again, at any time: what
 * the duplicate is counts. It is only taken of what looks right, as closing one
 * of a file would give up the process's locks on it (fcntl(2)). */
static int32_t duplicate(int fd, const struct qattach_args *args, int32_t *match)
{
	int32_t result = match_socket(fd, args);
	int copy;

	if (result < 0)
		return result;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, SOCKET_FD_MIN);
	if (copy < 0)
		return -errno;
	*match = match_socket(copy, args);
	if (*match >= 0)
		return copy;
	close(copy);
	return *match;
}

static int same_socket(int a, int b)
{
	struct stat of_a, of_b;

	return !fstat(a, &of_a) && !fstat(b, &of_b) && of_a.st_ino == of_b.st_ino &&
	       of_a.st_dev == of_b.st_dev;
}

/* Looks through this process's descriptors for the socket that matches best. */
static int32_t search(const struct qattach_args *args)
{
	DIR *directory = opendir("/proc/self/fd");
	int32_t found = -ENOENT, best = MATCH_NONE;
	const struct dirent *entry;
	int several = 0;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		char *end;
		long fd = strtol(entry->d_name, &end, 10);
		int32_t copy, match;

		if (end == entry->d_name || *end)
			continue;
		copy = duplicate((int)fd, args, &match);
		if (copy < 0)
			continue;
		if (match > best) {
			if (found >= 0)
				close(found);
			found = copy;
			best = match;
			several = 0;
			continue;
		}
		several |= match == best && !same_socket(copy, found);
		close(copy);
	}
	closedir(directory);
	if (!several)
		return found;
	close(found);
	return -ENOTUNIQ;
}

int32_t socket_find(const struct qattach_args *args)
{
	int32_t match;

	return args->fd >= 0 ? duplicate(args->fd, args, &match) : search(args);
}

/* The program may go on using its own descriptor, and may close it. What it
 * has set on the socket is left as it is, but for the mark, until it is closed. */
int32_t socket_attach(struct socket *s, int fd)
{
	union address address = {0};
	socklen_t len = sizeof(address);

	s->attached = 1;
	s->connected = !getpeername(fd, &address.any, &len);
	len = sizeof(address);
	if (getsockname(fd, &address.any, &len))
		return -errno;
	s->family = address.any.sa_family;
	if (s->tos) {
		int32_t error = mark(s, fd, s->family);

		if (error)
			return error;
	}
	s->fd = fd;
	return 0;
}

/* A code point that the program has set meanwhile is its own. */
void socket_unmark(struct socket *s)
{
	if (!s->attached || !s->tos)
		return;
	if (s->family == AF_INET6 && marked(s, IPPROTO_IPV6, IPV6_TCLASS))
		swap_code_point(s->fd, IPPROTO_IPV6, IPV6_TCLASS, &s->ipv6_before);
	if ((s->family == AF_INET || takes_ipv4(s->fd)) && marked(s, IPPROTO_IP, IP_TOS))
		swap_code_point(s->fd, IPPROTO_IP, IP_TOS, &s->ipv4_before);
}

int32_t socket_connected(const struct socket *s)
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
 * error. Otherwise what the socket has taken is still delivered, and the end
 * is said at once (shutdown(2)), whoever has inherited the socket. If the peer
 * sent what nobody read, closing would reset as well, so that is read first. */
void socket_close(struct socket *s, int cut)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	char unread[SOCKET_DISCARD_BYTES];

	if (s->fd < 0)
		return;
	if (cut)
		connect(s->fd, &nobody, sizeof(nobody));
	if (s->type == QSOCKET_TCP && !s->attached) {
		shutdown(s->fd, SHUT_WR);
		for (int i = 0; i < SOCKET_DISCARD_READS_MAX; i++)
			if (recv(s->fd, unread, sizeof(unread), MSG_DONTWAIT) <= 0)
				break;
	}
	socket_unmark(s);
	close(s->fd);
	s->fd = -1;
}
