/* SPDX-License-Identifier: MIT
 * The host below the stack by the kernel's own calls, on loopback, with a kernel
 * that this program plays itself: the device /dev/qsockets (linux/gate.h).
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "net.h"

#include "below/below.h"
#include "device/device.h"
#include "linux/gate.h"

#define STREAMS_MAX 100
#define GATE_PATH "/dev/zero" /* in the device's place */

static int absent;		 /* the device, with its module */
static int bare;		 /* lo has no scheduler */
static int32_t refuses, sending; /* what QATTACH and QSEND answer, if not 0 */
static int known, attached, changed, closed, sends, looks;
static uint32_t listed;
static char scheduler[QSOCKET_NAME_BYTES];
static struct qsocket_attr attr;
static struct qsocket_info stream_info, link_info;
static struct qsend_args sent;

static int gate_fd = -1;

int open(const char *path, int flags, ...)
{
	if (strcmp(path, QSOCKETS_DEVICE)) {
		va_list rest;
		int mode;

		va_start(rest, flags);
		mode = flags & O_CREAT ? va_arg(rest, int) : 0;
		va_end(rest);
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	}
	if (absent) {
		errno = ENOENT;
		return -1;
	}
	return gate_fd = (int)syscall(SYS_openat, AT_FDCWD, GATE_PATH, O_RDONLY | O_CLOEXEC);
}

static uint32_t handle_of_lo(void)
{
	return QSOCKET_LINK_HANDLE | if_nametoindex("lo");
}

static int32_t play_init(struct qsockinit_args *a)
{
	if (bare)
		return -ENOENT;
	if (*a->scheduler && strcmp(a->scheduler, scheduler)) {
		strcpy(a->why, "the device has another");
		return -EBUSY;
	}
	strcpy(a->scheduler, scheduler);
	a->rate = 1000000;
	a->host = QSOCKET_BELOW;
	a->streams = STREAMS_MAX + QSOCKET_FLOWS;
	return (int32_t)handle_of_lo();
}

static int32_t play_attach(struct qattach_args *a)
{
	a->admission.utilisation_ppm = 7;
	if (refuses)
		return refuses;
	if (bare || a->link != handle_of_lo())
		return -EBADF;
	if (known)
		return -EALREADY;
	known = 1;
	attached++;
	attr = a->attr;
	return a->fd;
}

static int32_t play_change(struct qchange_args *a)
{
	if (!known)
		return -ENOLINK;
	changed++;
	attr = a->attr;
	return 0;
}

static int32_t play_info(struct qinfo_args *a)
{
	int is_link = (a->handle & QSOCKET_LINK_HANDLE) != 0;

	looks += !is_link;
	if (is_link ? bare : !known)
		return -ENOLINK;
	a->info = is_link ? link_info : stream_info;
	a->info.gate = QSOCKET_GATE_MODULE;
	a->info.rate = 1000000;
	strcpy(a->info.scheduler, scheduler);
	return 0;
}

static int32_t play_send(uint32_t call, const struct qsend_args *a)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a->to.port)};
	ssize_t done;

	memcpy(&to.sin_addr, a->to.bytes, 4);
	sent = *a;
	sends++;
	if (!known)
		return -ENOLINK;
	if (sending)
		return sending;
	done = syscall(SYS_sendto, (int)a->handle, (void *)(uintptr_t)a->data, a->data_len,
		       MSG_DONTWAIT, call == QSENDTO ? &to : NULL, sizeof(to));
	return done < 0 ? -errno : (int32_t)done;
}

/* Streams with the keys 1 to `listed`. */
static int32_t play_list(struct qlist_args *a, uint32_t bytes)
{
	uint32_t len = 0;

	if (bytes != sizeof(*a) + a->streams_max * a->stream_bytes)
		return -EINVAL;
	for (; len < a->streams_max && a->after < listed; len++) {
		struct qlist_stream stream = {.cookie = ++a->after};

		memcpy((char *)a->streams + len * a->stream_bytes, &stream, a->stream_bytes);
	}
	a->streams_len = len;
	return (int32_t)len;
}

