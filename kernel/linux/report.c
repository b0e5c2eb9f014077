// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is told of streams and links: the scheduler's own counters. Of a link's
 * frames, and of its violated windows, those of all its streams are added up,
 * one after the other: its counters of packets may be a little younger.
 */
#include <linux/net.h>
#include <linux/nsproxy.h>

#include "manager.h"

static void report(struct qsocket_root *root, u32 stream, struct qsocket_info *info)
{
	qsocket_root_lock(root);
	root->scheduler->report(root, stream, info);
	qsocket_root_unlock(root);
}

static void describe(const struct qsocket_root *root, u32 kind, struct qsocket_info *info)
{
	info->kind = kind;
	info->host = QSOCKET_BELOW;
#ifdef MODULE
	info->gate = QSOCKET_GATE_MODULE;
#else
	info->gate = QSOCKET_GATE_SYSCALL;
#endif
	info->rate = root->options.rate;
	strscpy_pad(info->scheduler, root->scheduler->name, sizeof(info->scheduler));
}

/* On the heap: a caller's own struct is filled, and one beside it is too large
 * for a stack. */
static int report_link(u32 link, struct qsocket_info *info)
{
	struct qsocket_root *root =
		qsocket_root_of(current->nsproxy->net_ns, link & ~QSOCKET_LINK_HANDLE);
	struct qsocket_member *member;
	struct qsocket_info *sum;

	if (!root)
		return -ENOLINK;
	qsocket_reap_root(root);
	sum = kmemdup(&root->past, sizeof(*sum), GFP_KERNEL);
	if (!sum)
		return -ENOMEM;
	for (member = qsocket_member_after(root, 0); member;
	     member = qsocket_member_after(root, member->cookie))
		report(root, member->stream, sum);
	report(root, QS_NONE, info);
	memcpy(info->frames_offered, sum->frames_offered, sizeof(sum->frames_offered));
	memcpy(info->frames_sent, sum->frames_sent, sizeof(sum->frames_sent));
	memcpy(info->frames_late, sum->frames_late, sizeof(sum->frames_late));
	memcpy(info->frames_dropped, sum->frames_dropped, sizeof(sum->frames_dropped));
	info->frames_partial = sum->frames_partial;
	info->violations = sum->violations;
	info->streams = root->members_len;
	describe(root, QSOCKET_LINK, info);
	kfree(sum);
	return 0;
}

void qsocket_report_member(const struct qsocket_member *member, struct qsocket_info *info)
{
	report(member->root, member->stream, info);
	describe(member->root, QSOCKET_STREAM, info);
	if (member->draining)
		info->state |= QSOCKET_STATE_CLOSING;
}

static int report_stream(int fd, struct qsocket_info *info)
{
	struct qsocket_member *member;
	struct socket *sock;
	int error;

	sock = sockfd_lookup(fd, &error);
	if (!sock)
		return error;
	member = qsocket_member_of(sock->sk);
	if (member)
		qsocket_report_member(member, info);
	sockfd_put(sock);
	return member ? 0 : -ENOLINK;
}

long qsocket_report(struct qinfo_args *args)
{
	int error;

	if (args->zero)
		return -EINVAL;
	memset(&args->info, 0, sizeof(args->info));
	mutex_lock(&qsocket_lock);
	if (args->handle & QSOCKET_LINK_HANDLE)
		error = report_link(args->handle, &args->info);
	else
		error = report_stream(args->handle, &args->info);
	mutex_unlock(&qsocket_lock);
	return error;
}
