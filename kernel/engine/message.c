/* SPDX-License-Identifier: MIT
 *
 * A message's way in, checked and then its host's: by qsocketcall(), or with
 * the arguments in registers.
 */
#include <errno.h>
#include <sys/socket.h>

#include "../host.h"

/* A stream that is open, its link locked; NULL for a link in its place. */
static struct link *lock_stream(uint32_t handle, uint32_t *stream)
{
	struct link *link = handle_lock(handle, stream);

	if (link && *stream == QS_NONE) {
		pthread_mutex_unlock(&link->lock);
		return NULL;
	}
	return link;
}

int32_t message_send(const struct qsend_args *args)
{
	int32_t result = qs_message_check(args);
	struct link *link;
	uint32_t stream;

	if (result)
		return result;
	link = lock_stream(args->handle, &stream);
	if (!link)
		return -EBADF;
	return link->host->send(link, stream, args);
}

int32_t message_send_to(const struct qsend_args *args)
{
	int32_t error = check_peer(&args->to);

	if (error)
		return error;
	return args->to.family ? message_send(args) : -EDESTADDRREQ;
}

int32_t qsend(uint32_t handle, const void *data, uint32_t data_len, uint32_t flags,
	      uint32_t deadline_us)
{
	return message_send(&(struct qsend_args){
		.handle = handle,
		.flags = flags,
		.data = (uintptr_t)data,
		.data_len = data_len,
		.deadline_us = deadline_us,
	});
}

int32_t qsendto(uint32_t handle, const void *data, uint32_t data_len, uint32_t flags,
		uint32_t deadline_us, const struct qsocket_addr *to)
{
	if (!to)
		return -EFAULT;
	return message_send_to(&(struct qsend_args){
		.handle = handle,
		.flags = flags,
		.data = (uintptr_t)data,
		.data_len = data_len,
		.deadline_us = deadline_us,
		.to = *to,
	});
}

int32_t qsocket_plain_send(int32_t fd, const void *data, uint32_t data_len)
{
	ssize_t sent = send(fd, data, data_len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent < 0 ? -errno : (int32_t)sent;
}
