/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the scheduler keeps in order: ready streams by a key (ready.c, heap.c),
 * and units by when they expire (watch.c); both far from the first in a ring of
 * buckets (ring.c). Part of sched.h, for its structs.
 */
#ifndef QS_QUEUE_H
#define QS_QUEUE_H

#include <stdint.h>

/* What a host may define before, if it cannot have it as it stands here:
 *
 *	QS_MEM		qualifies a pointer into a link's memory, for compilers to
 *			whom that is another address space (a BPF arena)
 *	QS_LOOP		said by every loop that is not set-up: 0 once a program has
 *			gone round so often that a verifier would not have it
 *	QS_ZERO		where a loop begins to count, or to sum up: to a verifier not a
 *			known number, or it would look at round after round
 *	QS_POLICY(link)	the link's policy, where only one is compiled in
 *	QS_LOCAL	of every function and policy of the scheduler: static, for a
 *			host of which several are linked together, each one unit
 *	QS_APART	of a function whose locals are not to be its caller's, where a
 *			verifier has little stack for all
 *	QS_FETCH(p)	asks for memory that will be needed soon, where QS_FETCHES
 */
#ifndef QS_MEM
#define QS_MEM
#endif
#ifndef QS_LOOP
#define QS_LOOP 1
#endif
#ifndef QS_ZERO
#define QS_ZERO 0
#endif
#ifndef QS_POLICY
#define QS_POLICY(link) ((link)->policy)
#endif
#ifdef QS_LOCAL
#define QS_LOCAL_EXTERN QS_LOCAL
#else
#define QS_LOCAL
#define QS_LOCAL_EXTERN extern
#endif
#ifndef QS_APART
#define QS_APART
#endif
#ifndef QS_FETCH
#define QS_FETCH(p) __builtin_prefetch(p)
#define QS_FETCHES 1
#endif

#define QS_NONE UINT32_MAX    /* no index */
#define QS_FOREVER UINT64_MAX /* no deadline; never */
#define QS_PRIORITIES 8

struct qs_stream;

/* Where something stands in a queue of ready streams, or among the units that
 * can expire: in a ring (chunk, index, QS_IN_RING | bucket), or in the exact
 * part (-, -, place in the heap; or the left, right and upper node of a tree). */
struct qs_place {
	uint32_t a, b, c;
};

/* Where a ready stream stands: the lowest is served first, compared part by
 * part. It is kept in the heap, so that comparing touches no stream. */
struct qs_key {
	uint64_t first, second, third;
};

struct qs_heap_entry {
	struct qs_key key;
	uint32_t stream;
	uint32_t zero;
};

struct qs_heap {
	struct qs_heap_entry QS_MEM *entries;
	struct qs_place QS_MEM *places; /* by stream: c is where it is in entries */
	uint32_t len;
};

#define QS_BUCKET_MAX 1024u    /* in one bucket: the most that is put in order at once */
#define QS_IN_RING 0x80000000u /* place.c: a slot of the ring */
#define QS_CHUNK_IDS 16u       /* a cache line */

struct qs_chunk {
	uint32_t ids[QS_CHUNK_IDS];
};

struct qs_bucket {
	uint32_t chunk, len;
};

/* Buckets of keys, each 2^shift wide, numbered by key >> shift: those from
 * base to base + mask are in reach. */
struct qs_ring {
	struct qs_chunk QS_MEM *chunks;
	uint32_t QS_MEM *chunks_next;	   /* of the same bucket, all full; or on the free list */
	uint32_t chunks_free, chunks_used; /* free list, and how many were ever used */
	struct qs_bucket QS_MEM *buckets;
	struct qs_place QS_MEM *places; /* by id */
	uint32_t QS_MEM *taken;		/* QS_BUCKET_MAX ids */
	uint32_t mask;
	uint32_t len;
	uint64_t base;
	uint64_t first; /* none before this one has anything in it; QS_FOREVER */
	/* what is not empty: a bit for each bucket, for each of these words, and
	 * for each of those */
	uint64_t QS_MEM *bits;
	uint64_t words[64], groups;
	uint8_t shift;
};

enum qs_key_kind { QS_KEY_POLICY, QS_KEY_TAG, QS_KEY_RANK };

/* Ready streams in the order of a key. */
struct qs_queue {
	uint32_t kind; /* enum qs_key_kind */
	struct qs_heap heap;
	struct qs_ring ring;
};

/* Units that can expire. */
struct qs_watch {
	struct qs_place QS_MEM *places;	 /* by unit */
	uint32_t root, first;		 /* of the tree */
	uint64_t bytes;			 /* of all of them */
	uint32_t by_drop[QS_PRIORITIES]; /* how many there are of a drop priority */
	uint32_t drops;			 /* and a bit where there are any */
	struct qs_ring ring;
};

#endif
