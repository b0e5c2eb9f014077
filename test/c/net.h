/* SPDX-License-Identifier: MIT
 *
 * The other end of a managed socket: plain sockets on loopback. Waiting is for
 * a state, with a limit that only a failure reaches.
 */
#ifndef NET_H
#define NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PATIENCE_MS 20000
#define FAST 10000000000ull /* bytes per second: as good as unpaced */

static inline struct qsocket_addr loopback(int family, uint16_t port)
{
	struct qsocket_addr addr = {.family = (uint16_t)family, .port = port};

	if (family == AF_INET)
		memcpy(addr.bytes, "\x7f\0\0\1", 4);
	else
		addr.bytes[15] = 1;
	return addr;
}

/* A plain socket bound to a port of the loopback address. */
static inline int plain_socket(int family, int type, uint16_t *port)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address;
	socklen_t len = sizeof(address);
	int buffer_bytes = 1 << 20;

	*port = 0;
	memset(&address, 0, sizeof(address));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
	address.any.sa_family = (sa_family_t)family;
	if (family == AF_INET)
		address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		address.in6.sin6_addr = in6addr_loopback;
	if (fd < 0 || bind(fd, &address.any, family == AF_INET ? sizeof(address.in) : len) ||
	    getsockname(fd, &address.any, &len))
		return -1;
	*port = ntohs(family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
	return fd;
}

/* The next datagram; -1 when none comes. */
static inline int receive(int fd, void *data, size_t bytes)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	if (poll(&poller, 1, PATIENCE_MS) <= 0)
		return -1;
	return (int)recv(fd, data, bytes, 0);
}

static inline int32_t open_stream(int32_t link, uint32_t type, struct qsocket_addr peer)
{
	struct qsocket_args args = {.link = (uint32_t)link, .type = type, .peer = peer};

	return qsocketcall(QSOCKET, &args, sizeof(args));
}

static inline int32_t send_bytes(int32_t stream, const void *data, uint32_t bytes, uint32_t flags)
{
	return qsend((uint32_t)stream, data, bytes, flags | 6 << QSOCKET_DROP_SHIFT, 0);
}

/* Waits until all that a stream was given has ended one way or another. */
static inline struct qsocket_info wait_until_idle(int32_t handle)
{
	struct qsocket_info info;

	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		info = call_info(handle);
		if (!info.queued)
			break;
		usleep(1000);
	}
	return info;
}

/* Runs a promise in a process of its own, for what a process cannot undo. Its
 * answer comes back through a pipe, so the child keeps what it found. */
static inline const char *in_child(const char *(*promise)(void))
{
	static char why[200];
	int ends[2], status;
	ssize_t got;
	pid_t child;

	if (pipe(ends))
		return "pipe failed";
	child = fork();
	if (!child) {
		const char *answer = promise();

		if (answer && write(ends[1], answer, strlen(answer)) < 0)
			_exit(2);
		_exit(0);
	}
	close(ends[1]);
	got = read(ends[0], why, sizeof(why) - 1);
	close(ends[0]);
	waitpid(child, &status, 0);
	why[got > 0 ? got : 0] = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return "the process crashed";
	return got > 0 ? why : NULL;
}

/* In a network of this process alone, with loopback up and so large an MTU;
 * 0 where the system does not allow that. */
static inline int own_network(int mtu)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd, ok;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	request.ifr_mtu = mtu;
	ok = !ioctl(fd, SIOCSIFMTU, &request);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	ok = ok && !ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return ok;
}

/* Takes the address off, and with it the route: the interface is gone to a
 * socket that sends there. */
static inline int loopback_gone(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_addr.sa_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), failed = ioctl(fd, SIOCSIFADDR, &request);

	close(fd);
	return !failed;
}

#endif
