// The examples in README.md and in the docstrings: found, and run as a reader would run them.

import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The checkout's folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** How long an example may run, in milliseconds; Bun's own limit for a test is 5 s. */
export const EXAMPLE_MS_MAX = 30_000;

/** The runtime that runs this test. */
export const runtime: "bun" | "deno" = "bun" in process.versions ? "bun" : "deno";

/** A fenced block of code in Markdown. */
export interface Fence {
  /** What stands after the opening fence: `ts`, `sh`, … */
  language: string;
  code: string;
  /** Line of the opening fence, from 1. */
  line: number;
}

/** The fenced blocks of a Markdown text, in order; those inside lists are outdented. */
export function fences(markdown: string): Fence[] {
  const found: Fence[] = [];
  const block = /^([ \t]*)(`{3,})([^\n`]*)\n([\s\S]*?)^[ \t]*\2[ \t]*$/gm;
  for (const match of markdown.matchAll(block)) {
    const [, indent, , language, code] = match;
    found.push({
      language: language.trim(),
      code: code.replace(new RegExp(`^${indent}`, "gm"), ""),
      line: markdown.slice(0, match.index).split("\n").length,
    });
  }
  return found;
}

/**
 * Runs TypeScript from a file at the checkout's root, where `"qsockets"` and `"./mod.ts"` both
 * resolve, under the runtime that runs this test; as a test, if it is one. Throws an error with what
 * it printed if it fails.
 */
export function runTypeScript(name: string, code: string): void {
  inFiles({ [name]: code }, ([file]) => {
    const mode = /^import .* from "node:test";$/m.test(code) ? "test" : "run";
    run(
      process.execPath,
      runtime === "bun" ? [mode, `./${file}`] : [mode, "-A", "--no-check", file],
    );
  });
}

/** Checks the types of TypeScript, by name, as {@linkcode runTypeScript} would run it, with Deno. */
export function checkTypeScript(codes: Record<string, string>, deno: string): void {
  inFiles(codes, (files) => run(deno, ["check", "--quiet", ...files]));
}

/** Runs a command at the checkout's root. Throws an error with what it printed if it fails. */
export function run(command: string, args: string[], msMax = EXAMPLE_MS_MAX): string {
  const done = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: msMax,
    maxBuffer: 1 << 26,
  });
  if (done.status === 0) return done.stdout;
  const why = done.error ? done.error.message : `exit ${done.status ?? done.signal}`;
  throw new Error(
    `${[command, ...args].join(" ").slice(0, 200)}: ${why}\n${done.stdout}${done.stderr}`,
  );
}

function inFiles(codes: Record<string, string>, use: (files: string[]) => void): void {
  const files = Object.keys(codes).map((name, index) =>
    `.example-${process.pid}-${index}-${name.replace(/\W/g, "_")}.ts`
  );
  try {
    Object.values(codes).forEach((code, index) => {
      writeFileSync(join(root, files[index]), `${code}\nexport {};\n`);
    });
    use(files);
  } finally {
    for (const file of files) rmSync(join(root, file), { force: true });
  }
}
