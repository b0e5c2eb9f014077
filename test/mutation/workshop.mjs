// Where mutations are built and judged: copies of the tree outside the checkout, each a bench.

import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { root, runtimes } from "../../kernel/setup.mjs";

const COPIED = [
  "deno.json",
  "examples",
  "ffi",
  "kernel",
  "media",
  "mod.ts",
  "package.json",
  "test",
];
const LEFT_OUT = ["kernel/build", "test/bench", "test/fuzz"];
const SEED = "1";
const SANITIZERS = "-fsanitize=address,undefined";
const SANITIZED = `-O1 -g1 ${SANITIZERS} -fno-sanitize-recover=all`;
const BUILD_MS_MAX = 120_000;
const OUTPUT_MAX = 1 << 20;

/**
 * What can notice, quickest first, some only in certain groups: tests of TypeScript (their files,
 * runs of each property, what the names match), and programs of test/c, linked with the library as
 * it is built under the sanitizers or without.
 */
const tests = [
  ts("examples", ["model", "loss", "regressions", "cbq_example"], 10, { match: "\\(C\\)" }),
  ts("model", ["scheduler"], 10, { match: "message by message" }),
  ts("change", ["change", "classes"], 10),
  ts("counting", ["counting", "simulate", "best_effort"], 30),
  ts("optimality", ["optimality"], 20, { groups: ["precedence", "window", "rank", "admission"] }),
  ts("windows", ["windows"], 100, { groups: ["precedence", "window", "rank"] }),
  ts("sfq", ["sfq"], 100, { groups: ["precedence", "sfq"] }),
  ts("cbq", ["cbq"], 30, { groups: ["precedence", "sfq", "cbq"] }),
  ts("admission", ["admission"], 30, { groups: ["admission"] }),
  ...["guard", "counts", "pace", "virtual", "classes", "refuse", "admission"].map(sanitized),
  ts("long model", ["scheduler"], 50, { match: "message by message" }),
  // these have a real clock: a failure counts if it comes twice
  ...["parts", "errors", "close", "streams"].map((program) => ({
    ...sanitized(program),
    timed: true,
    groups: ["admission", "counters", "structure"],
  })),
  // long under the sanitizers
  { name: "c/windows", program: "windows", flavour: "build", groups: ["precedence", "window"] },
];

function sanitized(program) {
  return { name: `c/${program}`, program, flavour: "address" };
}

function ts(name, files, runs, { match, groups } = {}) {
  const how = ["--preload", "./test/mutation/no_shrinking.mjs", "--bail", "--timeout", "60000"];
  const args = ["test", ...how, ...(match ? ["-t", match] : [])];
  return { name, runs, groups, args: [...args, ...files.map((file) => `./test/${file}.test.ts`)] };
}

const contents = new Map();
const children = new Set();

/** The text of a file of the scheduler, the same for the whole run. */
export function original(file) {
  if (!contents.has(file)) {
    contents.set(file, readFileSync(join(root, "kernel", "sched", file), "utf8"));
  }
  return contents.get(file);
}

/** Ends all that runs, and what that has started. */
export function endAll() {
  for (const child of children) end(child);
}

/** A folder of benches, and how long each test may take on them. */
export class Workshop {
  benches = [];
  #folder = mkdtempSync(join(tmpdir(), "qsockets-mutate-"));
  #limitsMs = new Map();

