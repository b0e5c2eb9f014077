/* SPDX-License-Identifier: MIT
 *
 * What the calls of kernel/linux cost beside the plain ones, and beside what a
 * program would say to the same scheduler without them: in a guest whose clock
 * counts instructions (`--count-instructions`), a nanosecond is one.
 *
 *	calls DEVICE ADDRESS
 *		one JSON object: of each call the median of many, and of a clock
 *		that is read twice, which is taken off already. All in turns, so that
 *		whatever else the guest does meets all of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "entry.h"

#define ROUNDS 1001
#define WARM_ROUNDS 300
#define BYTES 1200
#define FLAGS (3 << QSOCKET_DROP_SHIFT | 1 << QSOCKET_LEVEL_SHIFT)
#define FRAME (QSOCKET_FRAME | QSOCKET_START | QSOCKET_END)
#define DEADLINE_US 1000000
#define SO_TXTIME_ 61 /* and SCM_TXTIME */

static int link_handle;
static union {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
} to;
static socklen_t to_len;
static struct qsocket_addr qto;
static char data[BYTES];
/* sockets: plain, a stream, a stream to which no call is made; and connected */
static int plain, stream, bare, plain_c, stream_c, bare_c;
static int opened; /* by the call before */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int nothing(void)
{
	return 0;
}

/* socket and bind, as the paper counts what QSOCKET does */
static int open_plain(void)
{
	opened = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return opened < 0;
}

static int open_bound(void)
{
	union {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} any = {.in.sin_family = to.any.sa_family};

	return open_plain() || bind(opened, (struct sockaddr *)&any, to_len);
}

static int open_stream(void)
{
	struct qsocket_args args = {.link = (uint32_t)link_handle,
				    .type = QSOCKET_UDP,
				    .local.family = to.any.sa_family};

	opened = entry_call(QSOCKET, &args, sizeof(args));
	return opened < 0;
}

static int close_opened(void)
{
	return close(opened);
}

static int attach(void)
{
	struct qattach_args args = {
		.link = (uint32_t)link_handle, .type = QSOCKET_UDP, .fd = opened};

	return entry_call(QATTACH, &args, sizeof(args)) != opened;
}

static int leave(void)
{
	struct qclose_args args = {.handle = (uint32_t)opened};

	return entry_call(QCLOSE, &args, sizeof(args));
}

static int set_option(void)
{
	int bytes = 1 << 20;

	return setsockopt(plain, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int get_option(void)
{
	int bytes;
	socklen_t len = sizeof(bytes);

	return getsockopt(plain, SOL_SOCKET, SO_SNDBUF, &bytes, &len);
}

static int change(void)
{
	struct qchange_args args = {.handle = (uint32_t)stream, .attr = {.ipg_ns = 10000000}};

	return entry_call(QCHANGE, &args, sizeof(args));
}

static int info(void)
{
	struct qinfo_args args = {.handle = (uint32_t)stream};

	return entry_call(QINFO, &args, sizeof(args));
}

static int send_plain(void)
{
	return sendto(plain, data, BYTES, MSG_DONTWAIT, &to.any, to_len) != BYTES;
}

static int send_bare(void)
{
	return sendto(bare, data, BYTES, MSG_DONTWAIT, &to.any, to_len) != BYTES;
}

static int send_connected(void)
{
	return send(plain_c, data, BYTES, MSG_DONTWAIT) != BYTES;
}

static int send_bare_connected(void)
{
	return send(bare_c, data, BYTES, MSG_DONTWAIT) != BYTES;
}

/* As of the gate in BPF: the deadline and the flags in one control message. */
static int send_time(int fd, int connected)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(uint64_t))];
	} control = {.header = {CMSG_LEN(sizeof(uint64_t)), SOL_SOCKET, SO_TXTIME_}};
	uint64_t time =
		((now() + DEADLINE_US * 1000ull) & ~1023ull) | FLAGS | FRAME | QSOCKET_DEADLINE;
	struct iovec part = {data, BYTES};
	struct msghdr message = {.msg_name = connected ? NULL : &to,
				 .msg_namelen = connected ? 0 : to_len,
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &time, sizeof(time));
	return sendmsg(fd, &message, MSG_DONTWAIT) != BYTES;
}

static int send_message(void)
{
	return send_time(bare, 0);
}

static int send_message_connected(void)
{
	return send_time(bare_c, 1);
}

