/* SPDX-License-Identifier: MIT
 *
 * What the hosts of the scheduler share: the limits of the library above the
 * protocol stack, the link that every host has, and the two hosts there are,
 * the engine (link.c: a thread and real sockets) and the virtual link
 * (virtual.c: a test's clock and no socket at all).
 *
 * Locks: table_lock() first, then one link's lock. Opening and closing hold
 * both; sending, changing and asking hold the link's alone.
 */
#ifndef QS_ENGINE_H
#define QS_ENGINE_H

#include <pthread.h>

#include "../sched/sched.h"

/* Limits. */
#define ENGINE_BATCH_PACKETS 64	 /* handed to the network between two looks at the lock */
#define ENGINE_CHUNK_BYTES 2048	 /* of payload memory: one datagram of an Ethernet */
#define ENGINE_MESSAGE_CHUNKS 32 /* the largest message */
#define ENGINE_PACKET_IOVECS (ENGINE_MESSAGE_CHUNKS + 1)
#define ENGINE_BURST_NS 1000000ull    /* of the link's time in one uncut packet */
#define ENGINE_CATCH_UP_NS 2000000ull /* of the link's time made good after a late wake-up */
#define ENGINE_GUARD_NS 500000ull     /* what a wake-up may be late: asked of a deadline */
#define ENGINE_NAP_NS 50000ull	      /* shortest sleep */
#define ENGINE_LINGER_NS 1000000ull   /* after the last packet, before senders must wake it */
#define ENGINE_PAUSE_NS 1000000ull    /* after ENOBUFS: the device's queue is full */
#define ENGINE_RETRIES_MAX 4	      /* of a send that reported an earlier datagram's error */
#define ENGINE_STACK_BYTES (256u << 10)

/* What a datagram, or a TCP segment, weighs beside its payload. */
#define ENGINE_UDP4_BYTES 28u
#define ENGINE_UDP6_BYTES 48u
#define ENGINE_TCP4_BYTES 52u
#define ENGINE_TCP6_BYTES 72u
#define ENGINE_TCP_SEGMENT_BYTES 1448u

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
	struct qs_link policy;
	void *memory; /* the policy's */
	size_t memory_bytes;
	uint32_t handles[QSOCKET_STREAMS_MAX]; /* of streams; 0 = not open */
	uint8_t closing[QSOCKET_STREAMS_MAX];  /* draining, or drained */
	struct qsocket_info past;	       /* counters of closed streams */
	void *state;			       /* the host's: struct engine, struct virtual_link */
};

/* What the multiplexer asks of a host, arguments checked, link->lock held.
 * Results as of qsocketcall(). */
struct host {
	enum qsocket_host name;
	int32_t (*open)(struct link *link, const struct qsockinit_args *args);
	void (*shut)(struct link *link); /* its streams are closed already */
	int32_t (*add)(struct link *link, const struct qsocket_args *args);
	int32_t (*attach)(struct link *link, const struct qattach_args *args);
	int32_t (*change)(struct link *link, uint32_t stream, const struct qchange_args *args);
	void (*describe)(struct link *link, uint32_t stream, struct qsocket_info *info);
	int32_t (*send)(struct link *link, uint32_t stream, const struct qsend_args *args);
	int32_t (*run)(struct link *link, struct qrun_args *args);
	int32_t (*close)(struct link *link, uint32_t stream, uint32_t flags);
};

extern const struct host engine_host, virtual_host;

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

/* policy.c, under link->lock: the scheduler's memory on a link, and its counters */
int32_t policy_open(struct link *link, const struct qsockinit_args *args);
void policy_shut(struct link *link);
void *memory_map(size_t bytes); /* zeroed, taken up as it is touched; NULL without */
void memory_unmap(void *memory, size_t bytes);
void info_stream(struct link *link, uint32_t stream, struct qsocket_info *info);
void info_link(struct link *link, struct qsocket_info *info);
/* Ends a stream that has nothing queued, and its handle; the link keeps its counters. */
void policy_remove(struct link *link, uint32_t stream);
/* Whether all that is queued is a frame whose end will never come. */
int policy_stuck(const struct link *link, uint32_t stream);

#endif
