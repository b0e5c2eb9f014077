/* SPDX-License-Identifier: MIT
 * Streams that ask for more than their link has: what is told of them, and
 * that a refused one leaves everything as it was.
 */
#include <dirent.h>
#include <fcntl.h>

#include "net.h"

#define MS 1000000ull
#define RATE 100000 /* bytes per second: 1000 bytes in 10 ms are all of it */
#define ALL_PPM 1000000
#define SET_MAX 64

static int32_t link_handle;
static struct qsocket_admission told;

/* What asks for so many thousandths of the link. */
static struct qsocket_attr share(uint32_t thousandths)
{
	return (struct qsocket_attr){
		.ipg_ns = 10 * MS, .unit_bytes = thousandths, .flags = QSOCKET_ADMIT};
}

static int32_t add(const struct qsocket_attr *attr)
{
	struct qsocket_args args = {
		.link = (uint32_t)link_handle, .type = QSOCKET_UDP, .attr = *attr};
	int32_t result;

	memset(&args.admission, 0xff, sizeof(args.admission)); /* only written */
	result = qsocketcall(QSOCKET, &args, sizeof(args));
	told = args.admission;
	return result;
}

static int32_t change(int32_t stream, const struct qsocket_attr *attr)
{
	struct qchange_args args = {.handle = (uint32_t)stream, .attr = *attr};
	int32_t result = qsocketcall(QCHANGE, &args, sizeof(args));

	told = args.admission;
	return result;
}

static int32_t set_rate(uint64_t rate)
{
	struct qchange_args args = {.handle = (uint32_t)link_handle, .rate = rate};
	int32_t result = qsocketcall(QCHANGE, &args, sizeof(args));

	told = args.admission;
	return result;
}

