/* SPDX-License-Identifier: GPL-2.0-only
 *
 * What the programs of a device share: the scheduler's memory, the packets it
 * holds, and the sockets that are registered.
 *
 * Lock: whatever a qdisc does, it does under the lock of its device's queue,
 * and the scheduler is only written there. The gate (gate.bpf.h), which runs in
 * its caller's context, writes to `members` and `users`, and to what members
 * have booked, under the desk's lock; the rest it reads as it is.
 */
#ifndef QS_HOST_BPF_H
#define QS_HOST_BPF_H

#include "kernel.bpf.h"
#include "sched.bpf.h"
#include "gate.h"

/* Sizes are set when it is loaded (device/bpf.c). */
struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* pages */
	__ulong(map_extra, QS_BELOW_ADDRESS);
} memory SEC(".maps");

/* Said by every program: the verifier wants to see whose address that is. */
#define USE_MEMORY() asm volatile("" : : "r"(&memory))

/* By the scheduler's number of a message. */
struct slot {
	struct sk_buff __kptr *skb;
	u32 uid; /* whose it is; 0: nobody's who is limited */
	u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, struct slot);
	__uint(max_entries, 1);
} packets SEC(".maps");

/* Registered sockets, by their cookies: written by the gate, removed here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, u64);
	__type(value, struct qs_member);
	__uint(max_entries, 1);
} members SEC(".maps");

/* Cookies of members that have gone: each once. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, u64);
	__uint(max_entries, 1);
} leaving SEC(".maps");

/* For whoever books what members ask for. */
struct desk {
	struct bpf_spin_lock lock;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, struct desk);
	__uint(max_entries, 1);
} desks SEC(".maps");

/* What a user has. The gate counts members and their periods, the qdisc messages. */
struct user {
	u32 members;
	u32 queued;
	u32 periods; /* a second */
	u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, struct user);
	__uint(max_entries, 1);
} users SEC(".maps");

#endif
