/**
 * A program's command line: its options with their help, what is wrong with them, and how it ends.
 *
 * It ends with 0 when it did what it was told (also when Ctrl-C told it to stop), with 1 when
 * something failed, and with 2 when it was called wrongly. What a program finds out goes to standard
 * output; what it says meanwhile goes to standard error.
 */

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Address } from "../mod.ts";

/** One option: what it takes ("HOST:PORT"; nothing for a switch) and what it does. */
export interface Option {
  takes?: string;
  help: string;
  default?: string;
}

/** A program. */
export interface Command {
  /** The file under examples/. */
  file: string;
  /** What it takes besides options: "FILE". */
  operands: string;
  summary: string;
  options: Record<string, Option>;
  /** Further lines of the help. */
  notes?: string;
}

/** The options as they were given: text, or true for a switch. */
export class Arguments {
  readonly operands: readonly string[];
  readonly #values: Record<string, string | boolean | undefined>;

  constructor(values: Record<string, string | boolean | undefined>, operands: readonly string[]) {
    this.#values = values;
    this.operands = operands;
  }

  /** Whether a switch, or any option, was given. */
  has(name: string): boolean {
    return this.#values[name] !== undefined && this.#values[name] !== false;
  }

  /** The text of an option; undefined when it was not given and has no default. */
  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  /** One of several words. */
  choice<const Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.text(name);
    if (value === undefined || words.includes(value as Word)) return value as Word | undefined;
    throw new UsageError(`--${name} must be ${orList(words)}, got "${value}"`);
  }

  /** A number from `least` to `most`. */
  number(name: string, limits: { least: number; most: number; unit?: string }): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const number = value.trim() === "" ? NaN : Number(value);
    const { least, most, unit = "" } = limits;
    if (number >= least && number <= most) return number;
    const range = most === Infinity ? `at least ${least}` : `${least} to ${most}`;
    throw new UsageError(`--${name} must be a number, ${range}${unit}, got "${value}"`);
  }

  /** A whole number from `least` to `most`. */
  whole(name: string, limits: { least: number; most: number; unit?: string }): number | undefined {
    const number = this.number(name, limits);
    if (number === undefined || Number.isInteger(number)) return number;
    throw new UsageError(`--${name} must be a whole number, got "${this.text(name)}"`);
  }

  /** Two numbers, "20-200". */
  range(name: string, limits: { least: number; most: number; unit?: string }): [number, number] {
    const value = this.text(name) ?? "";
    const match = /^(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?$/.exec(value);
    const low = Number(match?.[1]);
    const high = Number(match?.[2] ?? low);
    const { least, most, unit = "" } = limits;
    if (low >= least && high <= most && low <= high) return [low, high];
    throw new UsageError(
      `--${name} must be a range such as "20-200", within ${least} to ${most}${unit}, got "${value}"`,
    );
  }
}

/** The caller's mistake: ends the program with 2 and a hint. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * Runs a program: reads its command line, calls `main`, and sets the exit code. `stopped` is
 * aborted by the first Ctrl-C (or SIGTERM), upon which `main` should come to its end; the second
 * one ends the program at once.
 */
export async function run(
  command: Command,
  main: (args: Arguments, stopped: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const interrupt = () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  process.stdout.on("error", () => process.exit(1)); // whoever read it is gone
  try {
    const args = readArguments(command, process.argv.slice(2));
    if (args.has("help")) console.log(helpText(command));
    else await main(args, stop.signal);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`${command.file}: ${message}`);
    if (error instanceof UsageError) console.error(`Try "${launcher()}${named(command)} --help".`);
    else if (process.env.DEBUG && error instanceof Error) console.error(error.stack);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** The file, and which of its commands where it has several. */
function named({ file, operands }: Command): string {
  const [name] = operands.split(" ");
  return /^[a-z]+$/.test(name) ? `${file} ${name}` : file;
}

/** Reads a command line; throws UsageError. */
export function readArguments(command: Command, argv: readonly string[]): Arguments {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, help: HELP }).map(([name, option]) => [name, {
      type: option.takes === undefined ? "boolean" as const : "string" as const,
      ...(option.default !== undefined && { default: option.default }),
      ...(name === "help" && { short: "h" }),
    }]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
    });
    return new Arguments(values as Record<string, string | boolean>, positionals);
  } catch (error) {
    throw new UsageError(faultOf(error));
  }
}

/** What `parseArgs()` found wrong, in a line; it says much more. */
export function faultOf(error: unknown): string {
  const { message } = error as Error;
  const dash = /^Option '(?:-\w, )?(--\w+).*' argument is ambiguous/.exec(message);
  if (dash) return `${dash[1]} needs a value; one that begins with a dash is written ${dash[1]}=-1`;
  return message.split(/\. To specify|\n/)[0];
}

const HELP: Option = { help: "Show this text." };

function helpText(command: Command): string {
  const entries = Object.entries({ ...command.options, help: HELP });
  const names = entries.map(([name, { takes }]) => `--${name}${takes ? ` ${takes}` : ""}`);
  const width = Math.max(...names.map((name) => name.length)) + 2;
  const lines = entries.map(([, option], i) => {
    const fallback = option.default === undefined ? "" : ` Default: ${option.default}.`;
    const text = (option.help + fallback).replaceAll("\n", "\n" + " ".repeat(width + 2));
    return `  ${names[i].padEnd(width)}${text}`;
  });
  return [
    `${launcher()}${command.file} ${command.operands} [options]`.replace("  ", " "),
    "",
    command.summary,
    "",
    ...lines,
    ...(command.notes === undefined ? [] : ["", command.notes]),
  ].join("\n");
}

function launcher(): string {
  return process.versions.bun ? "bun examples/" : "deno run -A examples/";
}

/**
 * The address of "127.0.0.1:5004", "[::1]:5004" or "name:5004". Names are looked up. Throws
 * UsageError, naming the option.
 */
export async function readAddress(
  text: string | undefined,
  name: string,
  portMin: 0 | 1 = 1,
): Promise<Address> {
  if (text === undefined) throw new UsageError(`${name} HOST:PORT is missing`);
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < portMin || port > 65535) {
    throw new UsageError(
      `${name} must be HOST:PORT, such as 127.0.0.1:5004 or [::1]:5004, got "${text}"`,
    );
  }
  if (isIP(host.split("%")[0]) !== 0) return { hostname: host, port };
  try {
    return { hostname: (await lookup(host)).address, port };
  } catch {
    throw new UsageError(`${name}: there is no host "${host}"`);
  }
}

/** Runs what reads the caller's options; a RangeError or TypeError in it is the caller's mistake. */
export function asUsage<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

function orList(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
