/* SPDX-License-Identifier: MIT
 *
 * Below the stack: loads the scheduler's object (object.c) for one device, lays
 * out its memory, and pins what must outlive this process: the qdisc's
 * registration, the gate's programs on the root cgroup, and the maps that root
 * reads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "libbpf.h"
#include "memory.h"
#include "object.h"
#include "trace.h"

#define USERS_MAX 4096u

static const char *const cgroups[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
static const char *const gates[] = {"gate_set", "gate_get", "gate_release"};
static const char *const pinned[] = {"scheduler",    "gate_set", "gate_get",
				     "gate_release", "memory",	 "members"};

static int root_cgroup(void)
{
	struct statfs fs;

	for (unsigned i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]); i++)
		if (!statfs(cgroups[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return open(cgroups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return -1;
}

/* Whether qdiscs can be programs here: the kernel's types then have a struct for
 * that. */
static int kernel_can(void)
{
	static const char type[] = "bpf_struct_ops_Qdisc_ops";
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	struct stat stat = {0};
	uint8_t *types = NULL;
	size_t len = 0;
	ssize_t part = 1;
	int can;

	if (fd >= 0 && !fstat(fd, &stat) && stat.st_size > 0)
		types = malloc((size_t)stat.st_size);
	while (types && len < (size_t)stat.st_size && part > 0) {
		part = read(fd, types + len, (size_t)stat.st_size - len);
		len += part > 0 ? (size_t)part : 0;
	}
	can = types && memmem(types, len, type, sizeof(type));
	free(types);
	if (fd >= 0)
		close(fd);
	return can;
}

int32_t bpf_probe(char why[QSOCKET_WHY_BYTES])
{
	struct statfs fs;
	int cgroup = root_cgroup();

	if (!kernel_can()) {
		if (cgroup >= 0)
			close(cgroup);
		device_why(why, "needs Linux 6.16's NET_SCH_BPF");
		return -EOPNOTSUPP;
	}
	if (cgroup < 0) {
		device_why(why, "no cgroup2 is mounted");
		return -EOPNOTSUPP;
	}
	close(cgroup);
	if (statfs("/sys/fs/bpf", &fs) || fs.f_type != BPF_FS_MAGIC) {
		device_why(why, "no bpffs is mounted at /sys/fs/bpf");
		return -EOPNOTSUPP;
	}
	return libbpf_open(why) ? 0 : -EOPNOTSUPP;
}

struct sizes {
	const struct qs_policy *policy;
	uint32_t members; /* sockets that may be registered at once */
	uint32_t streams; /* the flows of best effort included */
	uint32_t messages, pages;
};

static uint64_t at_page(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static int32_t set_sizes(const struct libbpf *lib, struct bpf_object *object,
			 const struct sizes *sizes, const char *kind)
{
	const struct {
		const char *name;
		uint32_t entries;
	} maps[] = {
		{"memory", sizes->pages},
		{"packets", qs_messages_held(sizes->streams, sizes->messages)},
		{"members", sizes->members},
		{"leaving", sizes->members},
		{"users", USERS_MAX},
	};
	struct bpf_map *ops = lib->bpf_object__find_map_by_name(object, "scheduler");
	size_t bytes;
	char *id;

	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		struct bpf_map *map = lib->bpf_object__find_map_by_name(object, maps[i].name);

		if (!map || lib->bpf_map__set_max_entries(map, maps[i].entries))
			return -EINVAL;
	}
	id = ops ? lib->bpf_map__initial_value(ops, &bytes) : NULL;
	if (!id || bytes < QSOCKET_NAME_BYTES)
		return -EINVAL;
	memcpy(id, kind, QSOCKET_NAME_BYTES);
	return 0;
}

/* libbpf maps the memory over whatever is at its place: so there must be nothing
 * but this, which it takes the place of. */
