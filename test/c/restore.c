/* SPDX-License-Identifier: MIT
 *
 * What comes back of a root qdisc: which can, what is said to the kernel for it
 * to be shown again, and what is told of one that is not what it was. The
 * kernel's arithmetic is repeated here as it is in net/sched.
 */
#include <errno.h>

#include "check.h"
#include "device/parameters.h"
#include "device/restore.h"

static void add(struct root *root, uint16_t type, const void *value, uint16_t bytes)
{
	struct rtattr attr = {.rta_len = (uint16_t)RTA_LENGTH(bytes), .rta_type = type};

	memcpy(root->options + root->options_len, &attr, sizeof(attr));
	memcpy(root->options + root->options_len + RTA_LENGTH(0), value, bytes);
	root->options_len += RTA_SPACE(bytes);
}

static void add_u32(struct root *root, uint16_t type, uint32_t value)
{
	add(root, type, &value, sizeof(value));
}

static uint32_t u32_of(const struct root *root, uint16_t type)
{
	size_t len;
	const void *at = attribute(root->options, root->options_len, type, &len);
	uint32_t value = UINT32_MAX;

	if (at && len == sizeof(value))
		memcpy(&value, at, sizeof(value));
	return value;
}

static struct root root_of(const char *kind)
{
	struct root root = {.handle = 0x80010000};
	struct tc_tbf_qopt tbf = {.rate.rate = 1, .rate.linklayer = TC_LINKLAYER_ETHERNET};

	strcpy(root.kind, kind);
	if (!strcmp(kind, "tbf"))
		add(&root, TCA_TBF_PARMS, &tbf, sizeof(tbf));
	return root;
}

static const char *each_kind_comes_back_or_is_named(void)
{
	static const char *const kept[] = {
		"pfifo", "bfifo", "pfifo_head_drop", "pfifo_fast", "noqueue",  "mq",
		"tbf",	 "sfq",	  "codel",	     "fq",	   "fq_codel", "cake"};
	static const char *const refused[] = {"htb", "prio",	"red",	  "netem",  "hfsc",
					      "etf", "skbprio", "multiq", "fq_pie", "cake_mq",
					      "drr", "choke",	"taprio", "mqprio"};
	char why[QSOCKET_WHY_BYTES];

	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct root root = root_of(kept[i]);

		HOLDS(!restore_check(&root, 0, why));
		HOLDS(restore_check(&root, 1, why) == -EOPNOTSUPP && strstr(why, kept[i]));
		root.children = 1;
		HOLDS(!restore_check(&root, 0, why) == !strcmp(kept[i], "mq"));
		root.configured = 1;
		HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "below"));
		root = root_of(kept[i]);
		root.has_estimator = 1;
		HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "estimator"));
		root = root_of(kept[i]);
		root.options_len = ROOT_OPTIONS_TOO_LONG;
		HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "too long"));
	}
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct root root = root_of(refused[i]);

		HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, refused[i]));
	}
	return NULL;
}

/* codel_change() and codel_dump(): us to units of 1024 ns, and back. */
static uint32_t codel_taken(uint32_t us)
{
	return (uint32_t)((uint64_t)us * 1000 >> 10);
}

static uint32_t codel_shown(uint32_t units)
{
	return (uint32_t)(((uint64_t)units << 10) / 1000);
}

static const char *codels_times_do_not_wear_off(const char *kind, const uint16_t types[3])
{
	for (uint32_t units = 0; units < 400000; units += units < 20000 ? 1 : 997) {
		struct root root = root_of(kind);

		add_u32(&root, types[0], codel_shown(units));
		add_u32(&root, types[1], codel_shown(units + 1));
		add_u32(&root, types[2], codel_shown(units + 2));
		parameters_to_set(&root);
		for (uint32_t i = 0; i < 3; i++)
			HOLDS(codel_taken(u32_of(&root, types[i])) == units + i);
	}
	return NULL;
}

static const char *codel_comes_back(void)
{
	const uint16_t codel[] = {TCA_CODEL_TARGET, TCA_CODEL_INTERVAL, TCA_CODEL_CE_THRESHOLD};
	const uint16_t fq_codel[] = {TCA_FQ_CODEL_TARGET, TCA_FQ_CODEL_INTERVAL,
				     TCA_FQ_CODEL_CE_THRESHOLD};
	const char *why = codels_times_do_not_wear_off("codel", codel);

	return why ? why : codels_times_do_not_wear_off("fq_codel", fq_codel);
}

