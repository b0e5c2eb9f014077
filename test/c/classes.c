/* SPDX-License-Identifier: MIT
 * Shares by weight and by class: what the scheduler refuses, what its tags do
 * when they wrap, and that a stream that sits out saves nothing up.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "sched/parts.h"

#define STREAMS 64
#define MESSAGES 8192
#define RATE 1000000000ull /* a byte a nanosecond */

static struct qs_link link_;
static void *memory;
static uint64_t now_ns;

static void open_link(const char *scheduler)
{
	const struct qs_policy *policy = qs_policy_find(scheduler);
	size_t bytes = qs_link_bytes(policy, STREAMS, MESSAGES);

	memory = aligned_alloc(QS_ALIGNMENT,
			       (bytes + QS_ALIGNMENT - 1) / QS_ALIGNMENT * QS_ALIGNMENT);
	memset(memory, 0, bytes);
	qs_init(&link_, policy, RATE, memory, STREAMS, MESSAGES);
	now_ns = 1;
}

static void shut_link(void)
{
	free(memory);
}

static uint32_t add(uint32_t weight, uint32_t class_id)
{
	struct qsocket_attr attr = {.weight = weight, .class_id = class_id};

	return (uint32_t)qs_add(&link_, &attr);
}

static int offer(uint32_t stream, uint32_t bytes, uint32_t count)
{
	struct qs_arrival arrival = {.deadline_ns = QS_FOREVER, .bytes = bytes};
	struct qs_queued queued;

	arrival.flags = 6u << QSOCKET_DROP_SHIFT | QSOCKET_LEVEL_NONE << QSOCKET_LEVEL_SHIFT;
	while (count--)
		if (qs_enqueue(&link_, stream, now_ns, &arrival, &queued))
			return 0;
	return 1;
}

/* Sends so many packets; counts them by stream. */
static int send_packets(uint32_t count, uint32_t sent[STREAMS])
{
	struct qs_packet packet;

	memset(sent, 0, STREAMS * sizeof(*sent));
	while (count--) {
		if (!qs_dequeue(&link_, now_ns, 0, &packet))
			return 0;
		sent[packet.stream]++;
		qs_sent(&link_, &packet);
		qs_free(&link_, packet.message);
		now_ns = packet.done_ns;
	}
	return 1;
}

/* 2 to 1 while the tags pass from the last number to 0. */
static const char *tags_that_wrap(void)
{
	uint32_t sent[STREAMS], one, two;
	struct qs_fair *fair;

	open_link("sfq");
	fair = link_.own;
	fair->vtime = fair->finish =
		12345 + 0ull - ((uint64_t)150 * 1000 << 20); /* 150 packets at weight 1 */
	one = add(1, 0);
	two = add(2, 0);
	link_.streams[one].finish = fair->vtime; /* it was served; the other is new */
	HOLDS(offer(one, 1000, 1000) && offer(two, 1000, 1000));
	for (uint32_t i = 0; i < 10; i++) {
		HOLDS(send_packets(90, sent));
		HOLDS(sent[one] >= 29 && sent[one] <= 31);
	}
	HOLDS(fair->vtime < (uint64_t)1000 * 1000 << 20);
	shut_link();
	return NULL;
}

/* However far the others went while it idled: it neither waits nor overtakes. */
static const char *tags_of_long_ago(void)
{
	uint32_t sent[STREAMS], idler, other;
	struct qs_fair *fair;

	open_link("sfq");
	fair = link_.own;
	idler = add(1, 0);
	other = add(1, 0);
	for (uint64_t gone = 1; gone; gone <<= 1) {
		HOLDS(offer(idler, 1000, 1) && offer(other, 1000, 40));
		HOLDS(send_packets(21, sent));
		link_.streams[other].finish += gone << 47;
		fair->vtime += gone << 47;
		HOLDS(send_packets(20, sent));
		fair->vtime = fair->finish = link_.streams[other].finish;
		HOLDS(offer(other, 1000, 40) && offer(idler, 1000, 40));
		HOLDS(send_packets(20, sent) && sent[idler] >= 9 && sent[idler] <= 11);
		HOLDS(send_packets(60, sent));
		HOLDS(qs_idle(&link_));
	}
	shut_link();
	return NULL;
}