static int send_call(int fd, int connected, uint32_t flags, uint32_t deadline_us)
{
	struct qsend_args args = {.handle = (uint32_t)fd,
				  .flags = flags,
				  .data = (uintptr_t)data,
				  .data_len = BYTES,
				  .deadline_us = deadline_us};

	if (!connected)
		args.to = qto;
	return entry_call(connected ? QSEND : QSENDTO, &args, sizeof(args)) != BYTES;
}

/* What says nothing: priority 6, no level, as of a datagram without a call */
#define USUAL (6u << QSOCKET_DROP_SHIFT | QSOCKET_LEVEL_NONE << QSOCKET_LEVEL_SHIFT)

static int qsendto_usual(void)
{
	return send_call(stream, 0, USUAL, 0);
}

static int qsendto_frame(void)
{
	return send_call(stream, 0, FLAGS | FRAME, 0);
}

static int qsendto_deadline(void)
{
	return send_call(stream, 0, FLAGS | FRAME | QSOCKET_DEADLINE, DEADLINE_US);
}

static int qsend_usual(void)
{
	return send_call(stream_c, 1, USUAL, 0);
}

static int qsend_deadline(void)
{
	return send_call(stream_c, 1, FLAGS | FRAME | QSOCKET_DEADLINE, DEADLINE_US);
}

static const struct {
	const char *name;
	int (*run)(void);
} all[] = {
	{"nothing", nothing},
	{"socket, bind", open_bound},
	{"close", close_opened},
	{"QSOCKET", open_stream},
	{"close of a stream", close_opened},
	{"socket", open_plain},
	{"QATTACH", attach},
	{"QCLOSE", leave},
	{"close after QCLOSE", close_opened},
	{"setsockopt", set_option},
	{"QCHANGE", change},
	{"getsockopt", get_option},
	{"QINFO", info},
	{"sendto", send_plain},
	{"sendto, a stream's", send_bare},
	{"QSENDTO", qsendto_usual},
	{"QSENDTO, frame", qsendto_frame},
	{"QSENDTO, deadline", qsendto_deadline},
	{"sendmsg, deadline", send_message},
	{"send", send_connected},
	{"send, a stream's", send_bare_connected},
	{"QSEND", qsend_usual},
	{"QSEND, deadline", qsend_deadline},
	{"sendmsg, deadline, connected", send_message_connected},
};

#define CALLS (sizeof(all) / sizeof(all[0]))

static uint32_t costs[CALLS][ROUNDS];

static int ascending(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

static int prepare(const char *device, const char *address)
{
	int *const sockets[] = {&stream, &bare, &stream_c, &bare_c, &plain, &plain_c};
	struct qsockinit_args args = {.flags = 0};

	snprintf(args.device, sizeof(args.device), "%s", device);
	link_handle = entry_call(QSOCKINIT, &args, sizeof(args));
	if (link_handle < 0)
		return 1;
	qto.family = strchr(address, ':') ? AF_INET6 : AF_INET;
	qto.port = 5004;
	inet_pton(qto.family, address, qto.bytes);
	to.any.sa_family = qto.family;
	to.in.sin_port = htons(qto.port); /* in both at the same place */
	if (qto.family == AF_INET)
		memcpy(&to.in.sin_addr, qto.bytes, 4);
	else
		memcpy(&to.in6.sin6_addr, qto.bytes, 16);
	to_len = qto.family == AF_INET ? sizeof(to.in) : sizeof(to.in6);
	for (int i = 0; i < 6; i++) {
		if (i < 4 ? open_stream() : open_plain())
			return 1;
		*sockets[i] = opened;
	}
	return connect(plain_c, &to.any, to_len) || connect(stream_c, &to.any, to_len) ||
	       connect(bare_c, &to.any, to_len);
}

int main(int len, char **words)
{
	uint32_t least;

	if (len < 3 || entry_open() || prepare(words[1], words[2])) {
		perror("calls");
		return 1;
	}
	for (int round = -WARM_ROUNDS; round < ROUNDS; round++)
		for (size_t i = 0; i < CALLS; i++) {
			uint64_t start = now();
			int failed = all[i].run();
			uint64_t end = now();

			if (failed) {
				perror(all[i].name);
				return 1;
			}
			if (round >= 0)
				costs[i][round] = (uint32_t)(end - start);
		}
	for (size_t i = 0; i < CALLS; i++)
		qsort(costs[i], ROUNDS, sizeof(**costs), ascending);
	least = costs[0][ROUNDS / 2];
	for (size_t i = 1; i < CALLS; i++)
		printf("%s\"%s\":%u", i > 1 ? "," : "{", all[i].name, costs[i][ROUNDS / 2] - least);
	printf("}\n");
	return 0;
}