  /**
   * Sets up so many benches and runs every test of these groups on them as they are: what fails,
   * if any does.
   */
  async open(count, groups) {
    const first = new Bench(join(this.#folder, "1"), this.#limitsMs);
    first.copy();
    const broken = await first.build("build") ?? await first.build("address") ??
      await first.buildPrograms();
    if (broken) return broken;
    this.benches.push(first);
    for (let i = 2; i <= count; i++) {
      const bench = new Bench(join(this.#folder, `${i}`), this.#limitsMs);
      bench.copy(first.folder);
      this.benches.push(bench);
    }
    const waiting = tests.filter((test) => groups.some((group) => concerns(test, group)))
      .reverse(); // the longest first
    const failures = await Promise.all(this.benches.map((bench) => bench.control(waiting)));
    return failures.find((failure) => failure);
  }

  remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class Bench {
  #limitsMs;

  constructor(folder, limitsMs) {
    this.folder = folder;
    this.#limitsMs = limitsMs;
  }

  /** Fills it from the checkout, or with what another has built as well. */
  copy(from) {
    mkdirSync(this.folder);
    if (from) {
      const options = { recursive: true, preserveTimestamps: true, verbatimSymlinks: true };
      return cpSync(from, this.folder, options);
    }
    const left = LEFT_OUT.map((path) => join(root, path));
    const filter = (path) => !left.includes(path);
    for (const path of COPIED) {
      cpSync(join(root, path), join(this.folder, path), { recursive: true, filter });
    }
    symlinkSync(join(root, "node_modules"), join(this.folder, "node_modules"));
  }

  /** The library, plain or under the sanitizers: what the compiler says if it does not work. */
  async build(flavour) {
    const flags = flavour === "address"
      ? [`CFLAGS=${SANITIZED}`, `LDFLAGS=${SANITIZERS}`]
      : ["CFLAGS=-O1"];
    const args = ["-s", "-C", "kernel", `BUILD=${flavour}`, "LTO=", ...compiler(), ...flags, "all"];
    const { code, output } = await this.#run("make", args, BUILD_MS_MAX);
    return code === 0 ? undefined : output || `make: exit ${code}`;
  }

  /** The programs of test/c, all but the library that is linked to them. */
  async buildPrograms() {
    for (const { program } of tests.filter(({ program }) => program)) {
      const flags = "-O1 -std=gnu11 -D_GNU_SOURCE -DQSOCKET_BUILD -pthread -Ikernel -c -o".split(
        " ",
      );
      const args = [...flags, `${program}.o`, `test/c/${program}.c`];
      const { code, output } = await this.#run(process.env.CC ?? "cc", args, BUILD_MS_MAX);
      if (code !== 0) return output;
    }
  }

  /** Runs tests as long as there are any: what the first one says that fails. */
  async control(waiting) {
    for (let test = waiting.shift(); test; test = waiting.shift()) {
      const started = performance.now();
      let { code, output } = await this.#try(test, BUILD_MS_MAX);
      if (code !== 0 && test.timed) ({ code, output } = await this.#try(test, BUILD_MS_MAX));
      if (code !== 0) return `${test.name} (exit ${code})\n${output}`;
      this.#limitsMs.set(test.name, 10_000 + 8 * (performance.now() - started));
    }
  }

  /** Whether it compiles with a mutation, and then by which test that is caught, if by any. */
  async judge({ group, file, from, to, first }) {
    const path = join(this.folder, "kernel", "sched", file);
    writeFileSync(path, original(file).replace(from, () => to));
    try {
      const said = await this.build("build");
      if (said) return { broken: true, said };
      let sanitized = false;
      for (const test of inOrder(group, first)) {
        if (test.flavour === "address" && !sanitized) {
          const refused = await this.build("address");
          if (refused) return { broken: true, said: refused };
          sanitized = true;
        }
        const limitMs = this.#limitsMs.get(test.name);
        const { code, output } = await this.#try(test, limitMs);
        if (code === 0 || (test.timed && (await this.#try(test, limitMs)).code === 0)) continue;
        return { by: noticed(test, code, output), said: output };
      }
      return { said: "" };
    } finally {
      writeFileSync(path, original(file));
    }
  }

  async #try({ name, args, runs, program, flavour }, limitMs) {
    if (args) return await this.#run(runtimes.bun, args, limitMs, { QSOCKETS_RUNS: `${runs}` });
    const objects = readdirSync(join(this.folder, "kernel", flavour), { recursive: true })
      .filter((path) => path.endsWith(".o")).map((path) => join("kernel", flavour, path));
    const flags = flavour === "address" ? [SANITIZERS] : [];
    const link = ["-pthread", ...flags, "-o", name.replace("/", "-"), `${program}.o`, ...objects];
    const linked = await this.#run(process.env.CC ?? "cc", link, BUILD_MS_MAX);
    return linked.code === 0 ? await this.#run(`./${name.replace("/", "-")}`, [], limitMs) : linked;
  }

  /** Runs a command on this bench: its exit code, signal or "hangs", and what it said. */
  #run(command, args, limitMs, environment = {}) {
    const { QSOCKETS_LIBRARY: _, ...inherited } = process.env;
    const child = spawn(command, args, {
      cwd: this.folder,
      env: {
        ...inherited,
        NO_COLOR: "1",
        FORCE_COLOR: undefined,
        BUN_ENABLE_CRASH_REPORTING: "0",
        QSOCKETS_SEED: SEED,
        ...environment,
      },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // its own process group, so that what it started ends with it
    });
    children.add(child);
    let output = "", hangs = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output = (output + text).slice(-OUTPUT_MAX);
      });
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        hangs = true;
        end(child);
      }, limitMs);
      const finish = (code) => {
        clearTimeout(timer);
        children.delete(child);
        resolve({ code: hangs ? "hangs" : code, output });
      };
      child.on("error", (error) => {
        output += error.message;
        finish(127);
      });
      child.on("close", (code, signal) => finish(code ?? signal));
    });
  }
}

function concerns({ groups }, group) {
  return !groups || groups.includes(group);
}

/** The tests that can notice a mutation of a group, the one named first. */
function inOrder(group, first) {
  if (first && !tests.some(({ name }) => name === first)) throw new Error(`no test is ${first}`);
  return tests.filter((test) => concerns(test, group))
    .sort((a, b) => Number(b.name === first) - Number(a.name === first));
}

function end(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function compiler() {
  return process.env.CC ? [`CC=${process.env.CC}`] : [];
}

/** The first promise that was not kept, in the words of the test. */
function noticed({ name }, code, output) {
  const broken = output.match(/^\(fail\) (.*?)(?: \[[\d.]+ms\])?$/m)?.[1] ??
    output.match(/^not ok ([^:]*)/m)?.[1] ??
    output.match(/(?:runtime error|ERROR: AddressSanitizer): ([^\n(]*)/)?.[1]?.trim();
  return `${name}: ${broken ?? (code === "hangs" ? "hangs" : `exit ${code}`)}`;
}
