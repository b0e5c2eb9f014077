// Fuzzes the C library with libFuzzer: test/fuzz/multiplexer.c, the calls, and policy.c, the scheduler.
//
//   npm run fuzz                        60 s in all, then a verdict on each target
//   npm run fuzz -- --seconds 20        shorter; 0 only replays the corpus
//   npm run fuzz -- --target policy     that one alone
//   npm run fuzz -- --seed 7 --jobs 2   a seed (printed, else random); processes at once
//   npm run fuzz -- --replay FILE       one input, told call by call
//   npm run fuzz -- --merge             makes the kept corpus anew, of it and of what was found
//   npm run fuzz -- --coverage          lines and branches of the library that the corpus reaches
//
// Each target first replays test/fuzz/corpus/TARGET, then goes on from there. What it finds on the
// way is kept in kernel/build/fuzz/corpus, a crash in kernel/build/fuzz/crashes. A crash that was
// mended belongs into test/fuzz/corpus/TARGET as regression-NAME; --merge leaves those alone.
// The last line is `N passed, N failed`, a target being one test.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { usageError, wordsOf } from "../usage.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const build = process.env.FUZZ_BUILD ?? join(root, "kernel", "build", "fuzz");
const targets = ["multiplexer", "policy"];
const SECONDS = 60; // of all targets together, if nothing else is said
const INPUT_SECONDS_MAX = 20; // of one input, which else counts as a hang
const INPUT_BYTES_MAX = 3200;
const MEMORY_MB_MAX = 2048;
const PROGRESS_MS = 10_000;
const FILES_MAX = 150; // of a target's kept corpus ...
const BYTES_MAX = 150_000; // ... and their bytes
const REGRESSION = "regression-";

const options = parse();
const clang = findClang();
const children = new Set();
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of children) child.kill("SIGKILL");
  });
}

make(options.coverage ? join(build, "coverage") : build, options.coverage ? ["COVERAGE=1"] : []);
if (options.replay) process.exit(await replay(resolve(options.replay)));
const counts = { passed: 0, failed: 0 };
const work = options.merge ? merge : options.coverage ? measure : fuzz;
for (const target of options.targets) {
  const passed = await work(target);
  if (interrupted) break;
  counts[passed ? "passed" : "failed"]++;
}
if (interrupted) console.log("interrupted");
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(interrupted ? 130 : counts.failed > 0 ? 1 : 0);

/** Replays the corpus, then fuzzes for the target's share of the time. Whether nothing broke. */
async function fuzz(target) {
  const seconds = options.seconds / options.targets.length;
  const kept = corpusOf(target), found = folder(join(build, "corpus", target));
  const started = performance.now();
  const replayed = await run(target, ["-runs=0", kept], `${target}: replay`);
  if (replayed.code !== 0) return complain(target, replayed);
  console.log(`${target}: ${readdirSync(kept).length} inputs of the corpus replayed`);
  const left = Math.floor(seconds - (performance.now() - started) / 1000);
  if (left < 1 || interrupted) return !interrupted;
  const runs = Array.from({ length: options.jobs }, (_, job) => {
    const seed = options.seed + job;
    console.log(`${target}: ${left} s from seed ${seed}`);
    const args = [`-seed=${seed}`, `-max_total_time=${left}`, "-reload=5", found, kept];
    return run(target, args, `${target}: fuzz`);
  });
  const results = await Promise.all(runs);
  const broken = results.find(({ code }) => code !== 0);
  if (broken) return complain(target, broken);
  for (const { output } of results) console.log(`${target}: ${lastLine(output)}`);
  return true;
}

/** The smallest set of inputs that reaches what all of them reach takes the place of the corpus. */
async function merge(target) {
  const kept = corpusOf(target), found = folder(join(build, "corpus", target));
  const scratch = mkdtempSync(join(tmpdir(), "qsockets-fuzz-"));
  const [old, merged] = [folder(join(scratch, "old")), folder(join(scratch, "merged"))];
  try {
    for (const name of readdirSync(kept).filter((it) => !it.startsWith(REGRESSION))) {
      copyFileSync(join(kept, name), join(old, name));
    }
    // how often a branch was taken makes no new input: which ones were is enough to keep
    const args = ["-set_cover_merge=1", "-use_counters=0", merged, old, found];
    const { code, output } = await run(target, args, `${target}: merge`);
    if (code !== 0) return complain(target, { code, output });
    if (readdirSync(merged).length === 0) return complain(target, { code: "no input", output });
    replaceBy(merged, kept);
  } finally {
    rmSync(scratch, { recursive: true });
  }
  const names = readdirSync(kept);
  console.log(`${target}: ${names.length} inputs, ${bytesOf(kept, names)} bytes`);
  return true;
}

