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

long qsocket_create(struct qsocket_args *args)
{
	int family = args->local.family ? args->local.family : AF_INET, fd, error;
	struct socket *sock;
	struct file *file;

	memset(&args->admission, 0, sizeof(args->admission));
	args->local.family = 0;
	if (memchr_inv(&args->local, 0, sizeof(args->local)) ||
	    memchr_inv(&args->peer, 0, sizeof(args->peer)))
		return -EOPNOTSUPP; /* bind(2) and connect(2) are for that, and looked after */
	args->local.family = family;
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
	error = attach(sock, args->type, args->link, &args->attr, &args->admission);
	if (error) {
		put_unused_fd(fd);
		fput(file);
		return error;
	}
	fd_install(fd, file);
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
	lock_sock(sock->sk);
	mutex_lock(&qsocket_lock);
	error = qsocket_end(sock->sk, args->flags & QCLOSE_DRAIN);
	mutex_unlock(&qsocket_lock);
	release_sock(sock->sk);
	sockfd_put(sock);
	return error;
}
