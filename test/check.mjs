// Checks what can be checked without running the project: types, format, lint, warnings, rules.
//
//   npm run check            all of it; a tool that this machine lacks is skipped, and said so
//   npm run check -- types   only the checks whose name contains one of the words
//
// The last line is `N passed, N failed`, with `, N skipped` if any were.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { root, runtimes } from "../kernel/setup.mjs";

const LINES_MAX = 400; // of a source file; more is a warning, as a longer one can be right
const LINES_SHOWN = 100; // of what a check that fails says
const SKIPPED_FOLDERS = new Set(["node_modules", "build", "report"]);

const words = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };
const sources = filesBelow("").sort();
const typescript = sources.filter((file) => file.endsWith(".ts"));
const c = sources.filter((file) => /^(kernel|test)\/.*\.[ch]$/.test(file));

check("format of TypeScript (deno fmt)", runtimes.deno, ["fmt", "--check"]);
check("lint (deno lint)", runtimes.deno, ["lint", "--quiet"]);
check("types under Deno (deno check)", runtimes.deno, ["check", "--quiet", ...typescript]);
check("types under Bun (tsc)", runtimes.bun, ["node_modules/typescript/bin/tsc", "-p", "."]);
check("rules of style (test/style.test.ts)", runtimes.bun, ["test", "./test/style.test.ts"]);
check("format of C (clang-format)", "clang-format", ["--dry-run", "-Werror", ...c]);
for (const compiler of ["gcc", "clang"]) {
  const build = ["-s", "-C", "kernel", `BUILD=build/${compiler}`, `CC=${compiler}`, "WERROR=1"];
  const missing = runs(compiler) ? null : compiler;
  check(`C without warnings (${compiler})`, "make", [...build, "all"], missing);
  check(`policy as a kernel module (${compiler})`, "make", [...build, "freestanding"], missing);
}
const bpf = ["-s", "-C", "kernel", "WERROR=1", "bpf"];
check("the scheduler as a qdisc in BPF", "make", bpf, runs("clang-19") ? null : "clang-19");
for (const file of words.length ? [] : sources.filter((it) => /\.(ts|mjs|c|h)$/.test(it))) {
  const lines = readFileSync(join(root, file), "utf8").split("\n").length - 1;
  if (lines > LINES_MAX) console.log(`warning: ${file} has ${lines} lines, more than ${LINES_MAX}`);
}

const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

function check(name, command, args, missing = null) {
  if (words.length > 0 && !words.some((word) => name.includes(word))) return;
  if (missing || !command || !runs(command)) {
    total.skipped++;
    console.log(`skipped  ${name}: no ${missing ?? command ?? "such runtime"} here`);
    return;
  }
  const started = performance.now();
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined };
  const done = spawnSync(command, args, { cwd: root, env, encoding: "utf8", maxBuffer: 1 << 26 });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const passes = done.status === 0;
  total[passes ? "passed" : "failed"]++;
  if (!passes) complain(`${done.stdout ?? ""}${done.stderr ?? ""}`.trimEnd().split("\n"));
  console.log(`${passes ? "ok      " : "FAILED  "} ${name} (${seconds} s)`);
}

function complain(lines) {
  console.log(lines.slice(0, LINES_SHOWN).join("\n"));
  if (lines.length > LINES_SHOWN) console.log(`... and ${lines.length - LINES_SHOWN} lines more`);
}

function runs(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Every file of the project below a folder, as a path from the checkout's root. */
function filesBelow(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (entry.name.startsWith(".") || SKIPPED_FOLDERS.has(entry.name)) return [];
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}
