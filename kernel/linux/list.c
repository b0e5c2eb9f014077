// SPDX-License-Identifier: GPL-2.0-only
/*
 * QLIST: the streams of all programs on a device, and who registered them, in
 * order of their sockets' cookies. A caller's memory may be anything: it is
 * written when no lock is held any more.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "manager.h"

static struct qsocket_root *find(u32 link)
{
	return qsocket_root_of(current->nsproxy->net_ns, link & ~QSOCKET_LINK_HANDLE);
}

/* How many there may be to tell of, or -ENOLINK. */
static int count(u32 link)
{
	struct qsocket_root *root;
	int len;

	mutex_lock(&qsocket_lock);
	root = find(link);
	len = root ? (int)root->members_len : -ENOLINK;
	mutex_unlock(&qsocket_lock);
	return len;
}

/* As the caller's own namespaces call its process and its user: a process that
 * they do not know is 0. */
static void describe(const struct qsocket_member *member, struct qlist_stream *stream)
{
	stream->cookie = member->cookie;
	stream->pid = pid_vnr(member->pid);
	stream->uid = from_kuid_munged(current_user_ns(), member->uid);
	memcpy(stream->command, member->command, sizeof(stream->command));
	qsocket_report_member(member, &stream->info);
}

/* Those after `after` that there is room for: how many. */
static int read_some(struct qlist_args *args, struct qlist_stream *streams, u32 room)
{
	struct qsocket_member *member;
	struct qsocket_root *root;
	u32 len = 0;

	mutex_lock(&qsocket_lock);
	root = find(args->link);
	member = root ? qsocket_member_after(root, args->after) : NULL;
	for (; member && len < room; member = qsocket_member_after(root, args->after)) {
		describe(member, &streams[len++]);
		args->after = member->cookie;
	}
	mutex_unlock(&qsocket_lock);
	return root ? len : -ENOLINK;
}

/* Some at a time: everybody's calls wait for that lock. */
static int read(struct qlist_args *args, struct qlist_stream *streams, u32 room)
{
	int len = 0, more;

	do {
		more = read_some(args, streams + len, min(room - len, QSOCKET_AT_ONCE));
		len += max(more, 0);
	} while (more == QSOCKET_AT_ONCE && len < room);
	args->streams_len = len;
	args->scope = QLIST_ALL;
	return len ? len : more;
}

/* Cut off, or ending in zeros, as the caller knows it. */
static int put(void __user *to, u32 bytes, const struct qlist_stream *stream)
{
	u32 known = min_t(u32, bytes, sizeof(*stream));

	return copy_to_user(to, stream, known) || clear_user(to + known, bytes - known) ? -EFAULT
											: 0;
}

static int tell(struct qlist_args *args, void __user *to, u32 room)
{
	struct qlist_stream *streams = kvcalloc(room, sizeof(*streams), GFP_KERNEL_ACCOUNT);
	int len, error = 0;

	if (!streams)
		return -ENOMEM;
	len = read(args, streams, room);
	for (int i = 0; i < len && !error; i++)
		error = put(to + (size_t)i * args->stream_bytes, args->stream_bytes, &streams[i]);
	kvfree(streams);
	return error ? error : len;
}

long qsocket_list(void __user *user, u32 args_len)
{
	struct qlist_args args;
	int len;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!args.streams_max || args.streams_max > QSOCKET_LIST_MAX ||
	    args.stream_bytes > QSOCKET_LIST_STREAM_BYTES_MAX)
		return -ERANGE;
	if (args_len != sizeof(args) + args.streams_max * args.stream_bytes || !args.stream_bytes ||
	    args.stream_bytes % 8 || args.scope || args.zero)
		return -EINVAL;
	if (!(args.link & QSOCKET_LINK_HANDLE))
		return -EBADF;
	if (!ns_capable(current->nsproxy->net_ns->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	len = count(args.link);
	if (len >= 0)
		len = tell(&args, user + sizeof(args), min_t(u32, len, args.streams_max));
	if (len >= 0 && copy_to_user(user, &args, sizeof(args)))
		return -EFAULT;
	return len;
}
