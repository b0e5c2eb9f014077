/* SPDX-License-Identifier: MIT
 *
 * What is read of a device: the kernel's messages and the state file, cut off
 * at every byte and damaged at every byte. Each is put in memory of exactly its
 * size, so that a sanitizer sees a read behind its end.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "device/restore.h"
#include "device/state.h"

#define IFINDEX 7
#define ROUNDS 200000

/* A message of the root qdisc of a device, as the kernel sends it. */
static uint32_t write_root(struct request *r, const char *kind, size_t options_len)
{
	struct tcmsg tc = {
		.tcm_ifindex = IFINDEX, .tcm_parent = TC_H_ROOT, .tcm_handle = 0x80010000};
	uint8_t options[ROOT_OPTIONS_BYTES + 64];

	memset(options, 0xa5, sizeof(options));
	request_start(r, RTM_NEWQDISC, 0, &tc);
	request_put_name(r, TCA_KIND, kind);
	request_put(r, TCA_OPTIONS, options, options_len);
	return r->header.nlmsg_len;
}

/* How many messages there are in bytes of no more memory than their own. */
static int read_all(const void *bytes, size_t len, struct root *root)
{
	uint8_t *copy = malloc(len ? len : 1);
	const struct nlmsghdr *message;
	size_t at = 0;
	int roots = 0;

	if (len)
		memcpy(copy, bytes, len);
	memset(root, 0, sizeof(*root));
	while ((message = message_next(copy, len, &at)))
		roots += qdisc_read(message, IFINDEX, root);
	free(copy);
	return roots;
}

static const char *root_is_read(void)
{
	struct request r;
	struct root root;
	uint32_t len = write_root(&r, "tbf", 36);

	HOLDS(!r.too_long && read_all(&r, len, &root) == 1);
	HOLDS(!strcmp(root.kind, "tbf") && root.handle == 0x80010000 && root.options_len == 36);
	HOLDS(root.options[0] == 0xa5 && root.options[35] == 0xa5 && !root.options[36]);
	HOLDS(!root.children && !root.has_size_table && !root.has_estimator);
	r.tc.tcm_ifindex++;
	HOLDS(read_all(&r, len, &root) == 0 && !root.children);
	r.tc.tcm_ifindex--;
	r.tc.tcm_parent = 0x80010001;
	HOLDS(read_all(&r, len, &root) == 0 && root.children == 1 && root.configured == 1);
	HOLDS(!strcmp(root.child, "tbf"));
	r.tc.tcm_handle = 0; /* as mq's own */
	HOLDS(read_all(&r, len, &root) == 0 && root.children == 1 && !root.configured);
	r.tc.tcm_parent = TC_H_INGRESS;
	HOLDS(read_all(&r, len, &root) == 0 && !root.children);
	return NULL;
}

static const char *what_does_not_fit_is_said(void)
{
	struct request r;
	struct root root;
	uint32_t len = write_root(&r, "tbf", ROOT_OPTIONS_BYTES + 1);
	char why[QSOCKET_WHY_BYTES] = "";

	HOLDS(read_all(&r, len, &root) == 1 && root.options_len == ROOT_OPTIONS_TOO_LONG);
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && *why);
	len = write_root(&r, "a-kind-of-16-chr", 0);
	HOLDS(read_all(&r, len, &root) == 0);
	for (int i = 0; i < 3; i++)
		write_root(&r, "tbf", 0);
	for (int i = 0; i < 1000; i++)
		request_put_name(&r, TCA_KIND, "0123456789abcdef");
	HOLDS(r.too_long && r.header.nlmsg_len <= sizeof(r));
	return NULL;
}

static const char *cut_messages(void)
{
	struct request r;
	struct root root;
	uint32_t len = write_root(&r, "pfifo", 4);

	for (uint32_t cut = 0; cut < len; cut++) {
		HOLDS(read_all(&r, cut, &root) == 0);
		/* and with a length that says so */
		r.header.nlmsg_len = cut;
		read_all(&r, cut, &root);
		r.header.nlmsg_len = len;
	}
	return NULL;
}

