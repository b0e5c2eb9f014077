/* SPDX-License-Identifier: MIT
 *
 * What the hosts of the scheduler share: the link that each of them has, what
 * the multiplexer asks of a host, and the parts that several are made of. The
 * hosts are the engine (engine/: a thread above the protocol stack), the
 * virtual link (engine/virtual.c: a test's clock and no socket at all) and the
 * one below the stack (below/: the device's own queue, in the kernel).
 *
 * Locks: table_lock() first, then one link's lock. Opening and closing hold
 * both; sending, changing and asking hold the link's alone.
 */
#ifndef QS_HOST_H
#define QS_HOST_H

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "sched/check.h"
#include "sched/sched.h"

/* Limits. */
#define QRUN_PART_EVENTS 64	      /* on the caller's stack, on their way to it */
#define SOCKET_FD_MIN 3		      /* of a duplicate: 0, 1 and 2 are the program's */
#define SOCKET_DISCARD_READS_MAX 64   /* of what a TCP peer sent and nobody read, at closing */
#define SOCKET_DISCARD_BYTES 4096     /* in each */
#define SOCKET_ERRORS_MAX 64	      /* of earlier datagrams, forgotten at once */
#define SOCKET_TCP_UNSENT_BYTES 65536 /* in a TCP socket's buffer, where none can be dropped */

_Static_assert(QSOCKET_STREAMS_MAX < QSOCKET_HANDLES_MAX,
	       "a link and all its streams have handles");

struct host;

/* A link of any host. Its memory is never given back, so that a caller with a
 * handle of the past finds a lock to take, and then that the handle is gone. */
struct link {
	pthread_mutex_t lock;
	/* under table_lock() */
	struct link *next; /* among the free, or among those of a device */
	char device[QSOCKET_NAME_BYTES];
	uint32_t references; /* QSOCKINITs of the same device, less QCLOSEs */
	/* under lock; written under both */
	const struct host *host;
	uint32_t handle;
	/* under lock */
	uint32_t streams_max;
	uint32_t *handles;	  /* of streams; 0 = not open */
	uint32_t *open, open_len; /* streams, in no order */
	uint32_t *places;	  /* of streams, in open */
	uint8_t *closing;	  /* of streams: draining, or drained */
	struct qsocket_info past; /* counters of closed streams */
	void *state;		  /* the host's: struct engine, virtual_link, below */
	/* the policy, of hosts that have it in this process (policy.c) */
	struct qs_link policy;
	void *memory;
	size_t memory_bytes;
};

/* A stream's socket. */
struct socket {
	int32_t fd;	 /* -1: not opened yet, or closed */
	uint16_t family; /* 0: not known yet */
	uint8_t type;	 /* enum qsocket_type */
	uint8_t connected;
	uint8_t connecting;		  /* TCP: the peer has not answered yet */
	uint8_t attached;		  /* the program has it open as well */
	uint8_t tos;			  /* what marks its packets; 0: nothing does */
	uint8_t ipv4_before, ipv6_before; /* in its place, where the program has it open as well */
};

/* What the multiplexer asks of a host, arguments checked, link->lock held.
 * Results as of qsocketcall(). */
struct host {
	enum qsocket_host name;
	int32_t (*open)(struct link *link, const struct qsockinit_args *args);
	void (*shut)(struct link *link); /* its streams are closed already */
	/* 0, or why a QSOCKINIT that says this may not share the link */
	int32_t (*share)(struct link *link, const struct qsockinit_args *args);
	/* These answer in args->admission, with -EBUSY too. */
	int32_t (*add)(struct link *link, struct qsocket_args *args);
	/* args->fd is a duplicate (socket_find), the host's if this succeeds */
	int32_t (*attach)(struct link *link, struct qattach_args *args);
	int32_t (*change)(struct link *link, uint32_t stream, struct qchange_args *args);
	int32_t (*info)(struct link *link, uint32_t stream, struct qsocket_info *info);
	/* what it adds to the policy's counters (policy_info) */
	void (*describe)(struct link *link, uint32_t stream, struct qsocket_info *info);
	/* optional: NULL where a stream has none */
	const struct socket *(*socket)(const struct link *link, uint32_t stream);
	/* gives link->lock back */
	int32_t (*send)(struct link *link, uint32_t stream, const struct qsend_args *args);
	int32_t (*run)(struct link *link, struct qrun_args *args);
	int32_t (*close)(struct link *link, uint32_t stream, uint32_t flags);
};

/* isolated_host is an engine whose packets are marked: device/htb.c */
extern const struct host engine_host, isolated_host, virtual_host, below_host;

