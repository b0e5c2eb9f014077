/* SPDX-License-Identifier: MIT
 * A link keeps its rate. The machine may be busy, so a run is only compared
 * with another at a quarter of the rate, and with what the rate forbids.
 */
#include "net.h"

#define MESSAGES 200u
#define BYTES 1000u
#define COST (BYTES + 28u)

static char data[BYTES], got[BYTES];

/* Nanoseconds until the last datagram has come; 0 if one is missing. */
static uint64_t elapsed_ns(uint64_t rate)
{
	int32_t link = call_init("dwcs", rate, 0), stream;
	uint64_t start_ns, took_ns;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	start_ns = qsocket_now();
	for (uint32_t i = 0; i < MESSAGES; i++)
		if (send_bytes(stream, data, BYTES, 0) != BYTES)
			return 0;
	for (uint32_t i = 0; i < MESSAGES; i++)
		if (receive(fd, got, BYTES) != BYTES)
			return 0;
	took_ns = qsocket_now() - start_ns;
	call_close(link, 0);
	close(fd);
	return took_ns;
}

static const char *keeps_the_rate(void)
{
	uint64_t slow_ns = elapsed_ns(500000), fast_ns = elapsed_ns(2000000);

	HOLDS(slow_ns && fast_ns);
	/* never faster than the rate, but for what a late wake-up makes good */
	HOLDS(slow_ns > (MESSAGES - 8) * COST * 2000ull);
	HOLDS(fast_ns > (MESSAGES - 16) * COST * 500ull);
	HOLDS(slow_ns > 2 * fast_ns);
	return NULL;
}

static const char *follows_a_new_rate(void)
{
	int32_t link = call_init("dwcs", 1000, 0), stream; /* a message takes a second */
	struct qchange_args change = {.handle = (uint32_t)link, .rate = FAST};
	uint64_t start_ns = qsocket_now();
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	for (int i = 0; i < 50; i++)
		HOLDS(send_bytes(stream, data, BYTES, 0) == BYTES);
	HOLDS(receive(fd, got, BYTES) == BYTES);
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)));
	for (int i = 1; i < 50; i++)
		HOLDS(receive(fd, got, BYTES) == BYTES);
	HOLDS(qsocket_now() - start_ns < 50 * 1000000000ull);
	HOLDS(call_info(link).rate == FAST && !call_close(link, 0));
	close(fd);
	return NULL;
}

int main(void)
{
	check("a link keeps its rate", keeps_the_rate());
	check("QCHANGE of a rate reaches what waits", follows_a_new_rate());
	return check_end();
}
