/* SPDX-License-Identifier: MIT
 * What the multiplexer refuses: every call, field by field.
 */
#include <stddef.h>

#include "net.h"

#define AF_NONE_SUCH 77

static int32_t link_handle, stream, virtual_link, virtual_stream;

/* The call with one field set to something else. */
#define WITH(call, good, field, value)                                                             \
	({                                                                                         \
		__typeof__(good) changed_ = (good);                                                \
		changed_.field = (value);                                                          \
		qsocketcall(call, &changed_, sizeof(changed_));                                    \
	})

static const char *calls(void)
{
	static const uint32_t bytes[] = {
		[QSOCKINIT] = sizeof(struct qsockinit_args),
		[QSOCKET] = sizeof(struct qsocket_args),
		[QATTACH] = sizeof(struct qattach_args),
		[QCHANGE] = sizeof(struct qchange_args),
		[QINFO] = sizeof(struct qinfo_args),
		[QSEND] = sizeof(struct qsend_args),
		[QSENDTO] = sizeof(struct qsend_args),
		[QCLOSE] = sizeof(struct qclose_args),
		[QRUN] = sizeof(struct qrun_args),
		[QLIST] = sizeof(struct qlist_args),
	};
	char args[4096] = {0};

	HOLDS(qsocketcall(0, args, sizeof(args)) == -ENOSYS);
	HOLDS(qsocketcall(QLIST + 1, args, sizeof(args)) == -ENOSYS);
	HOLDS(qsocketcall(UINT32_MAX, NULL, 0) == -ENOSYS);
	for (uint32_t call = QSOCKINIT; call <= QLIST; call++) {
		HOLDS(qsocketcall(call, NULL, bytes[call]) == -EFAULT);
		HOLDS(qsocketcall(call, args, bytes[call] - 1) == -EINVAL);
		HOLDS(qsocketcall(call, args, 0) == -EINVAL);
		if (call != QRUN && call != QLIST)
			HOLDS(qsocketcall(call, args, bytes[call] + 1) == -EINVAL);
	}
	return NULL;
}

static const char *qsockinit(void)
{
	struct qsockinit_args good = {.scheduler = "dwcs", .rate = 1000};
	struct qsockinit_args args = good;

	HOLDS(WITH(QSOCKINIT, good, rate, 0) == -EINVAL);
	HOLDS(WITH(QSOCKINIT, good, rate, QSOCKET_RATE_MAX + 1) == -EINVAL);
	HOLDS(WITH(QSOCKINIT, good, flags, 2) == -EINVAL);
	HOLDS(WITH(QSOCKINIT, good, flags, QSOCKINIT_TRACE) == -EINVAL);
	HOLDS(WITH(QSOCKINIT, good, queue_messages, QSOCKET_QUEUE_MESSAGES_MAX + 1) == -ERANGE);
	HOLDS(WITH(QSOCKINIT, good, streams, QSOCKET_STREAMS_MAX + 1) == -ERANGE);
	HOLDS(WITH(QSOCKINIT, good, scheduler[0], 'x') == -EPROTONOSUPPORT);
	HOLDS(WITH(QSOCKINIT, good, scheduler[0], 0) == -EINVAL); /* more behind the NUL */
	HOLDS(WITH(QSOCKINIT, good, scheduler[15], 'x') == -EINVAL);
	HOLDS(WITH(QSOCKINIT, good, device[3], 'x') == -EINVAL);
	HOLDS(WITH(QSOCKINIT, good, device[0], '/') == -ENODEV);
	memset(args.scheduler, 'x', sizeof(args.scheduler));
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EINVAL);
	args = (struct qsockinit_args){
		.device = "lo", .scheduler = "dwcs", .rate = 1000, .flags = QSOCKINIT_VIRTUAL};
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EINVAL);
	return NULL;
}

static const char *qsockinit_of_a_device(void)
{
	struct qsockinit_args good = {.device = "lo", .scheduler = "edf", .rate = 1000};
	struct qsockinit_args args = good;
	struct qchange_args change = {.rate = 2000};
	int32_t first = qsocketcall(QSOCKINIT, &args, sizeof(args)), again;

	HOLDS(first > 0);
	again = qsocketcall(QSOCKINIT, &args, sizeof(args));
	HOLDS(again == first);
	HOLDS(WITH(QSOCKINIT, good, rate, 1001) == -EEXIST);
	strcpy(args.scheduler, "fifo");
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EBUSY);
	change.handle = (uint32_t)first;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)));
	HOLDS(WITH(QSOCKINIT, good, rate, 1000) == -EEXIST);
	HOLDS(!call_close(first, 0) && call_info(first).kind == QSOCKET_LINK);
	HOLDS(!call_close(first, 0) && call_close(first, 0) == -EBADF);
	args.rate = 5;
	again = qsocketcall(QSOCKINIT, &args, sizeof(args)); /* the device is free again */
	HOLDS(again > 0 && again != first && !call_close(again, 0));
	return NULL;
}

