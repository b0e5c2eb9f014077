// What a message costs in the scheduler itself, beside a binary heap that does nothing else.
//
//   npm run bench:sched                       all of it, in at most three minutes
//   npm run bench:sched -- --quick            a first look, in ten seconds
//   npm run bench:sched -- --help             says what else there is
//
// Builds test/bench/sched*.c with the policies in kernel/sched (-O2), and runs it once for each
// measurement, where policy and heaps take turns; see sched.c for what is measured. All
// measurements are gone through twice, so that a noisy minute of the machine spoils no more than
// half of the turns of each. Tables are Markdown, for the README.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { judge, machine, PARTS, printReport, short } from "./sched_report.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const program = join(root, "kernel", "build", "bench", "sched");

// `spread` is the longest period by the shortest: 1 for the orders that serve all streams equally
// often, which at unequal periods lose messages even where there is time for all. `lead` is how far
// ahead of their deadlines the senders are, in cycles (a cycle: one message of every stream); dwcs99
// and vds may serve a window of one stream before the next. `loses`: frames, whole, that are late.
const POLICIES = {
  dwcs: { spread: 4, lead: 2, loses: true },
  dwcs99: { spread: 1, lead: 8, loses: true },
  vds: { spread: 4, lead: 8, loses: true },
  edf: { spread: 4, lead: 2, loses: true },
  "edf-lossless": { spread: 4, lead: 2 },
  sfq: { spread: 1, lead: 2 },
  cbq: { spread: 1, lead: 2 },
  fifo: { spread: 1, lead: 2 },
};
const STREAMS = [10, 1000, 10_000, 100_000, 1_000_000];
const STREAMS_QUICK = [10, 1000, 10_000, 100_000];
const STREAMS_MAX = 4_000_000;
const DEPTHS = [1, 10, 60, 500]; // messages queued on each of 1000 streams
const DEPTHS_QUICK = [1, 10, 60];
const PRESSED_LEAD = 0.5;
const PRESSED_STREAMS_MIN = 1000; // with fewer, chance alone makes some late
const LOST_MAX = 0.01; // of the messages; with more, the number means something else
const SECONDS_MAX = 160; // then what is left is skipped
const CELL_SECONDS_MAX = 60;

const options = readOptions(process.argv.slice(2));
let child = null;
process.on("SIGINT", () => {
  process.stderr.write("\nstopped\n");
  if (!child) process.exit(130);
  child.once("close", () => process.exit(130));
  child.kill();
});

build();
const policies = findPolicies();
const started = performance.now();
const failures = [];
const cells = plan();
const weights = [];
await measure();
const aims = judge(cells, weights);
if (options.json === "-") console.log(JSON.stringify(results(), null, 2));
else printReport(cells, weights, aims);
if (options.json && options.json !== "-") {
  writeFileSync(options.json, `${JSON.stringify(results(), null, 2)}\n`);
}
for (const failure of failures) console.error(`FAILED: ${failure}`);
process.exit(failures.length > 0 ? 1 : 0);

function build() {
  const compiler = process.env.CC ??
    ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (!compiler) fail("Cannot build the benchmark: no C compiler (cc, gcc or clang) found.");
  const below = (folder) =>
    readdirSync(join(root, folder)).filter((name) => name.endsWith(".c"))
      .map((name) => join(folder, name));
  const sources = [
    ...below("test/bench").filter((path) => /sched[^/]*$/.test(path)),
    ...below("kernel/sched"),
  ];
  mkdirSync(dirname(program), { recursive: true });
  const flags = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Ikernel/sched"];
  const args = ["-o", program, ...sources];
  // Across files as kernel/Makefile does it, where compiler and linker can.
  const across = spawnSync(compiler, [...flags, "-flto", ...args], { cwd: root, stdio: "ignore" });
  if (across.status === 0) return;
  const done = spawnSync(compiler, [...flags, ...args], { cwd: root, stdio: ["ignore", 2, 2] });
  if (done.error) fail(`Cannot build the benchmark: ${done.error.message}`);
  if (done.status !== 0) fail("Cannot build the benchmark: see above.");
}

