/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The QSocket manager and what registers with it. A packet's walk: a socket is
 * made a stream (streams.c, members.c), sends (message.c), its packets are known
 * again at the device (classifier.c) and queued by the device's scheduler
 * (qdisc.c), which is a module of its own.
 *
 * Locks, in this order: rtnl; a socket's, for its time and whether it is a stream;
 * qsocket_lock, for schedulers, roots and who is registered; the lock of a root's
 * queue, for all that its scheduler knows, `stream` of members included;
 * root->calls. Packets need the queue's alone: they find members under RCU. A
 * qdisc that is destroyed is reset without that lock, as no packet can come any
 * more, but calls still can: they and host_reset() take root->calls as well. Who
 * has a socket's lock may have it for long: whoever has rtnl or qsocket_lock only
 * tries that.
 *
 * No module hooks into a socket: a socket that is gone is still held here, and is
 * found to be dead (members.c).
 */
#ifndef QS_LINUX_MANAGER_H
#define QS_LINUX_MANAGER_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rhashtable-types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/sch_generic.h>
#include <net/sock.h>

#include "../sched/sched.h"
#include "gate.h"

/* Limits. */
#define QSOCKET_ARGS_BYTES_MAX 4096u		      /* of a call's struct, however new */
#define QSOCKET_FLOW_MESSAGES 256u		      /* queued in one of them */
#define QSOCKET_ROOT_STREAMS (16384u + QSOCKET_FLOWS) /* where nobody says how many */
#define QSOCKET_USER_SHARE 4u	     /* 1/4 of them may be one user's, but the administrator's */
#define QSOCKET_ROOM_SHARE 2u	     /* of the room left, as much as is queued of one user's */
#define QSOCKET_REAP_MS 100	     /* between two looks for sockets that are gone */
#define QSOCKET_USER_PERIODS 500000u /* a second, of all of one user's streams */
#define QSOCKET_DECISIONS 100000u    /* a second: the most periods that one counts as */
#define QSOCKET_AT_ONCE 128u	     /* streams looked at, before others get qsocket_lock */
#define QSOCKET_DEAD_MAX 64u	     /* of their packets, before one that may leave */
#define QSOCKET_LIFETIME_NS 4294967295000ull /* the furthest deadline that QSEND can say */
#define QSOCKET_TIME_FLAG_BITS 10	     /* of SCM_TXTIME: flags of ../qsocket.h */
#define QSOCKET_TIME_FLAGS ((1u << QSOCKET_TIME_FLAG_BITS) - 1)
/* Of a datagram that says nothing: what qsend() says where it is not told. */
#define QSOCKET_USUAL (6u << QSOCKET_DROP_SHIFT | QSOCKET_LEVEL_NONE << QSOCKET_LEVEL_SHIFT)
#define QSOCKET_MODE_DEFAULT 0660u
#define QSOCKET_MODE_MAX 0777u

struct qsocket_root;

/* A scheduler, as its module registers it. But for `qdisc`, which makes it a
 * device's root, all is called with qsocket_root_lock(). */
struct qsocket_scheduler {
	struct list_head list;
	const char *name;
	struct Qdisc_ops *qdisc; /* its id is QSOCKET_KIND and the name */
	/* A stream's number, or -errno; of -EBUSY the admission is told, too. */
	int (*add)(struct qsocket_root *root, const struct qsocket_attr *attr,
		   struct qsocket_admission *admission);
	int (*change)(struct qsocket_root *root, u32 stream, const struct qsocket_attr *attr,
		      struct qsocket_admission *admission);
	/* Drops what is queued, and adds the stream's last counters. */
	void (*remove)(struct qsocket_root *root, u32 stream, struct qsocket_info *past);
	/* The frame that a stream has open is not continued. */
	void (*abandon)(struct qsocket_root *root, u32 stream);
	/* Adds the counters of a stream, or (QS_NONE) those of all of the device's
	 * traffic, and says what it is. */
	void (*report)(struct qsocket_root *root, u32 stream, struct qsocket_info *info);
};

