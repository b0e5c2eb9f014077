/* SPDX-License-Identifier: MIT
 *
 * Random calls of kernel/linux, many at once: nonsense (any call, length, bytes
 * and pointer), and calls that could succeed, on sockets that all threads share
 * and that others meanwhile send on, change and close; and, where it is root, a
 * device that is initialised, given another scheduler, another qdisc and back
 * under that traffic. What the calls answer is not looked at, but counted; the
 * kernel must live, and its log stay clean.
 *
 *	fuzz DEVICE ADDRESS SECONDS SEED [steady]
 *
 * `steady`: every stream has a period, no weight, and may lose messages, however it is
 * changed. The tests' model knows no other changes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "entry.h"

#define THREADS 6
#define SOCKETS 32
#define PAGE 4096

static const char *device, *address;
static uint32_t ifindex;
static int is_steady;
static time_t end;
static _Atomic int sockets[SOCKETS];
static _Atomic unsigned long accepted, refused;

struct thread {
	pthread_t thread;
	uint64_t random;
	uint8_t *edge; /* a page, and none behind it */
};

static uint64_t next(struct thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static uint32_t below(struct thread *t, uint32_t most)
{
	return (uint32_t)(next(t) >> 20) % most;
}

static int call(unsigned number, void *args, unsigned bytes)
{
	int result = entry_call(number, args, bytes);

	if (result < 0)
		refused++;
	else
		accepted++;
	return result;
}

/* Bytes that are small numbers more often than not. */
static void fill(struct thread *t, uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = below(t, 4) ? 0 : (uint8_t)next(t);
}

static void nonsense(struct thread *t)
{
	uint32_t len = below(t, PAGE + 1);
	uint8_t *args = t->edge + PAGE - len;

	fill(t, t->edge, PAGE);
	if (len >= 8 && below(t, 2)) { /* a handle that there may be */
		uint32_t handle = below(t, 2) ? QSOCKET_LINK_HANDLE | ifindex
					      : (uint32_t)sockets[below(t, SOCKETS)];

		memcpy(args, &handle, sizeof(handle));
	}
	switch (below(t, 8)) {
	case 0:
		args = (uint8_t *)(uintptr_t)next(t);
		break;
	case 1:
		args += below(t, 64); /* into what is not there */
		break;
	}
	if (below(t, 4) == 0) /* an ioctl's number has 14 bits for it */
		len = device_fd < 0 ? (uint32_t)next(t) >> below(t, 24) : below(t, 16384);
	call(below(t, 14), args, len);
}

static struct qsocket_attr some_attr(struct thread *t)
{
	struct qsocket_attr attr = {.ipg_ns = below(t, 3) * 1000000ull * below(t, 50)};

	attr.old = below(t, 8);
	attr.oln = below(t, attr.old + 2);
	attr.flags = below(t, 4);
	attr.queue_messages = below(t, 40);
	attr.unit_bytes = below(t, 3000);
	attr.weight = below(t, 3);
	if (is_steady) {
		attr.ipg_ns += 1000000;
		attr.flags = attr.weight = 0;
	}
	return attr;
}

static void send_some(struct thread *t, int fd)
{
	static const uint8_t data[PAGE * 4];
	struct qsend_args args = {.handle = (uint32_t)fd,
				  .data = (uintptr_t)data,
				  .data_len = below(t, sizeof(data)),
				  .to = {.family = AF_INET, .port = 5004}};

	inet_pton(AF_INET, address, args.to.bytes);
	args.flags = below(t, 1024);
	if (args.flags & QSOCKET_DEADLINE)
		args.deadline_us = below(t, 100000);
	if (!below(t, 4))
		args.flags |= (500 + below(t, 900)) << QSOCKET_SEGMENT_SHIFT;
	if (!below(t, 3))
		args.flags &= ~(QSOCKET_START | QSOCKET_END | QSOCKET_FRAME);
	else if (below(t, 8))
		args.flags |= QSOCKET_FRAME | QSOCKET_START | QSOCKET_END;
	call(QSENDTO, &args, sizeof(args));
}

/* All streams, and what was recorded: root's, others are refused. */
static void tell(struct thread *t)
{
	struct {
		struct qlist_args args;
		struct qlist_stream streams[8];
	} list = {.args = {.link = QSOCKET_LINK_HANDLE | ifindex,
			   .streams_max = 8,
			   .stream_bytes = sizeof(struct qlist_stream),
			   .after = below(t, 2) ? 0 : next(t) >> below(t, 64)}};
	struct qtrace_args trace = {.link = QSOCKET_LINK_HANDLE | ifindex,
				    .records = (uintptr_t)t->edge,
				    .records_max = below(t, 100)};

	if (below(t, 2))
		call(QLIST, &list, sizeof(list));
	else
		call(QTRACE, &trace, sizeof(trace));
}

static void sense(struct thread *t)
{
	uint32_t slot = below(t, SOCKETS), link = QSOCKET_LINK_HANDLE | ifindex;
	int fd = sockets[slot];
	struct qsocket_args opening = {.link = link, .type = QSOCKET_UDP};
	struct qattach_args attaching = {.link = link, .type = QSOCKET_UDP, .fd = fd};
	struct qchange_args changing = {.handle = (uint32_t)fd};
	struct qclose_args closing = {.handle = (uint32_t)fd};
	struct qinfo_args asking = {.handle = below(t, 4) ? (uint32_t)fd : link};

	switch (below(t, 16)) {
	case 0:
		opening.attr = some_attr(t);
		fd = call(QSOCKET, &opening, sizeof(opening));
		if (fd >= 0 && (fd = atomic_exchange(&sockets[slot], fd)) >= 0)
			close(fd);
		break;
	case 1:
		fd = atomic_exchange(&sockets[slot], socket(AF_INET, SOCK_DGRAM, 0));
		if (fd >= 0)
			close(fd);
		break;
	case 2:
		attaching.attr = some_attr(t);
		call(QATTACH, &attaching, sizeof(attaching));
		break;
	case 3:
		changing.attr = some_attr(t);
		call(QCHANGE, &changing, sizeof(changing));
		break;
	case 4:
		closing.flags = below(t, 2);
		call(QCLOSE, &closing, sizeof(closing));
		break;
	case 5:
		call(QINFO, &asking, sizeof(asking));
		break;
	case 6:
		tell(t);
		break;
	default:
		send_some(t, fd);
	}
}

/* The device itself: root only. */
static void govern(struct thread *t)
{
	static const char *const schedulers[] = {"dwcs", "edf",	   "edf-lossless", "fifo",
						 "vds",	 "dwcs99", "sfq"};
	struct qsockinit_args args = {.flags = QSOCKINIT_SYSTEM | QSOCKINIT_REPLACE};
	char command[128];

	snprintf(args.device, sizeof(args.device), "%s", device);
	snprintf(args.scheduler, sizeof(args.scheduler), "%s", schedulers[below(t, 7)]);
	args.rate = 10000ull << below(t, 10);
	args.mode = 0666;
	if (!below(t, 4))
		args.flags |= QSOCKINIT_TRACE;
	args.streams = below(t, 2) ? 0 : 65 + below(t, 100);
	args.queue_messages = below(t, 2) ? 0 : 1 + below(t, 100);
	switch (below(t, 8)) {
	case 0:
		args = (struct qsockinit_args){.flags = QSOCKINIT_OFF};
		snprintf(args.device, sizeof(args.device), "%s", device);
		break;
	case 1:
		snprintf(command, sizeof(command),
			 "{ tc qdisc replace dev %s root pfifo; ip link set %s down; "
			 "ip link set %s up; } 2> /dev/null",
			 device, device, device);
		if (system(command))
			refused++;
		break;
	case 2:
		args.streams = 0xffffffff;
		break;
	}
	call(QSOCKINIT, &args, sizeof(args));
	usleep(20000);
}

static void *run(void *of)
{
	struct thread *t = of;
	int governs = geteuid() == 0 && !(t->random & 7);

	t->random = t->random / 8 + 1;
	while (time(NULL) < end) {
		if (governs)
			govern(t);
		else if (below(t, 4))
			sense(t);
		else
			nonsense(t);
	}
	return NULL;
}

int main(int len, char **words)
{
	struct thread threads[THREADS] = {0};

	if (len < 5)
		return 2;
	device = words[1];
	address = words[2];
	end = time(NULL) + atoi(words[3]);
	ifindex = if_nametoindex(device);
	is_steady = len > 5;
	if (entry_open() || !ifindex) {
		perror(device);
		return 1;
	}
	for (int i = 0; i < SOCKETS; i++)
		sockets[i] = -1;
	for (int i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];

		t->random = (strtoull(words[4], NULL, 10) * 2654435761u + (unsigned)i + 1) * 8 +
			    (i != 0); /* the first one governs */
		t->edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);
		if (t->edge == MAP_FAILED || munmap(t->edge + PAGE, PAGE) ||
		    pthread_create(&t->thread, NULL, run, t))
			return 1;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	printf("{\"accepted\":%lu,\"refused\":%lu}\n", accepted, refused);
	return 0;
}
