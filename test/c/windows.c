/* SPDX-License-Identifier: MIT
 * What is promised of loss windows, on the virtual link: a slot is the time of
 * one message, all messages are of one size, periods are whole slots, and the
 * message of each period is due at its end. A stream that may lose x of y owes
 * m = y - x of every k = y; U is the sum of m C / (k T), at most 1.
 *
 * Where each stream owes one of its window or all of it (m = 1 or m = k), its
 * messages are jobs of one slot: due at the end of the window, or of the
 * period. The orders of dwcs (at equal periods) and of vds (at any) are then
 * those of the jobs' deadlines, which meet all if that is possible at all, and
 * up to U = 1 it is: Liu and Layland, J. ACM 20(1), 1973.
 *
 * Where other windows are mixed neither order is optimal: see the last promise.
 * Small windows are played through instead: a set is back where it began after
 * the least common multiple of its windows, so that one round is proof. Played
 * that way, windows of at most six are kept in periods of one, two and three
 * slots (201315 sets, of which the 9820 of one and two are played here), and not by
 * 2 of 2393191 sets in periods of four.
 *
 *	windows [SEED [SETS]]
 */
#include "slots.h"

#define ROUND 144u /* slots after which a random set is back where it began */

#if defined(__SANITIZE_THREAD__) /* there is but one thread: nothing to find */
#define SETS 300
#define SLOTS_PLAYED 1
#else
#define SETS 10000
#define SLOTS_PLAYED 2
#endif

static uint32_t sets = SETS;
static uint64_t seed = 20040601;

static uint32_t below(uint32_t limit)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 33) % limit);
}

/* ---- sets --------------------------------------------------------------- */

/* Periods and windows of the random sets. Every product divides WHOLE, so that
 * shares are exact; of the first row also ROUND. */
static const uint32_t DIVISORS[] = {1, 2, 3, 4, 6, 12}, TO_SIX[] = {1, 2, 3, 4, 5, 6};

/* Adds a stream where there is room for it. */
static int add(struct set *set, struct stream stream)
{
	if (set->len == STREAMS_MAX || set->share + share(&stream) > WHOLE)
		return 0;
	set->share += share(&stream);
	set->streams[set->len++] = stream;
	return 1;
}

/* One of two of a stream's windows that are scheduled optimally: all but one
 * of y may be lost, or none. */
static uint32_t extreme(uint32_t y)
{
	return below(3) ? y - 1 : 0;
}

/* Fills what is left with streams that owe one of y: WHOLE then, or nearly. */
static void fill(struct set *set, const uint32_t *slots, uint32_t slots_len)
{
	for (uint32_t i = 0; i < slots_len; i++)
		for (uint32_t j = 0; j < 6;) {
			uint32_t y = DIVISORS[j];

			if (!add(set, (struct stream){slots[i], y - 1, y, below(y * slots[i])}))
				j++;
		}
}

/* Every stream of one period, all beginning at once; windows of m = 1 or k. */
static struct set equal_periods(void)
{
	uint32_t slots = DIVISORS[below(5)], streams = 1 + below(16);
	struct set set = {0};

	for (uint32_t i = 0; i < streams; i++) {
		uint32_t y = DIVISORS[below(6)];

		add(&set, (struct stream){slots, extreme(y), y, 0});
	}
	if (below(2))
		fill(&set, &slots, 1);
	for (uint32_t i = 0; i < set.len; i++)
		set.streams[i].offset = 0;
	return set;
}

/* The same with any windows of at most six. */
static struct set small_windows(void)
{
	uint32_t slots = 1 + below(3), streams = 2 + below(STREAMS_MAX - 2);
	struct set set = {0};

	for (uint32_t i = 0; i < streams; i++) {
		uint32_t y = 1 + below(6);

		add(&set, (struct stream){slots, below(y), y, 0});
	}
	return set;
}

/* Any periods, beginning anywhere; windows of m = 1 or k, or any. */
static struct set any_periods(int any_window)
{
	const uint32_t *among = below(3) ? TO_SIX : DIVISORS;
	uint32_t streams = 1 + below(12);
	struct set set = {0};