/* tbf_change(): the ticks that a burst of so many bytes takes. */
static uint32_t tbf_ticks(uint64_t bytes, uint64_t rate)
{
	return (uint32_t)((unsigned __int128)bytes * 1000000000u / rate / 64);
}

static const char *tbfs_largest_packet_fits_again(void)
{
	const uint64_t rates[] = {1000,	    125000,    625000,	   875000,	  1234567,
				  12500000, 125000000, 1250000000, 12500000000ull};

	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		for (uint32_t burst = 1; burst < 200000; burst += burst < 4000 ? 1 : 331) {
			uint64_t rate = rates[i];
			struct tc_tbf_qopt tbf = {
				.rate.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate,
				.rate.linklayer = TC_LINKLAYER_ETHERNET,
				.buffer = tbf_ticks(burst, rate),
			};
			struct root root = {.kind = "tbf", .handle = 0x10000};
			uint32_t again;

			add(&root, TCA_TBF_PARMS, &tbf, sizeof(tbf));
			if (rate > UINT32_MAX)
				add(&root, TCA_TBF_RATE64, &rate, sizeof(rate));
			parameters_to_set(&root);
			again = u32_of(&root, TCA_TBF_BURST);
			HOLDS(again >= burst && again != UINT32_MAX);
			HOLDS(tbf_ticks(again, rate) == tbf.buffer);
			HOLDS(rate > 15000000 || again == burst);
			HOLDS(u32_of(&root, TCA_TBF_PBURST) == UINT32_MAX);
		}
	}
	return NULL;
}

static const char *tbfs_other_parameters(void)
{
	struct tc_tbf_qopt tbf = {.rate.rate = 875000,
				  .rate.linklayer = TC_LINKLAYER_ETHERNET,
				  .rate.overhead = 24,
				  .peakrate.rate = 1125000,
				  .peakrate.linklayer = TC_LINKLAYER_ETHERNET,
				  .buffer = tbf_ticks(1514 + 24, 875000),
				  .mtu = tbf_ticks(1514, 1125000)};
	struct root root = {.kind = "tbf", .handle = 0x10000};
	char why[QSOCKET_WHY_BYTES];

	add(&root, TCA_TBF_PARMS, &tbf, sizeof(tbf));
	parameters_to_set(&root);
	HOLDS(u32_of(&root, TCA_TBF_BURST) == 1514 && u32_of(&root, TCA_TBF_PBURST) == 1514);
	root.options_len = 0;
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "burst"));
	tbf.rate.linklayer = TC_LINKLAYER_ATM;
	add(&root, TCA_TBF_PARMS, &tbf, sizeof(tbf));
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "burst"));
	/* no room for more */
	root.options_len = 0;
	tbf.rate.linklayer = TC_LINKLAYER_ETHERNET;
	add(&root, TCA_TBF_PARMS, &tbf, sizeof(tbf));
	root.options_len = sizeof(root.options);
	parameters_to_set(&root);
	HOLDS(root.options_len == sizeof(root.options));
	return NULL;
}

static const char *cake_without_nat(void)
{
	struct root root = root_of("cake");
	char why[QSOCKET_WHY_BYTES];

	add_u32(&root, TCA_CAKE_RTT, 1);
	add_u32(&root, TCA_CAKE_NAT, 0);
	add_u32(&root, TCA_CAKE_WASH, 2);
	parameters_to_set(&root);
	HOLDS(root.options_len == 2 * RTA_SPACE(4) && u32_of(&root, TCA_CAKE_RTT) == 1 &&
	      u32_of(&root, TCA_CAKE_WASH) == 2 && u32_of(&root, TCA_CAKE_NAT) == UINT32_MAX);
	add_u32(&root, TCA_CAKE_NAT, 1);
	parameters_to_set(&root);
	HOLDS(u32_of(&root, TCA_CAKE_NAT) == 1);
	add_u32(&root, TCA_CAKE_AUTORATE, 0);
	HOLDS(!restore_check(&root, 0, why));
	root = root_of("cake");
	add_u32(&root, TCA_CAKE_AUTORATE, 1);
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "measures"));
	return NULL;
}

