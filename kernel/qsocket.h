/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * The ABI of Q.Sockets: call numbers, argument structs, flags and limits.
 *
 * One entry, as socketcall(2) has one:
 *
 *	int32_t qsocketcall(uint32_t call, void *args, uint32_t args_len);
 *
 * args_len must be the size of the call's struct (QRUN and QLIST: header plus
 * room for the events, or streams). Results are >= 0; failures are -errno. Times are nanoseconds
 * of CLOCK_MONOTONIC unless a name says otherwise, rates bytes per second.
 */
#ifndef QSOCKET_H
#define QSOCKET_H

#include <stddef.h>
#include <stdint.h>

#define QSOCKET_ABI 1

enum qsocket_call {
	QSOCKINIT = 1, /* open a link: device, scheduler, rate   -> handle */
	QSOCKET = 2,   /* create a managed socket on a link      -> handle */
	QATTACH = 3,   /* manage a socket that exists already    -> handle */
	QCHANGE = 4,   /* change a stream's attributes, or a link's rate   */
	QINFO = 5,     /* read the counters of a stream or of a link       */
	QSEND = 6,     /* queue a message to the connected peer  -> bytes  */
	QSENDTO = 7,   /* queue a message to an address          -> bytes  */
	QCLOSE = 8,    /* close a stream or a link                         */
	QRUN = 9,      /* advance a virtual link's clock         -> events */
	QLIST = 10,    /* the streams of a link, and whose       -> streams */
};

/* Limits. */
#define QSOCKET_NAME_BYTES 16	    /* device and scheduler names, with the NUL  */
#define QSOCKET_HANDLES_MAX 1048576 /* links and streams open at once            */
#define QSOCKET_STREAMS_MAX 131072  /* streams on one link                       */
#define QSOCKET_STREAMS_DEFAULT 1024
#define QSOCKET_QUEUE_MESSAGES_MAX 262144 /* messages queued on one link              */
#define QSOCKET_QUEUE_MESSAGES_DEFAULT 8192
#define QSOCKET_STREAM_MESSAGES_DEFAULT 2048 /* messages queued on one stream          */
#define QSOCKET_STREAM_BYTES_DEFAULT (4u << 20)
#define QSOCKET_FRAME_MESSAGES_MAX 1024 /* messages in one frame                     */
#define QSOCKET_MESSAGE_BYTES_MAX 65507 /* the largest UDP payload over IPv4         */
#define QSOCKET_SEGMENTS_MAX 64		/* UDP_MAX_SEGMENTS of every kernel          */
#define QSOCKET_BEGUN_MAX 16		/* frames on the wire at once, interleaved   */
#define QSOCKET_LOOKAHEAD_MAX 128	/* units looked at before giving one up      */
#define QSOCKET_PACKET_BYTES_MAX (QSOCKET_MESSAGE_BYTES_MAX + 72 * 64) /* with headers */
#define QSOCKET_BEST_EFFORT_SHARE 16	  /* 1/16 of a busy link is best effort's      */
#define QSOCKET_WINDOW_MAX 65535	  /* largest oln and old, and cap of y'        */
#define QSOCKET_WEIGHT_MAX 65535	  /* largest share of a stream under sfq       */
#define QSOCKET_CLASSES_MAX 64		  /* classes of a link under cbq               */
#define QSOCKET_CLASS_PRIORITIES 8	  /* 0 is served first                         */
#define QSOCKET_UNIT_BYTES_MAX 67079168u  /* 1024 messages of the largest size         */
#define QSOCKET_RATE_MAX 1000000000000ull /* bytes per second                          */
#define QSOCKET_UTILISATION_PPM_MAX 1000000000000000ull /* more than that is not told       */
#define QSOCKET_IPG_NS_MAX 3600000000000ull
#define QSOCKET_EVENTS_MAX 65536	   /* events returned by one QRUN               */
#define QSOCKET_LIST_MAX 4096		   /* streams told of by one QLIST              */
#define QSOCKET_LIST_STREAM_BYTES_MAX 4096 /* of each, whatever the caller's version */
#define QSOCKET_COMMAND_BYTES 16	   /* of a process's name, with the NUL         */
#define QSOCKET_WHY_BYTES 128		   /* a reason in words, with the NUL           */
#define QSOCKET_SCHEDULER_DEFAULT "dwcs"   /* of a device, where nobody names one */
#define QSOCKET_DELAYS 16		   /* buckets that delays are counted in        */
#define QSOCKET_DELAY_NS_MIN 64000	   /* the first bucket's end; see qsocket_info  */
#define QSOCKET_TRACE_RECORDS 65536	   /* most that a recorded link has room for,   */
#define QSOCKET_TRACE_PER_MESSAGE 8	   /* or for each that may be queued            */

