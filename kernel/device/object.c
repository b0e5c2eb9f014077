/* SPDX-License-Identifier: MIT
 *
 * Below the stack: which file a scheduler's object is. It is shipped built
 * (kernel/bpf/built), or has just been built (make bpf), and is the right one if it
 * is of the very sources of this library: both share one memory.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bpf/below.h"
#include "device.h"
#include "object.h"

/* It says itself what it is of. */
static int is_ours(const char *path)
{
	static const char stamp[] = QS_STAMP_PREFIX QS_STAMP;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *object = MAP_FAILED;
	struct stat stat;
	int found;

	if (fd < 0)
		return 0;
	if (!fstat(fd, &stat) && stat.st_size > 0)
		object = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (object == MAP_FAILED)
		return 0;
	found = *QS_STAMP && memmem(object, (size_t)stat.st_size, stamp, sizeof(stamp)) != NULL;
	munmap(object, (size_t)stat.st_size);
	return found;
}

/* The object of a scheduler lies beside the library, where it was built, or
 * where the checkout and the package have it. */
int32_t bpf_object(char path[PATH_MAX], const char *scheduler, char why[QSOCKET_WHY_BYTES])
{
	static const char *const folders[] = {"bpf", "../bpf/built"};
	int other = 0;
	char library[PATH_MAX];
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)bpf_object, &info) || !realpath(info.dli_fname, library))
		return -ENOENT;
	*strrchr(library, '/') = 0;
	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (snprintf(path, PATH_MAX, "%s/%s/%s.bpf.o", library, folders[i], scheduler) >=
		    PATH_MAX)
			return -ENAMETOOLONG;
		if (access(path, R_OK))
			continue;
		if (is_ours(path))
			return 0;
		other = 1;
	}
	if (other)
		device_why(why, "%s.bpf.o is of other sources than the library: npm run build:bpf",
			   scheduler);
	else
		device_why(why, "%s is not built for below the stack", scheduler);
	return -ENOENT;
}
