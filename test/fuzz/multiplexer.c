/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the calls: rows of qsocketcall(), qsend() and qsendto() with
 * arguments that are right, nearly right and hostile, on virtual links and,
 * in some runs, on real ones with sockets of loopback (network.h). Arguments
 * are built right from an input's choices, and then perhaps spoiled: a byte
 * changed, a length that is not theirs, a handle of the past, another call's
 * number. What a call must do with them is judged from the bytes themselves
 * (handles.h), and what it did is kept account of (account.h).
 */
#include <time.h>

#include "account.h"
#include "network.h"

#define CALLS_MAX 6000	   /* of a run on virtual links */
#define REAL_CALLS_MAX 400 /* with real ones */
#define NAPS_MAX 8	   /* of a run, NAP_NS each: for the links' threads */
#define NAP_NS 200000l
#define LARGE_MAX 2 /* links with a large queue, of a run */

static const uint64_t rates[] = {1000, 125000, 1000000, 333333, 1, 1000000000, QSOCKET_RATE_MAX};
static const uint64_t periods_ns[] = {
	0, 0, 1, 1000, 1000000, 10000000, 40000000, QSOCKET_IPG_NS_MAX, QSOCKET_IPG_NS_MAX + 1};
static const uint64_t spans_ns[] = {0, 1, 1000, 100000, 1000000, 20000000, 1000000000};
static const uint32_t sizes[] = {0,
				 1,
				 100,
				 1200,
				 1472,
				 9000,
				 40000,
				 QSOCKET_MESSAGE_BYTES_MAX,
				 QSOCKET_MESSAGE_BYTES_MAX + 1};

static int is_real, naps, large;
static uint32_t messages_len, calls_max;

/* Arguments of any call, and behind them room for events. */
static union {
	struct qsockinit_args init;
	struct qsocket_args socket;
	struct qattach_args attach;
	struct qchange_args change;
	struct qinfo_args info;
	struct qsend_args send;
	struct qclose_args close;
	struct qrun_args run;
	struct qlist_args list;
	uint8_t bytes[sizeof(struct qrun_args) + QSOCKET_EVENTS_MAX * sizeof(struct qsocket_event) +
		      64];
} args;

/* A handle: of this kind and open, if the byte does not say otherwise. */
static uint32_t handle_of(uint8_t byte, uint8_t kind)
{
	static const uint32_t wrong[] = {0, 1, 4096, UINT32_MAX, INT32_MAX, 0x80000001};
	uint32_t first = objects_len ? byte % objects_len : 0;

	if (byte >= 0xf8)
		return PICK(wrong, byte);
	if (byte >= 0xf0 && objects_len)
		return objects[first].handle; /* of any kind, or of the past */
	for (uint32_t i = 0; i < objects_len; i++) {
		const struct object *o = &objects[(first + i) % objects_len];

		if (o->open && o->kind == kind)
			return o->handle;
	}
	return 0;
}

static void set_name(char name[QSOCKET_NAME_BYTES], const char *text, uint8_t spoil)
{
	strncpy(name, text, QSOCKET_NAME_BYTES);
	if (spoil >= 0xfc)
		memset(name, 'q', QSOCKET_NAME_BYTES);
	else if (spoil >= 0xf8)
		name[QSOCKET_NAME_BYTES - 1] = 1;
	else if (spoil >= 0xf4)
		name[strlen(text) / 2] = 0;
}

