// Kernels of one's own for the guest: Debian's sources with kernel/linux built in, as its patch does it
// (`make -C kernel/linux patch`), over tinyconfig what kernel.config asks for. No kernel of Debian's has
// the system call, and none looks for faults in itself as the flavour `debug` does.
//
// A kernel is kept in the cache by all that it is made from. Beside it is kept the tree that it was built
// in, by all but the project's own sources: after a change of those make builds what depends on them.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { cached, cacheFolder } from "./cache.mjs";
import { Suite } from "./packages.mjs";

/**
 * The flavours, with the files of their options, what their guest takes of memory, and how many times the time
 * of others tests may take there. What looks for leaks is a kernel of its own: beside KASAN and lockdep each look
 * takes most of a minute under emulation.
 */
export const OWN_KERNELS = {
  patched: { options: ["kernel.config"], megabytes: 2048, slowness: 1 },
  debug: {
    options: ["kernel.config", "kernel.debug.config"],
    megabytes: 4096,
    slowness: 5,
  },
  leaks: {
    options: ["kernel.config", "kernel.leaks.config"],
    megabytes: 3072,
    slowness: 3,
  },
};

const RECIPE = 1; // counts the changes of this file after which what is cached is of no use
const SUITE = "trixie", SOURCE = "linux-source-6.12";
const PATCH = "linux-6.12.patch";
const NOT_NEEDED = ["drivers/gpu", "sound", "drivers/media"].map((it) => `*/${it}/*.[ch]`);
const PROGRESS_MS = 30_000;
const TEXT_CHARS_MAX = 1 << 20; // of what make says
const LINES_SHOWN = 40;
const kernel = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "kernel");
const FOLDERS = ["sched", "linux", "linux/include"]; // below kernel
const OURS = /(\.[ch]|Kbuild|Kconfig|Makefile|\.patch)$/;

/** What builds it, by the Debian and Ubuntu package that has it. */
export const BUILD_TOOLS = {
  "bc": "bc",
  "bison": "bison",
  "flex": "flex",
  "flock": "util-linux",
  "gcc": "gcc",
  "make": "make",
  "patch": "patch",
};
export const BUILD_HEADERS = { "/usr/include/gelf.h": "libelf-dev" };

/** The kernel of a flavour: its image, its version, and `{ file, path }` of each of its modules. */
export async function ownKernel(flavour, { anew = false, say }) {
  const { folder: source, version } = await sources({ anew, say });
  const options = OWN_KERNELS[flavour].options.map((name) =>
    readFileSync(fileURLToPath(new URL(name, import.meta.url)), "utf8")
  ).join("");
  const patch = readFileSync(join(kernel, "linux", PATCH), "utf8");
  const basis = [RECIPE, version, options, patch, compiler()];
  const before = ours();
  const folder = await cached(`kernel-${flavour}`, [...basis, before], async (folder) => {
    const tree = join(cacheFolder, `tree-${flavour}-${hash(JSON.stringify(basis))}`);
    const release = await lock(`${tree}.lock`, { say });
    try {
      plant(tree, source, `${options}\nCONFIG_LOCALVERSION="-${flavour}"\n`, { say });
      run("make", ["-s", "-C", join(kernel, "linux"), "patch", `KSRC=${tree}`]);
      configureOurs(tree, options);
      if (JSON.stringify(ours()) !== JSON.stringify(before)) {
        throw new Error("Cannot build a kernel of sources that change meanwhile: start again");
      }
      await build(tree, `Linux ${version}, ${flavour}`, { say });
      harvest(tree, folder);
    } finally {
      release();
    }
  }, { anew });
  const modules = join(folder, "modules");
  const paths = readdirSync(modules, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return {
    kernel: join(folder, "vmlinuz"),
    version: readFileSync(join(folder, "version"), "utf8").trim(),
    modules: paths.map((file) => ({ file, path: `/usr${file.slice(modules.length)}` })),
  };
}

/** The archive of Debian's sources. */
async function sources({ anew, say }) {
  const folder = await cached("source", [RECIPE, SUITE, SOURCE], (folder) => {
    const debian = new Suite(join(folder, "suite"), SUITE);
    const version = debian.versionOf(SOURCE);
    say(`downloading ${SOURCE} ${version}`);
    const [file] = debian.download([SOURCE], { dependencies: false });
    run("dpkg-deb", ["-x", file, join(folder, "unpacked")]);
    renameSync(join(folder, "unpacked/usr/src", `${SOURCE}.tar.xz`), join(folder, "linux.tar.xz"));
    for (const name of ["suite", "unpacked"]) rmSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, "version"), `${version}\n`);
  }, { anew });
  return { folder, version: readFileSync(join(folder, "version"), "utf8").trim() };
}

