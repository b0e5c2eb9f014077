// From what arrived to the numbers of the figures. Pure: no clock, no files.
//
// Inter-frame jitter is D of RFC 3550, 6.4.1, for whole frames instead of packets: of two frames
// that arrived one after the other, by how much the spacing of their arrivals differs from the
// spacing at which they were due. A frame arrives with its last byte, and frames differ in size, so
// on any link a large one arrives later after its due time than a small one. That part no sender
// can change; `beyondLink` takes it out: it leaves the delay beyond what the same frames would have on
// the same link if they were alone there, each sent when it is due and the link has sent those before.

import type { Fate } from "../../examples/demo/measure.ts";

/** The least value that at least the share `q` of the values does not exceed; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return NaN;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/**
 * Each frame's delay (ms, null: it did not arrive whole) beyond that on a link of its own, of
 * `bytesPerSecond`. Less than 0 where frames before it were not sent.
 */
export function beyondLink(
  frames: readonly { dts: number; bytes: number }[],
  delays: readonly (number | null)[],
  bytesPerSecond: number,
): (number | null)[] {
  let free = -Infinity;
  return frames.map(({ dts, bytes }, i) => {
    free = Math.max(dts, free) + bytes / bytesPerSecond * 1000;
    const delay = delays[i];
    return delay === null ? null : dts + delay - free;
  });
}

/** |D| of each frame and the one that arrived before it; null where either did not. */
export function interFrameJitter(delays: readonly (number | null)[]): (number | null)[] {
  return delays.map((delay, i) => {
    const before = i === 0 ? null : delays[i - 1];
    return delay === null || before === null ? null : Math.abs(delay - before);
  });
}

/** Of the frames that were due in each second, how many are `kept`. */
export function perSecond(
  fates: readonly Fate[],
  seconds: number,
  kept: (fate: Fate) => boolean,
): number[] {
  const counts = new Array<number>(Math.ceil(seconds)).fill(0);
  for (const fate of fates) {
    const second = Math.floor(fate.dts / 1000 + 1e-9); // a multiple of 1000/15 falls short of it
    if (kept(fate) && second < counts.length) counts[second] += 1;
  }
  return counts;
}

export const inTime = ({ fate }: Fate): boolean => fate === "in time";