static struct qsocket_attr attr_of(struct record *r)
{
	static const uint32_t windows[] = {
		0, 0, 1, 2, 3, 5, 12, QSOCKET_WINDOW_MAX, QSOCKET_WINDOW_MAX + 1};
	static const uint32_t messages[] = {
		0, 0, 1, 2, 5, QSOCKET_QUEUE_MESSAGES_MAX, QSOCKET_QUEUE_MESSAGES_MAX + 1};
	static const uint64_t bytes[] = {0, 0, 0, 1, 1500, 20000, UINT64_MAX};
	static const uint32_t units[] = {0, 0, 1200, QSOCKET_UNIT_BYTES_MAX,
					 QSOCKET_UNIT_BYTES_MAX + 1};
	static const uint32_t weights[] = {0, 1, 2, 10, QSOCKET_WEIGHT_MAX, QSOCKET_WEIGHT_MAX + 1};
	static const uint32_t flags[] = {0, 0, 0, QSOCKET_UNDROPPABLE, 0, QSOCKET_ADMIT, 3, 4};
	uint8_t period = byte_of(r), window = byte_of(r), oln = byte_of(r), queue = byte_of(r);
	uint8_t more = byte_of(r), share = byte_of(r);
	struct qsocket_attr attr = {
		.ipg_ns = PICK(periods_ns, period),
		.old = PICK(windows, window),
		.flags = PICK(flags, more),
		.queue_messages = PICK(messages, queue),
		.queue_bytes = PICK(bytes, queue >> 4),
		.unit_bytes = PICK(units, more >> 4),
		.weight = PICK(weights, share),
		.class_id = share >> 4 < 12 ? 0 : (share >> 4) - 11,
	};

	attr.oln = oln == 255 ? attr.old + 1 : oln == 254 ? attr.old : oln % (attr.old + 1);
	if (share == 255)
		attr.class_id = UINT32_MAX;
	return attr;
}

static struct qsocket_addr addr_of(uint8_t byte)
{
	struct qsocket_addr addr = {.family = AF_INET, .port = sink_port};

	switch (byte % 16) {
	case 0 ... 4:
		return (struct qsocket_addr){0};
	case 5:
		addr.port = closed_port;
		break;
	case 6:
		addr.port = 0;
		break;
	case 7:
		addr.family = AF_INET6;
		addr.bytes[15] = 1;
		return addr;
	case 8:
		addr.family = 1 + byte / 16;
		return addr;
	case 9:
		addr.scope = byte / 16;
		break;
	case 10:
		addr.bytes[4 + byte / 22] = 1;
		break;
	case 11: /* for documentation: RFC 5737 */
		memcpy(addr.bytes, "\xc0\0\2\1", 4);
		return addr;
	default:
		break;
	}
	memcpy(addr.bytes, "\x7f\0\0\1", 4);
	return addr;
}

static uint32_t build_init(struct record *r)
{
	static const char *const names[] = {"dwcs", "edf",    "edf-lossless", "fifo", "dwcs",
					    "dwcs", "dwcs99", "vds",	      "sfq",  "cbq",
					    "",	    "DWCS",   "fifos",	      "dwc"};
	static const uint32_t messages[] = {
		1, 2, 3, 8, 16, 40, 64, 300, QSOCKET_QUEUE_MESSAGES_MAX + 1, 0, 2000};
	static const uint32_t streams[] = {8, 2, 1, 64, 3, 0, QSOCKET_STREAMS_MAX + 1};
	uint8_t rate = byte_of(r), name = byte_of(r), queue = byte_of(r), device = byte_of(r);
	uint8_t spoil = byte_of(r), classes = byte_of(r), shape = byte_of(r);

	args.init.rate = rate == 255 ? QSOCKET_RATE_MAX + 1 : rate == 254 ? 0 : PICK(rates, rate);
	set_name(args.init.scheduler, PICK(names, name), spoil);
	if (device > (is_real ? 0xb0 : 0xe8))
		set_name(args.init.device, device & 1 ? "lo" : "nothing0", byte_of(r));
	args.init.queue_messages = PICK(messages, queue);
	if (queue % LEN(messages) > 8 && large++ >= LARGE_MAX)
		args.init.queue_messages = 16;
	args.init.streams = PICK(streams, queue / LEN(messages));
	args.init.flags = is_real && device & 2 ? 0 : QSOCKINIT_VIRTUAL;
	if (strcmp(args.init.scheduler, "cbq") && classes < 0xf0)
		return sizeof(args.init);
	args.init.classes_len = classes == 255 ? QSOCKET_CLASSES_MAX + 1 : classes % 8;
	for (uint32_t i = 0; i < args.init.classes_len && i < QSOCKET_CLASSES_MAX; i++)
		args.init.classes[i] = (struct qsocket_class){
			.rate = args.init.rate / 16 * (shape >> 4),
			.ceil = i & 1 ? args.init.rate : 0,
			.parent = shape & 1   ? i
				  : shape & 2 ? i / 2
					      : 0,
			.priority = (uint8_t)((shape >> 2) + i) % 9,
			.flags = (uint8_t)(shape >> 3 & 1),
		};
	return sizeof(args.init);
}