/** Small ones first, as many as there is room for, named by their content. */
function replaceBy(merged, kept) {
  for (const name of readdirSync(kept).filter((it) => !it.startsWith(REGRESSION))) {
    rmSync(join(kept, name));
  }
  let files = readdirSync(kept).length, bytes = bytesOf(kept, readdirSync(kept));
  const inputs = readdirSync(merged).map((name) => readFileSync(join(merged, name)));
  for (const input of inputs.sort((a, b) => a.length - b.length)) {
    if (++files > FILES_MAX || (bytes += input.length) > BYTES_MAX) break;
    writeFileSync(join(kept, createHash("sha1").update(input).digest("hex")), input);
  }
}

/** What of the library the kept corpus reaches, file by file. */
async function measure(target) {
  const raw = join(build, "coverage", `${target}.raw`), profile = raw.replace(/raw$/, "profile");
  const program = join(build, "coverage", target);
  const env = { LLVM_PROFILE_FILE: raw };
  const { code, output } = await run(
    target,
    ["-runs=0", corpusOf(target)],
    `${target}: measure`,
    env,
  );
  if (code !== 0) return complain(target, { code, output });
  const merged = spawnSync(llvm("llvm-profdata"), ["merge", "-o", profile, raw]);
  const args = ["export", "--summary-only", program, `-instr-profile=${profile}`];
  const told = spawnSync(llvm("llvm-cov"), args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (merged.status !== 0 || told.status !== 0) {
    fail("Cannot measure: llvm-cov and llvm-profdata are missing. Debian: apt install llvm");
  }
  console.log(`${target.padEnd(32)} lines               branches`);
  for (const { filename, summary } of JSON.parse(told.stdout).data[0].files) {
    const { lines, branches } = summary;
    const share = ({ covered, count }) =>
      `${count ? (100 * covered / count).toFixed(1).padStart(5) : "  -  "} % of ${count}`;
    const name = relative(join(root, "kernel"), resolve(root, "test", "fuzz", filename));
    console.log(`${name.padEnd(32)} ${share(lines).padEnd(19)} ${share(branches)}`);
  }
  return true;
}

async function replay(file) {
  const target = options.targets.length === 1
    ? options.targets[0]
    : targets.find((it) => resolve(file).includes(it));
  if (!target) fail(`Cannot replay ${file}: say of which target, with --target.`);
  const { code, output } = await run(target, [file], `${target}: replay`, { FUZZ_TRACE: "1" });
  console.log(output.replace(/^INFO:.*\n/gm, "").trimEnd());
  console.log(`${code ? 0 : 1} passed, ${code ? 1 : 0} failed`);
  return code ? 1 : 0;
}

/** Says what broke, and where the input is that broke it. */
function complain(target, { code, output }) {
  if (interrupted) return false;
  const lines = output.split("\n").filter((line) => !/^(#\d|INFO:|\s+NEW_FUNC)/.test(line));
  console.log(lines.filter((line) => line.length < 500).slice(-60).join("\n").trim());
  const written = output.match(/Test unit written to (\S+)/)?.[1];
  console.log(`${target}: FAILED (exit ${code})`);
  if (written) {
    const path = relative(process.cwd(), written);
    console.log(
      `${target}: the input is ${path}; to see it again:\n  npm run fuzz -- --replay ${path}`,
    );
  }
  return false;
}

/** Runs a target; what it says comes back, and how far it is is told meanwhile. */
function run(target, args, label, env = {}) {
  const program = join(build, options.coverage ? "coverage" : "", target);
  const prefix = join(folder(join(build, "crashes")), `${target}-`);
  const child = spawn(program, [
    `-artifact_prefix=${prefix}`,
    `-timeout=${INPUT_SECONDS_MAX}`,
    `-rss_limit_mb=${MEMORY_MB_MAX}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    ...args,
  ], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a Ctrl-C is this program's to handle
  });
  children.add(child);
  const started = performance.now();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => output = (output + text).slice(-(1 << 22)));
  }
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`${label}: ${seconds} s, ${lastLine(output)}`);
  }, PROGRESS_MS);
  return new Promise((done) => {
    const finish = (code) => {
      clearInterval(progress);
      children.delete(child);
      done({ code, output });
    };
    child.on("error", (error) => {
      output += error.message;
      finish(127);
    });
    child.on("close", (code, signal) => finish(code ?? signal));
  });
}

/** libFuzzer's latest line: inputs tried, branches reached (cov), features, inputs kept. */
function lastLine(output) {
  const line = output.match(/^#\d+.*cov: .*$/gm)?.at(-1) ?? "";
  const [, tried, cov, features, corpus] =
    line.match(/^#(\d+).*cov: (\d+) ft: (\d+) corp: (\d+)/) ?? [];
  return tried
    ? `${tried} inputs, ${cov} branches, ${features} features, ${corpus} kept`
    : "starts";
}

function make(folderOfBuild, args) {
  console.log(`building the fuzzers with ${clang}`);
  const jobs = `-j${availableParallelism()}`;
  const done = spawnSync("make", [
    "-s",
    jobs,
    "-C",
    join(root, "test", "fuzz"),
    `CC=${clang}`,
    `BUILD=${folderOfBuild}`,
    ...args,
  ], { stdio: ["ignore", 2, 2] });
  if (done.error) fail("Cannot build the fuzzers: no make. Debian, Ubuntu: apt install make");
  if (done.status !== 0) fail("Cannot build the fuzzers: see above.");
}

/** The clang to use: CLANG, or the first one that has libFuzzer and the sanitizers. */
function findClang() {
  const versions = Array.from({ length: 12 }, (_, i) => `clang-${25 - i}`);
  const names = process.env.CLANG ? [process.env.CLANG] : ["clang", ...versions];
  const there = names.filter((name) => spawnSync(name, ["--version"]).status === 0);
  const probe = ["-fsanitize=fuzzer,address,undefined", "-x", "c", "-", "-o", "/dev/null"];
  const input = "int LLVMFuzzerTestOneInput(const char *d, unsigned long n);" +
    "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }";
  const works = there.find((name) => spawnSync(name, probe, { input }).status === 0);
  if (works) return works;
  const version = there.length
    ? spawnSync(there[0], ["-dumpversion"], { encoding: "utf8" }).stdout.split(".")[0]
    : "14";
  console.log(
    `Cannot build the fuzzers: ${
      there.length ? `${there[0]} has no libFuzzer runtime` : "no clang"
    } here. Install:\n  Debian, Ubuntu: apt install clang libclang-rt-${version}-dev\n` +
      "  Fedora:         dnf install clang compiler-rt",
  );
  console.log(`0 passed, 0 failed, ${options.targets.length} skipped`);
  process.exit(1);
}

/** An LLVM tool beside the clang in use, whose version must be the same. */
function llvm(tool) {
  const version = spawnSync(clang, ["-dumpversion"], { encoding: "utf8" }).stdout.split(".")[0];
  const named = `${tool}-${version}`;
  return spawnSync(named, ["--version"]).status === 0 ? named : tool;
}

function parse() {
  const { values } = wordsOf(import.meta.url, {
    seconds: { type: "string", default: `${SECONDS}` },
    target: { type: "string", multiple: true },
    seed: { type: "string", default: `${1 + Math.floor(Math.random() * 2 ** 31)}` },
    jobs: { type: "string", default: "1" },
    replay: { type: "string" },
    merge: { type: "boolean", default: false },
    coverage: { type: "boolean", default: false },
  });
  const number = (name, min, max) => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    usageError(`Cannot fuzz: --${name} must be from ${min} to ${max}, got ${values[name]}`);
  };
  const unknown = values.target?.find((target) => !targets.includes(target));
  if (unknown) usageError(`Cannot fuzz ${unknown}: the targets are ${targets.join(" and ")}`);
  if (values.replay && !existsSync(values.replay)) {
    usageError(`Cannot replay ${values.replay}: no such file`);
  }
  return {
    seconds: number("seconds", 0, 86_400),
    seed: number("seed", 1, 2 ** 32 - 1),
    jobs: number("jobs", 1, 64),
    targets: values.target ?? targets,
    replay: values.replay,
    merge: values.merge,
    coverage: values.coverage,
  };
}

function corpusOf(target) {
  return folder(join(root, "test", "fuzz", "corpus", target));
}

function folder(path) {
  mkdirSync(path, { recursive: true });
  return path;
}

function bytesOf(path, names) {
  return names.reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
