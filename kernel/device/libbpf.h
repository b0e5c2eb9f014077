/* SPDX-License-Identifier: MIT
 *
 * libbpf as far as it is used, opened by its name when a device is to have its
 * scheduler below the stack: the library does not depend on it otherwise. The
 * prototypes are libbpf's (libbpf.h, bpf.h).
 */
#ifndef QS_LIBBPF_H
#define QS_LIBBPF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"

struct bpf_object;
struct bpf_map;
struct bpf_program;
struct bpf_link;

#define LIBBPF_MAJOR 1
#define LIBBPF_MINOR_MIN 4 /* the first that knows arenas */

struct libbpf {
	uint32_t (*libbpf_major_version)(void);
	uint32_t (*libbpf_minor_version)(void);
	int (*(*libbpf_set_print)(int (*print)(int, const char *, va_list)))(int, const char *,
									     va_list);
	struct bpf_object *(*bpf_object__open_file)(const char *path, const void *opts);
	struct bpf_map *(*bpf_object__find_map_by_name)(const struct bpf_object *object,
							const char *name);
	struct bpf_program *(*bpf_object__find_program_by_name)(const struct bpf_object *object,
								const char *name);
	int (*bpf_object__load)(struct bpf_object *object);
	void (*bpf_object__close)(struct bpf_object *object);
	int (*bpf_map__set_max_entries)(struct bpf_map *map, uint32_t max_entries);
	void *(*bpf_map__initial_value)(const struct bpf_map *map, size_t *bytes);
	int (*bpf_map__pin)(struct bpf_map *map, const char *path);
	struct bpf_link *(*bpf_map__attach_struct_ops)(const struct bpf_map *map);
	struct bpf_link *(*bpf_program__attach_cgroup)(const struct bpf_program *program,
						       int cgroup_fd);
	int (*bpf_link__pin)(struct bpf_link *link, const char *path);
	int (*bpf_link__destroy)(struct bpf_link *link);
};

/* It, or NULL and why not. */
const struct libbpf *libbpf_open(char why[QSOCKET_WHY_BYTES]);

#endif
