/* SPDX-License-Identifier: MIT
 *
 * What the kernel may answer to a send, given by the program itself: sendmmsg(2)
 * and ppoll(2) as the engine calls them, and a stream to try them on.
 */
#ifndef INJECT_H
#define INJECT_H

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

static inline int is_meant(int fd)
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

static inline void answer(int error, int times)
{
	inject = error;
	inject_times = times;
}

static int32_t link_handle, stream;
static int fd;

static inline void open_pair(const char *scheduler)
{
	uint16_t port;

	fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	link_handle = call_init(scheduler, FAST, 0);
	stream = open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, port));
}

static inline const char *close_pair(void)
{
	inject_times = inject_bytes_max = inject_port = 0;
	inject_random = 0;
	memset((char *)full, 0, sizeof(full));
	HOLDS(!call_close(link_handle, 0));
	close(fd);
	return NULL;
}

static inline const char *send_numbers(int first, int end)
{
	for (int n = first; n < end; n++)
		HOLDS(send_bytes(stream, &n, sizeof(n), 0) == sizeof(n));
	return NULL;
}

static inline const char *expect_numbers(int first, int end)
{
	for (int n = first; n < end; n++) {
		int number;

		HOLDS(receive(fd, &number, sizeof(number)) == sizeof(number) && number == n);
	}
	return NULL;
}

#endif
