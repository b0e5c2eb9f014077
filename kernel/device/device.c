/* SPDX-License-Identifier: MIT
 *
 * A device for all processes: made ready, and given back. The hosts, best
 * first: the scheduler as its qdisc, the kernel's own or one in BPF; an HTB that keeps other
 * traffic away from what the engines send; and neither, where it is left as it was.
 *
 * A crash may come between any two steps. What will be done is written first
 * (STATE_BEGUN), with what has to be brought back; so that the next
 * initialisation does all of it again, and off undoes what there is. Another
 * rate, group or mode is no such step: it is changed in place.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "htb.h"
#include "netlink.h"
#include "restore.h"
#include "state.h"

/* A device while it is looked at and changed. */
struct work {
	struct device device;
	struct root root;
	struct state state; /* phase 0: there is none */
	int lock, netlink;
};

static void stop(struct work *w)
{
	if (w->netlink >= 0)
		close(w->netlink);
	if (w->lock >= 0)
		close(w->lock);
}

/* Where the state was lost, an HTB of ours and the kernel's own scheduler are known
 * by the handle. */
int device_is_ours(const struct root *root, const char *kind)
{
	return root->handle == DEVICE_HANDLE &&
	       (!strcmp(root->kind, HTB_KIND) || kernel_is(root->kind) ||
		(*kind && !strcmp(root->kind, kind)));
}

static int32_t start(struct work *w, struct qsockinit_args *args)
{
	int32_t error;

	memset(w, 0, sizeof(*w));
	w->lock = w->netlink = -1;
	error = device_of(args->device, &w->device);
	if (geteuid() != 0) {
		device_why(args->why, "only root may do that");
		return -EPERM;
	}
	/* of a device that is gone there may still be a state to forget */
	if (error && (!(args->flags & QSOCKINIT_OFF) || access(STATE_DIRECTORY, F_OK)))
		return error;
	w->lock = state_lock();
	if (w->lock < 0) {
		device_why(args->why, "%s cannot be used", STATE_DIRECTORY);
		return w->lock;
	}
	if (state_sweep(&w->device, args->device) && error == -ENODEV &&
	    args->flags & QSOCKINIT_OFF)
		return 1;
	if (error)
		return error;
	w->netlink = netlink_open();
	if (w->netlink < 0)
		return w->netlink;
	error = netlink_root(w->netlink, w->device.ifindex, &w->root);
	if (error) {
		device_why(args->why, "the kernel does not show the qdiscs of the device");
		return error;
	}
	error = state_read(&w->device, &w->state);
	if (!error || (error == -ESTALE && device_is_ours(&w->root, w->state.kind)))
		return 0;
	memset(&w->state, 0, sizeof(w->state));
	if (device_is_ours(&w->root, ""))
		segments_lost(w->netlink, &w->device, &w->state.segments);
	if (error != -EBADMSG || args->flags & QSOCKINIT_REPLACE)
		return 0;
	device_why(args->why,
		   "its state in %s cannot be believed; initialise it with replace: true",
		   STATE_DIRECTORY);
	return error;
}

static int32_t remove_ours(struct work *w)
{
	int32_t error = 0;

	if (device_is_ours(&w->root, w->state.kind)) {
		error = netlink_detach(w->netlink, w->device.ifindex);
		if (!error)
			error = netlink_root(w->netlink, w->device.ifindex, &w->root);
		if (!error && device_is_ours(&w->root, w->state.kind))
			error = -EBUSY;
	}
	if (!error && w->state.host == QSOCKET_BELOW)
		bpf_uninstall(&w->device);
	return error;
}

/* Somebody's own choice of a root qdisc, since ours was there, is left. */
static int32_t leave_foreign(const struct work *w, char why[QSOCKET_WHY_BYTES])
{
	const char *lost = w->state.saved.handle ? w->state.saved.kind : "";

	device_why(why, "its root qdisc is %s, which somebody configured since and is left%s%s%s",
		   w->root.kind, *lost ? "; the " : "", lost,
		   *lost ? " before is not brought back" : "");
	return -EEXIST;
}

/* Makes the device what it was, and forgets it: even where the kernel then shows
 * something else, as nobody can do more about that. */
