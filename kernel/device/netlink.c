/* SPDX-License-Identifier: MIT
 *
 * The kernel's traffic control messages, rtnetlink(7): a request at a time, and
 * its answer. What comes from the kernel is read as if it came from anybody.
 */
#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "netlink.h"

#define ANSWER_BYTES 65536    /* of one read: more than the kernel puts in one */
#define ANSWER_SECONDS_MAX 10 /* without an answer: the kernel answers at once */

int32_t netlink_open(void)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = ANSWER_SECONDS_MAX};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int32_t error;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

void request_start(struct request *r, uint16_t type, uint16_t flags, const struct tcmsg *tc)
{
	memset(r, 0, sizeof(*r));
	r->header.nlmsg_len = NLMSG_LENGTH(sizeof(*tc));
	r->header.nlmsg_type = type;
	r->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	r->tc = *tc;
}

void request_start_link(struct request *r, uint16_t type, const struct ifinfomsg *link)
{
	_Static_assert(sizeof(*link) <= sizeof(r->tc), "it lies there");
	memset(r, 0, sizeof(*r));
	r->header.nlmsg_len = NLMSG_LENGTH(sizeof(*link));
	r->header.nlmsg_type = type;
	r->header.nlmsg_flags = NLM_F_REQUEST;
	memcpy(&r->tc, link, sizeof(*link));
}

void request_put(struct request *r, uint16_t type, const void *value, size_t bytes)
{
	struct rtattr attr = {.rta_len = (uint16_t)RTA_LENGTH(bytes), .rta_type = type};
	uint8_t *at = (uint8_t *)r + r->header.nlmsg_len;

	if (r->header.nlmsg_len + RTA_SPACE(bytes) > offsetof(struct request, too_long)) {
		r->too_long = 1;
		return;
	}
	memcpy(at, &attr, sizeof(attr));
	if (bytes)
		memcpy(at + RTA_LENGTH(0), value, bytes);
	r->header.nlmsg_len += (uint32_t)RTA_SPACE(bytes);
}

void request_put_name(struct request *r, uint16_t type, const char *name)
{
	request_put(r, type, name, strlen(name) + 1);
}

uint32_t request_nest(struct request *r, uint16_t type)
{
	uint32_t start = r->header.nlmsg_len;

	request_put(r, type, NULL, 0);
	return start;
}

void request_nest_end(struct request *r, uint32_t start)
{
	uint16_t bytes = (uint16_t)(r->header.nlmsg_len - start);

	if (!r->too_long)
		memcpy((uint8_t *)r + start, &bytes, sizeof(bytes)); /* rta_len */
}

const struct nlmsghdr *message_next(const void *bytes, size_t len, size_t *at)
{
	const struct nlmsghdr *message;

	if (*at > len || len - *at < sizeof(*message))
		return NULL;
	message = (const struct nlmsghdr *)(const void *)((const uint8_t *)bytes + *at);
	if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > len - *at)
		return NULL;
	*at += NLMSG_ALIGN((size_t)message->nlmsg_len);
	return message;
}

const void *attribute(const void *bytes, size_t len, uint16_t type, size_t *value_len)
{
	const uint8_t *at = bytes;
	struct rtattr attr;

	while (len >= sizeof(attr)) {
		size_t space;

		memcpy(&attr, at, sizeof(attr));
		if (attr.rta_len < sizeof(attr) || attr.rta_len > len)
			return NULL;
		if ((attr.rta_type & NLA_TYPE_MASK) == type) {
			*value_len = attr.rta_len - RTA_LENGTH(0);
			return at + RTA_LENGTH(0);
		}
		space = RTA_ALIGN((size_t)attr.rta_len);
		if (space > len)
			return NULL;
		at += space;
		len -= space;
	}
	return NULL;
}

/* What a kernel says of a request: 0, -errno, or 1 if that is not what it says.
 * The end of a list says too whether it is all of it. */
static int32_t verdict(const struct nlmsghdr *message)
{
	int32_t error = 0;

	if (message->nlmsg_type != NLMSG_DONE && message->nlmsg_type != NLMSG_ERROR)
		return 1;
	if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
		memcpy(&error, NLMSG_DATA(message), sizeof(error));
	else if (message->nlmsg_type == NLMSG_ERROR)
		return -EBADMSG;
	return error > 0 ? -EBADMSG : error;
}

int32_t answer_read(struct answer *a, const void *bytes, size_t len)
{
	const struct nlmsghdr *message;
	size_t at = 0;

	while ((message = message_next(bytes, len, &at))) {
		int32_t result;

		if (message->nlmsg_seq != a->sequence)
			continue; /* of a request that was given up */
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			a->interrupted = 1;
		result = verdict(message);
		if (result < 0 || (!result && !a->interrupted))
			return result;
		if (!result) /* read to its end: until then the kernel lists nothing else */
			return -EINTR;
		if (a->see)
			a->see(message, a->seen);
	}
	return 1;
}

