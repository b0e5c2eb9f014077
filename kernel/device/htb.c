/* SPDX-License-Identifier: MIT
 *
 * A hierarchical token bucket as the device's root, so that nothing else on
 * the machine can take the link from the managed sockets:
 *
 *	5153:1		all of the rate
 *	5153:10		marked packets: all but best effort's share is guaranteed,
 *			and they are served first
 *	5153:20		the rest: 1/QSOCKET_BEST_EFFORT_SHARE is guaranteed
 *
 * Each may use what the other leaves. Marked is what carries DEVICE_TOS; the
 * engines set it on the sockets that they manage. Any program may do that: this
 * keeps accidents away, not malice. What finds the neighbours (ARP, and the
 * messages of RFC 4861) is served with the marked, as without it nothing is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>

#include "../engine/engine.h"
#include "htb.h"

#define CLASS_ALL (DEVICE_HANDLE | 0x1u)
#define CLASS_MANAGED (DEVICE_HANDLE | 0x10u)
#define CLASS_REST (DEVICE_HANDLE | 0x20u)

#define HTB_VERSION 3
#define HTB_RATE2QUANTUM 10
#define HTB_TICK_NS 64		 /* the kernel's PSCHED_SHIFT */
#define BURST_NS 2000000ull	 /* of a class's rate sent at once, */
#define BURST_PACKETS 2		 /* but so many packets at the least */
#define QUANTUM_BYTES_MAX 60000u /* of a turn between classes */
#define IPV6_HEADER_BYTES 40
#define KEYS_MAX 2	   /* of a filter */
#define REST_PACKETS 1000u /* queued of the rest, as in a device's own queue */

/* Queued of the managed: the engines decide what goes next, and keep this queue
 * nearly empty. Two of them find room to make good a late wake-up at once, and
 * then the largest message in one datagram, which leaves whole. */
#define MANAGED_QUEUE_NS (2 * QS_PACE_CATCH_UP_NS)
#define MANAGED_QUEUE_BYTES (QSOCKET_PACKET_BYTES_MAX + 2 * ETH_DATA_LEN)

static uint32_t header_bytes(const struct device *d)
{
	return d->type == ARPHRD_ETHER || d->type == ARPHRD_LOOPBACK ? ETH_HLEN : 0;
}

/* Packets are counted without their link header, as the engine counts them. */
static int32_t add_root(int fd, const struct device *d)
{
	struct tcmsg tc = {.tcm_ifindex = (int)d->ifindex,
			   .tcm_parent = TC_H_ROOT,
			   .tcm_handle = DEVICE_HANDLE};
	struct tc_htb_glob glob = {.version = HTB_VERSION,
				   .rate2quantum = HTB_RATE2QUANTUM,
				   .defcls = TC_H_MIN(CLASS_REST)};
	struct tc_sizespec size = {.overhead = -(int)header_bytes(d),
				   .linklayer = TC_LINKLAYER_ETHERNET};
	struct request r;
	uint32_t nest;

	request_start(&r, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &tc);
	request_put_name(&r, TCA_KIND, HTB_KIND);
	nest = request_nest(&r, TCA_OPTIONS);
	request_put(&r, TCA_HTB_INIT, &glob, sizeof(glob));
	request_nest_end(&r, nest);
	if (size.overhead) {
		nest = request_nest(&r, TCA_STAB | NLA_F_NESTED);
		request_put(&r, TCA_STAB_BASE, &size, sizeof(size));
		request_nest_end(&r, nest);
	}
	return netlink_do(fd, &r);
}

