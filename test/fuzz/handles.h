/* SPDX-License-Identifier: MIT
 *
 * What a caller of the multiplexer can know, kept beside it: which handles are
 * open, what was accepted on each, what a virtual link has said of it. The
 * arguments of a call are judged here a second time, from what qsocket.h says,
 * as bytes: however they came about.
 */
#ifndef HANDLES_H
#define HANDLES_H

#include <errno.h>

#include "qsocket.h"
#include "records.h"

#define OBJECTS_MAX 6000
#define PENDING_MAX 12000
#define BUCKETS 1024
#define CLOCK_NS_MAX (1ull << 62)

/* late: a droppable stream may have late messages, and partial frames. */
static const struct scheduler {
	const char *name;
	uint8_t late;
} schedulers[] = {{"dwcs", 0},	 {"edf", 0}, {"edf-lossless", 1}, {"fifo", 1},
		  {"dwcs99", 0}, {"vds", 0}, {"sfq", 0},	  {"cbq", 0}};

enum verdict { FAILS, EITHER, PASSES };

/* A link or a stream; closed ones stay, as handles of the past. */
struct object {
	uint32_t handle, link; /* link: among objects, itself for one */
	uint32_t next;	       /* in its bucket, plus 1 */
	uint8_t kind;	       /* enum qsocket_kind */
	uint8_t open, closing, is_virtual, lossy, undisturbed;
	uint32_t references, streams; /* of a link */
	uint64_t clock_ns;	      /* of a virtual link, at least */
	uint64_t offered, ended, serial_out;
	uint64_t sent, late, dropped[QSOCKET_REASONS]; /* as events said */
};

/* A message that a virtual link owes an event for. */
struct pending {
	uint32_t object, message, bytes;
	uint8_t over;
};

static struct object objects[OBJECTS_MAX];
static uint32_t objects_len;
static uint32_t buckets[BUCKETS]; /* of open ones by handle: among objects, plus 1 */
static struct pending pending[PENDING_MAX];
static uint32_t pending_len, pending_first;

static inline struct object *object_of(uint32_t handle)
{
	uint32_t at = buckets[handle % BUCKETS];

	while (at && !(objects[at - 1].open && objects[at - 1].handle == handle))
		at = objects[at - 1].next;
	return at ? &objects[at - 1] : NULL;
}

static inline struct object *kind_of(uint32_t handle, uint8_t kind)
{
	struct object *o = object_of(handle);

	return o && o->kind == kind ? o : NULL;
}

static inline struct object *link_of(const struct object *o)
{
	return &objects[o->link];
}

/* What the arguments deserve. */

static inline int all_zero(const void *memory, size_t bytes)
{
	const char *byte = memory;

	while (bytes > 0 && !byte[bytes - 1])
		bytes--;
	return bytes == 0;
}

static inline int is_name(const char *name)
{
	size_t len = strnlen(name, QSOCKET_NAME_BYTES);

	return len < QSOCKET_NAME_BYTES && all_zero(name + len, QSOCKET_NAME_BYTES - len);
}

static inline const struct scheduler *scheduler_of(const char *name)
{
	for (size_t i = 0; i < LEN(schedulers); i++)
		if (!strncmp(schedulers[i].name, name, QSOCKET_NAME_BYTES))
			return &schedulers[i];
	return NULL;
}

static inline int bad_attr(const struct qsocket_attr *a)
{
	return a->flags & ~(QSOCKET_UNDROPPABLE | QSOCKET_ADMIT) || a->zero || a->oln > a->old ||
	       a->ipg_ns > QSOCKET_IPG_NS_MAX || a->old > QSOCKET_WINDOW_MAX ||
	       a->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	       a->unit_bytes > QSOCKET_UNIT_BYTES_MAX || a->weight > QSOCKET_WEIGHT_MAX;
}

static inline int bad_addr(const struct qsocket_addr *a, int must_port)
{
	if (!a->family)
		return !all_zero(a, sizeof(*a));
	if (a->family != 2 && a->family != 10)
		return 1;
	if (a->family == 2 && (a->scope || !all_zero(a->bytes + 4, 12)))
		return 1;
	return must_port && !a->port;
}

static inline int bad_ends(uint32_t type, const struct qsocket_addr *local,
			   const struct qsocket_addr *peer)
{
	return (type != QSOCKET_UDP && type != QSOCKET_TCP) || bad_addr(local, 0) ||
	       bad_addr(peer, 1) ||
	       (local->family && peer->family && local->family != peer->family);
}

