/* SPDX-License-Identifier: MIT
 *
 * The engine, the host above the protocol stack: its limits, and what it keeps
 * of links, streams and messages. A thread of each link (link.c) sends.
 *
 * Closing may wait, with the table's lock, for the one batch that is on its
 * way: ENGINE_BATCH_PACKETS packets, each tried again ENGINE_RETRIES_MAX times
 * at the most, by calls that wait for no room (MSG_DONTWAIT) and that no signal
 * interrupts (the thread blocks them all).
 */
#ifndef QS_ENGINE_H
#define QS_ENGINE_H

#include <poll.h>
#include <sys/uio.h>

#include "../device/device.h"
#include "../host.h"
#include "../sched/pace.h"

/* Limits. */
#define ENGINE_BATCH_PACKETS 64	     /* handed to the network between two looks at the lock */
#define ENGINE_BATCH_IOVECS 512	     /* of one send call */
#define ENGINE_HAND_CROWDED 960	     /* in hand: from here on one more of each stream at most */
#define ENGINE_HAND_SPARE 1088	     /* in hand, unsent: so many, and one of each stream */
#define ENGINE_SMALL_BYTES 2048	     /* of payload memory: a datagram of an Ethernet fits */
#define ENGINE_LARGE_BYTES 16384     /* a piece of a larger message */
#define ENGINE_MESSAGE_CHUNKS 4	     /* of the largest message */
#define ENGINE_DATAGRAM_BYTES 65487  /* of datagrams joined in one send */
#define ENGINE_BURST_NS 1000000ull   /* of the link's time in one packet, where it can be cut */
#define ENGINE_NAP_NS 50000ull	     /* shortest sleep */
#define ENGINE_LINGER_NS 1000000ull  /* of naps after the last packet, before sleeping deep */
#define ENGINE_PAUSE_NS 1000000ull   /* after ENOBUFS: the device's queue is full */
#define ENGINE_POLL_NS 200000ull     /* between two looks at blocked sockets, when busy */
#define ENGINE_RETRIES_MAX 4	     /* of a send that reported an earlier datagram's error */
#define ENGINE_SLICE_NS 100000ull    /* of processor time, asked of the system's scheduler */
#define ENGINE_LOOK_NS 1000000000ull /* of sending, between two looks at the device's rate */
#define ENGINE_STACK_BYTES (256u << 10)

/* What a datagram, or a TCP segment, weighs on the link beside its payload. */
#define ENGINE_UDP4_BYTES 28u
#define ENGINE_UDP6_BYTES 48u
#define ENGINE_TCP4_BYTES 52u
#define ENGINE_TCP6_BYTES 72u
#define ENGINE_TCP_SEGMENT_BYTES 1448u

/* Streams whose sockets are full keep what they hold. However many they are,
 * there is a place in hand for one packet of every other stream. */
_Static_assert(ENGINE_HAND_CROWDED + ENGINE_BATCH_PACKETS <= ENGINE_HAND_SPARE,
	       "a stream that can send must have a packet in hand");
_Static_assert(ENGINE_HAND_CROWDED >= ENGINE_BATCH_PACKETS, "a batch alone is no crowd");
_Static_assert(ENGINE_DATAGRAM_BYTES / ENGINE_LARGE_BYTES + 2 * ENGINE_BATCH_PACKETS <=
			       ENGINE_BATCH_IOVECS &&
		       ENGINE_MESSAGE_CHUNKS + 2 <= ENGINE_BATCH_IOVECS,
	       "each send call must have room for a load");
_Static_assert(ENGINE_DATAGRAM_BYTES <= QSOCKET_MESSAGE_BYTES_MAX, "joined, still a datagram");
_Static_assert(QSOCKET_MESSAGE_BYTES_MAX <= UINT16_MAX && ENGINE_HAND_SPARE <= UINT16_MAX,
	       "segments, and packets in hand of a message or stream, are counted in 16 bits");

/* The engine. Fields are under link->lock, unless they say otherwise. */

/* Payload memory: chunks of two sizes. A message is a chain of chunks of one
 * size. There are as many as all messages together can need, so there is always
 * one more; what is resident is what was used at once at the busiest moment. */
struct pool {
	uint8_t *chunks;
	uint32_t *next; /* in a message or among the free */
	uint32_t free;	/* last freed, first taken again: it is in the cache */
	uint32_t fresh; /* from here on never used */
	uint32_t chunks_max;
	uint32_t chunk_bytes;
};

struct payload {
	struct pool small, large;
};

/* What the engine keeps of a message, under the scheduler's number for it. */
struct parcel {
	uint32_t chunk;	  /* the first */
	uint32_t bytes;	  /* of payload */
	uint16_t segment; /* of payload in a datagram, 0 = all in one */
	uint16_t in_hand; /* packets of it in e->hand */
	uint8_t dead;	  /* lost, or handed out whole: freed with the last of them */
	uint8_t failed;	  /* enum qsocket_reason of a packet of it that was lost */
	uint8_t to_len;	  /* 0: to the connected peer */
	union address to;
};

enum packet_state { PACKET_UNSENT, PACKET_SENT, PACKET_FAILED, PACKET_NO_ROOM, PACKET_PAUSED };

/* A packet that the scheduler has handed out. While it is in the batch it is
 * the thread's without lock. */
