/* SPDX-License-Identifier: MIT
 * What a link makes good when its thread comes late: the time in which it had
 * something that may be sent, all of it, and no other.
 */
#include "inject.h"

#include "engine/engine.h"

static uint64_t free_ns(void)
{
	uint32_t index;
	struct link *link = handle_lock((uint32_t)link_handle, &index);
	const struct engine *e = link->state;
	uint64_t ns = e->pace.free_ns;

	pthread_mutex_unlock(&link->lock);
	return ns;
}

static void wait_for(_Atomic int *flag)
{
	while (!*flag)
		usleep(100);
}

/* The link's time runs from the first message on that it could send. */
static const char *counts_from_the_first_message(void)
{
	uint64_t sent_ns, counted_ns;

	open_pair("dwcs");
	gate = 1;
	HOLDS(!send_numbers(0, 1));
	wait_for(&at_gate);
	HOLDS(!send_numbers(1, 2));
	sent_ns = qsocket_now();
	usleep(1000);
	HOLDS(!send_numbers(2, 3));
	counted_ns = free_ns();
	gate = at_gate = 0;
	HOLDS(counted_ns <= sent_ns);
	HOLDS(!expect_numbers(0, 3));
	return close_pair();
}

int main(void)
{
	check("a link's time runs from the first message that it could send",
	      counts_from_the_first_message());
	return check_end();
}
