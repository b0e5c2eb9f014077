/* SPDX-License-Identifier: MIT
 * What callers may say, and what a datagram below the stack says: asked of the
 * headers that every host has it from.
 */
#include "check.h"
#include "sched/check.h"
#include "sched/marks.h"

#define FRAME (QSOCKET_FRAME | QSOCKET_START | QSOCKET_END)
#define MORE 0x2000u /* fragments follow; RFC 791 */
#define WHOLE_ONLY 0x4000u

static const char *takes_names_that_end(void)
{
	char name[QSOCKET_NAME_BYTES] = "eth0";

	HOLDS(qs_name_ok(name));
	name[QSOCKET_NAME_BYTES - 1] = 'x'; /* behind the end */
	HOLDS(!qs_name_ok(name));
	memset(name, 0, sizeof(name));
	HOLDS(qs_name_ok(name));
	memset(name, 'x', sizeof(name));
	HOLDS(!qs_name_ok(name));
	name[QSOCKET_NAME_BYTES - 1] = 0;
	HOLDS(qs_name_ok(name));
	return NULL;
}

static uint32_t periods(uint64_t ipg_ns)
{
	return qs_periods(&(struct qsocket_attr){.ipg_ns = ipg_ns});
}

static const char *counts_periods(void)
{
	HOLDS(periods(0) == 0);
	HOLDS(periods(1) == QS_PERIODS_MAX && periods(10000) == QS_PERIODS_MAX);
	HOLDS(periods(10001) == 99990);
	HOLDS(periods(1000000000) == 1 && periods(1000000001) == 0);
	HOLDS(periods(UINT64_MAX) == 0);
	return NULL;
}

static const char *leaves_whole_datagrams_alone(void)
{
	HOLDS(qs_marks_ipv4(0, 0) == 0 && qs_marks_ipv4(0, WHOLE_ONLY) == 0);
	HOLDS(qs_marks_ipv4(FRAME | 1u << 12, WHOLE_ONLY) == (FRAME | 1u << 12));
	return NULL;
}

static const char *makes_a_frame_of_fragments(void)
{
	HOLDS(qs_marks_ipv4(0, MORE) == (QSOCKET_FRAME | QSOCKET_START));
	HOLDS(qs_marks_ipv4(0, MORE | 185) == QSOCKET_FRAME);
	HOLDS(qs_marks_ipv4(0, 370) == (QSOCKET_FRAME | QSOCKET_END));
	HOLDS(qs_marks_ipv6(0, 1) == (QSOCKET_FRAME | QSOCKET_START));
	HOLDS(qs_marks_ipv6(0, 185 << 3 | 1) == QSOCKET_FRAME);
	HOLDS(qs_marks_ipv6(0, 370 << 3) == (QSOCKET_FRAME | QSOCKET_END));
	return NULL;
}

static const char *keeps_the_part_that_it_was(void)
{
	const uint32_t start = QSOCKET_FRAME | QSOCKET_START, end = QSOCKET_FRAME | QSOCKET_END;

	HOLDS(qs_marks_ipv4(start, MORE) == start && qs_marks_ipv4(start, 370) == QSOCKET_FRAME);
	HOLDS(qs_marks_ipv4(end, MORE) == QSOCKET_FRAME && qs_marks_ipv4(end, 370) == end);
	HOLDS(qs_marks_ipv6(QSOCKET_FRAME, 1) == QSOCKET_FRAME);
	return NULL;
}

static const char *has_no_marks_without_a_frame(void)
{
	HOLDS(qs_marks_sound(FRAME | QSOCKET_LEADING) == (FRAME | QSOCKET_LEADING));
	HOLDS(qs_marks_sound(QSOCKET_START | QSOCKET_END | QSOCKET_LEADING) == 0);
	HOLDS(qs_marks_sound(QSOCKET_DEADLINE | QSOCKET_END) == QSOCKET_DEADLINE);
	return NULL;
}

int main(void)
{
	check("a name ends, and nothing is behind its end", takes_names_that_end());
	check("a stream counts as its periods a second, up to a limit", counts_periods());
	check("a datagram that was not cut keeps its marks", leaves_whole_datagrams_alone());
	check("the fragments of a message are a frame", makes_a_frame_of_fragments());
	check("... or the part of a frame that it was", keeps_the_part_that_it_was());
	check("who sends no frame says nothing of one", has_no_marks_without_a_frame());
	return check_end();
}
