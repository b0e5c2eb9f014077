// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a member's messages leave the machine. Another device's queue would take
 * a time that means a deadline at its word, and other traffic's scheduler knows
 * no contract: a message that would get there is refused (-ENOLINK).
 *
 * The way of the last message is remembered with all that led to it, and is
 * good as long as the kernel's own dst_check() says so; so a stream asks the
 * routing tables once, and again when they change.
 */
#include <net/inet_sock.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "compat.h"
#include "manager.h"

/* By which device a socket would have it leave, as udp_sendmsg() asks it. */
static int device_v4(const struct sock *sk, __be32 to)
{
	const struct inet_sock *inet = inet_sk(sk);
	int bound = READ_ONCE(sk->sk_bound_dev_if);

	if (bound)
		return bound;
	return ipv4_is_multicast(to) ? READ_ONCE(inet->mc_index) : READ_ONCE(inet->uc_index);
}

/* ... and udpv6_sendmsg() */
static int device_v6(const struct sock *sk, const struct qsocket_way *way)
{
	const struct ipv6_pinfo *np = inet6_sk(sk);
	int bound = READ_ONCE(sk->sk_bound_dev_if);

	if (way->scope && __ipv6_addr_needs_scope_id(__ipv6_addr_type(&way->to)))
		return way->scope;
	if (!bound)
		bound = np->sticky_pktinfo.ipi6_ifindex;
	if (bound)
		return bound;
	return ipv6_addr_is_multicast(&way->to) ? READ_ONCE(np->mcast_oif)
						: READ_ONCE(np->ucast_oif);
}

/* An unconnected message's, or the peer's. */
static __always_inline void way_of(const struct sock *sk, const union qsocket_sockaddr *to,
				   struct qsocket_way *way)
{
	const struct inet_sock *inet = inet_sk(sk);

	memset(way, 0, sizeof(*way));
	way->mark = READ_ONCE(sk->sk_mark);
	way->sport = inet->inet_sport;
	if (sk->sk_family == AF_INET) {
		way->from.s6_addr32[3] = inet->inet_saddr;
		ipv6_addr_set_v4mapped(to ? to->in.sin_addr.s_addr : inet->inet_daddr, &way->to);
		way->dport = to ? to->in.sin_port : inet->inet_dport;
		way->bound = device_v4(sk, way->to.s6_addr32[3]);
		return;
	}
	way->from = inet6_sk(sk)->saddr;
	way->to = to ? to->in6.sin6_addr : sk->sk_v6_daddr;
	way->dport = to ? to->in6.sin6_port : inet->inet_dport;
	way->scope = to ? to->in6.sin6_scope_id : 0;
	way->bound = ipv6_addr_v4mapped(&way->to) ? device_v4(sk, way->to.s6_addr32[3])
						  : device_v6(sk, way);
}

static struct dst_entry *route_v4(struct sock *sk, const struct qsocket_way *way)
{
	struct flowi4 flow = {};
	struct rtable *route = ip_route_output_ports(sock_net(sk), &flow, sk, way->to.s6_addr32[3],
						     inet_sk(sk)->inet_saddr, way->dport,
						     way->sport, IPPROTO_UDP, 0, way->bound);

	return IS_ERR(route) ? ERR_CAST(route) : &route->dst;
}

static struct dst_entry *route_v6(struct sock *sk, const struct qsocket_way *way)
{
	struct flowi6 flow = {
		.flowi6_proto = IPPROTO_UDP,
		.flowi6_mark = way->mark,
		.flowi6_oif = way->bound,
		.daddr = way->to,
		.saddr = way->from,
		.fl6_dport = way->dport,
		.fl6_sport = way->sport,
	};

	return ip6_route_output(sock_net(sk), sk, &flow);
}

/* Takes over the reference to `dst`; gives back the one that is not kept. */
static struct dst_entry *remember(struct qsocket_route *route, const struct qsocket_way *way,
				  struct dst_entry *dst, u32 cookie)
{
	spin_lock(&route->lock);
	if (!route->is_closed) {
		swap(route->dst, dst);
		route->cookie = cookie;
		route->way = *way;
	}
	spin_unlock(&route->lock);
	return dst;
}

static int look_up(struct qsocket_member *member, const struct qsocket_way *way)
{
	bool v4 = ipv6_addr_v4mapped(&way->to);
	struct dst_entry *dst = v4 ? route_v4(member->sk, way) : route_v6(member->sk, way);
	int error = 0;

	if (IS_ERR(dst))
		return PTR_ERR(dst);
	if (dst->error)
		error = dst->error;
	else if (dst->dev->ifindex != member->ifindex)
		error = -ENOLINK;
	else
		dst = remember(&member->route, way, dst,
			       v4 ? 0 : rt6_get_cookie(container_of(dst, struct rt6_info, dst)));
	dst_release(dst);
	return error;
}

/* Word by word: to look at each of them costs less than a call. */
static bool is_same(const struct qsocket_way *a, const struct qsocket_way *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;
	u64 difference = 0;

	for (u32 i = 0; i < sizeof(*a) / sizeof(*x); i++)
		difference |= x[i] ^ y[i];
	return !difference;
}

int qsocket_route_check(struct qsocket_member *member, const union qsocket_sockaddr *to)
{
	struct qsocket_route *route = &member->route;
	struct qsocket_way way;
	bool is_known;

	way_of(member->sk, to, &way);
	spin_lock(&route->lock);
	is_known = route->dst && is_same(&route->way, &way) && dst_check(route->dst, route->cookie);
	spin_unlock(&route->lock);
	return is_known ? 0 : look_up(member, &way);
}

void qsocket_route_close(struct qsocket_route *route)
{
	struct dst_entry *dst;

	spin_lock(&route->lock);
	route->is_closed = true;
	dst = route->dst;
	route->dst = NULL;
	spin_unlock(&route->lock);
	dst_release(dst);
}