static const char *qsocket(void)
{
	struct qsocket_args good = {
		.link = (uint32_t)link_handle, .type = QSOCKET_UDP, .peer = loopback(AF_INET, 9)};
	int32_t made;

	made = WITH(QSOCKET, good, type, QSOCKET_UDP);
	HOLDS(made > 0 && !call_close(made, 0));
	HOLDS(WITH(QSOCKET, good, link, 0) == -EBADF);
	HOLDS(WITH(QSOCKET, good, link, (uint32_t)stream) == -EBADF);
	HOLDS(WITH(QSOCKET, good, link, good.link + (1u << 12)) == -EBADF);
	HOLDS(WITH(QSOCKET, good, link, UINT32_MAX) == -EBADF);
	HOLDS(WITH(QSOCKET, good, type, 0) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, type, 3) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, attr.flags, 4) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, attr.unit_bytes, QSOCKET_UNIT_BYTES_MAX + 1) == -ERANGE);
	HOLDS(WITH(QSOCKET, good, attr.oln, 1) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, attr.old, QSOCKET_WINDOW_MAX + 1) == -ERANGE);
	HOLDS(WITH(QSOCKET, good, attr.ipg_ns, QSOCKET_IPG_NS_MAX + 1) == -ERANGE);
	HOLDS(WITH(QSOCKET, good, attr.queue_messages, QSOCKET_QUEUE_MESSAGES_MAX + 1) == -ERANGE);
	HOLDS(WITH(QSOCKET, good, local.port, 1) == -EINVAL); /* an address of no family */
	HOLDS(WITH(QSOCKET, good, local.family, AF_NONE_SUCH) == -EAFNOSUPPORT);
	HOLDS(WITH(QSOCKET, good, local.family, AF_INET6) == -EAFNOSUPPORT);
	HOLDS(WITH(QSOCKET, good, peer.family, AF_NONE_SUCH) == -EAFNOSUPPORT);
	HOLDS(WITH(QSOCKET, good, peer.family, 0) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, peer.port, 0) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, peer.scope, 1) == -EINVAL);
	HOLDS(WITH(QSOCKET, good, peer.bytes[4], 1) == -EINVAL);
	return NULL;
}

static const char *qattach(void)
{
	struct qattach_args good = {.link = (uint32_t)link_handle,
				    .type = QSOCKET_UDP,
				    .fd = -1,
				    .local = loopback(AF_INET, 9)};

	HOLDS(WITH(QATTACH, good, link, 0) == -EBADF);
	HOLDS(WITH(QATTACH, good, link, (uint32_t)virtual_link) == -EOPNOTSUPP);
	HOLDS(WITH(QATTACH, good, type, 0) == -EINVAL);
	HOLDS(WITH(QATTACH, good, zero, 1) == -EINVAL);
	HOLDS(WITH(QATTACH, good, fd, -2) == -EBADF);
	HOLDS(WITH(QATTACH, good, local, (struct qsocket_addr){0}) == -EINVAL);
	HOLDS(WITH(QATTACH, good, attr.oln, 1) == -EINVAL);
	HOLDS(WITH(QATTACH, good, peer.bytes[0], 1) == -EINVAL);
	HOLDS(WITH(QATTACH, good, peer, loopback(AF_INET6, 9)) == -EAFNOSUPPORT);
	return NULL;
}

static const char *qchange(void)
{
	struct qchange_args of_stream = {.handle = (uint32_t)stream};
	struct qchange_args of_link = {.handle = (uint32_t)link_handle, .rate = FAST};

	HOLDS(!WITH(QCHANGE, of_stream, attr.ipg_ns, 5) && !WITH(QCHANGE, of_link, rate, FAST));
	HOLDS(WITH(QCHANGE, of_stream, handle, 7) == -EBADF);
	HOLDS(WITH(QCHANGE, of_stream, zero, 1) == -EINVAL);
	HOLDS(WITH(QCHANGE, of_stream, rate, 1) == -EINVAL);
	HOLDS(WITH(QCHANGE, of_stream, attr.flags, 4) == -EINVAL);
	HOLDS(WITH(QCHANGE, of_stream, attr.oln, 1) == -EINVAL);
	HOLDS(WITH(QCHANGE, of_link, rate, 0) == -EINVAL);
	HOLDS(WITH(QCHANGE, of_link, rate, QSOCKET_RATE_MAX + 1) == -EINVAL);
	HOLDS(WITH(QCHANGE, of_link, attr.queue_bytes, 1) == -EINVAL);
	return NULL;
}

