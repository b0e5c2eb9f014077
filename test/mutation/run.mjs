// Breaks the scheduler on purpose, one rule at a time, and asks whether a test notices.
//
//   npm run mutate                       every mutation of the tables beside this file
//   npm run mutate -- --only precedence  those whose group, rule or file has this word in it
//   npm run mutate -- --list             names them, after looking whether each still applies
//   npm run mutate -- --jobs 1           how many at a time (as many as processors, at most 2)
//   npm run mutate -- --verbose          what the test said that noticed
//
// A mutation is a rule in words and one replacement in kernel/sched that breaks it. Each is built in
// a copy of the tree outside the checkout, where only the changed file is compiled again, and the
// tests of the scheduler run on it, quickest first, until one fails, crashes or hangs: it is caught.
// First all of them run on the copy as it is, and must pass. Seeds are fixed: a run can be repeated.
//
// A mutation that no test notices survives, and is a failure; so is one whose original text is not
// found exactly once, or that does not compile. What is called equivalent, with a reason, must
// survive. The last line is `N passed, N failed`.

import { availableParallelism } from "node:os";
import process from "node:process";
import { usageError, wordsOf } from "../usage.mjs";
import { admission } from "./admission.mjs";
import { counters } from "./counters.mjs";
import { frames } from "./frames.mjs";
import { order } from "./order.mjs";
import { sharing } from "./sharing.mjs";
import { structure } from "./structure.mjs";
import { endAll, original, Workshop } from "./workshop.mjs";

const JOBS_MAX = 2;
const SAID_LINES_MAX = 40;

const all = [...order, ...admission, ...frames, ...sharing, ...counters, ...structure];
const options = parse();
const word = options.only.toLowerCase();
const chosen = all.filter(({ group, rule, file }) =>
  `${group}: ${rule} ${file}`.toLowerCase().includes(word)
);
if (chosen.length === 0) {
  usageError(`Cannot mutate: no group, rule or file has "${options.only}" in it`);
}
const stale = chosen.map((it) => ({ ...it, why: whyStale(it) })).filter(({ why }) => why);
if (options.list) list();

const results = [];
const started = performance.now();
const workshop = new Workshop();
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    interrupted = true;
    endAll();
  });
}
try {
  await work();
} finally {
  workshop.remove();
}
process.exit(verdict());

async function work() {
  const refused = await workshop.open(
    Math.min(options.jobs, chosen.length),
    chosen.map(({ group }) => group),
  );
  if (interrupted) return;
  if (refused) {
    workshop.remove();
    fail(`Cannot mutate, as the tests fail without a mutation:\n${refused}`);
  }
  console.log(`${chosen.length} mutations, ${workshop.benches.length} at a time; nothing broken:`);
  console.log(`  every test passes (${seconds(started)} s)`);
  const waiting = chosen.filter((it) => !stale.some(({ rule }) => rule === it.rule));
  await Promise.all(workshop.benches.map(async (bench) => {
    for (let next = waiting.shift(); next && !interrupted; next = waiting.shift()) {
      const from = performance.now();
      const found = await bench.judge(next);
      if (!interrupted) tell({ ...next, ...found, seconds: seconds(from) });
    }
  }));
}

function tell(result) {
  results.push(result);
  const { group, rule, by, said, equivalent } = result;
  const outcome = result.broken
    ? "DOES NOT COMPILE"
    : by
    ? `${equivalent ? "CAUGHT, though called equivalent, " : ""}by ${by}`
    : equivalent
    ? "equivalent, as it should be"
    : "SURVIVES";
  const count = `${results.length}/${chosen.length - stale.length}`;
  console.log(`${count} ${group}: ${rule}: ${outcome} (${result.seconds} s)`);
  if (options.verbose || result.broken) {
    console.log(said.trim().split("\n").slice(-SAID_LINES_MAX).join("\n"));
  }
}

/** Names what went wrong, then the counts; the exit code. */
function verdict() {
  const wrong = results.filter((it) => it.broken || Boolean(it.by) === Boolean(it.equivalent));
  const equivalent = results.filter((it) => it.equivalent && !wrong.includes(it));
  if (equivalent.length > 0) console.log(`\n${equivalent.length} equivalent, that survive:`);
  for (const { group, rule, equivalent: reason } of equivalent) {
    console.log(`  ${group}: ${rule}\n    ${reason}`);
  }
  const survivors = wrong.filter((it) => !it.broken && !it.equivalent);
  if (survivors.length > 0) console.log(`\n${survivors.length} survivors:`);
  for (const { group, rule, file, from, to } of survivors) {
    console.log(`  ${group}: ${rule}\n    ${file}: ${oneLine(from)}  ->  ${oneLine(to)}`);
  }
  for (const { rule, why } of stale) console.log(`\nCannot apply "${rule}": ${why}`);
  if (interrupted) console.log("interrupted");
  const failed = wrong.length + stale.length;
  console.log(`\n${seconds(started)} s`);
  console.log(`${results.length - wrong.length} passed, ${failed} failed`);
  return interrupted ? 130 : failed > 0 ? 1 : 0;
}

/** Why a mutation cannot be applied to the file as it is now, or undefined. */
function whyStale({ file, from, to, rule }) {
  if (all.filter((other) => other.rule === rule).length > 1) return "two rules have this name";
  if (from === to) return "it replaces a text by itself";
  const count = original(file).split(from).length - 1;
  if (count !== 1) return `${file} has ${count} times, instead of once: ${oneLine(from)}`;
}

function list() {
  for (const { group, rule, file, from, to, equivalent } of chosen) {
    console.log(`${group}: ${rule}${equivalent ? " (equivalent)" : ""}`);
    console.log(`    ${file}: ${oneLine(from)}  ->  ${oneLine(to)}`);
  }
  for (const { rule, why } of stale) console.log(`Cannot apply "${rule}": ${why}`);
  console.log(`${chosen.length - stale.length} mutations apply, ${stale.length} do not`);
  process.exit(stale.length > 0 ? 1 : 0);
}

function oneLine(text) {
  return text.trim().replace(/\s+/g, " ") || "(nothing)";
}

function seconds(from) {
  return ((performance.now() - from) / 1000).toFixed(1);
}

function parse() {
  const { values } = wordsOf(import.meta.url, {
    only: { type: "string", default: "" },
    jobs: { type: "string", default: `${Math.min(JOBS_MAX, availableParallelism())}` },
    list: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > JOBS_MAX) {
    usageError(`Cannot mutate: --jobs must be from 1 to ${JOBS_MAX}, got ${values.jobs}`);
  }
  return { ...values, jobs };
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