static const char *sitting_out(const char *scheduler)
{
	uint32_t sent[STREAMS], full, other;

	open_link(scheduler);
	full = add(1, 0);
	other = add(1, 0);
	HOLDS(offer(full, 1000, 500) && offer(other, 1000, 500));
	HOLDS(send_packets(20, sent) && sent[full] == 10);
	qs_block(&link_, full, 1);
	HOLDS(send_packets(200, sent) && sent[other] == 200);
	qs_block(&link_, full, 0);
	HOLDS(send_packets(20, sent) && sent[full] >= 9 && sent[full] <= 11);
	shut_link();
	return NULL;
}

static const char *sitting_out_under_sfq(void)
{
	return sitting_out("sfq");
}

static const char *sitting_out_under_cbq(void)
{
	return sitting_out("cbq");
}

#define WRAPPED 900 /* packets sent while tags pass from the last number to 0 */

/* Who sends which packet, the tags of two classes beginning at this number. */
static int order_from(uint64_t tag, uint8_t order[WRAPPED])
{
	const struct qsocket_class classes[] = {
		{.rate = RATE / 10, .flags = QSOCKET_BORROWS},
		{.rate = RATE / 5, .flags = QSOCKET_BORROWS},
	};
	uint32_t sent[STREAMS], one, two;
	struct qs_classes *own;
	int done;

	open_link("cbq");
	if (qs_classes(&link_, classes, 2))
		return 0;
	own = link_.own;
	for (unsigned source = 0; source < QS_NO_SOURCE; source++) {
		own->vtime[source][0] = tag;
		for (uint32_t i = 1; i <= 2; i++)
			own->all[i].shares[source].ns = tag;
	}
	one = add(1, 1);
	two = add(1, 2);
	done = offer(one, 1000, 2000) && offer(two, 1000, 2000);
	for (uint32_t i = 0; i < WRAPPED; i++) {
		done = done && send_packets(1, sent);
		order[i] = (uint8_t)(sent[two] == 1);
	}
	shut_link();
	return done;
}

/* 2 to 1, packet by packet as if they did not. */
static const char *class_tags_that_wrap(void)
{
	static uint8_t usual[WRAPPED], wrapping[WRAPPED];
	const uint64_t share_ns = 1000 * 10; /* of a packet of the first */

	HOLDS(order_from(share_ns, usual));
	for (uint32_t packets = 0; packets < 100; packets++) {
		uint32_t twos = 0;

		HOLDS(order_from(0 - packets * share_ns - 1, wrapping));
		HOLDS(!memcmp(usual, wrapping, sizeof(usual)));
		for (uint32_t i = 0; i < WRAPPED; i++)
			twos += wrapping[i];
		HOLDS(twos >= WRAPPED * 2 / 3 - 3 && twos <= WRAPPED * 2 / 3 + 3);
	}
	return NULL;
}

static struct qsockinit_args two_classes(void)
{
	struct qsockinit_args args = {
		.scheduler = "cbq",
		.rate = 1000,
		.flags = QSOCKINIT_VIRTUAL,
		.classes_len = 2,
		.classes = {{.rate = 500, .ceil = 800}, {.rate = 400, .parent = 1}},
	};

	return args;
}

/* Opens a link with one field of its classes set to something else. */
#define WITH(field, value)                                                                         \
	({                                                                                         \
		struct qsockinit_args changed_ = two_classes();                                    \
		changed_.field = (value);                                                          \
		qsocketcall(QSOCKINIT, &changed_, sizeof(changed_));                               \
	})