static uint64_t sum_ppm(void)
{
	return call_info(link_handle).utilisation_ppm;
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static const char *fits_exactly(void)
{
	struct qsocket_attr seventh = {.ipg_ns = 7 * MS, .unit_bytes = 100, .flags = QSOCKET_ADMIT};
	struct qsocket_attr least = {.ipg_ns = QSOCKET_IPG_NS_MAX,
				     .unit_bytes = 1,
				     .oln = QSOCKET_WINDOW_MAX - 1,
				     .old = QSOCKET_WINDOW_MAX,
				     .flags = QSOCKET_ADMIT};

	for (int i = 0; i < 7; i++)
		HOLDS(add(&seventh) > 0 && !told.flags && !told.zero);
	HOLDS(told.utilisation_ppm == ALL_PPM && sum_ppm() == ALL_PPM);
	HOLDS(add(&least) == -EBUSY);
	HOLDS(told.utilisation_ppm == ALL_PPM + 1 && told.flags == QSOCKET_OVERBOOKED);
	HOLDS(sum_ppm() == ALL_PPM);
	least.flags = 0;
	HOLDS(add(&least) > 0 && told.flags == QSOCKET_OVERBOOKED && sum_ppm() == ALL_PPM + 1);
	return NULL;
}

static const char *refuses_more(void)
{
	struct qsocket_attr half = share(500), more = share(501), nothing = share(0);
	int32_t first, second;
	struct qsocket_info before, after;

	HOLDS((first = add(&half)) > 0 && (second = add(&half)) > 0);
	before = call_info(first);
	HOLDS(before.utilisation_ppm == ALL_PPM / 2);
	HOLDS(add(&more) == -EBUSY && told.utilisation_ppm == 1501000);
	more.queue_bytes = 7;
	HOLDS(change(first, &more) == -EBUSY && told.utilisation_ppm == 1001000);
	after = call_info(first);
	HOLDS(!memcmp(&before, &after, sizeof(before)) && call_info(link_handle).streams == 2);
	HOLDS(add(&nothing) > 0 && told.utilisation_ppm == ALL_PPM);
	more.flags = 0;
	HOLDS(!change(first, &more) && told.flags == QSOCKET_OVERBOOKED);
	HOLDS(add(&nothing) > 0 && told.flags == QSOCKET_OVERBOOKED);
	HOLDS(!change(second, &half)); /* no more than it has */
	more.flags = QSOCKET_ADMIT;
	HOLDS(!change(first, &more));
	more.unit_bytes++;
	HOLDS(change(first, &more) == -EBUSY);
	HOLDS(!call_close(first, 0) && sum_ppm() == ALL_PPM / 2);
	HOLDS(add(&half) > 0);
	return NULL;
}

/* A refused socket is not opened, nor is a connection tried. */
static const char *opens_nothing(void)
{
	struct qsocket_args args = {.link = (uint32_t)link_handle, .type = QSOCKET_TCP};
	struct qattach_args attach = {.link = (uint32_t)link_handle, .type = QSOCKET_UDP};
	uint16_t port, unused;
	int server = plain_socket(AF_INET, SOCK_STREAM, &port);
	int plain = plain_socket(AF_INET, SOCK_DGRAM, &unused), files;
	struct pollfd poll_server = {.fd = server, .events = POLLIN};

	HOLDS(!listen(server, 1));
	files = open_files();
	args.peer = loopback(AF_INET, port);
	args.attr = attach.attr = share(1001);
	attach.fd = plain;
	HOLDS(qsocketcall(QSOCKET, &args, sizeof(args)) == -EBUSY);
	HOLDS(qsocketcall(QATTACH, &attach, sizeof(attach)) == -EBUSY);
	HOLDS(args.admission.utilisation_ppm == 1001000);
	HOLDS(attach.admission.utilisation_ppm == 1001000);
	HOLDS(poll(&poll_server, 1, 50) == 0 && open_files() == files);
	HOLDS(call_info(link_handle).streams == 0 && sum_ppm() == 0);
	attach.attr = share(1000);
	HOLDS(qsocketcall(QATTACH, &attach, sizeof(attach)) > 0);
	HOLDS(attach.admission.utilisation_ppm == ALL_PPM && !attach.admission.flags);
	close(server);
	close(plain);
	return NULL;
}

static const char *follows_the_rate(void)
{
	struct qsocket_attr all = share(1000);

	HOLDS(add(&all) > 0);
	HOLDS(!set_rate(RATE / 2) && told.utilisation_ppm == 2 * ALL_PPM);
	HOLDS(told.flags == QSOCKET_OVERBOOKED && sum_ppm() == 2 * ALL_PPM);
	HOLDS(add(&all) == -EBUSY && !set_rate(3 * RATE));
	HOLDS(told.utilisation_ppm == 333334 && !told.flags && add(&all) > 0);
	HOLDS(!set_rate(QSOCKET_RATE_MAX) && told.utilisation_ppm == 1 && !set_rate(1));
	HOLDS(told.utilisation_ppm == 2ull * RATE * ALL_PPM);
	return NULL;
}

static const char *stays_within_numbers(void)
{
	struct qsocket_attr most = {.ipg_ns = 1, .unit_bytes = QSOCKET_UNIT_BYTES_MAX};
	static int32_t streams[QSOCKET_STREAMS_DEFAULT];

	HOLDS(!set_rate(1));
	for (int i = 0; i < QSOCKET_STREAMS_DEFAULT; i++) {
		HOLDS((streams[i] = add(&most)) > 0 && told.flags == QSOCKET_OVERBOOKED);
		HOLDS(told.utilisation_ppm == QSOCKET_UTILISATION_PPM_MAX);
	}
	HOLDS(!set_rate(QSOCKET_RATE_MAX));
	HOLDS(told.utilisation_ppm == 8ull * QSOCKET_STREAMS_DEFAULT * ALL_PPM);
	for (int i = 0; i < QSOCKET_STREAMS_DEFAULT; i++)
		HOLDS(!call_close(streams[i], 0));
	HOLDS(sum_ppm() == 0);
	return NULL;
}

/* Whether the windows of a set have one period, as it is and as it is told. */
static int told_right(const struct qsocket_attr *set, int len)
{
	uint64_t period_ns = 0;
	uint32_t expected = 0;

	for (int i = 0; i < len; i++) {
		if (!set[i].ipg_ns || set[i].oln == set[i].old)
			continue;
		if (period_ns && set[i].ipg_ns != period_ns)
			expected = QSOCKET_UNEQUAL;
		period_ns = set[i].ipg_ns;
	}
	return told.flags == expected;
}

/* Periods that differ in any one of their digits, and hardly. */
static struct qsocket_attr any_window(unsigned *seed)
{
	static const uint64_t periods_ns[] = {0,
					      1,
					      2,
					      1 << 14,
					      1 << 28,
					      40 * MS,
					      40 * MS + 1,
					      40 * MS - 1,
					      40 * MS + (1 << 14),
					      40 * MS + (1 << 28),
					      1000 * MS,
					      QSOCKET_IPG_NS_MAX - 1,
					      QSOCKET_IPG_NS_MAX};
	uint32_t some = (uint32_t)rand_r(seed);

	return (struct qsocket_attr){
		.ipg_ns = periods_ns[some % 3 ? 5 : some / 3 % 13],
		.oln = some / 64 % 3,
		.old = some / 64 % 3 + some / 256 % 3,
	};
}

static const char *knows_unequal_periods(void)
{
	struct qsocket_attr set[SET_MAX];
	int32_t streams[SET_MAX];
	unsigned seed = 7;
	int len = 0, unequal = 0;

	for (int step = 0; step < 20000; step++) {
		int action = rand_r(&seed) % 100, at = len ? rand_r(&seed) % len : 0;
		struct qsocket_attr attr = any_window(&seed);

		if (len == 0 || (action < 35 && len < 1 + step % SET_MAX)) {
			HOLDS((streams[len] = add(&attr)) > 0);
			set[len++] = attr;
		} else if (action < 60) {
			HOLDS(!change(streams[at], &attr));
			set[at] = attr;
		} else {
			HOLDS(!call_close(streams[at], 0));
			set[at] = set[--len];
			streams[at] = streams[len];
			HOLDS(!set_rate(RATE));
		}
		HOLDS(told_right(set, len));
		unequal += told.flags == QSOCKET_UNEQUAL;
	}
	HOLDS(unequal > 2000 && unequal < 18000); /* both were seen */
	return NULL;
}

static const char *vds_needs_no_equal_periods(void)
{
	for (uint64_t ipg_ns = 10 * MS; ipg_ns < 15 * MS; ipg_ns += MS) {
		struct qsocket_attr window = {.ipg_ns = ipg_ns, .oln = 1, .old = 2};

		HOLDS(add(&window) > 0 && !told.flags);
	}
	return NULL;
}

int main(void)
{
	static const struct {
		const char *name, *scheduler;
		uint32_t flags;
		const char *(*promise)(void);
	} promises[] = {
		{"what fits exactly is admitted, and nothing beside it", "dwcs", 0, fits_exactly},
		{"what is refused leaves all as it was, and what asks no more is not refused",
		 "edf", 0, refuses_more},
		{"what is refused is not opened", "dwcs", 0, opens_nothing},
		{"a link's rate changes what its streams need of it", "sfq", QSOCKINIT_VIRTUAL,
		 follows_the_rate},
		{"the largest demands stay within their numbers", "dwcs", QSOCKINIT_VIRTUAL,
		 stays_within_numbers},
		{"dwcs knows whether the periods of all windows are equal", "dwcs",
		 QSOCKINIT_VIRTUAL, knows_unequal_periods},
		{"so does dwcs99", "dwcs99", QSOCKINIT_VIRTUAL, knows_unequal_periods},
		{"vds does not need it", "vds", 0, vds_needs_no_equal_periods},
	};

	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		link_handle = call_init(promises[i].scheduler, RATE, promises[i].flags);
		check(promises[i].name, promises[i].promise());
		if (call_close(link_handle, 0))
			check("QCLOSE closes a link", "it did not");
	}
	return check_end();
}
