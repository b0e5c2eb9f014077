/* SPDX-License-Identifier: MIT
 *
 * What callers hand in that is this library's alone: padding, addresses, and what a
 * socket can send. The rest is ../sched/check.h.
 */
#include <errno.h>
#include <string.h>

#include "../host.h"

int zeroed(const void *memory, size_t bytes)
{
	const uint8_t *byte = memory;

	for (size_t i = 0; i < bytes; i++)
		if (byte[i])
			return 0;
	return 1;
}

/* For each message of qsendto(): in words, not in bytes. */
static int is_ipv4(const struct qsocket_addr *addr)
{
	uint32_t behind[3];

	memcpy(behind, addr->bytes + 4, sizeof(behind));
	return !(addr->scope | behind[0] | behind[1] | behind[2]);
}

static int32_t check_addr(const struct qsocket_addr *addr)
{
	switch (addr->family) {
	case 0:
		return zeroed(addr, sizeof(*addr)) ? 0 : -EINVAL;
	case AF_INET:
		return is_ipv4(addr) ? 0 : -EINVAL;
	case AF_INET6:
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

/* An address to send to: has a port as well. */
int32_t check_peer(const struct qsocket_addr *addr)
{
	return addr->family && !addr->port ? -EINVAL : check_addr(addr);
}

int32_t check_ends(uint32_t type, const struct qsocket_addr *local, const struct qsocket_addr *peer)
{
	int32_t error;

	if (type != QSOCKET_UDP && type != QSOCKET_TCP)
		return -EINVAL;
	if ((error = check_addr(local)) || (error = check_peer(peer)))
		return error;
	return local->family && peer->family && local->family != peer->family ? -EAFNOSUPPORT : 0;
}

int32_t check_send(const struct socket *socket, const struct qsend_args *args)
{
	if (args->at_ns || args->message)
		return -EINVAL;
	if (!args->data && args->data_len)
		return -EFAULT;
	if (socket->type == QSOCKET_TCP &&
	    (!args->data_len || args->flags >> QSOCKET_SEGMENT_SHIFT))
		return -EINVAL;
	return 0;
}