	for (uint32_t i = 0; i < streams; i++) {
		uint32_t slots = among[below(6)], y = among[below(6)];

		add(&set, (struct stream){slots, any_window ? below(y) : extreme(y), y,
					  below(slots * y)});
	}
	if (below(2))
		fill(&set, DIVISORS, 6);
	return set;
}

static uint32_t common_multiple(const struct set *set)
{
	uint32_t multiple = 1;

	for (uint32_t i = 0; i < set->len; i++) {
		uint32_t a = multiple, b = set->streams[i].y;

		while (b) {
			uint32_t rest = a % b;

			a = b;
			b = rest;
		}
		multiple = multiple / a * set->streams[i].y;
	}
	return multiple;
}

/* ---- promises ----------------------------------------------------------- */

static uint32_t reached, reached_in_window; /* streams that waited as long as they may */

/* What follows where no window is violated: within one, x losses at the most
 * come before a message that is sent, and that one begins at the latest C
 * before the end of its period. So a stream waits at most (x + 1)T - C there,
 * and (2x + 1)T - C where the last losses of a window meet those of the next.
 * West, Poellabauer: "Analysis of a Window-Constrained Scheduler for Real-Time
 * and Best-Effort Packet Streams", RTSS 2000, has the first of the two. */
static int waits_too_long(const struct set *set)
{
	for (uint32_t i = 0; i < set->len; i++) {
		const struct stream *s = &set->streams[i];
		uint32_t in_window = (s->x + 1) * s->slots - 1;
		uint32_t across = (2 * s->x + 1) * s->slots - 1;

		if (fates[i].wait_in_window > in_window || fates[i].wait > across)
			return 1;
		reached_in_window += s->x > 0 && fates[i].wait_in_window == in_window;
		reached += s->x > 0 && fates[i].wait == across;
	}
	return 0;
}

static const char *keeps(const char *scheduler, const struct set *set, uint32_t slots)
{
	if (!play(scheduler, set, slots))
		return about("a call failed", set);
	if (violated(set))
		return about("violated", set);
	if (waits_too_long(set))
		return about("waited too long", set);
	return NULL;
}

/* How many of the sets another scheduler violates, of those that do not fit
 * without losses, and of the last thousand only. */
static uint32_t others, violated_by_other;

static void compare(const char *other, const struct set *set, uint32_t slots)
{
	uint32_t without_losses = 0;

	for (uint32_t i = 0; i < set->len; i++)
		without_losses += WHOLE / set->streams[i].slots;
	if (without_losses <= WHOLE || !play(other, set, slots))
		return;
	others++;
	violated_by_other += violated(set) > 0;
}

static const char *dwcs_at_equal_periods(void)
{
	uint32_t full = 0;

	others = violated_by_other = 0;
	for (uint32_t n = 0; n < sets; n++) {
		struct set set = equal_periods();
		uint32_t slots = 12 * set.streams[0].slots;
		const char *failed = keeps("dwcs", &set, slots);

		if (failed)
			return failed;
		full += set.share == WHOLE;
		if (n % 10 == 0)
			compare("edf", &set, slots);
	}
	printf("# %u sets, %u of them at U = 1; edf violated %u of %u\n", sets, full,
	       violated_by_other, others);
	HOLDS(full > sets / 4);
	HOLDS(others > sets / 40 && violated_by_other > others / 2);
	return NULL;
}

static const char *dwcs_with_small_windows(void)
{
	for (uint32_t n = 0; n < sets; n++) {
		struct set set = small_windows();
		const char *failed =
			keeps("dwcs", &set, common_multiple(&set) * set.streams[0].slots);

		if (failed)
			return failed;
	}
	return NULL;
}

/* Every set of one more stream, of the windows from x/y on. */
static const char *every_set(struct set *set, uint32_t slots, uint32_t x, uint32_t y,
			     uint32_t *count)
{
	static const char *const orders[] = {"dwcs", "dwcs99", "vds"};
	const char *failed = NULL;

	for (; y <= 6 && !failed; y++, x = 0)
		for (; x < y && !failed; x++) {
			struct set more = *set;

			if (!add(&more, (struct stream){slots, x, y, 0}))
				continue;
			for (int i = 0; i < 3 && !failed; i++)
				failed = keeps(orders[i], &more, common_multiple(&more) * slots);
			++*count;
			if (!failed)
				failed = every_set(&more, slots, x, y, count);
		}
	return failed;
}