static uint32_t build_socket(struct record *r)
{
	uint8_t link = byte_of(r);

	args.socket.link = handle_of(link, QSOCKET_LINK);
	args.socket.attr = attr_of(r);
	args.socket.peer = addr_of(is_real ? byte_of(r) : byte_of(r) / 16);
	args.socket.local = addr_of(is_real ? byte_of(r) : byte_of(r) / 16);
	if (is_real && args.socket.local.family == AF_INET)
		args.socket.local.port = 0;
	args.socket.type = byte_of(r) < 0xe0 ? QSOCKET_UDP : QSOCKET_TCP;
	return sizeof(args.socket);
}

static uint32_t build_attach(struct record *r)
{
	struct sockaddr_in address = {0};
	socklen_t len = sizeof(address);
	uint8_t fd = byte_of(r);

	args.attach.link = handle_of(byte_of(r), QSOCKET_LINK);
	args.attach.attr = attr_of(r);
	args.attach.type = fd & 0x80 ? QSOCKET_TCP : QSOCKET_UDP;
	args.attach.fd = fd & 1 ? -1 : fd & 2 ? spare_fd : (fd & 0x7f) - 2;
	args.attach.peer = addr_of(fd & 4 ? 15 : byte_of(r));
	if (fd & 8 && !getsockname(spare_fd, (struct sockaddr *)&address, &len)) {
		args.attach.local = addr_of(15);
		args.attach.local.port = ntohs(address.sin_port);
		args.attach.local.family = fd & 0x10 ? AF_INET6 : AF_INET;
	}
	return sizeof(args.attach);
}

static uint32_t build_change(struct record *r)
{
	uint8_t which = byte_of(r), rate = byte_of(r);

	args.change.handle = handle_of(which, rate & 1 ? QSOCKET_LINK : QSOCKET_STREAM);
	if (rate & 1)
		args.change.rate = PICK(rates, rate >> 1);
	else
		args.change.attr = attr_of(r);
	return sizeof(args.change);
}

static uint32_t build_info(struct record *r)
{
	uint8_t which = byte_of(r);

	args.info.handle = handle_of(which, byte_of(r) & 1 ? QSOCKET_LINK : QSOCKET_STREAM);
	return sizeof(args.info);
}

static uint32_t build_send(struct record *r, int to)
{
	static const uint32_t deadlines_us[] = {0, 1, 20, 500, 1000, 20000, 100000, UINT32_MAX};
	static const uint32_t marks[] = {0, 7, 7, 5, 6, 4, 7, 1};
	uint8_t which = byte_of(r), kind = byte_of(r), place = byte_of(r), size = byte_of(r);
	uint8_t when = byte_of(r), deadline = byte_of(r), segment = byte_of(r);
	const struct object *o;

	args.send.handle = handle_of(which, QSOCKET_STREAM);
	args.send.flags = PICK(marks, place) | (uint32_t)(kind & 7) << QSOCKET_DROP_SHIFT |
			  (uint32_t)(kind >> 3 & 3) << QSOCKET_LEVEL_SHIFT |
			  (kind & 0x20 ? QSOCKET_LEADING : 0);
	args.send.data_len = size & 0x80 ? (size & 0x7fu) * 64u : PICK(sizes, size);
	if (kind & 0x40) {
		args.send.flags |= QSOCKET_DEADLINE;
		args.send.deadline_us = PICK(deadlines_us, deadline) * (1u + (deadline >> 5));
	}
	if (kind & 0x80)
		args.send.flags |= (args.send.data_len / (1u + segment % 66u) + (segment >> 6))
				   << QSOCKET_SEGMENT_SHIFT;
	if (to)
		args.send.to = addr_of(byte_of(r) | 8);
	o = object_of(args.send.handle);
	if (!o || !o->is_virtual)
		return sizeof(args.send);
	args.send.at_ns = link_of(o)->clock_ns + PICK(spans_ns, when) * (when >> 4);
	args.send.message = ++messages_len;
	if (to && segment & 1)
		memset(&args.send.to, 0, sizeof(args.send.to));
	return sizeof(args.send);
}