static int32_t reserve(const struct sizes *sizes, char why[QSOCKET_WHY_BYTES])
{
	void *address = (void *)(uintptr_t)QS_BELOW_ADDRESS;
	size_t bytes = (size_t)sizes->pages * PAGE_BYTES;
	void *memory =
		mmap(address, bytes, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	int32_t error = memory == MAP_FAILED ? -errno : 0;

	if (!error && memory != address) { /* a kernel that takes the address for a wish */
		munmap(memory, bytes);
		error = -EEXIST;
	}
	if (error == -EEXIST)
		device_why(why, "the memory's place is taken in this process");
	else if (error)
		device_why(why, "there is no place for its memory: %s", strerror(-error));
	return error;
}

/* The scheduler's memory, where the programs see it too. All of it is touched:
 * they cannot fault a page in. */
static int32_t lay_out(const struct device *d, const struct qsockinit_args *args,
		       const struct sizes *sizes)
{
	struct qs_below *b = (struct qs_below *)(uintptr_t)QS_BELOW_ADDRESS;
	struct qsocket_attr flow = {.queue_messages = QS_BELOW_FLOW_MESSAGES};

	memset(b, 0, (size_t)sizes->pages * PAGE_BYTES);
	b->abi = QS_BELOW_ABI;
	b->ifindex = d->ifindex;
	b->netns_cookie = d->netns_cookie;
	memcpy(b->scheduler, args->scheduler, sizeof(b->scheduler));
	b->uid = geteuid();
	b->messages_max = sizes->messages;
	strncpy(b->stamp, QS_STAMP, sizeof(b->stamp) - 1);
	b->access = (uint64_t)args->gid << 32 | args->mode;
	b->rate_wanted = args->rate;
	qs_init(&b->link, sizes->policy, args->rate, (char *)b + at_page(sizeof(*b)),
		sizes->streams, sizes->messages);
	b->link.guard_ns = QS_PACE_GUARD_NS;
	/* together no more than what is best effort's (sched/frame.c, has_room) */
	if (flow.queue_messages > sizes->messages / 2 / QS_BELOW_FLOWS)
		flow.queue_messages = sizes->messages / 2 / QS_BELOW_FLOWS + 1;
	for (uint32_t i = 0; i < QS_BELOW_FLOWS; i++)
		if (qs_add(&b->link, &flow) != (int32_t)i)
			return -ENOSPC;
	if (trace_pages(args))
		trace_lay_out(b, args,
			      QS_BELOW_ADDRESS +
				      (uint64_t)(sizes->pages - trace_pages(args)) * PAGE_BYTES,
			      &flow);
	return 0;
}

static int32_t pin(const struct libbpf *lib, struct bpf_link *link, const struct device *d,
		   const char *name)
{
	char path[PATH_MAX];
	int32_t error;

	if (!link)
		return -errno;
	memory_pin_path(path, sizeof(path), d, name);
	error = lib->bpf_link__pin(link, path);
	lib->bpf_link__destroy(link); /* what is pinned stays */
	return error;
}

static int32_t attach(const struct libbpf *lib, struct bpf_object *object, const struct device *d)
{
	int cgroup = root_cgroup();
	int32_t error = cgroup < 0 ? -ENOENT : 0;
	char path[PATH_MAX];

	for (unsigned i = 0; !error && i < sizeof(gates) / sizeof(gates[0]); i++) {
		struct bpf_program *program =
			lib->bpf_object__find_program_by_name(object, gates[i]);

		error = program ? pin(lib, lib->bpf_program__attach_cgroup(program, cgroup), d,
				      gates[i])
				: -EINVAL;
	}
	for (unsigned i = 4; !error && i < sizeof(pinned) / sizeof(pinned[0]); i++) {
		memory_pin_path(path, sizeof(path), d, pinned[i]);
		error = lib->bpf_map__pin(lib->bpf_object__find_map_by_name(object, pinned[i]),
					  path);
	}
	if (!error)
		error = pin(lib,
			    lib->bpf_map__attach_struct_ops(
				    lib->bpf_object__find_map_by_name(object, "scheduler")),
			    d, "scheduler");
	if (cgroup >= 0)
		close(cgroup);
	return error;
}

/* Loads an object, and keeps what it has become. */
static int32_t load(const struct libbpf *lib, const struct device *d,
		    const struct qsockinit_args *args, const struct sizes *sizes, const char *kind,
		    char path[PATH_MAX], char why[QSOCKET_WHY_BYTES])
{
	struct bpf_object *object = lib->bpf_object__open_file(path, NULL);
	int32_t error;

	if (!object) {
		error = -errno;
		device_why(why, "%s.bpf.o cannot be read", args->scheduler);
		return error;
	}
	error = set_sizes(lib, object, sizes, kind);
	if (!error)
		error = lib->bpf_object__load(object);
	if (error) {
		device_why(why, "this kernel does not take it: %s", strerror(-error));
		goto close_object;
	}
	memory_pin_path(path, PATH_MAX, d, "");
	error = mkdir(path, 0700) ? -errno : lay_out(d, args, sizes);
	if (!error)
		error = attach(lib, object, d);
	if (error) {
		device_why(why, "it cannot be kept: %s", strerror(-error));
		bpf_uninstall(d);
	}
close_object:
	lib->bpf_object__close(object);
	return error;
}

int32_t bpf_install(const struct device *d, const struct qsockinit_args *args,
		    char kind[QSOCKET_NAME_BYTES], char why[QSOCKET_WHY_BYTES])
{
	const struct libbpf *lib = libbpf_open(why);
	struct sizes sizes = {.policy = qs_policy_find(args->scheduler)};
	char path[PATH_MAX];
	uint32_t number;
	int32_t error;

	if (!lib || !sizes.policy)
		return -EOPNOTSUPP;
	if (bpf_object(path, args->scheduler, why))
		return -EOPNOTSUPP;
	mkdir(PINS, 0755);
	if (!memory_pins_are_roots()) {
		device_why(why, PINS " is not root's alone: remove it");
		return -EPERM;
	}
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	memset(kind, 0, QSOCKET_NAME_BYTES);
	snprintf(kind, QSOCKET_NAME_BYTES, "qs_%08x", number);
	sizes.members = args->streams ? args->streams : QS_BELOW_STREAMS_DEFAULT;
	sizes.streams = sizes.members + QS_BELOW_FLOWS;
	sizes.messages =
		args->queue_messages ? args->queue_messages : QSOCKET_QUEUE_MESSAGES_DEFAULT;
	sizes.pages =
		(uint32_t)((at_page(sizeof(struct qs_below)) +
			    at_page(qs_link_bytes(sizes.policy, sizes.streams, sizes.messages))) /
			   PAGE_BYTES) +
		trace_pages(args);
	bpf_uninstall(d); /* what a crash left */
	memory_lock();
	error = reserve(&sizes, why);
	if (!error) {
		error = load(lib, d, args, &sizes, kind, path, why);
		/* where libbpf did not come to take it */
		munmap((void *)(uintptr_t)QS_BELOW_ADDRESS, (size_t)sizes.pages * PAGE_BYTES);
	}
	memory_unlock();
	return error;
}

/* All that is there: another version may have pinned more. */
static void unpin(const struct device *d)
{
	char path[PATH_MAX];
	DIR *directory;
	const struct dirent *entry;

	memory_pin_path(path, sizeof(path), d, "");
	directory = opendir(path);
	while (directory && (entry = readdir(directory)))
		unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}

/* Devices of this network that were removed took their qdiscs with them, not
 * what is pinned for these. */
static void sweep(const struct device *d)
{
	DIR *directory = opendir(PINS);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		struct device gone = {0};
		char name[IF_NAMESIZE];

		if (sscanf(entry->d_name, "%" SCNu64 "-%" SCNu32, &gone.netns_inode,
			   &gone.ifindex) == 2 &&
		    gone.netns_inode == d->netns_inode && !if_indextoname(gone.ifindex, name))
			unpin(&gone);
	}
	if (directory)
		closedir(directory);
}

void bpf_uninstall(const struct device *d)
{
	if (!memory_pins_are_roots())
		return;
	unpin(d);
	sweep(d);
}
