/* SPDX-License-Identifier: MIT
 *
 * The multiplexer: one entry for all calls, as socketcall(2) is for a
 * socket's. What a caller hands in is distrusted here, once: lengths and
 * handles in this file, the handle of a message in engine/message.c, what the
 * structs say in engine/check.c, what QSOCKINIT's says in qsockinit.c. A host sees nothing that was
 * not checked: each struct is copied once, before it is, as another thread of the caller's may
 * write to it meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

/* A call's struct, as the caller had it when it was copied. */
union args {
	struct qsockinit_args qsockinit;
	struct qsocket_args qsocket;
	struct qattach_args qattach;
	struct qchange_args qchange;
	struct qinfo_args qinfo;
	struct qsend_args qsend;
	struct qclose_args qclose;
};

static void copy_in(void *to, const void *from, uint32_t bytes)
{
	memcpy(to, from, bytes);
	__asm__ volatile("" : : "r"(to) : "memory"); /* the compiler may not read it again */
}

/* What a call answers beside its result: to its caller's struct. */
static void copy_out(uint32_t call, void *to, const union args *from, int32_t result)
{
	if (call == QINFO && !result)
		((struct qinfo_args *)to)->info = from->qinfo.info;
	if (call == QSOCKINIT)
		*(struct qsockinit_args *)to = from->qsockinit;
	if (result < 0 && result != -EBUSY)
		return;
	if (call == QSOCKET)
		((struct qsocket_args *)to)->admission = from->qsocket.admission;
	if (call == QATTACH)
		((struct qattach_args *)to)->admission = from->qattach.admission;
	if (call == QCHANGE)
		((struct qchange_args *)to)->admission = from->qchange.admission;
}

uint64_t qsocket_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A link that is open, locked; NULL for a stream in its place. */
static struct link *lock_link(uint32_t handle)
{
	uint32_t stream;
	struct link *link = handle_lock(handle, &stream);

	if (link && stream != QS_NONE) {
		pthread_mutex_unlock(&link->lock);
		return NULL;
	}
	return link;
}

static int32_t call_qsend(union args *args)
{
	const struct qsend_args *a = &args->qsend;

	return zeroed(&a->to, sizeof(a->to)) ? message_send(a) : -EINVAL;
}

static int32_t call_qsendto(union args *args)
{
	return message_send_to(&args->qsend);
}

static int32_t call_qsockinit(union args *args)
{
	return link_init(&args->qsockinit);
}

static int32_t call_qsocket(union args *args)
{
	struct qsocket_args *a = &args->qsocket;
	int32_t result = check_ends(a->type, &a->local, &a->peer);
	struct link *link;

	if (result || (result = qs_attr_check(&a->attr)))
		return result;
	table_lock();
	link = lock_link(a->link);
	result = link ? link->host->add(link, a) : -EBADF;
	if (link)
		pthread_mutex_unlock(&link->lock);
	table_unlock();
	return result;
}

/* Whether a link is open, and has sockets to attach. */
static int32_t check_attach(uint32_t handle)
{
	struct link *link = lock_link(handle);
	int32_t result;

	if (!link)
		return -EBADF;
	result = link->host->name == QSOCKET_VIRTUAL ? -EOPNOTSUPP : 0;
	pthread_mutex_unlock(&link->lock);
	return result;
}

static int32_t call_qattach(union args *args)
{
	struct qattach_args *a = &args->qattach;
	int32_t result = check_ends(a->type, &a->local, &a->peer);
	struct link *link;

	if (result || (result = qs_attr_check(&a->attr)))
		return result;
	if (a->zero || (a->fd == -1 && !a->local.family && !a->peer.family))
		return -EINVAL;
	if (a->fd < -1)
		return -EBADF;
	result = check_attach(a->link);
	if (result)
		return result;
	/* this may take long: nobody waits for it */
	a->fd = socket_find(a);
	if (a->fd < 0)
		return a->fd;
	table_lock();
	link = lock_link(a->link);
	result = link ? link->host->attach(link, a) : -EBADF;
	if (link)
		pthread_mutex_unlock(&link->lock);
	table_unlock();
	if (result < 0)
		close(a->fd);
	return result;
}

static int32_t call_qchange(union args *args)
{
	struct qchange_args *a = &args->qchange;
	int32_t result = qs_attr_check(&a->attr);
	struct link *link;
	uint32_t stream;

	if (a->zero)
		return -EINVAL;
	if (result)
		return result;
	link = handle_lock(a->handle, &stream);
	if (!link)
		return -EBADF;
	if (stream == QS_NONE &&
	    (a->rate == 0 || a->rate > QSOCKET_RATE_MAX || !zeroed(&a->attr, sizeof(a->attr))))
		result = -EINVAL;
	else if (stream != QS_NONE && a->rate)
		result = -EINVAL;
	else
		result = link->host->change(link, stream, a);
	pthread_mutex_unlock(&link->lock);
	return result;
}

static int32_t call_qinfo(union args *args)
{
	struct qinfo_args *a = &args->qinfo;
	struct link *link;
	int32_t result;
	uint32_t stream;

	if (a->zero)
		return -EINVAL;
	link = handle_lock(a->handle, &stream);
	if (!link)
		return -EBADF;
	memset(&a->info, 0, sizeof(a->info));
	result = link->host->info(link, stream, &a->info);
	pthread_mutex_unlock(&link->lock);
	return result;
}

