/* SPDX-License-Identifier: MIT
 *
 * The root qdiscs that somebody configured. One without classes can be brought
 * back: the options that the kernel shows are those that it takes. Of others it
 * shows less (classes and filters are apart, tables are not shown at all).
 */
#include <errno.h>
#include <string.h>

#include "restore.h"

static int is_known(const char *kind)
{
	static const char *const kinds[] = {"pfifo", "bfifo", "pfifo_fast", "tbf", "sfq",
					    "codel", "fq",    "fq_codel",   "cake"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, kinds[i]))
			return 1;
	return 0;
}

int32_t restore_check(const struct root *root, uint32_t filters, char why[QSOCKET_WHY_BYTES])
{
	const char *what = NULL;

	if (!is_known(root->kind))
		what = "the kernel does not show all of it";
	else if (root->children)
		what = "it has another qdisc below it";
	else if (filters)
		what = "it has filters";
	else if (root->has_size_table)
		what = "it has a size table";
	else if (root->options_len > sizeof(root->options))
		what = "its options are too long";
	if (!what)
		return 0;
	device_why(why, "a %s could not be brought back: %s; remove it first", root->kind, what);
	return -EOPNOTSUPP;
}

int32_t restore_save(int fd, const struct device *d, const struct root *root, struct root *saved,
		     char why[QSOCKET_WHY_BYTES])
{
	uint32_t filters = 0;
	int32_t error;

	/* a qdisc that takes no filters says so in ways of its own */
	if (netlink_filters(fd, d->ifindex, root->handle, &filters))
		filters = 0;
	error = restore_check(root, filters, why);
	if (!error)
		*saved = *root;
	return error;
}

int32_t restore(int fd, const struct device *d, const struct root *saved)
{
	return *saved->kind ? netlink_attach(fd, d->ifindex, saved->kind, saved->handle,
					     saved->options, saved->options_len)
			    : 0;
}
