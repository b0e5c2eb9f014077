/* SPDX-License-Identifier: MIT
 *
 * What a stream and a queued message weigh: resident memory of links that
 * differ in nothing but their number, so that what a link costs in itself
 * cancels out. Reserved address space is what qs_link_bytes() asks for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched_load.h"

#define FEW 65536u /* streams or messages of the smaller link */
#define MANY 131072u
#define DEPTH_STREAMS 1024u /* that hold the messages */
#define RATE 1200000000ull  /* a message takes 1 us */

enum stage { IDLE, SENT, LOST, STAGES };

struct scene {
	struct qs_link link;
	void *memory;
	size_t bytes;
	uint64_t before; /* resident */
	uint64_t now_ns;
};

static uint64_t resident_bytes(void)
{
	char text[128] = "";
	unsigned long long size, resident;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%llu %llu", &size, &resident) != 2)
		die("Cannot read /proc/self/statm");
	close(fd);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void open_scene(struct scene *scene, const struct qs_policy *policy, uint32_t streams,
		       uint32_t messages)
{
	const struct qsocket_attr attr = {
		.ipg_ns = 20000000,
		.oln = 1,
		.old = 4,
		.queue_messages = messages,
		.queue_bytes = 1ull << 40,
	};

	scene->before = resident_bytes();
	scene->now_ns = 0;
	scene->bytes = qs_link_bytes(policy, streams, messages);
	scene->memory = map_memory(scene->bytes);
	madvise(scene->memory, scene->bytes, MADV_NOHUGEPAGE); /* or 2 MiB would count as one */
	qs_init(&scene->link, policy, RATE, scene->memory, streams, messages);
	for (uint32_t i = 0; i < streams; i++)
		if (qs_add(&scene->link, &attr) != (int32_t)i)
			die("Cannot open stream %u of %u", i, streams);
}

static uint64_t close_scene(struct scene *scene)
{
	uint64_t bytes = resident_bytes() - scene->before;

	munmap(scene->memory, scene->bytes);
	return bytes;
}

/* 0, or what qs_enqueue() said; -1 where it dropped the message at once. */
static int give(struct scene *scene, uint32_t stream, uint32_t flags, uint64_t due_ns)
{
	const struct qs_arrival arrival = {
		.deadline_ns = scene->now_ns + due_ns,
		.bytes = MESSAGE_BYTES,
		.flags = MESSAGE_FLAGS | flags,
	};
	struct qs_queued queued;
	int error = qs_enqueue(&scene->link, stream, scene->now_ns, &arrival, &queued);

	return error ? error : queued.message == QS_NONE ? -1 : 0;
}

static void drain(struct scene *scene)
{
	struct qs_packet packet;
	uint32_t message;

	while (qs_dequeue(&scene->link, scene->now_ns, 0, &packet)) {
		scene->now_ns = packet.done_ns;
		qs_sent(&scene->link, &packet);
		qs_free(&scene->link, packet.message);
	}
	while ((message = qs_reap(&scene->link)) != QS_NONE)
		qs_free(&scene->link, message);
}

static void give_frame(struct scene *scene, uint32_t stream, uint32_t level, uint64_t due_ns)
{
	const uint32_t flags = QSOCKET_FRAME | level << QSOCKET_LEVEL_SHIFT;

	give(scene, stream, flags | QSOCKET_START, due_ns);
	give(scene, stream, flags, due_ns);
	give(scene, stream, flags | QSOCKET_END, due_ns);
	drain(scene);
}

/* A group starts, what it leans on cannot arrive in time, a leaf leans on that, one starts. */
static void lose_some(struct scene *scene, uint32_t stream)
{
	struct qsocket_info info = {0};

	give_frame(scene, stream, 0, 1000000000);
	give_frame(scene, stream, 1, 1500);
	give_frame(scene, stream, 2, 1000000000);
	give_frame(scene, stream, 0, 1000000000);
	qs_info(&scene->link, stream, &info);
	if (info.frames_sent[0] != 2 || info.frames_dropped[1][QSOCKET_EXPIRED] != 1 ||
	    info.frames_dropped[2][QSOCKET_DEPENDENCY] != 1)
		die("Cannot weigh a stream that lost frames: it did not lose what it should");
}

static void weigh_streams(const struct qs_policy *policy, uint32_t streams, uint64_t *bytes)
{
	struct scene scene;

	open_scene(&scene, policy, streams, 64);
	bytes[IDLE] = resident_bytes() - scene.before;
	for (uint32_t i = 0; i < streams * 4; i++) {
		if (give(&scene, i % streams, 0, 1000000000))
			die("Cannot queue a message on stream %u", i % streams);
		drain(&scene);
	}
	bytes[SENT] = resident_bytes() - scene.before;
	for (uint32_t i = 0; i < streams; i++)
		lose_some(&scene, i);
	bytes[LOST] = close_scene(&scene);
}

static uint64_t weigh_messages(const struct qs_policy *policy, uint32_t messages)
{
	struct scene scene;

	open_scene(&scene, policy, DEPTH_STREAMS, messages);
	for (uint32_t i = 0; i < messages; i++)
		if (give(&scene, i % DEPTH_STREAMS, 0, (1 + i / DEPTH_STREAMS) * 20000000ull))
			die("Cannot queue message %u of %u", i, messages);
	return close_scene(&scene);
}

static double each(uint64_t few, uint64_t many)
{
	return ((double)many - (double)few) / (MANY - FEW);
}

void memory_report(const struct qs_policy *policy)
{
	uint64_t few[STAGES], many[STAGES], few_messages, many_messages;

	weigh_streams(policy, FEW, few);
	weigh_streams(policy, MANY, many);
	few_messages = weigh_messages(policy, FEW);
	many_messages = weigh_messages(policy, MANY);
	printf("{\"idle\":%.1f,\"sent\":%.1f,\"lost\":%.1f,\"message\":%.1f,"
	       "\"stream_reserved\":%.1f,\"message_reserved\":%.1f}\n",
	       each(few[IDLE], many[IDLE]), each(few[SENT], many[SENT]),
	       each(few[LOST], many[LOST]), each(few_messages, many_messages),
	       each(qs_link_bytes(policy, FEW, 64), qs_link_bytes(policy, MANY, 64)),
	       each(qs_link_bytes(policy, 1, FEW), qs_link_bytes(policy, 1, MANY)));
}
