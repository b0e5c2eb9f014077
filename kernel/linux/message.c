// SPDX-License-Identifier: GPL-2.0-only
/*
 * A message's way: through the socket's own code, security hooks included, as
 * sendmsg(2) takes it. With a datagram travels one SCM_TXTIME: its deadline in
 * nanoseconds of CLOCK_MONOTONIC, the low bits of which are its flags; without
 * a deadline the time is one that has passed, and says nothing. A whole frame in
 * one call is cut by UDP_SEGMENT, and stays one packet down to the scheduler. TCP
 * has no such times: its streams are served by what was asked for at the start.
 *
 * A time must not get to another device. The way is looked at first (route.c);
 * and over IPv4 the socket is told to take none but the member's device, so that
 * a route that changes between the two cannot lead it elsewhere.
 */
#include <linux/net.h>
#include <linux/udp.h>
#include <linux/uio.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

#include "compat.h"
#include "manager.h"

union control {
	struct cmsghdr align;
	u8 bytes[CMSG_SPACE(sizeof(u64)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
		 CMSG_SPACE(sizeof(u16))];
};

/* One more, behind those that are there. */
static void put(union control *control, struct msghdr *message, int level, int type,
		const void *data, u32 bytes)
{
	struct cmsghdr *header = (struct cmsghdr *)(control->bytes + message->msg_controllen);

	header->cmsg_len = CMSG_LEN(bytes);
	header->cmsg_level = level;
	header->cmsg_type = type;
	memcpy(CMSG_DATA(header), data, bytes);
	message->msg_controllen += CMSG_SPACE(bytes);
}

/* Where to: an IPv6 socket knows IPv4 addresses as RFC 4291, section 2.5.5.2,
 * writes them. */
int qsocket_address(const struct sock *sk, const struct qsocket_addr *to,
		    union qsocket_sockaddr *address)
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

/* What a message travels with. One that says no more than all others do has
 * nothing; of a connected socket it then takes the way that the socket knows. */
static void put_control(const struct qsend_args *args, struct msghdr *message,
			union control *control, const struct sock *sk, int ifindex, bool v4)
{
	u32 flags = args->flags & QSOCKET_TIME_FLAGS;
	u16 segment = args->flags >> QSOCKET_SEGMENT_SHIFT;
	u64 time_ns = QSOCKET_TIME_FLAGS + 1;

	message->msg_control = control;
	if (flags != QSOCKET_USUAL) {
		struct in_pktinfo way = {.ipi_ifindex = ifindex};

		if (flags & QSOCKET_DEADLINE)
			time_ns = ktime_get_ns() + args->deadline_us * (u64)NSEC_PER_USEC;
		time_ns = (time_ns & ~(u64)QSOCKET_TIME_FLAGS) | flags;
		put(control, message, SOL_SOCKET, SCM_TXTIME, &time_ns, sizeof(time_ns));
		way.ipi_spec_dst.s_addr = inet_sk(sk)->inet_saddr;
		if (v4)
			put(control, message, SOL_IP, IP_PKTINFO, &way, sizeof(way));
	}
	if (segment && segment < args->data_len)
		put(control, message, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
}

static int send_udp(struct socket *sock, struct msghdr *message, const struct qsend_args *args,
		    const union qsocket_sockaddr *to, int ifindex)
{
	const struct sock *sk = sock->sk;
	union control control;
	bool v4 = sk->sk_family == AF_INET ||
		  ipv6_addr_v4mapped(to ? &to->in6.sin6_addr : &sk->sk_v6_daddr);

	put_control(args, message, &control, sk, ifindex, v4);
	return sock_sendmsg(sock, message);
}

/* Whether a message may go there: what its member says. */
static int check_member(struct qsocket_member *member, const union qsocket_sockaddr *to)
{
	if (!member)
		return -ENOLINK;
	if (READ_ONCE(member->draining))
		return -EPIPE;
	if (!member->udp)
		return to ? -EISCONN : 0;
	if (!to && member->sk->sk_state != TCP_ESTABLISHED)
		return -EDESTADDRREQ;
	return qsocket_route_check(member, to);
}

static int send(struct socket *sock, const struct qsend_args *args)
{
	struct msghdr message = {.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL};
	void __user *data = u64_to_user_ptr(args->data);
	struct qsocket_member *member;
	union qsocket_sockaddr address, *to = NULL;
	int error = 0, ifindex = 0;
	bool udp = false;

	rcu_read_lock();
	member = qsocket_member_of(sock->sk);
	if (member)
		atomic64_inc(&member->sends);
	if (args->to.family) {
		error = qsocket_address(sock->sk, &args->to, &address);
		message.msg_name = to = &address;
		message.msg_namelen = error;
	}
	if (error >= 0)
		error = check_member(member, to);
	if (!error) {
		udp = member->udp;
		ifindex = member->ifindex;
	}
	rcu_read_unlock();
	if (error)
		return error;
	if (!access_ok(data, args->data_len))
		return -EFAULT;
	iov_iter_ubuf(&message.msg_iter, ITER_SOURCE, data, args->data_len);
	if (udp)
		return send_udp(sock, &message, args, to, ifindex);
	return args->flags >> QSOCKET_SEGMENT_SHIFT || !args->data_len
		       ? -EINVAL
		       : sock_sendmsg(sock, &message);
}

/* The stream may have ended meanwhile. That there is no room just now is no fault. */
static void count_error(const struct sock *sk, int error)
{
	struct qsocket_member *member;

	if (error == -EAGAIN)
		return;
	rcu_read_lock();
	member = qsocket_member_of(sk);
	if (member) {
		atomic64_inc(&member->errors);
		WRITE_ONCE(member->last_error, -error);
	}
	rcu_read_unlock();
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
	if (error < 0)
		count_error(sock->sk, error);
	sockfd_put(sock);
	return error;
}