static uint32_t build_run(struct record *r)
{
	static const uint32_t lens[] = {1, 2, 5, 64, 65, 200, 0, QSOCKET_EVENTS_MAX + 1};
	uint8_t which = byte_of(r), span = byte_of(r), times = byte_of(r), events = byte_of(r);
	const struct object *o;

	args.run.link = handle_of(which, QSOCKET_LINK);
	args.run.events_max = PICK(lens, events);
	o = object_of(args.run.link);
	args.run.until_ns = (o ? o->clock_ns : 0) + PICK(spans_ns, span) * times;
	if (args.run.events_max > QSOCKET_EVENTS_MAX)
		return sizeof(args.run);
	memset(args.run.events, 0xa5, args.run.events_max * sizeof(args.run.events[0]));
	return (uint32_t)sizeof(args.run) +
	       args.run.events_max * (uint32_t)sizeof(args.run.events[0]);
}

static uint32_t build_list(struct record *r)
{
	static const uint32_t lens[] = {1, 2, 5, 64, 300, 0, QSOCKET_LIST_MAX + 1};
	static const uint32_t sizes_of[] = {sizeof(struct qlist_stream),
					    sizeof(struct qlist_stream),
					    sizeof(struct qlist_stream) + 64,
					    8,
					    40,
					    0,
					    12};
	uint8_t which = byte_of(r), len = byte_of(r), size = byte_of(r), after = byte_of(r);

	args.list.link = handle_of(which, QSOCKET_LINK);
	args.list.streams_max = PICK(lens, len);
	args.list.stream_bytes = PICK(sizes_of, size);
	args.list.after = after < 0x80 ? 0 : after == 0xff ? UINT64_MAX : after & 0x7f;
	if (args.list.streams_max > QSOCKET_LIST_MAX)
		return sizeof(args.list);
	memset(args.list.streams, 0xa5, args.list.streams_max * args.list.stream_bytes);
	return (uint32_t)sizeof(args.list) + args.list.streams_max * args.list.stream_bytes;
}

static uint32_t build_close(struct record *r)
{
	static const uint32_t flags[] = {0, QCLOSE_DRAIN, 0, QCLOSE_DRAIN, 0, 1, 0, 2};
	uint8_t which = byte_of(r), kind = byte_of(r);

	args.close.flags = PICK(flags, kind);
	args.close.handle =
		handle_of(which, kind & 0x40 && kind & 0x80 ? QSOCKET_LINK : QSOCKET_STREAM);
	return sizeof(args.close);
}

static uint32_t build(uint32_t call, struct record *r)
{
	memset(&args, 0, sizeof(struct qsockinit_args));
	switch (call) {
	case QSOCKINIT:
		return build_init(r);
	case QSOCKET:
		return build_socket(r);
	case QATTACH:
		return build_attach(r);
	case QCHANGE:
		return build_change(r);
	case QINFO:
		memset(&args.info, 0, sizeof(args.info));
		return build_info(r);
	case QSEND:
	case QSENDTO:
		return build_send(r, call == QSENDTO);
	case QLIST:
		return build_list(r);
	case QCLOSE:
		return build_close(r);
	default:
		return build_run(r);
	}
}

/* One byte more or less, another length, another call. A pointer that says it
 * is one is the caller's word, so of a real link's it is left alone. */
static void spoil(uint8_t how, struct record *r, uint32_t *call, uint32_t *len, int *is_null)
{
	uint32_t at = short_of(r) % *len;
	uint8_t with = byte_of(r);

	if (is_real && (*call == QSEND || *call == QSENDTO))
		at = at < 8 ? at : 28 + at % (*len - 28);
	switch (how % 8) {
	case 0:
		*len -= 1;
		break;
	case 1:
		args.bytes[(*len)++] = 0;
		break;
	case 2:
		*len = with;
		break;
	case 3:
		*is_null = 1;
		break;
	case 4:
		if (*call != QSEND && *call != QSENDTO)
			*call = with % 16;
		break;
	default:
		args.bytes[at] ^= with;
	}
	/* the devices are this machine's: none is changed, whoever runs this */
	if (*call == QSOCKINIT)
		args.init.flags &= ~(QSOCKINIT_SYSTEM | QSOCKINIT_OFF);
}