static int32_t give_back(struct work *w, char why[QSOCKET_WHY_BYTES])
{
	const struct root *saved = &w->state.saved;
	int32_t error = remove_ours(w), failed;

	if (error) {
		device_why(why, "its root qdisc cannot be removed: %s", strerror(-error));
		return error;
	}
	if (!w->root.handle)
		error = restore(w->netlink, &w->device, saved);
	if (error) {
		device_why(why, "its former root qdisc, %s, cannot be brought back: %s",
			   saved->kind, strerror(-error));
		return error;
	}
	failed = segments_restore(w->netlink, &w->device, &w->state.segments, why);
	if (w->root.handle &&
	    (w->root.handle != saved->handle || strcmp(w->root.kind, saved->kind)))
		error = leave_foreign(w, why);
	else
		error = restore_verify(w->netlink, &w->device, saved, &w->root, why);
	error = error ? error : failed;
	failed = state_remove(&w->device);
	return error ? error : failed;
}

int32_t device_off(struct qsockinit_args *args)
{
	struct work w;
	int32_t result = start(&w, args);

	if (result == 1)
		result = 0; /* the device is gone, and now its state as well */
	else if (!result && !w.state.phase && !device_is_ours(&w.root, ""))
		result = -ENOENT;
	else if (!result)
		result = give_back(&w, args->why);
	stop(&w);
	return result;
}

/* Whether what is there need not be made anew for what is asked for ... */
static int same_host(const struct state *state, const struct qsockinit_args *args)
{
	return !strcmp(state->scheduler, args->scheduler) &&
	       (!args->host || args->host == state->host);
}

/* ... and whether nothing at all is to be done. */
static int same(const struct state *state, const struct qsockinit_args *args)
{
	return state->rate == args->rate && !state->rate_next && state->gid == args->gid &&
	       state->mode == args->mode;
}

/* Another rate, group or mode of what is there, in place: what is queued stays.
 * A crash on the way leaves rate_next, and the next initialisation goes on. */
static int32_t change(struct work *w, struct qsockinit_args *args)
{
	struct state *s = &w->state;
	int32_t error;

	s->rate_next = args->rate;
	segments_begin(w->netlink, &w->device, args->rate, &s->segments);
	error = state_write(s);
	if (!error && s->host == QSOCKET_BELOW && kernel_is(s->kind))
		error = kernel_change(args, args->why);
	else if (!error && s->host == QSOCKET_BELOW)
		error = bpf_change(&w->device, args, s->kind, args->why);
	else if (!error)
		error = htb_change(w->netlink, &w->device, args->rate);
	if (error) {
		if (!*args->why)
			device_why(args->why, "it cannot be changed to %llu bytes/s: %s",
				   (unsigned long long)args->rate, strerror(-error));
		if (s->host == QSOCKET_ISOLATED && htb_change(w->netlink, &w->device, s->rate))
			return error; /* half of it may be: rate_next stays */
		s->rate_next = 0;
		s->segments.next = 0;
		state_write(s);
		return error;
	}
	s->rate = args->rate;
	s->rate_next = 0;
	s->gid = args->gid;
	s->mode = args->mode;
	segments_apply(w->netlink, &w->device, &s->segments);
	return state_write(s);
}

void device_tell(const struct state *state, struct qsockinit_args *args)
{
	memcpy(args->scheduler, state->scheduler, sizeof(args->scheduler));
	memcpy(args->why, state->why, sizeof(args->why));
	args->host = state->host;
	args->rate = state->host == QSOCKET_ISOLATED ? htb_managed_rate(state->rate) : state->rate;
}

/* Nothing of anybody's may be lost: what is there now is ours, or the default,
 * or can be brought back. */
static int32_t make_room(struct work *w, struct qsockinit_args *args)
{
	int replace = args->flags & QSOCKINIT_REPLACE;
	int32_t error;

	if (device_is_ours(&w->root, w->state.kind))
		return remove_ours(w); /* `saved` stays: what was there before all this */
	if (!w->root.handle)
		return w->state.phase ? remove_ours(w)
				      : restore_save(w->netlink, &w->device, &w->root,
						     &w->state.saved, args->why);
	memcpy(args->obstacle, w->root.kind, sizeof(args->obstacle));
	if (!replace && w->state.phase == STATE_BEGUN &&
	    !strcmp(w->root.kind, w->state.saved.kind) && w->root.handle == w->state.saved.handle)
		replace = 1; /* it was asked for, and did not come to that */
	if (!replace) {
		device_why(args->why, "its root qdisc is %s", w->root.kind);
		return -EEXIST;
	}
	error = restore_save(w->netlink, &w->device, &w->root, &w->state.saved, args->why);
	return error ? error : remove_ours(w); /* what is pinned of one that was there before */
}

