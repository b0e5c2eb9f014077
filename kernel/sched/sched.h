/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The scheduler of a link: policy only. It has no clock, no lock, no socket
 * and no allocator: a host (kernel/engine, a test's virtual link) gives it
 * memory once, calls it under the host's own lock, says what time it is, and
 * takes from it one packet at a time. Integers only; C freestanding.
 *
 * A message's walk: qs_enqueue() appends it to a unit (its frame) of its
 * stream (frame.c), which may expire (watch.c); qs_dequeue() takes the first of
 * the streams' head units (ready.c), asks whether it can arrive whole and in
 * time (admit.c), and hands out its packets; window.c keeps what the stream may lose. Whatever is
 * lost waits on the list of the dead until qs_reap() takes it, with the reason.
 */
#ifndef QS_SCHED_H
#define QS_SCHED_H

#include "../qsocket.h"
#include "queue.h"

/* Linux's numbers, without a C library's header. */
#define QS_EBUSY 16
#define QS_EINVAL 22
#define QS_ENOSPC 28
#define QS_ERANGE 34
#define QS_ETIME 62
#define QS_EPROTO 71
#define QS_EMSGSIZE 90
#define QS_ENOBUFS 105

#define QS_LEVELS 4
#define QS_WORTHS (QS_PRIORITIES * QS_LEVELS)

/* Where a stream stands after a referenced frame was lost. */
enum qs_tail {
	QS_SOUND,      /* everything decodes */
	QS_BROKEN,     /* nothing does until a group starts */
	QS_RECOVERING, /* a group started; its leading frames lean on the broken one */
};

enum qs_unit_flag {
	QS_MARKED = 1,	   /* a frame, not a lone message */
	QS_ENDED = 2,	   /* its last message is queued */
	QS_BEGUN = 4,	   /* a packet of it has left */
	QS_LEADS = 8,	   /* leans on the group before */
	QS_READY = 16,	   /* head of its stream, and ranked */
	QS_WATCHED = 32,   /* among what can expire */
	QS_LAST = 64,	   /* fifo: ends a frame of which nothing was refused */
	QS_MORTAL = 128,   /* expires when it is due */
	QS_NEWEST = 256,   /* of its worth in its stream */
	QS_DISTANT = 512,  /* watched, in the ring */
	QS_COVERED = 1024, /* watched through the unit before it, which is due no later */
};

#define QS_BYTES_BITS 18

/* One message. The host keeps the payload under the same index. */
struct qs_message {
	uint64_t deadline_ns; /* as given, absolute; QS_FOREVER = none */
	uint64_t arrival_ns;
	uint32_t next; /* in its unit, on the free list or among the dead */
	uint32_t stream;
	uint64_t bytes : QS_BYTES_BITS;	  /* cost on the link, all segments */
	uint64_t segment : QS_BYTES_BITS; /* cost of one segment, 0 = one packet */
	uint64_t left : QS_BYTES_BITS;	  /* cost not yet handed out */
	uint64_t drop : 3;
	uint64_t level : 2;
	uint64_t reason : 4; /* of a dead one */
	uint64_t rest : 1;   /* counts as best effort */
};

_Static_assert(sizeof(struct qs_message) == 32, "half a cache line");
_Static_assert(QSOCKET_PACKET_BYTES_MAX < 1 << QS_BYTES_BITS, "the cost of a message");
_Static_assert(QSOCKET_REASONS <= 16, "a reason");

/* One frame, or one unmarked message: what is admitted and lost as a whole.
 * A cache line; where it stands among what can expire is kept apart. */
struct qs_unit {
	uint64_t due_ns;     /* earliest deadline of its messages */
	uint64_t seq;	     /* order of arrival on the link */
	uint64_t arrival_ns; /* of the first message */
	uint32_t stream;
	uint32_t prev, next;  /* in its stream; next also on the free list */
	uint32_t first, last; /* messages not yet wholly handed out */
	uint32_t bytes;	      /* not yet handed out */
	union {
		struct {
			uint32_t older, newer; /* of the same worth in its stream (worth.c) */
		};
		uint64_t frame_seq; /* without frames: seq of the first unit of its frame */
	};
	uint8_t drop;
	uint8_t level;
	uint16_t flags; /* enum qs_unit_flag */
	uint32_t zero;
};

/* What a stream asked for, and what it needs for every message: an idle stream
 * costs no more memory than this. The counters that few need are in its
 * qs_ledger. Fields used together share a cache line. */
struct __attribute__((aligned(64))) qs_stream {
	/* the queue */
	uint32_t head, tail; /* units */
	uint32_t open;	     /* unit still being received, or QS_NONE */
	uint32_t messages;
	/* the head unit, once ready; release_ns outlives it */
	uint64_t rank_ns, release_ns, seq;
	uint64_t period_ns; /* T */
	/* the window: at most x losses in y, y = 0: no window; what is left of it */
	uint16_t x, y, x_left, y_left;
	uint8_t tagged;	    /* the window was violated */
	uint8_t released;   /* release_ns is set */
	uint8_t managed;    /* the head is; else it is best effort's */
	uint8_t competes;   /* is in a queue of ready streams */
	uint8_t lossy;	    /* may be dropped under this policy */
	uint8_t blocked;    /* the host cannot send for it now */
	uint8_t chain;	    /* enum qs_tail, of what comes after the queue */
	uint8_t discarding; /* reason given to the rest of a lost frame, or 0 */

	uint64_t bytes, bytes_max; /* queued */
	uint32_t messages_max;
	uint32_t kinds; /* units not begun, by worth (worth.c) */
	uint64_t sent, sent_bytes, delay_ns_sum, delay_ns_max;
	uint16_t frame_messages; /* of the open unit */
	uint8_t class_id;
	uint8_t undroppable;
	uint8_t ledgered; /* there is something in its ledger */
	uint8_t leaf;	  /* cbq: the class that it competes in, and finish is of */

	uint64_t tag, finish;	/* start-time fair queueing: sfq's, and best effort's in bytes */
	uint32_t before, after; /* links of a policy with an order of its own */
	uint32_t carry;		/* of the division that finish is a sum of */
	uint32_t unit_bytes;	/* admission */
	uint64_t late, violations;
	uint32_t weight;				     /* sfq, and within a class: 1 ... */
	uint8_t fifo_open, fifo_lost, fifo_kept, fifo_level; /* frames where units are none */
};

/* Losses and frames of a stream: not touched before there are any. */
struct qs_ledger {
	/* frames (seq of their first unit + 1) of which a packet left, was late,
	 * was refused, was counted as partial: the last of each */
	uint64_t left_frame, late_frame, failed_frame, partial_frame;
	uint64_t fifo_seq;
	uint64_t frames_partial;
	uint64_t failed_reason;
	uint64_t frames_offered[QS_LEVELS], frames_sent[QS_LEVELS], frames_late[QS_LEVELS];
	uint64_t frames_dropped[QS_LEVELS][QSOCKET_REASONS];
	uint64_t dropped[QSOCKET_REASONS], dropped_by_priority[QS_PRIORITIES], dropped_bytes;
};

/* How long messages of a stream took that were sent: not touched before there
 * are any. Each count in two halves, for the lower one is full after 12 hours of
 * 100,000 messages a second, and one cache line is all that a message touches. */
struct qs_delays {
	uint32_t low[QSOCKET_DELAYS], high[QSOCKET_DELAYS];
};

_Static_assert(sizeof(struct qs_unit) == 64, "a cache line");
_Static_assert(sizeof(struct qs_stream) == 192, "three cache lines");

struct qs_link;

/* A policy: which head unit is served next, and which rules hold. */
struct qs_policy {
	const char *name;
	uint8_t frames;	      /* units are frames; else single messages, first come first served */
	uint8_t lossy;	      /* drops what cannot arrive in time */
	uint8_t slides;	      /* a missed rank deadline moves on by the period (DWCS) */
	uint8_t by_deadline;  /* a deadline alone makes a message managed */
	uint8_t all;	      /* every stream is managed: there is no best effort apart */
	uint8_t classes;      /* its streams have classes (class.c) */
	uint8_t ranks_apart;  /* slides, though its order is not that of rank deadlines */
	uint8_t key_span_log; /* 2^this of its key's first part are in a ring's reach (ring.c) */
	/* Writes the order of a ready stream: rank, tag, window and seq are set. */
	void (*key)(const struct qs_stream QS_MEM *s, struct qs_key *key);
	/* Optional: so many bytes of a managed stream leave. The order of the
	 * stream is asked for again after that. */
	void (*charge)(struct qs_link QS_MEM *link, uint32_t stream, uint32_t bytes,
		       uint64_t now_ns);
	/* Optional: an order of its own, in place of the keys' */
	const struct qs_order *order;
	/* Memory of its own on a link (link->own, zeroed), and its set-up. */
	uint32_t own_bytes;
	void (*own_init)(struct qs_link QS_MEM *link);
	uint8_t equal_periods; /* keeps windows only where all have one period (feasible.c) */
};

/* An order of managed streams that no key can express. */
struct qs_order {
	void (*push)(struct qs_link QS_MEM *link, uint32_t stream);
	void (*remove)(struct qs_link QS_MEM *link, uint32_t stream);
	/* The stream to serve at this time: QS_NONE while none may be. */
	uint32_t (*first)(struct qs_link QS_MEM *link, uint64_t now_ns);
	/* When one may be, none being served before: QS_FOREVER if none competes. */
	uint64_t (*next_ns)(const struct qs_link QS_MEM *link);
};

/* All there are, by name; NULL if there is none such. */
QS_LOCAL const struct qs_policy *qs_policy_find(const char *name);

/* What streams ask for: bytes per second, and parts of 2^-32 of one. */
struct qs_demand {
	uint64_t bytes, parts;
};

#define QS_PERIOD_DIGITS 3
#define QS_DIGIT_BITS 14

/* What all of a link's streams ask for (feasible.c). */
struct qs_booked {
	struct qs_demand all, classes[QSOCKET_CLASSES_MAX + 1];
	uint32_t periods; /* of windows that need equal ones: how many, ... */
	uint64_t sums[QS_PERIOD_DIGITS], squares[QS_PERIOD_DIGITS]; /* ... and of their digits */
};

struct qs_link {
	const struct qs_policy *policy;
	uint64_t rate;		 /* bytes per second */
	uint64_t product_ns_max; /* a longer time, multiplied by the rate, overflows */
	uint64_t guard_ns;	 /* asked of a unit beyond its transmission time before it begins */
	uint64_t lag_ns; /* what leaves now could have left so much earlier: the host overslept,
			  * and will make that good */
	struct qs_stream QS_MEM *streams;
	struct qs_ledger QS_MEM *ledgers; /* by stream */
	struct qs_delays QS_MEM *delays;  /* by stream */
	struct qs_unit QS_MEM *units;
	struct qs_message QS_MEM *messages;
	uint32_t messages_max, rest_max; /* queued at once: all, and best effort's of them */
	/* free lists; behind them what was never used, its memory untouched */
	uint32_t streams_free, units_free, messages_free;
	uint32_t streams_used, units_used, messages_used;
	uint32_t streams_max, messages_held;
	uint32_t messages_len, rest_len; /* queued: all, and best effort's */
	uint32_t dead, dead_last;
	uint64_t seq;
	uint64_t vtime;	 /* best effort's virtual time, bytes */
	uint64_t credit; /* best effort's claim, in bytes * QSOCKET_BEST_EFFORT_SHARE */
	uint32_t managed_streams, rest_streams; /* that compete */
	struct qs_queue managed, rest;
	struct qs_queue ranks; /* of managed streams by rank deadline, where it is apart */
	struct qs_watch watch;
	uint32_t promised[QSOCKET_BEGUN_MAX];
	uint32_t promised_len;
	/* Of one look ahead (admit.c). By threshold of value: bytes of the units
	 * that are in time; by promised unit: what may yet come before it and
	 * those behind it. */
	int64_t counted[QS_PRIORITIES], room[QSOCKET_BEGUN_MAX + 1];
	void QS_MEM *own; /* the policy's */
	struct qs_booked booked;
};

/* A message as it is handed in. */
struct qs_arrival {
	uint64_t deadline_ns; /* QS_FOREVER = none */
	uint32_t bytes;	      /* cost on the link */
	uint32_t segment;     /* cost of one segment, 0 = not cut */
	uint32_t flags;	      /* QSOCKET_START ... as in qsocket.h, deadline apart */
};

/* What qs_dequeue() hands out. */
struct qs_packet {
	uint32_t message, stream;
	uint32_t bytes;	 /* cost of this packet */
	uint32_t offset; /* cost already handed out of this message */
	uint64_t unit_seq, frame_seq;
	uint8_t framed;	    /* of a frame */
	uint8_t marked;	    /* of a frame, and under fifo the last of it */
	uint8_t done;	    /* the message's last */
	uint8_t frame_done; /* the unit's last */
	uint8_t outcome;    /* with done: QSOCKET_SENT or QSOCKET_LATE */
	uint64_t done_ns;   /* when its last byte leaves, at the link's rate */
};

#define QS_ALIGNMENT 64 /* of a link's memory: a cache line */

/* Bytes of memory a link wants, and its set-up in that memory (zeroed,
 * aligned to QS_ALIGNMENT). */
QS_LOCAL uint32_t qs_messages_held(uint32_t streams_max,
				   uint32_t messages_max); /* indexes there are */
QS_LOCAL size_t qs_link_bytes(const struct qs_policy *policy, uint32_t streams_max,
			      uint32_t messages_max);
QS_LOCAL void qs_init(struct qs_link QS_MEM *link, const struct qs_policy *policy, uint64_t rate,
		      void QS_MEM *memory, uint32_t streams_max, uint32_t messages_max);

/* Whether nothing can be sent: no stream has a whole unit queued. */
QS_LOCAL int qs_idle(const struct qs_link QS_MEM *link);

/* When something that is queued may be sent: 0 where nothing keeps it, QS_FOREVER
 * where nothing is. */
QS_LOCAL uint64_t qs_open_ns(const struct qs_link QS_MEM *link);

/* Streams, of attributes that were asked after (check.h). qs_add() returns an index or -ENOSPC.
 * qs_remove() drops what is queued (QSOCKET_CLOSED) and frees the index. */
QS_LOCAL int32_t qs_add(struct qs_link QS_MEM *link, const struct qsocket_attr *attr);
QS_LOCAL void qs_change(struct qs_link QS_MEM *link, uint32_t stream,
			const struct qsocket_attr *attr);
QS_LOCAL void qs_remove(struct qs_link QS_MEM *link, uint32_t stream);
/* What all streams would ask for if this one (QS_NONE: one more) had these
 * attributes. -EBUSY where QSOCKET_ADMIT is among them, that is more than
 * there is, and the stream asks for more than before; -EINVAL where it may not
 * join its class: then it should not be added, or changed. */
QS_LOCAL int32_t qs_feasible(struct qs_link QS_MEM *link, uint32_t stream,
			     const struct qsocket_attr *attr, struct qsocket_admission *admission);
/* What they ask for as they are, and what one of them does. */
QS_LOCAL void qs_booked(const struct qs_link QS_MEM *link, struct qsocket_admission *admission);
QS_LOCAL uint64_t qs_share_ppm(const struct qs_link QS_MEM *link, uint32_t stream);
/* Drops a stream's queue with a reason. */
QS_LOCAL void qs_flush(struct qs_link QS_MEM *link, uint32_t stream, uint8_t reason);
QS_LOCAL void qs_rate(struct qs_link QS_MEM *link, uint64_t rate);

/* Classes of cbq, once, before there are streams: 0, or -EINVAL where they
 * cannot be kept, or the policy knows none. */
QS_LOCAL int32_t qs_classes(struct qs_link QS_MEM *link, const struct qsocket_class *classes,
			    uint32_t len);
QS_LOCAL int qs_classes_same(const struct qs_link QS_MEM *link, const struct qsocket_class *classes,
			     uint32_t len);
/* Whether a stream may join it: a leaf, or 0. */
QS_LOCAL int qs_class_ok(const struct qs_link QS_MEM *link, uint32_t class_id);

/* Adds a stream's counters to a struct that starts out zeroed. */
QS_LOCAL void qs_info(const struct qs_link QS_MEM *link, uint32_t stream,
		      struct qsocket_info *info);

/* What qs_enqueue() did with a message. */
struct qs_queued {
	uint32_t message; /* its index; QS_NONE where it was dropped at once */
	uint32_t reason;  /* why it was */
};

/* Queues one message. Returns 0: queued, or accepted, dropped at once and
 * counted; or -ENOBUFS and -ETIME (counted), or -EPROTO and -EMSGSIZE. */
QS_LOCAL int32_t qs_enqueue(struct qs_link QS_MEM *link, uint32_t stream, uint64_t now_ns,
			    const struct qs_arrival *arrival, struct qs_queued *queued);

/* The next packet at this time, of at most bytes_max where a message can be
 * cut (0: no limit). 1, or 0 when nothing can be sent now. The host calls
 * qs_free() once it is through with a message that is done. */
QS_LOCAL int qs_dequeue(struct qs_link QS_MEM *link, uint64_t now_ns, uint32_t bytes_max,
			struct qs_packet *packet);
QS_LOCAL void qs_free(struct qs_link QS_MEM *link, uint32_t message);

/* What became of a packet: the host says so once of each, in the order in
 * which it got them, before qs_free(). qs_dequeue() has counted its message as
 * sent; frames and delays are counted here. */
QS_LOCAL void qs_sent(struct qs_link QS_MEM *link, const struct qs_packet *packet);
/* The network refused it (`partly`: but took some of its segments): its
 * message is counted as dropped, and what is left of its frame given up. */
QS_LOCAL void qs_unsend(struct qs_link QS_MEM *link, const struct qs_packet *packet, uint8_t reason,
			int partly);
/* The network kept it waiting beyond its deadline, and takes it now. */
QS_LOCAL void qs_late(struct qs_link QS_MEM *link, struct qs_packet *packet);

/* Counts a message that qs_enqueue() would not take (-EPROTO, -EMSGSIZE) as
 * offered and dropped, for hosts that owe an outcome for every message. */
QS_LOCAL void qs_refuse(struct qs_link QS_MEM *link, uint32_t stream,
			const struct qs_arrival *arrival, uint8_t reason);

/* The frame that a stream has open is not continued: what of it came is lost.
 * For hosts whose messages may be lost on their way here. */
QS_LOCAL void qs_abandon(struct qs_link QS_MEM *link, uint32_t stream);

/* When qs_dequeue() found nothing: when to ask again, at the latest. */
QS_LOCAL uint64_t qs_next_ns(struct qs_link QS_MEM *link);

/* Takes one message from the list of the dead: its index, or QS_NONE. The
 * host then calls qs_free(). */
QS_LOCAL uint32_t qs_reap(struct qs_link QS_MEM *link);

/* A stream whose socket is full sits out. */
QS_LOCAL void qs_block(struct qs_link QS_MEM *link, uint32_t stream, int blocked);

/* Time that so many bytes take on the link. */
static inline uint64_t qs_duration_ns(const struct qs_link QS_MEM *link, uint64_t bytes)
{
	return bytes * 1000000000ull / link->rate;
}

#endif
