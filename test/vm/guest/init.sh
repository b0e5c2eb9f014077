# The guest's process 1, once the disks are mounted: sets the system up, then runs the commands that
# come in over the virtio port `qsockets`, one a line as `SECONDS BASE64`. A command's output goes
# back over the port, followed by a line `NONCE STATUS`; the nonce, new at each boot, is the kernel
# command line's `marker=`.

export PATH=/opt/runtimes/bin:/usr/sbin:/usr/bin HOME=/root USER=root LANG=C.UTF-8 NO_COLOR=1
export QSOCKETS_GUEST=1 # test/vm/guest/guest.ts looks for it

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
for folder in /dev/shm /tmp; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
mount -t tmpfs -o mode=755 tmpfs /run
mount -t bpf -o mode=700 bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ln -sf /proc/self/fd /dev/fd
hostname guest
ip link set lo up
for user in alice bob; do
	mkdir -p "/home/$user"
	chown "$user:$user" "/home/$user"
done
# Added files, but not the modes of folders that are there: /tmp must stay everybody's.
if cd /disk/add 2> /dev/null; then
	find . -type d -exec sh -c 'cd / && mkdir -p "$@"' sh {} +
	find . ! -type d -exec sh -c 'for file; do cp -dp "$file" "/$file"; done' sh {} +
fi

# The modules of a kernel that is not Debian's are among them.
[ -e "/lib/modules/$(uname -r)/modules.dep" ] || depmod

marker=$(sed -E 's/.*\bmarker=([0-9a-f]+).*/\1/' /proc/cmdline)
for entry in /sys/class/virtio-ports/*; do
	[ "$(cat "$entry/name")" = qsockets ] && port=/dev/${entry##*/}
done

# Whatever a command leaves running ends with it: all of it is in a control group of its own.
group=/sys/fs/cgroup/command
run() {
	mkdir "$group"
	(
		sh -c 'echo $$ > "$0/cgroup.procs" && exec timeout -s TERM -k 5 "$1" sh /run/command' \
			"$group" "$1" < /dev/null 2>&1
		echo $? > /run/status
		echo 1 > "$group/cgroup.kill"
	) | cat >&3
	printf '\n%s %s\n' "$marker" "$(cat /run/status)" >&3
	until rmdir "$group" 2> /dev/null; do sleep 0.1; done
}

exec 3<> "$port"
printf '\n%s 0\n' "$marker" >&3 # the system is up
cd /project || exit 1
while IFS=' ' read -r seconds text <&3; do
	printf %s "$text" | base64 -d > /run/command
	run "$seconds"
done
poweroff -f # the other side is gone
