/* SPDX-License-Identifier: MIT
 *
 * A stream's look after its device. The scheduler counts what reaches it: as
 * long as that count follows what is sent, the queue is there and the route
 * leads to it. If not (a neighbour may still be asked for its address), both
 * are asked for; and once a stream was away, both before it goes on.
 */
#include <errno.h>
#include <string.h>

#include "below.h"

enum below_verdict below_judge(const struct below_watch *watch, const struct below_sight *sight)
{
	if (!sight->answered)
		return BELOW_AWAY;
	if (!watch->away && (watch->sent == 0 || sight->arrived != watch->arrived))
		return BELOW_FINE;
	return sight->attached && sight->near ? BELOW_FINE : BELOW_LOOK_CLOSER;
}

/* Takes a look down that went as close as was needed. */
void below_seen(struct below_watch *watch, const struct below_sight *sight, uint64_t now_ns)
{
	watch->away = below_judge(watch, sight) != BELOW_FINE;
	watch->due_ns = now_ns + (watch->away ? BELOW_LOOK_AGAIN_NS : BELOW_LOOK_NS);
	watch->arrived = sight->arrived;
	watch->sent = 0;
}

int32_t below_look(struct below *b, struct below_stream *s, uint64_t now_ns)
{
	struct below_sight sight = {0};
	struct qs_gate_stream stream;
	struct qs_gate_link found;
	const struct qsocket_addr *to = below_peer_last(s);

	if (now_ns < s->watch.due_ns)
		return s->watch.away ? -ENOLINK : 0;
	memset(&stream, 0, sizeof(stream));
	/* registered anew where the scheduler is another by now */
	if (s->watch.away) {
		b->gate->enter(b, &s->socket, &s->attr, &stream.admission);
		s->usual = BELOW_USUAL_UNKNOWN;
	}
	sight.answered = !gate_read(s->socket.fd, b->ifindex, &stream);
	sight.arrived = stream.arrived;
	if (below_judge(&s->watch, &sight) == BELOW_LOOK_CLOSER) {
		sight.attached = !gate_link(b->gate_fd, b->ifindex, &found) && found.attached;
		sight.near = !to || !route_check(b->route_fd, b->ifindex, s->socket.fd, to);
	}
	if (s->watch.away || sight.arrived - s->watch.arrived < s->watch.sent)
		below_forget_peers(s);
	below_seen(&s->watch, &sight, now_ns);
	return s->watch.away ? -ENOLINK : 0;
}
