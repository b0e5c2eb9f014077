// The lab: the experiments of the paper, and ours beside today's alternatives, on real network paths.
//
//   npm run lab                    all experiments; report/index.html is the report
//   npm run lab -- --quick         the same within three minutes, without the guest
//   npm run lab -- --help          says more, and names the experiments
//
// Everything runs in network, mount and process namespaces of its own, as root in new ones, else in
// those of a new user. They end with this process, and everything in them, however it ends: the lab
// inside holds the other end of a pipe, and its end is theirs.

import { spawn, spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { root, runtimes } from "../../kernel/setup.mjs";

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];
const SOAK_MINUTES_MAX = 7 * 24 * 60;

for (const signal of SIGNALS) {
  process.on(signal, () => process.exit(EXIT_INTERRUPTED)); // and what is written is taken back
}
const values = parse();
const runtime = chooseRuntime();
if (values.help) await help();
const folder = process.env.INIT_CWD ?? process.cwd();
const outputs = {
  json: output("json"),
  figures: output("figures"),
  out: output("out") ?? join(root, "report"),
};
const scratch = mkdtempSync(join(tmpdir(), "qsockets-lab-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
const order = {
  quick: values.quick,
  only: values.soak === undefined ? values.only : [...values.only, "soak"],
  seed: number("seed", 0, 2 ** 32 - 1),
  ...outputs,
  soak: values.soak === undefined ? null : number("soak", 1, SOAK_MINUTES_MAX),
  scratch,
  video: video(),
  receiver: compile("receiver"),
  idler: compile("idler"),
  commit: commit(),
  command: `npm run lab${["", ...process.argv.slice(2)].map(quoted).join(" ")}`.replace(
    /^npm run lab (?=.)/,
    "npm run lab -- ",
  ),
};
process.exit(await inside(findNamespaces(), order));

function parse() {
  try {
    return parseArgs({
      options: {
        help: { type: "boolean", short: "h" },
        quick: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        seed: { type: "string", default: "1" },
        json: { type: "string" },
        out: { type: "string" },
        figures: { type: "string" },
        runtime: { type: "string" },
        soak: { type: "string" },
        video: { type: "string" },
      },
    }).values;
  } catch (error) {
    return fail(`${error.message}\nTry --help.`, EXIT_USAGE);
  }
}

async function help() {
  console.log(`npm run lab -- [OPTION ...]

Measures on real network paths what the paper measured, and what else a user would pick; writes a
report with figures. Needs unshare(1), ip and tc, and root or user namespaces; ffmpeg, GStreamer and
srt-live-transmit are used where they are. Below the stack is measured in the guest of test/vm, which
needs QEMU: npm run test:vm -- --help.

  --quick          within three minutes: fewer seconds, rougher numbers, and no guest
  --only NAME      only this experiment; may be given again
  --soak MINUTES   the long run, and nothing else unless --only names it
  --seed N         of what is random (1)
  --video FILE     the video to send; ffmpeg codes ten seconds of it anew
  --out DIR        folder of the report (report)
  --json FILE      write the report's JSON there too
  --figures DIR    write each figure there too, as an SVG file
  --runtime NAME   bun or deno (bun)
  --help           this text

The experiments:`);
  const { status } = spawnSync(runtime[0], [...runtime.slice(1), labProgram(), '{"list":true}'], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  await new Promise((done) => process.stdout.write("", done));
  process.exit(status ?? 1);
}

/** The command that runs a TypeScript file. */
function chooseRuntime() {
  const name = values.runtime ?? (runtimes.bun ? "bun" : "deno");
  if (!["bun", "deno"].includes(name)) {
    fail(`--runtime must be bun or deno, got "${name}"`, EXIT_USAGE);
  }
  if (!runtimes[name]) fail(`Cannot run the lab: no ${name} for this machine.`, 1);
  return name === "deno" ? [runtimes.deno, "run", "-A", "--no-check"] : [runtimes.bun];
}

function number(name, least, most) {
  const value = values[name] === "" ? NaN : Number(values[name]);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const what = `a whole number from ${least} to ${most}`;
  return fail(`--${name} must be ${what}, got "${values[name]}"`, EXIT_USAGE);
}

/**
 * Where an option asks to write: an absolute path, or null; ends, and says why, if that cannot be. It
 * is made now, as the lab may take half an hour before it has something to write.
 */
function output(name) {
  if (values[name] === undefined) return null;
  const path = resolve(folder, values[name]);
  const cannot = (why) => fail(`Cannot write --${name} ${values[name]}: ${why}`, EXIT_USAGE);
  if (values[name] === "") return cannot("it is empty");
  if (/^(\/var)?\/run(\/|$)/.test(path)) {
    return cannot("the lab has a /run of its own, which ends with it");
  }
  const into = name === "json" ? dirname(path) : path;
  // Not mkdirSync, which under /proc never ends.
  const made = spawnSync("mkdir", ["-p", "--", into], { encoding: "utf8" });
  if (made.status !== 0) return cannot(made.error?.message ?? made.stderr.trim());
  try {
    accessSync(into, constants.W_OK);
    if (name === "json" && existsSync(path)) {
      if (statSync(path).isDirectory()) return cannot("it is a folder");
      accessSync(path, constants.W_OK);
    }
  } catch (error) {
    return cannot(error.message);
  }
  return path;
}

/** The video that is asked for: an absolute path, or null. */
function video() {
  if (values.video === undefined) return null;
  const path = resolve(folder, values.video);
  const cannot = (why) => fail(`Cannot send --video ${values.video}: ${why}`, EXIT_USAGE);
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    return cannot(error.message);
  }
  if (!statSync(path).isFile()) return cannot("it is no file");
  const probe = ["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_type"];
  const { status, stdout, stderr, error } = spawnSync("ffprobe", [...probe, path], {
    encoding: "utf8",
  });
  if (error) return cannot(`it is to be coded anew, and there is no ffmpeg (${error.message})`);
  if (status !== 0 || !stdout.includes("video")) {
    return cannot(stderr.trim().split("\n").at(-1) || "there is no video in it");
  }
  return path;
}

/** The commit that is measured, as git names it, or null. */
function commit() {
  const args = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
  const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

function quoted(word) {
  return /^[\w./=-]*$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function labProgram() {
  return join(root, "test", "lab", "lab.ts");
}

/** Compiles one of the lab's C programs; returns its path. */
function compile(name) {
  const output = join(root, "kernel", "build", "lab", name);
  const source = join(root, "test", "lab", `${name}.c`);
  mkdirSync(join(output, ".."), { recursive: true });
  const compiler = ["cc", "gcc", "clang"].find((name) =>
    spawnSync(name, ["--version"]).status === 0
  );
  if (!compiler) fail("Cannot run the lab: no C compiler (cc, gcc or clang) found.", 1);
  const flags = ["-O2", "-Wall", "-Wextra", "-o", output, source, "-lm"];
  const { status, stderr } = spawnSync(compiler, flags, { encoding: "utf8" });
  if (status !== 0) fail(`Cannot build the lab's ${name}: ${stderr}`, 1);
  return output;
}

/** The arguments of unshare(1) that work here; ends, and says why, if none does. */
function findNamespaces() {
  const flags = [process.getuid() === 0 ? "-nmpf" : "-Urnmpf", "--kill-child", "--mount-proc"];
  const probe = "ip link add q0 type veth peer name q1 && tc qdisc add dev q0 root htb && " +
    "mount -t tmpfs none /run && ip netns add q";
  const { status, stderr, error } = spawnSync("unshare", [...flags, "sh", "-c", probe], {
    encoding: "utf8",
  });
  if (status === 0) return flags;
  const why = error?.message ?? stderr.trim().split("\n")[0];
  return fail(
    `Cannot run the lab: unshare ${flags.join(" ")} with ip and tc (iproute2) and an HTB: ${why}`,
    1,
  );
}

/** Runs the lab in new namespaces, with a /run and a loopback of their own; returns its exit code. */
function inside(flags, order) {
  const prepare = 'mount -t tmpfs -o mode=755 none /run && ip link set lo up && exec "$@"';
  const command = [...runtime, labProgram(), JSON.stringify(order)];
  const child = spawn("unshare", [...flags, "sh", "-c", prepare, "sh", ...command], {
    cwd: root,
    // Its own process group: Ctrl-C comes to us alone, and what is to end ends with the namespaces.
    detached: true,
    // Nothing is written there: its end tells the lab that this process is gone, whatever ended it.
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, LAB_NODE: process.execPath },
  });
  const begun = Date.now();
  let interrupted = false;
  for (const signal of SIGNALS) {
    process.removeAllListeners(signal);
    process.on(signal, () => {
      interrupted = true;
      child.kill("SIGKILL");
    });
  }
  return new Promise((done) => {
    child.on("close", (code) => {
      if (interrupted) console.error(`\nInterrupted: ${whatIsLeft(order.out, begun)}.`);
      done(interrupted ? EXIT_INTERRUPTED : code ?? 1);
    });
  });
}

/** What an interrupted lab wrote: the report is there from the first finished experiment on. */
function whatIsLeft(out, begun) {
  const report = statSync(join(out, "report.json"), { throwIfNoEntry: false });
  return report && report.mtimeMs >= begun
    ? `${join(out, "index.html")} has what was finished`
    : "nothing was finished, and no report written";
}

function fail(text, code) {
  console.error(text);
  process.exit(code);
}
