/* SPDX-License-Identifier: MIT
 *
 * What a security module may refuse, by plain calls and by those of kernel/linux
 * (entry.h): the same of both.
 *
 *	guarded DEVICE ADDRESS PORT
 *		the result of each by its name (addresses of QSOCKET are of the
 *		system call alone), and then what the stream has counted
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "entry.h"

#define BYTES 100u
#define FRAME (QSOCKET_FRAME | QSOCKET_START | QSOCKET_END | 2 << QSOCKET_LEVEL_SHIFT)

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static char data[BYTES];

static void say(const char *name, long result)
{
	printf("\"%s\":%ld,", name, result);
}

static socklen_t address_of(const struct qsocket_addr *from, union address *to)
{
	memset(to, 0, sizeof(*to));
	to->any.sa_family = from->family;
	to->in.sin_port = htons(from->port); /* in the same place of both */
	memcpy(from->family == AF_INET ? (void *)&to->in.sin_addr : &to->in6.sin6_addr, from->bytes,
	       from->family == AF_INET ? 4 : 16);
	return from->family == AF_INET ? sizeof(to->in) : sizeof(to->in6);
}

static long send_with(int fd, const struct qsocket_addr *to, uint32_t flags)
{
	struct qsend_args args = {.handle = (uint32_t)fd,
				  .flags = flags,
				  .deadline_us = flags & QSOCKET_DEADLINE ? 10000000 : 0,
				  .data = (uintptr_t)data,
				  .data_len = BYTES};

	if (to)
		args.to = *to;
	return entry_call(to ? QSENDTO : QSEND, &args, sizeof(args));
}

static long open_with(int link, const struct qsocket_addr *local, const struct qsocket_addr *peer)
{
	struct qsocket_args args = {.link = (uint32_t)link, .type = QSOCKET_UDP};
	int fd;

	args.local = local ? *local : (struct qsocket_addr){.family = peer->family};
	if (peer)
		args.peer = *peer;
	fd = entry_call(QSOCKET, &args, sizeof(args));
	if (fd < 0)
		return fd;
	if (peer)
		return send_with(fd, NULL, 0);
	close(fd);
	return 0;
}

/* By the plain calls: what sendto(2), bind(2) and connect(2) answer. */
static void say_plain(const struct qsocket_addr *to, const struct qsocket_addr *local)
{
	int fd = socket(to->family, SOCK_DGRAM, 0), other = socket(to->family, SOCK_DGRAM, 0);
	union address address;
	socklen_t len = address_of(to, &address);
	ssize_t sent = sendto(fd, data, BYTES, 0, &address.any, len);

	say("sendto", sent < 0 ? -errno : sent);
	say("connect", connect(fd, &address.any, len) ? -errno : 0);
	len = address_of(local, &address);
	say("bind", bind(other, &address.any, len) ? -errno : 0);
	close(fd);
	close(other);
}

int main(int len, char **words)
{
	struct qsocket_addr to, local;
	struct qinfo_args info = {0};
	uint64_t lost = 0;
	int link, stream;

	if (len < 4 || entry_open())
		return 2;
	to = entry_address(words[2]);
	to.port = (uint16_t)atoi(words[3]);
	local = (struct qsocket_addr){.family = to.family, .port = to.port};
	link = entry_link(words[1]);
	stream = entry_stream((uint32_t)link, to.family, 0);
	printf("{");
	say_plain(&to, &local);
	say("qsendto", send_with(stream, &to, 0));
	say("deadline", send_with(stream, &to, QSOCKET_DEADLINE));
	say("frame", send_with(stream, &to, FRAME | BYTES / 4 << QSOCKET_SEGMENT_SHIFT));
	say("peer", open_with(link, NULL, &to));
	say("local", open_with(link, &local, NULL));
	info.handle = (uint32_t)stream;
	entry_call(QINFO, &info, sizeof(info));
	for (int reason = 0; reason < QSOCKET_REASONS; reason++)
		lost += info.info.dropped[reason];
	say("lost", (long)lost);
	say("calls", (long)info.info.syscalls);
	say("errors", (long)info.info.socket_errors);
	say("lastError", info.info.last_error);
	printf("\"offered\":%ld}\n", (long)info.info.offered);
	return 0;
}
