// Runs every test: test/*.test.ts under Bun, then under Deno, then the C tests under the sanitizers.
//
//   npm test                     all of it
//   npm test -- layout frame     only files whose name contains one of the words
//   npm test -- bun layout       only there: bun, deno or c
//   npm test -- --verbose        all that the tests print, not only what failing files print
//
// Each file has a process of its own, so that one that crashes or hangs costs only itself. The last
// line is `N passed, N failed`, over all runtimes, with `, N skipped` if any were.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { root, runtimes } from "../kernel/setup.mjs";
import { outcome, testArguments } from "./outcome.mjs";
import { wordsOf } from "./usage.mjs";

const FILE_MS_MAX = 10 * 60_000; // a test file that runs longer is ended, and counts as failed
const C_MS_MAX = 18 * 60_000; // of all C tests together, compiled twice

const { values: { verbose }, positionals: words } = wordsOf(
  import.meta.url,
  { verbose: { type: "boolean", default: false } },
  { words: true },
);
const places = ["bun", "deno", "c"].filter((place) => words.includes(place));
const names = words.filter((word) => !places.includes(word));
const scratch = mkdtempSync(join(tmpdir(), "qsockets-test-"));
const junit = join(scratch, "deno.xml");
const total = { passed: 0, failed: 0, skipped: 0 };

const files = readdirSync(join(root, "test"))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .sort();

for (const place of places.length ? places : ["bun", "deno", "c"]) {
  if (place === "c") {
    if (names.length === 0) await runC();
  } else if (!runtimes[place]) {
    report(
      place,
      "all files",
      { passed: 0, failed: 0, skipped: 1 },
      "no such runtime for this machine",
    );
  } else {
    for (const file of files) await runFile(place, join("test", file));
  }
}
rmSync(scratch, { recursive: true });
const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

async function runFile(place, file) {
  rmSync(junit, { force: true });
  const { code, output, seconds } = await run(runtimes[place], testArguments(place, file, junit));
  const written = existsSync(junit) ? readFileSync(junit, "utf8") : "";
  const counts = outcome(place, code, place === "bun" ? output : written);
  report(place, file, counts, `${seconds} s${code === 0 ? "" : `, exit ${code}`}`, output);
}

/** The C tests say `N passed, N failed` each, or count as one by their exit code. */
async function runC() {
  const compiler = ["cc", "gcc", "clang"].find(sanitizes);
  if (!compiler) {
    const why = "no C compiler here has the sanitizers";
    return report("c", "kernel, sanitize", { passed: 0, failed: 0, skipped: 1 }, why);
  }
  const args = ["-C", "kernel", "--no-print-directory", "-s", `CC=${compiler}`, "sanitize"];
  const { code, output, seconds } = await run("make", args, C_MS_MAX);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const match of output.matchAll(/(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm)) {
    add(counts, { passed: +match[1], failed: +match[2], skipped: +(match[3] ?? 0) });
  }
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed + counts.failed === 0) counts.passed = 1;
  report("c", "kernel, sanitize", counts, `${seconds} s`, output);
}

function sanitizes(compiler) {
  const probe = ["-fsanitize=address,undefined", "-x", "c", "-", "-o", "/dev/null"];
  return spawnSync(compiler, probe, { input: "int main(void) { return 0; }" }).status === 0;
}

/** Runs a command in the checkout; its output comes back, and is shown at once if asked for. */
function run(command, args, msMax = FILE_MS_MAX) {
  const started = performance.now();
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // its own process group, so that what it started ends with it
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text) => {
      output += text;
      if (verbose) process.stdout.write(text);
    });
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      output += `\nended after ${msMax / 60_000} minutes\n`;
      process.kill(-child.pid, "SIGKILL");
    }, msMax);
    const finish = (code) => {
      clearTimeout(timer);
      resolve({ code, output, seconds: ((performance.now() - started) / 1000).toFixed(1) });
    };
    child.on("error", (error) => {
      output += error.message;
      finish(127);
    });
    child.on("close", (code, signal) => finish(code ?? signal));
  });
}

function report(place, what, counts, note, output = "") {
  add(total, counts);
  const parts = [`${counts.passed} passed`];
  if (counts.failed) parts.push(`${counts.failed} FAILED`);
  if (counts.skipped) parts.push(`${counts.skipped} skipped`);
  if (counts.failed && !verbose) console.log(output.trimEnd());
  console.log(`${place.padEnd(5)} ${what.padEnd(32)} ${parts.join(", ")} (${note})`);
}

function add(sum, counts) {
  for (const key of Object.keys(sum)) sum[key] += counts[key];
}
