/* SPDX-License-Identifier: MIT
 *
 * Below the stack: loads the scheduler's object for one device (kernel/bpf,
 * built by `make bpf`), lays out its memory, and pins what must outlive this
 * process: the qdisc's registration, the gate's programs on the root cgroup,
 * and the maps that root reads.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
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

#include "../bpf/below.h"
#include "libbpf.h"

#define PAGE_BYTES 4096u
#define USERS_MAX 4096u
#define PINS "/sys/fs/bpf/qsockets"

static const char *const cgroups[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
static const char *const gates[] = {"gate_set", "gate_get", "gate_release"};
static const char *const pinned[] = {"scheduler",    "gate_set", "gate_get",
				     "gate_release", "memory",	 "members"};

static void pin_path(char path[PATH_MAX], const struct device *d, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%llu-%u%s%s", PINS, (unsigned long long)d->netns_inode,
		 d->ifindex, *name ? "/" : "", name);
}

/* The object of a scheduler lies beside the library, or where it was built. */
static int32_t object_path(char path[PATH_MAX], const char *scheduler)
{
	Dl_info info;
	char *end;

	if (!dladdr((void *)(uintptr_t)object_path, &info) || !realpath(info.dli_fname, path))
		return -ENOENT;
	end = strrchr(path, '/') + 1;
	snprintf(end, (size_t)(PATH_MAX - (end - path)), "bpf/%s.bpf.o", scheduler);
	return access(path, R_OK) ? -ENOENT : 0;
}

static int root_cgroup(void)
{
	struct statfs fs;

	for (unsigned i = 0; i < sizeof(cgroups) / sizeof(cgroups[0]); i++)
		if (!statfs(cgroups[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			return open(cgroups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return -1;
}

int32_t bpf_probe(const struct device *d, char why[QSOCKET_WHY_BYTES])
{
	struct statfs fs;
	int cgroup = root_cgroup();

	(void)d;
	if (cgroup < 0) {
		device_why(why, "no cgroup2 is mounted");
		return -EOPNOTSUPP;
	}
	close(cgroup);
	if (statfs("/sys/fs/bpf", &fs) || fs.f_type != BPF_FS_MAGIC) {
		device_why(why, "no bpffs is mounted at /sys/fs/bpf");
		return -EOPNOTSUPP;
	}
	if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		device_why(why, "the kernel does not tell its types (CONFIG_DEBUG_INFO_BTF)");
		return -EOPNOTSUPP;
	}
	return libbpf_open(why) ? 0 : -EOPNOTSUPP;
}

struct sizes {
	const struct qs_policy *policy;
	uint32_t streams, messages, pages;
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
		{"members", sizes->streams},
		{"leaving", sizes->streams},
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
	b->gid = args->gid;
	b->mode = args->mode;
	qs_init(&b->link, sizes->policy, args->rate, (char *)b + at_page(sizeof(*b)),
		sizes->streams, sizes->messages);
	b->link.guard_ns = QS_BELOW_GUARD_NS;
	/* together no more than what is best effort's (sched/frame.c, has_room) */
	if (flow.queue_messages > sizes->messages / 2 / QS_BELOW_FLOWS)
		flow.queue_messages = sizes->messages / 2 / QS_BELOW_FLOWS + 1;
	for (uint32_t i = 0; i < QS_BELOW_FLOWS; i++)
		if (qs_add(&b->link, &flow) != (int32_t)i)
			return -ENOSPC;
	return 0;
}

static int32_t pin(const struct libbpf *lib, struct bpf_link *link, const struct device *d,
		   const char *name)
{
	char path[PATH_MAX];
	int32_t error;

	if (!link)
		return -errno;
	pin_path(path, d, name);
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
		pin_path(path, d, pinned[i]);
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

int32_t bpf_install(const struct device *d, const struct qsockinit_args *args,
		    char kind[QSOCKET_NAME_BYTES], char why[QSOCKET_WHY_BYTES])
{
	const struct libbpf *lib = libbpf_open(why);
	struct sizes sizes = {.policy = qs_policy_find(args->scheduler)};
	struct bpf_object *object;
	char path[PATH_MAX];
	uint32_t number;
	int32_t error;

	if (!lib || !sizes.policy)
		return -EOPNOTSUPP;
	if (object_path(path, args->scheduler)) {
		device_why(why, "%s is not built for below the stack", args->scheduler);
		return -EOPNOTSUPP;
	}
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	memset(kind, 0, QSOCKET_NAME_BYTES);
	snprintf(kind, QSOCKET_NAME_BYTES, "qs_%08x", number);
	sizes.streams = args->streams ? args->streams : QS_BELOW_STREAMS_DEFAULT;
	sizes.messages =
		args->queue_messages ? args->queue_messages : QSOCKET_QUEUE_MESSAGES_DEFAULT;
	sizes.pages =
		(uint32_t)((at_page(sizeof(struct qs_below)) +
			    at_page(qs_link_bytes(sizes.policy, sizes.streams, sizes.messages))) /
			   PAGE_BYTES);
	bpf_uninstall(d, kind); /* what a crash left */
	object = lib->bpf_object__open_file(path, NULL);
	if (!object) {
		device_why(why, "%s.bpf.o cannot be read", args->scheduler);
		return -errno;
	}
	error = set_sizes(lib, object, &sizes, kind);
	if (!error)
		error = lib->bpf_object__load(object);
	if (error) {
		device_why(why, "this kernel does not take it: %s", strerror(-error));
	} else {
		mkdir(PINS, 0755);
		pin_path(path, d, "");
		error = mkdir(path, 0700) ? -errno : lay_out(d, args, &sizes);
		if (!error)
			error = attach(lib, object, d);
		if (error) {
			device_why(why, "it cannot be kept: %s", strerror(-error));
			bpf_uninstall(d, kind);
		}
	}
	lib->bpf_object__close(object);
	return error;
}

int32_t bpf_change(const struct device *d, const struct qsockinit_args *args, const char *kind,
		   char why[QSOCKET_WHY_BYTES])
{
	(void)d;
	(void)args;
	(void)kind;
	device_why(why, "it is to be initialised anew");
	return -EOPNOTSUPP;
}

void bpf_uninstall(const struct device *d, const char *kind)
{
	char path[PATH_MAX];

	(void)kind;
	for (unsigned i = 0; i < sizeof(pinned) / sizeof(pinned[0]); i++) {
		pin_path(path, d, pinned[i]);
		unlink(path);
	}
	pin_path(path, d, "");
	rmdir(path);
}
