// The guest's base: a kernel, an initial RAM disk with the modules that reach the disks, and a root
// file system made by unpacking Debian's packages, which are sid's whichever the kernel. No package's
// script is run and no root right is needed; what those scripts would have set up and the tests need
// is written here.

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { cached } from "./cache.mjs";
import { cpio } from "./cpio.mjs";
import { makeDisk } from "./disk.mjs";
import { OWN_KERNELS, ownKernel } from "./kernel.mjs";
import { KERNELS, Suite, unpack } from "./packages.mjs";

const RECIPE = 1; // counts the changes of this file after which a cached base is of no use
const PACKAGES = [
  "bpftool",
  "busybox-static",
  "coreutils", // busybox's `sh`, `env`, `timeout` and `xargs` prefer its own `ip` to the real one:
  "dash", // these are the tools that start others
  "ethtool",
  "findutils",
  "iproute2",
  "kmod",
  "libbpf1",
  "netbase",
  "util-linux", // setpriv, su
];
const UNUSED = ["doc", "info", "lintian", "locale", "man", "bash-completion", "bug"];
const DISK_MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "ext4"];

const ETC = {
  "passwd": `root:x:0:0:root:/root:/bin/sh
alice:x:1000:1000::/home/alice:/bin/sh
bob:x:1001:1001::/home/bob:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`,
  "group": `root:x:0:
video:x:44:alice
alice:x:1000:
bob:x:1001:
nogroup:x:65534:
`,
  "shadow": "root:*:1::::::\nalice:*:1::::::\nbob:*:1::::::\n",
  "hosts": "127.0.0.1 localhost guest\n::1 localhost\n",
  "hostname": "guest\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n",
  "pam.d/other": `auth required pam_deny.so
account required pam_permit.so
session required pam_permit.so
`,
  "pam.d/su": `auth sufficient pam_rootok.so
account required pam_permit.so
session required pam_permit.so
`,
};
ETC["pam.d/su-l"] = ETC["pam.d/su"];

// Mounts the disks and goes on in the project's own init. Files made by another user than root
// (`owner=chown`) belong to that user's number until then.
const INIT = `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t devtmpfs dev /dev
for module in /modules/*; do $bb insmod "$module" || echo "init: cannot load $module"; done
tries=0
until [ -b /dev/vdc ] || [ $tries -ge 100 ]; do $bb sleep 0.1; tries=$((tries + 1)); done
disk() { $bb mount -t ext4 -o noatime,noinit_itable "/dev/$1" "$2" || echo "init: cannot mount $1"; }
disk vda /new
disk vdb /new/opt/runtimes
disk vdc /new/disk
read -r line < /proc/cmdline
case " $line " in *" owner=chown "*) $bb chown -R 0:0 /new ;; esac
$bb mount --bind /new/disk/project /new/project
$bb mount --bind /new/opt/runtimes/node_modules /new/project/node_modules
$bb umount /proc
exec $bb switch_root /new /usr/bin/sh /project/test/vm/guest/init.sh
`;
const OWN_INIT = INIT.replace(/^for module in .*\n/m, "");

const MEGABYTES = 2048; // of a guest's memory

/**
 * The base of a kernel flavour, from the cache unless it is wanted anew. `suite` is that of a Debian kernel's
 * packages, if it is another than the programs'; `modules` are to be added, for a kernel of one's own.
 */
export async function base(flavour, { anew = false, say }) {
  if (OWN_KERNELS[flavour]) return await ownBase(flavour, { anew, say });
  const { suffix, suite } = KERNELS[flavour];
  const inputs = [RECIPE, PACKAGES, DISK_MODULES, ETC, INIT, suffix, ...suite ? [suite] : []];
  const folder = await cached(`base-${flavour}`, inputs, (it) => make(it, flavour, say), { anew });
  return {
    kernel: join(folder, "vmlinuz"),
    initrd: join(folder, "initrd"),
    disk: join(folder, "base.ext4"),
    version: readFileSync(join(folder, "version"), "utf8").trim(),
    suite,
    isOwn: false,
    modules: [],
    megabytes: MEGABYTES,
    slowness: 1,
  };
}

/** The programs are those of another base; what reaches the disks is in the kernel. */
async function ownBase(flavour, { anew, say }) {
  const { kernel, version, modules } = await ownKernel(flavour, { anew, say });
  const { disk } = await base("cloud", { anew, say });
  const folder = await cached("initrd", [RECIPE, INIT, OWN_INIT], (folder) => {
    const busybox = join(folder, "busybox");
    tool("debugfs", ["-R", `dump /usr/bin/busybox ${busybox}`, disk]);
    writeFileSync(join(folder, "initrd"), archive(readFileSync(busybox), OWN_INIT, []));
    rmSync(busybox);
  }, { anew });
  const initrd = join(folder, "initrd"), { megabytes, slowness } = OWN_KERNELS[flavour];
  return { kernel, initrd, disk, version, isOwn: true, modules, megabytes, slowness };
}

