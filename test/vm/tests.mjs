// Runs the guest's tests, test/vm/guest/*.test.ts, each file under each runtime in a process of its
// own, and reads the kernel's log after each. Several guests at a time share the work: each takes the
// next file when it has done one. A file of which a line says `// runtime: bun` runs there alone, and
// with `// runtime of bpf: bun` so by that gate alone; one that says `// gate: module, syscall` runs by
// these alone.

import { readdirSync, readFileSync } from "node:fs";
import { outcome, testArguments } from "../outcome.mjs";
import { complaints, isEmulators, startOf } from "./kernellog.mjs";

const FILE_SECONDS_MAX = 240; // a test file that runs longer is ended, and counts as failed
const TEST_MS_MAX = 60_000; // of one test that says nothing of its time
const LOG_SECONDS_MAX = 30;
const LOOK_SECONDS_MAX = 240;
const RESTARTS_MAX = 2; // of a guest that its emulator broke, or that finds fault with its own start
const READ_LOG = "dmesg --read-clear";
const JUNIT = "/run/junit.xml";

/**
 * What a kernel that looks for its own faults is asked after each file. Memory that nothing points to: it tells
 * of none that is younger than 5 s, nor of what has changed since the scan before; what it told of it is then
 * to forget. And whether it still looks at locks, which it does no more after its first complaint about them.
 */
const LOOK = `if cd /sys/kernel/debug && [ -e kmemleak ]; then
  { sleep 6 && echo scan > kmemleak && echo scan > kmemleak && cat kmemleak && echo clear > kmemleak; } ||
    echo 'kmemleak: Cannot look any more'
fi
[ ! -e /proc/lockdep_stats ] || grep -q 'debug_locks: *1$' /proc/lockdep_stats ||
  echo 'INFO: lockdep is turned off'`;

/** The files whose names contain one of the words, or all. */
export function guestTests(words) {
  return readdirSync(new URL("guest", import.meta.url))
    .filter((file) => file.endsWith(".test.ts"))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
}

/** The files that are for a gate, of these. */
export function filesBy(gate, files) {
  return files.filter((file) => told(file, "gate")?.split(/, */).includes(gate) ?? true);
}

/** Each file under each runtime that it is for; one that is for another runs where it can. */
export function plan(files, places, gate) {
  const placesOf = (file) => {
    const only = told(file, `runtime of ${gate}`) ?? told(file, "runtime");
    const place = places.find((place) => only?.startsWith(place));
    return place ? [place] : places;
  };
  return places.flatMap((place) =>
    files.filter((file) => placesOf(file).includes(place)).map((file) => ({ place, file }))
  );
}

/** What a file says itself of where it runs. */
function told(file, what) {
  const text = readFileSync(new URL(`guest/${file}`, import.meta.url), "utf8");
  return text.match(new RegExp(`^// ${what}: (.*)$`, "m"))?.[1];
}

/**
 * Counts of `{ passed, failed, skipped }` of the runs planned; the kernels' logs, over all files, count
 * as one test. `boot` gives a guest; those that run in the end are given back. A file may take `slowness` times
 * the time that it may take otherwise. With `twice` one that fails is run once more, behind all others, and that
 * counts; what the kernel complains of counts as often as it does.
 */
export async function runTests(options) {
  const { boot, guests, runs, seconds, slowness, twice, report, onOutput } = options;
  const end = performance.now() + seconds * 1000;
  const total = { passed: 0, failed: 0, skipped: 0 };
  const told = (place, what, counts, note, output) => {
    for (const key of Object.keys(total)) total[key] += counts[key];
    report(place, what, counts, note, output);
  };
  const waiting = [...runs];
  const failedOnce = ({ place, file }, { counts, note, output }) =>
    report(place, file, counts, `${note}; once more, behind the others`, output);
  const once = twice ? failedOnce : null;
  const work = () => workOff(waiting, { boot, end, seconds, slowness, told, once, onOutput });
  const done = await Promise.all(Array.from({ length: guests }, work));
  const faults = done.reduce((sum, { faults }) => sum + faults, 0);
  const counts = { passed: faults === 0 ? 1 : 0, failed: faults === 0 ? 0 : 1, skipped: 0 };
  told("vm", "the kernel's log", counts, `complaints: ${faults}`, "");
  return { machines: done.map(({ machine }) => machine), total };
}

