// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new stream's addresses, where the calls are part of the kernel: as bind(2) and
 * connect(2) set them, security hooks included.
 */
#include <linux/fcntl.h>
#include <linux/net.h>
#include <linux/socket.h>

#include "manager.h"

static int address_of(const struct socket *sock, const struct qsocket_addr *from,
		      struct sockaddr_storage *to)
{
	union qsocket_sockaddr address;
	int bytes = qsocket_address(sock->sk, from, &address);

	memset(to, 0, sizeof(*to));
	memcpy(to, &address, sizeof(address));
	return bytes;
}

int qsocket_bind(struct socket *sock, const struct qsocket_addr *local)
{
	struct sockaddr_storage address;
	int bytes = address_of(sock, local, &address);

	return bytes < 0 ? bytes : __sys_bind_socket(sock, &address, bytes);
}

/* As all calls, it never waits: of TCP the connection is on its way then. */
int qsocket_connect(struct socket *sock, const struct qsocket_addr *peer)
{
	struct sockaddr_storage address;
	int error = address_of(sock, peer, &address);

	if (error >= 0)
		error = __sys_connect_file(sock->file, &address, error, O_NONBLOCK);
	return error == -EINPROGRESS ? 0 : error;
}
