/* SPDX-License-Identifier: MIT
 *
 * TCP beside TCP, on a device of kernel/linux.
 *
 *	tcp sink
 *		takes connections at port 5004, and reads what comes, till its end
 *	tcp bulk ADDRESS CONNECTIONS
 *		keeps so many full, till its end
 *	tcp paced DEVICE ADDRESS WAY SECONDS IPG_US BYTES
 *		writes BYTES every IPG_US, or what has been missed of that; then says how
 *		many times, and how much of it the peer has. WAY: `qsend` and `send` are
 *		a stream with that contract; `stranger` is none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "entry.h"

#define PORT 5004
#define BEHIND_MAX 64 /* writes that are made good at once: a slow machine's are not asked for */

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, text, &to.sin_addr);
	return to;
}

static void *read_all(void *of)
{
	static char data[65536]; /* looked at by nobody */
	int fd = (int)(long)of;

	while (read(fd, data, sizeof(data)) > 0)
		;
	close(fd);
	return NULL;
}

static int sink(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, peer;
	pthread_t thread;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 64))
		return 1;
	printf("\"ready\"\n");
	while ((peer = accept(fd, NULL, NULL)) >= 0)
		if (pthread_create(&thread, NULL, read_all, (void *)(long)peer))
			return 1;
	return 1;
}

static int connected(const char *text)
{
	struct sockaddr_in to = address_of(text);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&to, sizeof(to)) ? -1 : fd;
}

static int bulk(const char *text, int len)
{
	static char data[1 << 16];
	struct pollfd all[64];

	for (int i = 0; i < len; i++) {
		all[i] = (struct pollfd){.fd = connected(text), .events = POLLOUT};
		if (all[i].fd < 0)
			return 1;
	}
	printf("\"ready\"\n");
	while (poll(all, (nfds_t)len, -1) > 0)
		for (int i = 0; i < len; i++)
			if (all[i].revents &&
			    send(all[i].fd, data, sizeof(data), MSG_DONTWAIT) < 0 &&
			    errno != EAGAIN)
				return 1;
	return 1;
}

static int attach(const char *device, int fd, uint64_t ipg_ns)
{
	struct qsockinit_args init = {.flags = 0};
	struct qattach_args args = {.type = QSOCKET_TCP, .fd = fd, .attr.ipg_ns = ipg_ns};
	int link;

	snprintf(init.device, sizeof(init.device), "%s", device);
	link = entry_call(QSOCKINIT, &init, sizeof(init));
	args.link = (uint32_t)link;
	return link < 0 || entry_call(QATTACH, &args, sizeof(args)) != fd;
}

static uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000;
}

static int paced(const char *device, const char *text, const char *way, char **words)
{
	static char data[65536];
	uint64_t us = strtoull(words[0], NULL, 10) * 1000000, ipg_us = strtoull(words[1], NULL, 10);
	uint64_t start, due = 0, written = 0, tried = 0, unsent;
	int fd = connected(text), one = 1, left;
	struct qsend_args args = {.handle = (uint32_t)fd,
				  .data = (uintptr_t)data,
				  .data_len = (uint32_t)atoi(words[2])};
	struct qinfo_args info = {.handle = (uint32_t)fd};

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || entry_open() ||
	    (strcmp(way, "stranger") && attach(device, fd, ipg_us * 1000)))
		return 1;
	for (start = now_us(); now_us() - start < us; usleep(500)) {
		uint64_t is_due = (now_us() - start) / ipg_us;

		if (is_due - due > BEHIND_MAX)
			due = is_due - BEHIND_MAX;
		for (; due < is_due; due++) {
			int sent = strcmp(way, "qsend")
					   ? (int)send(fd, data, args.data_len, MSG_DONTWAIT)
					   : entry_call(QSEND, &args, sizeof(args));

			tried += args.data_len;
			if (sent > 0)
				written += (uint64_t)sent;
			else if (errno != EAGAIN)
				return 1;
		}
	}
	unsent = ioctl(fd, TIOCOUTQ, &left) ? written : (uint64_t)left;
	entry_call(QINFO, &info, sizeof(info));
	printf("{\"tried\":%llu,\"arrived\":%llu,\"sent\":%llu,\"dropped\":%llu}\n",
	       (unsigned long long)tried, (unsigned long long)(written - unsent),
	       (unsigned long long)info.info.sent,
	       (unsigned long long)info.info.dropped[QSOCKET_EXPIRED]);
	return 0;
}

int main(int len, char **words)
{
	const char *what = len > 1 ? words[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "sink"))
		return sink();
	if (!strcmp(what, "bulk") && len > 3)
		return bulk(words[2], atoi(words[3]));
	if (!strcmp(what, "paced") && len > 7)
		return paced(words[2], words[3], words[4], words + 5);
	return 2;
}
