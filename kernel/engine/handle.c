/* SPDX-License-Identifier: MIT
 *
 * Handles: what a caller holds instead of a pointer. A handle is the index of
 * a table entry and that entry's generation, so a handle that was closed is
 * refused even when its entry names something else by now.
 *
 * A sender takes no lock but its link's: it reads the entry, locks the link
 * found there, and looks at the entry again. Entries of a link change under
 * that link's lock, and a link's memory is never given back, so the second
 * look is decisive.
 *
 * A forked child has no engine threads and may have inherited locks that
 * nobody will ever open. It starts with an empty table: handles of its parent
 * are closed in it (-EBADF), the parent's links are left alone. The sockets it
 * inherited close when it executes another program or ends.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define INDEX_BITS 12
#define INDEX_MASK (QSOCKET_HANDLES_MAX - 1)
#define GENERATION_MAX (INT32_MAX >> INDEX_BITS)

_Static_assert(QSOCKET_HANDLES_MAX == 1 << INDEX_BITS, "a handle's index must have its own bits");

struct entry {
	_Atomic(uint32_t) handle; /* 0 = free; written under both locks */
	_Atomic(uint32_t) stream; /* QS_NONE = the link itself */
	_Atomic(struct link *) link;
	uint32_t generation; /* table.lock */
};

/* Handles belong to the process, as descriptors do. */
static struct {
	pthread_mutex_t lock;
	struct entry entries[QSOCKET_HANDLES_MAX];
	uint32_t search;	   /* lock: where to look for a free entry */
	struct link *free, *named; /* lock */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;

struct link *handle_lock(uint32_t handle, uint32_t *stream)
{
	struct entry *entry = &table.entries[handle & INDEX_MASK];
	struct link *link;

	if (!handle || atomic_load_explicit(&entry->handle, memory_order_acquire) != handle)
		return NULL;
	link = atomic_load_explicit(&entry->link, memory_order_relaxed);
	pthread_mutex_lock(&link->lock);
	*stream = atomic_load_explicit(&entry->stream, memory_order_relaxed);
	if (atomic_load_explicit(&entry->handle, memory_order_relaxed) == handle)
		return link;
	pthread_mutex_unlock(&link->lock);
	return NULL;
}

int32_t handle_open(struct link *link, uint32_t stream)
{
	for (uint32_t i = 0; i < QSOCKET_HANDLES_MAX; i++) {
		uint32_t index = (table.search + i) & INDEX_MASK;
		struct entry *entry = &table.entries[index];
		uint32_t handle;

		if (atomic_load_explicit(&entry->handle, memory_order_relaxed))
			continue;
		table.search = index + 1;
		entry->generation = entry->generation % GENERATION_MAX + 1;
		handle = entry->generation << INDEX_BITS | index;
		atomic_store_explicit(&entry->link, link, memory_order_relaxed);
		atomic_store_explicit(&entry->stream, stream, memory_order_relaxed);
		atomic_store_explicit(&entry->handle, handle, memory_order_release);
		return (int32_t)handle;
	}
	return -EMFILE;
}

void handle_close(uint32_t handle)
{
	atomic_store_explicit(&table.entries[handle & INDEX_MASK].handle, 0, memory_order_relaxed);
}

static void child_of_fork(void)
{
	for (uint32_t i = 0; i < QSOCKET_HANDLES_MAX; i++)
		atomic_store_explicit(&table.entries[i].handle, 0, memory_order_relaxed);
	table.free = table.named = NULL;
	table.search = 0;
	pthread_mutex_init(&table.lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(table_lock, table_unlock, child_of_fork);
}

void table_lock(void)
{
	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&table.lock);
}

void table_unlock(void)
{
	pthread_mutex_unlock(&table.lock);
}

struct link *link_of_device(const char *device)
{
	for (struct link *link = table.named; link; link = link->next)
		if (!strcmp(link->device, device))
			return link;
	return NULL;
}

struct link *link_new(void)
{
	struct link *link = table.free;
	pthread_mutexattr_t attr;

	if (link) {
		table.free = link->next;
		return link;
	}
	link = calloc(1, sizeof(*link));
	if (!link)
		return NULL;
	/* held so shortly that it is mostly free before a sender could sleep */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&link->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return link;
}

void link_name(struct link *link, const char *device)
{
	memcpy(link->device, device, sizeof(link->device));
	link->references = 1;
	if (*device) {
		link->next = table.named;
		table.named = link;
	}
}

void link_free(struct link *link)
{
	for (struct link **at = &table.named; *at; at = &(*at)->next) {
		if (*at == link) {
			*at = link->next;
			break;
		}
	}
	link->next = table.free;
	table.free = link;
}
