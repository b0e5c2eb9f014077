/* SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <pthread.h>

#include "libbpf.h"

static struct libbpf lib;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum { FOUND, ABSENT, OLD } found = ABSENT;

/* What went wrong is in `why`, in fewer words. */
static int silent(int level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static void open_once(void)
{
	static const char *const names[] = {
		"libbpf_major_version",
		"libbpf_minor_version",
		"libbpf_set_print",
		"bpf_object__open_file",
		"bpf_object__find_map_by_name",
		"bpf_object__find_program_by_name",
		"bpf_object__load",
		"bpf_object__close",
		"bpf_map__set_max_entries",
		"bpf_map__initial_value",
		"bpf_map__pin",
		"bpf_map__attach_struct_ops",
		"bpf_program__attach_cgroup",
		"bpf_link__pin",
		"bpf_link__destroy",
	};
	void **functions = (void **)&lib;
	void *handle = dlopen("libbpf.so.1", RTLD_NOW | RTLD_LOCAL);

	_Static_assert(sizeof(lib) == sizeof(names) / sizeof(names[0]) * sizeof(void *),
		       "a name for each function");
	if (!handle)
		return;
	found = OLD;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		functions[i] = dlsym(handle, names[i]);
		if (!functions[i])
			return;
	}
	if (lib.libbpf_major_version() != LIBBPF_MAJOR ||
	    lib.libbpf_minor_version() < LIBBPF_MINOR_MIN)
		return;
	lib.libbpf_set_print(silent);
	found = FOUND;
}

const struct libbpf *libbpf_open(char why[QSOCKET_WHY_BYTES])
{
	pthread_once(&once, open_once);
	if (found == ABSENT)
		device_why(why, "libbpf.so.1 is not there: install libbpf1");
	if (found == OLD)
		device_why(why, "libbpf is older than %d.%d", LIBBPF_MAJOR, LIBBPF_MINOR_MIN);
	return found == FOUND ? &lib : NULL;
}
