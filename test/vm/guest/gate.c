/* SPDX-License-Identifier: MIT
 *
 * A program that uses the calls of kernel/linux as they are (entry.h), and says what they answer as
 *one JSON value a line.
 *
 *	gate init DEVICE SCHEDULER RATE [replace]
 *		for the group GATE_GROUP of the environment, or video; GATE_MESSAGES
 *		is how many may be queued, GATE_STREAMS how many streams there may be;
 *		with GATE_TRACE its work is recorded
 *	gate off DEVICE
 *	gate info DEVICE
 *	gate send DEVICE ADDRESS MESSAGES BYTES DEADLINE_MS SEGMENT [stay]
 *		whole frames of level 2 to port 5004; says what was sent, and when
 *		nothing is queued any more (`stay`: at once) what the stream has
 *		counted. `stay` then waits for the end of its input.
 *	gate drain DEVICE ADDRESS MESSAGES BYTES [again]
 *		sends, has the stream drain (`again`: and then ends it after all),
 *		and says what its calls answer then, and after the end; whether
 *		SO_TXTIME is as it was
 *	gate pass DEVICE
 *		a process opens a stream, passes its socket on by SCM_RIGHTS, and
 *		ends; the one that has it now waits for the end of its input.
 *	gate list DEVICE [ROOM [STREAM_BYTES]]
 *		the streams, ROOM of them (16) in a call, each of so many bytes
 *	gate trace DEVICE FILE
 *		writes the records of the device's scheduler to a file, and says
 *		which they are of
 *	gate fill DEVICE MANY [IPG_NS]
 *		opens as many streams, says how many there are and why there are no
 *		more, and waits for the end of its input
 *	gate hasten DEVICE MANY
 *		opens streams and gives each a period of a nanosecond: how many, and
 *		why no more
 *	gate multicast DEVICE OTHER
 *		whether a message with a deadline may go to many over IPv6 by what
 *		is not the stream's device, and then by that
 *	gate wrong DEVICE
 *		calls that must be refused: the result of each, by its name
 *	gate entry
 *		"system call" or "device": by which it comes to them
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entry.h"

#define PORT 5004
#define NAP_US 5000
#define VIDEO 44

static struct qsocket_addr address_of(const char *text)
{
	struct qsocket_addr address = {.port = PORT};

	address.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	inet_pton(address.family, text, address.bytes);
	return address;
}

static int init(const char *device, const char *scheduler, uint64_t rate, uint32_t flags)
{
	struct qsockinit_args args = {.flags = flags, .rate = rate};
	const char *group = getenv("GATE_GROUP"), *messages = getenv("GATE_MESSAGES");
	const char *streams = getenv("GATE_STREAMS");
	int result;

	if (flags & QSOCKINIT_SYSTEM && getenv("GATE_TRACE"))
		args.flags |= QSOCKINIT_TRACE;

	snprintf(args.device, sizeof(args.device), "%s", device);
	snprintf(args.scheduler, sizeof(args.scheduler), "%s", scheduler);
	if (flags & QSOCKINIT_SYSTEM)
		args.gid = group ? (uint32_t)atoi(group) : VIDEO;
	if (flags & QSOCKINIT_SYSTEM && messages)
		args.queue_messages = (uint32_t)atoi(messages);
	if (flags & QSOCKINIT_SYSTEM && streams)
		args.streams = (uint32_t)atoi(streams);
	result = entry_call(QSOCKINIT, &args, sizeof(args));
	if (!flags && result >= 0)
		return result;
	printf("{\"result\":%d,\"scheduler\":\"%s\",\"rate\":%llu,\"obstacle\":\"%s\",\"why\":\"%"
	       "s\"}"
	       "\n",
	       result, args.scheduler, (unsigned long long)args.rate, args.obstacle, args.why);
	return result;
}

static uint64_t say_info(uint32_t handle, int quiet)
{
	struct qinfo_args args = {.handle = handle};
	const struct qsocket_info *info = &args.info;
	int result = entry_call(QINFO, &args, sizeof(args));

	if (quiet)
		return result < 0 ? 0 : info->queued;
	printf("{\"result\":%d,\"kind\":%u,\"host\":%u,\"scheduler\":\"%s\",\"rate\":%llu,"
	       "\"offered\":%llu,\"sent\":%llu,\"late\":%llu,\"queued\":%llu,\"streams\":%u,"
	       "\"framesOffered\":%llu,\"framesSent\":%llu,\"framesPartial\":%llu,\"dropped\":[",
	       result, info->kind, info->host, info->scheduler, (unsigned long long)info->rate,
	       (unsigned long long)info->offered, (unsigned long long)info->sent,
	       (unsigned long long)info->late, (unsigned long long)info->queued, info->streams,
	       (unsigned long long)info->frames_offered[2],
	       (unsigned long long)info->frames_sent[2], (unsigned long long)info->frames_partial);
	for (int i = 0; i < QSOCKET_REASONS; i++)
		printf("%s%llu", i ? "," : "", (unsigned long long)info->dropped[i]);
	printf("],\"delays\":[");
	for (int i = 0; i < QSOCKET_DELAYS; i++)
		printf("%s%llu", i ? "," : "", (unsigned long long)info->delays[i]);
	printf("]}\n");
	return info->queued;
}

static int say_link(const char *device)
{
	int link = init(device, "", 0, 0);

	if (link >= 0)
		say_info(link, 0);
	return 0;
}

static int open_paced(uint32_t link, uint16_t family, uint64_t ipg_ns)
{
	struct qsocket_args args = {
		.link = link, .type = QSOCKET_UDP, .local.family = family, .attr.ipg_ns = ipg_ns};

	return entry_call(QSOCKET, &args, sizeof(args));
}

static int open_stream(uint32_t link, uint16_t family)
{
	return open_paced(link, family, 0);
}

static int change(int fd, uint64_t ipg_ns)
{
	struct qchange_args args = {.handle = (uint32_t)fd, .attr.ipg_ns = ipg_ns};

	return entry_call(QCHANGE, &args, sizeof(args));
}

static void wait_for_end(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
}

static int send_many(const char *device, char **words, int stay)
{
	static char data[65536];
	struct qsend_args message = {.data = (uintptr_t)data, .to = address_of(words[0])};
	int many = atoi(words[1]), bytes = atoi(words[2]), deadline_ms = atoi(words[3]);
	int room = 8 << 20, link = init(device, "", 0, 0), fd, accepted = 0, refused = 0;

	if (link < 0)
		return 0;
	fd = open_stream(link, message.to.family);
	message.handle = fd;
	message.data_len = bytes;
	message.deadline_us = deadline_ms * 1000;
	message.flags = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END | 3 << QSOCKET_DROP_SHIFT |
			2 << QSOCKET_LEVEL_SHIFT |
			(uint32_t)atoi(words[4]) << QSOCKET_SEGMENT_SHIFT;
	if (deadline_ms)
		message.flags |= QSOCKET_DEADLINE;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	for (int i = 0; fd >= 0 && i < many; i++) {
		int result;

		memset(data, i, bytes);
		result = entry_call(QSENDTO, &message, sizeof(message));
		if (result == bytes)
			accepted++;
		else
			refused = result;
	}
	printf("{\"uid\":%d,\"stream\":%d,\"accepted\":%d,\"refused\":%d}\n", (int)getuid(), fd,
	       accepted, refused);
	while (!stay && say_info(fd, 1))
		usleep(NAP_US);
	say_info(fd, 0);
	if (stay)
		wait_for_end();
	return 0;
}

static int fill(const char *device, int many, uint64_t ipg_ns)
{
	int link = init(device, "", 0, 0), opened = 0, fd = 0;

	if (link < 0)
		return 0;
	while (fd >= 0 && opened < many) {
		fd = open_paced(link, AF_INET, ipg_ns);
		opened += fd >= 0;
	}
	printf("{\"opened\":%d,\"refused\":%d}\n", opened, fd < 0 ? fd : 0);
	wait_for_end();
	return 0;
}

static int hasten(const char *device, int many)
{
	int link = init(device, "", 0, 0), changed = 0, error = 0;

	if (link < 0)
		return 0;
	for (int i = 0; i < many && !error; i++) {
		error = change(open_stream(link, AF_INET), 1);
		changed += !error;
	}
	printf("{\"changed\":%d,\"refused\":%d}\n", changed, error);
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
				     .to = address_of("ff05::1")};
	int index = (int)if_nametoindex(device);

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)))
		return -errno;
	return entry_call(QSENDTO, &message, sizeof(message));
}

static int multicast(const char *device, const char *other)
{
	int link = init(device, "", 0, 0), fd, by_other;

	if (link < 0)
		return 0;
	fd = open_stream(link, AF_INET6);
	by_other = send_by(fd, other);
	printf("{\"other\":%d,\"own\":%d}\n", by_other, send_by(fd, device));
	return 0;
}

static int has_time(int fd)
{
	struct {
		int clockid;
		unsigned flags;
	} time = {-1, 0};
	socklen_t len = sizeof(time);

	/* one that has none is of clock 0 */
	return getsockopt(fd, SOL_SOCKET, 61 /* SO_TXTIME */, &time, &len) || time.clockid;
}

