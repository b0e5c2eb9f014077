/* SPDX-License-Identifier: MIT
 *
 * How a program comes to the calls of kernel/linux: by the system call, where the
 * kernel has it, else by the device of the modules.
 */
#ifndef QS_TEST_ENTRY_H
#define QS_TEST_ENTRY_H

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/gate.h"

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

#endif
