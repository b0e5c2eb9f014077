// SPDX-License-Identifier: GPL-2.0-only
/*
 * A message's way: through the socket's own code, security hooks included, as
 * sendmsg(2) takes it. With a datagram travels one SCM_TXTIME: its deadline in
 * nanoseconds of CLOCK_MONOTONIC, the low bits of which are its flags; without
 * a deadline the time is that of sending, and says nothing. A whole frame in one
 * call is cut by UDP_SEGMENT, and stays one packet down to the scheduler. TCP has
 * no such times: its streams are served by what was asked for at the start.
 */
#include <linux/in6.h>
#include <linux/net.h>
#include <linux/udp.h>
#include <linux/uio.h>
#include <net/inet_sock.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "manager.h"

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

union control {
	struct cmsghdr align;
	u8 bytes[CMSG_SPACE(sizeof(u64)) + CMSG_SPACE(sizeof(u16))];
};

static void put(union control *control, u32 at, int level, int type, const void *data, u32 bytes)
{
	struct cmsghdr *header = (struct cmsghdr *)(control->bytes + at);

	header->cmsg_len = CMSG_LEN(bytes);
	header->cmsg_level = level;
	header->cmsg_type = type;
	memcpy(CMSG_DATA(header), data, bytes);
}

/* Where to: an IPv6 socket knows IPv4 addresses as RFC 4291, section 2.5.5.2,
 * writes them. */
static int address_of(const struct sock *sk, const struct qsocket_addr *to, union address *address)
{
	memset(address, 0, sizeof(*address));
	if (to->family == AF_INET && sk->sk_family == AF_INET) {
		address->in.sin_family = AF_INET;
		address->in.sin_port = htons(to->port);
		memcpy(&address->in.sin_addr, to->bytes, 4);
		return sizeof(address->in);
	}
	if (sk->sk_family != AF_INET6)
		return -EAFNOSUPPORT;
	address->in6.sin6_family = AF_INET6;
	address->in6.sin6_port = htons(to->port);
	if (to->family == AF_INET) {
		address->in6.sin6_addr.s6_addr16[5] = 0xffff;
		memcpy(address->in6.sin6_addr.s6_addr + 12, to->bytes, 4);
	} else if (to->family == AF_INET6) {
		address->in6.sin6_scope_id = to->scope;
		memcpy(&address->in6.sin6_addr, to->bytes, 16);
	} else {
		return -EAFNOSUPPORT;
	}
	return sizeof(address->in6);
}

static struct dst_entry *route_v4(struct sock *sk, __be32 daddr, __be16 port)
{
	struct flowi4 flow = {};
	struct rtable *route =
		ip_route_output_ports(sock_net(sk), &flow, sk, daddr, inet_sk(sk)->inet_saddr, port,
				      inet_sk(sk)->inet_sport, IPPROTO_UDP, 0, sk->sk_bound_dev_if);

	return IS_ERR(route) ? ERR_CAST(route) : &route->dst;
}

static struct dst_entry *route_v6(struct sock *sk, const struct sockaddr_in6 *to)
{
	struct flowi6 flow = {
		.flowi6_proto = IPPROTO_UDP,
		.flowi6_mark = READ_ONCE(sk->sk_mark),
		.flowi6_oif = sk->sk_bound_dev_if,
		.daddr = to->sin6_addr,
		.saddr = inet6_sk(sk)->saddr,
		.fl6_dport = to->sin6_port,
		.fl6_sport = inet_sk(sk)->inet_sport,
	};

	if (!flow.flowi6_oif && ipv6_addr_type(&flow.daddr) & IPV6_ADDR_LINKLOCAL)
		flow.flowi6_oif = to->sin6_scope_id;
	return ip6_route_output(sock_net(sk), sk, &flow);
}

/* The route of what is sent there, or (without an address) to the peer. */
static struct dst_entry *route_to(struct sock *sk, const union address *to)
{
	struct sockaddr_in6 peer = {};