static int32_t play_trace(struct qtrace_args *a)
{
	if (!a->records_max)
		return 0;
	strcpy(a->trace.scheduler, scheduler);
	a->trace.records_len = 1;
	memset((void *)(uintptr_t)a->records, 7, sizeof(struct qsocket_record));
	return 1;
}

static int32_t play_call(uint32_t call, void *args, uint32_t bytes)
{
	switch (call) {
	case QSOCKINIT:
		return play_init(args);
	case QATTACH:
		return play_attach(args);
	case QCHANGE:
		return play_change(args);
	case QINFO:
		return play_info(args);
	case QSEND:
	case QSENDTO:
		return play_send(call, args);
	case QCLOSE:
		closed++;
		known = 0;
		return 0;
	case QLIST:
		return play_list(args, bytes);
	case QTRACE:
		return play_trace(args);
	default:
		return -ENOSYS;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list rest;
	void *args;
	int32_t result;

	va_start(rest, request);
	args = va_arg(rest, void *);
	va_end(rest);
	if (fd != gate_fd || _IOC_TYPE(request) != QSOCKETS_IOCTL)
		return (int)syscall(SYS_ioctl, fd, request, args);
	result = play_call(_IOC_NR(request), args, _IOC_SIZE(request));
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static void play(void)
{
	absent = bare = known = attached = changed = closed = sends = looks = 0;
	refuses = sending = 0;
	strcpy(scheduler, "dwcs");
	memset(&stream_info, 0, sizeof(stream_info));
	memset(&link_info, 0, sizeof(link_info));
}

static int32_t init(const char *name, struct qsockinit_args *args)
{
	*args = (struct qsockinit_args){.device = "lo"};
	strcpy(args->scheduler, name);
	return qsocketcall(QSOCKINIT, args, sizeof(*args));
}

static const char *joins(void)
{
	struct qsockinit_args args;
	struct qsocket_info info;
	int32_t link;

	play();
	absent = 1;
	HOLDS(init("dwcs", &args) == -EINVAL); /* no rate is said, and nobody knows one */
	absent = 0;
	link = init("", &args); /* a module that was loaded meanwhile */
	HOLDS(link > 0 && args.host == QSOCKET_BELOW && args.rate == 1000000);
	link_info.streams = 5;
	link_info.sent = 3;
	link_info.offered = 3;
	info = call_info(link);
	HOLDS(info.host == QSOCKET_BELOW && info.gate == QSOCKET_GATE_MODULE);
	HOLDS(info.streams == 5 && info.sent == 3 && info.offered == 3);
	HOLDS(info.rate == 1000000 && !strcmp(info.scheduler, "dwcs"));
	HOLDS(init("edf", &args) == -EBUSY && !strcmp(args.why, "the device has another"));
	HOLDS(!call_close(link, 0));
	bare = 1;
	HOLDS(init("", &args) == -EINVAL);
	return NULL;
}

static const char *passes_refusals_on(void)
{
	static const int32_t errors[] = {-EACCES, -EDQUOT, -ENOSPC, -EBUSY, -EEXIST};
	struct qsocket_args args = {.type = QSOCKET_UDP, .peer = loopback(AF_INET, 9)};
	struct qsockinit_args opening;
	int32_t link;

	play();
	link = init("", &opening);
	args.link = (uint32_t)link;
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		refuses = errors[i];
		HOLDS(qsocketcall(QSOCKET, &args, sizeof(args)) == errors[i]);
	}
	HOLDS(args.admission.utilisation_ppm == 7 && !closed);
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *sends_by_calls(void)
{
	uint32_t flags = QSOCKET_FRAME | QSOCKET_START | QSOCKET_END | 5u << QSOCKET_DROP_SHIFT;
	struct qchange_args change = {.attr = {.oln = 1, .old = 9}};
	struct qsockinit_args opening;
	struct qsocket_addr to;
	struct qsocket_info info;
	int32_t link, stream;
	uint16_t port;
	char got[8];
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	struct sock_txtime txtime;
	socklen_t len = sizeof(txtime);

	play();
	link = init("", &opening);
	to = loopback(AF_INET, port);
	stream = open_stream(link, QSOCKET_UDP, to);
	HOLDS(stream > 0 && attached == 1);
	HOLDS(qsend((uint32_t)stream, "data", 4, flags | QSOCKET_DEADLINE, 50000) == 4);
	HOLDS(receive(fd, got, 8) == 4 && sends == 1);
	HOLDS(sent.flags == (flags | QSOCKET_DEADLINE) && sent.deadline_us == 50000);
	/* its times are the kernel's business */
	HOLDS(!getsockopt((int)sent.handle, SOL_SOCKET, SO_TXTIME, &txtime, &len));
	HOLDS(txtime.clockid != CLOCK_MONOTONIC);
	HOLDS(qsend((uint32_t)stream, "data", 4, flags | QSOCKET_DEADLINE, 0) == -ETIME);
	HOLDS(send_bytes(stream, "data", 4, QSOCKET_FRAME) == -EPROTO && sends == 1);
	change.handle = (uint32_t)stream;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)) && changed == 1 && attr.old == 9);
	stream_info = (struct qsocket_info){.offered = 1, .sent = 1, .delays = {1}};
	info = call_info(stream);
	HOLDS(info.gate == QSOCKET_GATE_MODULE && info.sent == 1 && info.delays[0] == 1);
	HOLDS(info.offered == 2 && info.dropped[QSOCKET_EXPIRED] == 1 && info.syscalls == 1);
	HOLDS(!call_close(stream, 0) && closed == 1);
	stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	HOLDS(qsendto((uint32_t)stream, "data", 4, 0, 0, &to) == 4 && receive(fd, got, 8) == 4);
	HOLDS(sends == 2 && sent.to.port == port && !call_close(link, 0) && closed == 2);
	close(fd);
	return NULL;
}

