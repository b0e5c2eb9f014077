/* SPDX-License-Identifier: MIT
 *
 * What an engine has of its own on an isolated device (device/htb.c): its link's
 * rate is that of the device's managed class, and root may change that while
 * programs are open on it. The state file says so; each engine looks there when
 * it is asked for the link's counters, and once in ENGINE_LOOK_NS of sending.
 */
#include <errno.h>

#include "../device/device.h"
#include "../device/htb.h"
#include "../device/state.h"
#include "engine.h"

int32_t isolated_open(struct link *link, const struct qsockinit_args *args)
{
	struct engine *e = link->state;

	e->class_rate = args->rate;
	e->look_ns = 0;
	return device_of(args->device, &e->device);
}

/* A rate that the program gave its link itself stands until the device's changes. */
static void take_rate(struct link *link, const struct state *state, uint64_t now_ns)
{
	struct engine *e = link->state;
	uint64_t rate = htb_managed_rate(state->rate);

	if (state->host != QSOCKET_ISOLATED || state->phase != STATE_READY || rate == e->class_rate)
		return;
	e->class_rate = rate;
	engine_rate(link, rate, now_ns);
}

static void isolated_look(struct link *link)
{
	struct engine *e = link->state;
	struct state state;

	/* where there is none any more the link stays as it was */
	if (!state_read(&e->device, &state))
		take_rate(link, &state, qsocket_now());
}

uint64_t isolated_watch(struct link *link, uint64_t now_ns)
{
	struct engine *e = link->state;
	struct state state;
	int32_t error;

	if (now_ns < e->look_ns)
		return now_ns;
	e->look_ns = now_ns + ENGINE_LOOK_NS;
	pthread_mutex_unlock(&link->lock);
	error = state_read(&e->device, &state);
	pthread_mutex_lock(&link->lock);
	now_ns = qsocket_now();
	if (!error)
		take_rate(link, &state, now_ns);
	return now_ns;
}

int32_t isolated_share(struct link *link, const struct qsockinit_args *args)
{
	const struct engine *e = link->state;
	struct qsockinit_args same = *args;

	isolated_look(link);
	if (args->rate == e->class_rate) /* whatever the program made of it since */
		same.rate = link->policy.rate;
	return policy_share(link, &same);
}

int32_t isolated_info(struct link *link, uint32_t stream, struct qsocket_info *info)
{
	if (stream == QS_NONE)
		isolated_look(link);
	return policy_info(link, stream, info);
}