/* Per-message flags, one u32:
 *	 0     first message of a frame
 *	 1     last message of a frame
 *	 2     belongs to a frame (set with 0 and 1 for a frame of one message)
 *	 3     leading: also leans on the group before (open GOP)
 *	 4-6   drop priority: 0 goes first ... 6, 7 never
 *	 7     a deadline is given
 *	 8-9   level: 0 starts a group, 1 is referenced, 2 a leaf, 3 none given
 *	16-31  segment: bytes of each datagram that the data is cut into, 0 = one
 */
#define QSOCKET_START 0x1u
#define QSOCKET_END 0x2u
#define QSOCKET_FRAME 0x4u
#define QSOCKET_LEADING 0x8u
#define QSOCKET_DROP_SHIFT 4
#define QSOCKET_DROP_NEVER 7u
#define QSOCKET_DEADLINE 0x80u
#define QSOCKET_LEVEL_SHIFT 8
#define QSOCKET_LEVEL_NONE 3u
#define QSOCKET_SEGMENT_SHIFT 16
#define QSOCKET_FLAGS_RESERVED 0xfc00u

/* Why a message was not sent. */
enum qsocket_reason {
	QSOCKET_EXPIRED = 1,	/* could not arrive by its deadline             */
	QSOCKET_INCOMPLETE = 2, /* "frame": the rest of its frame was lost      */
	QSOCKET_DEPENDENCY = 3, /* a frame that it needs was lost               */
	QSOCKET_WINDOW = 4,	/* given up, within the loss window, for others */
	QSOCKET_OVERFLOW = 5,	/* no room, and nothing less valuable queued    */
	QSOCKET_ERROR = 6,	/* the network refused it                       */
	QSOCKET_CLOSED = 7,	/* the stream was closed and told to discard    */
	QSOCKET_REASONS = 8
};

enum qsocket_type { QSOCKET_UDP = 1, QSOCKET_TCP = 2 };
enum qsocket_host {
	QSOCKET_ABOVE = 1,    /* this process's traffic alone is scheduled        */
	QSOCKET_VIRTUAL = 2,  /* a test's clock, and no device                    */
	QSOCKET_BELOW = 3,    /* the scheduler is the device's qdisc              */
	QSOCKET_ISOLATED = 4, /* as above, and an HTB keeps other traffic away    */
};
/* By which a program speaks to a scheduler below the stack; the best first. */
enum qsocket_gate {
	QSOCKET_GATE_SYSCALL = 1, /* qsocketcall(2), of a kernel that has it      */
	QSOCKET_GATE_MODULE = 2,  /* the same, as a module: /dev/qsockets         */
	QSOCKET_GATE_BPF = 3,	  /* BPF programs, of options of sockets          */
};
enum qsocket_kind { QSOCKET_LINK = 1, QSOCKET_STREAM = 2 };

#define QSOCKINIT_VIRTUAL 0x1u	      /* the caller owns the clock; see QRUN      */
#define QSOCKINIT_SYSTEM 0x2u	      /* the device for all processes, for good   */
#define QSOCKINIT_REPLACE 0x4u	      /* ... whatever qdisc or scheduler it has   */
#define QSOCKINIT_OFF 0x8u	      /* makes the device what it was before that */
#define QSOCKINIT_TRACE 0x10u	      /* with host QSOCKET_BELOW: records its work */
#define QSOCKET_UNDROPPABLE 0x1u      /* attr.flags: send late rather than drop   */
#define QSOCKET_ADMIT 0x2u	      /* attr.flags: -EBUSY where it does not fit */
#define QSOCKET_OVERBOOKED 0x1u	      /* admission: more is asked than there is   */
#define QSOCKET_UNEQUAL 0x2u	      /* admission: periods that dwcs cannot keep */
#define QSOCKET_BORROWS 0x1u	      /* class: may use what its parent has left  */
#define QCLOSE_DRAIN 0x1u	      /* send what is queued, then close          */
#define QSOCKET_STATE_BLOCKED 0x1u    /* waits for room in the socket's buffer   */
#define QSOCKET_STATE_CLOSING 0x2u    /* draining                                */
#define QSOCKET_STATE_BROKEN 0x4u     /* the connection is gone                  */
#define QSOCKET_STATE_FRAME_OPEN 0x8u /* a frame was started and not ended    */
#define QSOCKET_STATE_STUCK 0x10u     /* ... and is all that is queued        */

