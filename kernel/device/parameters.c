/* SPDX-License-Identifier: MIT
 *
 * Of a qdisc without classes the kernel takes the parameters that it shows, in
 * the same attributes; but not each of them says what it said:
 *
 *	codel, fq_codel	times are kept in units of 1024 ns and shown in whole
 *			microseconds, rounded down: said again, they lose one
 *	tbf		the largest packet is what fits the burst, in bytes; the
 *			burst is shown as a time, in units of 64 ns, rounded down
 *	sfq		what its RED counted is shown among them
 *	cake		one that measures the link's rate shows what it measured; and
 *			a kernel without connection tracking takes no word of NAT
 *
 * (net/sched/sch_{codel,fq_codel,tbf,sfq,cake}.c.) What others keep is shown
 * in the units in which it is taken.
 */
#include <linux/pkt_sched.h>
#include <string.h>

#include "parameters.h"

#define CODEL_UNIT_NS 1024u
#define TICK_NS 64u /* the kernel's PSCHED_SHIFT */
#define LINKLAYER_MASK 0x0fu

static const char *const kinds[] = {
	"pfifo", "bfifo", "pfifo_head_drop", "pfifo_fast", "noqueue",  "mq",
	"tbf",	 "sfq",	  "codel",	     "fq",	   "fq_codel", "cake",
};

static int is_kind(const struct root *root, const char *kind)
{
	return !strcmp(root->kind, kind);
}

/* An attribute of the options, where it is as long as it should be. */
static uint8_t *find(struct root *root, uint16_t type, size_t bytes)
{
	size_t len;
	const void *value = attribute(root->options, root->options_len, type, &len);

	return value && len == bytes ? root->options + ((const uint8_t *)value - root->options)
				     : NULL;
}

static uint64_t find_u32(struct root *root, uint16_t type)
{
	const void *value = find(root, type, sizeof(uint32_t));
	uint32_t number = 0;

	if (value)
		memcpy(&number, value, sizeof(number));
	return number;
}

static int find_tbf(struct root *root, struct tc_tbf_qopt *tbf)
{
	const void *value = find(root, TCA_TBF_PARMS, sizeof(*tbf));

	if (value)
		memcpy(tbf, value, sizeof(*tbf));
	return value != NULL;
}

const char *parameters_lost(const struct root *root)
{
	struct root copy = *root;
	struct tc_tbf_qopt tbf;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!is_kind(root, kinds[i]))
			continue;
		if (root->options_len > sizeof(root->options))
			return "its options are too long";
		if (is_kind(root, "cake") && find_u32(&copy, TCA_CAKE_AUTORATE))
			return "it measures its rate itself";
		if (is_kind(root, "tbf") &&
		    (!find_tbf(&copy, &tbf) ||
		     (tbf.rate.linklayer & LINKLAYER_MASK) == TC_LINKLAYER_ATM))
			return "the kernel does not show its burst";
		return NULL;
	}
	return "the kernel does not show all of it";
}

/* The least time that is shown as this one. */
static void set_codel_time(struct root *root, uint16_t type)
{
	uint8_t *value = find(root, type, sizeof(uint32_t));
	uint32_t us = (uint32_t)find_u32(root, type);
	uint64_t units = ((uint64_t)us * 1000 + CODEL_UNIT_NS - 1) / CODEL_UNIT_NS;

	us = (uint32_t)((units * CODEL_UNIT_NS + 999) / 1000);
	if (value)
		memcpy(value, &us, sizeof(us));
}

static void append_u32(struct root *root, uint16_t type, uint32_t value)
{
	struct rtattr attr = {.rta_len = RTA_LENGTH(sizeof(value)), .rta_type = type};
	uint8_t *at = root->options + root->options_len;

	if (root->options_len + RTA_SPACE(sizeof(value)) > sizeof(root->options))
		return;
	memcpy(at, &attr, sizeof(attr));
	memcpy(at + RTA_LENGTH(0), &value, sizeof(value));
	root->options_len += RTA_SPACE(sizeof(value));
}

/* The most bytes that take so many ticks, as none that passed may be too large. */
static void append_burst(struct root *root, uint16_t type, uint32_t ticks,
			 const struct tc_ratespec *spec, uint16_t rate64)
{
	const void *wide = find(root, rate64, sizeof(uint64_t));
	uint64_t rate = spec->rate, bytes;
	unsigned __int128 product;

	if (wide)
		memcpy(&rate, wide, sizeof(rate));
	product = ((unsigned __int128)ticks + 1) * TICK_NS * rate;
	bytes = (uint64_t)((product + 999999999u) / 1000000000u) - 1;
	if (!rate || bytes > UINT32_MAX || bytes <= (uint64_t)spec->mpu + spec->overhead)
		return;
	append_u32(root, type, (uint32_t)bytes - spec->overhead);
}

static void set_tbf(struct root *root)
{
	struct tc_tbf_qopt tbf;

	if (!find_tbf(root, &tbf))
		return;
	append_burst(root, TCA_TBF_BURST, tbf.buffer, &tbf.rate, TCA_TBF_RATE64);
	if (tbf.peakrate.rate)
		append_burst(root, TCA_TBF_PBURST, tbf.mtu, &tbf.peakrate, TCA_TBF_PRATE64);
}

static void remove_attribute(struct root *root, uint8_t *value, size_t bytes)
{
	uint8_t *start = value - RTA_LENGTH(0), *end = start + RTA_SPACE(bytes);
	uint8_t *all = root->options + root->options_len;

	if (end > all)
		end = all;
	memmove(start, end, (size_t)(all - end));
	root->options_len -= (uint32_t)(end - start);
}

void parameters_to_set(struct root *root)
{
	uint8_t *value;

	if (is_kind(root, "tbf"))
		set_tbf(root);
	if (is_kind(root, "codel")) {
		set_codel_time(root, TCA_CODEL_TARGET);
		set_codel_time(root, TCA_CODEL_INTERVAL);
		set_codel_time(root, TCA_CODEL_CE_THRESHOLD);
	}
	if (is_kind(root, "fq_codel")) {
		set_codel_time(root, TCA_FQ_CODEL_TARGET);
		set_codel_time(root, TCA_FQ_CODEL_INTERVAL);
		set_codel_time(root, TCA_FQ_CODEL_CE_THRESHOLD);
	}
	if (is_kind(root, "cake") && !find_u32(root, TCA_CAKE_NAT) &&
	    (value = find(root, TCA_CAKE_NAT, sizeof(uint32_t))))
		remove_attribute(root, value, sizeof(uint32_t));
}

/* The options of sfq are one struct, and not attributes. */
static void clear_counters(struct root *root)
{
	struct tc_sfq_qopt_v1 sfq;

	if (!is_kind(root, "sfq") || root->options_len != sizeof(sfq))
		return;
	memcpy(&sfq, root->options, sizeof(sfq));
	memset(&sfq.stats, 0, sizeof(sfq.stats));
	memcpy(root->options, &sfq, sizeof(sfq));
}

int parameters_same(const struct root *a, const struct root *b)
{
	struct root x = *a, y = *b;

	if (x.options_len != y.options_len || x.options_len > sizeof(x.options))
		return 0;
	clear_counters(&x);
	clear_counters(&y);
	return !memcmp(x.options, y.options, x.options_len);
}
