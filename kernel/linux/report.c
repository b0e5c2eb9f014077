// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is told of streams and links: the scheduler's own counters. Of a link's
 * frames, and of its violated windows, those of all its streams are added up,
 * one after the other: its counters of packets may be a little younger.
 */
#include <linux/net.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/tcp.h>

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

/* What is added up of a link's streams, some at a time: everybody's calls wait for
 * qsocket_lock. On the heap: a caller's own struct is filled, and one beside it is
 * too large for a stack. */
struct sum {
	bool reaped;
	u64 after;		/* the cookie of the last one */
	u64 left;		/* of the link, when that began */
	struct qsocket_info of; /* all these, and those that had gone before */
};

#define TRIES 4 /* to add them up without one that leaves, and would be missed */

static bool add_some(struct qsocket_root *root, struct sum *sum)
{
	struct qsocket_member *member;

	if (!sum->after) {
		sum->left = root->left;
		sum->of = root->past;
	}
	member = qsocket_member_after(root, sum->after);
	for (u32 i = 0; member && i < QSOCKET_AT_ONCE; i++) {
		report(root, member->stream, &sum->of);
		qsocket_report_calls(member, &sum->of);
		sum->after = member->cookie;
		member = qsocket_member_after(root, sum->after);
	}
	return member;
}

static void tell_link(struct qsocket_root *root, const struct qsocket_info *sum,
		      struct qsocket_info *info)
{
	report(root, QS_NONE, info);
	memcpy(info->frames_offered, sum->frames_offered, sizeof(sum->frames_offered));
	memcpy(info->frames_sent, sum->frames_sent, sizeof(sum->frames_sent));
	memcpy(info->frames_late, sum->frames_late, sizeof(sum->frames_late));
	memcpy(info->frames_dropped, sum->frames_dropped, sizeof(sum->frames_dropped));
	info->frames_partial = sum->frames_partial;
	info->violations = sum->violations;
	info->syscalls = sum->syscalls;
	info->socket_errors = sum->socket_errors;
	info->last_error = sum->last_error;
	info->streams = root->members_len;
	describe(root, QSOCKET_LINK, info);
}

/* The next ones: whether there are more to look at, or -ENOLINK. */
static int look_on(u32 link, struct sum *sum, u32 *tries, struct qsocket_info *info)
{
	struct qsocket_root *root =
		qsocket_root_of(current->nsproxy->net_ns, link & ~QSOCKET_LINK_HANDLE);

	if (!root)
		return -ENOLINK;
	if (!sum->reaped) {
		sum->reaped = !qsocket_reap_some(root, &sum->after, QSOCKET_AT_ONCE);
		if (sum->reaped)
			sum->after = 0;
		return 1;
	}
	if (add_some(root, sum))
		return 1;
	if (sum->left != root->left && --*tries) {
		sum->after = 0;
		return 1;
	}
	tell_link(root, &sum->of, info);
	return 0;
}

static int report_link(u32 link, struct qsocket_info *info)
{
	struct sum *sum = kzalloc(sizeof(*sum), GFP_KERNEL_ACCOUNT);
	u32 tries = TRIES;
	int more;

	if (!sum)
		return -ENOMEM;
	do {
		mutex_lock(&qsocket_lock);
		more = look_on(link, sum, &tries, info);
		mutex_unlock(&qsocket_lock);
		cond_resched();
	} while (more > 0);
	kfree(sum);
	return more;
}

void qsocket_report_calls(const struct qsocket_member *member, struct qsocket_info *info)
{
	int error = READ_ONCE(member->last_error);

	info->syscalls += atomic64_read(&member->sends);
	info->socket_errors += atomic64_read(&member->errors);
	if (error)
		info->last_error = error;
}

/* As SIOCOUTQ counts them. */
static u64 unsent_of(const struct sock *sk)
{
	const struct tcp_sock *tcp = tcp_sk(sk);

	if ((1 << inet_sk_state_load(sk)) & (TCPF_LISTEN | TCPF_SYN_SENT | TCPF_SYN_RECV))
		return 0;
	/* acknowledged between the two, it could be less than nothing */
	return max_t(s32, READ_ONCE(tcp->write_seq) - READ_ONCE(tcp->snd_una), 0);
}

/* What getsockopt(2) says of a socket, without its lock, which others may have for
 * long: numbers that are not of quite the same moment. */
static void report_socket(const struct sock *sk, bool udp, struct qsocket_info *info)
{
	const struct tcp_sock *tcp = tcp_sk(sk);

	info->sndbuf_bytes = READ_ONCE(sk->sk_sndbuf);
	info->unsent_bytes = udp ? sk_wmem_alloc_get(sk) : unsent_of(sk);
	if (udp)
		return;
	info->cwnd = READ_ONCE(tcp->snd_cwnd);
	info->rtt_us = READ_ONCE(tcp->srtt_us) >> 3;
	info->retransmits = READ_ONCE(tcp->total_retrans);
	info->peer_window_bytes = READ_ONCE(tcp->snd_wnd);
}

void qsocket_report_member(const struct qsocket_member *member, struct qsocket_info *info)
{
	report(member->root, member->stream, info);
	qsocket_report_calls(member, info);
	report_socket(member->sk, member->udp, info);
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
	mutex_lock(&qsocket_lock);
	member = qsocket_member_of(sock->sk);
	if (member)
		qsocket_report_member(member, info);
	mutex_unlock(&qsocket_lock);
	sockfd_put(sock);
	return member ? 0 : -ENOLINK;
}

long qsocket_report(struct qinfo_args *args)
{
	if (args->zero)
		return -EINVAL;
	memset(&args->info, 0, sizeof(args->info));
	return args->handle & QSOCKET_LINK_HANDLE ? report_link(args->handle, &args->info)
						  : report_stream(args->handle, &args->info);
}
