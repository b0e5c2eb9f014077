/* SPDX-License-Identifier: MIT
 *
 * Who is registered with a scheduler below the stack, of all processes: from
 * the map of members, and what the scheduler has counted of each, from its
 * memory.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../below/below.h"
#include "memory.h"

_Static_assert(sizeof(struct qs_member) % 8 == 0, "members lie close together in a batch");

struct members {
	uint64_t *cookies;
	struct qs_member *all;
	uint32_t len;
	uint32_t *order, order_len; /* those asked for, by their cookies */
};

static void free_members(struct members *m)
{
	free(m->cookies);
	free(m->all);
	free(m->order);
}

/* All of them, in no order. */
static int32_t read_members(const struct device *d, struct members *m)
{
	uint32_t entries, value_bytes, batch = 0;
	union bpf_attr attr = {0};
	int32_t fd = memory_map_open(d, "members", &entries, &value_bytes), error = 0;

	if (fd < 0)
		return fd;
	m->cookies = calloc(entries, sizeof(*m->cookies));
	m->all = calloc(entries, sizeof(*m->all));
	m->order = calloc(entries, sizeof(*m->order));
	if (!m->cookies || !m->all || !m->order)
		error = -ENOMEM;
	if (value_bytes != sizeof(*m->all))
		error = -EPROTO;
	while (!error && m->len < entries) {
		uint32_t first = batch;

		memset(&attr, 0, sizeof(attr));
		attr.batch.in_batch = m->len ? (uintptr_t)&first : 0;
		attr.batch.out_batch = (uintptr_t)&batch;
		attr.batch.keys = (uintptr_t)(m->cookies + m->len);
		attr.batch.values = (uintptr_t)(m->all + m->len);
		attr.batch.count = entries - m->len;
		attr.batch.map_fd = (uint32_t)fd;
		if (syscall(SYS_bpf, BPF_MAP_LOOKUP_BATCH, &attr, sizeof(attr))) {
			/* 1: these were the last (or so many came meanwhile) */
			error = errno == ENOENT || errno == ENOSPC ? 1 : -errno;
			if (error < 0)
				break;
		}
		m->len += attr.batch.count;
		if (!attr.batch.count)
			break;
	}
	close(fd);
	return error < 0 ? error : 0;
}

static int by_cookie(const void *a, const void *b, void *members)
{
	const uint64_t *cookies = ((const struct members *)members)->cookies;
	uint64_t x = cookies[*(const uint32_t *)a], y = cookies[*(const uint32_t *)b];

	return x < y ? -1 : x > y;
}

/* One that was refused, or has left, is no stream. */
static void order_members(struct members *m, uint64_t after)
{
	for (uint32_t i = 0; i < m->len; i++)
		if (m->cookies[i] > after && m->all[i].wanted &&
		    (m->all[i].left == QS_STAYS || m->all[i].left == QS_BACK))
			m->order[m->order_len++] = i;
	qsort_r(m->order, m->order_len, sizeof(*m->order), by_cookie, m);
}

/* As the gate tells it (gate.bpf.h); on a link that is never idle it may be of
 * two moments. */
static void read_stream(const struct qs_below *b, const struct qs_member *member,
			struct qs_gate_stream *found)
{
	memset(found, 0, sizeof(*found));
	found->stream = QS_NONE;
	if (member->left == QS_STAYS && member->stream < b->link.streams_max)
		found->stream = member->stream;
	found->arrived = member->arrived;
	found->attr = member->attr;
	found->admission = member->admission;
	if (found->stream == QS_NONE)
		return;
	for (unsigned i = 0; i < BELOW_READS_MAX; i++) {
		found->before = __atomic_load_n(&b->turn, __ATOMIC_ACQUIRE);
		memcpy(&found->state, &b->link.streams[found->stream], sizeof(found->state));
		memcpy(&found->ledger, &b->link.ledgers[found->stream], sizeof(found->ledger));
		memcpy(&found->delays, &b->link.delays[found->stream], sizeof(found->delays));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		found->after = __atomic_load_n(&b->turn, __ATOMIC_RELAXED);
		if (found->before == found->after && !(found->before & 1))
			break;
	}
}

static void list_members(const struct members *m, const struct qs_below *b, struct qlist_args *args,
			 void *streams)
{
	struct qs_gate_link link = {.rate = __atomic_load_n(&b->rate_wanted, __ATOMIC_RELAXED)};
	uint32_t len = m->order_len < args->streams_max ? m->order_len : args->streams_max;
	struct qlist_stream stream;
	struct qs_gate_stream found;

	memcpy(link.scheduler, b->scheduler, sizeof(link.scheduler) - 1);
	for (uint32_t i = 0; i < len; i++) {
		const struct qs_member *member = &m->all[m->order[i]];

		memset(&stream, 0, sizeof(stream));
		stream.cookie = m->cookies[m->order[i]];
		stream.pid = member->pid;
		stream.uid = member->uid;
		memcpy(stream.command, member->comm, sizeof(stream.command) - 1);
		read_stream(b, member, &found);
		below_found(&link, &found, &stream.info);
		list_put(args, streams, i, &stream);
		args->after = stream.cookie;
	}
	args->streams_len = len;
	args->scope = QLIST_ALL;
}

int32_t bpf_list(const struct device *d, struct qlist_args *args, void *streams)
{
	struct members m = {0};
	int32_t error = read_members(d, &m);
	struct qs_below *b;

	if (error)
		goto free;
	order_members(&m, args->after);
	memory_lock();
	error = memory_open(d, &b, NULL);
	if (!error) {
		list_members(&m, b, args, streams);
		memory_close(b);
	}
	memory_unlock();
free:
	free_members(&m);
	return error ? error : (int32_t)args->streams_len;
}