/** Of those asked for, the policies that there are. */
function findPolicies() {
  const names = options.policies.length > 0 ? options.policies : Object.keys(POLICIES);
  const done = spawnSync(program, ["policies", ...names], { encoding: "utf8" });
  if (done.status !== 0) {
    fail(`Cannot run ${relative(root, program)}: ${done.stderr || done.error}`);
  }
  const found = done.stdout.split("\n").filter(Boolean);
  const absent = names.filter((name) => !found.includes(name));
  if (absent.length > 0) say(`there is no policy ${absent.join(", ")} (yet): left out`);
  if (found.length === 0) fail("Cannot run: none of these policies is there.");
  return found;
}

/** Every measurement, and what the program is told for it. */
function plan() {
  const streams = options.streams ?? (options.quick ? STREAMS_QUICK : STREAMS);
  const depths = options.quick ? DEPTHS_QUICK : DEPTHS;
  // What is asked of dwcs alone is asked of others only by name.
  const chosen = options.policies.length > 0 ? policies : policies.filter((it) => it === "dwcs");
  const cells = [];
  const add = (part, policy, streams, depth, lead) => {
    const { spread } = POLICIES[policy];
    if (!options.parts.includes(part)) return;
    const queued = part === "sparse" ? 16 : streams * depth;
    cells.push({ part, policy, streams, depth, queued, spread, lead, turns: null, dropped: 0 });
  };
  for (const policy of policies) {
    const { spread, lead, loses } = POLICIES[policy];
    const pressed = spread > 1 && chosen.includes(policy);
    for (const n of streams) {
      add("backlogged", policy, n, 1, lead);
      add("sparse", policy, n, 1, lead);
      if (pressed && n >= PRESSED_STREAMS_MIN) add("pressed", policy, n, 1, PRESSED_LEAD);
    }
    for (const depth of chosen.includes(policy) ? depths : []) {
      add("queued", policy, 1000, depth, depth + lead);
      if (pressed) add("queued-pressed", policy, 1000, depth, PRESSED_LEAD);
    }
    if (loses && chosen.includes(policy) && options.parts.includes("memory")) {
      cells.push({ part: "memory", policy });
    }
  }
  if (cells.length === 0) fail("Cannot run: there is nothing in these parts for these policies.");
  return cells;
}

async function measure() {
  const large = (cell) => cell.streams > 100_000;
  const rounds = options.quick ? [cells] : [
    cells.filter((cell) => !large(cell)),
    cells.filter(large),
    cells.filter((cell) => !large(cell) && cell.part !== "memory"),
  ];
  const total = rounds.flat().length;
  let done = 0;
  for (const cell of rounds.flat()) {
    progress(++done, total, cell);
    if (performance.now() - started > SECONDS_MAX * 1000) {
      if (!cell.turns) cell.skipped = "out of time";
    } else {
      await run(cell);
    }
  }
  progress();
  const skipped = cells.filter((cell) => cell.skipped).length;
  if (skipped > 0) say(`${skipped} measurements left out: ${SECONDS_MAX} s have passed`);
}

/** One round of one measurement; its turns are added to those of the rounds before. */
async function run(cell) {
  const { part, policy, streams, depth, queued, spread, lead } = cell;
  const chunk = options.quick ? Math.max(15_000, queued / 8) : Math.max(100_000, queued / 4);
  const budgetMs = options.quick ? 30 : policy !== "dwcs" ? 120 : queued > 100_000 ? 2000 : 300;
  const name = `${part} ${policy}${streams ? ` ${streams} streams, ${queued} queued` : ""}`;
  const args = part === "memory"
    ? [part, policy]
    : [part === "sparse" ? part : "backlogged", policy, streams, depth, spread, lead]
      .concat([Math.round(chunk), budgetMs]);
  const { status, output, error } = await start(args.map(String));
  if (status !== 0) {
    failures.push(`${name}: ${error.trim() || `ended with ${status}`}`);
    return;
  }
  const result = JSON.parse(output);
  if (part === "memory") return void weights.push({ policy, ...result });
  cell.dropped = Math.max(cell.dropped, result.dropped);
  // A backlogged stream that lost its message is silent from then on: the queue gets shorter.
  const whole = part === "sparse" ? result.messages : queued;
  if (result.dropped > LOST_MAX * whole) {
    failures.push(`${name}: ${result.dropped} messages were lost; this load should lose none`);
    return;
  }
  cell.late = result.late;
  if (policy.startsWith("edf") && !result.heap_order) {
    say(`${name}: not served in the order of the deadlines, which the heaps keep`);
  }
  cell.turns ??= { loop: [], records: [], indexed: [], policy: [], ordered: [] };
  cell.turns.loop.push(...result.nothing);
  for (const who of ["records", "indexed", "policy", "ordered"]) {
    cell.turns[who].push(...result[who]);
  }
}

