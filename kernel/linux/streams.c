// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls that make a socket a stream, change it, and end it. Who has a socket
 * open may do that, and nobody else. How long it then is one: members.c.
 */
#include <linux/file.h>
#include <linux/in.h>
#include <linux/net.h>
#include <net/sock.h>

#include "compat.h"
#include "manager.h"

static struct qsocket_attr with_type(const struct qsocket_attr *attr, bool udp)
{
	struct qsocket_attr result = *attr;

	if (!udp) /* what is lost would be sent again */
		result.flags |= QSOCKET_UNDROPPABLE;
	return result;
}

/* Internet sockets alone have what a stream needs. */
static int check_socket(const struct sock *sk, u32 type)
{
	if (sk->sk_family != AF_INET && sk->sk_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (type == QSOCKET_UDP)
		return sk_is_udp(sk) ? 0 : -EPROTOTYPE;
	if (type == QSOCKET_TCP)
		return sk_is_tcp(sk) ? 0 : -EPROTOTYPE;
	return -EINVAL;
}

static int attach(struct socket *sock, u32 type, u32 link, const struct qsocket_attr *attr,
		  struct qsocket_admission *admission)
{
	int error = check_socket(sock->sk, type);
	struct qsocket_attr wanted = with_type(attr, type == QSOCKET_UDP);

	if (!error)
		error = qsocket_check_attr(attr);
	if (error)
		return error;
	lock_sock(sock->sk);
	mutex_lock(&qsocket_lock);
	error = qsocket_enter(sock->sk, link, &wanted, admission);
	mutex_unlock(&qsocket_lock);
	release_sock(sock->sk);
	return error;
}

long qsocket_attach(struct qattach_args *args)
{
	struct socket *sock;
	int error;

	memset(&args->admission, 0, sizeof(args->admission));
	if (args->zero || memchr_inv(&args->local, 0, sizeof(args->local)) ||
	    memchr_inv(&args->peer, 0, sizeof(args->peer)))
		return -EINVAL;
	sock = sockfd_lookup(args->fd, &error);
	if (!sock)
		return error;
	error = attach(sock, args->type, args->link, &args->attr, &args->admission);
	sockfd_put(sock);
	return error ? error : args->fd;
}

static int end(struct socket *sock, bool drains)
{
	int error;

	lock_sock(sock->sk);
	mutex_lock(&qsocket_lock);
	error = qsocket_end(sock->sk, drains);
	mutex_unlock(&qsocket_lock);
	release_sock(sock->sk);
	return error;
}

/* That has more than a family, which says nothing but that. */
static bool is_address(const struct qsocket_addr *addr)
{
	return addr->port || addr->scope || memchr_inv(addr->bytes, 0, sizeof(addr->bytes));
}

/* Nothing is sent before all that is asked for is found to be in order. */
static int set_up(struct socket *sock, struct qsocket_args *args)
{
	int error = is_address(&args->local) ? qsocket_bind(sock, &args->local) : 0;

	if (!error)
		error = attach(sock, args->type, args->link, &args->attr, &args->admission);
	if (error || !args->peer.family)
		return error;
	error = qsocket_connect(sock, &args->peer);
	if (error)
		end(sock, false);
	return error;
}

static int family_of(const struct qsocket_args *args)
{
	if (args->local.family)
		return args->local.family;
	return args->peer.family ? args->peer.family : AF_INET;
}

long qsocket_create(struct qsocket_args *args, struct file **opened)
{
	int family = family_of(args), fd, error;
	struct socket *sock;
	struct file *file;

	memset(&args->admission, 0, sizeof(args->admission));
	if ((!args->local.family && is_address(&args->local)) ||
	    (!args->peer.family && is_address(&args->peer)))
		return -EINVAL;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (args->type != QSOCKET_UDP && args->type != QSOCKET_TCP)
		return -EINVAL;
	error = sock_create(family, args->type == QSOCKET_UDP ? SOCK_DGRAM : SOCK_STREAM, 0, &sock);
	if (error)
		return error;
	file = sock_alloc_file(sock, O_CLOEXEC, NULL); /* releases it on failure, too */
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		fput(file);
		return fd;
	}
	error = set_up(sock, args);
	if (error) {
		put_unused_fd(fd);
		fput(file);
		return error;
	}
	*opened = file;
	return fd;
}

static int change(struct sock *sk, struct qchange_args *args)
{
	struct qsocket_member *member = qsocket_member_of(sk);
	struct qsocket_root *root;
	struct qsocket_attr attr;
	int error, periods;

	if (!member)
		return -ENOLINK;
	root = member->root;
	attr = with_type(&args->attr, member->udp);
	periods = qsocket_periods(member, &attr);
	if (periods < 0)
		return periods;
	qsocket_root_lock(root);
	error = root->scheduler->change(root, member->stream, &attr, &args->admission);
	qsocket_root_unlock(root);
	if (!error)
		qsocket_set_periods(member, periods);
	member->admission = args->admission;
	return error;
}

long qsocket_change(struct qchange_args *args)
{
	struct socket *sock;
	int error = qsocket_check_attr(&args->attr);

	memset(&args->admission, 0, sizeof(args->admission));
	if (args->zero || error)
		return error ? error : -EINVAL;
	if (args->handle & QSOCKET_LINK_HANDLE) {
		if (!args->rate || args->rate > QSOCKET_RATE_MAX ||
		    memchr_inv(&args->attr, 0, sizeof(args->attr)))
			return -EINVAL;
		return qsocket_change_rate(args->handle & ~QSOCKET_LINK_HANDLE, args->rate);
	}
	if (args->rate)
		return -EINVAL;
	sock = sockfd_lookup(args->handle, &error);
	if (!sock)
		return error;
	mutex_lock(&qsocket_lock);
	error = change(sock->sk, args);
	mutex_unlock(&qsocket_lock);
	sockfd_put(sock);
	return error;
}

long qsocket_close(const struct qclose_args *args)
{
	struct socket *sock;
	int error;

	if (args->flags & ~QCLOSE_DRAIN)
		return -EINVAL;
	if (args->handle & QSOCKET_LINK_HANDLE)
		return 0;
	sock = sockfd_lookup(args->handle, &error);
	if (!sock)
		return error;
	error = end(sock, args->flags & QCLOSE_DRAIN);
	sockfd_put(sock);
	return error;
}
