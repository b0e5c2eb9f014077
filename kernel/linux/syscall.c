// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate of a kernel that has all this built in: the system call, of the
 * number QSOCKETS_SYSCALL. Who may do what is looked at in each call.
 */
#include <linux/syscalls.h>

#include "manager.h"

SYSCALL_DEFINE3(qsocketcall, u32, call, void __user *, args, u32, args_len)
{
	if (!call && !args && !args_len) /* what has this number here? */
		return QSOCKETS_SYSCALL_IS;
	return qsocket_call(call, args, args_len);
}
