/* SPDX-License-Identifier: MIT
 *
 * The network of the fuzzers: nothing leaves this host, whatever address an
 * input makes up. connect(2), bind(2) and sendmmsg(2) of the library end here
 * (as in test/c/inject.h): what is not for the two UDP ports of 127.0.0.1 and
 * ::1 that this file knows is refused, and a run may have answers mixed in
 * that a network can give. What is sent is looked at first: payloads are
 * counted up byte by byte, so that a piece out of place shows.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "records.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define PAYLOAD_STEP 7u /* from one byte of a payload to the next */

static uint16_t sink_port, closed_port; /* something, and nothing, listens */
static int sink_fd, spare_fd;		/* spare: a program's own, for QATTACH */

static _Atomic uint32_t fault_random; /* 0: only what the kernel answers */
static _Atomic int only_pretend;      /* nothing is handed to the kernel */

/* Raced by the links' threads, and none the worse for it. */
static inline uint32_t next_fault(void)
{
	uint32_t random = fault_random;

	if (!random)
		return 0;
	fault_random = random = (random * 1103515245u + 12345u) | 1;
	return random >> 16;
}

static inline int is_ours(const struct sockaddr *address, socklen_t len)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	int port;

	if (address->sa_family == AF_INET && len >= sizeof(*in) &&
	    in->sin_addr.s_addr == htonl(INADDR_LOOPBACK))
		port = ntohs(in->sin_port);
	else if (address->sa_family == AF_INET6 && len >= sizeof(*in6) &&
		 IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr))
		port = ntohs(in6->sin6_port);
	else
		return 0;
	return port == sink_port || port == closed_port;
}

static inline int type_of(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ? 0 : type;
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
	if (address->sa_family != AF_UNSPEC &&
	    (type_of(fd) != SOCK_DGRAM || !is_ours(address, len))) {
		errno = type_of(fd) == SOCK_STREAM ? ECONNREFUSED : ENETUNREACH;
		return -1;
	}
	return (int)syscall(SYS_connect, fd, address, len);
}

/* To a port that the kernel chooses, or not at all. */
int bind(int fd, const struct sockaddr *address, socklen_t len)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	int ours = address->sa_family == AF_INET
			   ? !in->sin_port && (in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) ||
					       in->sin_addr.s_addr == htonl(INADDR_ANY))
			   : !in6->sin6_port && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);

	if (ours)
		return (int)syscall(SYS_bind, fd, address, len);
	errno = EADDRNOTAVAIL;
	return -1;
}

static inline uint32_t segment_of(const struct msghdr *header)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(header);
	uint16_t segment = 0;

	if (control) {
		MUST(control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_SEGMENT,
		     "a control message of %d", control->cmsg_type);
		memcpy(&segment, CMSG_DATA(control), sizeof(segment));
		MUST(segment > 0, "segments of nothing");
	}
	return segment;
}

/* Messages are joined at the ends of segments, and nothing else is. */
static inline size_t check_payload(const struct msghdr *header)
{
	uint32_t segment = segment_of(header);
	size_t at = 0;
	uint8_t next = 0;

	for (size_t i = 0; i < header->msg_iovlen; i++) {
		const uint8_t *bytes = header->msg_iov[i].iov_base;

		for (size_t k = 0; k < header->msg_iov[i].iov_len; k++, at++) {
			MUST(at == 0 || bytes[k] == next || (segment && at % segment == 0),
			     "byte %zu of a payload is out of place", at);
			next = (uint8_t)(bytes[k] + PAYLOAD_STEP);
		}
	}
	MUST(!segment || at <= (size_t)segment * 64, "%zu bytes in segments of %u", at, segment);
	return at;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned len, int flags)
{
	static const int errors[] = {EAGAIN, EAGAIN,	  ENOBUFS, ECONNREFUSED, EPERM,
				     EINVAL, ENETUNREACH, EINTR,   EMSGSIZE,	 EIO};
	uint32_t fault = next_fault();

	MUST(len > 0, "nothing to send");
	for (unsigned i = 0; i < len; i++) {
		const struct msghdr *header = &messages[i].msg_hdr;

		messages[i].msg_len = (unsigned)check_payload(header);
		if (header->msg_name && !is_ours(header->msg_name, header->msg_namelen)) {
			if (i > 0)
				return (int)i; /* as many as it took */
			errno = ENETUNREACH;
			return -1;
		}
	}
	if (fault % 3 == 1) {
		errno = PICK(errors, fault / 3);
		return -1;
	}
	if (fault % 3 == 2)
		len = 1 + fault / 3 % len;
	return only_pretend ? (int)len : (int)syscall(SYS_sendmmsg, fd, messages, len, flags);
}

static inline int udp_socket(uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(fd >= 0 && !bind(fd, (struct sockaddr *)&address, len) &&
		     !getsockname(fd, (struct sockaddr *)&address, &len),
	     "no UDP on loopback: %s", strerror(errno));
	*port = ntohs(address.sin_port);
	return fd;
}

static inline void open_network(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	uint16_t port;
	int fd = udp_socket(&closed_port);

	sink_fd = udp_socket(&sink_port);
	spare_fd = udp_socket(&port);
	close(fd);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(sink_port);
	MUST(!connect(spare_fd, (struct sockaddr *)&address, sizeof(address)), "not connected: %s",
	     strerror(errno));
}

static inline uint32_t descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint32_t len = 0;

	MUST(directory, "no /proc/self/fd");
	while (readdir(directory))
		len++;
	closedir(directory);
	return len;
}

#endif
