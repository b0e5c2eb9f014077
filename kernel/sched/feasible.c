/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * Whether a link can keep what its streams ask for, told from their
 * attributes alone, before anything is sent.
 *
 * A stream that says its period T and the bytes C of a frame asks for C/T of
 * the link's rate; where windows count (dwcs, dwcs99, vds) for (1 - x/y) C/T,
 * as the rest may be lost. What is never dropped is sent whole. A sum above the
 * rate can be kept by nobody. One that is not is kept, of packets of one size:
 * by vds where each window allows no loss, or all but one; by dwcs where
 * besides all their periods are equal. Other windows are kept too, but in rare
 * sets (test/c/windows.c has some). At unequal periods dwcs and dwcs99, which
 * order by deadlines that slide with the period, may break them at low load.
 *
 * Under cbq a class's streams must also fit into what the class is guaranteed.
 * What it may borrow is not promised, so it does not count; nor is anything
 * promised to the class of the rest, once there are others.
 *
 * West, Zhang, Schwan, Poellabauer, IEEE Trans. Computers 53(6), 2004; for
 * vds, sum m C/(k T) <= 1: Zhang, West, Qi, RTSS 2004.
 *
 * What the sum does not cover: a packet on the wire is not taken back for one
 * that is due earlier, so a deadline as short as the largest packet's time can
 * be missed at any load; packets of several sizes; streams that send more, or
 * earlier, than they said; best effort's share; time the host oversleeps.
 *
 * The sum is kept as streams come and go, in bytes per second and parts of
 * 2^-32 of one, each stream's rounded down: what fits exactly is not refused,
 * and what is too much by more than 2^-32 bytes per second a stream is. The
 * link's rate is not in it, so it may change at any time.
 */
#include "parts.h"

#define PPM 1000000u
/* Beyond this a stream asks too much of any link, and sums stay in 64 bits. */
#define DEMAND_MAX (8 * QSOCKET_RATE_MAX)

_Static_assert(DEMAND_MAX < UINT64_MAX / QSOCKET_STREAMS_MAX, "a sum of all streams");
_Static_assert(QSOCKET_IPG_NS_MAX < 1ull << (QS_PERIOD_DIGITS * QS_DIGIT_BITS),
	       "a period's digits");
_Static_assert((uint64_t)QSOCKET_STREAMS_MAX *QSOCKET_STREAMS_MAX <= UINT64_MAX >>
		       (2 * QS_DIGIT_BITS),
	       "n sum d^2, of every stream's digit");
_Static_assert(QSOCKET_IPG_NS_MAX <= UINT64_MAX / 16 / QSOCKET_WINDOW_MAX,
	       "a remainder's next digit");

/* What one stream asks for. */
struct ask {
	struct qs_demand demand;
	uint64_t period_ns; /* that others must share; 0 = none */
	uint32_t class_id;
};

/* bytes * share / (period * of), in bytes per second: a long division, digit
 * by digit, that needs no more than 64 bits. */
static void rate_of(uint64_t bytes, uint64_t share, uint64_t period_ns, uint64_t of,
		    struct qs_demand *demand)
{
	uint64_t left = bytes * share, by = period_ns * of;

	*demand = (struct qs_demand){.bytes = left / by};
	left %= by;
	for (int digit = 0; digit < 9; digit++, left %= by) {
		left *= 10;
		demand->bytes = demand->bytes * 10 + left / by;
	}
	if (demand->bytes >= DEMAND_MAX) {
		demand->bytes = DEMAND_MAX;
		return;
	}
	for (int digit = 0; digit < 8; digit++, left %= by) {
		left *= 16;
		demand->parts = demand->parts * 16 + left / by;
	}
}

static void ask_of(const struct qs_policy *policy, const struct qsocket_attr *attr, struct ask *ask)
{
	int windowed = policy->slides && attr->old > 0;
	int lossy = windowed && !(attr->flags & QSOCKET_UNDROPPABLE);

	*ask = (struct ask){.class_id = attr->class_id};
	if (!attr->ipg_ns)
		return;
	if (policy->equal_periods && windowed && attr->oln < attr->old)
		ask->period_ns = attr->ipg_ns;
	rate_of(attr->unit_bytes, lossy ? attr->old - attr->oln : 1, attr->ipg_ns,
		lossy ? attr->old : 1, &ask->demand);
}

static void ask_of_stream(const struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s,
			  struct ask *ask)
{
	struct qsocket_attr attr = {
		.ipg_ns = s->period_ns,
		.oln = s->x,
		.old = s->y,
		.flags = s->undroppable ? QSOCKET_UNDROPPABLE : 0,
		.unit_bytes = s->unit_bytes,
		.class_id = s->class_id,
	};

	ask_of(QS_POLICY(link), &attr, ask);
}

/* Periods are told apart by sums that any stream can leave again: n numbers
 * are all equal exactly when n sum d^2 = (sum d)^2 (Cauchy, Schwarz), here
 * digit by digit, for the squares to fit. */
static void count_period(struct qs_booked QS_MEM *booked, uint64_t period_ns, uint64_t times)
{
	if (!period_ns)
		return;
	booked->periods += (uint32_t)times;
	for (int i = 0; i < QS_PERIOD_DIGITS; i++, period_ns >>= QS_DIGIT_BITS) {
		uint64_t digit = period_ns & ((1u << QS_DIGIT_BITS) - 1);

		booked->sums[i] += times * digit;
		booked->squares[i] += times * digit * digit;
	}
}