static int drain(const char *device, char **words, int again)
{
	static char data[65536];
	int link = init(device, "", 0, 0), fd = open_stream(link, AF_INET), accepted = 0;
	int room = 8 << 20, closing, sent, state, more, ended, hadtime = has_time(fd);
	struct qsend_args message = {.handle = (uint32_t)fd,
				     .data = (uintptr_t)data,
				     .data_len = (uint32_t)atoi(words[2]),
				     .to = address_of(words[0])};
	struct qclose_args closes = {.handle = (uint32_t)fd, .flags = QCLOSE_DRAIN};
	struct qinfo_args info = {.handle = (uint32_t)fd};

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	for (int i = 0; i < atoi(words[1]); i++)
		accepted += entry_call(QSENDTO, &message, sizeof(message)) > 0;
	/* the beginning of a frame that will have no end */
	message.flags = QSOCKET_FRAME | QSOCKET_START;
	accepted += entry_call(QSENDTO, &message, sizeof(message)) > 0;
	closing = entry_call(QCLOSE, &closes, sizeof(closes));
	sent = entry_call(QSENDTO, &message, sizeof(message));
	more = entry_call(QCLOSE, &closes, sizeof(closes));
	entry_call(QINFO, &info, sizeof(info));
	state = (int)info.info.state;
	if (again) {
		closes.flags = 0;
		more = entry_call(QCLOSE, &closes, sizeof(closes));
	}
	do {
		usleep(NAP_US);
		ended = entry_call(QINFO, &info, sizeof(info));
	} while (!ended);
	printf("{\"accepted\":%d,\"closing\":%d,\"sent\":%d,\"more\":%d,\"state\":%d,\"ended\":%d,"
	       "\"again\":%d,\"hadTime\":%d,\"hasTime\":%d}\n",
	       accepted, closing, sent, more, state, ended,
	       entry_call(QCLOSE, &closes, sizeof(closes)), hadtime, has_time(fd));
	return 0;
}

