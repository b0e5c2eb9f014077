/**
 * From the logs of a run to its report. The receiver judges: what the sender thinks it sent counts
 * for nothing here, except for the reasons of what it dropped, which only the scheduler knows.
 *
 * - A frame has *arrived* when all its packets came and, put together again, they are the very
 *   bytes that were sent. It is *partial* when some packets came and others did not.
 * - It is *late* when its last packet came after its deadline and `SLACK_MS`, which allows for the
 *   way through the loopback device and for the receiver's process to be woken.
 * - It can be *decoded* when it and all frames that it leans on arrived in time (decodable.ts).
 * - Frames per second are decodable ones, counted in the second of the video that they belong to.
 * - Jitter is D of RFC 3550, 6.4.1, for each two arrived frames that follow each other: by how
 *   much the spacing of their arrivals differs from the spacing at which they were due to leave.
 *   Arrived is enough, in time or not.
 * - Bulk throughput is what arrived while a burst was on, by the length of the bursts.
 */

import type { DropReason, Scheduler } from "../../mod.ts";
import { decodable } from "./decodable.ts";
import { type Kind, KINDS, type RunLog, type SentFrame } from "./log.ts";

/** What a frame may be late by and still count as in time, for the way to the receiver's clock. */
export const SLACK_MS = 2;

/** What became of the frames of one kind. */
export interface KindReport {
  offered: number;
  /** Whole at the receiver, late ones included. */
  arrived: number;
  late: number;
  /** By the scheduler's own count. */
  dropped: Partial<Record<DropReason, number>>;
}

/** A run as the table and `--json` show it. */
export interface RunReport {
  scheduler: Scheduler;
  /** Decodable frames in each second of the video. */
  fps: number[];
  frames: Record<Kind, KindReport>;
  /** The share of the source's frames that could be decoded, 0 to 1. */
  decodable: number;
  partialFrames: number;
  lateFrames: number;
  jitterMs: { p50: number; p99: number; max: number };
  bulkBytesPerSecond: number;
}

/** What became of one frame. */
export interface Fate {
  kind: Kind;
  /** When it was due to leave, ms. */
  dts: number;
  fate: "in time" | "late" | "partial" | "lost";
  /** From when it was due to leave to the arrival of its last packet, ms; null if not whole. */
  delay: number | null;
  decodable: boolean;
}

/** The fate of every frame, in decode order. */
export function judge({ sent, received }: Pick<RunLog, "sent" | "received">): Fate[] {
  const arrivals = new Map(received.packets);
  const digests = new Map(received.frames);
  const fates = sent.map((frame) => {
    const times: number[] = [];
    for (let i = 0; i < frame.packets; i++) {
      const at = arrivals.get(frame.sequence + i);
      if (at !== undefined) times.push(at);
    }
    const same = digests.get(frame.sequence) === frame.digest;
    return { kind: frame.kind, dts: frame.dts, ...judgeOne(frame, times, same) };
  });
  const shown = decodable(sent, fates.map(({ fate }) => fate === "in time"));
  return fates.map((fate, i) => ({ ...fate, decodable: shown[i] }));
}

function judgeOne(
  frame: SentFrame,
  times: readonly number[],
  same: boolean,
): Pick<Fate, "fate" | "delay"> {
  if (times.length === 0) return { fate: "lost", delay: null };
  if (times.length < frame.packets || !same) return { fate: "partial", delay: null };
  const last = Math.max(...times);
  const late = last > frame.deadline + SLACK_MS;
  return { fate: late ? "late" : "in time", delay: last - frame.dts };
}

/** The report of a run; `fates` are what `judge` says of it. */
export function measure(log: RunLog, fates: readonly Fate[] = judge(log)): RunReport {
  const kinds = KINDS.map((kind, level) => {
    const those = fates.filter((fate) => fate.kind === kind);
    const late = those.filter(({ fate }) => fate === "late").length;
    const inTime = those.filter(({ fate }) => fate === "in time").length;
    const dropped = Object.entries(log.drops)
      .map(([reason, byLevel]) => [reason, byLevel[level] ?? 0] as const)
      .filter(([, count]) => count > 0);
    return [kind, {
      offered: those.length,
      arrived: inTime + late,
      late,
      dropped: Object.fromEntries(dropped),
    }] as const;
  });
  return {
    scheduler: log.scheduler,
    fps: perSecond(fates, log.seconds * 1000),
    frames: Object.fromEntries(kinds) as Record<Kind, KindReport>,
    decodable: share(fates.filter((fate) => fate.decodable).length, fates.length),
    partialFrames: fates.filter(({ fate }) => fate === "partial").length,
    lateFrames: fates.filter(({ fate }) => fate === "late").length,
    jitterMs: jitter(fates),
    bulkBytesPerSecond: bulkRate(log),
  };
}

/** Decodable frames by second; a last second that was cut short counts by its length. */
function perSecond(fates: readonly Fate[], durationMs: number): number[] {
  const counts = new Array<number>(Math.ceil(durationMs / 1000)).fill(0);
  for (const { dts, decodable } of fates) {
    if (decodable) counts[Math.min(counts.length - 1, Math.floor(dts / 1000))]++;
  }
  const rest = durationMs % 1000;
  if (rest > 0 && counts.length > 0) {
    counts[counts.length - 1] = rounded(counts[counts.length - 1] / (rest / 1000), 1);
  }
  return counts;
}

function jitter(fates: readonly Fate[]): RunReport["jitterMs"] {
  const differences: number[] = [];
  for (let i = 1; i < fates.length; i++) {
    const [before, now] = [fates[i - 1].delay, fates[i].delay];
    if (before !== null && now !== null) differences.push(Math.abs(now - before));
  }
  differences.sort((a, b) => a - b);
  return {
    p50: rounded(quantile(differences, 0.5), 2),
    p99: rounded(quantile(differences, 0.99), 2),
    max: rounded(quantile(differences, 1), 2),
  };
}

/** The smallest value that at least the share `q` of the sorted values does not exceed. */
function quantile(sorted: readonly number[], q: number): number {
  return sorted.length === 0 ? 0 : sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
}

function bulkRate({ bursts, received, seconds }: RunLog): number {
  let ms = 0;
  let bytes = 0;
  for (const [from, end] of bursts) {
    const to = Math.min(end, seconds * 1000); // less if the run was interrupted
    ms += Math.max(0, to - from);
    for (const [at, count] of received.bulk) if (at >= from && at < to) bytes += count;
  }
  return ms === 0 ? 0 : Math.round(bytes / (ms / 1000));
}

/** Bulk transfer that arrived, bytes per second, in each second of the run. */
export function bulkPerSecond(
  { received, seconds }: Pick<RunLog, "received" | "seconds">,
): number[] {
  const counts = new Array<number>(Math.ceil(seconds)).fill(0);
  for (const [at, bytes] of received.bulk) {
    const second = Math.floor(at / 1000);
    if (second >= 0 && second < counts.length) counts[second] += bytes;
  }
  return counts;
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : rounded(part / whole, 4);
}

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
