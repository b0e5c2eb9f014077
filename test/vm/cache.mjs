// Things that take long to make are made once and kept outside the tree, each in a folder named by
// its kind and by a hash of all that it was made from. A folder is made under another name and then
// renamed: a run that is ended half-way, or two at once, leave no half-made thing under the name.

import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const UNUSED_DAYS_MAX = 30; // what nobody used for so long is removed when something new is made

/** The cache's folder: `$XDG_CACHE_HOME/qsockets/vm`, by default below `~/.cache`. */
export const cacheFolder = join(
  process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
  "qsockets",
  "vm",
);

/** The folder of a thing, which `make(folder)` fills if it is not there yet; `anew` ignores the one there. */
export async function cached(kind, inputs, make, { anew = false } = {}) {
  const hash = createHash("sha256").update(JSON.stringify(inputs)).digest("hex").slice(0, 16);
  const folder = join(cacheFolder, `${kind}-${hash}`);
  if (existsSync(folder) && !anew) {
    const now = new Date();
    utimesSync(folder, now, now);
    return folder;
  }
  mkdirSync(cacheFolder, { recursive: true });
  sweep();
  const unfinished = `${folder}.${process.pid}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished);
  try {
    await make(unfinished);
    replace(unfinished, folder, anew);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** Gives the finished folder its name. Another run that was faster keeps it: its content is as good. */
function replace(unfinished, folder, anew) {
  try {
    if (anew) {
      // A machine that still runs from the old one has its files open, and keeps them.
      const old = `${folder}.old.${process.pid}.tmp`;
      rmSync(old, { recursive: true, force: true });
      if (existsSync(folder)) renameSync(folder, old);
      rmSync(old, { recursive: true, force: true });
    }
    renameSync(unfinished, folder);
  } catch (error) {
    if (!["ENOENT", "ENOTEMPTY", "EEXIST"].includes(error.code)) throw error;
  }
}

/** Removes what was long unused, and what runs left that were ended while they made it. */
function sweep() {
  const oldest = Date.now() - UNUSED_DAYS_MAX * 24 * 3600_000;
  for (const name of readdirSync(cacheFolder)) {
    const maker = name.match(/\.(\d+)\.tmp$/)?.[1];
    const path = join(cacheFolder, name);
    try {
      const useless = maker ? !isAlive(Number(maker)) : statSync(path).mtimeMs < oldest;
      if (useless) rmSync(path, { recursive: true, force: true });
    } catch {
      // Another run removed it first.
    }
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
