/* SPDX-License-Identifier: GPL-2.0-only
 *
 * What of the kernel these programs see: the fields they touch, found at load
 * time wherever the running kernel has them (CO-RE), and the functions that
 * a qdisc may call (net/sched/bpf_qdisc.c).
 */
#ifndef QS_KERNEL_BPF_H
#define QS_KERNEL_BPF_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

/* younger than some systems' <linux/bpf.h> */
#define BPF_MAP_TYPE_ARENA 33

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	u32 val;
} kgid_t;

struct sock_common {
	atomic64_t skc_cookie;
	u16 skc_family;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_type;
	u16 sk_protocol;
};

struct group_info {
	int ngroups;
	kgid_t gid[];
};

struct cred {
	kgid_t egid;
	struct group_info *group_info;
};

struct task_struct {
	const struct cred *cred;
};

struct sk_buff {
	struct sock *sk;
	s64 tstamp;
	u16 protocol; /* big endian */
	u32 len;
	char cb[48];
};

struct qdisc_skb_cb {
	u32 pkt_len;
};

struct qdisc_skb_head {
	u32 qlen;
};

struct gnet_stats_queue {
	u32 backlog;
	u32 drops;
};

struct net {
	u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct netdev_queue {
	struct net_device *dev;
};

struct Qdisc {
	u32 limit;
	u32 handle;
	struct netdev_queue *dev_queue;
	struct qdisc_skb_head q;
	struct gnet_stats_queue qstats;
};

struct nlattr;
struct netlink_ext_ack;

struct bpf_sk_buff_ptr {
	struct sk_buff *skb;
};

#pragma clang attribute pop

/* The kernel's own, found by its name; members it has beside these stay zero. */
struct Qdisc_ops {
	char id[16];
	int (*enqueue)(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free);
	struct sk_buff *(*dequeue)(struct Qdisc *sch);
	struct sk_buff *(*peek)(struct Qdisc *sch);
	int (*init)(struct Qdisc *sch, struct nlattr *arg, struct netlink_ext_ack *extack);
	void (*reset)(struct Qdisc *sch);
	void (*destroy)(struct Qdisc *sch);
};

#define NET_XMIT_SUCCESS 0
#define NET_XMIT_DROP 1
#define NET_XMIT_CN 2

void bpf_kfree_skb(struct sk_buff *skb) __ksym;
void bpf_qdisc_skb_drop(struct sk_buff *skb, struct bpf_sk_buff_ptr *to_free) __ksym;
void bpf_qdisc_watchdog_schedule(struct Qdisc *sch, u64 expire_ns, u64 delta_ns) __ksym;
void bpf_qdisc_bstats_update(struct Qdisc *sch, const struct sk_buff *skb) __ksym;
u32 bpf_skb_get_hash(struct sk_buff *skb) __ksym;
void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

#ifndef __arg_nonnull
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#endif
#ifndef __kptr
#define __kptr __attribute__((btf_type_tag("kptr")))
#endif
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

/* libbpf before 1.5 has no name for a map's number of 64 bits. */
#ifndef __ulong
#define QS_UNIQUE_(n) qs_unique_##n
#define QS_UNIQUE(n) QS_UNIQUE_(n)
#define __ulong(name, value) enum { QS_UNIQUE(__COUNTER__) = value } name
#endif

/* A loop's leave to go round once more: the verifier sees that there are so
 * many and no more (BPF_JCOND, may_goto). */
#define may_go_on()                                                                                \
	({                                                                                         \
		__label__ l_stop, l_go;                                                            \
		_Bool go = 1;                                                                      \
		asm volatile goto("may_goto %l[l_stop]" : : : : l_stop);                           \
		goto l_go;                                                                         \
	l_stop:                                                                                    \
		go = 0;                                                                            \
	l_go:;                                                                                     \
		go;                                                                                \
	})

#endif