function make(folder, flavour, say) {
  const suite = join(folder, "suite"), root = join(folder, "root");
  const { suffix, packages, suite: kernels } = KERNELS[flavour];
  say("reading Debian's package lists");
  const debian = new Suite(suite);
  const source = kernels ? new Suite(join(folder, "kernels"), kernels) : debian;
  const version = source.newestKernel(flavour) + suffix;
  say(`downloading Linux ${version}`);
  const files = source.download(packages.map((name) => name + version), { dependencies: false });
  say(`downloading ${PACKAGES.join(" ")}`);
  files.push(...debian.download(PACKAGES));
  say(`unpacking ${files.length} packages`);
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    mkdirSync(join(root, "usr", name), { recursive: true });
    symlinkSync(`usr/${name}`, join(root, name));
  }
  for (const file of files) unpack(file, root);
  for (const it of [suite, join(folder, "kernels")]) rmSync(it, { recursive: true, force: true });
  furnish(root);
  say("making the initial RAM disk and the root file system");
  listModules(root, version);
  const image = ["lib/modules/V/vmlinuz", "boot/vmlinuz-V"]
    .map((path) => join(root, path.replace("V", version))).find((path) => existsSync(path));
  renameSync(image, join(folder, "vmlinuz"));
  writeFileSync(join(folder, "initrd"), initialDisk(root, version));
  makeDisk(root, join(folder, "base.ext4"), { spareBytes: 128 << 20 });
  rmSync(root, { recursive: true });
  writeFileSync(join(folder, "version"), `${version}\n`);
}

/** What is there beside the packages' files: mount points, users, and busybox where no tool is. */
function furnish(root) {
  for (const name of UNUSED) {
    rmSync(join(root, "usr/share", name), { recursive: true, force: true });
  }
  const folders = "dev disk etc home opt/runtimes proc project root run sys tmp var/tmp";
  for (const name of folders.split(" ")) mkdirSync(join(root, name), { recursive: true });
  for (const [name, text] of Object.entries(ETC)) {
    mkdirSync(dirname(join(root, "etc", name)), { recursive: true });
    writeFileSync(join(root, "etc", name), text);
  }
  if (!existsSync(join(root, "usr/bin/sh"))) symlinkSync("dash", join(root, "usr/bin/sh"));
  const busybox = join(root, "usr/bin/busybox");
  for (const name of tool(busybox, ["--list"]).trim().split("\n")) {
    const there = ["bin", "sbin"].some((it) => existsSync(join(root, "usr", it, name)));
    if (!there) symlinkSync("busybox", join(root, "usr/bin", name));
  }
}

/** Writes modules.dep and the like with the guest's own depmod: this machine may have none. */
function listModules(root, version) {
  const libraries = join(root, "usr/lib/x86_64-linux-gnu");
  const loader = join(libraries, "ld-linux-x86-64.so.2");
  const command = ["--argv0", "depmod", "--library-path", libraries, join(root, "usr/bin/kmod")];
  tool(loader, [...command, "--basedir", root, version]);
}

/** With the modules of the disks, in the order in which they can be loaded. */
function initialDisk(root, version) {
  const folder = join(root, "lib/modules", version);
  const needs = new Map(
    readFileSync(join(folder, "modules.dep"), "utf8").trim().split("\n").map((line) => {
      const [path, rest] = line.split(":");
      return [path, rest.trim().split(" ").filter(Boolean)];
    }),
  );
  const paths = new Set(); // a dependency stands before what needs it
  const add = (path) => {
    for (const other of needs.get(path)) add(other);
    paths.add(path);
  };
  for (const name of DISK_MODULES) {
    const file = new RegExp(`/${name.replaceAll(/[_-]/g, "[_-]")}\\.ko(\\.\\w+)?$`);
    const path = [...needs.keys()].find((path) => file.test(path));
    if (path) add(path); // else it is part of the kernel
  }
  const modules = [...paths].map((path, index) => {
    const name = `modules/${String(index).padStart(2, "0")}-${path.split("/").pop()}`;
    const data = path.endsWith(".xz")
      ? spawnSync("xz", ["-dc", join(folder, path)], { maxBuffer: 1 << 28 }).stdout
      : readFileSync(join(folder, path));
    return { name: name.replace(/\.xz$/, ""), mode: 0o644, data };
  });
  return archive(readFileSync(join(root, "usr/bin/busybox")), INIT, modules);
}

function archive(busybox, init, modules) {
  const folders = ["bin", "dev", "modules", "new", "proc"];
  return cpio([
    ...folders.map((name) => ({ name, mode: 0o40755, data: "" })),
    { name: "bin/busybox", mode: 0o755, data: busybox },
    { name: "init", mode: 0o755, data: init },
    ...modules,
  ]);
}

function tool(command, args) {
  const done = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (done.status === 0) return done.stdout;
  throw new Error(`Cannot run ${command} ${args.join(" ")}: ${done.error?.message ?? done.stderr}`);
}