static void pass(int channel, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	if (fd < 0) {
		recvmsg(channel, &message, 0);
		return;
	}
	*header = (struct cmsghdr){CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	sendmsg(channel, &message, 0);
}

static int pass_on(const char *device)
{
	int link = init(device, "", 0, 0), channel[2];

	if (link < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, channel))
		return 1;
	if (fork() == 0) {
		pass(channel[0], open_stream(link, AF_INET));
		_exit(0);
	}
	wait(NULL);
	pass(channel[1], -1);
	say_info(link, 0);
	wait_for_end();
	return 0;
}

static int list_all(const char *device, uint32_t room, uint32_t bytes)
{
	struct qlist_args *args = calloc(1, sizeof(*args) + room * bytes);
	int link = init(device, "", 0, 0), len, told = 0;

	if (link < 0)
		return 0;
	printf("{\"streams\":[");
	do {
		args->link = (uint32_t)link;
		args->streams_max = room;
		args->stream_bytes = bytes;
		args->scope = 0;
		len = entry_call(QLIST, args, (unsigned)sizeof(*args) + room * bytes);
		for (int i = 0; i < len; i++) {
			const char *at = (const char *)args->streams + (size_t)i * bytes;
			struct qlist_stream stream = {0};
			uint64_t last = 0;

			memcpy(&stream, at, bytes < sizeof(stream) ? bytes : sizeof(stream));
			if (bytes > sizeof(stream))
				memcpy(&last, at + bytes - 8, 8);
			printf("%s{\"cookie\":%llu,\"pid\":%u,\"uid\":%u,\"command\":\"%s\","
			       "\"offered\":%llu,\"kind\":%u,\"last\":%llu}",
			       told++ ? "," : "", (unsigned long long)stream.cookie, stream.pid,
			       stream.uid, stream.command, (unsigned long long)stream.info.offered,
			       stream.info.kind, (unsigned long long)last);
		}
	} while (len > 0);
	printf("],\"result\":%d,\"scope\":%u}\n", len, args->scope);
	return 0;
}

