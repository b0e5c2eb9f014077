// Disk images: ext4 file systems filled from a folder. mkfs.ext4 needs no root rights for that, but
// gives the files the numbers of their owners here; the guest's init makes them root's. Their modes too
// are those that they have here.

import { spawnSync } from "node:child_process";
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

const BLOCK_BYTES = 4096;
const FILE_BYTES = 512; // of a file's inode and directory entry, at most

/** Makes `image` with all of `folder` in it and some room. The host stores only what is written. */
export function makeDisk(folder, image, { spareBytes }) {
  const bytes = Math.ceil(bytesBelow(folder) * 1.05) + spareBytes;
  const features = ["-O", "^has_journal,^resize_inode", "-m", "0", "-E", "root_owner=0:0"];
  const size = `${Math.ceil(bytes / 1024)}k`;
  const done = spawnSync("mkfs.ext4", ["-q", "-F", ...features, "-d", folder, image, size], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
  });
  if (done.status !== 0) {
    throw new Error(`Cannot make the disk of ${folder}: ${done.error?.message ?? done.stderr}`);
  }
}

/** Lets all users read what may be only its owner's, as a checkout can be. */
export function openToAll(folder) {
  const done = spawnSync("chmod", ["-R", "go+rX", folder], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`Cannot open ${folder} to all users: ${done.stderr}`);
}

function bytesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    const content = entry.isDirectory()
      ? bytesBelow(path)
      : Math.ceil(lstatSync(path).size / BLOCK_BYTES) * BLOCK_BYTES;
    return sum + content + FILE_BYTES;
  }, 0);
}
