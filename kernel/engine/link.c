/* SPDX-License-Identifier: MIT
 *
 * A link's thread: it paces, and hands the scheduler's packets to the network.
 *
 * It paces as sched/pace.c says: the kernel's own queue so stays nearly empty,
 * and what goes next is decided as late as can be.
 *
 * The lock is held to take a batch and to count what became of it, not while
 * sending. A packet that finds no room stays in hand and its stream sits out
 * (qs_block) until poll(2) finds room; then it goes before the stream's next.
 *
 * Senders wake the thread only out of deep sleep: for ENGINE_LINGER_NS after
 * the last packet it naps instead, and looks by itself.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

static uint32_t burst_bytes(const struct qs_link *policy)
{
	uint64_t bytes = policy->rate / (1000000000ull / ENGINE_BURST_NS);

	return bytes == 0 ? 1 : bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

void engine_rate(struct link *link, uint64_t rate, uint64_t now_ns)
{
	struct engine *e = link->state;

	qs_pace_stand_still(&link->policy, &e->pace, now_ns);
	qs_pace_rate(&link->policy, &e->pace, rate, now_ns);
	engine_wake(e);
}

/* What waited for room, or for the device, goes first. Returns the batch's
 * new length. */
static uint32_t take_held(struct link *link, uint64_t now_ns)
{
	struct engine *e = link->state;
	uint32_t len = 0;

	for (uint32_t i = 0; i < e->waiting_len;) {
		uint32_t stream = e->waiting[i];
		struct engine_stream *s = &e->streams[stream];

		if (s->wait == WAIT_PAUSE && now_ns >= e->pause_ns)
			s->wait = WAIT_OVER;
		if (s->wait != WAIT_OVER || s->leaving ||
		    len + s->held_len > ENGINE_BATCH_PACKETS) {
			i++;
			continue;
		}
		while (s->held_len > 0) {
			uint32_t hand = s->held_first;
			struct outgoing *o = &e->hand[hand];
			uint64_t due_ns = link->policy.messages[o->packet.message].deadline_ns;

			s->held_first = o->next;
			s->held_len--;
			if (now_ns > due_ns) {
				if (link->policy.streams[stream].lossy &&
				    !(s->socket.type == QSOCKET_TCP && o->at > 0)) {
					engine_finish(link, hand, QSOCKET_EXPIRED);
					continue;
				}
				engine_late(link, hand);
			}
			o->state = PACKET_UNSENT;
			e->batch[len++] = hand;
			s->busy++;
		}
		if (s->busy)
			i++;
		else
			engine_go_on(link, stream); /* the last one waiting takes its place */
	}
	return len;
}

/* Takes the packets that may leave now. */
static uint32_t take(struct link *link, uint64_t now_ns)
{
	struct engine *e = link->state;
	uint32_t len = e->waiting_len ? take_held(link, now_ns) : 0;
	uint32_t bytes_max = burst_bytes(&link->policy);

	while (len < ENGINE_BATCH_PACKETS && e->pause_ns <= now_ns &&
	       qs_pace_open(&link->policy, &e->pace, now_ns)) {
		int crowded = e->hand_len >= ENGINE_HAND_CROWDED;
		struct engine_stream *s;
		struct qs_packet packet;

		if (!qs_dequeue(&link->policy, now_ns, bytes_max, &packet)) {
			qs_pace_rest(&e->pace, now_ns);
			break;
		}
		qs_pace_charge(&link->policy, &e->pace, packet.bytes, now_ns);
		e->batch[len++] = engine_hand(link, &packet);
		s = &e->streams[packet.stream];
		s->busy++;
		/* one at a time: a TCP message may take long, and many held by some
		 * streams must leave the others a place in hand */
		if (s->socket.type == QSOCKET_TCP || crowded)
			qs_block(&link->policy, packet.stream, 1);
	}
	return len;
}

/* Counts what became of a batch. */
static void settle(struct link *link, uint32_t len, uint64_t now_ns)
{
	struct engine *e = link->state;

	for (uint32_t i = 0; i < len; i++) {
		uint32_t hand = e->batch[i];
		struct outgoing *o = &e->hand[hand];
		uint32_t stream = o->packet.stream;
		struct engine_stream *s = &e->streams[stream];

		s->errors += o->errors;
		s->calls += o->calls;
		if (o->last_error)
			s->last_error = o->last_error;
		o->errors = o->calls = 0;
		o->last_error = 0;
		s->busy--;
		switch (o->state) {
		case PACKET_NO_ROOM:
			engine_hold(link, hand, WAIT_ROOM);
			break;
		case PACKET_PAUSED:
			e->pause_ns = now_ns + ENGINE_PAUSE_NS;
			engine_hold(link, hand, WAIT_PAUSE);
			break;
		case PACKET_SENT:
			assert(!s->held_len); /* it has overtaken nothing */
			engine_finish(link, hand, 0);
			break;
		default:
			assert(o->state == PACKET_FAILED && !s->held_len);
			engine_finish(link, hand, QSOCKET_ERROR);
			if (s->socket.type == QSOCKET_TCP) {
				s->broken = 1;
				engine_lose(link, stream, QSOCKET_ERROR);
			}
		}
		if (!s->busy && !s->held_len && s->wait != WAIT_CONNECT)
			engine_go_on(link, stream);
	}
	pthread_cond_broadcast(&e->settled);
}