/* family 0: none; else AF_INET (2) or AF_INET6 (10), in Linux's numbers. */
struct qsocket_addr {
	uint16_t family;
	uint16_t port;	   /* host order */
	uint32_t scope;	   /* interface index of a link-local address */
	uint8_t bytes[16]; /* network order; IPv4 in the first four */
};

/* What a stream needs. All zero: best effort. */
struct qsocket_attr {
	uint64_t ipg_ns;	 /* period T; 0 = none */
	uint32_t oln;		 /* at most oln losses ... */
	uint32_t old;		 /* ... in every old messages; 0 = no window */
	uint32_t flags;		 /* QSOCKET_UNDROPPABLE, QSOCKET_ADMIT */
	uint32_t queue_messages; /* most messages queued; 0 = default */
	uint64_t queue_bytes;	 /* most bytes queued; 0 = default */
	uint32_t unit_bytes;	 /* of a frame (or lone message), with its headers, for
				  * admission; 0 = not said */
	uint32_t weight;	 /* share under sfq, and within a class; 0 = 1 */
	uint32_t class_id;	 /* under cbq; 0 = the default class */
	uint32_t zero;
};

/* A class of cbq. Classes are numbered from 1 in their order; a parent comes
 * before its children, and 0 is the link itself. Streams join leaves. */
struct qsocket_class {
	uint64_t rate; /* guaranteed, bytes per second; 0 = nothing */
	uint64_t ceil; /* never more; 0 = the link's rate */
	uint32_t parent;
	uint8_t priority; /* 0 ... QSOCKET_CLASS_PRIORITIES - 1 */
	uint8_t flags;	  /* QSOCKET_BORROWS */
	uint16_t zero;
};

/* What a link's streams ask for in all, the one in question included. Of
 * streams that say their unit_bytes and period; the rest count as nothing (but
 * every window with a period that may not lose all counts for QSOCKET_UNEQUAL,
 * under dwcs and dwcs99). Each stream's share is rounded down to 2^-32 bytes
 * per second, and is 8 TB/s at the most. */
struct qsocket_admission {
	uint64_t utilisation_ppm; /* of what can be promised, rounded up: above 1000000
				   * exactly when overbooked */
	uint32_t flags;		  /* QSOCKET_OVERBOOKED, QSOCKET_UNEQUAL */
	uint32_t zero;
};

/* Without flags, a link of this process: on a device that QSOCKINIT_SYSTEM has
 * initialised it joins what is there, and need not know which scheduler and
 * rate that is ("" and 0). What is out is written on failure too. Of a device
 * whose host is QSOCKET_ISOLATED, the rate in is all of it, and the rate out is
 * what the link has: 1/QSOCKET_BEST_EFFORT_SHARE is other traffic's. */
struct qsockinit_args {
	char device[QSOCKET_NAME_BYTES];    /* "": a link of this program's own */
	char scheduler[QSOCKET_NAME_BYTES]; /* "dwcs", "edf" ...: see sched/link.c; out */
	uint64_t rate;			    /* bytes per second; out */
	uint32_t flags;			    /* QSOCKINIT_... */
	uint32_t queue_messages;	    /* of all streams; 0 = default */
	uint32_t classes_len;		    /* cbq's; else 0 */
	uint32_t streams;		    /* most at once; 0 = the host's default */
	/* with QSOCKINIT_SYSTEM: who may register streams, as of a file's write
	 * permission; the owner is the caller */
	uint32_t gid;  /* UINT32_MAX = no group */
	uint32_t mode; /* 0 = 0660 */
	uint32_t host; /* enum qsocket_host: this one and no other, 0 = the best; out */
	uint32_t zero;
	char obstacle[QSOCKET_NAME_BYTES]; /* out, of -EEXIST: the device's root qdisc */
	char why[QSOCKET_WHY_BYTES];	   /* out: why no better host, or why not at all */
	struct qsocket_class classes[QSOCKET_CLASSES_MAX];
};