static const char *qsend_and_qsendto(void)
{
	struct qsend_args good = {
		.handle = (uint32_t)stream, .data = (uintptr_t) "data", .data_len = 4};
	struct qsend_args to = good;
	const uint32_t segment = 1u << QSOCKET_SEGMENT_SHIFT;

	to.to = loopback(AF_INET, 9);
	HOLDS(WITH(QSEND, good, data_len, 4) == 4 && WITH(QSENDTO, to, data_len, 4) == 4);
	HOLDS(WITH(QSEND, good, handle, 0) == -EBADF);
	HOLDS(WITH(QSEND, good, handle, (uint32_t)link_handle) == -EBADF);
	for (uint32_t bit = 10; bit < 16; bit++)
		HOLDS(WITH(QSEND, good, flags, 1u << bit) == -EINVAL);
	HOLDS(WITH(QSEND, good, flags, QSOCKET_START) == -EINVAL);
	HOLDS(WITH(QSEND, good, flags, QSOCKET_END) == -EINVAL);
	HOLDS(WITH(QSEND, good, flags, QSOCKET_FRAME) == -EPROTO);
	HOLDS(WITH(QSEND, good, deadline_us, 1) == -EINVAL);
	HOLDS(WITH(QSEND, good, at_ns, 1) == -EINVAL);
	HOLDS(WITH(QSEND, good, message, 1) == -EINVAL);
	HOLDS(WITH(QSEND, good, zero, 1) == -EINVAL);
	HOLDS(WITH(QSEND, good, data, 0) == -EFAULT);
	HOLDS(WITH(QSEND, good, data_len, QSOCKET_MESSAGE_BYTES_MAX + 1) == -EMSGSIZE);
	HOLDS(WITH(QSEND, good, flags, 65508u * segment) == -EMSGSIZE);
	HOLDS(qsend((uint32_t)stream, "", 65, segment, 0) == -EMSGSIZE);
	HOLDS(WITH(QSEND, good, to, to.to) == -EINVAL); /* that is QSENDTO's */
	HOLDS(WITH(QSENDTO, to, to.family, 0) == -EINVAL);
	HOLDS(WITH(QSENDTO, to, to, (struct qsocket_addr){0}) == -EDESTADDRREQ);
	HOLDS(WITH(QSENDTO, to, to.port, 0) == -EINVAL);
	HOLDS(WITH(QSENDTO, to, to.scope, 1) == -EINVAL);
	HOLDS(WITH(QSENDTO, to, to.family, AF_INET6) == -EAFNOSUPPORT);
	HOLDS(qsendto((uint32_t)stream, "x", 1, 0, 0, NULL) == -EFAULT);
	HOLDS(WITH(QSEND, good, handle, (uint32_t)virtual_stream) == -EINVAL); /* has data */
	return NULL;
}

static const char *qinfo_and_qclose(void)
{
	struct qinfo_args info = {.handle = (uint32_t)stream};
	struct qclose_args close_args = {.handle = (uint32_t)stream};

	HOLDS(WITH(QINFO, info, zero, 1) == -EINVAL && WITH(QINFO, info, handle, 1) == -EBADF);
	HOLDS(WITH(QCLOSE, close_args, flags, 2) == -EINVAL);
	HOLDS(WITH(QCLOSE, close_args, handle, 1) == -EBADF);
	HOLDS(call_close(link_handle, QCLOSE_DRAIN) == -EINVAL);
	return NULL;
}

/* QRUN with room for two events. */
static int32_t run(int32_t link, uint32_t events_max, uint64_t until_ns, uint32_t zero)
{
	uint32_t bytes = sizeof(struct qrun_args) + 2 * sizeof(struct qsocket_event);
	struct qrun_args *args = calloc(1, bytes);
	int32_t result;

	args->link = (uint32_t)link;
	args->events_max = events_max;
	args->until_ns = until_ns;
	args->zero = zero;
	result = qsocketcall(QRUN, args, bytes);
	free(args);
	return result;
}

