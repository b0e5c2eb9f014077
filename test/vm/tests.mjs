// Runs the guest's tests, test/vm/guest/*.test.ts, each file under each runtime in a process of its
// own, and reads the kernel's log after each. Several guests at a time share the work: each takes the
// next file when it has done one. A file of which a line says `// runtime: bun` runs there alone, and
// with `// runtime of bpf: bun` so by that gate alone; one that says `// gate: module, syscall` runs by
// these alone.

import { readdirSync, readFileSync } from "node:fs";
import { outcome, testArguments } from "../outcome.mjs";
import { complaints, isEmulators } from "./kernellog.mjs";

const FILE_SECONDS_MAX = 240; // a test file that runs longer is ended, and counts as failed
const LOG_SECONDS_MAX = 30;
const SCAN_SECONDS_MAX = 240;
const RESTARTS_MAX = 2; // of a guest that its emulator broke
const JUNIT = "/run/junit.xml";

/**
 * What a kernel that looks for its own faults is asked in the end: memory that nothing points to, twice,
 * as what a processor just has in a register is none the second time; and whether it still looks at locks,
 * which it does no more after its first complaint about them.
 */
const LAST_LOOK = `cd /sys/kernel/debug && [ -e kmemleak ] &&
  echo scan > kmemleak && sleep 6 && echo scan > kmemleak && cat kmemleak
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
 * the time that it may take otherwise.
 */
export async function runTests({ boot, guests, runs, seconds, slowness, report, onOutput }) {
  const end = performance.now() + seconds * 1000;
  const total = { passed: 0, failed: 0, skipped: 0 };
  const told = (place, what, counts, note, output) => {
    for (const key of Object.keys(total)) total[key] += counts[key];
    report(place, what, counts, note, output);
  };
  const waiting = [...runs];
  const work = () => workOff(waiting, { boot, end, seconds, slowness, told, onOutput });
  const done = await Promise.all(Array.from({ length: guests }, work));
  const faults = done.reduce((sum, { faults }) => sum + faults, 0);
  const counts = { passed: faults === 0 ? 1 : 0, failed: faults === 0 ? 0 : 1, skipped: 0 };
  told("vm", "the kernel's log", counts, `complaints: ${faults}`, "");
  return { machines: done.map(({ machine }) => machine), total };
}

/** Takes what waits, one after the other, in a guest of its own. */
async function workOff(waiting, { boot, end, seconds, slowness, told, onOutput }) {
  let machine = await boot(), faults = 0, restarts = 0;
  const tell = (found, when) => {
    faults += found.length;
    for (const { text } of found) console.log(`the kernel, ${when}:\n${text}`);
  };
  const readLog = async (when) => {
    tell(await newFaults(machine), when);
  };
  await readLog("at its start");
  for (let run = waiting.shift(); run; run = waiting.shift()) {
    const { place, file } = run;
    const left = Math.floor((end - performance.now()) / 1000);
    if (left < 1 || machine.isGone) {
      const why = machine.isGone ? "the guest is gone" : `no time left of ${seconds} s`;
      told(place, file, { passed: 0, failed: 1, skipped: 0 }, why, "");
      continue;
    }
    const limit = Math.min(left, FILE_SECONDS_MAX * slowness);
    const result = await runFile(machine, place, file, limit, onOutput);
    if (machine.isGone && isEmulators(machine.console) && restarts++ < RESTARTS_MAX) {
      console.log(`${place.padEnd(5)} ${file}: QEMU broke the guest; once more, in a new one`);
      await machine.stop();
      machine = await boot();
      waiting.unshift(run);
      continue;
    }
    told(place, file, result.counts, result.note, result.output);
    await readLog(`in ${file} under ${place}`);
  }
  if (!machine.isGone) {
    const { output } = await machine.run(LAST_LOOK, { seconds: SCAN_SECONDS_MAX });
    tell(complaints(output), "asked in the end");
    await readLog("at its end");
  }
  return { machine, faults };
}

async function runFile(machine, place, file, seconds, onOutput) {
  const words = [place, ...testArguments(place, `test/vm/guest/${file}`, JUNIT)];
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

/** What the kernel complained of since the last call; of a dead guest, what its console says. */
async function newFaults(machine) {
  if (!machine.isGone) {
    const { status, output } = await machine.run("dmesg --read-clear", {
      seconds: LOG_SECONDS_MAX,
    });
    if (status === 0) return complaints(output);
  }
  const found = complaints(machine.console);
  const gone = { line: "gone", text: `the guest is gone; its console ended with\n${machine.tail}` };
  return found.length > 0 ? found : [gone];
}

function quoted(word) {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