/* A device with a scheduler as its root qdisc: what the manager knows of it.
 * It is the first part of the qdisc's own memory. */
struct qsocket_root {
	bool entered;		/* qsocket_lock: its device and its streams may be used */
	struct rb_root members; /* by their cookies; these under qsocket_lock */
	u32 members_len;
	u64 left;	     /* members that are no more */
	struct xarray users; /* by uid */
	struct Qdisc *sch;
	spinlock_t calls; /* see above */
	const struct qsocket_scheduler *scheduler;
	struct delayed_work reaper;
	struct qs_trace *trace;		/* trace.h; NULL: nothing is recorded; for good */
	struct qsocket_info past;	/* of streams that are gone; qsocket_lock */
	struct qsocket_options options; /* written under rtnl and qsocket_lock */
	kuid_t uid;
	kgid_t gid; /* invalid: no group */
};

/* Who has streams on a device. */
struct qsocket_user {
	u32 streams; /* qsocket_lock; at 0 it is freed, and nothing is queued of it */
	u32 queued;  /* messages; the queue's lock */
	u64 periods; /* a second, of its streams; qsocket_lock */
};

/* SO_TXTIME as a socket had it, and gets it back by QCLOSE. */
struct qsocket_time {
	bool on, deadline_mode, report_errors;
	u8 clockid;
};

