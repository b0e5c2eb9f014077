/* SPDX-License-Identifier: MIT
 *
 * The lab's receiver: keeps every datagram of some UDP ports, with the moment
 * at which the kernel took it from the device, so that it does not matter
 * when this process is woken.
 *
 *	receiver FILE PORT...
 *
 * It says "ready" when it listens, and ends with its input. FILE then holds,
 * for each datagram, in the machine's byte order:
 *
 *	u64 ns of CLOCK_MONOTONIC, u32 port, u32 bytes, the bytes
 *
 * and the last line of its output, {"datagrams":N,"lost":N}, how many came
 * and how many found its buffer full.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX 16
#define BATCH 64
#define DATAGRAM_BYTES_MAX 65536
#define CONTROL_BYTES 256
#define CLOCK_LOOKS_MAX 5
#define CLOCK_LOOK_NS 2000
#define BUFFER_BYTES (16 << 20) /* the kernel accounts twice that */

struct port {
	int fd;
	uint32_t number;
	uint32_t lost; /* counted by the kernel since the socket was opened */
};

static uint8_t data[BATCH][DATAGRAM_BYTES_MAX];
static uint8_t control[BATCH][CONTROL_BYTES] __attribute__((aligned(8)));

static void fail(const char *what)
{
	fprintf(stderr, "Cannot receive: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* The kernel stamps with the wall clock, which may be set meanwhile. Of a few
 * looks, the one during which the least time passed: others were interrupted. */
static int64_t wall_clock_ahead(void)
{
	int64_t ahead_ns = 0, least_ns = INT64_MAX;

	for (int i = 0; i < CLOCK_LOOKS_MAX && least_ns > CLOCK_LOOK_NS; i++) {
		int64_t before = now_ns(CLOCK_MONOTONIC);
		int64_t wall = now_ns(CLOCK_REALTIME);
		int64_t after = now_ns(CLOCK_MONOTONIC);

		if (after - before >= least_ns)
			continue;
		least_ns = after - before;
		ahead_ns = wall - before - least_ns / 2;
	}
	return ahead_ns;
}

static struct port listen_to(const char *text)
{
	int one = 1, bytes = BUFFER_BYTES;
	struct port port = {.number = (uint32_t)atoi(text)};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port.number)};

	port.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (port.fd < 0)
		fail("socket");
	/* Past the system's limit where that is allowed; what is lost is counted either way. */
	if (setsockopt(port.fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(port.fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(port.fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		fail("SO_TIMESTAMPNS");
	if (setsockopt(port.fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one)))
		fail("SO_RXQ_OVFL");
	if (bind(port.fd, (struct sockaddr *)&address, sizeof(address)))
		fail(text);
	return port;
}

/* When the kernel took the datagram, on CLOCK_MONOTONIC, 0 if it does not say. */
static int64_t read_control(struct msghdr *message, struct port *port, int64_t ahead_ns)
{
	int64_t at = 0;

	for (struct cmsghdr *it = CMSG_FIRSTHDR(message); it; it = CMSG_NXTHDR(message, it)) {
		if (it->cmsg_level != SOL_SOCKET)
			continue;
		if (it->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec stamp;

			memcpy(&stamp, CMSG_DATA(it), sizeof(stamp));
			at = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec - ahead_ns;
		} else if (it->cmsg_type == SO_RXQ_OVFL) {
			memcpy(&port->lost, CMSG_DATA(it), sizeof(port->lost));
		}
	}
	return at;
}

static uint32_t receive(struct port *port, FILE *out)
{
	struct mmsghdr messages[BATCH];
	struct iovec pieces[BATCH];
	int64_t ahead_ns;
	int count;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){data[i], DATAGRAM_BYTES_MAX};
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_control = control[i];
		messages[i].msg_hdr.msg_controllen = CONTROL_BYTES;
	}
	count = recvmmsg(port->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	if (count < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		fail("recvmmsg");
	}
	ahead_ns = wall_clock_ahead();
	for (int i = 0; i < count; i++) {
		int64_t at = read_control(&messages[i].msg_hdr, port, ahead_ns);
		uint32_t head[2] = {port->number, messages[i].msg_len};

		if (at == 0)
			at = now_ns(CLOCK_MONOTONIC);
		if (fwrite(&at, sizeof(at), 1, out) != 1 ||
		    fwrite(head, sizeof(head), 1, out) != 1 ||
		    fwrite(data[i], 1, head[1], out) != head[1])
			fail("write");
	}
	return (uint32_t)count;
}

int main(int argc, char **argv)
{
	struct pollfd wait[PORTS_MAX + 1];
	struct port ports[PORTS_MAX];
	int count = argc - 2;
	uint64_t datagrams = 0, lost = 0;
	FILE *out;

	if (count < 1 || count > PORTS_MAX) {
		fprintf(stderr, "receiver FILE PORT... (at most %d)\n", PORTS_MAX);
		return 2;
	}
	out = fopen(argv[1], "wb");
	if (!out)
		fail(argv[1]);
	for (int i = 0; i < count; i++) {
		ports[i] = listen_to(argv[i + 2]);
		wait[i] = (struct pollfd){.fd = ports[i].fd, .events = POLLIN};
	}
	wait[count] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	puts("ready");
	fflush(stdout);
	for (;;) {
		uint32_t taken = 0;

		if (poll(wait, (nfds_t)count + 1, -1) < 0 && errno != EINTR)
			fail("poll");
		for (int i = 0; i < count; i++)
			taken += receive(&ports[i], out);
		datagrams += taken;
		/* What lies in the buffers when the input ends is still taken. */
		if (taken == 0 && wait[count].revents) {
			char ignored[64];

			if (read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
				break;
		}
	}
	if (fclose(out))
		fail(argv[1]);
	for (int i = 0; i < count; i++)
		lost += ports[i].lost;
	printf("{\"datagrams\":%llu,\"lost\":%llu}\n", (unsigned long long)datagrams,
	       (unsigned long long)lost);
	return 0;
}
