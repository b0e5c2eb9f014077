/**
 * The streams of a device as they send. On a terminal one screen that is drawn again and again; else
 * a table each time. The terminal is given back as it was, however this ends.
 */

import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { type Link, monotonic, qlist } from "../../mod.ts";
import { bitrate, count } from "../terminal.ts";
import { type Seen, streamTable, unseen } from "./show.ts";

const ENTER = "\x1b[?1049h\x1b[?25l"; // another screen, without a cursor
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const REST_OF_LINE = "\x1b[K";
const REST_OF_SCREEN = "\x1b[J";
const CTRL_C = 3;

/** Rates are of the bytes sent between two looks. */
class Looks {
  #sent = new Map<number, number>();
  #bytes = 0;
  #at = -Infinity;

  /** The streams now, the busiest first, and the whole device's rate. */
  look(link: Link): { seen: Seen[]; rate: number } {
    const now = monotonic();
    const seconds = (now - this.#at) / 1000;
    const { sentBytes } = link.info();
    const sent = new Map<number, number>();
    const seen = [...qlist(link)].map((stream): Seen => {
      sent.set(stream.cookie, stream.sentBytes);
      const before = this.#sent.get(stream.cookie) ?? 0; // new ones have sent it all since then
      return { stream, rate: Math.max(0, stream.sentBytes - before) / seconds };
    });
    const rate = Math.max(0, sentBytes - this.#bytes) / seconds;
    this.#sent = sent;
    this.#bytes = sentBytes;
    this.#at = now;
    seen.sort((a, b) => b.rate! - a.rate! || b.stream.sent - a.stream.sent);
    return { seen, rate };
  }
}

/** Shows them until it is stopped; `once`: one time, after one interval (in milliseconds). */
export async function top(
  device: string,
  link: Link,
  { interval, once }: { interval: number; once: boolean },
  stopped: AbortSignal,
): Promise<void> {
  const looks = new Looks();
  const screen = process.stdout.isTTY && !once ? new Screen() : null;
  const ended = screen ? AbortSignal.any([stopped, screen.left]) : stopped;
  looks.look(link);
  try {
    while (await passed(interval, ended)) {
      const { seen, rate } = looks.look(link);
      const { gate, host, streams } = link.info();
      const head = `${device}: ${link.scheduler}, ${bitrate(rate)} of ${bitrate(link.rate)}, ` +
        `${count(streams, "stream")}${gate ? `, ${host} (${gate})` : ""}`;
      const text = [head, unseen(link), ...streamTable(seen).split("\n")];
      if (screen) screen.draw(text);
      else console.log(`${text.join("\n")}\n`);
      if (once) return;
    }
  } finally {
    screen?.leave();
  }
  if (screen) process.exit(); // an unfinished read of the keyboard would keep it alive
}

/** Whether so much time went by before the end. */
async function passed(ms: number, ended: AbortSignal): Promise<boolean> {
  try {
    await pause(ms, undefined, { signal: ended });
  } catch {
    // it was aborted
  }
  return !ended.aborted;
}

/** The whole terminal, with its keys. */
class Screen {
  readonly #end = new AbortController();
  #entered = true;
  #leave = () => this.leave();

  constructor() {
    process.stdout.write(ENTER);
    process.on("exit", this.#leave); // an error, too
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", (keys: Uint8Array) => {
      if (keys.includes(CTRL_C) || new TextDecoder().decode(keys).includes("q")) this.#end.abort();
    });
  }

  /** Aborted once the user wants to leave. */
  get left(): AbortSignal {
    return this.#end.signal;
  }

  /** As many lines, and as much of each, as there is room for. */
  draw(lines: readonly string[]): void {
    const rows = process.stdout.rows || 24; // some terminals have none
    const columns = process.stdout.columns || 80;
    const shown = lines.slice(0, rows - 1).map((line) => line.slice(0, columns) + REST_OF_LINE);
    process.stdout.write(HOME + shown.join("\n") + "\n" + REST_OF_SCREEN);
  }

  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    process.off("exit", this.#leave);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdin.pause();
    process.stdout.write(LEAVE);
  }
}
