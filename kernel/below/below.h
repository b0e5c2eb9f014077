/* SPDX-License-Identifier: MIT
 *
 * The host below the protocol stack: the scheduler is the device's own queue,
 * in the kernel, and serves all of the machine's processes. Here is only what a
 * sender needs: its sockets, registered with that scheduler, and the care that
 * nothing meant for it goes anywhere else. A datagram goes straight to its socket,
 * without a copy or a thread; what TCP does not take at once is kept for it (tcp.c).
 *
 * There are two ways to such a scheduler: the kernel's own calls, where it has
 * them (kernel.c, calls.c), and options of sockets, of a scheduler in BPF: then
 * all that those do for a message is done here (gate.c, send.c, peer.c, route.c,
 * watch.c).
 */
#ifndef QS_BELOW_HOST_H
#define QS_BELOW_HOST_H

#include <linux/net_tstamp.h>
#include <stdatomic.h>

#include "../bpf/gate.h"
#include "../host.h"

/* Limits. */
#define BELOW_READS_MAX 8		 /* of a stream's counters, until they are of one moment */
#define BELOW_ENTERS_MAX 100		 /* of a socket that is just leaving */
#define BELOW_RETRIES_MAX 4		 /* of a send that reported an earlier datagram's error */
#define BELOW_LOOK_NS 10000000ull	 /* of sending, between two looks after the device */
#define BELOW_LOOK_AGAIN_NS 100000000ull /* where it was not found */
#define BELOW_CLOSE_NS 20000	 /* between two looks whether a stream's sends are through */
#define BELOW_LOOK_SENDS 8	 /* of the usual, between two at the clock for that */
#define BELOW_PEERS_MAX 8	 /* remembered of a socket that is not connected */
#define BELOW_USUAL_AFTER 16	 /* messages that say the same, until that is the usual */
#define BELOW_REST_BYTES 131072u /* TCP: kept of a stream until its socket takes it */
#define BELOW_READY_MAX 16	 /* TCP: sockets with room, looked after at once */
#define BELOW_STACK_BYTES 65536

#define BELOW_USUAL_UNKNOWN UINT64_MAX /* no message says that */

_Static_assert(BELOW_REST_BYTES >= QSOCKET_MESSAGE_BYTES_MAX, "any message's rest has room");

/* A stream's look after its device. */
struct below_watch {
	uint64_t due_ns;  /* the next look */
	uint64_t arrived; /* packets that had reached the device at the last */
	uint64_t sent;	  /* since then */
	uint8_t away;	  /* its packets would go elsewhere: none may */
};

/* What a look has found. */
struct below_sight {
	uint8_t answered; /* the scheduler knows the socket */
	uint8_t attached; /* and is the device's queue */
	uint8_t near;	  /* and the route leads to the device */
	uint64_t arrived;
};

enum below_verdict {
	BELOW_FINE,
	BELOW_LOOK_CLOSER, /* ask whether it is attached, and for the route */
	BELOW_AWAY,
};

/* What this side has counted of a stream; the scheduler knows nothing of it. */
struct below_counts {
	uint64_t dropped[QSOCKET_REASONS], dropped_by_priority[QS_PRIORITIES], dropped_bytes;
	uint64_t frames_lost[QS_LEVELS][QSOCKET_REASONS]; /* before their first packet */
	uint64_t errors, calls;
	int32_t last_error;
};

/* A peer that the route to leads to the device. */
struct below_peer {
	struct qsocket_addr to;
	union address address;
	uint32_t address_len;
};

/* What a socket that is attached had, and gets back. */
struct below_before {
	int32_t sndbuf_bytes; /* 0: it was not changed */
	int32_t locked;	      /* buffers that the kernel does not size itself (SO_BUF_LOCK) */
	struct sock_txtime txtime;
};

/* Under link->lock; the socket does not change while `in_flight`. */
struct below_stream {
	struct socket socket;
	_Atomic(uint32_t) in_flight; /* sends under way; less without the lock */
	uint32_t next;		     /* among the free */
	uint8_t both;		     /* an IPv6 socket that sends IPv4 as well */
	uint8_t broken;		     /* TCP: the connection is gone */
	uint8_t frame_open;
	uint8_t discarding;		 /* the rest of a frame of which something was lost */
	uint8_t peer, peer_oldest;	 /* the last one's place, and the next one's */
	uint8_t frame_drop, frame_level; /* of the last message that was of a frame */
	uint16_t frame_messages;
	struct qsocket_attr attr;
	struct qsocket_addr connected_to;
	struct below_peer peers[BELOW_PEERS_MAX];
	uint64_t usual;	   /* what the scheduler takes a message for that says nothing */
	uint64_t repeated; /* what the last one said, */
	uint32_t repeats;  /* and so many before it */
	struct below_watch watch;
	struct below_counts counts;
	struct below_before before;
	uint8_t *rest; /* TCP: BELOW_REST_BYTES */
	uint32_t rest_at, rest_len;
	uint16_t rest_messages[QS_PRIORITIES];
};

struct gate;