static const char *damaged_messages(void)
{
	unsigned seed = 1;

	for (int round = 0; round < ROUNDS; round++) {
		struct request r;
		struct root root;
		uint32_t len = write_root(&r, "pfifo", 40);

		for (int i = 0; i < 3; i++)
			((uint8_t *)&r)[(unsigned)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
		HOLDS(read_all(&r, len, &root) <= (int)(len / sizeof(struct nlmsghdr)));
		HOLDS(root.options_len <= sizeof(root.options));
		HOLDS(strnlen(root.kind, sizeof(root.kind)) < sizeof(root.kind));
	}
	return NULL;
}

static struct state good_state(void)
{
	struct state s;

	memset(&s, 0, sizeof(s));
	s.magic = STATE_MAGIC;
	s.version = STATE_VERSION;
	s.bytes = sizeof(s);
	s.phase = STATE_READY;
	s.host = QSOCKET_ISOLATED;
	s.mode = 0660;
	s.device.ifindex = IFINDEX;
	s.rate = 1250000;
	strcpy(s.scheduler, "dwcs");
	strcpy(s.kind, "htb");
	return s;
}

static const char *state_is_checked(void)
{
	struct state s = good_state();

	HOLDS(state_check(&s, sizeof(s)) == 0);
	for (size_t len = 0; len < sizeof(s); len++)
		HOLDS(state_check(&s, len) == -EBADMSG);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		s = good_state();                                                                  \
		change;                                                                            \
		HOLDS(state_check(&s, sizeof(s)) == -EBADMSG);                                     \
	} while (0)
	REFUSED(s.magic++);
	REFUSED(s.version++);
	REFUSED(s.bytes--);
	REFUSED(s.phase = 0);
	REFUSED(s.phase = 3);
	REFUSED(s.host = QSOCKET_ABOVE);
	REFUSED(s.host = QSOCKET_VIRTUAL);
	REFUSED(s.mode = 01777);
	REFUSED(s.device.ifindex = 0);
	REFUSED(s.device.address_len = sizeof(s.device.address) + 1);
	REFUSED(s.rate = 0);
	REFUSED(s.rate = QSOCKET_RATE_MAX + 1);
	REFUSED(s.rate_next = QSOCKET_RATE_MAX + 1);
	REFUSED(memset(s.saved.child, 'x', sizeof(s.saved.child)));
	REFUSED(*s.scheduler = 0);
	REFUSED(memset(s.device.name, 'x', sizeof(s.device.name)));
	REFUSED(memset(s.scheduler, 'x', sizeof(s.scheduler)));
	REFUSED(memset(s.kind, 'x', sizeof(s.kind)));
	REFUSED(memset(s.why, 'x', sizeof(s.why)));
	REFUSED(memset(s.saved.kind, 'x', sizeof(s.saved.kind)));
	REFUSED(s.saved.options_len = sizeof(s.saved.options) + 1);
	REFUSED(s.saved.options_len = ROOT_OPTIONS_TOO_LONG);
	REFUSED(s.segments.set = 1);
	REFUSED(s.segments = ((struct segments){.before = 3, .set = 2, .next = 4}));
	return NULL;
}

static const char *segments_by_the_rate(void)
{
	HOLDS(segments_at(500000, 1500, 65535) == 1);
	HOLDS(segments_at(1499999, 1500, 65535) == 1 && segments_at(1500000, 1500, 65535) == 2);
	HOLDS(segments_at(1, 65536, 65535) == 1 && segments_at(1, 0, 65535) == 1);
	HOLDS(segments_at(125000000, 1500, 65535) == 166 && segments_at(125000000, 1500, 64) == 64);
	HOLDS(segments_at(QSOCKET_RATE_MAX, 1, 65535) == 65535);
	return NULL;
}

/* A message of a device, as the kernel sends it, cut off at every byte and
 * damaged at some. */
static const char *segments_are_read(void)
{
	struct ifinfomsg link = {.ifi_index = IFINDEX};
	const uint32_t values[] = {16, 65535, 3};
	const uint16_t types[] = {IFLA_GSO_MAX_SEGS, 60, IFLA_GROUP};
	unsigned seed = 1;

	for (int round = 0; round < ROUNDS; round++) {
		struct segments_shown shown = {.ifindex = IFINDEX};
		struct request r;
		uint8_t *copy;
		uint32_t len;

		request_start_link(&r, RTM_NEWLINK, &link);
		for (unsigned i = 0; i < 3; i++)
			request_put(&r, types[i], &values[i], sizeof(values[i]));
		len = r.header.nlmsg_len;
		if (!round) {
			HOLDS(segments_read(&r.header, &shown));
			HOLDS(shown.now == 16 && shown.most == 65535 && shown.group == 3);
			shown.ifindex++;
			HOLDS(!segments_read(&r.header, &shown));
			shown.ifindex--;
		} else if ((uint32_t)round < len) {
			len = (uint32_t)round;
		} else {
			for (int i = 0; i < 3; i++)
				((uint8_t *)&r)[(unsigned)rand_r(&seed) % len] =
					(uint8_t)rand_r(&seed);
		}
		copy = malloc(len);
		memcpy(copy, &r, len);
		if (len >= sizeof(r.header)) {
			size_t at = 0;
			const struct nlmsghdr *message;

			if ((uint32_t)round < r.header.nlmsg_len)
				memcpy(copy, &len, sizeof(len)); /* its length */
			message = message_next(copy, len, &at);
			if (message && segments_read(message, &shown) && (uint32_t)round < len)
				HOLDS(shown.now == 16);
		}
		free(copy);
	}
	return NULL;
}

static const char *only_what_comes_back_is_replaced(void)
{
	struct root root = {.kind = "pfifo", .handle = 0x10000};
	char why[QSOCKET_WHY_BYTES] = "";

	HOLDS(restore_check(&root, 0, why) == 0 && !*why);
	HOLDS(restore_check(&root, 1, why) == -EOPNOTSUPP && strstr(why, "filters"));
	root.children = 1;
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "below"));
	root.children = 0;
	root.has_size_table = 1;
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "size table"));
	strcpy(root.kind, "htb");
	HOLDS(restore_check(&root, 0, why) == -EOPNOTSUPP && strstr(why, "htb"));
	return NULL;
}

int main(void)
{
	check("the root qdisc of a device is read, and no other", root_is_read());
	check("what does not fit is said to be too long", what_does_not_fit_is_said());
	check("a message that is cut off is no message", cut_messages());
	check("a damaged message stays within its memory", damaged_messages());
	check("a state is believed only where all of it can be", state_is_checked());
	check("TCP's segments are as many as the rate carries", segments_by_the_rate());
	check("a device's segments are read within its message", segments_are_read());
	check("only what can come back is replaced", only_what_comes_back_is_replaced());
	return check_end();
}
