/* SPDX-License-Identifier: MIT
 * What the kernel may answer to a send, each answer given here in its place:
 * what goes out in parts is counted once, lost whole, and never cut unseen.
 */
#include "inject.h"

static const char *loses_a_frame_whole(void)
{
	struct qsocket_info info;
	const uint32_t frame = QSOCKET_FRAME | 2u << QSOCKET_LEVEL_SHIFT;
	char got[8];

	open_pair("dwcs");
	answer(EPERM, 1);
	HOLDS(send_bytes(stream, "one", 3, frame | QSOCKET_START) == 3);
	HOLDS(send_bytes(stream, "two", 3, frame) == 3);
	HOLDS(send_bytes(stream, "three", 5, frame | QSOCKET_END) == 5);
	HOLDS(send_bytes(stream, "next", 4, frame | QSOCKET_START | QSOCKET_END) == 4);
	while (receive(fd, got, sizeof(got)) != 4)
		;
	for (int ms = 0; ms < PATIENCE_MS && !call_info(stream).socket_errors; ms++)
		usleep(1000); /* it is counted after the batch, which "next" was in */
	info = wait_until_idle(stream);
	HOLDS(info.dropped[QSOCKET_ERROR] > 0 && balanced(&info));
	HOLDS(info.frames_offered[2] == 2 && info.frames_sent[2] == 1);
	HOLDS(info.frames_dropped[2][QSOCKET_ERROR] + info.frames_dropped[2][QSOCKET_INCOMPLETE] ==
	      1);
	return close_pair();
}

static const char *any_answer(const char *scheduler, uint64_t rate, uint32_t deadline_us)
{
	static char data[1400];
	struct qsocket_info info;
	uint32_t taken = 0, offered = 0, seed = 7;

	struct qchange_args change = {.rate = rate};
	int32_t result;

	open_pair(scheduler);
	change.handle = (uint32_t)link_handle;
	HOLDS(!qsocketcall(QCHANGE, &change, sizeof(change)));
	inject_random = 12345;
	for (uint32_t frame = 0; frame < 300; frame++) {
		uint32_t messages = 1 + (seed = seed * 69069 + 1) % 7;

		for (uint32_t i = 0; i < messages; i++) {
			uint32_t flags = QSOCKET_FRAME | frame % 3 << QSOCKET_LEVEL_SHIFT |
					 (i == 0) * QSOCKET_START |
					 (i == messages - 1) * QSOCKET_END;

			memcpy(data, &offered, sizeof(offered));
			result = qsend((uint32_t)stream, data, 100 + i % 2 * 50,
				       flags | (deadline_us ? QSOCKET_DEADLINE : 0), deadline_us);
			HOLDS(result > 0 || result == -ENOBUFS);
			offered++;
		}
		if (deadline_us && frame % 16 == 0)
			usleep(deadline_us / 2);
		info = call_info(stream);
		HOLDS(balanced(&info));
	}
	HOLDS(!call_close(stream, QCLOSE_DRAIN));
	/* what arrives is in order; what is counted as sent has arrived */
	for (int64_t last = -1;;) {
		uint32_t number;

		if (recv(fd, &number, sizeof(number), MSG_DONTWAIT) > 0) {
			HOLDS((int64_t)number > last);
			last = number;
			taken++;
			continue;
		}
		info = call_info(stream);
		HOLDS(balanced(&info));
		if (!info.queued && info.state == QSOCKET_STATE_CLOSING &&
		    taken >= info.sent + info.late)
			break;
		usleep(100);
	}
	HOLDS(info.offered == offered && info.socket_errors > 0);
	HOLDS(dropped(&info) > 0 && taken == info.sent + info.late);
	for (int level = 0; level < 4; level++) {
		uint64_t ended = info.frames_sent[level];

		for (int reason = 0; reason < QSOCKET_REASONS; reason++)
			ended += info.frames_dropped[level][reason];
		HOLDS(info.frames_offered[level] == ended);
	}
	return close_pair();
}

static const char *any_answer_to_frames(void)
{
	return any_answer("edf", FAST, 0);
}

static const char *any_answer_to_fifo(void)
{
	return any_answer("fifo", FAST, 0);
}

static const char *any_answer_to_frames_with_deadlines(void)
{
	return any_answer("dwcs", 1000000, 3000);
}

/* A TCP stream whose writes are taken a few bytes at a time. */
static const char *tcp_in_small_parts(void)
{
	static char data[5000], got[5000];
	uint16_t port;
	int server = plain_socket(AF_INET, SOCK_STREAM, &port), peer;
	struct qsocket_info info;

	HOLDS(!listen(server, 1));
	link_handle = call_init("dwcs", FAST, 0);
	stream = open_stream(link_handle, QSOCKET_TCP, loopback(AF_INET, port));
	peer = accept(server, NULL, NULL);
	inject_bytes_max = 37;
	for (int n = 0; n < 10; n++) {
		memset(data, n, sizeof(data));
		answer(n % 2 ? EAGAIN : ENOBUFS, n);
		HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
		for (size_t at = 0; at < sizeof(got);) {
			int part = receive(peer, got + at, sizeof(got) - at);

			HOLDS(part > 0);
			at += (size_t)part;
		}
		HOLDS(!memcmp(data, got, sizeof(got)));
	}
	info = wait_until_idle(stream);
	HOLDS(info.sent == 10 && balanced(&info));

	/* cut in the middle by closing: the reader must see it */
	inject_bytes_max = 37;
	HOLDS(send_bytes(stream, data, sizeof(data), 0) == sizeof(data));
	HOLDS(receive(peer, got, 37) == 37);
	answer(EAGAIN, 1000000);
	do {
		info = call_info(stream);
	} while (!(info.state & QSOCKET_STATE_BLOCKED) && info.syscalls < 1000);
	if (info.state & QSOCKET_STATE_BLOCKED) {
		int part;

		HOLDS(!call_close(stream, 0));
		while ((part = receive(peer, got, sizeof(got))) > 0)
			;
		HOLDS(part < 0 && errno == ECONNRESET);
	}
	inject_times = inject_bytes_max = 0;
	HOLDS(!call_close(link_handle, 0));
	close(peer);
	close(server);
	return NULL;
}

int main(void)
{
	check("a refused message costs its frame, and only that", loses_a_frame_whole());
	check("frames are counted once whatever the kernel answers", any_answer_to_frames());
	check("frames are counted once whatever the kernel answers and expires",
	      any_answer_to_frames_with_deadlines());
	check("messages are counted once whatever the kernel answers", any_answer_to_fifo());
	check("TCP goes on where the kernel stopped, and resets where it must",
	      tcp_in_small_parts());
	return check_end();
}
