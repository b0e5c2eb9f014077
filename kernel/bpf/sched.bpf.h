/* SPDX-License-Identifier: GPL-2.0-only
 *
 * The scheduler as one program for the verifier: its files, with one policy,
 * QS_ONLY, so that no call goes through a pointer.
 *
 * The verifier follows every path through a program, into each call. What it
 * need not follow again for each caller is a global function, which it looks
 * at once, for any arguments: numbers only, so pointers go as such. A part of
 * the scheduler that others call is therefore called through one of these:
 * PART(x, ...) defines below_x(), and a macro of the part's own name stands for
 * it in the files that come after.
 *
 * cbq is not among the policies that are built so: nobody could say its classes
 * to a device yet (device/bpf.c hands none over, the gate takes no class_id), and
 * the loops of class.c and cbq.c have not been put to the verifier.
 */
#ifndef QS_SCHED_BPF_H
#define QS_SCHED_BPF_H

#define QS_MEM __attribute__((address_space(1)))
#define QS_LOOP may_go_on()
#define QS_ZERO (*(volatile uint64_t QS_MEM *)(QS_BELOW_ADDRESS + QS_BELOW_ZERO))
#define QS_POLICY(link) ((void)(link), &QS_ONLY)
#define QS_APART __attribute__((noinline))
#define QS_FETCH(p) ((void)(p))
#define QS_FETCHES 0

#define BELOW ((struct qs_below QS_MEM *)QS_BELOW_ADDRESS)
#define LINK (&BELOW->link)
#define PART(name, ...) __attribute__((noinline)) int below_##name(__VA_ARGS__)

/* clang-format off */
#define SCHED_BEGIN \
	_Pragma("clang attribute push(__attribute__((internal_linkage)), apply_to = any(function, variable(is_global)))")
/* clang-format on */
#define SCHED_END _Pragma("clang attribute pop")

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wundefined-internal"
#pragma clang diagnostic ignored "-Wmissing-prototypes"

SCHED_BEGIN
#include "below.h"
#include "../sched/check.h"
#include "../sched/parts.h"

#include QS_POLICY_FILE
#include "../sched/fair.c"
#include "../sched/heap.c"
#include "../sched/ring.c"
#include "../sched/watch.c"
#include "../sched/window.c"
#include "../sched/worth.c"
SCHED_END

PART(watch, u32 unit)
{
	qs_watch(LINK, unit);
	return 0;
}

PART(unwatch, u32 unit)
{
	qs_unwatch(LINK, unit);
	return 0;
}

PART(watch_first, void)
{
	return (int)qs_watch_first(LINK);
}

PART(watch_next, u32 unit)
{
	return (int)qs_watch_next(LINK, unit);
}

#define qs_watch(link, unit) ((void)below_watch(unit))
#define qs_unwatch(link, unit) ((void)below_unwatch(unit))
#define qs_watch_first(link) ((uint32_t)below_watch_first())
#define qs_watch_next(link, unit) ((uint32_t)below_watch_next(unit))

SCHED_BEGIN
#include "../sched/ready.c"
SCHED_END

PART(compete, u32 stream)
{
	qs_compete(LINK, stream);
	return 0;
}

PART(withdraw, u32 stream)
{
	qs_withdraw(LINK, stream);
	return 0;
}

PART(reorder, u32 stream)
{
	qs_reorder(LINK, stream);
	return 0;
}

PART(queue_first, u64 queue)
{
	return (int)qs_queue_first((struct qs_queue QS_MEM *)queue, LINK);
}

#define qs_compete(link, stream) ((void)below_compete(stream))
#define qs_withdraw(link, stream) ((void)below_withdraw(stream))
#define qs_reorder(link, stream) ((void)below_reorder(stream))
#define qs_queue_first(queue, link) ((uint32_t)below_queue_first((u64)(queue)))

SCHED_BEGIN
#include "../sched/admit.c"
SCHED_END

PART(doomed, u32 unit, u64 now_ns)
{
	return qs_doomed(LINK, unit, now_ns);
}

PART(fits, u32 unit, u32 bytes, u64 now_ns)
{
	return qs_fits(LINK, unit, bytes, now_ns);
}

PART(endangers, u32 unit, u64 bytes, u32 drop, u64 now_ns)
{
	return qs_endangers(LINK, unit, bytes, drop, now_ns);
}

#define qs_doomed(link, unit, now_ns) below_doomed(unit, now_ns)
#define qs_fits(link, unit, bytes, now_ns) below_fits(unit, bytes, now_ns)
#define qs_endangers(link, unit, bytes, drop, now_ns) below_endangers(unit, bytes, drop, now_ns)

PART(settle, u32 stream);
PART(unit_unlink, u32 unit);

#define qs_settle(link, stream) ((void)below_settle(stream))
#define qs_unit_unlink(link, unit) ((void)below_unit_unlink(unit))

SCHED_BEGIN
#include "../sched/lose.c"
SCHED_END

PART(lose, u32 unit, u32 reason)
{
	qs_lose(LINK, unit, reason);
	return 0;
}

PART(drop, u32 unit, u32 reason)
{
	qs_drop(LINK, unit, reason);
	return 0;
}

PART(expire, u64 now_ns)
{
	qs_expire(LINK, now_ns);
	return 0;
}

PART(break_chain, u32 stream, u32 unit)
{
	qs_break_chain(LINK, &LINK->streams[stream], unit);
	return 0;
}

#define qs_lose(link, unit, reason) ((void)below_lose(unit, reason))
#define qs_drop(link, unit, reason) ((void)below_drop(unit, reason))
#define qs_expire(link, now_ns) ((void)below_expire(now_ns))
#define qs_break_chain(link, s, unit) ((void)below_break_chain((u32)((s) - (link)->streams), unit))

SCHED_BEGIN
#include "../sched/frame.c"
#include "../sched/feasible.c"
#include "../sched/outcome.c"
#include "../sched/pace.c"
#include "../sched/stream.c"
#undef qs_settle
#undef qs_unit_unlink
#include "../sched/sched.c"
SCHED_END

PART(settle, u32 stream)
{
	qs_settle(LINK, stream);
	return 0;
}

PART(unit_unlink, u32 unit)
{
	qs_unit_unlink(LINK, unit);
	return 0;
}

PART(enqueue, u32 stream, u64 now_ns, const struct qs_arrival *arrival __arg_nonnull,
     struct qs_queued *queued __arg_nonnull)
{
	return qs_enqueue(LINK, stream, now_ns, arrival, queued);
}

PART(abandon, u32 stream)
{
	qs_abandon(LINK, stream);
	return 0;
}

#pragma clang diagnostic pop

#endif