static int write_trace(const char *device, const char *path)
{
	struct qtrace_args args = {.link = (uint32_t)init(device, "", 0, 0)};
	const struct qsocket_trace *trace = &args.trace;
	static struct qsocket_record records[QSOCKET_TRACE_RECORDS];
	int len, all;
	FILE *file;

	if ((int)args.link < 0)
		return 0;
	len = entry_call(QTRACE, &args, sizeof(args));
	all = (int)trace->records_len;
	args.records = (uintptr_t)records;
	args.records_max = QSOCKET_TRACE_RECORDS;
	if (len == 0)
		len = entry_call(QTRACE, &args, sizeof(args));
	printf("{\"result\":%d,\"counted\":%d,\"scheduler\":\"%s\",\"rate\":%llu,\"guard_ns\":%llu,"
	       "\"streams_max\":%u,\"messages_max\":%u,\"missed\":%llu}\n",
	       len, all, trace->scheduler, (unsigned long long)trace->rate,
	       (unsigned long long)trace->guard_ns, trace->streams_max, trace->messages_max,
	       (unsigned long long)trace->missed);
	if (len < 0)
		return 0;
	file = fopen(path, "w");
	if (!file || fwrite(records, sizeof(*records), (size_t)len, file) != (size_t)len)
		return 1;
	return fclose(file);
}

static void wrong(const char *name, int result)
{
	printf("\"%s\":%d,", name, result);
}