static const char *counts_what_is_refused(void)
{
	struct qsockinit_args opening;
	struct qsocket_info info;
	int32_t link, stream;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	play();
	link = init("", &opening);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	sending = -ENOBUFS; /* the scheduler's own word: it has counted it */
	HOLDS(send_bytes(stream, "data", 4, 0) == -ENOBUFS);
	info = call_info(stream);
	HOLDS(info.socket_errors == 1 && info.offered == 0);
	sending = -EAGAIN; /* no room in the socket */
	HOLDS(send_bytes(stream, "data", 4, 0) == -ENOBUFS);
	sending = -EPERM;
	HOLDS(send_bytes(stream, "data", 4, 0) == -EPERM);
	sending = -ECONNREFUSED; /* another datagram's */
	HOLDS(send_bytes(stream, "data", 4, 0) == -ECONNREFUSED);
	HOLDS(sends == 4 + BELOW_RETRIES_MAX);
	info = call_info(stream);
	HOLDS(info.dropped[QSOCKET_OVERFLOW] == 1 && info.dropped[QSOCKET_ERROR] == 2);
	HOLDS(info.syscalls == 4 + BELOW_RETRIES_MAX && info.last_error == ECONNREFUSED);
	HOLDS(!call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *joins_again(void)
{
	struct qsockinit_args opening;
	struct qsocket_info info;
	int32_t link, stream;
	uint16_t port;
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port), before;

	play();
	link = init("", &opening);
	stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));
	HOLDS(send_bytes(stream, "data", 4, 0) == 4 && attached == 1 && !looks);
	known = 0; /* another scheduler: nothing is lost */
	HOLDS(send_bytes(stream, "data", 4, 0) == 4 && attached == 2);
	/* another route alone is no reason */
	sending = -ENOLINK;
	HOLDS(send_bytes(stream, "data", 4, 0) == -ENOLINK && attached == 2);
	sending = 0;
	HOLDS(send_bytes(stream, "data", 4, 0) == 4);
	/* none: it is looked for now and then */
	known = 0;
	bare = 1;
	HOLDS(send_bytes(stream, "data", 4, 0) == -ENOLINK);
	before = sends;
	HOLDS(send_bytes(stream, "data", 4, 0) == -ENOLINK && sends == before);
	info = call_info(stream);
	HOLDS(info.dropped[QSOCKET_ERROR] == 3 && info.last_error == ENOLINK);
	HOLDS(info.gate == QSOCKET_GATE_MODULE);
	bare = 0;
	for (int i = 0; i < PATIENCE_MS && send_bytes(stream, "data", 4, 0) != 4; i++)
		usleep(1000);
	HOLDS(attached == 3 && !call_close(link, 0));
	close(fd);
	return NULL;
}

