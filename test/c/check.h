/* SPDX-License-Identifier: MIT
 *
 * What the programs in this directory say: "ok NAME", "not ok NAME: why" or
 * "skip NAME: why" for each promise, and "N passed, N failed" at the end. A
 * promise is a function that returns NULL when it holds, else what went wrong.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

#include "qsocket.h"

static int check_passed, check_failed;

/* For a promise: leaves it with the condition that did not hold. */
#define LINE_TEXT(line) #line
#define AT_LINE(line) LINE_TEXT(line)
#define HOLDS(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return "line " AT_LINE(__LINE__) ": " #condition;                          \
	} while (0)

#define SKIP "skip: "

static inline void check(const char *name, const char *why)
{
	if (!why) {
		check_passed++;
		printf("ok %s\n", name);
	} else if (!strncmp(why, SKIP, strlen(SKIP))) {
		printf("skip %s: %s\n", name, why + strlen(SKIP));
	} else {
		check_failed++;
		printf("not ok %s: %s\n", name, why);
	}
	fflush(stdout);
}

static inline int check_end(void)
{
	printf("%d passed, %d failed\n", check_passed, check_failed);
	fflush(stdout);
	return check_failed != 0;
}

/* The calls, as a program makes them. */
static inline int32_t call_init(const char *scheduler, uint64_t rate, uint32_t flags)
{
	struct qsockinit_args args = {.rate = rate, .flags = flags};

	strncpy(args.scheduler, scheduler, sizeof(args.scheduler) - 1);
	return qsocketcall(QSOCKINIT, &args, sizeof(args));
}

static inline int32_t call_close(int32_t handle, uint32_t flags)
{
	struct qclose_args args = {.handle = (uint32_t)handle, .flags = flags};

	return qsocketcall(QCLOSE, &args, sizeof(args));
}

static inline struct qsocket_info call_info(int32_t handle)
{
	struct qinfo_args args = {.handle = (uint32_t)handle};

	if (qsocketcall(QINFO, &args, sizeof(args)))
		memset(&args.info, 0, sizeof(args.info));
	return args.info;
}

static inline uint64_t dropped(const struct qsocket_info *info)
{
	uint64_t sum = 0;

	for (int reason = 0; reason < QSOCKET_REASONS; reason++)
		sum += info->dropped[reason];
	return sum;
}

/* Every message is in exactly one counter. */
static inline int balanced(const struct qsocket_info *info)
{
	return info->offered == info->sent + info->late + dropped(info) + info->queued;
}

#endif
