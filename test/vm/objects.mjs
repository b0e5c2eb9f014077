// Which schedulers in BPF the guest gets: in kernel/bpf/built, where a package has them, and nowhere else.
// They are the shipped ones, so that these are tested, unless they are of other sources than the
// library: then those built here, and it is said.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const POLICIES = ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "fifo"];
const PREFIX = "qsockets sources "; // QS_STAMP_PREFIX

/**
 * A folder of `kernel` with objects of the library's own sources, which are built if need be, and what is
 * to be said of the choice; throws where there are none.
 */
export function chooseObjects(kernel) {
  const { status, stdout, stderr } = spawnSync("make", ["-s", "-C", kernel, "bpf-stamp"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`Cannot tell the stamp of kernel's sources: ${stderr}`);
  const stamp = stdout.trim();
  const shipped = join(kernel, "bpf/built"), built = join(kernel, "build/bpf");
  const outdated = faults(shipped, stamp);
  if (outdated.length === 0) {
    return { folder: shipped, words: `tests the schedulers that are shipped, of sources ${stamp}` };
  }
  const why = `kernel/bpf/built is not of this library's sources, ${stamp}: ${outdated.join(", ")}`;
  spawnSync("make", ["-s", "-C", kernel, "bpf"], { stdio: "inherit" });
  const missing = faults(built, stamp);
  if (missing.length > 0) {
    throw new Error(
      `${why}; nor is kernel/build/bpf: ${missing.join(", ")}. npm run build:bpf makes both ` +
        "(apt install clang-19 llvm-19 libbpf-dev)",
    );
  }
  return { folder: built, words: `${why}. Tests those built here; npm run build:bpf ships them` };
}

/** The objects that are not there, or not of sources with that stamp. */
function faults(folder, stamp) {
  return POLICIES.flatMap((policy) => {
    const path = join(folder, `${policy}.bpf.o`);
    if (!existsSync(path)) return [`no ${policy}`];
    const object = readFileSync(path, "latin1"), at = object.indexOf(PREFIX);
    const said = at < 0 ? "nothing" : object.slice(at + PREFIX.length, object.indexOf("\0", at));
    return said === stamp ? [] : [`${policy} says ${said}`];
  });
}
