// What the model keeps, and the sums it makes from it.
//
// The model is the scheduler a second time, written from the specification with nothing but
// arrays: each question is answered by looking at everything again. No heap, no list that must
// be kept in order, nothing carried from one decision to the next that could be computed.
// Times are whole nanoseconds in a number (exact up to 104 days), Infinity where there is none.

import { join, type Share, type Sharing } from "./share.ts";

export type Scheduler =
  | "dwcs"
  | "dwcs99"
  | "vds"
  | "edf"
  | "edf-lossless"
  | "sfq"
  | "cbq"
  | "fifo";
export type Reason =
  | "expired"
  | "frame"
  | "dependency"
  | "window"
  | "overflow"
  | "error"
  | "closed";
export type Mark = "whole" | "start" | "middle" | "end";
export type Drop = "never" | 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** The limits of qsocket.h that the scheduler's rules speak of. */
export const LIMITS = {
  begunUnits: 16,
  lookaheadUnits: 128,
  frameMessages: 1024,
  windowLength: 65535,
  bestEffortShare: 16,
  creditBytes: 65507 + 72 * 64,
  linkMessages: 8192,
  streamMessages: 2048,
  streamBytes: 4 << 20,
};

/** Where the buckets end that delays are counted in, all but the last. */
export const DELAY_ENDS_NS = Array.from({ length: 15 }, (_, bucket) => 64_000 * 2 ** bucket);

export const NEVER = 7;
export const LEVEL_NONE = 3;

/** What a policy does beside its order; the loss of messages is its and the stream's choice. */
export interface Policy {
  frames: boolean; // what is scheduled and lost is a frame; else a message
  lossy: boolean; // drops what cannot arrive in time
  slide: boolean; // a rank that has passed is a miss, and moves on by the period
  byDeadline: boolean; // a deadline is enough to be scheduled by it; else it takes a period
  all?: boolean; // nobody is best effort
}

const windowed: Policy = { frames: true, lossy: true, slide: true, byDeadline: false };
const deadlined: Policy = { frames: true, lossy: true, slide: false, byDeadline: true };

export const POLICIES: Record<Scheduler, Policy> = {
  "dwcs": windowed,
  "dwcs99": windowed,
  "vds": windowed,
  "edf": deadlined,
  "edf-lossless": { ...deadlined, lossy: false },
  "sfq": { ...deadlined, all: true },
  "cbq": { ...deadlined, all: true },
  "fifo": { frames: false, lossy: false, slide: false, byDeadline: false },
};

/** What a stream asks for; `ipg` in milliseconds, zero or absent for best effort. */
export interface Attributes {
  ipg?: number;
  oln?: number;
  old?: number;
  droppable?: boolean;
  queueMessages?: number;
  queueBytes?: number;
  weight?: number;
  class?: string;
}

/** What a message carries; `deadline` in milliseconds from its arrival. */
export interface Options {
  deadline?: number;
  drop?: Drop;
  frame?: Mark;
  level?: number;
  leading?: boolean;
}

/** One message's fate; `at` in milliseconds. */
export interface Event {
  at: number;
  stream: number;
  message: number;
  bytes: number;
  outcome: "sent" | "late" | "dropped";
  reason?: Reason;
}

export interface Message {
  number: number;
  bytes: number;
  arrivalNs: number;
  deadlineNs: number;
  drop: number;
  bestEffort?: boolean; // as it was when it was queued
}

/** A marked frame as the counters see it: one unit, or under fifo as many as it has messages. */
export interface Frame {
  level: number;
  ended: boolean;
  queued: number;
  sent: number;
  refused: Reason | null; // why something of it was, last
  late: boolean;
}

export interface Unit {
  stream: Stream;
  seq: number;
  arrivalNs: number;
  wholeNs: number; // when its last message came
  drop: number;
  level: number;
  leading: boolean;
  dueNs: number;
  messages: Message[]; // the unsent ones
  ended: boolean;
  begun: boolean;
  frame: Frame | null;
  ready: boolean; // head of its stream and ended: from here on the three below count
  releaseNs: number;
  rankNs: number;
  tag: number;
}

export interface Stream {
  id: number;
  periodNs: number;
  x: number;
  y: number;
  droppable: boolean;
  messagesMax: number;
  bytesMax: number;
  window: { lost: number; left: number; tagged: boolean }; // x', y'
  units: Unit[];
  releaseNs: number | null; // of the last ready head that left
  finish: number;
  className: string | undefined;
  share: Share; // under sfq and cbq
  tail: "sound" | "broken" | "recovering";
  discarding: "frame" | "dependency" | null;
  frame: Frame | null; // the one that is open under fifo
  counters: Counters;
}

