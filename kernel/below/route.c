/* SPDX-License-Identifier: MIT
 *
 * Where a socket's datagrams leave the machine: asked of the routing table
 * (rtnetlink(7), RTM_GETROUTE), with what the socket adds to the question. A
 * time of sending that meant a deadline would be taken at its word by another
 * device's queue, so a message must not get there.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "below.h"

#define ANSWER_BYTES 4096
#define ANSWERS_MAX 16 /* to earlier questions, read past */

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

struct question {
	struct nlmsghdr header;
	struct rtmsg route;
	uint8_t attributes[128];
};

int route_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int error;

	if (fd < 0)
		return -errno;
	/* nobody else may answer */
	if (!connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static void add(struct question *q, uint16_t type, const void *data, uint32_t len)
{
	struct rtattr *attribute = (void *)((uint8_t *)q + NLMSG_ALIGN(q->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), data, len);
	q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static uint32_t option(int fd, int name)
{
	uint32_t value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? 0 : value;
}

/* The address that the socket sends from, where it has one. */
static void add_source(struct question *q, int fd)
{
	union address from = {0};
	socklen_t len = sizeof(from);

	if (getsockname(fd, &from.any, &len))
		return;
	if (from.any.sa_family == AF_INET && q->route.rtm_family == AF_INET) {
		if (from.in.sin_addr.s_addr != INADDR_ANY) {
			q->route.rtm_src_len = 32;
			add(q, RTA_SRC, &from.in.sin_addr, 4);
		}
	} else if (from.any.sa_family == AF_INET6 && q->route.rtm_family == AF_INET) {
		if (IN6_IS_ADDR_V4MAPPED(&from.in6.sin6_addr)) {
			q->route.rtm_src_len = 32;
			add(q, RTA_SRC, from.in6.sin6_addr.s6_addr + 12, 4);
		}
	} else if (from.any.sa_family == AF_INET6) {
		if (!IN6_IS_ADDR_UNSPECIFIED(&from.in6.sin6_addr)) {
			q->route.rtm_src_len = 128;
			add(q, RTA_SRC, &from.in6.sin6_addr, 16);
		}
	}
}

static void ask(struct question *q, int fd, const struct qsocket_addr *to)
{
	int mapped = to->family == AF_INET6 &&
		     IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)to->bytes);
	int is_v4 = to->family == AF_INET || mapped;
	uint32_t device = option(fd, SO_BINDTOIFINDEX), mark = option(fd, SO_MARK);

	memset(q, 0, sizeof(*q));
	q->header.nlmsg_len = NLMSG_LENGTH(sizeof(q->route));
	q->header.nlmsg_type = RTM_GETROUTE;
	q->header.nlmsg_flags = NLM_F_REQUEST;
	q->header.nlmsg_seq = (uint32_t)qsocket_now(); /* told from those before it */
	q->route.rtm_family = is_v4 ? AF_INET : AF_INET6;
	q->route.rtm_dst_len = is_v4 ? 32 : 128;
	add(q, RTA_DST, mapped ? to->bytes + 12 : to->bytes, is_v4 ? 4 : 16);
	add_source(q, fd);
	if (!device && !is_v4)
		device = to->scope;
	if (device)
		add(q, RTA_OIF, &device, sizeof(device));
	if (mark)
		add(q, RTA_MARK, &mark, sizeof(mark));
}

/* The device of an answer, or -errno. */
static int32_t answered(const struct nlmsghdr *header, ssize_t len)
{
	const struct rtattr *attribute;
	const struct rtmsg *route;
	uint32_t left, ifindex;

	if (len < 0 || !NLMSG_OK(header, (size_t)len))
		return -EIO;
	if (header->nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
	if (header->nlmsg_type != RTM_NEWROUTE)
		return -EIO;
	route = NLMSG_DATA(header);
	left = (uint32_t)RTM_PAYLOAD(header);
	for (attribute = RTM_RTA(route); RTA_OK(attribute, left);
	     attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type != RTA_OIF)
			continue;
		memcpy(&ifindex, RTA_DATA(attribute), sizeof(ifindex));
		return (int32_t)ifindex;
	}
	return -EIO;
}

/* The kernel answers before it lets go of who asks. */
static int32_t answer_to(int route_fd, uint32_t seq)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[ANSWER_BYTES];
	} answer;

	for (int i = 0; i < ANSWERS_MAX; i++) {
		ssize_t len = recv(route_fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 || (size_t)len > sizeof(answer))
			return -EIO;
		if (NLMSG_OK(&answer.header, (size_t)len) && answer.header.nlmsg_seq == seq)
			return answered(&answer.header, len);
	}
	return -EIO;
}

int32_t route_check(int route_fd, uint32_t ifindex, int fd, const struct qsocket_addr *to)
{
	struct question question;
	int32_t found;

	ask(&question, fd, to);
	if (sendto(route_fd, &question, question.header.nlmsg_len, 0, NULL, 0) < 0)
		return -errno;
	found = answer_to(route_fd, question.header.nlmsg_seq);
	if (found < 0)
		return found;
	return (uint32_t)found == ifindex ? 0 : -ENOLINK;
}
