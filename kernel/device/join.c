/* SPDX-License-Identifier: MIT
 *
 * What a program without privileges finds on a device: the scheduler below, or
 * an HTB that makes room for what its engine sends, or nothing.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "../below/below.h"
#include "../bpf/gate.h"
#include "device.h"
#include "htb.h"
#include "netlink.h"
#include "state.h"

#define GROUPS_MAX 1024

static int in_group(gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	int len = getgroups(GROUPS_MAX, groups);

	for (int i = 0; i < len; i++)
		if (groups[i] == gid)
			return 1;
	return getegid() == gid;
}

/* What the caller asked for and what is there must be the same, or unsaid. */
static int32_t agree(const struct state *found, struct qsockinit_args *args)
{
	if (!qs_gate_lets_in(geteuid(), found->uid, found->gid, found->mode, in_group)) {
		device_why(args->why, "the device's owner lets others register no streams");
		return -EACCES;
	}
	if (*args->scheduler && strcmp(args->scheduler, found->scheduler)) {
		device_why(args->why, "the device has the scheduler %s", found->scheduler);
		return -EBUSY;
	}
	if (args->rate && args->rate != found->rate) {
		device_why(args->why, "the device has a rate of %llu bytes/s",
			   (unsigned long long)found->rate);
		return -EEXIST;
	}
	device_tell(found, args);
	return 0;
}

static int32_t find_below(const struct device *d, struct state *found)
{
	struct qs_gate_link link;
	int32_t error = bpf_find(d->ifindex, &link);

	if (error)
		return error;
	memset(found, 0, sizeof(*found));
	found->host = QSOCKET_BELOW;
	found->uid = link.uid;
	found->gid = link.gid;
	found->mode = link.mode;
	found->rate = link.rate;
	memcpy(found->scheduler, link.scheduler, sizeof(found->scheduler));
	return link.attached ? 0 : -ENOPROTOOPT;
}

static int32_t find_isolated(const struct device *d, struct state *found, char *why)
{
	int32_t error = state_read(d, found);
	struct root root;
	int fd;

	if (error && error != -ESTALE) {
		device_why(why, error == -ENOENT ? "qsockinit has not initialised the device"
						 : "the device's state file is not to be trusted");
		return error;
	}
	fd = netlink_open();
	if (fd < 0)
		return fd;
	error = netlink_root(fd, d->ifindex, &root);
	close(fd);
	if (!error && (found->host != QSOCKET_ISOLATED || found->phase != STATE_READY ||
		       !device_is_ours(&root, found->kind)))
		error = -ENOENT;
	if (error)
		device_why(why, "what qsockinit made of the device is not there, or half of it");
	return error;
}

int32_t device_join(struct qsockinit_args *args)
{
	struct device d;
	struct state found;
	int32_t error = kernel_join(args);

	if (error != -ENOSYS && error != -ENOENT)
		return error;
	error = device_of(args->device, &d);
	if (error)
		return error;
	error = find_below(&d, &found);
	if (error == -EPROTO) {
		device_why(args->why, "the device's scheduler is another version's");
		return error;
	}
	if (!error || !find_isolated(&d, &found, args->why))
		return agree(&found, args);
	args->host = QSOCKET_ABOVE;
	return 0;
}