struct qsocket_args {
	uint32_t link;
	uint32_t type; /* enum qsocket_type */
	struct qsocket_attr attr;
	struct qsocket_addr local;	    /* family 0: any */
	struct qsocket_addr peer;	    /* family 0: not connected (UDP only) */
	struct qsocket_admission admission; /* out, of -EBUSY too */
};

struct qattach_args {
	uint32_t link;
	uint32_t type;
	int32_t fd; /* -1: find it among this process's sockets by its addresses */
	uint32_t zero;
	struct qsocket_attr attr;
	struct qsocket_addr local;
	struct qsocket_addr peer;
	struct qsocket_admission admission; /* out, of -EBUSY too */
};

struct qchange_args {
	uint32_t handle;
	uint32_t zero;
	uint64_t rate; /* a link's; 0 for a stream */
	struct qsocket_attr attr;
	struct qsocket_admission admission; /* out, of -EBUSY too */
};

/* QSEND and QSENDTO. On a virtual link data is 0 and at_ns is the arrival. */
struct qsend_args {
	uint32_t handle;
	uint32_t flags;
	uint64_t data; /* pointer; copied before the call returns */
	uint32_t data_len;
	uint32_t deadline_us; /* from now; with QSOCKET_DEADLINE */
	uint64_t at_ns;	      /* virtual links only */
	uint32_t message;     /* virtual links only: the caller's number for it */
	uint32_t zero;
	struct qsocket_addr to; /* QSENDTO */
};

struct qclose_args {
	uint32_t handle;
	uint32_t flags; /* QCLOSE_DRAIN */
};

/* Every message that was offered, refused ones included (-ENOBUFS, -ETIME), is in
 * exactly one of sent, late, dropped[1..7] and queued. */
struct qsocket_info {
	uint32_t kind;
	uint32_t host;
	char scheduler[QSOCKET_NAME_BYTES];
	uint64_t rate;
	struct qsocket_attr attr;
	uint32_t window_lost; /* x': losses left in the current window */
	uint32_t window_left; /* y': messages left in the current window */
	uint64_t violations;
	uint64_t offered;
	uint64_t sent; /* in time, or without a deadline */
	uint64_t late; /* sent after the deadline */
	uint64_t dropped[QSOCKET_REASONS];
	uint64_t dropped_by_priority[8];
	uint64_t offered_bytes;
	uint64_t sent_bytes; /* late ones included */
	uint64_t dropped_bytes;
	uint64_t queued;
	uint64_t queued_bytes;
	uint64_t frames_offered[4]; /* by level */
	uint64_t frames_sent[4];    /* whole, late ones included */
	uint64_t frames_late[4];
	uint64_t frames_dropped[4][QSOCKET_REASONS];
	uint64_t frames_partial; /* begun on the wire and not finished */
	uint64_t delay_ns_sum;	 /* time in our queue, of what was sent */
	uint64_t delay_ns_max;
	/* how many of these were how long there: delays[0] below QSOCKET_DELAY_NS_MIN,
	 * delays[i] from where i - 1 ends to below QSOCKET_DELAY_NS_MIN << i, and the
	 * last one all from there on (1.05 s). Their sum is sent + late. */
	uint64_t delays[QSOCKET_DELAYS];
	uint64_t socket_errors; /* failed sends, retried ones included */
	uint64_t syscalls;	/* send calls made */
	uint32_t state;
	int32_t last_error;	  /* errno of the last failed send, 0 = none */
	uint32_t streams;	  /* of a link */
	uint32_t gate;		  /* enum qsocket_gate: of QSOCKET_BELOW; else 0 */
	uint64_t utilisation_ppm; /* that was asked for: a stream's share, a link's sum */
	/* of a stream, from the protocol stack; 0 without a socket */
	uint64_t sndbuf_bytes; /* SO_SNDBUF, as the kernel counts it */
	uint64_t unsent_bytes; /* SIOCOUTQ: UDP's as the kernel counts; TCP's not acknowledged */
	/* of TCP alone */
	uint64_t peer_window_bytes; /* what the peer has room for */
	uint32_t cwnd;		    /* congestion window, in segments */
	uint32_t rtt_us;	    /* smoothed */
	uint64_t retransmits;	    /* segments sent again, in all */
};

