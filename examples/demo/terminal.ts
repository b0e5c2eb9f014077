/**
 * What the demo says while it runs: on a terminal one line that is written over, else a line every
 * few seconds and at the end of each run. Colours only on a terminal, and not when NO_COLOR is set (no-color.org).
 */

import process from "node:process";
import type { RunProgress } from "./run.ts";

const PLAIN_EVERY_S = 5;
const BAR_COLUMNS = 24;
const CODES = { bold: 1, dim: 2, red: 31, green: 32 } as const;

/** A stream to write to, such as `process.stdout`. */
export interface Output {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** The progress of the runs, and colours, for one output. */
export class Terminal {
  readonly #output: Output;
  readonly #colour: boolean;
  #told = ""; // scheduler and stretch of time of the last plain line
  #live = false; // the cursor stands in a progress line

  constructor(output: Output, environment: Record<string, string | undefined> = process.env) {
    this.#output = output;
    this.#colour = output.isTTY === true && !environment.NO_COLOR && environment.TERM !== "dumb";
  }

  /** Writes whole lines. */
  print(text: string): void {
    this.#output.write(`${this.#live ? "\r\x1b[K" : ""}${text}\n`);
    this.#live = false;
  }

  /** The text in a colour or weight, where there are such. */
  style(how: keyof typeof CODES, text: string): string {
    return this.#colour ? `\x1b[${CODES[how]}m${text}\x1b[0m` : text;
  }

  /** Shows how far a run has come. */
  progress(state: RunProgress): void {
    if (this.#output.isTTY) {
      this.#output.write(`\r\x1b[K${progressLine(state)}`);
      this.#live = true;
      return;
    }
    const stretch = Math.floor(state.seconds / PLAIN_EVERY_S);
    const told = `${state.scheduler} ${state.done ? "done" : stretch}`;
    const early = stretch === 0 || state.seconds === state.secondsMax; // its end is told
    if (told === this.#told || early && !state.done) return;
    this.#told = told;
    this.print(progressLine(state));
  }
}

/** One line about a run: 100 columns at most. */
export function progressLine(state: RunProgress): string {
  const { scheduler, seconds, secondsMax, burst, queued, dropped } = state;
  const full = Math.round(seconds / secondsMax * BAR_COLUMNS);
  const bar = "█".repeat(full) + "░".repeat(BAR_COLUMNS - full);
  return [
    `  ${scheduler.padEnd(4)} ${bar}`,
    `${seconds.toFixed(1).padStart(5)} of ${secondsMax} s`,
    `queue ${String(queued).padStart(3)}`,
    `dropped ${String(dropped).padStart(3)} frames`,
    burst ? "bulk" : "",
  ].join("  ").trimEnd();
}