	if (to && to->any.sa_family == AF_INET)
		return route_v4(sk, to->in.sin_addr.s_addr, to->in.sin_port);
	if (!to && sk->sk_family == AF_INET)
		return route_v4(sk, inet_sk(sk)->inet_daddr, inet_sk(sk)->inet_dport);
	if (!to) {
		peer.sin6_addr = sk->sk_v6_daddr;
		peer.sin6_port = inet_sk(sk)->inet_dport;
	} else {
		peer = to->in6;
	}
	if (ipv6_addr_v4mapped(&peer.sin6_addr))
		return route_v4(sk, peer.sin6_addr.s6_addr32[3], peer.sin6_port);
	return route_v6(sk, &peer);
}

/* Another device's queue would take a time that means a deadline at its word. */
static int check_route(struct sock *sk, const union address *to, int ifindex)
{
	/* what IPv6 has in mind is not checked so easily */
	bool known = !to && sk->sk_family == AF_INET;
	struct dst_entry *dst = known ? sk_dst_check(sk, 0) : NULL;
	int error = 0;

	if (!dst)
		dst = route_to(sk, to);
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	if (dst->error)
		error = dst->error;
	else if (dst->dev->ifindex != ifindex)
		error = -ENOLINK;
	dst_release(dst);
	return error;
}

static int send_udp(struct socket *sock, struct msghdr *message, const struct qsend_args *args,
		    int ifindex)
{
	u64 now_ns = ktime_get_ns(), time_ns = now_ns;
	u16 segment = args->flags >> QSOCKET_SEGMENT_SHIFT;
	struct sock *sk = sock->sk;
	union control control = {};
	union address address;
	int len, error;

	if (args->to.family) {
		len = address_of(sk, &args->to, &address);
		if (len < 0)
			return len;
		message->msg_name = &address;
		message->msg_namelen = len;
	} else if (sk->sk_state != TCP_ESTABLISHED) {
		return -EDESTADDRREQ;
	}
	error = check_route(sk, args->to.family ? &address : NULL, ifindex);
	if (error)
		return error;
	if (args->flags & QSOCKET_DEADLINE)
		time_ns += args->deadline_us * (u64)NSEC_PER_USEC;
	time_ns = (time_ns & ~(u64)QSOCKET_TIME_FLAGS) | (args->flags & QSOCKET_TIME_FLAGS);
	put(&control, 0, SOL_SOCKET, SCM_TXTIME, &time_ns, sizeof(time_ns));
	message->msg_control = &control;
	message->msg_controllen = CMSG_SPACE(sizeof(time_ns));
	if (segment && segment < args->data_len) {
		put(&control, message->msg_controllen, SOL_UDP, UDP_SEGMENT, &segment,
		    sizeof(segment));
		message->msg_controllen += CMSG_SPACE(sizeof(segment));
	}
	return sock_sendmsg(sock, message);
}

static int send(struct socket *sock, const struct qsend_args *args)
{
	struct msghdr message = {.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL};
	void __user *data = u64_to_user_ptr(args->data);
	struct qsocket_member *member;
	bool udp = false;
	int ifindex = 0;

	rcu_read_lock();
	member = qsocket_member_of(sock->sk);
	if (member) {
		ifindex = member->ifindex;
		udp = member->udp;
	}
	rcu_read_unlock();
	if (!ifindex)
		return -ENOLINK;
	if (!access_ok(data, args->data_len))
		return -EFAULT;
	iov_iter_ubuf(&message.msg_iter, WRITE, data, args->data_len);
	if (udp)
		return send_udp(sock, &message, args, ifindex);
	if (args->to.family)
		return -EISCONN;
	return args->flags >> QSOCKET_SEGMENT_SHIFT || !args->data_len
		       ? -EINVAL
		       : sock_sendmsg(sock, &message);
}

long qsocket_send(const struct qsend_args *args)
{
	int error = qsocket_check_message(args);
	struct socket *sock;

	if (error)
		return error;
	sock = sockfd_lookup(args->handle, &error);
	if (!sock)
		return error;
	error = send(sock, args);
	sockfd_put(sock);
	return error;
}