/* QLIST with room for two streams of so many bytes. */
static int32_t list(int32_t link, uint32_t streams_max, uint32_t stream_bytes, uint64_t after)
{
	uint32_t bytes = sizeof(struct qlist_args) + 2 * sizeof(struct qlist_stream);
	struct qlist_args *args = calloc(1, bytes);
	int32_t result;

	args->link = (uint32_t)link;
	args->streams_max = streams_max;
	args->stream_bytes = stream_bytes;
	args->after = after;
	result = qsocketcall(QLIST, args, bytes);
	free(args);
	return result;
}

static const char *qlist(void)
{
	const uint32_t bytes = sizeof(struct qlist_stream);

	HOLDS(list(virtual_link, 2, bytes, 0) == 1);
	HOLDS(list(virtual_link, 2, bytes, 1) == 0);
	HOLDS(list(virtual_link, 2, bytes, UINT64_MAX) == 0);
	HOLDS(list(virtual_link, 1, bytes, 0) == -EINVAL);
	HOLDS(list(virtual_link, 3, bytes, 0) == -EINVAL);
	HOLDS(list(virtual_link, 0, bytes, 0) == -ERANGE);
	HOLDS(list(virtual_link, QSOCKET_LIST_MAX + 1, bytes, 0) == -ERANGE);
	HOLDS(list(virtual_link, UINT32_MAX, bytes, 0) == -ERANGE);
	HOLDS(list(virtual_link, 2, 0, 0) == -EINVAL);
	HOLDS(list(virtual_link, 2, bytes + 8, 0) == -EINVAL);
	HOLDS(list(virtual_link, 2, QSOCKET_LIST_STREAM_BYTES_MAX + 8, 0) == -ERANGE);
	HOLDS(list(virtual_stream, 2, bytes, 0) == -EBADF);
	HOLDS(list(0, 2, bytes, 0) == -EBADF);
	return NULL;
}

static const char *qrun(void)
{
	HOLDS(run(virtual_link, 2, 5, 0) == 0);
	HOLDS(run(virtual_link, 1, 5, 0) == -EINVAL);
	HOLDS(run(virtual_link, 3, 5, 0) == -EINVAL);
	HOLDS(run(virtual_link, 0, 5, 0) == -ERANGE);
	HOLDS(run(virtual_link, QSOCKET_EVENTS_MAX + 1, 5, 0) == -ERANGE);
	HOLDS(run(virtual_link, UINT32_MAX, 5, 0) == -ERANGE);
	HOLDS(run(virtual_link, 2, 5, 1) == -EINVAL);
	HOLDS(run(virtual_stream, 2, 5, 0) == -EBADF);
	HOLDS(run(link_handle, 2, 5, 0) == -EOPNOTSUPP);
	HOLDS(run(virtual_link, 2, UINT64_MAX, 0) == -EINVAL);
	HOLDS(run(virtual_link, 2, 4, 0) == -EINVAL); /* it is past that */
	return NULL;
}

static const char *layout(void)
{
	static char text[16384];
	int32_t len = qsocket_layout(text, sizeof(text) - 1);
	char line[64];

	HOLDS(len > 0 && len < (int32_t)sizeof(text) && qsocket_layout(NULL, 0) == len);
	snprintf(line, sizeof(line), "\nqsend_args.deadline_us %zu 4\n",
		 offsetof(struct qsend_args, deadline_us));
	HOLDS(strstr(text, "\nqsend_args 64\n") && strstr(text, line));
	snprintf(line, sizeof(line), "\nqinfo_args.info 8 %zu\n", sizeof(struct qsocket_info));
	HOLDS(strstr(text, line));
	return NULL;
}

int main(void)
{
	struct qsocket_args args = {.type = QSOCKET_UDP};

	link_handle = call_init("dwcs", FAST, 0);
	stream = open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, 9));
	virtual_link = call_init("dwcs", 1000, QSOCKINIT_VIRTUAL);
	args.link = (uint32_t)virtual_link;
	virtual_stream = qsocketcall(QSOCKET, &args, sizeof(args));
	check("qsocketcall refuses unknown calls and wrong lengths", calls());
	check("QSOCKINIT refuses what it does not know", qsockinit());
	check("a device has one link, one scheduler and one rate", qsockinit_of_a_device());
	check("QSOCKET refuses every bad field", qsocket());
	check("QATTACH refuses every bad field", qattach());
	check("QCHANGE refuses every bad field", qchange());
	check("QSEND and QSENDTO refuse every bad field", qsend_and_qsendto());
	check("QINFO and QCLOSE refuse every bad field", qinfo_and_qclose());
	check("QRUN refuses every bad field", qrun());
	check("QLIST refuses every bad field", qlist());
	check("qsocket_layout says what the compiler laid out", layout());
	return check_end();
}
