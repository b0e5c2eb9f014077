// The kernel modules of kernel/linux, for the guest's kernel: built with Debian's headers and compiler
// for it, in a root file system made by unpacking their packages, in which nothing is installed either.
// That and the modules are cached: the one by the kernel's version, the other by the sources as well.
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
const FOLDERS = ["sched", "linux", "linux/include"]; // below kernel
const SOURCE = /(\.[ch]|Kbuild|Makefile|dkms\.conf)$/;
const BUILD_MS_MAX = 10 * 60_000;
const LOAD_SECONDS_MAX = 60;
const kernel = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "kernel");
const clients = ["gate", "fuzz", "calls", "tcp"];
const clientFile = (name) => fileURLToPath(new URL(`guest/${name}`, import.meta.url));

/** The files to add to a guest of this base: `{ file, path }` of each. */
export async function modules({ version, suite, isOwn }, { anew = false, say }) {
  const programs = [...clients.map((name) => `${name}.c`), "entry.h"].map(clientFile);
  const built = isOwn ? [] : [version, ...sources().map(({ from }) => hash(from))];
  const headers = ["qsocket.h", "linux/gate.h"].map((name) => join(kernel, name));
  const inputs = [RECIPE, built, [...programs, ...headers].map(hash)];
  const folder = await cached("modules", inputs, async (folder) => {
    if (!isOwn) {
      const root = await buildRoot(version, { suite, anew, say });
      say(`building the kernel modules for Linux ${version}`);
      build(folder, root, version);
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

/** What is built, by where it is to be: qsocket.h and sched stay beside linux. */
function sources() {
  const list = [{ from: join(kernel, "qsocket.h"), to: "qsocket.h" }];
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(kernel, folder)).sort()) {
      if (SOURCE.test(name) && !/\.mod\.c$/.test(name)) {
        list.push({ from: join(kernel, folder, name), to: `${folder}/${name}` });
      }
    }
  }
  return list;
}

function build(folder, root, version) {
  const work = mkdtempSync(join(tmpdir(), "qsockets-modules-"));
  try {
    for (const { from, to } of sources()) {
      mkdirSync(dirname(join(work, to)), { recursive: true });
      cpSync(from, join(work, to));
    }
    // The compiler is the kernel's own, so what it warns of is a fault of ours.
    const make = `make -s -C /module/linux KDIR=/lib/modules/${version}/build KCFLAGS=-Werror W=1`;
    inRoot(root, work, `${make} 2>&1`);
    const built = readdirSync(join(work, "linux")).filter((name) => name.endsWith(".ko"));
    if (built.length === 0) throw new Error("Cannot build the kernel modules: none came of it");
    for (const name of built) cpSync(join(work, "linux", name), join(folder, name));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Runs a command with `root` as its root and `work` as its /module, in mounts of its own. */
function inRoot(root, work, command) {
  const self = process.getuid() === 0 ? [] : ["--user", "--map-root-user"];
  const script = `mount --bind "$2" "$1/module" && mount --bind /dev/null "$1/dev/null" &&
    mount --rbind /proc "$1/proc" &&
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
