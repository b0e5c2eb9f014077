/* SPDX-License-Identifier: MIT
 *
 * How a program comes to the calls of kernel/linux: by the system call, where the
 * kernel has it, else by the device of the modules; and to a stream of a device
 * that has a scheduler.
 */
#ifndef QS_TEST_ENTRY_H
#define QS_TEST_ENTRY_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/gate.h"

#define PORT 5004

static int device_fd = -1; /* stays that where there is the system call */

/* 0, or -errno where there is neither. */
static int entry_open(void)
{
	if (syscall(QSOCKETS_SYSCALL, 0, NULL, 0) == QSOCKETS_SYSCALL_IS)
		return 0;
	device_fd = open(QSOCKETS_DEVICE, O_RDWR | O_CLOEXEC);
	return device_fd < 0 ? -errno : 0;
}

/* A count or 0, or -errno. */
static int entry_call(unsigned number, void *args, unsigned bytes)
{
	long result = device_fd < 0 ? syscall(QSOCKETS_SYSCALL, number, args, bytes)
				    : ioctl(device_fd, QSOCKETS_CALL(number, bytes), args);

	return result < 0 ? -errno : (int)result;
}

/* An address of either family, and PORT. */
static inline struct qsocket_addr entry_address(const char *text)
{
	struct qsocket_addr address = {.port = PORT};

	address.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	inet_pton(address.family, text, address.bytes);
	return address;
}

/* What is on a device: a link's handle, or -errno. */
static inline int entry_link(const char *device)
{
	struct qsockinit_args args = {0};

	snprintf(args.device, sizeof(args.device), "%s", device);
	return entry_call(QSOCKINIT, &args, sizeof(args));
}

/* A descriptor, or -errno. */
static inline int entry_stream(uint32_t link, uint16_t family, uint64_t ipg_ns)
{
	struct qsocket_args args = {
		.link = link, .type = QSOCKET_UDP, .local.family = family, .attr.ipg_ns = ipg_ns};

	return entry_call(QSOCKET, &args, sizeof(args));
}

#endif
