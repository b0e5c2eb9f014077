/* SPDX-License-Identifier: MIT
 *
 * QLIST: the streams of a link, part by part. Of a device whose scheduler is
 * below the stack root is told all there are, as that scheduler knows them
 * (device/kernel.c, device/members.c); anybody else, and of any other link, this process's own.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/device.h"
#include "host.h"

void list_put(const struct qlist_args *args, void *streams, uint32_t place,
	      const struct qlist_stream *stream)
{
	char *to = (char *)streams + (size_t)place * args->stream_bytes;
	size_t known = sizeof(*stream) < args->stream_bytes ? sizeof(*stream) : args->stream_bytes;

	memcpy(to, stream, known);
	memset(to + known, 0, args->stream_bytes - known);
}

/* What is the same of all that are this process's. */
static void describe_self(struct qlist_stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	stream->pid = (uint32_t)getpid();
	stream->uid = geteuid();
	if (prctl(PR_GET_NAME, stream->command))
		*stream->command = 0;
	stream->command[sizeof(stream->command) - 1] = 0;
}

static uint64_t cookie_of(const struct link *link, uint32_t index)
{
	const struct socket *socket = link->host->socket ? link->host->socket(link, index) : NULL;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	if (!socket || socket->fd < 0 ||
	    getsockopt(socket->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		return 0;
	return cookie;
}

/* With link->lock. A stream's key is its index, plus one. */
static int32_t list_own(struct link *link, struct qlist_args *args, void *streams)
{
	struct qlist_stream stream;
	uint32_t len = 0;

	args->scope = QLIST_OWN;
	for (uint64_t i = args->after; i < link->streams_max && len < args->streams_max; i++) {
		uint32_t index = (uint32_t)i;
		int32_t error;

		if (!link->handles[index])
			continue;
		describe_self(&stream);
		stream.handle = link->handles[index];
		stream.cookie = cookie_of(link, index);
		error = link->host->info(link, index, &stream.info);
		if (error)
			return error;
		list_put(args, streams, len++, &stream);
		args->after = i + 1;
	}
	args->streams_len = len;
	return (int32_t)len;
}

/* Whose streams are the device's own to tell of; "" where there is no such. */
static int32_t device_below(uint32_t handle, char device[QSOCKET_NAME_BYTES])
{
	uint32_t stream;
	struct link *link;

	table_lock();
	link = handle_lock(handle, &stream);
	if (link) {
		memcpy(device, link->device, QSOCKET_NAME_BYTES);
		if (link->host->name != QSOCKET_BELOW)
			*device = 0;
		pthread_mutex_unlock(&link->lock);
	}
	table_unlock();
	return link && stream == QS_NONE ? 0 : -EBADF;
}

int32_t link_list(struct qlist_args *args, void *streams)
{
	char name[QSOCKET_NAME_BYTES];
	int32_t result = device_below(args->link, name);
	struct device device;
	struct link *link;
	uint32_t stream;

	if (result)
		return result;
	if (*name && geteuid() == 0 && !device_of(name, &device)) {
		result = kernel_list(&device, args, streams);
		if (result == -ENOSYS || result == -ENOENT)
			result = bpf_list(&device, args, streams);
		/* in a container that is not shown them, or after `off`: its own */
		if (result != -EACCES && result != -EPERM && result != -ENOENT)
			return result;
	}
	link = handle_lock(args->link, &stream);
	if (!link)
		return -EBADF;
	result = list_own(link, args, streams);
	pthread_mutex_unlock(&link->lock);
	return result;
}