export interface Counters {
  offered: number;
  sent: number;
  late: number;
  dropped: Record<Reason, number>;
  droppedByPriority: number[];
  offeredBytes: number;
  sentBytes: number;
  droppedBytes: number;
  violations: number;
  delays: number[];
  frames: {
    offered: number[];
    sent: number[];
    late: number[];
    dropped: Record<Reason, number[]>;
    partial: number;
  };
}

export interface State {
  scheduler: Scheduler;
  policy: Policy;
  rate: number;
  guardNs: number; // what a decision may be late, asked of a frame before it begins
  lagNs: number; // what the last decision was late: its host makes that good
  messagesMax: number;
  bestEffortMax: number; // of those messages
  streams: Stream[];
  seq: number;
  vtime: number;
  credit: number;
  sharing: Sharing | undefined; // under sfq and cbq
  events: Event[];
}

export function noCounters(): Counters {
  const reasons = <T>(zero: () => T): Record<Reason, T> => ({
    expired: zero(),
    frame: zero(),
    dependency: zero(),
    window: zero(),
    overflow: zero(),
    error: zero(),
    closed: zero(),
  });
  const levels = () => [0, 0, 0, 0];
  return {
    offered: 0,
    sent: 0,
    late: 0,
    dropped: reasons(() => 0),
    droppedByPriority: [0, 0, 0, 0, 0, 0, 0, 0],
    offeredBytes: 0,
    sentBytes: 0,
    droppedBytes: 0,
    violations: 0,
    delays: [...DELAY_ENDS_NS, Infinity].map(() => 0),
    frames: {
      offered: levels(),
      sent: levels(),
      late: levels(),
      dropped: reasons(levels),
      partial: 0,
    },
  };
}

/** The time on the wire: the bytes are summed first and rounded down once. */
export function durationNs(state: State, bytes: number): number {
  return Number(BigInt(bytes) * 1_000_000_000n / BigInt(state.rate));
}

/** When so many bytes, sent from `nowNs` on, have left. */
export function doneNs(state: State, nowNs: number, bytes: number): number {
  return nowNs + Math.max(0, durationNs(state, bytes) - state.lagNs);
}

/** What is asked of a unit beyond its time on the wire: not more than an eighth of its lifetime. */
export function guardNs(state: State, unit: Unit): number {
  return Math.min(state.guardNs, Math.floor((unit.dueNs - unit.arrivalNs) / 8));
}

export function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

export function unsentBytes(unit: Unit): number {
  return sum(unit.messages.map((message) => message.bytes));
}

export function isLossy(state: State, stream: Stream): boolean {
  return state.policy.lossy && stream.droppable;
}

export function expiryNs(state: State, unit: Unit): number {
  return isLossy(state, unit.stream) ? unit.dueNs : Infinity;
}

export function isManaged(state: State, unit: Unit): boolean {
  if (state.scheduler === "fifo" || state.policy.all || unit.stream.periodNs > 0) return true;
  return state.policy.byDeadline && unit.dueNs < Infinity;
}

/** By expiry, and by age where that is equal: of the expiry set and of the promised set. */
export function inExpiryOrder(state: State, units: Unit[]): Unit[] {
  return units
    .filter((unit) => expiryNs(state, unit) < Infinity)
    .sort((a, b) => expiryNs(state, a) - expiryNs(state, b) || a.seq - b.seq);
}

function allUnits(state: State): Unit[] {
  return state.streams.flatMap((stream) => stream.units);
}

/** All units that have not begun and can expire, whether ended or not, first to expire first. */
export function expirySet(state: State): Unit[] {
  return inExpiryOrder(state, allUnits(state).filter((unit) => !unit.begun));
}

/** The units begun that must still arrive whole in time, first to expire first. */
export function promisedSet(state: State): Unit[] {
  return inExpiryOrder(state, allUnits(state).filter((unit) => unit.begun));
}

/** Makes the head of a stream ready, if it is whole and is not ready yet. */
export function makeHeadReady(state: State, stream: Stream): void {
  const unit = stream.units[0];
  if (unit === undefined || !unit.ended || unit.ready) return;
  const period = stream.periodNs;
  unit.ready = true;
  unit.releaseNs = stream.releaseNs === null
    ? unit.arrivalNs
    : Math.max(unit.arrivalNs, stream.releaseNs + period);
  if (unit.dueNs < Infinity) unit.rankNs = Math.max(unit.dueNs, unit.releaseNs);
  else unit.rankNs = period > 0 ? unit.releaseNs + period : Infinity;
  if (!isManaged(state, unit)) {
    unit.tag = Math.max(state.vtime, stream.finish);
    stream.finish = unit.tag + unsentBytes(unit);
  }
  if (state.sharing) join(state, state.sharing, unit);
}

/** Takes a unit out of its stream's queue. */
export function remove(unit: Unit): void {
  const units = unit.stream.units;
  units.splice(units.indexOf(unit), 1);
  if (unit.ready) unit.stream.releaseNs = unit.releaseNs;
}