static const char *every_set_of_small_windows(void)
{
	uint32_t count = 0;

	for (uint32_t slots = 1; slots <= SLOTS_PLAYED; slots++) {
		struct set none = {0};
		const char *failed = every_set(&none, slots, 0, 1, &count);

		if (failed)
			return failed;
	}
	printf("# %u sets\n", count);
	return NULL;
}

static const char *vds_at_any_periods(void)
{
	uint32_t full = 0;

	others = violated_by_other = 0;
	for (uint32_t n = 0; n < sets; n++) {
		struct set set = any_periods(0);
		const char *failed = keeps("vds", &set, 2 * ROUND);

		if (failed)
			return failed;
		full += set.share == WHOLE;
		if (n % 10 == 0)
			compare("dwcs", &set, 2 * ROUND);
	}
	printf("# %u sets, %u of them at U = 1; dwcs violated %u of %u\n", sets, full,
	       violated_by_other, others);
	HOLDS(full > sets / 4);
	HOLDS(violated_by_other > others / 10);
	return NULL;
}

/* Not promised, but what vds is for: mixed windows at mixed periods. */
static const char *vds_with_any_windows(void)
{
	uint32_t violated_by_vds = 0;

	others = violated_by_other = 0;
	for (uint32_t n = 0; n < sets / 5; n++) {
		struct set set = any_periods(1);

		if (!play("vds", &set, 2 * ROUND))
			return about("a call failed", &set);
		violated_by_vds += violated(&set) > 0;
		compare("dwcs", &set, 2 * ROUND);
	}
	printf("# vds violated %u of %u sets, dwcs %u of %u\n", violated_by_vds, sets / 5,
	       violated_by_other, others);
	HOLDS(violated_by_vds < sets / 5 / 50 && violated_by_other > 10 * violated_by_vds);
	return NULL;
}

static const char *waits(void)
{
	printf("# waited as long: %u streams in a window, %u across two\n", reached_in_window,
	       reached);
	HOLDS(reached_in_window > 0 && reached > 0);
	return NULL;
}

/* Neither order is optimal, all periods being equal. Of long windows the
 * densest goes first (37 of 60), until two that owe 1 of 10 are left with one
 * slot, though 49/60 of the link are asked for. And with four slots a period,
 * all of the link asked for, those that owe 2 of 6 come too late. */
static const char *neither_is_optimal(void)
{
	static const char *const orders[] = {"dwcs", "dwcs99", "vds"};
	struct set lengths = {0}, slots = {0};

	HOLDS(add(&lengths, (struct stream){1, 23, 60, 0}));
	HOLDS(add(&lengths, (struct stream){1, 9, 10, 0}));
	HOLDS(add(&lengths, (struct stream){1, 9, 10, 0}));
	HOLDS(lengths.share == WHOLE * 49 / 60);
	for (int i = 0; i < 7; i++)
		HOLDS(add(&slots,
			  i < 4 ? (struct stream){4, 1, 4, 0} : (struct stream){4, 4, 6, 0}));
	HOLDS(slots.share == WHOLE);
	for (int i = 0; i < 3; i++) {
		HOLDS(play(orders[i], &lengths, 60) && violated(&lengths));
		HOLDS(play(orders[i], &slots, 4 * 12) && violated(&slots));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : seed;
	sets = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : sets;
	runs = calloc(1, RUNS_BYTES);
	check("dwcs violates no window of m = 1 or k at equal periods up to U = 1",
	      dwcs_at_equal_periods());
	check("dwcs violates no window of at most six in equal periods of three slots up to U = 1",
	      dwcs_with_small_windows());
	check("dwcs, dwcs99 and vds violate no window of any set of windows of at most six in "
	      "periods of one or two slots",
	      every_set_of_small_windows());
	check("vds violates no window of m = 1 or k at any periods up to U = 1",
	      vds_at_any_periods());
	check("vds violates few windows of any kind at any periods", vds_with_any_windows());
	check("a stream waits at most (x + 1)T - C in a window, and sometimes so long", waits());
	check("no other windows are promised: sets that fit and are violated",
	      neither_is_optimal());
	free(runs);
	return check_end();
}
