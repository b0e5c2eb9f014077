/* SPDX-License-Identifier: MIT
 * Several threads at one link, at its streams, and at handles that others
 * close: for ThreadSanitizer, and for the sums.
 */
#include <pthread.h>

#include "net.h"

#define SENDERS 3
#define MESSAGES 1500

static int32_t link_handle;
static uint16_t port;
static _Atomic int32_t shared_stream;
static _Atomic int stop;

static void *send_to_own_stream(void *argument)
{
	int32_t stream = open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, port));
	char data[3000];
	const char *why = NULL;

	memset(data, 1, sizeof(data));
	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t flags = i % 3 ? 0 : 500u << QSOCKET_SEGMENT_SHIFT;
		int32_t result = send_bytes(stream, data, 1 + i % sizeof(data), flags);

		if (result < 0 && result != -ENOBUFS)
			why = "send failed";
		send_bytes(shared_stream, data, 100, 0); /* perhaps closed by now */
	}
	wait_until_idle(stream);
	struct qsocket_info info = call_info(stream);
	if (info.offered != MESSAGES || !balanced(&info))
		why = "a message is missing";
	call_close(stream, 0);
	*(const char **)argument = why;
	return NULL;
}

static void *watch(void *argument)
{
	while (!stop) {
		struct qsocket_info info = call_info(link_handle);

		if (!balanced(&info))
			*(const char **)argument = "the link's counters do not add up";
		info = call_info(shared_stream);
		if (!balanced(&info))
			*(const char **)argument = "a stream's counters do not add up";
	}
	return NULL;
}

static void *change(void *argument)
{
	for (uint32_t i = 0; !stop; i++) {
		struct qchange_args rate = {.handle = (uint32_t)link_handle,
					    .rate = 20000000 << i % 4};
		struct qchange_args attr = {
			.handle = (uint32_t)shared_stream,
			.attr = {.ipg_ns = i % 3 * 1000000ull, .oln = i % 2, .old = 4}};
		int32_t old = shared_stream;

		if (qsocketcall(QCHANGE, &rate, sizeof(rate)))
			*(const char **)argument = "QCHANGE failed";
		qsocketcall(QCHANGE, &attr, sizeof(attr));
		if (i % 10 == 9) {
			shared_stream =
				open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, port));
			if (call_close(old, 0))
				*(const char **)argument = "QCLOSE failed";
		}
		usleep(300);
	}
	return NULL;
}

static void *drain_receiver(void *argument)
{
	char data[4096];

	while (!stop)
		recv(*(int *)argument, data, sizeof(data), MSG_DONTWAIT);
	return NULL;
}

static const char *share_a_link(void)
{
	pthread_t senders[SENDERS], watcher, changer, reader;
	const char *whys[SENDERS + 2] = {0};
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	struct qsocket_info info;

	link_handle = call_init("dwcs", 100000000, 0);
	shared_stream = open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, port));
	pthread_create(&watcher, NULL, watch, &whys[SENDERS]);
	pthread_create(&changer, NULL, change, &whys[SENDERS + 1]);
	pthread_create(&reader, NULL, drain_receiver, &fd);
	for (int i = 0; i < SENDERS; i++)
		pthread_create(&senders[i], NULL, send_to_own_stream, &whys[i]);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(senders[i], NULL);
	stop = 1;
	pthread_join(watcher, NULL);
	pthread_join(changer, NULL);
	pthread_join(reader, NULL);
	for (int i = 0; i < SENDERS + 2; i++)
		if (whys[i])
			return whys[i];
	info = call_info(link_handle);
	HOLDS(info.offered >= SENDERS * MESSAGES && info.streams == 1 && balanced(&info));
	HOLDS(!call_close(link_handle, 0));
	close(fd);
	return NULL;
}

static void *open_and_close(void *argument)
{
	for (int i = 0; i < 100; i++) {
		int32_t link = call_init("edf", FAST, 0);
		int32_t stream = open_stream(link, QSOCKET_UDP, loopback(AF_INET, port));

		if (link < 0 || stream < 0)
			*(const char **)argument = "open failed";
		shared_stream = stream;
		for (int n = 0; n < 10; n++)
			send_bytes(stream, "x", 1, 0);
		if (i % 2 && call_close(stream, i % 4 ? QCLOSE_DRAIN : 0))
			*(const char **)argument = "QCLOSE of a stream failed";
		if (call_close(link, 0))
			*(const char **)argument = "QCLOSE of a link failed";
	}
	return NULL;
}

static void *use_what_others_close(void *argument)
{
	(void)argument;
	while (!stop) {
		send_bytes(shared_stream, "x", 1, 0);
		call_info(shared_stream);
	}
	return NULL;
}

static const char *closes_under_use(void)
{
	pthread_t openers[2], user;
	const char *whys[2] = {0};
	int fd = plain_socket(AF_INET, SOCK_DGRAM, &port);

	stop = 0;
	pthread_create(&user, NULL, use_what_others_close, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&openers[i], NULL, open_and_close, &whys[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(openers[i], NULL);
	stop = 1;
	pthread_join(user, NULL);
	close(fd);
	return whys[0] ? whys[0] : whys[1];
}

static struct qsend_args changing;

static void *change_arguments(void *argument)
{
	volatile uint32_t *data_len = &changing.data_len;

	(void)argument;
	while (!stop) {
		*data_len = 100;
		*data_len = 200000000; /* what is not checked is copied, and more than there is */
	}
	return NULL;
}

/* What is used is what was checked. */
static const char *reads_its_arguments_once(void)
{
	static char data[100];
	pthread_t changer;
	int fd;

#ifdef __SANITIZE_THREAD__
	return SKIP "ThreadSanitizer sees the race that this is about";
#endif
	fd = plain_socket(AF_INET, SOCK_DGRAM, &port);
	link_handle = call_init("fifo", 1000000, 0);
	changing = (struct qsend_args){
		.handle = (uint32_t)open_stream(link_handle, QSOCKET_UDP, loopback(AF_INET, port)),
		.data = (uintptr_t)data,
		.data_len = sizeof(data)};
	stop = 0;
	pthread_create(&changer, NULL, change_arguments, NULL);
	for (int i = 0; i < 300000; i++) {
		int32_t result = qsocketcall(QSEND, &changing, sizeof(changing));

		HOLDS(result == sizeof(data) || result == -EMSGSIZE || result == -ENOBUFS);
	}
	stop = 1;
	pthread_join(changer, NULL);
	HOLDS(!call_close(link_handle, 0));
	close(fd);
	return NULL;
}

int main(void)
{
	check("threads send, look and change at once", share_a_link());
	check("links and streams are closed while others use them", closes_under_use());
	check("an argument that changes during a call is read once", reads_its_arguments_once());
	return check_end();
}
