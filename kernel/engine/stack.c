/* SPDX-License-Identifier: MIT
 *
 * What the protocol stack says of a socket, as qinfo() passes it on.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../host.h"

/* An older kernel tells less: the fields behind what it wrote are none. */
static void tcp_info(int fd, struct qsocket_info *info)
{
	struct tcp_info tcp;
	socklen_t len = sizeof(tcp);

	memset(&tcp, 0, sizeof(tcp));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &len))
		return;
	info->cwnd = tcp.tcpi_snd_cwnd;
	info->rtt_us = tcp.tcpi_rtt;
	info->retransmits = tcp.tcpi_total_retrans;
	info->peer_window_bytes = tcp.tcpi_snd_wnd;
}

void stack_info(const struct socket *socket, struct qsocket_info *info)
{
	int sndbuf = 0, unsent = 0;
	socklen_t len = sizeof(sndbuf);

	if (socket->fd < 0 || !socket->family)
		return;
	if (!getsockopt(socket->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, &len) && sndbuf > 0)
		info->sndbuf_bytes = (uint64_t)sndbuf;
	if (!ioctl(socket->fd, SIOCOUTQ, &unsent) && unsent > 0)
		info->unsent_bytes = (uint64_t)unsent;
	if (socket->type == QSOCKET_TCP)
		tcp_info(socket->fd, info);
}

/* Without this what a full queue drops is lost without a word (ip(7)). */
int32_t stack_hear(int fd, int family)
{
	int one = 1;

	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one)))
		return -errno;
	return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)) && family == AF_INET
		       ? -errno
		       : 0;
}

/* Kept, they would be in the way of poll(2). */
void stack_forget(int fd)
{
	char rest[1];

	for (int i = 0; i < SOCKET_ERRORS_MAX; i++)
		if (recv(fd, rest, sizeof(rest), MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
}
