// Runs every test/bench/*.bench.ts under Bun and under Deno.
//
//   npm run bench                     prints what the benchmarks print
//   npm run bench -- layout           only files whose name contains one of the words
//   npm run bench -- --json FILE      writes the results of all to FILE too
//   npm run bench -- --help           says so, and names the benchmarks
//
// Each file is run as `RUNTIME FILE [--json PATH]`, and writes its results as JSON to PATH when
// asked to. FILE then holds { "bun": { "layout": results, ... }, "deno": { ... } }.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { root, runtimes } from "../../kernel/setup.mjs";

const folder = join("test", "bench");
const all = readdirSync(join(root, folder))
  .filter((file) => file.endsWith(".bench.ts"))
  .map((file) => file.slice(0, -".bench.ts".length))
  .sort();
const { words, json } = parse(process.argv.slice(2));
const names = all
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)));
if (names.length === 0) fail(`No benchmark has such a name; there are: ${all.join(", ")}.`);

const results = {};
let failed = 0;
const scratch = mkdtempSync(join(tmpdir(), "qsockets-bench-"));
try {
  for (const [runtime, path] of Object.entries(runtimes)) {
    if (!path) {
      console.log(`# ${runtime}: no such runtime for this machine`);
      continue;
    }
    results[runtime] = {};
    for (const name of names) bench(runtime, path, name);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
if (json) writeFileSync(json, `${JSON.stringify(results, null, 2)}\n`);
process.exit(failed > 0 ? 1 : 0);

function bench(runtime, path, name) {
  const output = join(scratch, `${runtime}-${name}.json`);
  const args = runtime === "deno" ? ["run", "-A"] : ["run"];
  args.push(join(folder, `${name}.bench.ts`));
  if (json) args.push("--json", output);
  console.log(`# ${runtime} ${name}`);
  const done = spawnSync(path, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  try {
    if (done.status !== 0) throw new Error(`exit ${done.status ?? done.signal}`);
    if (json) results[runtime][name] = JSON.parse(readFileSync(output, "utf8"));
  } catch (error) {
    failed++;
    console.log(`# ${runtime} ${name} FAILED: ${error.message}`);
  }
}

function parse(args) {
  if (args.includes("--help") || args.includes("-h")) {
    console.log(`npm run bench -- [WORD ...] [--json FILE]

Runs the benchmarks under Bun and under Deno: ${all.join(", ")}.

  WORD         only those whose name contains one of the words
  --json FILE  write the results of all to FILE too
  --help       this text`);
    process.exit(0);
  }
  const at = args.indexOf("--json");
  if (at < 0) return { words: plain(args), json: null };
  const file = args[at + 1];
  if (!file) fail("Cannot write the results: --json needs the name of a file.");
  return { words: plain(args.toSpliced(at, 2)), json: resolve(process.env.INIT_CWD ?? ".", file) };
}

function plain(words) {
  const option = words.find((word) => word.startsWith("-"));
  if (option) fail(`There is no option "${option}". Try --help.`);
  return words;
}

function fail(text) {
  console.error(text);
  process.exit(1);
}