/* Sends a request and hands each message of the answer over, to its end. */
static int32_t talk(int fd, struct request *r, void (*see)(const struct nlmsghdr *, void *),
		    void *seen)
{
	static _Thread_local uint32_t sequence;
	uint8_t bytes[ANSWER_BYTES] __attribute__((aligned(8)));
	struct answer answer = {.see = see, .seen = seen};
	int32_t result = 1;

	if (r->too_long)
		return -E2BIG;
	r->header.nlmsg_seq = answer.sequence = ++sequence;
	if (send(fd, r, r->header.nlmsg_len, 0) < 0)
		return -errno;
	while (result == 1) {
		struct sockaddr_nl from = {0};
		struct iovec iovec = {bytes, sizeof(bytes)};
		struct msghdr header = {.msg_name = &from,
					.msg_namelen = sizeof(from),
					.msg_iov = &iovec,
					.msg_iovlen = 1};
		ssize_t len = recvmsg(fd, &header, 0);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if (from.nl_pid) /* a program, and not the kernel */
			continue;
		if (header.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		result = answer_read(&answer, bytes, (size_t)len);
	}
	return result;
}

int32_t netlink_ask(int fd, struct request *r, void (*see)(const struct nlmsghdr *, void *),
		    void *seen)
{
	r->header.nlmsg_flags |= NLM_F_ACK;
	return talk(fd, r, see, seen);
}

int32_t netlink_do(int fd, struct request *r)
{
	return netlink_ask(fd, r, NULL, NULL);
}

static int read_kind(const void *attrs, size_t attrs_len, char kind[QSOCKET_NAME_BYTES])
{
	size_t len;
	const char *value = attribute(attrs, attrs_len, TCA_KIND, &len);

	if (!value || !len || len > QSOCKET_NAME_BYTES || value[len - 1])
		return 0;
	memset(kind, 0, QSOCKET_NAME_BYTES);
	memcpy(kind, value, len);
	return 1;
}

int qdisc_read(const struct nlmsghdr *message, uint32_t ifindex, struct root *root)
{
	const uint8_t *attrs = (const uint8_t *)message + NLMSG_SPACE(sizeof(struct tcmsg));
	size_t attrs_len, options_len, len;
	const void *options, *stats;
	struct tcmsg tc;

	if (message->nlmsg_type != RTM_NEWQDISC || message->nlmsg_len < NLMSG_SPACE(sizeof(tc)))
		return 0;
	memcpy(&tc, NLMSG_DATA(message), sizeof(tc));
	if (tc.tcm_ifindex != (int)ifindex || tc.tcm_parent == TC_H_INGRESS)
		return 0;
	attrs_len = message->nlmsg_len - NLMSG_SPACE(sizeof(tc));
	if (tc.tcm_parent != TC_H_ROOT) {
		root->children++;
		root->configured += tc.tcm_handle != 0;
		read_kind(attrs, attrs_len, root->child);
		return 0;
	}
	if (!read_kind(attrs, attrs_len, root->kind))
		return 0;
	root->handle = tc.tcm_handle;
	root->has_size_table = !!attribute(attrs, attrs_len, TCA_STAB, &len);
	stats = attribute(attrs, attrs_len, TCA_STATS2, &len);
	root->has_estimator = stats && attribute(stats, len, TCA_STATS_RATE_EST, &len);
	options = attribute(attrs, attrs_len, TCA_OPTIONS, &options_len);
	root->options_len = ROOT_OPTIONS_TOO_LONG;
	if (!options)
		root->options_len = 0;
	else if (options_len <= sizeof(root->options))
		root->options_len = (uint32_t)options_len;
	if (options && root->options_len != ROOT_OPTIONS_TOO_LONG)
		memcpy(root->options, options, options_len);
	return 1;
}

struct seen_root {
	uint32_t ifindex;
	struct root *root;
};

static void see_qdisc(const struct nlmsghdr *message, void *seen)
{
	const struct seen_root *s = seen;

	qdisc_read(message, s->ifindex, s->root);
}

int32_t netlink_root(int fd, uint32_t ifindex, struct root *root)
{
	struct tcmsg tc = {.tcm_ifindex = (int)ifindex};
	struct seen_root seen = {ifindex, root};
	struct request r;
	int32_t error;

	for (int tries = 0; tries < DUMP_TRIES_MAX; tries++) {
		memset(root, 0, sizeof(*root));
		request_start(&r, RTM_GETQDISC, NLM_F_DUMP, &tc);
		error = talk(fd, &r, see_qdisc, &seen);
		if (error != -EINTR)
			return error;
	}
	return -EAGAIN;
}

static void count_filter(const struct nlmsghdr *message, void *seen)
{
	if (message->nlmsg_type == RTM_NEWTFILTER)
		++*(uint32_t *)seen;
}

int32_t netlink_filters(int fd, uint32_t ifindex, uint32_t parent, uint32_t *filters)
{
	struct tcmsg tc = {.tcm_ifindex = (int)ifindex, .tcm_parent = parent};
	struct request r;
	int32_t error;

	for (int tries = 0; tries < DUMP_TRIES_MAX; tries++) {
		*filters = 0;
		request_start(&r, RTM_GETTFILTER, NLM_F_DUMP, &tc);
		error = talk(fd, &r, count_filter, filters);
		if (error != -EINTR)
			return error;
	}
	return -EAGAIN;
}

int32_t netlink_attach(int fd, uint32_t ifindex, const char *kind, uint32_t handle,
		       const void *options, size_t options_len)
{
	struct tcmsg tc = {
		.tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_ROOT, .tcm_handle = handle};
	struct request r;

	request_start(&r, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &tc);
	request_put_name(&r, TCA_KIND, kind);
	if (options_len)
		request_put(&r, TCA_OPTIONS, options, options_len);
	return netlink_do(fd, &r);
}

int32_t netlink_detach(int fd, uint32_t ifindex)
{
	struct tcmsg tc = {.tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_ROOT};
	struct request r;

	request_start(&r, RTM_DELQDISC, 0, &tc);
	return netlink_do(fd, &r);
}