static int wrong_calls(const char *device)
{
	int link = init(device, "", 0, 0), stream = open_stream(link, AF_INET);
	int plain = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct qattach_args attach = {.link = link, .type = QSOCKET_UDP, .fd = stream};
	struct qsend_args message = {.handle = plain, .to = address_of("10.79.0.2")};
	struct {
		struct qclose_args known;
		uint64_t unknown;
	} longer = {.known.handle = plain, .unknown = 1};
	struct qsockinit_args other = {.flags = QSOCKINIT_SYSTEM, .rate = 1000};
	struct qchange_args change = {.handle = link, .rate = 1000000};
	struct qclose_args flags = {.handle = stream, .flags = 2};

	printf("{");
	wrong("unknown", entry_call(200, &attach, sizeof(attach)));
	wrong("short", entry_call(QATTACH, &attach, sizeof(attach) - 8));
	wrong("long", entry_call(QCLOSE, &longer, sizeof(longer)));
	wrong("pointer", entry_call(QATTACH, NULL, sizeof(attach)));
	if (device_fd >= 0)
		wrong("type",
		      ioctl(device_fd, _IOC(_IOC_READ, 'x', 1, 8), &attach) < 0 ? -errno : 0);
	wrong("again", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.fd = local;
	wrong("family", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.fd = plain;
	attach.type = QSOCKET_TCP;
	wrong("protocol", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.type = QSOCKET_UDP;
	attach.link = plain;
	wrong("link", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.link = link;
	attach.attr.oln = 2;
	attach.attr.old = 1;
	wrong("window", entry_call(QATTACH, &attach, sizeof(attach)));
	attach.attr = (struct qsocket_attr){
		.ipg_ns = 1000000, .unit_bytes = 60000000, .flags = QSOCKET_ADMIT};
	wrong("admission", entry_call(QATTACH, &attach, sizeof(attach)));
	wrong("overbooked", attach.admission.flags & QSOCKET_OVERBOOKED);
	wrong("stranger", entry_call(QSENDTO, &message, sizeof(message)));
	message.handle = stream;
	message.data = 0xdead0000;
	message.data_len = 100;
	wrong("data", entry_call(QSENDTO, &message, sizeof(message)));
	message.to = address_of("127.0.0.1");
	wrong("route", entry_call(QSENDTO, &message, sizeof(message)));
	message.data_len = QSOCKET_MESSAGE_BYTES_MAX + 1;
	wrong("size", entry_call(QSENDTO, &message, sizeof(message)));
	wrong("unconnected",
	      entry_call(QSEND, &(struct qsend_args){.handle = stream}, sizeof(message)));
	wrong("flags", entry_call(QCLOSE, &flags, sizeof(flags)));
	wrong("rate", entry_call(QCHANGE, &change, sizeof(change)));
	snprintf(other.device, sizeof(other.device), "%s", device);
	wrong("initialise", entry_call(QSOCKINIT, &other, sizeof(other)));
	memset(other.device, 0, sizeof(other.device));
	snprintf(other.device, sizeof(other.device), "none");
	wrong("device", entry_call(QSOCKINIT, &other, sizeof(other)));
	printf("\"closed\":%d}\n", entry_call(QCLOSE, &(struct qclose_args){.handle = stream}, 8));
	return 0;
}

int main(int len, char **words)
{
	const char *what = len > 1 ? words[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (entry_open()) {
		perror(QSOCKETS_DEVICE);
		return 1;
	}
	if (!strcmp(what, "entry"))
		return puts(device_fd < 0 ? "\"system call\"" : "\"device\"") < 0;
	if (len < 3)
		return 2;
	if (!strcmp(what, "init") && len > 4)
		init(words[2], words[3], strtoull(words[4], NULL, 10),
		     QSOCKINIT_SYSTEM | (len > 5 ? QSOCKINIT_REPLACE : 0));
	else if (!strcmp(what, "off"))
		init(words[2], "", 0, QSOCKINIT_OFF);
	else if (!strcmp(what, "info"))
		return say_link(words[2]);
	else if (!strcmp(what, "send") && len > 7)
		return send_many(words[2], words + 3, len > 8);
	else if (!strcmp(what, "drain") && len > 5)
		return drain(words[2], words + 3, len > 6);
	else if (!strcmp(what, "list"))
		return list_all(words[2], len > 3 ? (uint32_t)atoi(words[3]) : 16,
				len > 4 ? (uint32_t)atoi(words[4]) : sizeof(struct qlist_stream));
	else if (!strcmp(what, "trace") && len > 3)
		return write_trace(words[2], words[3]);
	else if (!strcmp(what, "fill") && len > 3)
		return fill(words[2], atoi(words[3]), len > 4 ? strtoull(words[4], NULL, 10) : 0);
	else if (!strcmp(what, "hasten") && len > 3)
		return hasten(words[2], atoi(words[3]));
	else if (!strcmp(what, "multicast") && len > 3)
		return multicast(words[2], words[3]);
	else if (!strcmp(what, "pass"))
		return pass_on(words[2]);
	else if (!strcmp(what, "wrong"))
		return wrong_calls(words[2]);
	else
		return 2;
	return 0;
}
