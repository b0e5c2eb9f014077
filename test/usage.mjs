// The command lines of the programs that test: one way to read them, and to tell of them. Each program's
// help is the text at its head.

import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const EXIT_USAGE = 2;

/**
 * What parseArgs of node:util makes of this process's words, by `options` and --help, which the text
 * at the head of `program` (a file's URL) answers. Ends the process for that, and for what is not there.
 */
export function wordsOf(program, options, { words = false } = {}) {
  let parsed;
  try {
    parsed = parseArgs({
      options: { ...options, help: { type: "boolean", short: "h", default: false } },
      allowPositionals: words,
    });
  } catch (error) {
    usageError(`${error.message.split("\n")[0]} (--help names the options)`);
  }
  if (parsed.values.help) {
    const text = readFileSync(fileURLToPath(program), "utf8");
    console.log(text.slice(0, text.indexOf("\n\n")).replace(/^\/\/ ?/gm, ""));
    process.exit(0);
  }
  return parsed;
}

/** Says what is wrong with the command line, and ends the process. */
export function usageError(text) {
  process.stderr.write(`${text}\n`);
  process.exit(EXIT_USAGE);
}