static const char *writes_tcp(void)
{
	uint16_t port;
	int listener = plain_socket(AF_INET, SOCK_STREAM, &port), fd;
	struct qsockinit_args opening;
	int32_t link, stream, result = 4;
	char got[4];

	HOLDS(!listen(listener, 1));
	play();
	link = init("", &opening);
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	HOLDS(stream > 0 && attached == 1);
	fd = accept(listener, NULL, NULL);
	HOLDS(send_bytes(stream, "data", 4, 0) == 4 && receive(fd, got, 4) == 4 && !sends);
	known = 0;
	bare = 1;
	for (int i = 0; i < PATIENCE_MS && result == 4; i++) {
		result = send_bytes(stream, "data", 4, 0);
		usleep(1000);
	}
	HOLDS(result == -ENOLINK && !(call_info(stream).state & QSOCKET_STATE_BROKEN));
	bare = 0;
	for (int i = 0; i < PATIENCE_MS && send_bytes(stream, "data", 4, 0) != 4; i++)
		usleep(1000);
	HOLDS(attached == 2 && !call_close(link, 0));
	close(fd);
	close(listener);
	return NULL;
}

static const char *lists_in_parts(void)
{
	struct device device = {.ifindex = if_nametoindex("lo")};
	static struct qlist_stream streams[60];
	struct qlist_args args = {.streams_max = 60, .stream_bytes = sizeof(streams[0])};

	play();
	listed = 50;
	HOLDS(kernel_list(&device, &args, streams) == 50 && args.streams_len == 50);
	HOLDS(args.scope == QLIST_ALL && args.after == 50 && !args.link);
	for (unsigned i = 0; i < 50; i++)
		HOLDS(streams[i].cookie == i + 1);
	args = (struct qlist_args){.streams_max = 20, .stream_bytes = sizeof(streams[0])};
	HOLDS(kernel_list(&device, &args, streams) == 20 && args.after == 20);
	args.after = 50;
	HOLDS(kernel_list(&device, &args, streams) == 0);
	return NULL;
}

static const char *reads_traces(void)
{
	struct qsocket_trace trace = {.device = "lo"};
	struct qsocket_record record = {0};

	play();
	HOLDS(qsocket_trace_read(&trace, &record, 1) == 1 && record.kind == 7);
	HOLDS(!strcmp(trace.device, "lo") && !strcmp(trace.scheduler, "dwcs"));
	HOLDS(trace.records_len == 1);
	return NULL;
}

static const char *knows_kinds(void)
{
	char kind[QSOCKET_NAME_BYTES];

	kernel_kind(kind, "edf-lossless");
	HOLDS(!strcmp(kind, "qs_edf-lossless") && kernel_is(kind));
	HOLDS(!kernel_is("qs_12345678") && !kernel_is("htb") && !kernel_is("qs_"));
	return NULL;
}

int main(void)
{
	check("a link joins what the kernel has on its device, once there is such", joins());
	check("what the kernel refuses a program is told", passes_refusals_on());
	check("a message is the kernel's call, once its marks are in order", sends_by_calls());
	check("what the kernel refuses is counted once", counts_what_is_refused());
	check("a stream that the device has lost is registered again, or waits for that",
	      joins_again());
	check("TCP is written as ever, and looked after", writes_tcp());
	check("the streams of all processes come in parts", lists_in_parts());
	check("records are read by the kernel's call", reads_traces());
	check("a qdisc of the kernel's own is known by its name", knows_kinds());
	return check_end();
}