/** Takes what waits, one after the other, in a guest of its own. */
async function workOff(waiting, { boot, end, seconds, slowness, told, once, onOutput }) {
  let { machine, found } = await bootSoundly(boot), faults = 0, restarts = 0;
  const tell = (when) => {
    faults += found.length;
    for (const { text } of found) console.log(`the kernel, ${when}:\n${text}`);
  };
  tell("at its start");
  for (let run = waiting.shift(); run; run = waiting.shift()) {
    const { place, file } = run;
    const left = Math.floor((end - performance.now()) / 1000);
    if (left < 1 || machine.isGone) {
      const why = machine.isGone ? "the guest is gone" : `no time left of ${seconds} s`;
      told(place, file, { passed: 0, failed: 1, skipped: 0 }, why, "");
      continue;
    }
    const limit = Math.min(left, FILE_SECONDS_MAX * slowness);
    const result = await runFile(machine, run, { seconds: limit, slowness, onOutput });
    if (machine.isGone && isEmulators(machine.console) && restarts++ < RESTARTS_MAX) {
      console.log(`${place.padEnd(5)} ${file}: QEMU broke the guest; once more, in a new one`);
      await machine.stop();
      ({ machine, found } = await bootSoundly(boot));
      tell("at its start");
      waiting.unshift(run);
      continue;
    }
    if (once && result.counts.failed > 0 && !run.isAgain && !machine.isGone) {
      once(run, result);
      waiting.push({ ...run, isAgain: true });
    } else {
      told(place, file, result.counts, result.note, result.output);
    }
    found = await newFaults(machine);
    tell(`in ${file} under ${place}`);
  }
  return { machine, faults };
}

/**
 * A guest, with what its kernel complains of. One that finds fault with its own start no longer looks at
 * everything (lockdep ends then): it is booted anew.
 */
async function bootSoundly(boot) {
  for (let restarts = 0;; restarts++) {
    const machine = await boot(), log = await ask(machine, READ_LOG, LOG_SECONDS_MAX) ?? "";
    const start = startOf(log),
      early = complaints(start),
      later = complaints(log.slice(start.length));
    if (early.length === 0 || later.length > 0 || restarts === RESTARTS_MAX) {
      return { machine, found: [...early, ...later, ...await newFaults(machine)] };
    }
    console.log(`the kernel complains of its own start, and is booted anew: ${early[0].line}`);
    await machine.stop();
  }
}

async function runFile(machine, { place, file }, { seconds, slowness, onOutput }) {
  const words = [
    place,
    ...testArguments(place, `test/vm/guest/${file}`, JUNIT, TEST_MS_MAX * slowness),
  ];
  const result = await machine.run(`exec ${words.map(quoted).join(" ")}`, { seconds, onOutput });
  let { output, status, why } = result;
  if (status === 124 || status === 137) why = `ended after ${seconds} s`;
  if (why) output += `\n${why}\n`;
  const written = place === "deno" && !machine.isGone
    ? (await machine.run(`cat ${JUNIT} && rm ${JUNIT}`, { seconds: LOG_SECONDS_MAX })).output
    : output;
  const counts = outcome(place, status, written);
  const times = `${result.seconds.toFixed(1)} s, ${
    result.processorSeconds.toFixed(1)
  } of processor`;
  const note = times + (status === 0 ? "" : `, ${why ?? `exit ${status}`}`);
  return { counts, output, note };
}

/** What the kernel complains of since the last call; of a dead guest, what its console says. */
async function newFaults(machine) {
  const asked = await ask(machine, LOOK, LOOK_SECONDS_MAX);
  const log = await ask(machine, READ_LOG, LOG_SECONDS_MAX);
  if (log !== null) {
    return complaints(`${log}\n${asked ?? "kmemleak: Cannot look any more"}`);
  }
  const found = complaints(machine.console);
  const gone = { line: "gone", text: `the guest is gone; its console ended with\n${machine.tail}` };
  return found.length > 0 ? found : [gone];
}

/** What a command says that must succeed, or null of a guest that is gone. */
async function ask(machine, command, seconds) {
  if (machine.isGone) return null;
  const { status, output } = await machine.run(command, { seconds });
  return status === 0 ? output : null;
}

function quoted(word) {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
