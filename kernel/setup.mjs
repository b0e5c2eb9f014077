// Makes a checkout ready to run: the npm packages, the two runtimes among them, and the C library.
//
// node kernel/setup.mjs                       do that
// node kernel/setup.mjs bun examples/demo.ts  then run this under Bun (or `deno ...`)
//
// (The tasks of deno.json say `node`, Deno's stand-in for it: in a task, the name `deno` finds npm's
// package, whose launcher is a binary that Deno would then read as JavaScript.)
//
// Plain JavaScript for Node >= 20, Bun and Deno, because it runs before anything is installed.
// Importing it is running it (`bun test` preloads it). Each step first looks whether there is
// anything to do, so the second run says nothing and takes a tenth of a second.

import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The checkout's folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const bin = join(root, "node_modules", ".bin");
const library = join(root, "kernel", "build", "libqsocket.so");
const RUNTIME_BYTES_MIN = 1 << 20; // smaller than this it is npm's stub, not the runtime itself
const TOOLS = `  Debian, Ubuntu: apt install gcc make libc6-dev
  Fedora:         dnf install gcc make
  Alpine:         apk add gcc make musl-dev linux-headers`;

if (process.platform !== "linux") {
  fail(`Q.Sockets needs Linux: this is ${process.platform}.`);
}
// Installed as a package of someone else's, its own packages are theirs to install.
if (existsSync(join(root, "package-lock.json")) && !packagesAreCurrent()) installPackages();

/** Paths of the runtimes among the packages (or of the one that runs this); null if there is none. */
export const runtimes = { bun: runtime("bun"), deno: runtime("deno") };

buildLibrary();

if (
  process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))
) {
  const [name, ...args] = process.argv.slice(2);
  if (name) runUnder(name, args);
}

/** Whether every package that package.json names is there in that very version. */
function packagesAreCurrent() {
  const { dependencies, devDependencies } = manifest(root);
  return Object.entries({ ...dependencies, ...devDependencies }).every(([name, version]) =>
    manifest(join(root, "node_modules", name))?.version === version
  );
}

/** With npm where Node runs this, else with the runtime that does, so that one of them is enough. */
function installPackages() {
  const [command, ...args] = process.versions.bun
    ? [process.execPath, "install", "--no-save"]
    : process.versions.deno
    ? [process.execPath, "install", "--quiet"]
    : ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"];
  say(`installing the npm packages (${[command.split("/").pop(), ...args].join(" ")})`);
  const done = spawnSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (done.error) fail(`Cannot install the npm packages: ${done.error.message}`);
  if (done.status !== 0) fail("Cannot install the npm packages: see above.");
}

/**
 * The packages `bun` and `deno` put their executable in place in an install script, which some
 * installers do not run. Without it, the executable is in the package made for this platform.
 */
function runtime(name) {
  const path = join(bin, name);
  if (isRuntime(path)) return path;
  const home = join(root, "node_modules", name);
  if (!existsSync(home)) return process.versions[name] ? process.execPath : null;
  const require = createRequire(join(realpathSync(home), "package.json"));
  for (const platform of Object.keys(manifest(home).optionalDependencies ?? {})) {
    try {
      const folder = dirname(require.resolve(`${platform}/package.json`));
      const file = [join(folder, "bin", name), join(folder, name)].find(isRuntime);
      if (!file || spawnSync(file, ["--version"]).status !== 0) continue;
      return name === "bun" ? linkBun(file) : file; // deno's launcher does without its script
    } catch {
      // Not installed: made for another machine.
    }
  }
  return process.versions[name] ? process.execPath : null;
}

/** Puts the real bun where its package has a stub that only complains. */
function linkBun(file) {
  const path = join(bin, "bun");
  say(`linking node_modules/.bin/bun to ${relative(root, file)}`);
  mkdirSync(bin, { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(relative(bin, file), path);
  return path;
}

function isRuntime(path) {
  return existsSync(path) && statSync(path).size >= RUNTIME_BYTES_MIN;
}

function buildLibrary() {
  const make = process.env.MAKE ?? "make";
  const haveMake = onPath(make);
  if (!haveMake && existsSync(library)) return;
  const compiler = process.env.CC ?? ["cc", "gcc", "clang"].find(onPath);
  const args = ["-C", join(root, "kernel"), "--no-print-directory"];
  if (compiler) args.push(`CC=${compiler}`);
  if (haveMake && spawnSync(make, [...args, "-q"], { stdio: "ignore" }).status === 0) return;
  if (!haveMake || !compiler) {
    const missing = haveMake
      ? "no C compiler (cc, gcc or clang)"
      : compiler
      ? "no make"
      : "no make and no C compiler (cc, gcc or clang)";
    fail(`Cannot build ${relative(root, library)}: ${missing} found. Install:\n${TOOLS}`);
  }
  say(`building ${relative(root, library)} with ${compiler}`);
  const done = spawnSync(make, [...args, "-s"], { stdio: ["ignore", 2, 2] });
  if (done.status !== 0) {
    fail(`Cannot build ${relative(root, library)}: see above. It needs:\n${TOOLS}`);
  }
}

function runUnder(name, args) {
  if (!runtimes[name]) fail(`Cannot run ${name}: its package has no executable for this machine.`);
  process.on("SIGINT", () => {}); // the child gets it too, and decides
  const { status, error } = spawnSync(runtimes[name], args, { stdio: "inherit" });
  if (error) fail(`Cannot run ${name}: ${error.message}`);
  process.exit(status ?? 1);
}

/** package.json of the package in `folder`, or undefined. */
function manifest(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  } catch {
    return undefined;
  }
}

function onPath(command) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
