/* SPDX-License-Identifier: MIT
 *
 * The root qdiscs that somebody configured. One without classes can be brought
 * back: the options that the kernel shows are those that it takes, or say what
 * those were (parameters.c). Of others it shows less (classes and filters are
 * apart, tables are not shown at all). A default one comes back by itself.
 */
#include <errno.h>
#include <string.h>

#include "parameters.h"
#include "restore.h"

static const char *lost(const struct root *root, uint32_t filters)
{
	const char *what = parameters_lost(root);

	if (what)
		return what;
	if (root->configured || (root->children && strcmp(root->kind, "mq")))
		return "it has another qdisc below it";
	if (filters)
		return "it has filters";
	if (root->has_size_table)
		return "it has a size table";
	return root->has_estimator ? "it has a rate estimator" : NULL;
}

int32_t restore_check(const struct root *root, uint32_t filters, char why[QSOCKET_WHY_BYTES])
{
	const char *what = lost(root, filters);

	if (!what)
		return 0;
	device_why(why, "a %s could not be brought back: %s; remove it first", root->kind, what);
	return -EOPNOTSUPP;
}

/* A kernel that knows no filters has none. */
static int32_t count_filters(int fd, const struct device *d, const struct root *root,
			     uint32_t *filters)
{
	int32_t error = netlink_filters(fd, d->ifindex, root->handle, filters);

	return error == -EOPNOTSUPP ? 0 : error;
}

int32_t restore_save(int fd, const struct device *d, const struct root *root, struct root *saved,
		     char why[QSOCKET_WHY_BYTES])
{
	uint32_t filters = 0;
	int32_t error = 0;

	if (root->handle) {
		error = count_filters(fd, d, root, &filters);
		if (error)
			device_why(why, "the kernel does not show the filters of its %s: %s",
				   root->kind, strerror(-error));
		else
			error = restore_check(root, filters, why);
	}
	if (!error)
		*saved = *root;
	return error;
}

static int32_t attach(int fd, const struct device *d, const struct root *root, uint32_t options_len)
{
	return netlink_attach(fd, d->ifindex, root->kind, root->handle, root->options, options_len);
}

static int is_back(int fd, const struct device *d, const struct root *saved)
{
	struct root now;

	return !netlink_root(fd, d->ifindex, &now) && parameters_same(saved, &now);
}

/* One that nobody gave parameters has some that cannot be given: of sfq more
 * flows than it may queue packets. So where what was said is not what is shown
 * then, nothing is. */
int32_t restore(int fd, const struct device *d, const struct root *saved)
{
	struct root set = *saved;
	int32_t error;

	if (!saved->handle)
		return 0;
	parameters_to_set(&set);
	error = attach(fd, d, &set, set.options_len);
	if (error || !set.options_len || is_back(fd, d, saved))
		return error;
	if (!netlink_detach(fd, d->ifindex) && !attach(fd, d, &set, 0) && is_back(fd, d, saved))
		return 0;
	netlink_detach(fd, d->ifindex); /* the nearest that there is */
	return attach(fd, d, &set, set.options_len);
}

int32_t restore_compare(const struct root *saved, const struct root *now, uint32_t filters,
			char why[QSOCKET_WHY_BYTES])
{
	const char *what = NULL;

	if (!*saved->kind) /* the state was lost: nobody knows */
		return 0;
	/* a device that is down shows this in the place of any default */
	if (!saved->handle && !now->handle &&
	    (!strcmp(saved->kind, "noop") || !strcmp(now->kind, "noop")))
		return 0;
	if (strcmp(saved->kind, now->kind) || saved->handle != now->handle) {
		device_why(why, "its root qdisc was %s %x: and is %s %x:", saved->kind,
			   saved->handle >> 16, *now->kind ? now->kind : "none", now->handle >> 16);
		return -ENOTRECOVERABLE;
	}
	if (saved->children != now->children || saved->configured != now->configured ||
	    strcmp(saved->child, now->child))
		what = "with other qdiscs below it";
	/* of a default that nobody configured, the kernel chooses them */
	else if (saved->handle && !parameters_same(saved, now))
		what = "with other parameters";
	else if (filters)
		what = "with filters that it had not";
	else if (saved->has_size_table != now->has_size_table ||
		 saved->has_estimator != now->has_estimator)
		what = "with another size table or estimator";
	if (!what)
		return 0;
	device_why(why, "its former root qdisc, %s %x:, is back, but %s", saved->kind,
		   saved->handle >> 16, what);
	return -ENOTRECOVERABLE;
}

int32_t restore_verify(int fd, const struct device *d, const struct root *saved, struct root *now,
		       char why[QSOCKET_WHY_BYTES])
{
	uint32_t filters = 0;
	int32_t error = netlink_root(fd, d->ifindex, now);

	if (!error && now->handle)
		error = count_filters(fd, d, now, &filters);
	if (!error)
		return restore_compare(saved, now, filters, why);
	device_why(why, "the kernel does not show what its root qdisc is now: %s",
		   strerror(-error));
	return error;
}
