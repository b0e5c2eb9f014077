/* SPDX-License-Identifier: MIT
 *
 * Below the stack: this build has no such host.
 */
#include <errno.h>

#include "device.h"

int32_t bpf_probe(const struct device *d, char why[QSOCKET_WHY_BYTES])
{
	(void)d;
	device_why(why, "this version has no scheduler below the stack");
	return -EOPNOTSUPP;
}

int32_t bpf_install(const struct device *d, const struct qsockinit_args *args,
		    char kind[QSOCKET_NAME_BYTES], char why[QSOCKET_WHY_BYTES])
{
	(void)args;
	(void)kind;
	return bpf_probe(d, why);
}

int32_t bpf_change(const struct device *d, const struct qsockinit_args *args, const char *kind,
		   char why[QSOCKET_WHY_BYTES])
{
	(void)args;
	(void)kind;
	return bpf_probe(d, why);
}

void bpf_uninstall(const struct device *d, const char *kind)
{
	(void)d;
	(void)kind;
}