/* qsockinit.c: what it says is out is written on failure, too */
int32_t link_init(struct qsockinit_args *args);

/* qlist.c: checked args, but for what is at the link; writes that many streams */
int32_t link_list(struct qlist_args *args, void *streams);
/* Puts one among them, at this place. */
void list_put(const struct qlist_args *args, void *streams, uint32_t place,
	      const struct qlist_stream *stream);

/* check.c: 0 or -errno, of the arguments of a call */
int zeroed(const void *memory, size_t bytes);
int32_t check_peer(const struct qsocket_addr *addr);
int32_t check_ends(uint32_t type, const struct qsocket_addr *local,
		   const struct qsocket_addr *peer);
/* Whether a real socket can send such a message; its address is the host's to ask. */
int32_t check_send(const struct socket *socket, const struct qsend_args *args);

/* message.c: a message from a caller, results as of qsocketcall() */
int32_t message_send(const struct qsend_args *args);
int32_t message_send_to(const struct qsend_args *args); /* args->to must say where */

/* handle.c */
void table_lock(void);
void table_unlock(void);
/* The link of a handle, locked, and the stream's index (QS_NONE: the link
 * itself); NULL if there is no such handle. */
struct link *handle_lock(uint32_t handle, uint32_t *stream);
/* With both locks: a handle for a stream or (QS_NONE) for the link, or -EMFILE. */
int32_t handle_open(struct link *link, uint32_t stream);
void handle_close(uint32_t handle);
/* With table_lock(): a link that no handle names yet; NULL without memory. */
struct link *link_new(void);
/* Enters it among the devices, with one reference; "" is nobody else's. */
void link_name(struct link *link, const char *device);
void link_free(struct link *link);
/* With table_lock(): the open link of a device, or NULL. */
struct link *link_of_device(const char *device);

/* streams.c, under link->lock: which streams of a link are open */
void *memory_map(size_t bytes); /* zeroed, taken up as it is touched; NULL without */
void memory_unmap(void *memory, size_t bytes);
int32_t streams_open(struct link *link, uint32_t streams_max);
void streams_shut(struct link *link);
int32_t streams_add(struct link *link, uint32_t stream); /* a handle for it, or -EMFILE */
void streams_remove(struct link *link, uint32_t stream);

/* policy.c, under link->lock: the scheduler where it is in this process */
int32_t policy_open(struct link *link, const struct qsockinit_args *args);
void policy_shut(struct link *link);
int32_t policy_share(struct link *link, const struct qsockinit_args *args);
/* What qchange asks for: 0 and its admission, or why not; of a link, nothing yet. */
int32_t policy_feasible(struct link *link, uint32_t stream, struct qchange_args *args);
void policy_rate(struct link *link, struct qchange_args *args);
int32_t policy_info(struct link *link, uint32_t stream, struct qsocket_info *info);
/* A handle for a stream that was added: -errno, and the stream is gone. */
int32_t policy_opened(struct link *link, uint32_t stream);
/* Ends a stream that has nothing queued, and its handle; the link keeps its counters. */
void policy_remove(struct link *link, uint32_t stream);
/* Whether all that is queued is a frame whose end will never come. */
int policy_stuck(const struct link *link, uint32_t stream);

/* thread.c: 0 or -errno */
int32_t thread_start(void *(*run)(void *), struct link *link, size_t stack_bytes);

/* socket.c: results as of qsocketcall() */
union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};
uint32_t address_of(const struct qsocket_addr *addr, union address *address);
/* Opens one of socket->type; a TCP connection may still be in the making. With
 * no family known there is nothing to open yet. */
int32_t socket_open(struct socket *socket, const struct qsocket_addr *local,
		    const struct qsocket_addr *peer);
/* A duplicate of the socket that QATTACH asks for. Looks through the process's
 * descriptors if it has to: that is not for under a lock. */
int32_t socket_find(const struct qattach_args *args);
/* Makes it a stream's. */
int32_t socket_attach(struct socket *socket, int fd);
void socket_unmark(struct socket *socket); /* of the program's own socket */
/* 0, or the -errno that a connection attempt ended with. */
int32_t socket_connected(const struct socket *socket);
/* `cut`: a message was begun and not finished; TCP resets the connection. */
void socket_close(struct socket *socket, int cut);

/* stack.c: what the protocol stack says of a socket */
void stack_info(const struct socket *socket, struct qsocket_info *info);
/* Has it say so (ENOBUFS) where the device's queue drops a datagram; with that
 * come the errors of earlier ones, to be forgotten. -errno. */
int32_t stack_hear(int fd, int family);
void stack_forget(int fd);

#endif
