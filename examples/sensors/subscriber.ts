/**
 * Receives the samples of one publisher after the other: a run lasts from its first sample to the
 * end of its last sensor.
 */

import type { Socket } from "node:dgram";
import { monotonic } from "../../mod.ts";
import { readSample } from "./sample.ts";
import { type Counts, Tally } from "./tally.ts";

/** The counts of an interval; its bounds in seconds since the first sample. */
export interface Row extends Counts {
  from: number;
  to: number;
}

/** How to receive. */
export interface SubscriberOptions {
  /** 0: no intervals. */
  intervalMs: number;
  /** A run ends when nothing came for so long. */
  idleMs: number;
  /** Told about each interval as it ends. */
  onRow: (row: Row) => void;
  stopped: AbortSignal;
}

/** Receives one run after the other. */
export class Subscriber {
  readonly #socket: Socket;
  readonly #options: SubscriberOptions;
  /** The run that was received last: its end is sent three times. */
  #run: number | null = null;

  constructor(socket: Socket, options: SubscriberOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Receives from the first sample to the last sensor's end; null when stopped before. */
  async receive(): Promise<{ tally: Tally; rows: Row[] } | null> {
    const { intervalMs, idleMs, onRow, stopped } = this.#options;
    const before = this.#run;
    const rows: Row[] = [];
    const tally = new Tally();
    let start: number | null = null;
    let last = monotonic(); // here first: were there no library, a callback could not say so
    let cutAt = 0;
    const cut = (now: number) => {
      rows.push({ from: (cutAt - start!) / 1000, to: (now - start!) / 1000, ...tally.since() });
      cutAt = now;
      onRow(rows.at(-1)!);
    };
    await new Promise<void>((resolve) => {
      const finish = () => {
        this.#socket.off("message", take);
        stopped.removeEventListener("abort", finish);
        clearInterval(timer);
        resolve();
      };
      const timer = setInterval(() => {
        const now = monotonic();
        if (start === null) return;
        if (now - last >= idleMs) finish();
        else if (intervalMs > 0 && now - cutAt >= intervalMs) cut(now);
      }, 50);
      const take = (data: Uint8Array) => {
        const now = monotonic();
        const sample = readSample(data);
        if (!sample || sample.run === before) return;
        if (start === null) {
          start = cutAt = now;
          this.#run = sample.run;
        }
        if (sample.run !== this.#run) return; // another publisher at the same time
        last = now;
        if (sample.kind === "sample") tally.add(sample, now);
        else if (tally.end(sample)) finish();
      };
      this.#socket.on("message", take);
      stopped.addEventListener("abort", finish);
      if (stopped.aborted) finish();
    });
    if (start === null) return null;
    if (intervalMs > 0) cut(monotonic());
    return { tally, rows };
  }
}
