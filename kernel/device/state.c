/* SPDX-License-Identifier: MIT
 *
 * The state files: written whole or not at all, believed only if root wrote
 * them, and of this very device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state.h"

#define LOCK_FILE STATE_DIRECTORY "/.lock"
#define PATH_BYTES 96

static int ends(const char *text, size_t bytes)
{
	return strnlen(text, bytes) < bytes;
}

int32_t state_check(const void *bytes, size_t len)
{
	struct state s;

	if (len != sizeof(s))
		return -EBADMSG;
	memcpy(&s, bytes, sizeof(s));
	if (s.magic != STATE_MAGIC || s.version != STATE_VERSION || s.bytes != sizeof(s))
		return -EBADMSG;
	if ((s.phase != STATE_BEGUN && s.phase != STATE_READY) ||
	    (s.host != QSOCKET_BELOW && s.host != QSOCKET_ISOLATED) || s.mode > DEVICE_MODE_MAX)
		return -EBADMSG;
	if (!ends(s.device.name, sizeof(s.device.name)) ||
	    !ends(s.scheduler, sizeof(s.scheduler)) || !ends(s.kind, sizeof(s.kind)) ||
	    !ends(s.why, sizeof(s.why)) || !ends(s.saved.kind, sizeof(s.saved.kind)) ||
	    !ends(s.saved.child, sizeof(s.saved.child)))
		return -EBADMSG;
	if (!s.device.ifindex || s.device.address_len > sizeof(s.device.address) || !*s.scheduler ||
	    !s.rate || s.rate > QSOCKET_RATE_MAX || s.rate_next > QSOCKET_RATE_MAX)
		return -EBADMSG;
	if (s.segments.set > s.segments.before || s.segments.next > s.segments.before)
		return -EBADMSG; /* they are never more */
	return s.saved.options_len > sizeof(s.saved.options) ? -EBADMSG : 0;
}

static void path_of(const struct device *d, char path[PATH_BYTES], const char *suffix)
{
	snprintf(path, PATH_BYTES, "%s/%" PRIu64 "-%" PRIu32 "%s", STATE_DIRECTORY, d->netns_inode,
		 d->ifindex, suffix);
}

/* Whether only root can have made what is there. */
static int is_roots(const struct stat *stat)
{
	return stat->st_uid == 0 && !(stat->st_mode & (S_IWGRP | S_IWOTH));
}

static int32_t read_file(const char *path, struct state *state)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int32_t error = -EBADMSG;
	struct stat stat;
	ssize_t len;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && is_roots(&stat) &&
	    stat.st_size == sizeof(*state)) {
		len = read(fd, state, sizeof(*state));
		error = len < 0 ? -errno : state_check(state, (size_t)len);
	}
	close(fd);
	return error;
}

/* A number may be given to another device, and an inode to another network. */
static int same_device(const struct device *a, const struct device *b)
{
	return a->ifindex == b->ifindex && a->type == b->type && a->netns_inode == b->netns_inode &&
	       a->netns_cookie == b->netns_cookie && a->address_len == b->address_len &&
	       !memcmp(a->address, b->address, a->address_len);
}

int32_t state_read(const struct device *d, struct state *state)
{
	char path[PATH_BYTES];
	struct stat stat;
	int32_t error;

	if (lstat(STATE_DIRECTORY, &stat))
		return -errno;
	if (!S_ISDIR(stat.st_mode) || !is_roots(&stat))
		return -EBADMSG;
	path_of(d, path, "");
	error = read_file(path, state);
	return error ? error : same_device(d, &state->device) ? 0 : -ESTALE;
}

int32_t state_write(const struct state *state)
{
	char path[PATH_BYTES], fresh[PATH_BYTES];
	int32_t error = 0;
	ssize_t len;
	int fd;

	path_of(&state->device, path, "");
	path_of(&state->device, fresh, ".new");
	unlink(fresh); /* of one that was killed here */
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	len = write(fd, state, sizeof(*state));
	if (len != sizeof(*state))
		error = len < 0 ? -errno : -ENOSPC;
	else if (fchmod(fd, 0644) || rename(fresh, path))
		error = -errno;
	close(fd);
	if (error)
		unlink(fresh);
	return error;
}

int32_t state_remove(const struct device *d)
{
	char path[PATH_BYTES];

	path_of(d, path, ".new");
	unlink(path);
	path_of(d, path, "");
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

uint32_t state_sweep(const struct device *d, const char *name)
{
	DIR *directory = opendir(STATE_DIRECTORY);
	const struct dirent *entry;
	uint32_t called = 0;

	while (directory && (entry = readdir(directory))) {
		char path[PATH_BYTES], now[IF_NAMESIZE];
		struct device gone = {0};
		struct state state;

		if (sscanf(entry->d_name, "%" SCNu64 "-%" SCNu32, &gone.netns_inode,
			   &gone.ifindex) != 2 ||
		    gone.netns_inode != d->netns_inode || if_indextoname(gone.ifindex, now))
			continue;
		path_of(&gone, path, "");
		called += !read_file(path, &state) && !strcmp(state.device.name, name);
		state_remove(&gone);
	}
	if (directory)
		closedir(directory);
	return called;
}

int32_t state_lock(void)
{
	struct stat stat;
	int fd;

	if (mkdir(STATE_DIRECTORY, 0755) && errno != EEXIST)
		return -errno;
	if (lstat(STATE_DIRECTORY, &stat))
		return -errno;
	if (!S_ISDIR(stat.st_mode) || !is_roots(&stat))
		return -EBADMSG;
	/* whatever the umask is, all may look */
	if ((stat.st_mode & 0777) != 0755 && chmod(STATE_DIRECTORY, 0755))
		return -errno;
	/* not the directory itself: anybody could lock that */
	fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX)) {
		int32_t error = -errno;

		if (error == -EINTR)
			continue;
		close(fd);
		return error;
	}
	return fd;
}
