/* SPDX-License-Identifier: MIT
 *
 * TCP makes packets of up to 64 KB and leaves it to the device, or to the way
 * there, to cut them (GSO). Once such a packet is on a slow link nothing else
 * is for as long as it takes: 131 ms at 4 Mbit/s, which no contract survives.
 * So the device says that it takes few segments at once, gso_max_segs of ip(8):
 * what TCP makes from then on is no larger (net/ipv4/tcp_output.c,
 * tcp_tso_segs()). UDP_SEGMENT does not ask for it: a frame is still one packet
 * in the queue, and is cut behind it (net/core/dev.c, gso_features_check()).
 *
 * Connections that exist ask the device again when their route is looked up
 * anew: so it is told to say that it has changed, which makes all routes stale.
 */
#include <errno.h>
#include <string.h>

#include "device.h"
#include "segments.h"

#define LINK_TSO_MAX_SEGS 60 /* IFLA_TSO_MAX_SEGS, Linux >= 5.19 */

uint32_t segments_at(uint64_t rate, uint32_t mtu, uint32_t before)
{
	uint64_t segments = rate / (1000000000u / SEGMENTS_NS_MAX) / (mtu ? mtu : 1);

	if (!segments)
		segments = 1;
	return segments < before ? (uint32_t)segments : before;
}

static uint32_t read_u32(const void *bytes, size_t len, uint16_t type)
{
	size_t value_len;
	const void *at = attribute(bytes, len, type, &value_len);
	uint32_t value = 0;

	if (at && value_len == sizeof(value))
		memcpy(&value, at, sizeof(value));
	return value;
}

int segments_read(const struct nlmsghdr *message, struct segments_shown *shown)
{
	const uint8_t *attrs = (const uint8_t *)message + NLMSG_SPACE(sizeof(struct ifinfomsg));
	struct ifinfomsg link;
	size_t len;

	if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_SPACE(sizeof(link)))
		return 0;
	memcpy(&link, NLMSG_DATA(message), sizeof(link));
	if (link.ifi_index != (int)shown->ifindex)
		return 0;
	len = message->nlmsg_len - NLMSG_SPACE(sizeof(link));
	shown->now = read_u32(attrs, len, IFLA_GSO_MAX_SEGS);
	shown->most = read_u32(attrs, len, LINK_TSO_MAX_SEGS);
	shown->group = read_u32(attrs, len, IFLA_GROUP);
	return 1;
}

static void see_link(const struct nlmsghdr *message, void *seen)
{
	segments_read(message, seen);
}

static int32_t show(int fd, const struct device *d, struct segments_shown *shown)
{
	struct ifinfomsg link = {.ifi_index = (int)d->ifindex};
	uint32_t mask = RTEXT_FILTER_SKIP_STATS;
	struct request r;
	int32_t error;

	memset(shown, 0, sizeof(*shown));
	shown->ifindex = d->ifindex;
	request_start_link(&r, RTM_GETLINK, &link);
	request_put(&r, IFLA_EXT_MASK, &mask, sizeof(mask));
	error = netlink_ask(fd, &r, see_link, shown);
	return error ? error : shown->now ? 0 : -EOPNOTSUPP;
}

/* The group stays: that it is set makes the kernel tell all of a change, as the
 * number of segments alone does not (net/core/rtnetlink.c, do_setlink()). */
static int32_t set(int fd, const struct segments_shown *shown, uint32_t segments)
{
	struct ifinfomsg link = {.ifi_index = (int)shown->ifindex};
	struct request r;

	request_start_link(&r, RTM_NEWLINK, &link);
	request_put(&r, IFLA_GSO_MAX_SEGS, &segments, sizeof(segments));
	request_put(&r, IFLA_GROUP, &shown->group, sizeof(shown->group));
	return netlink_do(fd, &r);
}

void segments_begin(int fd, const struct device *d, uint64_t rate, struct segments *s)
{
	struct segments_shown shown;

	if (show(fd, d, &shown)) {
		s->next = 0;
		return;
	}
	/* somebody's own choice since is what comes back */
	if (!s->before || (shown.now != s->before && shown.now != s->set && shown.now != s->next))
		*s = (struct segments){.before = shown.now};
	if (shown.now == s->next) /* before a crash */
		s->set = s->next;
	s->next = segments_at(rate, d->mtu, s->before);
}

void segments_apply(int fd, const struct device *d, struct segments *s)
{
	struct segments_shown shown;

	if (s->next && !show(fd, d, &shown) && (shown.now == s->next || !set(fd, &shown, s->next)))
		s->set = s->next;
	s->next = 0;
}

/* As with its root qdisc, what comes back is the kernel's default. */
void segments_lost(int fd, const struct device *d, struct segments *s)
{
	struct segments_shown shown;

	if (show(fd, d, &shown) || !shown.most)
		return;
	s->before = shown.most;
	s->set = shown.now;
}

int32_t segments_restore(int fd, const struct device *d, struct segments *s,
			 char why[QSOCKET_WHY_BYTES])
{
	struct segments_shown shown;
	int32_t error;

	if (!s->set && !s->next)
		return 0;
	error = show(fd, d, &shown);
	if (!error && shown.now != s->before && (shown.now == s->set || shown.now == s->next))
		error = set(fd, &shown, s->before);
	if (error) {
		device_why(why, "its gso_max_segs, %u, cannot be brought back: %s", s->before,
			   strerror(-error));
		return -ENOTRECOVERABLE;
	}
	s->set = s->next = 0;
	return 0;
}
