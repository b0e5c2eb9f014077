// The two disks beside the base: the runtimes with the npm packages, which change with the lock file,
// and the project, which is made anew at each run.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { root, runtimes } from "../../kernel/setup.mjs";
import { cached } from "./cache.mjs";
import { makeDisk, openToAll } from "./disk.mjs";

export { runtimes };

const RECIPE = 2; // counts the changes of this file after which cached runtimes are of no use
const NOT_TESTED = /^(test\/fuzz\/corpus|\.ci)\//;
const BUILT = /\.(so|o|json)$/; // of kernel/build's own files
const OBJECTS = "kernel/bpf/built";

/** The disk with `bin/bun`, `bin/deno` and `node_modules`. */
export async function runtimesDisk({ anew = false, say }) {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  const sizes = Object.values(runtimes).map((path) => path && statSync(path).size);
  const folder = await cached("runtimes", [RECIPE, lock, sizes], (folder) => {
    say("making the disk of the runtimes");
    const tree = join(folder, "tree"), modules = join(tree, "node_modules");
    mkdirSync(join(tree, "bin"), { recursive: true });
    mkdirSync(join(modules, ".bin"), { recursive: true });
    for (const [name, path] of Object.entries(runtimes).filter(([, path]) => path)) {
      copyFileSync(path, join(tree, "bin", name));
      symlinkSync(`/opt/runtimes/bin/${name}`, join(modules, ".bin", name));
    }
    copyPackages(modules, JSON.parse(lock).packages);
    openToAll(tree);
    makeDisk(tree, join(folder, "runtimes.ext4"), { spareBytes: 32 << 20 });
    rmSync(tree, { recursive: true });
  }, { anew });
  return join(folder, "runtimes.ext4");
}

/**
 * What the library and its tests import, whole; of all other packages the manifest alone, which tells
 * kernel/setup.mjs that nothing has to be installed.
 */
function copyPackages(modules, packages) {
  const manifest = packages[""];
  const wanted = new Set();
  const want = (name) => {
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const other of Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {})) {
      want(other);
    }
  };
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    want(name);
  }
  for (const path of Object.keys(packages).filter(Boolean)) {
    const name = path.slice("node_modules/".length), from = join(root, path);
    if (!existsSync(from)) continue; // made for another machine
    const to = join(modules, name);
    if (wanted.has(name)) {
      cpSync(from, to, { recursive: true });
    } else {
      mkdirSync(to, { recursive: true });
      copyFileSync(join(from, "package.json"), join(to, "package.json"));
    }
  }
}

/**
 * The disk with the project's files and those that are added, made as `folder/work.ext4`. Its schedulers
 * in BPF are those of the folder `objects`.
 */
export function workDisk(folder, { added, objects }) {
  const tree = join(folder, "work"), project = join(tree, "project");
  for (const path of projectFiles()) place(join(root, path), join(project, path));
  if (objects) place(objects, join(project, OBJECTS));
  mkdirSync(join(project, "node_modules"), { recursive: true });
  for (const { file, path } of added) place(file, join(tree, "add", path));
  openToAll(tree);
  makeDisk(tree, join(folder, "work.ext4"), { spareBytes: 64 << 20 });
  return join(folder, "work.ext4");
}

/** All that git knows or would add, and what the build made for use. */
function projectFiles() {
  const git = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { status, stdout, stderr } = spawnSync("git", git, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot list the project's files: ${stderr ?? "no git"}`);
  const build = join(root, "kernel/build");
  const built = existsSync(build) ? readdirSync(build).filter((name) => BUILT.test(name)) : [];
  const paths = [...stdout.split("\0").filter(Boolean), ...built.map((it) => `kernel/build/${it}`)];
  return [...new Set(paths)].filter((path) =>
    !NOT_TESTED.test(path) && !path.startsWith(`${OBJECTS}/`) && existsSync(join(root, path))
  );
}

function place(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true, dereference: true });
}
