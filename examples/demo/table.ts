/**
 * The table of both runs side by side, as rows of plain text that the terminal and the page lay
 * out, each in its way.
 */

import { percent } from "./aims.ts";
import { KINDS } from "./log.ts";
import type { RunReport } from "./measure.ts";

const SPARKS = "▁▂▃▄▅▆▇█";
const SPARKS_MAX = 26;
const NAME_COLUMNS = 38;
const RUN_COLUMNS = 29;

/** A row: what it is about, and a cell for each run. A title has no cells. */
export interface Row {
  name: string;
  cells: string[];
}

/** The rows of the table; `fps` is the source's, the height of a full spark. */
export function rowsOf(runs: readonly RunReport[], fps: number): Row[] {
  const row = (name: string, cell: (run: RunReport) => string) => ({ name, cells: runs.map(cell) });
  const rows = [
    row("frames shown per second", (run) => sparkline(run.fps, fps)),
    row("  mean, worst second", ({ fps }) => `${fixed(mean(fps), 1)}, ${Math.min(...fps)}`),
    row("decodable share of the video", (run) => percent(run.decodable)),
  ];
  for (const kind of KINDS) {
    const frames = (run: RunReport) => run.frames[kind];
    if (runs.every((run) => frames(run).offered === 0)) continue;
    rows.push(row(`${kind} frames sent, arrived, dropped`, (run) => {
      const { offered, arrived, dropped } = frames(run);
      return `${offered}, ${arrived}, ${Object.values(dropped).reduce((a, b) => a + b, 0)}`;
    }));
    // One line a reason, so that no cell grows wider than its column.
    const reasons = new Set(runs.flatMap((run) => Object.keys(frames(run).dropped)));
    for (const reason of reasons) {
      rows.push(row(`  dropped: ${WHY[reason] ?? reason}`, (run) => {
        return String((frames(run).dropped as Record<string, number>)[reason] ?? 0);
      }));
    }
  }
  return [
    ...rows,
    row("frames too late", (run) => String(run.lateFrames)),
    row("partial frames on the wire", (run) => String(run.partialFrames)),
    row("jitter p50, p99, max", ({ jitterMs: { p50, p99, max } }) => {
      return `${fixed(p50, 1)}, ${fixed(p99, 1)}, ${fixed(max, 1)} ms`;
    }),
    row("bulk transfer in the bursts", (run) => megabits(run.bulkBytesPerSecond)),
  ];
}

/** The scheduler's reasons in a few more words. */
const WHY: Record<string, string> = {
  expired: "could not arrive in time",
  frame: "the rest of it was lost",
  dependency: "leaned on a lost one",
  window: "given up for others",
  overflow: "the queue was full",
  error: "the network refused it",
  closed: "the socket was closed",
};

/** The table for a terminal, 100 columns at most; `style` colours, or leaves as it is. */
export function textTable(
  runs: readonly RunReport[],
  fps: number,
  style: (how: "bold" | "dim", text: string) => string,
): string {
  const head = "".padEnd(NAME_COLUMNS) + runs.map((run) => right(run.scheduler)).join("");
  const rule = "─".repeat(NAME_COLUMNS + RUN_COLUMNS * runs.length);
  const body = rowsOf(runs, fps).map(({ name, cells }) => {
    const line = name.padEnd(NAME_COLUMNS) + cells.map(right).join("");
    return name.startsWith(" ") ? style("dim", line) : line;
  });
  return [style("bold", head), style("dim", rule), ...body].join("\n");
}

/**
 * A bar of block characters, one for each second, full at `most`; longer runs share a character
 * between seconds, which shows the worst of them.
 */
export function sparkline(values: readonly number[], most: number): string {
  const step = Math.ceil(values.length / SPARKS_MAX);
  let bar = "";
  for (let i = 0; i < values.length; i += step) {
    const worst = Math.min(...values.slice(i, i + step));
    const height = Math.round(worst / most * (SPARKS.length - 1));
    bar += SPARKS[Math.max(0, Math.min(SPARKS.length - 1, height))];
  }
  return bar;
}

/** A rate of bytes per second as networks count it: "8.1 Mbit/s". */
export function megabits(bytesPerSecond: number): string {
  return `${fixed(bytesPerSecond * 8 / 1e6, 2)} Mbit/s`;
}

function right(cell: string): string {
  return cell.padStart(RUN_COLUMNS);
}

function fixed(value: number, digits: number): string {
  return value.toFixed(digits);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