static inline enum verdict judge_init(const struct qsockinit_args *a)
{
	int is_default = *a->device && !*a->scheduler;

	if (!is_name(a->device) || !is_name(a->scheduler) ||
	    (!is_default && !scheduler_of(a->scheduler)) || a->gid || a->mode || a->zero ||
	    a->host == QSOCKET_VIRTUAL || a->host > QSOCKET_ISOLATED || !a->rate ||
	    a->rate > QSOCKET_RATE_MAX || a->flags & ~QSOCKINIT_VIRTUAL ||
	    a->streams > QSOCKET_STREAMS_MAX || a->queue_messages > QSOCKET_QUEUE_MESSAGES_MAX ||
	    a->classes_len > QSOCKET_CLASSES_MAX ||
	    !all_zero(a->classes + a->classes_len,
		      (QSOCKET_CLASSES_MAX - a->classes_len) * sizeof(a->classes[0])))
		return FAILS;
	if (*a->device || !(a->flags & QSOCKINIT_VIRTUAL))
		return *a->device && a->flags ? FAILS : EITHER;
	return a->classes_len || strcmp(a->scheduler, "dwcs") ? EITHER : PASSES;
}

static inline enum verdict judge_socket(const struct qsocket_args *a)
{
	const struct object *link = kind_of(a->link, QSOCKET_LINK);

	if (!link || bad_attr(&a->attr) || bad_ends(a->type, &a->local, &a->peer))
		return FAILS;
	if (!link->is_virtual)
		return EITHER;
	if (a->local.family || a->peer.family)
		return FAILS;
	return a->attr.class_id || a->attr.flags & QSOCKET_ADMIT ? EITHER : PASSES;
}

static inline enum verdict judge_attach(const struct qattach_args *a)
{
	const struct object *link = kind_of(a->link, QSOCKET_LINK);

	return !link || link->is_virtual || bad_attr(&a->attr) || a->fd < -1 || a->zero ||
			       bad_ends(a->type, &a->local, &a->peer)
		       ? FAILS
		       : EITHER;
}

static inline enum verdict judge_change(const struct qchange_args *a)
{
	const struct object *o = object_of(a->handle);

	if (!o || a->zero || bad_attr(&a->attr))
		return FAILS;
	if (o->kind == QSOCKET_STREAM) {
		if (a->rate)
			return FAILS;
		return a->attr.class_id || a->attr.flags & QSOCKET_ADMIT ? EITHER : PASSES;
	}
	return a->rate && a->rate <= QSOCKET_RATE_MAX && all_zero(&a->attr, sizeof(a->attr))
		       ? PASSES
		       : FAILS;
}

static inline enum verdict judge_send(const struct qsend_args *a, int to)
{
	const struct object *o = kind_of(a->handle, QSOCKET_STREAM);
	uint32_t segment = a->flags >> QSOCKET_SEGMENT_SHIFT;

	if (!o || o->closing || a->zero || a->flags & QSOCKET_FLAGS_RESERVED ||
	    a->data_len > QSOCKET_MESSAGE_BYTES_MAX || segment > QSOCKET_MESSAGE_BYTES_MAX ||
	    (segment && a->data_len > segment * QSOCKET_SEGMENTS_MAX) ||
	    (a->flags & (QSOCKET_START | QSOCKET_END) && !(a->flags & QSOCKET_FRAME)) ||
	    (a->deadline_us && !(a->flags & QSOCKET_DEADLINE)))
		return FAILS;
	if (to ? !a->to.family || bad_addr(&a->to, 1) : !all_zero(&a->to, sizeof(a->to)))
		return FAILS;
	if (!link_of(o)->is_virtual)
		return a->at_ns || a->message || (!a->data && a->data_len) ? FAILS : EITHER;
	if (a->data || to || a->at_ns < link_of(o)->clock_ns || a->at_ns > CLOCK_NS_MAX)
		return FAILS;
	return EITHER;
}

static inline enum verdict judge_run(const struct qrun_args *a, uint32_t args_len)
{
	const struct object *link = kind_of(a->link, QSOCKET_LINK);

	if (!a->events_max || a->events_max > QSOCKET_EVENTS_MAX || a->zero ||
	    args_len != sizeof(*a) + a->events_max * sizeof(a->events[0]) || !link ||
	    !link->is_virtual || a->until_ns < link->clock_ns || a->until_ns > CLOCK_NS_MAX)
		return FAILS;
	return EITHER;
}