function start(args) {
  return new Promise((resolve) => {
    let output = "", error = "";
    child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => {
      error = `took more than ${CELL_SECONDS_MAX} s`;
      child.kill();
    }, CELL_SECONDS_MAX * 1000);
    child.stdout.on("data", (data) => output += data);
    child.stderr.on("data", (data) => error += data);
    child.on("error", (reason) => error += reason.message);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      child = null;
      resolve({ status: code ?? signal, output, error });
    });
  });
}

function results() {
  const timed = cells.filter(({ part }) => part !== "memory");
  return { machine: machine(), cells: timed, memory: weights, aims, failures };
}

function readOptions(args) {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        policy: { type: "string", multiple: true, default: [] },
        streams: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    fail(`${error.message.split(/\. (?=To )/)[0]}. Try --help.`);
  }
  const { values: { quick, policy, streams, json, help }, positionals } = parsed;
  if (help) usage();
  const wrong = policy.find((name) => !(name in POLICIES));
  if (wrong !== undefined) {
    fail(
      `There is no policy "${wrong}" to measure; there are: ${Object.keys(POLICIES).join(", ")}.`,
    );
  }
  const parts = Object.keys(PARTS);
  const stranger = positionals.find((word) => !parts.some((part) => part.includes(word)));
  if (stranger !== undefined) {
    fail(`There is no part "${stranger}"; there are: ${parts.join(", ")}.`);
  }
  return {
    quick,
    policies: [...new Set(policy)],
    streams: streams === undefined ? null : readStreams(streams),
    json: json && json !== "-" ? resolve(process.env.INIT_CWD ?? ".", json) : json,
    parts: positionals.length === 0
      ? parts
      : parts.filter((part) => positionals.some((word) => part.includes(word))),
  };
}

function readStreams(text) {
  const numbers = text.split(",").map((word) => /^\d{1,7}$/.test(word) ? Number(word) : NaN);
  if (!numbers.every((n) => n >= 1 && n <= STREAMS_MAX)) {
    fail(
      `Cannot run: --streams must be numbers of 1 to ${STREAMS_MAX}, as in 10,1000, got "${text}"`,
    );
  }
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function usage() {
  console.log(
    `npm run bench:sched -- [PART ...] [--quick] [--policy NAME] [--streams N,...] [--json FILE]

Measures what a message costs in the scheduler (queueing it, handing it out, counting it as sent,
freeing it), beside a binary heap of the same messages, and what streams and messages weigh.
Prints Markdown tables. It ends with 1 if a policy lost messages that it had the time to send.

  PART             only parts whose name contains the word: ${Object.keys(PARTS).join(", ")}
  --quick          a first look, in some ten seconds
  --policy NAME    only this policy; may be said again. There may be:
                   ${Object.keys(POLICIES).join(", ")}
  --streams N,...  so many streams, in place of ${STREAMS.join(",")}
  --json FILE      writes all turns to FILE too; with "-" to standard output, and no tables
  --help           this text`,
  );
  process.exit(0);
}

function progress(done, total, cell) {
  if (!done) {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    return;
  }
  const { part, policy, streams } = cell;
  const text = `[${done}/${total}] ${part} ${policy}${streams ? ` ${short(streams)}` : ""}`;
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (done % 10 === 1 || done === total) process.stderr.write(`${text}\n`);
}

function say(text) {
  process.stderr.write(`bench:sched: ${text}\n`);
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