static int periods_differ(const struct qs_booked QS_MEM *booked)
{
	for (int i = 0; i < QS_PERIOD_DIGITS; i++)
		if (booked->periods * booked->squares[i] != booked->sums[i] * booked->sums[i])
			return 1;
	return 0;
}

/* `times`: 1, or -1 to take it out again; unsigned sums turn round as one. */
static void count(struct qs_booked QS_MEM *booked, const struct ask *ask, uint64_t times)
{
	booked->all.bytes += times * ask->demand.bytes;
	booked->all.parts += times * ask->demand.parts;
	booked->classes[ask->class_id].bytes += times * ask->demand.bytes;
	booked->classes[ask->class_id].parts += times * ask->demand.parts;
	count_period(booked, ask->period_ns, times);
}

void qs_book(struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s)
{
	struct ask ask;

	ask_of_stream(link, s, &ask);
	count(&link->booked, &ask, 1);
}

void qs_unbook(struct qs_link QS_MEM *link, const struct qs_stream QS_MEM *s)
{
	struct ask ask;

	ask_of_stream(link, s, &ask);
	count(&link->booked, &ask, (uint64_t)-1);
}

static uint64_t guaranteed(const struct qs_link QS_MEM *link, uint32_t class_id)
{
	const struct qs_classes QS_MEM *classes = link->own;

	if (!QS_POLICY(link)->classes || classes->len == 0)
		return link->rate;
	return classes->all[class_id].rate;
}

/* Of a rate, in millionths, rounded up: above PPM exactly when it exceeds it. */
static uint64_t ppm_of(struct qs_demand demand, uint64_t rate)
{
	uint64_t bytes = demand.bytes + (demand.parts >> 32);
	uint64_t parts = (demand.parts & UINT32_MAX) * PPM, left;

	if (!bytes && !parts)
		return 0;
	if (!rate || bytes / rate >= QSOCKET_UTILISATION_PPM_MAX / PPM)
		return QSOCKET_UTILISATION_PPM_MAX;
	left = bytes % rate * PPM + (parts >> 32);
	return bytes / rate * PPM + left / rate + (left % rate || (parts & UINT32_MAX));
}

static uint64_t class_ppm(const struct qs_link QS_MEM *link, const struct qs_booked QS_MEM *booked,
			  uint32_t class_id)
{
	return ppm_of(booked->classes[class_id], guaranteed(link, class_id));
}

static void tell(const struct qs_link QS_MEM *link, const struct qs_booked QS_MEM *booked,
		 uint64_t class_most_ppm, struct qsocket_admission *admission)
{
	uint64_t ppm = ppm_of(booked->all, link->rate);

	*admission = (struct qsocket_admission){
		.utilisation_ppm = ppm > class_most_ppm ? ppm : class_most_ppm,
	};
	if (admission->utilisation_ppm > PPM)
		admission->flags |= QSOCKET_OVERBOOKED;
	if (periods_differ(booked))
		admission->flags |= QSOCKET_UNEQUAL;
}

void qs_booked(const struct qs_link QS_MEM *link, struct qsocket_admission *admission)
{
	const struct qs_classes QS_MEM *classes = link->own;
	uint32_t len = QS_POLICY(link)->classes ? classes->len : 0;
	uint64_t most_ppm = 0;

	for (uint32_t i = 0; i <= len; i++) {
		uint64_t ppm = class_ppm(link, &link->booked, i);

		most_ppm = ppm > most_ppm ? ppm : most_ppm;
	}
	tell(link, &link->booked, most_ppm, admission);
}

uint64_t qs_share_ppm(const struct qs_link QS_MEM *link, uint32_t stream)
{
	struct ask ask;

	ask_of_stream(link, &link->streams[stream], &ask);
	return ppm_of(ask.demand, guaranteed(link, ask.class_id));
}

static int asks_more(const struct ask *before, const struct ask *after)
{
	const struct qs_demand *a = &after->demand, *b = &before->demand;

	if (after->class_id != before->class_id)
		return a->bytes || a->parts;
	return a->bytes != b->bytes ? a->bytes > b->bytes : a->parts > b->parts;
}

int32_t qs_feasible(struct qs_link QS_MEM *link, uint32_t stream, const struct qsocket_attr *attr,
		    struct qsocket_admission *admission)
{
	struct qs_booked QS_MEM *booked = &link->booked;
	struct ask before = {.class_id = attr->class_id}, after;

	ask_of(QS_POLICY(link), attr, &after);
	*admission = (struct qsocket_admission){0};
	if (!qs_class_ok(link, attr->class_id))
		return -QS_EINVAL;
	if (stream != QS_NONE)
		ask_of_stream(link, &link->streams[stream], &before);
	/* in place, and back: the sums are exact */
	count(booked, &before, (uint64_t)-1);
	count(booked, &after, 1);
	tell(link, booked, class_ppm(link, booked, after.class_id), admission);
	count(booked, &after, (uint64_t)-1);
	count(booked, &before, 1);
	if (attr->flags & QSOCKET_ADMIT && admission->flags & QSOCKET_OVERBOOKED &&
	    asks_more(&before, &after))
		return -QS_EBUSY;
	return 0;
}