static inline enum verdict judge_list(const struct qlist_args *a, uint32_t args_len)
{
	if (!a->streams_max || a->streams_max > QSOCKET_LIST_MAX || !a->stream_bytes ||
	    a->stream_bytes > QSOCKET_LIST_STREAM_BYTES_MAX || a->stream_bytes % 8 || a->scope ||
	    a->zero || args_len != sizeof(*a) + a->streams_max * a->stream_bytes)
		return FAILS;
	return kind_of(a->link, QSOCKET_LINK) ? PASSES : FAILS;
}

static inline enum verdict judge_close(const struct qclose_args *a)
{
	const struct object *o = object_of(a->handle);

	return !o || a->flags & ~QCLOSE_DRAIN || (o->kind == QSOCKET_LINK && a->flags) ? FAILS
										       : PASSES;
}

static inline enum verdict judge(uint32_t call, const void *args, uint32_t args_len)
{
	static const uint32_t lens[] = {
		[QSOCKINIT] = sizeof(struct qsockinit_args),
		[QSOCKET] = sizeof(struct qsocket_args),
		[QATTACH] = sizeof(struct qattach_args),
		[QCHANGE] = sizeof(struct qchange_args),
		[QINFO] = sizeof(struct qinfo_args),
		[QSEND] = sizeof(struct qsend_args),
		[QSENDTO] = sizeof(struct qsend_args),
		[QCLOSE] = sizeof(struct qclose_args),
	};
	const struct qinfo_args *info = args;

	if (!call || call > QLIST || !args)
		return FAILS;
	if (call == QRUN)
		return args_len < sizeof(struct qrun_args) ? FAILS : judge_run(args, args_len);
	if (call == QLIST)
		return args_len < sizeof(struct qlist_args) ? FAILS : judge_list(args, args_len);
	if (args_len != lens[call])
		return FAILS;
	switch (call) {
	case QSOCKINIT:
		return judge_init(args);
	case QSOCKET:
		return judge_socket(args);
	case QATTACH:
		return judge_attach(args);
	case QCHANGE:
		return judge_change(args);
	case QINFO:
		return object_of(info->handle) && !info->zero ? PASSES : FAILS;
	case QCLOSE:
		return judge_close(args);
	default:
		return judge_send(args, call == QSENDTO);
	}
}

/* What a call may fail with. */
static inline int is_known(uint32_t call, int error)
{
	static const int known[QLIST + 1][24] = {
		[0] = {ENOSYS, EFAULT},
		[QSOCKINIT] = {EINVAL, ERANGE, EPROTONOSUPPORT, EBUSY, EEXIST, ENODEV, EMFILE},
		[QSOCKET] = {EINVAL, ERANGE, EBADF, EAFNOSUPPORT, ENOSPC, EMFILE, EBUSY,
			     EDESTADDRREQ, ENETUNREACH, ECONNREFUSED, EADDRNOTAVAIL},
		[QATTACH] = {EINVAL, ERANGE, EBADF, EAFNOSUPPORT, ENOSPC, EMFILE, EBUSY, EOPNOTSUPP,
			     ENOTSOCK, ENOENT, ENOTUNIQ, ENOTCONN, EDESTADDRREQ},
		[QCHANGE] = {EINVAL, ERANGE, EBADF, EBUSY},
		[QINFO] = {EINVAL, EBADF},
		[QSEND] = {EINVAL, EBADF, EFAULT, EPIPE, EDESTADDRREQ, EMSGSIZE, EAGAIN, ENOBUFS,
			   ETIME, EPROTO, EAFNOSUPPORT, EISCONN},
		[QSENDTO] = {EINVAL, EBADF, EFAULT, EPIPE, EDESTADDRREQ, EMSGSIZE, EAGAIN, ENOBUFS,
			     ETIME, EPROTO, EAFNOSUPPORT, EISCONN},
		[QCLOSE] = {EINVAL, EBADF},
		[QRUN] = {EINVAL, ERANGE, EBADF, EOPNOTSUPP},
		[QLIST] = {EINVAL, ERANGE, EBADF},
	};
	const int *of = known[call <= QLIST ? call : 0];

	for (int i = 0; i < 24 && of[i]; i++)
		if (of[i] == error)
			return 1;
	return error == EFAULT || (error == ENOSYS && (call == 0 || call > QLIST));
}

#endif