struct qinfo_args {
	uint32_t handle;
	uint32_t zero;
	struct qsocket_info info; /* out */
};

enum qsocket_outcome { QSOCKET_SENT = 1, QSOCKET_LATE = 2, QSOCKET_DROPPED = 3 };

struct qsocket_event {
	uint64_t at_ns;
	uint32_t stream; /* handle */
	uint32_t message;
	uint32_t bytes;
	uint8_t outcome;
	uint8_t reason;
	uint16_t zero;
};

/* QRUN: completions up to and including until_ns, decisions before it. */
struct qrun_args {
	uint32_t link;
	uint32_t events_max;
	uint64_t until_ns;
	uint64_t now_ns;     /* out: less than until_ns when events_max was reached */
	uint32_t events_len; /* out */
	uint32_t zero;
	struct qsocket_event events[];
};

enum qlist_scope {
	QLIST_OWN = 1, /* those of this process, by this link */
	QLIST_ALL = 2, /* those of all processes: told to root, of QSOCKET_BELOW */
};

/* A stream, and the process that registered it. */
struct qlist_stream {
	uint64_t cookie; /* of its socket: SO_COOKIE; 0 = it has none yet */
	uint32_t handle; /* of QLIST_OWN; else 0 */
	uint32_t pid;	 /* as the first PID namespace has it, of QLIST_ALL */
	uint32_t uid;
	uint32_t zero;
	char command[QSOCKET_COMMAND_BYTES];
	struct qsocket_info info; /* what QINFO tells; in BPF, of QLIST_ALL, the scheduler's part */
};

/* QLIST: streams after one that was told of already, in order of their keys (the
 * cookie; of QLIST_OWN the place of the stream in its link); 0 streams where
 * there are no more. Those that open or close meanwhile are told of, or not.
 * A stream_bytes other than this build's is that of an older or newer caller:
 * the struct is cut off there, or ends in zeros. */
struct qlist_args {
	uint32_t link;
	uint32_t streams_max;
	uint32_t stream_bytes; /* sizeof(struct qlist_stream), of the caller's */
	uint32_t scope;	       /* out: enum qlist_scope */
	uint64_t after;	       /* a key, 0 = from the first on; out: of the last told */
	uint32_t streams_len;  /* out */
	uint32_t zero;
	struct qlist_stream streams[];
};

/* What a recorded link's scheduler was told and what it made of that, in its
 * order. What is set beside kind, turn and stream: */
enum qsocket_record_kind {
	QSOCKET_RECORD_ADD = 1,	    /* a stream was opened: attr                            */
	QSOCKET_RECORD_CHANGE = 2,  /* ... given other attributes: attr                     */
	QSOCKET_RECORD_REMOVE = 3,  /* ... closed: what it has queued is lost               */
	QSOCKET_RECORD_RATE = 4,    /* the link's rate is `value` bytes per second          */
	QSOCKET_RECORD_ARRIVE = 5,  /* a message at at_ns, due at time_ns: bytes, flags, and
				     * in `value` how many may be queued, in its upper half
				     * how many of best effort (0: as many as on any link);
				     * the answer: result, and message or else the reason */
	QSOCKET_RECORD_ABANDON = 6, /* the frame that is open will not go on                */
	QSOCKET_RECORD_REFUSE = 7,  /* the message that just arrived is counted as lost     */
	QSOCKET_RECORD_FLUSH = 8,   /* all that is queued is lost: reason                   */
	QSOCKET_RECORD_LOST = 9,    /* a queued message was lost: message, reason           */
	QSOCKET_RECORD_DECIDE = 10, /* at at_ns, `value` ns after the link was free: the
				     * message that leaves, whole at time_ns: bytes, outcome;
				     * or message UINT32_MAX, and to be asked by time_ns    */
};

struct qsocket_record {
	uint32_t turn; /* what was done at one time, under one lock, has the same */
	uint8_t kind;  /* enum qsocket_record_kind */
	uint8_t reason;
	uint8_t outcome; /* enum qsocket_outcome */
	uint8_t zero;
	uint32_t stream;
	uint32_t message; /* its number while it is queued; UINT32_MAX = none */
	uint64_t at_ns;
	uint64_t time_ns; /* UINT64_MAX = never */
	uint64_t value;
	uint32_t bytes; /* on the link, headers included */
	uint32_t flags; /* as of QSEND */
	int32_t result; /* 0 or -errno */
	uint32_t zero2;
	struct qsocket_attr attr;
};

