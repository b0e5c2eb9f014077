/*
 * Takes what processor time nobody else wants, and says how much that was: all the rest is what the
 * machine did, interrupts and softirqs among it, which are in no process's account. For a machine
 * with one processor, such as a guest whose clock counts instructions: there it is exact.
 *
 *     idler
 *     stdout  ready             it has found out how fast it is when it is alone
 *     stdin   a line            counts from now on
 *     stdin   another line
 *     stdout  {...}             "wallMs", and of it "busyMs", in which others had the processor
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 200000 /* between two looks at the input */
#define ALONE_NS 100000000ull
#define ALONE_TIMES 10 /* the best counts: in another somebody else may have had a share */

struct spun {
	uint64_t turns, wall_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* Takes one line; they are shorter than the buffer, and sent one at a time. */
static bool line_came(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char text[64];

	return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, text, sizeof(text)) >= 0;
}

/* Does the same work over and over: for so long, or if that is 0 until a line comes. */
static struct spun spin(uint64_t for_ns)
{
	uint64_t begun = now_ns();
	struct spun spun = {0};

	while (!line_came() && (!for_ns || now_ns() - begun < for_ns)) {
		for (uint32_t i = 0; i < ROUNDS; i++)
			__asm__ volatile("" : "+r"(i));
		spun.turns++;
	}
	spun.wall_ns = now_ns() - begun;
	return spun;
}

int main(void)
{
	struct sched_param param = {.sched_priority = 0};

	if (sched_setscheduler(0, SCHED_IDLE, &param)) {
		fprintf(stderr, "Cannot give way to all others: %s\n", strerror(errno));
		return 1;
	}
	double turn_ns = INFINITY;
	for (int i = 0; i < ALONE_TIMES; i++) {
		struct spun alone = spin(ALONE_NS);

		turn_ns = fmin(turn_ns, (double)alone.wall_ns / alone.turns);
	}
	puts("ready");
	fflush(stdout);
	spin(0);
	struct spun beside = spin(0);
	double idle_ns = beside.turns * turn_ns;

	printf("{\"wallMs\":%.3f,\"busyMs\":%.3f}\n", beside.wall_ns / 1e6,
	       (beside.wall_ns - idle_ns) / 1e6);
	return 0;
}