/* A real link reads data: memory of just that size, gone after the call. */
static uint8_t *give_data(void)
{
	const struct object *o = object_of(args.send.handle);
	uint32_t len = args.send.data_len;
	uint8_t *data;

	if (!o || o->is_virtual || !len)
		return NULL;
	data = malloc(len);
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(messages_len * 41 + i * PAYLOAD_STEP);
	messages_len++;
	args.send.data = (uintptr_t)data;
	return data;
}

/* qsend() and qsendto(): the same call, its arguments in registers. */
static void send_plainly(int to)
{
	struct qsend_args *a = &args.send;
	const void *data = (const void *)(uintptr_t)a->data;
	enum verdict verdict;
	int32_t result;

	a->at_ns = a->message = 0;
	if (!to)
		memset(&a->to, 0, sizeof(a->to));
	verdict = judge_send(a, to);
	result = to ? qsendto(a->handle, data, a->data_len, a->flags, a->deadline_us, &a->to)
		    : qsend(a->handle, data, a->data_len, a->flags, a->deadline_us);
	TRACE("qsend%s: %d\n", to ? "to" : "", result);
	calls_len++;
	MUST(result >= 0 || is_known(QSEND, -result), "qsend: %d", result);
	MUST(verdict != FAILS || result < 0, "qsend should fail, and gave %d", result);
	offered(a, result, verdict);
}

static void do_call(struct record r)
{
	static const uint8_t calls[] = {QSEND,	 QSEND, QSEND,	 QSEND,	   QSEND,   QSEND,
					QSENDTO, QRUN,	QRUN,	 QCLOSE,   QSOCKET, QSOCKET,
					QCHANGE, QINFO, QATTACH, QSOCKINIT};
	uint8_t what = byte_of(&r), how;
	uint32_t call = PICK(calls, what) == QINFO && what & 0x40 ? QLIST : PICK(calls, what);
	uint32_t len = build(call, &r);
	int is_null = 0, is_send = call == QSEND || call == QSENDTO;
	uint8_t *data = is_send ? give_data() : NULL;

	if (r.at < r.end - 4)
		r.at = r.end - 4;
	how = byte_of(&r);
	if (is_send && what & 0x80) {
		send_plainly(call == QSENDTO);
	} else {
		if (how >= 0xe0)
			spoil(how, &r, &call, &len, &is_null);
		issue(call, is_null ? NULL : args.bytes, len);
	}
	free(data);
}

/* What has no handle, or no time of its own. */
static void do_other(struct record *r)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	uint8_t what = byte_of(r);
	uint16_t len = short_of(r);
	char *text;

	if (is_real && what & 1 && naps++ < NAPS_MAX) {
		nanosleep(&nap, NULL);
	} else if (what & 2) {
		int32_t all = qsocket_layout(NULL, 0), result;

		text = malloc(len ? len : 1);
		result = qsocket_layout(text, len);
		MUST(result == all, "layout: %d of %d bytes", result, all);
		free(text);
	} else if (what & 4) {
		int32_t result = qsocket_plain_send(what & 8 ? spare_fd : -1, "q", 1);

		MUST(result == (what & 8 ? 1 : -EBADF) || result == -ECONNREFUSED, "send: %d",
		     result);
	} else {
		MUST(qsendto(1, NULL, 0, 0, 0, NULL) == -EFAULT, "no address");
	}
}

