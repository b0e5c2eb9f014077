// The kernel modules of kernel/linux, for the guest's kernel: built by DKMS, as its users would have them
// built, with Debian's headers and compiler for it, in a root file system made by unpacking their packages,
// in which nothing is installed either. That and the modules are cached: the one by the kernel's version,
// the other by the sources as well.
// A kernel built here (kernel.mjs) has all that, and gets the programs alone that use the calls.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { cached } from "./cache.mjs";
import { Suite, unpack } from "./packages.mjs";

/** Where the guest has them, and the programs that use them. */
export const MODULES = "/opt/qsockets";

const RECIPE = 3; // counts the changes of this file after which what is cached is of no use
const TOOLS = ["bash", "coreutils", "dash", "diffutils", "findutils", "gawk", "grep", "make"]
  .concat("perl", "sed");
const DKMS = { name: "dkms", suite: "trixie" }; // the package: scripts that need no other
const FOLDERS = ["sched", "linux", "linux/include"]; // below kernel
const SOURCE = /(\.[ch]|Kbuild|Makefile|dkms\.conf)$/;
const BUILD_MS_MAX = 10 * 60_000;
const LOAD_SECONDS_MAX = 60;
const kernel = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "kernel");
const clients = ["gate", "wrong", "guarded", "fuzz", "calls", "tcp"];
const clientFile = (name) => fileURLToPath(new URL(`guest/${name}`, import.meta.url));

/** The files to add to a guest of this base: `{ file, path }` of each. */
export async function modules({ version, suite, isOwn }, { anew = false, say }) {
  const programs = [...clients.map((name) => `${name}.c`), "entry.h"].map(clientFile);
  const built = isOwn ? [] : [version, DKMS, ...sources().map(hash)];
  const headers = ["qsocket.h", "linux/gate.h"].map((name) => join(kernel, name));
  const inputs = [RECIPE, built, [...programs, ...headers].map(hash)];
  const folder = await cached("modules", inputs, async (folder) => {
    if (!isOwn) {
      const root = await buildRoot(version, { suite, anew, say });
      const program = await dkms({ anew, say });
      say(`building the kernel modules for Linux ${version}`);
      build(folder, root, version, program);
    }
    for (const name of clients) {
      const output = join(folder, name), file = clientFile(`${name}.c`);
      tool("cc", ["-O1", "-pthread", "-o", output, `-I${kernel}`, file]);
    }
  });
  return readdirSync(folder).map((name) => ({
    file: join(folder, name),
    path: `${MODULES}/${name}`,
  }));
}

/** Loads them into a guest, for as long as it runs. */
export async function loadModules(machine) {
  const command = `set -e; cd ${MODULES}; insmod ./qsockets.ko
    for file in qsocket-*.ko; do insmod ./$file; done`;
  const { status, why, output } = await machine.run(command, { seconds: LOAD_SECONDS_MAX });
  if (status !== 0) throw new Error(`Cannot load the kernel modules: ${why ?? output}`);
}

/** What is built. */
function sources() {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(kernel, folder)).filter((name) => SOURCE.test(name) && !/\.mod\.c$/.test(name))
      .sort().map((name) => join(kernel, folder, name))
  );
  return [join(kernel, "qsocket.h"), ...files];
}

/**
 * As `make dkms` and DKMS do it. To the latter it is an error that a module which dkms.conf names is not
 * built.
 */
function build(folder, root, version, program) {
  const work = mkdtempSync(join(tmpdir(), "qsockets-modules-"));
  // The compiler is the kernel's own, so what it warns of is a fault of ours.
  const command = `exec 2>&1
    cd /module && mkdir tree && export KCFLAGS=-Werror KBUILD_EXTRA_WARN=1
    dkms() { bash ./dkms --sourcetree /module/usr/src --dkmstree /module/tree "$@"; }
    dkms add qsockets/$(ls usr/src | sed s/.*-//) &&
    dkms build qsockets/$(ls tree/qsockets) -k ${version} -a x86_64 \
      --kernelsourcedir /lib/modules/${version}/build ||
    { cat tree/qsockets/*/build/make.log; exit 1; }
    ln -s tree/qsockets/*/${version}/x86_64/module built`;
  try {
    tool("make", ["-s", "-C", join(kernel, "linux"), `DESTDIR=${work}`, "dkms"]);
    cpSync(program, join(work, "dkms"));
    inRoot(root, work, command);
    const built = readdirSync(join(work, "built"));
    if (built.length === 0) throw new Error("Cannot build the kernel modules: none came of it");
    for (const name of built) cpSync(join(work, "built", name), join(folder, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** DKMS's program. */
async function dkms({ anew, say }) {
  const folder = await cached("dkms", [DKMS], (folder) => {
    const lists = join(folder, "suite");
    const debian = new Suite(lists, DKMS.suite);
    say("downloading DKMS");
    unpack(debian.download([DKMS.name], { dependencies: false })[0], folder);
    rmSync(lists, { recursive: true });
  }, { anew });
  return join(folder, "usr/sbin/dkms");
}

/** Runs a command with `root` as its root and `work` as its /module, in mounts of its own. */
function inRoot(root, work, command) {
  const self = process.getuid() === 0 ? [] : ["--user", "--map-root-user"];
  const script = `mount --bind "$2" "$1/module" && mount --bind /dev/null "$1/dev/null" &&
    mount --rbind /proc "$1/proc" && ln -sfn /proc/self/fd "$1/dev/fd" &&
    exec chroot "$1" /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/ LC_ALL=C sh -c "$3"`;
  return tool("unshare", [...self, "--mount", "sh", "-c", script, "sh", root, work, command]);
}

/** A root file system with the headers of a kernel, its compiler, and what make needs. */
function buildRoot(version, { suite, anew, say }) {
  return cached("headers", [RECIPE, version, TOOLS], (folder) => {
    const lists = join(folder, "suite");
    const debian = new Suite(lists, suite);
    say(`downloading the headers and the compiler of Linux ${version}`);
    const files = debian.download([`linux-headers-${version}`, ...TOOLS]);
    say(`unpacking ${files.length} packages`);
    for (const name of ["bin", "sbin", "lib", "lib64"]) {
      mkdirSync(join(folder, "usr", name), { recursive: true });
      symlinkSync(`usr/${name}`, join(folder, name));
    }
    for (const file of files) unpack(file, folder);
    rmSync(lists, { recursive: true });
    for (const name of ["doc", "locale", "man", "info"]) {
      rmSync(join(folder, "usr/share", name), { recursive: true, force: true });
    }
    for (const name of ["dev", "module", "proc", "tmp"]) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    writeFileSync(join(folder, "dev/null"), "");
    for (const [name, target] of [["sh", "dash"], ["awk", "gawk"]]) {
      if (!existsSync(join(folder, "usr/bin", name))) {
        symlinkSync(target, join(folder, "usr/bin", name));
      }
    }
  }, { anew });
}

function hash(file) {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function tool(command, args) {
  const done = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 1 << 26,
    timeout: BUILD_MS_MAX,
  });
  if (done.status === 0) return done.stdout;
  const why = done.error?.message ?? `${done.stdout}${done.stderr}`.trim();
  throw new Error(`Cannot run ${command} ${args.slice(-1)}: ${why}`);
}
