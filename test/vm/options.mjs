// The command line of run.mjs, and what must be on this machine for it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism, freemem } from "node:os";
import { isAbsolute, normalize } from "node:path";
import process from "node:process";
import { usageError as fail, wordsOf } from "../usage.mjs";
import { BUILD_HEADERS, BUILD_TOOLS, OWN_KERNELS } from "./kernel.mjs";
import { KERNELS, KEYRING } from "./packages.mjs";

const SECONDS = 780; // with the boot and the disks, all is done within fourteen minutes
const SECONDS_MAX = 24 * 3600;
// At a time, as a test waits more than it computes; each has 2 GB or more of its own.
const GUESTS = availableParallelism() > 1 && freemem() > 6 * 2 ** 30 ? 2 : 1;
const GUESTS_MAX = 8;
/** By which the library speaks to a scheduler below the stack. */
const GATES = ["bpf", "module"]; // of Debian's kernels

/** What is run, by the Debian and Ubuntu package that has it. */
const TOOLS = {
  "qemu-system-x86_64": "qemu-system-x86",
  "mkfs.ext4": "e2fsprogs",
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  "tar": "tar",
  "xz": "xz-utils",
  "git": "git",
};

/** The options, checked; ends the process for `--help` and for what cannot be done. */
export function parse() {
  const { values } = wordsOf(new URL("run.mjs", import.meta.url), {
    shell: { type: "string" },
    add: { type: "string", multiple: true, default: [] },
    kernel: { type: "string", default: "cloud" },
    gate: { type: "string" },
    runtime: { type: "string", multiple: true, default: ["bun", "deno"] },
    only: { type: "string", multiple: true, default: [] },
    guests: { type: "string" },
    "time-limit": { type: "string" },
    "count-instructions": { type: "boolean", default: false },
    twice: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    refresh: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  });
  const { shell, keep, refresh, twice, verbose } = values;
  // One alone where two would be mixed up or count each other's instructions.
  const isAlone = shell !== undefined || keep || verbose || values["count-instructions"];
  const guests = Number(values.guests ?? (isAlone ? 1 : GUESTS));
  if (!(Number.isInteger(guests) && guests >= 1 && guests <= GUESTS_MAX)) {
    fail(`Cannot run guests: --guests must be from 1 to ${GUESTS_MAX}, got "${values.guests}"`);
  }
  const kernels = Object.keys({ ...KERNELS, ...OWN_KERNELS });
  if (!kernels.includes(values.kernel)) {
    fail(`Cannot boot a kernel "${values.kernel}": there are ${kernels.join(", ")}`);
  }
  const gate = gateOf(values.kernel, values.gate);
  const slowness = OWN_KERNELS[values.kernel]?.slowness ?? 1;
  const seconds = Number(values["time-limit"] ?? SECONDS * slowness);
  if (!(Number.isInteger(seconds) && seconds >= 1 && seconds <= SECONDS_MAX)) {
    fail(
      `Cannot run a guest: --time-limit must be whole seconds from 1 to ${SECONDS_MAX}, got ` +
        `"${values["time-limit"]}"`,
    );
  }
  const unknown = values.runtime.find((name) => !["bun", "deno"].includes(name));
  if (unknown !== undefined) fail(`Cannot test under "${unknown}": there are bun and deno`);
  if (shell !== undefined && values.only.length > 0) {
    fail("Cannot choose tests by --only: with --shell none are run");
  }
  const added = values.add.map(parseAdded);
  const { kernel, runtime, only } = values;
  const countInstructions = values["count-instructions"];
  return {
    shell,
    added,
    kernel,
    gate,
    countInstructions,
    places: runtime,
    only,
    guests,
    seconds,
    slowness,
    twice,
    keep,
    refresh,
    verbose,
  };
}

/** That of the kernel's own calls is a kernel's that has them; older ones have no qdiscs of BPF. */
function gateOf(kernel, wanted) {
  const gates = Object.hasOwn(OWN_KERNELS, kernel)
    ? ["syscall"]
    : GATES.filter((gate) => gate !== "bpf" || !KERNELS[kernel].suite);
  if (wanted === undefined || gates.includes(wanted)) return wanted ?? gates[0];
  fail(`Cannot test by a gate "${wanted}" with the kernel "${kernel}": it has ${gates.join(", ")}`);
}

/** `FILE=/guest/path` as `{ file, path }`. */
function parseAdded(text) {
  const at = text.lastIndexOf("=/");
  const file = text.slice(0, at), path = normalize(text.slice(at + 1));
  if (at < 1) fail(`Cannot add "${text}": it is not of the form FILE=/guest/path`);
  if (!existsSync(file)) fail(`Cannot add ${file}: there is no such file`);
  if (!isAbsolute(path) || path.endsWith("/") || /^\/(proc|sys)\//.test(path)) {
    fail(`Cannot add ${file} as ${path}: no file can be put there`);
  }
  return { file, path };
}

/** Why no guest with that kernel can be run on this machine, or null. */
export function whatIsMissing(kernel) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `the guest runs this machine's Bun and Deno and must be x86-64 Linux, this is ` +
      `${process.platform} ${process.arch}`;
  }
  // The machine's own tools may lie where only root's PATH leads.
  process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
  const isBuilt = Object.hasOwn(OWN_KERNELS, kernel);
  const missing = Object.entries({ ...TOOLS, ...(isBuilt && BUILD_TOOLS) }).filter(([tool]) =>
    spawnSync(tool, ["--version"], { stdio: "ignore" }).error
  );
  const files = { [KEYRING]: "debian-archive-keyring", ...(isBuilt && BUILD_HEADERS) };
  missing.push(...Object.entries(files).filter(([file]) => !existsSync(file)));
  if (missing.length === 0) return null;
  return `no ${missing.map(([tool]) => tool).join(", ")} here. Debian, Ubuntu: apt install ` +
    missing.map(([, name]) => name).join(" ");
}