static const char *refused_classes(void)
{
	HOLDS(WITH(classes[0].rate, 399) == -EINVAL);  /* less than its child's */
	HOLDS(WITH(classes[0].rate, 1001) == -EINVAL); /* above its ceiling, and the link's */
	HOLDS(WITH(classes[0].ceil, 499) == -EINVAL);
	HOLDS(WITH(rate, 499) == -EINVAL);
	HOLDS(WITH(classes[0].parent, 1) == -EINVAL); /* itself */
	HOLDS(WITH(classes[0].parent, 2) == -EINVAL); /* one that comes later */
	HOLDS(WITH(classes[1].parent, 3) == -EINVAL);
	HOLDS(WITH(classes[1].parent, UINT32_MAX) == -EINVAL);
	HOLDS(WITH(classes[1].priority, QSOCKET_CLASS_PRIORITIES) == -EINVAL);
	HOLDS(WITH(classes[1].flags, 2) == -EINVAL);
	HOLDS(WITH(classes[1].zero, 1) == -EINVAL);
	HOLDS(WITH(classes[1].rate, 0) == -EINVAL); /* it would never send */
	HOLDS(WITH(classes[1].ceil, QSOCKET_RATE_MAX + 1) == -EINVAL);
	HOLDS(WITH(classes[2].rate, 1) == -EINVAL); /* behind the last */
	HOLDS(WITH(classes_len, 1) == -EINVAL);
	HOLDS(WITH(classes_len, QSOCKET_CLASSES_MAX + 1) == -ERANGE);
	HOLDS(WITH(scheduler[0], 'x') == -EPROTONOSUPPORT);
	HOLDS(WITH(rate, 500) > 0); /* all of it is guaranteed */
	return NULL;
}

static const char *classes_of_others(void)
{
	struct qsockinit_args args = two_classes();

	strcpy(args.scheduler, "sfq");
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EINVAL);
	strcpy(args.scheduler, "fifo");
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EINVAL);
	return NULL;
}

static int32_t join(int32_t link, uint32_t class_id)
{
	struct qsocket_args args = {
		.link = (uint32_t)link, .type = QSOCKET_UDP, .attr.class_id = class_id};

	return qsocketcall(QSOCKET, &args, sizeof(args));
}

static const char *refused_streams(void)
{
	struct qsockinit_args args = two_classes();
	struct qchange_args change = {.attr.class_id = 1};

	for (uint32_t virtual = 0; virtual < 2; virtual ++) {
		int32_t link, stream;

		args.flags = virtual ? QSOCKINIT_VIRTUAL : 0;
		link = qsocketcall(QSOCKINIT, &args, sizeof(args));
		HOLDS(join(link, 1) == -EINVAL); /* it has classes below it */
		HOLDS(join(link, 3) == -EINVAL && join(link, UINT32_MAX) == -EINVAL);
		HOLDS(join(link, 256) == -EINVAL);
		HOLDS(join(link, 0) > 0);
		stream = join(link, 2);
		HOLDS(call_info(stream).attr.class_id == 2);
		change.handle = (uint32_t)stream;
		HOLDS(qsocketcall(QCHANGE, &change, sizeof(change)) == -EINVAL);
		HOLDS(call_info(stream).attr.class_id == 2);
		HOLDS(!call_close(link, 0));
		link = call_init("sfq", 1000, args.flags);
		HOLDS(join(link, 1) == -EINVAL);
		HOLDS(!call_close(link, 0));
	}
	return NULL;
}

static const char *shared_devices(void)
{
	struct qsockinit_args args = two_classes();
	int32_t link;

	strcpy(args.device, "lo");
	args.flags = 0;
	link = qsocketcall(QSOCKINIT, &args, sizeof(args));
	HOLDS(link > 0 && qsocketcall(QSOCKINIT, &args, sizeof(args)) == link);
	args.classes[1].priority = 1;
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EEXIST);
	args = two_classes();
	strcpy(args.device, "lo");
	args.flags = 0;
	args.classes[1].flags = QSOCKET_BORROWS;
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EEXIST);
	memset(args.classes, 0, sizeof(args.classes));
	args.classes_len = 0;
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EEXIST);
	strcpy(args.scheduler, "sfq");
	HOLDS(qsocketcall(QSOCKINIT, &args, sizeof(args)) == -EBUSY);
	HOLDS(!call_close(link, 0) && !call_close(link, 0));
	return NULL;
}

int main(void)
{
	check("sfq shares by weight while its tags wrap", tags_that_wrap());
	check("sfq takes a tag of long ago for what it is", tags_of_long_ago());
	check("a stream that sits out saves nothing up under sfq", sitting_out_under_sfq());
	check("a stream that sits out saves nothing up under cbq", sitting_out_under_cbq());
	check("cbq shares what is left while its tags wrap", class_tags_that_wrap());
	check("qsockinit refuses classes that cannot be kept", refused_classes());
	check("qsockinit refuses classes under other schedulers", classes_of_others());
	check("qsocket and qchange refuse a class that is no leaf", refused_streams());
	check("a device is shared with the same classes only", shared_devices());
	return check_end();
}
