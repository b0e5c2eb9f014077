/**
 * What a run leaves behind: the sender's list of the frames it handed over, the receiver's list of
 * what came, and the scheduler's own counters. Everything in the report is computed from these
 * (measure.ts), so a report can be tested with logs written by hand.
 *
 * Times are milliseconds from the moment the first frame was due to leave.
 */

import { createHash } from "node:crypto";
import type { DropReason, FrameFacts, Scheduler } from "../../mod.ts";

/** The place of a frame: it starts a group, is leaned on by others, or is a leaf. */
export type Kind = "I" | "P" | "B";

/** The kinds in the order of the scheduler's levels 0, 1 and 2. */
export const KINDS: readonly Kind[] = ["I", "P", "B"];

/** A frame as the sender handed it over. */
export interface SentFrame
  extends Pick<FrameFacts, "groupStart" | "keyframe" | "reference" | "leading"> {
  kind: Kind;
  /** The number of its first packet; the run's first packet is 0. */
  sequence: number;
  packets: number;
  /** When it was due to leave. */
  dts: number;
  /** When it must have arrived. */
  deadline: number;
  /** Checksum of the access unit. */
  digest: string;
}

/** The receiver's log. */
export interface ReceiverLog {
  /** Video packets in the order of their arrival: number, and when. */
  packets: [sequence: number, at: number][];
  /** Frames that were put together whole: number of the first packet, and checksum. */
  frames: [sequence: number, digest: string][];
  /** Bytes of bulk transfer by tenth of a second: the tenth's beginning, and the bytes. */
  bulk: [at: number, bytes: number][];
  /** The longest that the receiver was kept waiting, ms. */
  stall: number;
}

/** The frames that the scheduler dropped, by reason, then by level 0, 1, 2. */
export type DropsByLevel = Partial<Record<DropReason, readonly number[]>>;

const START_CODE = Uint8Array.of(0, 0, 1);

/** A stretch of time, from and to. */
export type Burst = readonly [from: number, to: number];

/** One run, complete or interrupted. */
export interface RunLog {
  scheduler: Scheduler;
  /** How much of the video was sent. */
  seconds: number;
  /** When bulk transfer overloaded the link. */
  bursts: readonly Burst[];
  sent: SentFrame[];
  received: ReceiverLog;
  drops: DropsByLevel;
  /** The longest that the sender was kept waiting, ms. */
  stall: number;
}

/**
 * The checksum by which sender and receiver compare an access unit. Zeros in front of a start code
 * do not count: they belong to no NAL unit, so RTP does not carry them for H.264 (RFC 6184, 1.3).
 */
export function digestOf(accessUnit: Uint8Array): string {
  const hash = createHash("sha1");
  let start = 0;
  for (let one = accessUnit.indexOf(1, 2); one >= 0; one = accessUnit.indexOf(1, one + 1)) {
    if (accessUnit[one - 1] !== 0 || accessUnit[one - 2] !== 0) continue;
    let end = one - 2;
    while (end > start && accessUnit[end - 1] === 0) end--;
    hash.update(accessUnit.subarray(start, end)).update(START_CODE);
    start = one + 1;
  }
  return hash.update(accessUnit.subarray(start)).digest("hex");
}
