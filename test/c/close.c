/* SPDX-License-Identifier: MIT
 * Endings: of streams, of links, of the process, and of its parent.
 */
#include "net.h"

#define SLOW 100000 /* bytes per second: 1000 take 10 ms */

static char data[1000], got[1000];
static int receiver;

static int32_t open_pair(int32_t *link, uint64_t rate)
{
	uint16_t port;

	receiver = plain_socket(AF_INET, SOCK_DGRAM, &port);
	*link = call_init("dwcs", rate, 0);
	return open_stream(*link, QSOCKET_UDP, loopback(AF_INET, port));
}

static const char *discards(void)
{
	int32_t link, stream = open_pair(&link, SLOW);
	struct qsocket_info info;

	for (int i = 0; i < 100; i++)
		HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
	HOLDS(!call_close(stream, 0));
	HOLDS(send_bytes(stream, data, 1, 0) == -EBADF && call_close(stream, 0) == -EBADF);
	info = call_info(link);
	HOLDS(info.offered == 100 && info.queued == 0 && info.dropped[QSOCKET_CLOSED] > 0);
	HOLDS(balanced(&info) && info.streams == 0 && info.kind == QSOCKET_LINK);
	HOLDS(!call_close(link, 0) && call_close(link, 0) == -EBADF);
	close(receiver);
	return NULL;
}

static const char *drains(void)
{
	int32_t link, stream = open_pair(&link, SLOW);
	struct qsocket_info info;

	for (int i = 0; i < 20; i++)
		HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
	/* the end of this frame never comes: it must not keep the stream */
	HOLDS(send_bytes(stream, data, 9, QSOCKET_FRAME | QSOCKET_START) == 9);
	HOLDS(!call_close(stream, QCLOSE_DRAIN));
	HOLDS(send_bytes(stream, data, 1, 0) == -EPIPE);
	for (int i = 0; i < 20; i++)
		HOLDS(receive(receiver, got, sizeof(got)) == sizeof(got));
	info = wait_until_idle(stream);
	HOLDS(info.sent == 20 && info.dropped[QSOCKET_CLOSED] == 1 && balanced(&info));
	HOLDS(info.state & QSOCKET_STATE_CLOSING);
	HOLDS(!call_close(stream, 0) && call_info(stream).kind == 0);
	HOLDS(!call_close(link, 0));
	close(receiver);
	return NULL;
}

static const char *link_closes_its_streams(void)
{
	int32_t link, stream = open_pair(&link, SLOW), other;

	other = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});
	for (int i = 0; i < 100; i++)
		HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
	HOLDS(!call_close(link, 0));
	HOLDS(call_close(stream, 0) == -EBADF && call_close(other, 0) == -EBADF);
	HOLDS(open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0}) == -EBADF);
	close(receiver);
	return NULL;
}

/* exit() runs destructors while the link's thread still sends. */
static const char *ends_with_messages_queued(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		int32_t link, stream = open_pair(&link, SLOW);

		for (int i = 0; i < 1000; i++)
			send_bytes(stream, data, sizeof(data), 0);
		exit(receive(receiver, got, sizeof(got)) == sizeof(got) ? 42 : 1);
	}
	HOLDS(waitpid(child, &status, 0) == child);
	HOLDS(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	return NULL;
}

static int32_t parents_link, parents_stream;

static const char *child_is_on_its_own(void)
{
	int32_t link, stream;

	HOLDS(send_bytes(parents_stream, data, 1, 0) == -EBADF);
	HOLDS(call_close(parents_stream, 0) == -EBADF && call_close(parents_link, 0) == -EBADF);
	stream = open_pair(&link, FAST);
	HOLDS(stream > 0 && stream != parents_stream);
	HOLDS(send_bytes(stream, data, 5, 0) == 5 && receive(receiver, got, sizeof(got)) == 5);
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *forks(void)
{
	const char *why;

#ifdef __SANITIZE_THREAD__
	return SKIP "ThreadSanitizer cannot follow a child of a process with threads";
#endif
	parents_stream = open_pair(&parents_link, SLOW);
	for (int i = 0; i < 10; i++)
		HOLDS(send_bytes(parents_stream, data, sizeof(data), 0) == sizeof(data));
	/* AddressSanitizer's locks are not fork's: the thread must be through with starting */
	HOLDS(receive(receiver, got, sizeof(got)) == sizeof(got));
	if ((why = in_child(child_is_on_its_own)))
		return why;
	for (int i = 0; i < 9; i++)
		HOLDS(receive(receiver, got, sizeof(got)) == sizeof(got));
	HOLDS(!call_close(parents_link, 0));
	close(receiver);
	return NULL;
}

/* A child that has inherited a connection does not keep its end from the peer. */
static const char *ends_a_connection_despite_a_child(void)
{
	uint16_t port;
	int server = plain_socket(AF_INET, SOCK_STREAM, &port), ends[2], peer;
	int32_t link = call_init("dwcs", FAST, 0), stream;
	pid_t child;
	char byte;

	HOLDS(!listen(server, 1) && !pipe(ends));
	stream = open_stream(link, QSOCKET_TCP, loopback(AF_INET, port));
	peer = accept(server, NULL, NULL);
	HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
	for (size_t at = 0; at < sizeof(got);) {
		int part = receive(peer, got + at, sizeof(got) - at);

		HOLDS(part > 0);
		at += (size_t)part;
	}
	child = fork();
	if (!child) {
		close(ends[1]);
		_exit((int)read(ends[0], &byte, 1)); /* until the parent is through */
	}
	HOLDS(!call_close(stream, 0));
	HOLDS(receive(peer, got, sizeof(got)) == 0);
	close(ends[0]);
	close(ends[1]);
	waitpid(child, NULL, 0);
	HOLDS(!call_close(link, 0));
	close(peer);
	close(server);
	return NULL;
}

static const char *handles_are_not_used_twice(void)
{
	int32_t link = call_init("fifo", FAST, 0), before = 0;

	for (int i = 0; i < 12000; i++) {
		int32_t stream = open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0});

		HOLDS(stream > 0 && stream != before && !call_close(stream, 0));
		before = stream;
	}
	HOLDS(!call_close(link, 0));
	return NULL;
}

static const char *a_link_has_room_for_its_streams(void)
{
	int32_t link = call_init("dwcs", FAST, 0);
	struct qsocket_info info;

	for (int i = 0; i < QSOCKET_STREAMS_DEFAULT; i++)
		HOLDS(open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0}) > 0);
	HOLDS(open_stream(link, QSOCKET_UDP, (struct qsocket_addr){0}) == -ENOSPC);
	info = call_info(link);
	HOLDS(info.streams == QSOCKET_STREAMS_DEFAULT && !call_close(link, 0));
	return NULL;
}

int main(void)
{
	check("a process ends with messages queued", ends_with_messages_queued());
	check("a forked child has no part in its parent's links", forks());
	check("QCLOSE discards what is queued", discards());
	check("QCLOSE_DRAIN sends what is queued", drains());
	check("QCLOSE of a link closes its streams", link_closes_its_streams());
	check("QCLOSE ends a TCP connection that a child has inherited",
	      ends_a_connection_despite_a_child());
	check("a closed handle is not given out again soon", handles_are_not_used_twice());
	check("a link refuses one stream too many", a_link_has_room_for_its_streams());
	return check_end();
}
