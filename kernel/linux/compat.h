/* SPDX-License-Identifier: GPL-2.0-only
 *
 * What kernels from 6.1 on call differently. Whatever can be told by a macro of
 * the kernel's own is; the rest by its version.
 */
#ifndef QS_LINUX_COMPAT_H
#define QS_LINUX_COMPAT_H

#include <linux/module.h>
#include <net/pkt_sched.h>
#include <net/sch_generic.h>

#ifndef CONFIG_64BIT
#error "Q.Sockets divides 64-bit numbers: it needs a 64-bit kernel"
#endif

/* The name by which tc has a qdisc's module loaded: "sch_" before 6.9. */
#ifndef MODULE_ALIAS_NET_SCH
#define MODULE_ALIAS_NET_SCH(id) MODULE_ALIAS("sch_" id)
#endif

/* dequeue() may not free packets under the lock of their queue where that keeps
 * a list for them. */
#ifdef TCQ_F_DEQUEUE_DROPS
#define QS_QDISC_FLAGS TCQ_F_DEQUEUE_DROPS
static inline void qs_drop_at_dequeue(struct Qdisc *sch, struct sk_buff *skb)
{
	qdisc_dequeue_drop(sch, skb, QDISC_DROP_GENERIC);
}
#else
#define QS_QDISC_FLAGS 0
static inline void qs_drop_at_dequeue(struct Qdisc *sch, struct sk_buff *skb)
{
	kfree_skb(skb);
}
#endif

/* Readers without the lock are told of every change at once by newer kernels'
 * helpers; these do the same everywhere. */
static inline void qs_qlen_add(struct Qdisc *sch, int packets, int bytes)
{
	WRITE_ONCE(sch->q.qlen, sch->q.qlen + packets);
	WRITE_ONCE(sch->qstats.backlog, sch->qstats.backlog + bytes);
}

static inline void qs_drops_add(struct Qdisc *sch, int packets)
{
	WRITE_ONCE(sch->qstats.drops, sch->qstats.drops + packets);
}

#endif