/* Closes a link, its streams first. */
static void shut(struct link *link)
{
	while (link->open_len > 0)
		link->host->close(link, link->open[link->open_len - 1], 0);
	handle_close(link->handle);
	link->handle = 0;
	link->host->shut(link);
	pthread_mutex_unlock(&link->lock);
	link_free(link);
}

static int32_t call_qclose(union args *args)
{
	const struct qclose_args *a = &args->qclose;
	struct link *link;
	uint32_t stream;
	int32_t result = 0;

	if (a->flags & ~QCLOSE_DRAIN)
		return -EINVAL;
	table_lock();
	link = handle_lock(a->handle, &stream);
	if (!link) {
		result = -EBADF;
	} else if (stream != QS_NONE) {
		result = link->host->close(link, stream, a->flags);
		pthread_mutex_unlock(&link->lock);
	} else if (a->flags) {
		result = -EINVAL; /* only a stream drains */
		pthread_mutex_unlock(&link->lock);
	} else if (--link->references) {
		pthread_mutex_unlock(&link->lock);
	} else {
		shut(link);
	}
	table_unlock();
	return result;
}

/* Has a link run in parts, whose events pass through this thread's stack. The
 * events are the same as if it had run at once. */
static int32_t run(struct link *link, struct qrun_args *a, struct qsocket_event *events)
{
	union {
		struct qrun_args args;
		char bytes[sizeof(struct qrun_args) +
			   QRUN_PART_EVENTS * sizeof(struct qsocket_event)];
	} part;
	int32_t result;

	a->events_len = 0;
	do {
		uint32_t left = a->events_max - a->events_len;

		part.args = *a;
		part.args.events_max = left < QRUN_PART_EVENTS ? left : QRUN_PART_EVENTS;
		result = link->host->run(link, &part.args);
		if (result < 0)
			return result;
		memcpy(events + a->events_len, part.args.events,
		       (uint32_t)result * sizeof(*events));
		a->events_len += (uint32_t)result;
	} while ((uint32_t)result == part.args.events_max && a->events_len < a->events_max);
	a->now_ns = part.args.now_ns;
	return (int32_t)a->events_len;
}

static int32_t call_qrun(struct qrun_args *args, uint32_t args_len)
{
	struct qrun_args a;
	struct link *link;
	int32_t result;

	copy_in(&a, args, sizeof(a));
	if (a.events_max == 0 || a.events_max > QSOCKET_EVENTS_MAX)
		return -ERANGE;
	if (args_len != sizeof(a) + a.events_max * sizeof(a.events[0]) || a.zero)
		return -EINVAL;
	link = lock_link(a.link);
	if (!link)
		return -EBADF;
	result = run(link, &a, args->events);
	pthread_mutex_unlock(&link->lock);
	if (result >= 0) {
		args->now_ns = a.now_ns;
		args->events_len = a.events_len;
	}
	return result;
}

static int32_t call_qlist(struct qlist_args *args, uint32_t args_len)
{
	struct qlist_args a;
	int32_t result;

	copy_in(&a, args, sizeof(a));
	if (a.streams_max == 0 || a.streams_max > QSOCKET_LIST_MAX ||
	    a.stream_bytes > QSOCKET_LIST_STREAM_BYTES_MAX)
		return -ERANGE;
	if (args_len != sizeof(a) + a.streams_max * a.stream_bytes || a.stream_bytes == 0 ||
	    a.stream_bytes % 8 || a.scope || a.zero)
		return -EINVAL;
	result = link_list(&a, args->streams);
	if (result >= 0)
		*args = a;
	return result;
}

int32_t qsocketcall(uint32_t call, void *args, uint32_t args_len)
{
	static const struct {
		int32_t (*call)(union args *args);
		uint32_t args_len;
	} calls[] = {
		[QSOCKINIT] = {call_qsockinit, sizeof(struct qsockinit_args)},
		[QSOCKET] = {call_qsocket, sizeof(struct qsocket_args)},
		[QATTACH] = {call_qattach, sizeof(struct qattach_args)},
		[QCHANGE] = {call_qchange, sizeof(struct qchange_args)},
		[QINFO] = {call_qinfo, sizeof(struct qinfo_args)},
		[QSEND] = {call_qsend, sizeof(struct qsend_args)},
		[QSENDTO] = {call_qsendto, sizeof(struct qsend_args)},
		[QCLOSE] = {call_qclose, sizeof(struct qclose_args)},
	};
	union args copy;
	int32_t result;

	if (call < QSOCKINIT || call > QLIST)
		return -ENOSYS;
	if (!args)
		return -EFAULT;
	if (call == QRUN)
		return args_len < sizeof(struct qrun_args) ? -EINVAL : call_qrun(args, args_len);
	if (call == QLIST)
		return args_len < sizeof(struct qlist_args) ? -EINVAL : call_qlist(args, args_len);
	if (args_len != calls[call].args_len)
		return -EINVAL;
	copy_in(&copy, args, args_len);
	result = calls[call].call(&copy);
	copy_out(call, args, &copy, result);
	return result;
}
