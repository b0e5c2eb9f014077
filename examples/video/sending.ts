/**
 * What a video server has done, in words: how many frames of each kind were sent, and which were
 * dropped for what reason.
 *
 * The scheduler counts frames by their level in the group: 0 starts it, 1 is leaned on by others,
 * 2 is a leaf. Which types of picture these are is known here, where they went by: in MPEG-2 they
 * are I, P and B, in H.264 a B picture is of level 1 or 2.
 */

import type { DropReason, Frame, MediaReport, SocketInfo } from "../../mod.ts";
import { frameLevel } from "../../mod.ts";
import { bitrate, type Cell, count, percent, table } from "../terminal.ts";
import type { ReceiverView } from "./reports.ts";

const LEVELS = ["starts a group", "leaned on", "leaf"] as const;

/** The frames of one level. */
export interface LevelCounts {
  level: (typeof LEVELS)[number];
  /** The types of picture at this level: "I", "P/B". */
  types: string;
  offered: number;
  sent: number;
  late: number;
  /** By reason; only reasons that occurred. */
  dropped: Partial<Record<DropReason, number>>;
}

/** Knows which types of picture are at which level. */
export class Levels {
  readonly #types = [new Set<string>(), new Set<string>(), new Set<string>()];

  /** Takes note of a frame. */
  add(frame: Frame): void {
    this.#types[frameLevel(frame)].add(frame.type);
  }

  /** The frames of each level that has any, from the socket's counters. */
  counts({ frames }: SocketInfo): LevelCounts[] {
    return this.#types.flatMap((types, level) => {
      if (frames.offered[level] === 0) return [];
      const dropped: LevelCounts["dropped"] = {};
      for (const [reason, counts] of Object.entries(frames.dropped)) {
        if (counts[level] > 0) dropped[reason as DropReason] = counts[level];
      }
      return [{
        level: LEVELS[level],
        types: [...types].sort().reverse().join("/"),
        offered: frames.offered[level],
        sent: frames.sent[level],
        late: frames.late[level],
        dropped,
      }];
    });
  }
}

/** What the summary is made of. */
export interface Sending {
  levels: readonly LevelCounts[];
  info: SocketInfo;
  /** Seconds from the first frame to the last packet. */
  seconds: number;
  receivers: readonly ReceiverView[];
  report: MediaReport;
}

/** One line: what has been done so far. */
export function progressLine(seconds: number, levels: readonly LevelCounts[], info: SocketInfo) {
  const sent = levels.reduce((sum, level) => sum + level.sent, 0);
  const dropped = levels.flatMap(({ types, dropped }) =>
    Object.entries(dropped).map(([reason, number]) => `${number} ${types} ${reason}`)
  );
  return [
    `${seconds.toFixed(0)} s: ${count(sent, "frame")} sent`,
    bitrate(info.sentBytes / Math.max(seconds, 0.001)),
    dropped.length > 0 ? `dropped ${dropped.join(", ")}` : "none dropped",
    ...(info.queuedBytes > 0 ? [`${Math.ceil(info.queuedBytes / 1000)} kB queued`] : []),
  ].join(", ");
}

/** The summary at the end. */
export function summaryText({ levels, info, seconds, receivers, report }: Sending): string {
  const reasons = [...new Set(levels.flatMap(({ dropped }) => Object.keys(dropped)))];
  const row = (name: string, of: readonly LevelCounts[]): Cell[] => [
    name,
    sum(of, ({ offered }) => offered),
    sum(of, ({ sent }) => sent),
    sum(of, ({ late }) => late),
    ...reasons.map((reason) => sum(of, ({ dropped }) => dropped[reason as DropReason] ?? 0)),
  ];
  const head = [
    "frames",
    "read",
    "sent",
    "of these late",
    ...reasons.map((name) => `dropped: ${name}`),
  ];
  const packets = info.sent + info.late;
  const lines = [
    table(head, [
      ...levels.map((counts) =>
        row(`${counts.level} (${counts.types.replaceAll("/", ", ")})`, [counts])
      ),
      row("all", levels),
    ]),
    "",
    `${count(packets, "packet")}, ${info.sentBytes} bytes with headers in ${
      seconds.toFixed(1)
    } s ` +
    `(${bitrate(info.sentBytes / Math.max(seconds, 0.001))}); in the queue ` +
    `${info.delay.mean.toFixed(1)} ms on average, ${info.delay.max.toFixed(1)} ms at most`,
  ];
  if (info.old > 0) {
    lines.push(
      `loss window ${info.oln} of ${info.old}: ${
        count(info.violations, "loss", "losses")
      } beyond it`,
    );
  }
  if (info.frames.partial > 0) lines.push(`${count(info.frames.partial, "frame")} sent in part`);
  if (info.socketErrors > 0) {
    lines.push(`${count(info.socketErrors, "failed send")}, the last with ${info.lastError}`);
  }
  for (const { fractionLost, lost, jitter, roundTrip } of receivers) {
    lines.push(
      `a receiver lost ${count(lost, "packet")} (${percent(fractionLost)} at last), jitter ` +
        `${jitter.toFixed(1)} ms` +
        (roundTrip === null ? "" : `, round trip ${roundTrip.toFixed(1)} ms`),
    );
  }
  for (const [kind, { count: times, bytes }] of Object.entries(report.damage)) {
    lines.push(`the file is damaged: ${kind}, ${count(times, "time")}, ${bytes} bytes lost`);
  }
  return lines.join("\n");
}

function sum(levels: readonly LevelCounts[], of: (level: LevelCounts) => number): number {
  return levels.reduce((total, level) => total + of(level), 0);
}