/* A run begins with a link and some streams on it. */
static void begin(struct record head, uint8_t streams)
{
	struct qsockinit_args *init = &args.init;
	uint8_t shape = byte_of(&head);
	struct record attr = head;

	memset(init, 0, sizeof(*init));
	init->rate = PICK(rates, shape >> 5);
	init->queue_messages = 1u << (shape >> 2 & 7);
	init->streams = 1u << (shape & 3) * 2;
	init->flags = is_real ? 0 : QSOCKINIT_VIRTUAL;
	strcpy(init->scheduler, PICK(schedulers, byte_of(&head)).name);
	if (is_real && streams == 3)
		strcpy(init->device, "lo");
	issue(QSOCKINIT, init, sizeof(*init));
	for (uint32_t i = 0; i < streams && objects_len > 0; i++) {
		memset(&args, 0, sizeof(args.socket));
		args.socket.link = objects[0].handle;
		args.socket.type = QSOCKET_UDP;
		args.socket.attr = attr_of(&head);
		if (bad_attr(&args.socket.attr))
			args.socket.attr = (struct qsocket_attr){.ipg_ns = periods_ns[6]};
		args.socket.attr.class_id = 0;
		if (is_real && shape & 2)
			args.socket.peer = addr_of(15);
		issue(QSOCKET, &args, sizeof(args.socket));
		if (head.at == head.end)
			head = attr;
	}
}

/* Runs a virtual link until nothing more happens. */
static void run_out(const struct object *link)
{
	uint32_t len = sizeof(args.run) + 64 * sizeof(args.run.events[0]);

	do {
		memset(&args, 0, sizeof(args.run));
		args.run.link = link->handle;
		args.run.events_max = 64;
		args.run.until_ns = CLOCK_NS_MAX;
		memset(args.run.events, 0xa5, 64 * sizeof(args.run.events[0]));
	} while (issue(QRUN, args.bytes, len) == 64);
}

static void close_handle(const struct object *o, uint32_t flags)
{
	struct qclose_args close = {.handle = o->handle, .flags = flags};

	MUST(!issue(QCLOSE, &close, sizeof(close)), "QCLOSE of %u", o->handle);
}

/* Everything that was accepted ends, and everything that was opened closes. */
static void end(int drain)
{
	for (uint32_t i = 0; i < objects_len; i++) {
		struct qchange_args fast = {.handle = objects[i].handle, .rate = QSOCKET_RATE_MAX};

		if (objects[i].kind != QSOCKET_LINK || !objects[i].open)
			continue;
		MUST(!issue(QCHANGE, &fast, sizeof(fast)), "rate of %u", fast.handle);
		for (uint32_t k = 0; k < objects_len; k++)
			if (objects[k].link == i && k != i && objects[k].open)
				close_handle(&objects[k], drain && !objects[k].closing);
		if (objects[i].is_virtual && objects[i].clock_ns < CLOCK_NS_MAX / 2)
			run_out(&objects[i]);
		check_object(&objects[i]);
		for (uint32_t k = 0; k < pending_len && objects[i].clock_ns == CLOCK_NS_MAX; k++)
			MUST(pending[k].over || objects[pending[k].object].link != i,
			     "message %u of %u has not ended", pending[k].message,
			     objects[pending[k].object].handle);
		/* those that drained are still open: some are closed with their link */
		for (uint32_t k = 0; k < objects_len; k++)
			if (objects[k].link == i && k != i && objects[k].open && k % 2)
				close_handle(&objects[k], 0);
		while (objects[i].open)
			close_handle(&objects[i], 0);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	tracing = getenv("FUZZ_TRACE") != NULL;
	open_network();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct record head = record_at(data, bytes, 0);
	uint8_t kind = byte_of(&head), faults = byte_of(&head), times = 1;
	uint32_t before = descriptors();

	is_real = kind % 4 == 3;
	calls_max = is_real ? REAL_CALLS_MAX : CALLS_MAX;
	objects_len = pending_len = pending_first = messages_len = calls_len = 0;
	memset(buckets, 0, sizeof(buckets));
	naps = large = 0;
	only_pretend = (kind & 4) != 0;
	fault_random = faults;
	begin(head, kind >> 4 & 3);
	for (uint32_t i = 1; i < records_len(bytes); i++) {
		struct record r = record_at(data, bytes, i);
		uint8_t what = byte_of(&r);

		if (what >= 0xf8)
			do_other(&r);
		for (; times > 0 && what < 0xf0 && calls_len < calls_max; times--)
			do_call(r);
		times = what >= 0xf0 && what < 0xf8 ? byte_of(&r) : 1;
		times = times ? times : 1;
	}
	fault_random = 0;
	end(kind & 8);
	MUST(descriptors() == before, "descriptors were left open");
	return 0;
}
