// The precedence of each policy among the heads that are ready: the first of them is judged next.
//
// Written as the papers state it, rule after rule; fractions are compared by cross-multiplying, in
// whole numbers of any size.

import type { Scheduler, Stream, Unit } from "./state.ts";

/** Negative where the stream of `a` goes before the stream of `b`. */
type Precedence = (a: Unit, b: Unit) => number;

/** The precedence of each policy; first come goes first where it says nothing. */
const PRECEDENCE: Partial<Record<Scheduler, Precedence>> = {
  "dwcs": (a, b) => byRank(a, b) || byWindow(a.stream, b.stream),
  "dwcs99": byWindowThenRank,
  "vds": byVirtualDeadline,
  "edf": byRank,
  "edf-lossless": byRank,
};

/** Negative where `a` is served before `b`. */
export function order(scheduler: Scheduler, a: Unit, b: Unit): number {
  return PRECEDENCE[scheduler]?.(a, b) || a.seq - b.seq;
}

/** The earliest deadline. */
function byRank(a: Unit, b: Unit): number {
  return a.rankNs === b.rankNs ? 0 : a.rankNs < b.rankNs ? -1 : 1;
}

/** x' and y' of a stream; one without a window may lose everything. */
function windowOf(stream: Stream): { x: bigint; y: bigint } {
  if (stream.y === 0) return { x: 1n, y: 1n };
  return { x: BigInt(stream.window.lost), y: BigInt(stream.window.left) };
}

/** The lower of x'/y'. */
function byTolerance(a: Stream, b: Stream): number {
  const [one, other] = [windowOf(a), windowOf(b)];
  return sign(one.x * other.y - other.x * one.y);
}

/** The rules of 2004 among equal deadlines: x'/y', then y' where it is 0, else x'. */
function byWindow(a: Stream, b: Stream): number {
  const [one, other] = [windowOf(a), windowOf(b)];
  return byTolerance(a, b) || sign(one.x === 0n ? other.y - one.y : one.x - other.x);
}

/** The rules of 1999: x'/y', and y' where it is 0, then the deadline, then x'. */
function byWindowThenRank(a: Unit, b: Unit): number {
  const [one, other] = [windowOf(a.stream), windowOf(b.stream)];
  const starved = one.x === 0n && other.x === 0n ? sign(other.y - one.y) : 0;
  return byTolerance(a.stream, b.stream) || starved || byRank(a, b) || sign(one.x - other.x);
}

/** What a stream still owes of its window, m' = y' - x'. */
function owed(stream: Stream): bigint {
  return BigInt(stream.window.left - stream.window.lost);
}

/** The earliest start + k'T/m', then the lowest x'/y'; behind them what owes nothing, by rank. */
function byVirtualDeadline(a: Unit, b: Unit): number {
  const [m, n] = [owed(a.stream), owed(b.stream)];
  if (m === 0n || n === 0n) return m === n ? byRank(a, b) : m === 0n ? 1 : -1;
  const product = (unit: Unit, own: bigint, other: bigint) =>
    other * (BigInt(unit.releaseNs) * own +
      BigInt(unit.stream.window.left) * BigInt(unit.stream.periodNs));
  return sign(product(a, m, n) - product(b, n, m)) || byTolerance(a.stream, b.stream);
}

function sign(value: bigint): number {
  return value < 0n ? -1 : value > 0n ? 1 : 0;
}