static uint32_t narrow(uint64_t value)
{
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static uint32_t burst_ticks(uint64_t rate, uint32_t mtu)
{
	uint64_t packets_ns = (uint64_t)mtu * BURST_PACKETS * 1000000000u / rate;
	uint64_t ns = packets_ns > BURST_NS ? packets_ns : BURST_NS;

	return narrow(ns / HTB_TICK_NS);
}

/* A class; `flags` say whether it is new, as of netlink(7). */
static int32_t set_class(int fd, const struct device *d, uint32_t parent, uint32_t class_id,
			 uint64_t rate, uint64_t ceil, uint32_t priority, uint16_t flags)
{
	struct tcmsg tc = {
		.tcm_ifindex = (int)d->ifindex, .tcm_parent = parent, .tcm_handle = class_id};
	struct tc_htb_opt opt = {.rate.rate = narrow(rate),
				 .rate.linklayer = TC_LINKLAYER_ETHERNET,
				 .ceil.rate = narrow(ceil),
				 .ceil.linklayer = TC_LINKLAYER_ETHERNET,
				 .buffer = burst_ticks(rate, d->mtu),
				 .cbuffer = burst_ticks(ceil, d->mtu),
				 .prio = priority};
	struct request r;
	uint32_t nest;

	opt.quantum = narrow(rate / 100);
	if (opt.quantum > QUANTUM_BYTES_MAX)
		opt.quantum = QUANTUM_BYTES_MAX;
	if (opt.quantum < d->mtu)
		opt.quantum = d->mtu;
	request_start(&r, RTM_NEWTCLASS, flags, &tc);
	request_put_name(&r, TCA_KIND, HTB_KIND);
	nest = request_nest(&r, TCA_OPTIONS);
	request_put(&r, TCA_HTB_PARMS, &opt, sizeof(opt));
	if (rate >= UINT32_MAX)
		request_put(&r, TCA_HTB_RATE64, &rate, sizeof(rate));
	if (ceil >= UINT32_MAX)
		request_put(&r, TCA_HTB_CEIL64, &ceil, sizeof(ceil));
	request_nest_end(&r, nest);
	return netlink_do(fd, &r);
}

static uint32_t managed_queue_bytes(uint64_t managed_rate)
{
	unsigned __int128 bytes = (unsigned __int128)managed_rate * MANAGED_QUEUE_NS / 1000000000u;

	return narrow((uint64_t)bytes + MANAGED_QUEUE_BYTES);
}

/* A queue of its own: the default's length is the device's, which may be 0.
 * One that is made shorter keeps what it has. */
static int32_t set_leaf(int fd, const struct device *d, uint32_t class_id, const char *kind,
			uint32_t limit, uint16_t flags)
{
	struct tcmsg tc = {.tcm_ifindex = (int)d->ifindex,
			   .tcm_parent = class_id,
			   .tcm_handle = TC_H_MAKE(DEVICE_HANDLE + (TC_H_MIN(class_id) << 16), 0)};
	struct tc_fifo_qopt opt = {.limit = limit};
	struct request r;

	request_start(&r, RTM_NEWQDISC, flags | NLM_F_REPLACE, &tc);
	request_put_name(&r, TCA_KIND, kind);
	request_put(&r, TCA_OPTIONS, &opt, sizeof(opt));
	return netlink_do(fd, &r);
}

/* 32 bits at an offset from the packet's start, in host order. */
struct key {
	int offset;
	uint32_t value, mask;
};

/* Packets of an Ethernet type that match all of the keys go to the managed class. */
static int32_t add_filter(int fd, const struct device *d, uint32_t priority, uint16_t type,
			  const struct key keys[], uint8_t keys_len)
{
	struct tcmsg tc = {.tcm_ifindex = (int)d->ifindex,
			   .tcm_parent = DEVICE_HANDLE,
			   .tcm_info = TC_H_MAKE(priority << 16, htons(type))};
	union {
		struct tc_u32_sel sel;
		uint8_t bytes[sizeof(struct tc_u32_sel) + KEYS_MAX * sizeof(struct tc_u32_key)];
	} match = {.bytes = {0}};
	uint32_t class_id = CLASS_MANAGED, nest;
	struct request r;

	match.sel.flags = TC_U32_TERMINAL;
	match.sel.nkeys = keys_len;
	for (uint8_t i = 0; i < keys_len; i++) {
		struct tc_u32_key key = {.val = htonl(keys[i].value),
					 .mask = htonl(keys[i].mask),
					 .off = keys[i].offset};

		memcpy(match.bytes + sizeof(match.sel) + i * sizeof(key), &key, sizeof(key));
	}
	request_start(&r, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tc);
	request_put_name(&r, TCA_KIND, "u32");
	nest = request_nest(&r, TCA_OPTIONS);
	request_put(&r, TCA_U32_CLASSID, &class_id, sizeof(class_id));
	request_put(&r, TCA_U32_SEL, &match,
		    sizeof(match.sel) + keys_len * sizeof(struct tc_u32_key));
	request_nest_end(&r, nest);
	return netlink_do(fd, &r);
}

static int32_t add_filters(int fd, const struct device *d)
{
	/* the type of service is the second byte of an IPv4 header (RFC 791),
	 * the traffic class is across the first two of IPv6's (RFC 8200) */
	const struct key ipv4 = {0, (uint32_t)DEVICE_TOS << 16, DEVICE_TOS_MASK << 16};
	const struct key ipv6 = {0, (uint32_t)DEVICE_TOS << 20, DEVICE_TOS_MASK << 20};
	const struct key any = {0, 0, 0};
	/* RFC 4861, section 4: next header and hop limit are bytes 6 and 7, the
	 * message's type is the first behind the header, 133 to 137 */
	const struct key near = {4, IPPROTO_ICMPV6 << 8 | 255, 0xffff};
	const struct key types[] = {
		{IPV6_HEADER_BYTES, 133u << 24, 0xffu << 24},
		{IPV6_HEADER_BYTES, 134u << 24, 0xfeu << 24}, /* and 135 */
		{IPV6_HEADER_BYTES, 136u << 24, 0xfeu << 24}, /* and 137 */
	};
	uint32_t priority = 0;
	int32_t error;

	error = add_filter(fd, d, ++priority, ETH_P_IP, &ipv4, 1);
	if (!error)
		error = add_filter(fd, d, ++priority, ETH_P_IPV6, &ipv6, 1);
	if (!error)
		error = add_filter(fd, d, ++priority, ETH_P_ARP, &any, 1);
	for (unsigned i = 0; !error && i < sizeof(types) / sizeof(types[0]); i++)
		error = add_filter(fd, d, ++priority, ETH_P_IPV6,
				   (const struct key[]){near, types[i]}, 2);
	return error;
}

uint64_t htb_managed_rate(uint64_t rate)
{
	uint64_t managed = rate - rate / QSOCKET_BEST_EFFORT_SHARE;

	return managed ? managed : 1;
}

/* Classes and their queues: new (NLM_F_CREATE), or as they are from now on (0). */
static int32_t set_rate(int fd, const struct device *d, uint64_t rate, uint16_t create)
{
	uint64_t rest = rate / QSOCKET_BEST_EFFORT_SHARE, managed = htb_managed_rate(rate);
	uint16_t flags = create ? create | NLM_F_EXCL : 0;
	int32_t error;

	error = set_class(fd, d, DEVICE_HANDLE, CLASS_ALL, rate, rate, 0, flags);
	if (!error)
		error = set_class(fd, d, CLASS_ALL, CLASS_MANAGED, managed, rate, 0, flags);
	if (!error)
		error = set_class(fd, d, CLASS_ALL, CLASS_REST, rest ? rest : 1, rate, 1, flags);
	if (!error)
		error = set_leaf(fd, d, CLASS_MANAGED, "bfifo", managed_queue_bytes(managed),
				 create);
	return error ? error : set_leaf(fd, d, CLASS_REST, "pfifo", REST_PACKETS, create);
}

int32_t htb_change(int fd, const struct device *d, uint64_t rate)
{
	return set_rate(fd, d, rate, 0);
}

int32_t htb_install(int fd, const struct device *d, uint64_t rate)
{
	int32_t error = add_root(fd, d);

	if (!error)
		error = set_rate(fd, d, rate, NLM_F_CREATE);
	return error ? error : add_filters(fd, d);
}