static const char *others_are_said_as_they_are_shown(void)
{
	static const char *const kinds[] = {"pfifo", "pfifo_fast", "noqueue", "mq", "fq", "sfq"};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct root root = root_of(kinds[i]), before;

		for (uint16_t type = 1; type < 20; type++)
			add_u32(&root, type, type * 1000003u);
		before = root;
		parameters_to_set(&root);
		HOLDS(!memcmp(&root, &before, sizeof(root)));
	}
	return NULL;
}

static const char *sfqs_counters_are_no_parameters(void)
{
	struct tc_sfq_qopt_v1 sfq = {.v0.limit = 127};
	struct root a = root_of("sfq"), b = root_of("sfq");

	a.options_len = b.options_len = sizeof(sfq);
	memcpy(a.options, &sfq, sizeof(sfq));
	sfq.stats.prob_drop = 7;
	memcpy(b.options, &sfq, sizeof(sfq));
	HOLDS(parameters_same(&a, &b));
	sfq.v0.limit++;
	memcpy(b.options, &sfq, sizeof(sfq));
	HOLDS(!parameters_same(&a, &b));
	return NULL;
}

static const char *what_is_not_as_it_was_is_told(void)
{
	struct root saved = root_of("tbf"), now;
	char why[QSOCKET_WHY_BYTES] = "";

	HOLDS(!restore_compare(&saved, &saved, 0, why) && !*why);
#define TOLD(change, words)                                                                        \
	do {                                                                                       \
		now = saved;                                                                       \
		change;                                                                            \
		HOLDS(restore_compare(&saved, &now, 0, why) == -ENOTRECOVERABLE);                  \
		HOLDS(strstr(why, words));                                                         \
	} while (0)
	TOLD(strcpy(now.kind, "pfifo"), "was tbf 8001: and is pfifo 8001:");
	TOLD(now.handle = 0x80020000, "was tbf 8001: and is tbf 8002:");
	TOLD(memset(now.kind, 0, sizeof(now.kind)); now.handle = 0, "and is none 0:");
	TOLD(now.options[9] ^= 1, "other parameters");
	TOLD(now.options_len -= 4, "other parameters");
	TOLD(now.children = 1, "other qdiscs below");
	TOLD(now.configured = 1, "other qdiscs below");
	TOLD(strcpy(now.child, "sfq"), "other qdiscs below");
	TOLD(now.has_size_table = 1, "size table");
	TOLD(now.has_estimator = 1, "estimator");
	HOLDS(restore_compare(&saved, &saved, 1, why) == -ENOTRECOVERABLE);
	HOLDS(strstr(why, "filters"));
	return NULL;
}

static const char *of_a_default_only_the_kind_counts(void)
{
	struct root saved = {.kind = "mq", .children = 4, .child = "fq_codel"}, now = saved;
	char why[QSOCKET_WHY_BYTES] = "";

	now.options_len = 4;
	HOLDS(!restore_compare(&saved, &now, 0, why));
	strcpy(now.child, "fq");
	HOLDS(restore_compare(&saved, &now, 0, why) == -ENOTRECOVERABLE);
	strcpy(now.kind, "noop"); /* the device is down */
	HOLDS(!restore_compare(&saved, &now, 0, why));
	HOLDS(!restore_compare(&now, &saved, 0, why));
	memset(&saved, 0, sizeof(saved)); /* nobody knows what there was */
	HOLDS(!restore_compare(&saved, &now, 0, why));
	return NULL;
}

int main(void)
{
	check("each kind comes back, or is named before it is replaced",
	      each_kind_comes_back_or_is_named());
	check("codel's times are said so that the same are shown", codel_comes_back());
	check("the largest packet that passed a tbf passes again",
	      tbfs_largest_packet_fits_again());
	check("a tbf's overhead and peak rate are taken in", tbfs_other_parameters());
	check("cake is told of NAT only where it does it", cake_without_nat());
	check("other parameters are said as they are shown", others_are_said_as_they_are_shown());
	check("what sfq has counted is no parameter", sfqs_counters_are_no_parameters());
	check("what is not as it was is told", what_is_not_as_it_was_is_told());
	check("of a default the kind counts, and what is below it",
	      of_a_default_only_the_kind_counts());
	return check_end();
}
