/* SPDX-License-Identifier: MIT
 *
 * Talking to the scheduler of a device where that is one in BPF, as bpf/gate.h says
 * it is done.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "below.h"

int32_t gate_link(int fd, uint32_t ifindex, struct qs_gate_link *link)
{
	socklen_t len = sizeof(*link);

	memset(link, 0, sizeof(*link));
	if (getsockopt(fd, QS_GATE_LINK, (int)ifindex, link, &len))
		return errno == EOPNOTSUPP ? -ENOPROTOOPT : -errno;
	if (len != sizeof(*link) || link->abi != QS_GATE_ABI)
		return -EPROTO;
	link->scheduler[QSOCKET_NAME_BYTES - 1] = 0;
	return 0;
}

int32_t bpf_find(uint32_t ifindex, struct qs_gate_link *link)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int32_t result;

	if (fd < 0)
		fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	result = gate_link(fd, ifindex, link);
	close(fd);
	return result;
}

static int32_t read_once(int fd, uint32_t ifindex, struct qs_gate_stream *stream)
{
	socklen_t len = sizeof(*stream);

	if (getsockopt(fd, QS_GATE_STREAM, (int)ifindex, stream, &len))
		return -errno;
	return len == sizeof(*stream) && stream->abi == QS_GATE_ABI ? 0 : -EPROTO;
}

/* On a link that is never idle the last reading may be of two moments. */
int32_t gate_read(int fd, uint32_t ifindex, struct qs_gate_stream *stream)
{
	int32_t error = 0;

	memset(stream, 0, sizeof(*stream));
	for (int i = 0; i < BELOW_READS_MAX && !error; i++) {
		error = read_once(fd, ifindex, stream);
		if (stream->before == stream->after && !(stream->before & 1))
			break;
	}
	return error;
}

static int32_t gate_enter(const struct below *b, const struct socket *socket,
			  const struct qsocket_attr *attr, struct qsocket_admission *admission)
{
	int fd = socket->fd;
	struct qs_gate_stream stream;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int32_t result = 0;

	/* the kernel gives a socket its cookie when it is asked for */
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		return -errno;
	for (int i = 0; i < BELOW_ENTERS_MAX; i++) {
		result = setsockopt(fd, QS_GATE_STREAM, (int)b->ifindex, attr, sizeof(*attr))
				 ? -errno
				 : 0;
		if (result != -EAGAIN)
			break;
		sched_yield();
	}
	*admission = (struct qsocket_admission){0};
	if ((!result || result == -EBUSY) && !read_once(fd, b->ifindex, &stream))
		*admission = stream.admission;
	return result;
}

int32_t gate_usual(int fd, uint32_t ifindex, uint64_t usual)
{
	return setsockopt(fd, QS_GATE_USUAL, (int)ifindex, &usual, sizeof(usual)) ? -errno : 0;
}

static void gate_leave(const struct below *b, const struct socket *socket)
{
	uint8_t nothing = 0;

	if (setsockopt(socket->fd, QS_GATE_LEAVE, (int)b->ifindex, &nothing, sizeof(nothing)))
		return; /* it had left, or there is nothing any more to leave */
}

static int32_t gate_link_of(struct below *b, struct qs_gate_link *found)
{
	return gate_link(b->gate_fd, b->ifindex, found);
}

static void gate_describe(const struct below *b, const struct socket *socket,
			  struct qsocket_info *info)
{
	struct qs_gate_stream found;

	if (!gate_read(socket->fd, b->ifindex, &found) && found.stream != QS_NONE)
		below_scheduled(&b->found, &found, info);
}

const struct gate bpf_gate = {
	.link = gate_link_of,
	.enter = gate_enter,
	.leave = gate_leave,
	.describe = gate_describe,
};