union qsocket_sockaddr {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* What leads a message somewhere: addresses, of IPv4 as IPv6 writes them, and
 * what of the socket the routing tables are asked with. */
struct qsocket_way {
	struct in6_addr to, from;
	__be16 dport, sport;
	u32 scope, mark;
	int bound;
	u32 zero;
} __aligned(8);

/* The way of a member's last message. */
struct qsocket_route {
	spinlock_t lock; /* in processes alone */
	bool is_closed;
	u32 cookie;
	struct dst_entry *dst; /* held, by the member's device; or NULL */
	struct qsocket_way way;
};

/* A socket that is a stream. */
struct qsocket_member {
	struct rhash_head node; /* by sk */
	struct sock *sk;	/* held: no other can have its address */
	struct qsocket_root *root;
	struct rb_node by_cookie; /* of root->members */
	u64 cookie;		  /* the socket's, of which there is never another */
	u32 stream;		  /* QS_NONE once it is gone; the queue's lock */
	int ifindex;
	bool udp;
	bool draining; /* written with qsocket_lock; it takes no more messages */
	/* who registered it */
	kuid_t uid, payer; /* whose room it takes */
	struct pid *pid;   /* of the process, held */
	char command[QSOCKET_COMMAND_BYTES];
	struct qsocket_user *user;
	u32 periods; /* a second; of user->periods */
	struct qsocket_admission admission;
	struct qsocket_time before;
	struct qsocket_route route;
	struct rcu_head rcu;
};

extern struct mutex qsocket_lock;

/* manager.c */
long qsocket_call(u32 call, void __user *args, u32 args_len);
int qsocket_register(struct qsocket_scheduler *scheduler);
void qsocket_unregister(struct qsocket_scheduler *scheduler);
bool qsocket_has(const char *name);		 /* loads its module, where there is one */
bool qsocket_knows(const struct Qdisc_ops *ops); /* a scheduler's; with qsocket_lock */

/* check.c: what callers hand in */
int qsocket_check_init(const struct qsockinit_args *args);
int qsocket_check_attr(const struct qsocket_attr *attr);
int qsocket_check_message(const struct qsend_args *args);

/* root.c: devices. A qdisc enters itself once it is able to work, and leaves
 * before it is gone; it may leave without having entered. */
int qsocket_root_enter(struct qsocket_root *root, struct Qdisc *sch,
		       const struct qsocket_scheduler *scheduler,
		       const struct qsocket_options *options);
void qsocket_root_leave(struct qsocket_root *root);
int qsocket_root_set(struct qsocket_root *root, const struct qsocket_options *options);
/* With qsocket_lock: NULL, where the device has none. */
struct qsocket_root *qsocket_root_of(struct net *net, int ifindex);
bool qsocket_may_register(const struct qsocket_root *root);
long qsocket_init(struct qsockinit_args *args);
long qsocket_change_rate(int ifindex, u64 rate);

/* What its scheduler knows, against packets, calls and the qdisc's own end. */
static inline void qsocket_root_lock(struct qsocket_root *root)
{
	spin_lock_bh(qdisc_lock(root->sch));
	spin_lock(&root->calls);
}

static inline void qsocket_root_unlock(struct qsocket_root *root)
{
	spin_unlock(&root->calls);
	spin_unlock_bh(qdisc_lock(root->sch));
}

/* tc.c: as tc(8) does it: 0 or what the kernel's traffic control says */
int qsocket_tc_add(struct net *net, int ifindex, const char *scheduler,
		   const struct qsocket_options *options);
int qsocket_tc_change(struct net *net, int ifindex, const char *scheduler,
		      const struct qsocket_options *options);
int qsocket_tc_delete(struct net *net, int ifindex);

/* streams.c */
long qsocket_create(struct qsocket_args *args);
long qsocket_attach(struct qattach_args *args);
long qsocket_change(struct qchange_args *args);
long qsocket_close(const struct qclose_args *args);

/* members.c: the first two with the socket's lock and qsocket_lock */
int qsocket_enter(struct sock *sk, u32 link, const struct qsocket_attr *attr,
		  struct qsocket_admission *admission);
int qsocket_end(struct sock *sk, bool drains);
/* With qsocket_lock: those a second that a stream with such attributes has, or
 * -EDQUOT; and that it has them now. */
int qsocket_periods(const struct qsocket_member *member, const struct qsocket_attr *attr);
void qsocket_set_periods(struct qsocket_member *member, u32 periods);
/* With qsocket_lock; the last one: the first whose cookie is higher, or NULL. */
void qsocket_leave(struct qsocket_member *member);
struct qsocket_member *qsocket_member_after(const struct qsocket_root *root, u64 cookie);
/* Looks for gone ones among the next ones after a cookie: whether there are more. */
bool qsocket_reap_some(struct qsocket_root *root, u64 *after, u32 many);
void qsocket_reap(struct work_struct *work);
bool qsocket_drains(const struct sock *sk);

/* report.c */
long qsocket_report(struct qinfo_args *args);
/* With qsocket_lock; into zeros. */
void qsocket_report_member(const struct qsocket_member *member, struct qsocket_info *info);

/* list.c */
long qsocket_list(void __user *args, u32 args_len);

/* trace.c */
long qsocket_trace_tell(struct qtrace_args *args);

/* route.c: 0 where a message leaves by the member's device, else -errno; under
 * RCU. Without an address: to the peer. */
int qsocket_route_check(struct qsocket_member *member, const union qsocket_sockaddr *to);
void qsocket_route_close(struct qsocket_route *route);

/* message.c */
long qsocket_send(const struct qsend_args *args);

/* classifier.c: sockets that are streams. The first two with qsocket_lock. */
int qsocket_members_add(struct qsocket_member *member);
void qsocket_members_remove(struct qsocket_member *member);
/* Under RCU, or with qsocket_lock: NULL if it is none. */
struct qsocket_member *qsocket_member_of(const struct sock *sk);
/* With the lock of the root's queue: the stream of a packet, its message, and
 * the user it is to be counted to, or NULL. */
u32 qsocket_classify(struct qsocket_root *root, struct sk_buff *skb, u64 now_ns,
		     struct qs_arrival *arrival, struct qsocket_user **user);
int __init qsocket_members_init(void);
void qsocket_members_exit(void);

/* The gate: syscall.c, of which there is nothing to set up, or device.c */
#ifdef CONFIG_QSOCKETS
static inline int qsocket_device_init(void)
{
	return 0;
}

static inline void qsocket_device_exit(void)
{
}
#else
int __init qsocket_device_init(void);
void qsocket_device_exit(void);
#endif

#endif
