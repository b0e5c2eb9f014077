// SPDX-License-Identifier: GPL-2.0-only
/*
 * Root qdiscs are made, changed and removed by the kernel's own traffic control,
 * asked as tc(8) asks it: by messages of rtnetlink(7), here from a socket of the
 * kernel's. So rtnl, notifications, devices with many queues and devices that
 * are up are taken care of, and the caller's privileges are looked at there as
 * well.
 */
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "manager.h"

struct request {
	struct nlmsghdr header;
	struct tcmsg tc;
	u8 attributes[64];
};

static void put(struct request *request, u16 type, const void *data, u16 bytes)
{
	struct nlattr *attr = (void *)request + NLMSG_ALIGN(request->header.nlmsg_len);

	attr->nla_type = type;
	attr->nla_len = nla_attr_size(bytes);
	memcpy(nla_data(attr), data, bytes);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + nla_total_size(bytes);
}

static void begin(struct request *request, u16 type, u16 flags, int ifindex)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_len = NLMSG_LENGTH(sizeof(request->tc));
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->tc.tcm_ifindex = ifindex;
	request->tc.tcm_parent = TC_H_ROOT;
	request->tc.tcm_handle = type == RTM_NEWQDISC ? QSOCKET_HANDLE : 0;
}

/* The answer is there when sending returns. */
static int receive(struct socket *sock)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer;
	struct kvec part = {.iov_base = &answer, .iov_len = sizeof(answer)};
	struct msghdr message = {};
	int bytes = kernel_recvmsg(sock, &message, &part, 1, sizeof(answer), MSG_DONTWAIT);

	if (bytes < 0)
		return bytes;
	if (bytes < NLMSG_LENGTH(sizeof(int)) || answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

static int ask(struct net *net, struct request *request)
{
	/* named: the kernel then looks at who calls, and not at who opened the socket */
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct msghdr message = {.msg_name = &kernel, .msg_namelen = sizeof(kernel)};
	struct kvec part = {.iov_base = request, .iov_len = request->header.nlmsg_len};
	struct socket *sock;
	int error = sock_create_kern(net, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &sock);

	if (error)
		return error;
	error = kernel_sendmsg(sock, &message, &part, 1, part.iov_len);
	if (error >= 0)
		error = receive(sock);
	sock_release(sock);
	return error;
}

static int configure(struct net *net, int ifindex, u16 flags, const char *scheduler,
		     const struct qsocket_options *options)
{
	struct request request;
	char kind[IFNAMSIZ];
	int len = snprintf(kind, sizeof(kind), QSOCKET_KIND "%s", scheduler);

	if (len >= sizeof(kind))
		return -ENAMETOOLONG;
	begin(&request, RTM_NEWQDISC, flags, ifindex);
	put(&request, TCA_KIND, kind, len + 1);
	put(&request, TCA_OPTIONS, options, sizeof(*options));
	return ask(net, &request);
}

int qsocket_tc_add(struct net *net, int ifindex, const char *scheduler,
		   const struct qsocket_options *options)
{
	return configure(net, ifindex, NLM_F_CREATE | NLM_F_EXCL, scheduler, options);
}

int qsocket_tc_change(struct net *net, int ifindex, const char *scheduler,
		      const struct qsocket_options *options)
{
	return configure(net, ifindex, 0, scheduler, options);
}

int qsocket_tc_delete(struct net *net, int ifindex)
{
	struct request request;

	begin(&request, RTM_DELQDISC, 0, ifindex);
	return ask(net, &request);
}
