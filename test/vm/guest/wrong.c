/* SPDX-License-Identifier: MIT
 *
 * Calls of kernel/linux that must be refused (entry.h).
 *
 *	wrong calls DEVICE
 *		the result of each, by its name
 *	wrong multicast DEVICE OTHER
 *		whether a message with a deadline may go to many over IPv6 by what
 *		is not the stream's device, and then by that
 */
#include <net/if.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "entry.h"

static void say(const char *name, int result)
{
	printf("\"%s\":%d,", name, result);
}

/* The next descriptor that is given out. */
static int next_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	close(fd);
	return fd;
}

/* A stream of arguments that no answer can be written to. */
static int open_untold(uint32_t link)
{
	struct qsocket_args *args = mmap(NULL, sizeof(*args), PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*args = (struct qsocket_args){.link = link, .type = QSOCKET_UDP};
	mprotect(args, sizeof(*args), PROT_READ);
	return entry_call(QSOCKET, args, sizeof(*args));
}

static int calls(const char *device)
{
	int link = entry_link(device), stream = entry_stream((uint32_t)link, AF_INET, 0);
	int plain = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct qattach_args attach = {.link = link, .type = QSOCKET_UDP, .fd = stream};
	struct qsend_args message = {.handle = plain, .to = entry_address("10.79.0.2")};
	struct {
		struct qclose_args known;
		uint64_t unknown;
	} longer = {.known.handle = plain, .unknown = 1};
	struct qsockinit_args other = {.flags = QSOCKINIT_SYSTEM, .rate = 1000};
	struct qchange_args change = {.handle = link, .rate = 1000000};
	struct qclose_args flags = {.handle = stream, .flags = 2};
	struct qsocket_args address = {
		.link = link, .type = QSOCKET_UDP, .peer.port = 1, .local.family = AF_INET};
	int next = next_fd();

	printf("{");
	say("unknown", entry_call(200, &attach, sizeof(attach)));
	say("short", entry_call(QATTACH, &attach, sizeof(attach) - 8));
	say("long", entry_call(QCLOSE, &longer, sizeof(longer)));
	say("pointer", entry_call(QATTACH, NULL, sizeof(attach)));
	if (device_fd >= 0)
		say("type", ioctl(device_fd, _IOC(_IOC_READ, 'x', 1, 8), &attach) < 0 ? -errno : 0);
	say("again", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.fd = local;
	say("family", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.fd = plain;
	attach.type = QSOCKET_TCP;
	say("protocol", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.type = QSOCKET_UDP;
	attach.link = plain;
	say("link", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.link = link;
	attach.attr.oln = 2;
	attach.attr.old = 1;
	say("window", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.attr = (struct qsocket_attr){
		.ipg_ns = 1000000, .unit_bytes = 60000000, .flags = QSOCKET_ADMIT};
	say("admission", entry_call(QATTACH, &attach, sizeof(attach)));
	say("overbooked", attach.admission.flags & QSOCKET_OVERBOOKED);
	say("stranger", entry_call(QSENDTO, &message, sizeof(message)));
	message.handle = stream;
	message.data = 0xdead0000;
	message.data_len = 100;
	say("data", entry_call(QSENDTO, &message, sizeof(message)));
	message.to = entry_address("127.0.0.1");
	say("route", entry_call(QSENDTO, &message, sizeof(message)));
	message.data_len = QSOCKET_MESSAGE_BYTES_MAX + 1;
	say("size", entry_call(QSENDTO, &message, sizeof(message)));
	say("unconnected",
	    entry_call(QSEND, &(struct qsend_args){.handle = stream}, sizeof(message)));
	say("address", entry_call(QSOCKET, &address, sizeof(address)));
	say("untold", open_untold((uint32_t)link));
	say("left", next_fd() - next);
	say("flags", entry_call(QCLOSE, &flags, sizeof(flags)));
	say("rate", entry_call(QCHANGE, &change, sizeof(change)));
	snprintf(other.device, sizeof(other.device), "%s", device);
	say("initialise", entry_call(QSOCKINIT, &other, sizeof(other)));
	memset(other.device, 0, sizeof(other.device));
	snprintf(other.device, sizeof(other.device), "none");
	say("device", entry_call(QSOCKINIT, &other, sizeof(other)));
	printf("\"closed\":%d}\n", entry_call(QCLOSE, &(struct qclose_args){.handle = stream}, 8));
	return 0;
}

static int send_by(int fd, const char *device)
{
	static char data[100];
	struct qsend_args message = {.handle = (uint32_t)fd,
				     .flags = QSOCKET_DEADLINE,
				     .deadline_us = 1000000,
				     .data = (uintptr_t)data,
				     .data_len = sizeof(data),
				     .to = entry_address("ff05::1")};
	int index = (int)if_nametoindex(device);

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)))
		return -errno;
	return entry_call(QSENDTO, &message, sizeof(message));
}

static int multicast(const char *device, const char *other)
{
	int link = entry_link(device), fd, by_other;

	if (link < 0)
		return 0;
	fd = entry_stream(link, AF_INET6, 0);
	by_other = send_by(fd, other);
	printf("{\"other\":%d,\"own\":%d}\n", by_other, send_by(fd, device));
	return 0;
}

int main(int len, char **words)
{
	const char *what = len > 2 ? words[1] : "";

	if (entry_open())
		return 1;
	if (!strcmp(what, "calls"))
		return calls(words[2]);
	return !strcmp(what, "multicast") && len > 3 ? multicast(words[2], words[3]) : 2;
}
