/* SPDX-License-Identifier: MIT
 *
 * Requests to the kernel's traffic control, and what it says of a device.
 */
#ifndef QS_NETLINK_H
#define QS_NETLINK_H

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

#include "../qsocket.h"

#define REQUEST_BYTES 8192
#define ROOT_OPTIONS_BYTES 4096 /* of a qdisc that can be brought back */
#define ROOT_OPTIONS_TOO_LONG UINT32_MAX
#define DUMP_TRIES_MAX 8 /* where the qdiscs change while they are listed */

/* A request in the making. */
struct request {
	struct nlmsghdr header;
	struct tcmsg tc; /* or a shorter struct ifinfomsg, and more attributes */
	uint8_t attributes[REQUEST_BYTES];
	int too_long;
};

_Static_assert(offsetof(struct request, attributes) == NLMSG_SPACE(sizeof(struct tcmsg)),
	       "attributes follow struct tcmsg");

/* The root qdisc of a device. */
struct root {
	char kind[QSOCKET_NAME_BYTES];	/* "": none, the device is down */
	uint32_t handle;		/* 0: the kernel's default, that nobody configured */
	uint32_t children;		/* qdiscs below it */
	uint32_t configured;		/* of these; the others are the default, as those of mq */
	char child[QSOCKET_NAME_BYTES]; /* the kind of one of them */
	uint32_t has_size_table, has_estimator;
	uint32_t options_len; /* or ROOT_OPTIONS_TOO_LONG */
	uint8_t options[ROOT_OPTIONS_BYTES];
};

/* A socket, or -errno. */
int32_t netlink_open(void);
/* Asks for something to be done: 0 or -errno. */
int32_t netlink_do(int fd, struct request *r);
/* The same, where the answer says more: hands each message of it over. */
int32_t netlink_ask(int fd, struct request *r, void (*see)(const struct nlmsghdr *, void *),
		    void *seen);
/* -EAGAIN: the qdiscs, or filters, changed each time while they were listed. */
int32_t netlink_root(int fd, uint32_t ifindex, struct root *root);
int32_t netlink_filters(int fd, uint32_t ifindex, uint32_t parent, uint32_t *filters);
/* Makes a qdisc the root, in place of any other kind; takes the root away. */
int32_t netlink_attach(int fd, uint32_t ifindex, const char *kind, uint32_t handle,
		       const void *options, size_t options_len);
int32_t netlink_detach(int fd, uint32_t ifindex);

void request_start(struct request *r, uint16_t type, uint16_t flags, const struct tcmsg *tc);
void request_start_link(struct request *r, uint16_t type, const struct ifinfomsg *link);
void request_put(struct request *r, uint16_t type, const void *value, size_t bytes);
void request_put_name(struct request *r, uint16_t type, const char *name);
/* Attributes put between the two are part of this one. */
uint32_t request_nest(struct request *r, uint16_t type);
void request_nest_end(struct request *r, uint32_t start);

/* What is taken of the answers that come in. */
struct answer {
	uint32_t sequence; /* of the request */
	int interrupted;   /* NLM_F_DUMP_INTR: what is listed is of no one moment */
	void (*see)(const struct nlmsghdr *message, void *seen);
	void *seen;
};

/* Pure readers. What a datagram says to the end of the answer, 0 or -errno, or
 * 1 if that is still to come. The next message of an answer, NULL at its end or where it is
 * malformed; the value of an attribute, NULL if there is none; whether a
 * message is of the device's root qdisc, which is written then. */
int32_t answer_read(struct answer *a, const void *bytes, size_t len);
const struct nlmsghdr *message_next(const void *bytes, size_t len, size_t *at);
const void *attribute(const void *bytes, size_t len, uint16_t type, size_t *value_len);
int qdisc_read(const struct nlmsghdr *message, uint32_t ifindex, struct root *root);

#endif
