/** How a device and its streams are shown: as lines, a table, or records for JSON. */

import { readFileSync } from "node:fs";
import process from "node:process";
import { delayPercentile } from "../../mod.ts";
import type { DropCounts, Link, LinkInfo, LinkStream, SocketInfo } from "../../mod.ts";
import { bitrate, type Cell, count, table } from "../terminal.ts";

/** A stream, and bytes per second of it since the last look. */
export interface Seen {
  stream: LinkStream;
  rate?: number;
}

const HEAD = [
  "pid",
  "user",
  "command",
  "rate",
  "sent",
  "late",
  "expired",
  "frame",
  "dep",
  "window",
];
const HEAD_REST = ["over", "other", "queued", "losses left", "delay ms", "max ms"];

/** A table of streams: "expired" to "other" are what was dropped, by reason. */
export function streamTable(seen: readonly Seen[]): string {
  return table([...HEAD, ...HEAD_REST], seen.map(cells));
}

function cells({ stream, rate }: Seen): Cell[] {
  const { pid, uid, command, sent, late, dropped, queued, window, old, delay } = stream;
  const losses = old === 0 ? "-" : `${window.lost} of ${window.left}`;
  return [
    pid,
    userName(uid),
    printable(command),
    rate === undefined ? "-" : bitrate(rate),
    sent,
    late,
    dropped.expired,
    dropped.frame,
    dropped.dependency,
    dropped.window,
    dropped.overflow,
    dropped.error + dropped.closed,
    queued,
    losses,
    rounded(delay.mean),
    rounded(delay.max),
  ];
}

/** Why the streams of other programs are not among those of a link; "" where they are. */
export function unseen(link: Link): string {
  if (link.host !== "below") return "Other programs' streams are known to those programs alone.";
  return process.geteuid?.() === 0 ? "" : "Other programs' streams are shown to root alone.";
}

/** Messages of the whole device, a few lines. */
export function linkLines(info: LinkInfo): string {
  const reasons = dropReasons(info.dropped);
  const priorities = dropPriorities(info);
  return [
    `  sent ${count(info.sent, "message")} in time, ${info.late} late, ${info.sentBytes} bytes`,
    `  dropped ${total(info.dropped)}${reasons === "" ? "" : ` (${reasons})`}`,
    ...(priorities === "" ? [] : [`  of these by drop priority: ${priorities}`]),
    `  queued ${info.queued}, ${info.queuedBytes} bytes; delay ${rounded(info.delay.mean)} ms, ` +
    `99 % within ${rounded(delayPercentile(info, 0.99))} ms, ${rounded(info.delay.max)} ms at most`,
    `  ${count(info.streams, "stream")} open, which ask for ${
      rounded(100 * info.utilisation)
    } % of it`,
  ].join("\n");
}

function dropReasons(dropped: DropCounts): string {
  const counts = Object.entries(dropped).filter(([, number]) => number > 0);
  return counts.map(([reason, number]) => `${number} ${reason}`).join(", ");
}

function dropPriorities({ droppedByPriority }: LinkInfo): string {
  const counts = droppedByPriority.map((number, drop) => ({ number, drop }));
  return counts.filter(({ number }) => number > 0)
    .map(({ number, drop }) => `${drop === 7 ? "never" : drop}: ${number}`).join(", ");
}

function total(dropped: DropCounts): number {
  return Object.values(dropped).reduce((sum, number) => sum + number, 0);
}

/** What JSON says of a device. */
export function linkRecord(device: string, link: Link, info: LinkInfo): Record<string, unknown> {
  const { scheduler, rate, host, hostReason } = link;
  const { gate, streams: open, utilisation } = info;
  return { device, scheduler, rate, host, gate, hostReason, open, utilisation, ...counters(info) };
}

/** What JSON says of a stream. */
export function streamRecord(stream: LinkStream): Record<string, unknown> {
  const { pid, uid, command, cookie, ipg, oln, old, bytes, droppable, window } = stream;
  const asked = { ipg, oln, old, bytes, droppable };
  return { pid, uid, user: userName(uid), command, cookie, ...asked, window, ...counters(stream) };
}

function counters(info: SocketInfo): Record<string, unknown> {
  const { offered, sent, late, dropped, queued, queuedBytes, sentBytes, droppedBytes } = info;
  const { droppedByPriority, violations, delay, delays, frames } = info;
  const messages = { offered, sent, late, dropped, droppedByPriority, queued };
  const bytes = { queuedBytes, sentBytes, droppedBytes };
  return { ...messages, ...bytes, frames, violations, delay, delays };
}

/** To a tenth. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

/** A process names itself as it likes: nothing of that reaches the terminal but its letters. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}

let users: Map<number, string> | undefined;

function userName(uid: number): string {
  users ??= readUsers();
  return users.get(uid) ?? String(uid);
}

function readUsers(): Map<number, string> {
  try {
    const lines = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"));
    return new Map(lines.map(([name, , uid]) => [Number(uid), name]));
  } catch {
    return new Map();
  }
}