struct outgoing {
	struct qs_packet packet;
	uint32_t at, left;	/* payload still to be sent */
	uint32_t next;		/* in the free list, or held by its stream */
	uint16_t errors, calls; /* what sending it took */
	uint8_t state;		/* enum packet_state */
	uint8_t partly;		/* the network took some of it */
	int32_t last_error;
};

enum wait {
	WAIT_NONE,
	WAIT_CONNECT, /* for the peer to answer */
	WAIT_ROOM,    /* in the socket's buffer */
	WAIT_PAUSE,   /* in the device's queue: until e->pause_ns */
	WAIT_OVER,    /* what is held goes out first */
};

struct engine_stream {
	struct socket socket; /* written at opening, while no packet of it is in the batch */
	/* the thread's own */
	uint8_t no_gso; /* the kernel refused UDP_SEGMENT */

	uint8_t wait;	 /* enum wait; if not NONE it is in e->waiting */
	uint8_t broken;	 /* TCP: the connection is gone */
	uint8_t leaving; /* QCLOSE waits for the batch to be through */
	uint8_t ended;	 /* is among e->ended */
	uint16_t busy;	 /* packets of it in the batch */
	uint32_t waiting_at, ended_next;
	/* messages in hand that the scheduler has counted as sent or as late:
	 * queued, to whoever asks */
	uint32_t hand_sent, hand_late;
	uint64_t hand_bytes;
	uint16_t held_len;
	uint32_t held_first, held_last; /* packets kept, in order, until wait is over */
	int32_t last_error;
	uint64_t errors, calls;
};

struct engine {
	struct payload payload;
	struct parcel *parcels;
	uint32_t parcels_max, streams_max;
	struct engine_stream *streams;
	struct outgoing *hand;
	uint32_t hand_free, hand_len;
	uint32_t hand_fresh; /* from here on never used */
	uint32_t *waiting;   /* streams */
	uint32_t waiting_len;
	uint32_t ended; /* draining streams of which a message has, since engine_drain() looked */
	struct qs_pace pace;
	uint64_t pause_ns; /* nothing leaves before: the device's queue is full */
	/* of an isolated device: which, and its class's rate when last looked */
	struct device device; /* without lock: it stays */
	uint64_t class_rate;
	uint64_t look_ns; /* the next look; of other devices never */
	/* the thread */
	uint8_t running, stop;
	uint8_t idle;		/* asleep until woken: the next sender wakes it */
	int32_t waker;		/* eventfd */
	pthread_cond_t settled; /* a batch is through, or the thread has ended */
	/* the thread's own */
	uint32_t batch[ENGINE_BATCH_PACKETS]; /* in hand */
	struct mmsghdr messages[ENGINE_BATCH_PACKETS];
	struct iovec iovecs[ENGINE_BATCH_IOVECS];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} controls[ENGINE_BATCH_PACKETS];
	struct pollfd *polls;
	uint32_t *polled; /* streams */
};

/* engine.c */
void engine_wake(struct engine *e);
/* Closes the sockets of streams that have drained, of those in e->ended. */
void engine_drain(struct link *link);

/* isolated.c: engine_open() and the host's calls, where the device is isolated */
int32_t isolated_open(struct link *link, const struct qsockinit_args *args);
int32_t isolated_share(struct link *link, const struct qsockinit_args *args);
int32_t isolated_info(struct link *link, uint32_t stream, struct qsocket_info *info);
/* For the thread: looks after the rate, without lock, where it is time to (on
 * other devices never); what time it is then. */
uint64_t isolated_watch(struct link *link, uint64_t now_ns);

/* link.c: from now on another rate */
void engine_rate(struct link *link, uint64_t rate, uint64_t now_ns);
/* the thread, once there is a stream */
int32_t engine_start(struct link *link);

/* hand.c */
/* Takes a packet in hand; one must be free. */
uint32_t engine_hand(struct link *link, const struct qs_packet *packet);
/* A packet that was kept beyond its message's deadline, and goes now. */
void engine_late(struct link *link, uint32_t hand);
/* Keeps a packet that was not sent, and its stream waiting. */
void engine_hold(struct link *link, uint32_t hand, enum wait wait);
/* Through with a packet: reason 0, or why it was lost. */
void engine_finish(struct link *link, uint32_t hand, uint8_t reason);
/* Frees what the scheduler has lost. */
void engine_reap(struct link *link);
/* A stream has a message less: if it is draining, engine_drain() looks at it. */
void engine_ended(struct link *link, uint32_t stream);
void engine_wait(struct link *link, uint32_t stream, enum wait wait);
void engine_go_on(struct link *link, uint32_t stream);
/* Loses all that a stream has, in hand and queued; no packet of it is in the batch. */
void engine_lose(struct link *link, uint32_t stream, uint8_t reason);

/* payload.c */
int payload_open(struct payload *payload, uint32_t messages_max);
void payload_shut(struct payload *payload);
uint32_t payload_store(struct payload *payload, const void *data, uint32_t bytes);
void payload_free(struct payload *payload, uint32_t chunk);
/* The iovecs of a part of a message; how many. */
uint32_t payload_iovecs(const struct payload *payload, uint32_t chunk, uint32_t at, uint32_t bytes,
			struct iovec *iovecs);

/* send.c: hands the batch to the network, without lock; leaves each packet's
 * state, and how many calls and errors it took. */
void engine_send_batch(struct engine *e, uint32_t len);

#endif
