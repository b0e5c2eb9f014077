/* SPDX-License-Identifier: MIT
 *
 * What a device is called, and by what it is known again.
 */
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux >= 5.14 */
#endif

static int32_t ask(int fd, const char *name, struct device *d)
{
	struct ifreq request = {0};
	socklen_t len = sizeof(d->netns_cookie);
	struct stat netns;

	/* known even of a device that is gone */
	if (stat("/proc/thread-self/ns/net", &netns))
		return -errno;
	d->netns_inode = netns.st_ino;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &d->netns_cookie, &len))
		d->netns_cookie = 0;
	memcpy(request.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, SIOCGIFINDEX, &request))
		return -errno;
	d->ifindex = (uint32_t)request.ifr_ifindex;
	if (ioctl(fd, SIOCGIFMTU, &request))
		return -errno;
	d->mtu = (uint32_t)request.ifr_mtu;
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		return -errno;
	d->type = request.ifr_hwaddr.sa_family;
	d->address_len = sizeof(request.ifr_hwaddr.sa_data);
	memcpy(d->address, request.ifr_hwaddr.sa_data, d->address_len);
	return 0;
}

int32_t device_of(const char *name, struct device *device)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int32_t error;

	if (fd < 0)
		return -errno;
	memset(device, 0, sizeof(*device));
	memcpy(device->name, name, sizeof(device->name));
	error = ask(fd, name, device);
	close(fd);
	return error;
}

void device_why(char why[QSOCKET_WHY_BYTES], const char *format, ...)
{
	va_list values;

	va_start(values, format);
	memset(why, 0, QSOCKET_WHY_BYTES);
	vsnprintf(why, QSOCKET_WHY_BYTES, format, values);
	va_end(values);
}
