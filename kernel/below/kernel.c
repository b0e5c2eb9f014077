/* SPDX-License-Identifier: MIT
 *
 * The kernel's own qsocketcall(2), where it has one: built in, as a system call,
 * or from a module, as a device's ioctl (../linux/gate.h). It is found once and
 * for all of the process; where there is none, each call looks again, as a module
 * may be loaded at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"

#define NOWHERE (-1)
#define BY_SYSCALL (-2)

static _Atomic(int) gate = NOWHERE; /* or the device, open */

/* Any other answer than this one is another kernel's, or a filter's (seccomp(2)). */
static int look(void)
{
	int expected = NOWHERE, found = BY_SYSCALL;

	if (syscall(QSOCKETS_SYSCALL, 0, NULL, 0) != QSOCKETS_SYSCALL_IS)
		found = open(QSOCKETS_DEVICE, O_RDWR | O_CLOEXEC);
	if (found == NOWHERE || atomic_compare_exchange_strong(&gate, &expected, found))
		return found;
	if (found >= 0) /* another thread was faster */
		close(found);
	return expected;
}

static int find(void)
{
	int found = atomic_load_explicit(&gate, memory_order_acquire);

	return found == NOWHERE ? look() : found;
}

int kernel_has_calls(void)
{
	return find() != NOWHERE;
}

int32_t kernel_call(uint32_t call, void *args, uint32_t args_len)
{
	int found = find();
	long result;

	if (found == NOWHERE)
		return -ENOSYS;
	if (found == BY_SYSCALL)
		result = syscall(QSOCKETS_SYSCALL, call, args, args_len);
	else
		result = ioctl(found, QSOCKETS_CALL(call, args_len), args);
	return result < 0 ? -errno : (int32_t)result;
}
