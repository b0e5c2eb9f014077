/* SPDX-License-Identifier: MIT
 *
 * What a device gets as its root qdisc. It is written down (state.h) before it is
 * done, and says then whose it is.
 */
#include <errno.h>
#include <string.h>

#include "../below/kernel.h"
#include "device.h"
#include "htb.h"
#include "netlink.h"
#include "state.h"

static int32_t install_kernel(int fd, const struct device *d, struct state *s,
			      const struct qsockinit_args *args)
{
	int32_t error;

	if (!kernel_has_calls())
		return -ENOSYS;
	s->host = QSOCKET_BELOW;
	kernel_kind(s->kind, s->scheduler);
	segments_begin(fd, d, s->rate, &s->segments);
	error = state_write(s);
	return error ? error : kernel_init(args, s->why);
}

static int32_t install_bpf(int fd, const struct device *d, struct state *s,
			   const struct qsockinit_args *args)
{
	int32_t error = bpf_probe(s->why);

	if (error)
		return error;
	s->host = QSOCKET_BELOW;
	segments_begin(fd, d, s->rate, &s->segments);
	error = state_write(s);
	if (!error)
		error = bpf_install(d, args, s->kind, s->why);
	if (!error)
		error = state_write(s);
	if (!error)
		error = netlink_attach(fd, d->ifindex, s->kind, DEVICE_HANDLE, NULL, 0);
	return error;
}

int32_t install_isolated(int fd, const struct device *d, struct state *s)
{
	int32_t error;

	s->host = QSOCKET_ISOLATED;
	segments_begin(fd, d, s->rate, &s->segments);
	memset(s->kind, 0, sizeof(s->kind));
	strcpy(s->kind, HTB_KIND);
	error = state_write(s);
	return error ? error : htb_install(fd, d, s->rate);
}

int32_t install_below(int fd, const struct device *d, struct state *s,
		      const struct qsockinit_args *args)
{
	char *why = s->why, first[QSOCKET_WHY_BYTES], second[QSOCKET_WHY_BYTES];
	int32_t error = install_kernel(fd, d, s, args);

	if (!error || error == -ENOSYS)
		return error ? install_bpf(fd, d, s, args) : 0;
	memcpy(first, why, sizeof(first));
	memset(why, 0, QSOCKET_WHY_BYTES);
	memset(s->kind, 0, sizeof(s->kind));
	error = install_bpf(fd, d, s, args);
	memcpy(second, why, sizeof(second));
	if (error)
		device_why(why, "%.62s; BPF: %.58s", first, second);
	return error;
}