/* Looks after the sockets that wait, for at most timeout_ns; without lock. */
static void wait_for_sockets(struct link *link, uint64_t timeout_ns)
{
	struct engine *e = link->state;
	struct timespec timeout = {(time_t)(timeout_ns / 1000000000u),
				   (long)(timeout_ns % 1000000000u)};
	uint32_t len = 1;
	uint64_t wakes;

	e->polls[0] = (struct pollfd){.fd = e->waker, .events = POLLIN};
	for (uint32_t i = 0; i < e->waiting_len; i++) {
		const struct engine_stream *s = &e->streams[e->waiting[i]];

		if (s->wait != WAIT_ROOM && s->wait != WAIT_CONNECT)
			continue;
		e->polled[len] = e->waiting[i];
		e->polls[len++] = (struct pollfd){.fd = s->socket.fd, .events = POLLOUT};
	}
	pthread_mutex_unlock(&link->lock);
	if (ppoll(e->polls, len, timeout_ns == QS_FOREVER ? NULL : &timeout, NULL) <= 0)
		len = 0;
	else if (e->polls[0].revents && read(e->waker, &wakes, sizeof(wakes)) > 0)
		wakes = 0; /* how often does not matter */
	pthread_mutex_lock(&link->lock);
	for (uint32_t i = 1; i < len; i++) {
		struct engine_stream *s = &e->streams[e->polled[i]];
		int32_t error;

		/* it may have been closed, and another opened in its place */
		if (!e->polls[i].revents || s->socket.fd != e->polls[i].fd)
			continue;
		if (e->polls[i].revents & POLLERR && s->socket.type == QSOCKET_UDP)
			stack_forget(s->socket.fd);
		if (s->wait == WAIT_ROOM)
			s->wait = WAIT_OVER;
		if (s->wait != WAIT_CONNECT)
			continue;
		error = socket_connected(&s->socket);
		s->wait = WAIT_OVER;
		if (error) {
			s->errors++;
			s->last_error = -error;
			s->broken = 1;
			engine_lose(link, e->polled[i], QSOCKET_ERROR);
		}
	}
}

/* Nothing may leave at now_ns: sleeps until something may, or did change. */
static void sleep_until_due(struct link *link, uint64_t now_ns, uint64_t busy_ns)
{
	struct engine *e = link->state;
	uint64_t until_ns = QS_FOREVER;

	if (e->pace.free_ns > now_ns)
		until_ns = e->pace.free_ns;
	else if (e->pause_ns <= now_ns)
		until_ns = qs_next_ns(&link->policy);
	if (e->pause_ns > now_ns && e->pause_ns < until_ns)
		until_ns = e->pause_ns;
	if (e->pace.free_ns <= now_ns && e->pause_ns <= now_ns) {
		if (now_ns < busy_ns + ENGINE_LINGER_NS)
			until_ns = now_ns;
		else
			e->idle = 1;
	}
	if (!e->idle && until_ns > e->look_ns)
		until_ns = e->look_ns;
	if (until_ns < now_ns + ENGINE_NAP_NS)
		until_ns = now_ns + ENGINE_NAP_NS;
	if (until_ns == now_ns + ENGINE_NAP_NS && e->waiting_len == 0 && !e->idle) {
		struct timespec until = {(time_t)(until_ns / 1000000000u),
					 (long)(until_ns % 1000000000u)};

		pthread_mutex_unlock(&link->lock);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		pthread_mutex_lock(&link->lock);
	} else {
		wait_for_sockets(link, until_ns == QS_FOREVER ? QS_FOREVER : until_ns - now_ns);
	}
	e->idle = 0;
	qs_pace_stand_still(&link->policy, &e->pace, qsocket_now());
}

/* A thread that sleeps most of the time and wakes for microseconds: a short
 * time slice lets it run as soon as it wakes (Linux >= 6.12; else ignored). */
static void ask_for_short_slices(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {.size = sizeof(attr), .policy = SCHED_OTHER, .runtime = ENGINE_SLICE_NS};

	attr.nice = getpriority(PRIO_PROCESS, 0);
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

static void *run(void *argument)
{
	struct link *link = argument;
	struct engine *e;
	uint64_t busy_ns = 0, polled_ns = 0;

	prctl(PR_SET_TIMERSLACK, 1ul);
	prctl(PR_SET_NAME, "qsocket");
	ask_for_short_slices();
	pthread_mutex_lock(&link->lock);
	e = link->state;
	while (!e->stop) {
		uint64_t now_ns = isolated_watch(link, qsocket_now());
		uint32_t len = take(link, now_ns);

		engine_reap(link);
		if (len > 0) {
			pthread_mutex_unlock(&link->lock);
			engine_send_batch(e, len);
			pthread_mutex_lock(&link->lock);
			busy_ns = qsocket_now();
			settle(link, len, busy_ns);
			engine_reap(link);
		}
		if (e->ended != QS_NONE)
			engine_drain(link);
		if (len == 0) {
			sleep_until_due(link, now_ns, busy_ns);
		} else if (e->waiting_len && now_ns > polled_ns + ENGINE_POLL_NS) {
			polled_ns = now_ns;
			wait_for_sockets(link, 0);
		}
	}
	e->running = 0;
	pthread_cond_broadcast(&e->settled);
	pthread_mutex_unlock(&link->lock);
	return NULL;
}

int32_t engine_start(struct link *link)
{
	struct engine *e = link->state;
	int32_t error;

	if (e->running)
		return 0;
	error = thread_start(run, link, ENGINE_STACK_BYTES);
	e->running = !error;
	return error;
}