/* After a failure: as it was before, as far as that goes. */
static int32_t undo(struct work *w, char why[QSOCKET_WHY_BYTES])
{
	int32_t error = netlink_root(w->netlink, w->device.ifindex, &w->root);

	return error ? error : give_back(w, why);
}

static int32_t install(struct work *w, struct qsockinit_args *args)
{
	struct state *s = &w->state;
	struct root saved = s->saved;
	int32_t error = -EOPNOTSUPP, failed = 0;

	if (!args->host || args->host == QSOCKET_BELOW)
		error = install_below(w->netlink, &w->device, s, args);
	/* what was there of ours has made room already */
	if (error && (s->host == QSOCKET_BELOW || args->host == QSOCKET_BELOW))
		failed = undo(w, args->why);
	if (error && !failed && args->host != QSOCKET_BELOW) {
		s->saved = saved;
		error = install_isolated(w->netlink, &w->device, s);
		if (error)
			failed = undo(w, args->why);
		if (error && !failed)
			device_why(args->why, "%sno BPF qdisc (%.30s), and no HTB: %.30s",
				   args->host ? "" : "only this program's traffic is scheduled: ",
				   s->why, strerror(-error));
	}
	if (failed) /* args->why says what of the device is not as it was */
		return failed;
	if (!error) {
		segments_apply(w->netlink, &w->device, &s->segments);
		s->phase = STATE_READY;
		return state_write(s);
	}
	if (args->host) {
		if (args->host == QSOCKET_BELOW)
			memcpy(args->why, s->why, sizeof(args->why));
		return error;
	}
	args->host = QSOCKET_ABOVE; /* args->why says why */
	return 0;
}

static const char *name_of(uint32_t host)
{
	return host == QSOCKET_BELOW ? "below" : "isolated";
}

/* Of a device that is initialised: 1 if it is to be initialised anew. */
static int32_t again(struct work *w, struct qsockinit_args *args)
{
	struct state *s = &w->state;
	int replace = args->flags & QSOCKINIT_REPLACE;
	int32_t error = 0;

	if (!same_host(s, args)) {
		if (replace)
			return 1;
		device_why(args->why, "it is initialised for %s at %llu bytes/s, host %s",
			   s->scheduler, (unsigned long long)s->rate, name_of(s->host));
		return -EBUSY;
	}
	/* the kernel's own others may have changed by its calls */
	if (!same(s, args) || kernel_is(s->kind))
		error = change(w, args);
	if (!error)
		device_tell(s, args);
	return error && replace ? 1 : error;
}

static int32_t init(struct work *w, struct qsockinit_args *args)
{
	struct state *s = &w->state;
	int32_t error = 1;

	if (!args->mode)
		args->mode = DEVICE_MODE_DEFAULT;
	if (s->phase == STATE_READY && device_is_ours(&w->root, s->kind) &&
	    !strcmp(w->root.kind, s->kind))
		error = again(w, args);
	if (error != 1)
		return error;
	memset(args->why, 0, sizeof(args->why));
	error = make_room(w, args);
	if (error)
		return error;
	memset(args->obstacle, 0, sizeof(args->obstacle));
	if (args->host == QSOCKET_ABOVE) {
		device_why(args->why, "no other was asked for");
		return s->phase ? undo(w, args->why) : 0;
	}
	s->magic = STATE_MAGIC;
	s->version = STATE_VERSION;
	s->bytes = sizeof(*s);
	s->phase = STATE_BEGUN;
	s->host = 0;
	s->device = w->device;
	s->uid = geteuid();
	s->gid = args->gid;
	s->mode = args->mode;
	s->rate = args->rate;
	s->rate_next = 0;
	memcpy(s->scheduler, args->scheduler, sizeof(s->scheduler));
	memset(s->kind, 0, sizeof(s->kind));
	memset(s->why, 0, sizeof(s->why));
	error = install(w, args);
	if (!error && s->phase == STATE_READY)
		device_tell(s, args);
	return error;
}

int32_t device_init(struct qsockinit_args *args)
{
	struct work w;
	int32_t error = start(&w, args);

	if (!error)
		error = init(&w, args);
	stop(&w);
	if (error)
		args->host = 0; /* none */
	return error;
}