/* The link that records are of. */
struct qsocket_trace {
	char device[QSOCKET_NAME_BYTES]; /* in, of qsocket_trace_read() */
	char scheduler[QSOCKET_NAME_BYTES];
	uint64_t rate;	   /* at its start */
	uint64_t guard_ns; /* what a decision may be late, as the scheduler reckons with */
	uint32_t streams_max, messages_max;
	uint32_t records_len;
	uint32_t zero;
	uint64_t missed; /* records that there was no room for */
};

_Static_assert(sizeof(struct qsocket_record) == 104, "qsocket_record");
_Static_assert(sizeof(struct qsocket_trace) == 72, "qsocket_trace");
_Static_assert(sizeof(struct qsocket_addr) == 24, "qsocket_addr");
_Static_assert(sizeof(struct qsocket_attr) == 48, "qsocket_attr");
_Static_assert(sizeof(struct qsocket_class) == 24, "qsocket_class");
_Static_assert(sizeof(struct qsocket_admission) == 16, "qsocket_admission");
_Static_assert(sizeof(struct qsockinit_args) == 216 + 24 * QSOCKET_CLASSES_MAX, "qsockinit_args");
_Static_assert(sizeof(struct qsocket_args) == 120, "qsocket_args");
_Static_assert(sizeof(struct qattach_args) == 128, "qattach_args");
_Static_assert(sizeof(struct qchange_args) == 80, "qchange_args");
_Static_assert(sizeof(struct qsend_args) == 64, "qsend_args");
_Static_assert(sizeof(struct qclose_args) == 8, "qclose_args");
_Static_assert(offsetof(struct qsocket_info, delays) == 664, "qsocket_info");
_Static_assert(sizeof(struct qsocket_info) == 872, "qsocket_info");
_Static_assert(sizeof(struct qsocket_event) == 24, "qsocket_event");
_Static_assert(sizeof(struct qrun_args) == 32, "qrun_args");
_Static_assert(offsetof(struct qinfo_args, info) == 8, "qinfo_args");
_Static_assert(offsetof(struct qlist_stream, info) == 40, "qlist_stream");
_Static_assert(sizeof(struct qlist_args) == 32, "qlist_args");

#if defined(QSOCKET_BUILD)
#define QSOCKET_API __attribute__((visibility("default")))
#else
#define QSOCKET_API
#endif

QSOCKET_API int32_t qsocketcall(uint32_t call, void *args, uint32_t args_len);

/* qsocketcall() with the arguments in registers, as a C library wraps
 * socketcall(2): a per-message struct would cost a foreign caller more. */
QSOCKET_API int32_t qsend(uint32_t handle, const void *data, uint32_t data_len, uint32_t flags,
			  uint32_t deadline_us);
QSOCKET_API int32_t qsendto(uint32_t handle, const void *data, uint32_t data_len, uint32_t flags,
			    uint32_t deadline_us, const struct qsocket_addr *to);

/* CLOCK_MONOTONIC in nanoseconds: the clock of absolute deadlines. */
QSOCKET_API uint64_t qsocket_now(void);

/* The layout of this header as the compiler sees it: "struct.field offset
 * size" lines; returns the length of the text. For tests of the bindings. */
QSOCKET_API int32_t qsocket_layout(char *text, uint32_t text_len);

/* The records of a device that was initialised with QSOCKINIT_TRACE, from its
 * start on: how many. For root; -ENODATA: it records nothing. */
QSOCKET_API int32_t qsocket_trace_read(struct qsocket_trace *trace, struct qsocket_record *records,
				       uint32_t records_max);
/* Has this library's scheduler do the same at the same times, and writes what
 * it made of that: how many records, of records_max at the most. Where it
 * decides as the link did, they are the same, bit by bit. -EINVAL: the records
 * are not such as a link makes. */
QSOCKET_API int32_t qsocket_trace_replay(const struct qsocket_trace *trace,
					 const struct qsocket_record *records,
					 struct qsocket_record *out, uint32_t records_max);

/* send(2) with MSG_DONTWAIT, for measuring what queueing adds. */
QSOCKET_API int32_t qsocket_plain_send(int32_t fd, const void *data, uint32_t data_len);

#endif
