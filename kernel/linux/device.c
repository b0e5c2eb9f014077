// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate of a kernel that has no system call for it: a character device, open
 * to all. Who may do what is looked at in each call.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "manager.h"

static long call(struct file *file, unsigned int command, unsigned long args)
{
	if (_IOC_TYPE(command) != QSOCKETS_IOCTL || _IOC_DIR(command) != (_IOC_READ | _IOC_WRITE))
		return -ENOTTY;
	return qsocket_call(_IOC_NR(command), (void __user *)args, _IOC_SIZE(command));
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = call,
	.compat_ioctl = compat_ptr_ioctl, /* the structs are the same */
	.open = nonseekable_open,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "qsockets",
	.mode = 0666,
	.fops = &operations,
};

int __init qsocket_device_init(void)
{
	return misc_register(&device);
}

void qsocket_device_exit(void)
{
	misc_deregister(&device);
}

MODULE_ALIAS("devname:qsockets");
