/** What programs show: tables, and a line that is written over while work goes on. */

import process from "node:process";

/** A cell: text stands left, numbers right. */
export type Cell = string | number;

/**
 * The lines of a table with its head, in columns. Numbers are shown as they are, so round them
 * first.
 */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const right = head.map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const width = head.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => String(row[i] ?? "").length))
  );
  const line = (cells: readonly Cell[]) =>
    head.map((_, i) => {
      const cell = String(cells[i] ?? "");
      return right[i] ? cell.padStart(width[i]) : cell.padEnd(width[i]);
    }).join("  ").trimEnd();
  return [line(head), line(width.map((columns) => "-".repeat(columns))), ...rows.map(line)]
    .join("\n");
}

/** "12.3 %" of a share, 0 to 1. */
export function percent(share: number): string {
  return `${(100 * (Number.isFinite(share) ? share : 0)).toFixed(1)} %`;
}

/** "1.43 Mbit/s" of bytes per second. */
export function bitrate(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  for (const [unit, size] of [["Gbit/s", 1e9], ["Mbit/s", 1e6], ["kbit/s", 1e3]] as const) {
    if (bits >= size) return `${Number((bits / size).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(bits)} bit/s`;
}

/** A count with its noun: "1 frame", "2 frames". */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

/**
 * The state of a program on standard error: one line, written over on a terminal, and a line each
 * time where standard error is a file or a pipe.
 */
export class StatusLine {
  #shown = 0;

  /** Shows a new state. */
  show(text: string): void {
    if (!process.stderr.isTTY) {
      console.error(text);
      return;
    }
    const line = text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1));
    process.stderr.write(`\r${line.padEnd(this.#shown)}`);
    this.#shown = line.length;
  }

  /** A line that stays, above the state. */
  say(text: string): void {
    this.clear();
    console.error(text);
  }

  /** Takes the state off the terminal. */
  clear(): void {
    if (this.#shown > 0) process.stderr.write(`\r${" ".repeat(this.#shown)}\r`);
    this.#shown = 0;
  }
}
