/* SPDX-License-Identifier: MIT
 *
 * What the contenders of sched.c are given to do, and how they get memory.
 */
#ifndef SCHED_LOAD_H
#define SCHED_LOAD_H

#include <stddef.h>

#include "sched.h"

#define MESSAGE_BYTES 1200u
#define MESSAGE_FLAGS (QSOCKET_DEADLINE | 6u << QSOCKET_DROP_SHIFT) /* as qsend()'s default */
#define SPARSE_QUEUED 16u
#define SPARSE_DUE 256u	   /* transmissions, the least time until a deadline */
#define SPARSE_PERIODS 64u /* in the time until a deadline */
#define ARRIVALS (1u << 20)

/* A host's own notes of a stream. */
struct source {
	uint64_t deadline_ns; /* of its last message */
	uint64_t period_ns;
};

struct load {
	int sparse;
	uint32_t streams, depth, queued;
	uint64_t rate, tx_ns;
	uint32_t *arrivals; /* random streams: each once, and so on; for sparse, any */
	struct source *sources;
};

/* From STREAMS DEPTH SPREAD LEAD; see sched.c. */
void plan_load(struct load *load, int sparse, char **argument);

/* An argument as a number, or the end of the program. */
double number(const char *text, const char *name, double least, double most);

/* Prints what streams and messages weigh under a policy, as JSON. */
void memory_report(const struct qs_policy *policy);

/* As kernel/engine maps a link's: zeroed, and nothing is there until touched. */
void *map_memory(size_t bytes);

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