/** Makes the tree, configured; does nothing where it is whole. */
function plant(tree, source, options, { say }) {
  const ready = join(tree, ".ready");
  if (existsSync(ready)) {
    const now = new Date();
    utimesSync(tree, now, now);
    return;
  }
  say("unpacking the kernel's sources");
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(tree);
  const excluded = NOT_NEEDED.map((pattern) => `--exclude=${pattern}`);
  const archive = join(source, "linux.tar.xz");
  run("tar", ["-xf", archive, "-C", tree, "--strip-components=1", ...excluded]);
  run("make", ["-s", "-C", join(kernel, "linux"), "patch", `KSRC=${tree}`]);
  run("make", ["-s", "-C", tree, "tinyconfig"]);
  writeFileSync(join(tree, "options"), options);
  run("sh", ["scripts/kconfig/merge_config.sh", "-m", ".config", "options"], tree);
  run("make", ["-s", "-C", tree, "olddefconfig"]);
  const taken = new Set(readFileSync(join(tree, ".config"), "utf8").split("\n"));
  const refused = options.split("\n").filter((line) =>
    line.startsWith("CONFIG_") && !taken.has(line) && !isOff(line, taken)
  );
  if (refused.length > 0) {
    throw new Error(`Cannot configure the kernel: it does not take ${refused.join(", ")}`);
  }
  writeFileSync(ready, "");
}

/** Our own options as they are wanted now: Kconfig is one of the sources that have changed since. */
function configureOurs(tree, options) {
  const file = join(tree, ".config"), isOurs = (line) => line.includes("CONFIG_QSOCKETS");
  const others = readFileSync(file, "utf8").split("\n").filter((line) => !isOurs(line));
  const text = [...others, ...options.split("\n").filter(isOurs), ""].join("\n");
  writeFileSync(file, text);
  run("make", ["-s", "-C", tree, "olddefconfig"]);
}

/** Of `CONFIG_X=n`: one that is not asked for at all is off, too. */
function isOff(line, taken) {
  return line.endsWith("=n") &&
    !["y", "m"].some((value) => taken.has(`${line.slice(0, -1)}${value}`));
}

/** Runs make, says now and then how far it is, and throws with its last words where it fails. */
function build(tree, what, { say }) {
  say(`building ${what}`);
  let text = "", files = 0;
  const jobs = `-j${availableParallelism() + 1}`;
  const make = spawn("make", ["-C", tree, jobs, "bzImage", "modules"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [make.stdout, make.stderr]) {
    stream.setEncoding("utf8").on("data", (data) => {
      files += data.split(/^ {2}(?:CC|AS|LD) /m).length - 1;
      text = (text + data).slice(-TEXT_CHARS_MAX);
    });
  }
  const timer = setInterval(() => say(`building ${what}: ${files} files`), PROGRESS_MS);
  const end = () => make.kill();
  process.on("exit", end);
  return new Promise((resolve, reject) => {
    make.on("error", reject);
    make.on("close", (status) => {
      clearInterval(timer);
      process.off("exit", end);
      if (status === 0) return resolve();
      const lines = text.trimEnd().split("\n").slice(-LINES_SHOWN).join("\n");
      reject(new Error(`Cannot build ${what}: make ended with ${status} and said\n${lines}`));
    });
  });
}

/** Takes from the tree what a guest needs; the guest lists the modules itself (init.sh). */
function harvest(tree, folder) {
  const version = run("make", ["-s", "-C", tree, "kernelrelease"]).trim();
  const modules = join(folder, "modules/lib/modules", version);
  copyFileSync(join(tree, "arch/x86/boot/bzImage"), join(folder, "vmlinuz"));
  mkdirSync(modules, { recursive: true });
  for (const name of ["modules.order", "modules.builtin", "modules.builtin.modinfo"]) {
    copyFileSync(join(tree, name), join(modules, name));
  }
  for (const line of readFileSync(join(tree, "modules.order"), "utf8").split("\n")) {
    const file = line.replace(/\.o$/, ".ko");
    if (file) cpSync(join(tree, file), join(modules, "kernel", file), { recursive: true });
  }
  writeFileSync(join(folder, "version"), `${version}\n`);
}

/** Waits until no other run has the lock: a function that gives it back. It also goes with this process. */
async function lock(file, { say }) {
  mkdirSync(cacheFolder, { recursive: true });
  const holder = spawn("flock", [file, "sh", "-c", "echo held && exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const waiting = setTimeout(() => say("waiting for another run, which builds there"), 2000);
  await new Promise((resolve, reject) => {
    holder.stdout.once("data", resolve);
    holder.once("error", reject);
    holder.once("close", () => reject(new Error(`Cannot lock ${file}: flock ended`)));
  });
  clearTimeout(waiting);
  return () => holder.stdin.end();
}

/** A hash of each file of the project that goes into a kernel. */
function ours() {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(kernel, folder)).filter((name) => OURS.test(name) && !/\.mod\.c$/.test(name))
      .map((name) => join(folder, name))
  );
  return ["qsocket.h", ...files.sort()].map((
    file,
  ) => [file, hash(readFileSync(join(kernel, file)))]);
}

function compiler() {
  return run("gcc", ["--version"]).split("\n")[0];
}

function hash(data) {
  return createHash("sha256").update(data).digest("hex").slice(0, 16);
}

function run(command, args, cwd) {
  const done = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 1 << 26 });
  if (done.status === 0) return done.stdout;
  const why = done.error?.message ?? `${done.stdout}${done.stderr}`.trim();
  throw new Error(`Cannot run ${command} ${args.join(" ")}: ${why}`);
}
