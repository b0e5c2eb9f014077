/* SPDX-License-Identifier: MIT
 *
 * Handles: what a caller holds instead of a pointer. A handle is the index of
 * a table entry and that entry's generation, so a handle that was closed is
 * refused even when its entry names something else by now. Generations are few
 * and turn round: so entries are used again in the order in which they were
 * closed, and only once REST_MAX of them wait (or the table is full). The same
 * number comes back after 2047 * 131072 other closings, 268 million, at the
 * earliest.
 *
 * A sender takes no lock but its link's: it reads the entry, locks the link
 * found there, and looks at the entry again. Entries of a link change under
 * that link's lock, and a link's memory is never given back, so the second
 * look is decisive. The table does not move: its memory is taken up as it is
 * touched, 16 bytes for each that was ever open at once or rests.
 *
 * A forked child has no engine threads and may have inherited locks that
 * nobody will ever open. In it all handles of its parent are closed (-EBADF),
 * the parent's links are left alone. The sockets it inherited close when it
 * executes another program or ends.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../host.h"

#define INDEX_BITS 20
#define INDEX_MASK (QSOCKET_HANDLES_MAX - 1)
#define GENERATION_MAX ((uint32_t)INT32_MAX >> INDEX_BITS)
#define CLOSED 0x80000000u /* in an entry's handle: the rest is the next that it will have */
#define REST_MAX 131072u

_Static_assert(QSOCKET_HANDLES_MAX == 1 << INDEX_BITS, "a handle's index must have its own bits");

struct entry {
	_Atomic(uint32_t) handle; /* written under both locks */
	_Atomic(uint32_t) stream; /* QS_NONE = the link itself; of a closed one: the next to rest */
	_Atomic(struct link *) link;
};

/* Handles belong to the process, as descriptors do. */
static struct {
	pthread_mutex_t lock;
	struct entry entries[QSOCKET_HANDLES_MAX];
	uint32_t fresh;			/* lock: from here on never used */
	uint32_t first, last, rest_len; /* lock: closed ones, the longest first */
	struct link *free, *named;	/* lock */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;

struct link *handle_lock(uint32_t handle, uint32_t *stream)
{
	struct entry *entry = &table.entries[handle & INDEX_MASK];
	struct link *link;

	if (!handle || handle & CLOSED ||
	    atomic_load_explicit(&entry->handle, memory_order_acquire) != handle)
		return NULL;
	link = atomic_load_explicit(&entry->link, memory_order_relaxed);
	pthread_mutex_lock(&link->lock);
	*stream = atomic_load_explicit(&entry->stream, memory_order_relaxed);
	if (atomic_load_explicit(&entry->handle, memory_order_relaxed) == handle)
		return link;
	pthread_mutex_unlock(&link->lock);
	return NULL;
}

/* A closed handle's successor, or one of an entry never used; 0: none is left. */
static uint32_t next_handle(void)
{
	struct entry *entry;

	if (table.rest_len <= REST_MAX && table.fresh < QSOCKET_HANDLES_MAX)
		return 1u << INDEX_BITS | table.fresh++;
	if (!table.rest_len)
		return 0;
	entry = &table.entries[table.first];
	table.first = atomic_load_explicit(&entry->stream, memory_order_relaxed);
	table.rest_len--;
	return atomic_load_explicit(&entry->handle, memory_order_relaxed) & ~CLOSED;
}

int32_t handle_open(struct link *link, uint32_t stream)
{
	uint32_t handle = next_handle();
	struct entry *entry = &table.entries[handle & INDEX_MASK];

	if (!handle)
		return -EMFILE;
	atomic_store_explicit(&entry->link, link, memory_order_relaxed);
	atomic_store_explicit(&entry->stream, stream, memory_order_relaxed);
	atomic_store_explicit(&entry->handle, handle, memory_order_release);
	return (int32_t)handle;
}

void handle_close(uint32_t handle)
{
	uint32_t index = handle & INDEX_MASK;
	uint32_t generation = (handle >> INDEX_BITS) % GENERATION_MAX + 1;

	atomic_store_explicit(&table.entries[index].handle,
			      CLOSED | generation << INDEX_BITS | index, memory_order_relaxed);
	if (table.rest_len++)
		atomic_store_explicit(&table.entries[table.last].stream, index,
				      memory_order_relaxed);
	else
		table.first = index;
	table.last = index;
}

static void child_of_fork(void)
{
	for (uint32_t i = 0; i < table.fresh; i++) {
		uint32_t handle =
			atomic_load_explicit(&table.entries[i].handle, memory_order_relaxed);

		if (!(handle & CLOSED))
			handle_close(handle);
	}
	table.free = table.named = NULL;
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
