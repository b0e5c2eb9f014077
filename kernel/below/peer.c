/* SPDX-License-Identifier: MIT
 *
 * Where an unconnected socket sends to, as far as it is known that the route
 * there leads to the device, and as the kernel wants to have it. A few peers are
 * remembered, each for as long as all that is sent reaches the device (watch.c);
 * of more the route is asked for each time (route.c).
 */
#include <string.h>

#include "below.h"

static int same(const struct qsocket_addr *a, const struct qsocket_addr *b)
{
	uint64_t x[3], y[3];

	_Static_assert(sizeof(*a) == sizeof(x), "in words");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]));
}

/* An IPv6 socket's name for an IPv4 address (RFC 4291, section 2.5.5.2). */
static uint32_t mapped(const struct qsocket_addr *to, union address *address)
{
	memset(address, 0, sizeof(*address));
	address->in6.sin6_family = AF_INET6;
	address->in6.sin6_port = htons(to->port);
	memset(address->in6.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(address->in6.sin6_addr.s6_addr + 12, to->bytes, 4);
	return sizeof(address->in6);
}

int32_t below_peer(struct below *b, struct below_stream *s, const struct qsocket_addr *to,
		   const struct below_peer **found)
{
	struct below_peer *peer = &s->peers[s->peer];
	int32_t error;

	*found = peer;
	if (same(&peer->to, to))
		return 0;
	for (uint8_t i = 0; i < BELOW_PEERS_MAX; i++) {
		*found = &s->peers[i];
		if (!same(&s->peers[i].to, to))
			continue;
		s->peer = i;
		return 0;
	}
	error = route_check(b->route_fd, b->ifindex, s->socket.fd, to);
	if (error)
		return error;
	s->peer = s->peer_oldest;
	s->peer_oldest = (uint8_t)((s->peer_oldest + 1) % BELOW_PEERS_MAX);
	peer = &s->peers[s->peer];
	peer->to = *to;
	peer->address_len = s->both && to->family == AF_INET ? mapped(to, &peer->address)
							     : address_of(to, &peer->address);
	*found = peer;
	return 0;
}

const struct qsocket_addr *below_peer_last(const struct below_stream *s)
{
	const struct qsocket_addr *to =
		s->socket.connected ? &s->connected_to : &s->peers[s->peer].to;

	return to->family ? to : NULL;
}

void below_forget_peers(struct below_stream *s)
{
	for (unsigned i = 0; i < BELOW_PEERS_MAX; i++)
		s->peers[i].to = (struct qsocket_addr){0};
}