struct below {
	uint32_t ifindex;
	const struct gate *gate;
	uint32_t gate_name; /* enum qsocket_gate */
	int32_t gate_fd;    /* a socket to ask with */
	int32_t route_fd;   /* rtnetlink */
	uint32_t free;	    /* streams */
	uint32_t used;	    /* from here on never used */
	struct below_stream *streams;
	uint32_t streams_max;
	struct qs_gate_link found; /* at opening, and when last asked for */
	struct below_counts past;  /* of closed streams */
	/* tcp.c */
	int32_t epoll_fd, waker_fd; /* -1: no TCP stream yet */
	uint8_t running, stop;	    /* its thread */
	pthread_cond_t stopped;
};

/* How a scheduler is spoken to. Results are 0 or -errno. */
struct gate {
	/* The device's scheduler as it is now; -ENOPROTOOPT: it has none, -EPROTO: of
	 * another version. */
	int32_t (*link)(struct below *b, struct qs_gate_link *found);
	/* Registers a socket, or changes what it needs; what is asked for in all. */
	int32_t (*enter)(const struct below *b, const struct socket *socket,
			 const struct qsocket_attr *attr, struct qsocket_admission *admission);
	void (*leave)(const struct below *b, const struct socket *socket);
	/* Adds what the scheduler has counted of a stream. */
	void (*describe)(const struct below *b, const struct socket *socket,
			 struct qsocket_info *info);
};

/* gate.c: of a scheduler in BPF */
extern const struct gate bpf_gate;
int32_t bpf_find(uint32_t ifindex, struct qs_gate_link *link);
int32_t gate_link(int fd, uint32_t ifindex, struct qs_gate_link *link);
int32_t gate_read(int fd, uint32_t ifindex, struct qs_gate_stream *stream);
/* What a datagram means from now on that says nothing (bpf/gate.h). */
int32_t gate_usual(int fd, uint32_t ifindex, uint64_t usual);

/* calls.c: of one in the kernel */
extern const struct gate calls_gate;
/* 0 if a device has such a one; -ENOPROTOOPT. */
int32_t calls_find(const char *device, uint32_t *streams_max);
int32_t calls_send(struct link *link, uint32_t stream, const struct qsend_args *args);

/* route.c */
int route_open(void);
/* 0 if what this socket sends there leaves by the device; -ENOLINK. */
int32_t route_check(int route_fd, uint32_t ifindex, int fd, const struct qsocket_addr *to);

/* peer.c */
int32_t below_peer(struct below *b, struct below_stream *s, const struct qsocket_addr *to,
		   const struct below_peer **peer);
/* Where the last message went; NULL: nothing is known of it. */
const struct qsocket_addr *below_peer_last(const struct below_stream *s);
void below_forget_peers(struct below_stream *s);

/* watch.c */
enum below_verdict below_judge(const struct below_watch *watch, const struct below_sight *sight);
void below_seen(struct below_watch *watch, const struct below_sight *sight, uint64_t now_ns);
/* 0, or -ENOLINK: looks after the device where it is time to. */
int32_t below_look(struct below *b, struct below_stream *s, uint64_t now_ns);

/* send.c */
int32_t below_send(struct link *link, uint32_t stream, const struct qsend_args *args);
/* Whether a stream may send this; then of its frame marks: 0 and the message is part
 * of what is sent, 1 and it is part of what is lost already and counted, or -errno. */
int32_t below_check(const struct link *link, uint32_t stream, const struct qsend_args *args);
int32_t below_marks(struct below_stream *s, const struct qsend_args *args);
/* Answers to earlier datagrams (ICMP), which whichever send comes next reports. */
int below_may_be_pending(const struct below_stream *s, int error);
/* Counts a message that the scheduler has not seen. */
void below_lose(struct below_stream *s, const struct qsend_args *args, uint8_t reason);
/* The kernel has not taken a message: what is answered to its sender. */
int32_t below_refused(struct below_stream *s, const struct qsend_args *args, int error);

/* tcp.c */
int32_t tcp_open(struct link *link, struct below_stream *ready, uint32_t stream);
void tcp_close(struct below *b, struct below_stream *s);
int32_t tcp_send(struct below *b, uint32_t stream, const struct qsend_args *args);
/* Writes what was kept: 0 if nothing is left, -ENOBUFS, or -EPIPE. */
int32_t tcp_flush(struct below_stream *s);
void tcp_lose_rest(struct below_stream *s, uint8_t reason);
void tcp_stop(struct link *link);

/* info.c */
int32_t below_info(struct link *link, uint32_t stream, struct qsocket_info *info);
/* Adds what a scheduler in BPF has counted of a stream. */
void below_scheduled(const struct qs_gate_link *link, struct qs_gate_stream *stream,
		     struct qsocket_info *info);
/* What it knows of a stream, whoever's it is; info starts out zeroed. */
void below_found(const struct qs_gate_link *link, struct qs_gate_stream *stream,
		 struct qsocket_info *info);
/* Adds a stream's counters. */
void below_describe(struct link *link, uint32_t stream, struct qsocket_info *info);

#endif
