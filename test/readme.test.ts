// What README.md tells a reader to type: its TypeScript runs, its commands exist.

import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runtimes } from "../kernel/setup.mjs";
import {
  checkTypeScript,
  EXAMPLE_MS_MAX,
  fences,
  root,
  run,
  runtime,
  runTypeScript,
} from "./example.ts";

const DEMO_SECONDS = 4;
const DEMO_MS_MAX = 60_000;

/** Commands that a reader may be told to type and that no test does: they install, show or watch. */
const NOT_RUN = [
  /^(git clone|cd|npm (install|ci)|bun install|deno install)\b/,
  /^(sudo )?(apt|apt-get|dnf|apk) (install|add)\b/,
  /^(sudo )?(ffplay|ffmpeg|vlc|mpv|gst-launch-1\.0|tc|ip|tcpdump) /,
];

const path = join(root, "README.md");
const text = existsSync(path) ? readFileSync(path, "utf8") : "";
const readme = fences(text);
const typescript = readme.filter((fence) => fence.language === "ts");
const shell = readme.filter((fence) => /^(sh|bash|console)$/.test(fence.language));
const scripts = Object.keys(JSON.parse(readText("package.json")).scripts);
const tasks = Object.keys(JSON.parse(readText("deno.json")).tasks);

test("README.md has TypeScript and commands", () => {
  assert.ok(typescript.length > 0, "no block of ts");
  assert.ok(shell.length > 0, "no block of sh");
});

const checked = { skip: runtimes.deno ? false : "no Deno", timeout: EXAMPLE_MS_MAX };

test("the types of README.md's TypeScript are right", checked, () => {
  const codes = typescript.map(({ line, code }) => [`README_${line}`, code]);
  checkTypeScript(Object.fromEntries(codes), runtimes.deno!);
});

for (const { code, line } of typescript) {
  test(
    `README.md:${line} runs`,
    { timeout: EXAMPLE_MS_MAX },
    () => runTypeScript(`README_${line}`, code),
  );
}

for (const { code, line } of shell) {
  for (const command of commands(code)) {
    test(
      `README.md:${line} \`${command}\` works`,
      { timeout: DEMO_MS_MAX },
      () => tryCommand(command),
    );
  }
}

test("scripts and tasks that README.md's prose names exist", () => {
  const named = [...text.matchAll(/`(npm|bun|deno) (?:run|task) ([a-z][\w:-]*)[^`]*`/g)];
  const missing = named.filter(([, runner, name]) => !known(runner).includes(name));
  assert.deepEqual(missing.map(([command]) => command), []);
});

/** One string a command: no prompt, no comment, no output; continued lines joined. */
function commands(code: string): string[] {
  const lines = code.replace(/\\\n\s*/g, "").split("\n").map((line) => line.trimEnd());
  const prompted = lines.filter((line) => line.startsWith("$ "));
  return (prompted.length > 0 ? prompted.map((line) => line.slice(2)) : lines)
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .flatMap((line) => line.split(/\s*&&\s*/))
    .filter((line) => line !== "");
}

function tryCommand(command: string): void {
  if (NOT_RUN.some((pattern) => pattern.test(command))) return;
  const [, runner, name] = command.match(/^(npm|bun) run ([\w:-]+)/) ??
    command.match(/^(npm|bun) (test|start)\b/) ?? command.match(/^(deno) task ([\w:-]+)/) ?? [];
  if (runner) {
    assert.ok(known(runner).includes(name), `no such script or task: ${name}`);
    if (name === "demo") demo(runner);
    return;
  }
  const program = command.match(/^(?:bun|bun run|deno run -A) (examples\/[\w./-]+\.ts)\b/)?.[1];
  assert.ok(program, "not a command that this test knows: teach it how to try it");
  assert.ok(existsSync(join(root, program)), `no such file: ${program}`);
}

/** What `npm run`, `bun run` or `deno task` can be given. */
function known(runner: string): string[] {
  return runner === "deno" ? tasks : scripts;
}

/** Runs the demo, shortened, when it is this runtime's: one run each is enough. */
function demo(runner: string): void {
  const seconds = ["--seconds", String(DEMO_SECONDS)];
  if ((runner === "deno") !== (runtime === "deno")) return;
  const output = runner === "deno"
    ? run(runtimes.deno!, ["run", "-A", "--no-check", "examples/demo.ts", ...seconds], DEMO_MS_MAX)
    : run(runtimes.bun!, ["examples/demo.ts", ...seconds], DEMO_MS_MAX);
  assert.notEqual(output.trim(), "", "the demo prints nothing");
}

function readText(file: string): string {
  return readFileSync(join(root, file), "utf8");
}
