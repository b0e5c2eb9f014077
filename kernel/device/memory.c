/* SPDX-License-Identifier: MIT
 *
 * A running scheduler's memory from outside: mapped where the programs have it
 * too, as its pointers are of that place. The qdisc may be at work meanwhile,
 * under a lock that nobody else can take: so what is written here is words that
 * it takes over by itself, each with one store.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Another rate, group or mode. What is queued, and who is registered, stays. */
int32_t bpf_change(const struct device *d, const struct qsockinit_args *args, const char *kind,
		   char why[QSOCKET_WHY_BYTES])
{
	uint64_t mode = args->mode ? args->mode : DEVICE_MODE_DEFAULT;
	struct qs_below *b;
	int32_t error;

	(void)kind; /* the device's pins are of the one qdisc that is ours */
	if (!args->rate || args->rate > QSOCKET_RATE_MAX || mode > DEVICE_MODE_MAX)
		return -EINVAL;
	memory_lock();
	error = memory_open(d, &b, why);
	if (error)
		goto unlock;
	if (*args->scheduler && strncmp(b->scheduler, args->scheduler, sizeof(b->scheduler))) {
		device_why(why, "its scheduler is %.15s", b->scheduler);
		error = -EBUSY;
	} else if (!b->attached) {
		device_why(why, "its scheduler is not its queue any more");
		error = -ENOLINK;
	} else {
		__atomic_store_n(&b->access, (uint64_t)args->gid << 32 | mode, __ATOMIC_RELAXED);
		__atomic_store_n(&b->rate_wanted, args->rate, __ATOMIC_RELAXED);
	}
	memory_close(b);
unlock:
	memory_unlock();
	return error;
}

void memory_lock(void)
{
	pthread_mutex_lock(&lock);
}

void memory_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

int memory_pins_are_roots(void)
{
	struct stat stat;

	return !lstat(PINS, &stat) && S_ISDIR(stat.st_mode) && stat.st_uid == 0 &&
	       !(stat.st_mode & (S_IWGRP | S_IWOTH));
}

void memory_pin_path(char *path, size_t bytes, const struct device *d, const char *name)
{
	snprintf(path, bytes, "%s/%llu-%u%s%s", PINS, (unsigned long long)d->netns_inode,
		 d->ifindex, *name ? "/" : "", name);
}

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

int32_t memory_map_open(const struct device *d, const char *name, uint32_t *entries,
			uint32_t *value_bytes)
{
	struct bpf_map_info info = {0};
	union bpf_attr attr = {0};
	char path[PATH_MAX];
	int32_t error;
	long fd;

	if (!access(PINS, F_OK) && !memory_pins_are_roots())
		return -EPERM;
	memory_pin_path(path, sizeof(path), d, name);
	attr.pathname = (uintptr_t)path;
	fd = bpf(BPF_OBJ_GET, &attr);
	if (fd < 0)
		return -errno;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr)) {
		error = -errno;
		close((int)fd);
		return error;
	}
	*entries = info.max_entries;
	*value_bytes = info.value_size;
	return (int32_t)fd;
}

/* Whether it is laid out as this build does it, and of this very device. */
static int32_t sound(const struct qs_below *b, const struct device *d, size_t bytes)
{
	const uint64_t end = QS_BELOW_ADDRESS + bytes;

	if (bytes < sizeof(*b) || b->abi != QS_BELOW_ABI ||
	    strncmp(b->stamp, QS_STAMP, sizeof(b->stamp)))
		return -EPROTO;
	if (b->ifindex != d->ifindex || b->netns_cookie != d->netns_cookie)
		return -ENOENT;
	return (uintptr_t)(b->link.streams + b->link.streams_max) <= end &&
			       (uintptr_t)(b->link.ledgers + b->link.streams_max) <= end &&
			       (uintptr_t)(b->link.delays + b->link.streams_max) <= end &&
			       (uintptr_t)(b->trace.records + b->trace.max) <= end
		       ? 0
		       : -EPROTO;
}

static size_t mapped_bytes; /* lock */

int32_t memory_open(const struct device *d, struct qs_below **b, char why[QSOCKET_WHY_BYTES])
{
	void *address = (void *)(uintptr_t)QS_BELOW_ADDRESS, *memory;
	uint32_t pages, value_bytes;
	int32_t fd = memory_map_open(d, "memory", &pages, &value_bytes), error = fd;

	if (fd < 0)
		goto fail;
	mapped_bytes = (size_t)pages * PAGE_BYTES;
	memory = mmap(address, mapped_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	error = memory == MAP_FAILED ? -errno : 0;
	close(fd);
	if (error)
		goto fail;
	if (memory != address) { /* a kernel that takes the address for a wish */
		munmap(memory, mapped_bytes);
		error = -EEXIST;
		goto fail;
	}
	*b = memory;
	error = sound(*b, d, mapped_bytes);
	if (!error)
		return 0;
	memory_close(*b);
fail:
	if (why)
		device_why(why, "%s",
			   error == -EPROTO   ? "another version of the library has initialised it"
			   : error == -ENOENT ? "its scheduler is not there any more"
			   : error == -EEXIST ? "the memory's place is taken in this process"
					      : strerror(-error));
	return error;
}

void memory_close(struct qs_below *b)
{
	munmap(b, mapped_bytes);
}
