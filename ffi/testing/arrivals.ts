// When frames arrive. All patterns are the same steps with other noise: gaps (equal, or exponential
// as of a Poisson process), every so many of them gathered into a burst, stretched by silences, and
// shaken. Noise shrinks to none, so every pattern shrinks to equal gaps from the start on.

import type { Arbitrary } from "fast-check";
import * as z from "zod";
import { check } from "../options.ts";
import { fc } from "./fastcheck.ts";
import { FRAMES_MAX, ms, range, whole } from "./traffic.ts";

const NOISE_LENGTH_MAX = 24; // then it begins again
const GAPS_LENGTH_MIN = 16; // fewer of an exponential distribution would often have another mean

/**
 * Numbers from -1 to 1 in so many steps to either side, at least `minLength` of them, again
 * and again; shrinks to no noise, and to fewer numbers. Few steps are few ways to shrink, each of
 * which costs a run.
 */
export function noise(steps: number, minLength = 0): Arbitrary<(index: number) => number> {
  const number = fc.noBias(fc.integer({ min: -steps, max: steps }));
  return fc.array(number, { minLength, maxLength: NOISE_LENGTH_MAX, size: "max" })
    .map((list) => (index) => list.length === 0 ? 0 : list[index % list.length] / steps);
}

/** To the microsecond, the grain of deadlines. */
export const microseconds = (ms: number): number => Math.round(ms * 1000) / 1000;

/** The options of a pattern beside its gap and its length. */
export const patternFields = {
  /** The first arrives at 0 to so many ms. Default 0. */
  start: ms.optional(),
  /** Each is up to so many ms late, in order all the same. Default 0. */
  jitter: ms.optional(),
  /** So many arrive at once, and then none for as many gaps. Default 1. */
  burst: whole(1, FRAMES_MAX, "frames").optional(),
  /** Gaps are random, as of a Poisson process: `every` is their mean. Default false. */
  poisson: z.boolean({ error: "must be true or false" }).optional(),
  /** On-off: after so many ms of arrivals ... */
  on: ms.optional(),
  /** ... none for 0 to twice so many ms. Default: always on. */
  off: ms.optional(),
};

/** Schema of a pattern's options. */
export const patternOptions = z.strictObject(patternFields);
type Pattern = z.output<typeof patternOptions>;

const arrivalOptions = z.strictObject({
  /** The gap, in ms. */
  every: ms,
  /** How many: `number` or `{ min, max }`. Default up to 100. */
  count: range(0, FRAMES_MAX, "arrivals").optional(),
  ...patternFields,
});

/** Options of {@linkcode arrivals}; times are in ms. */
export type ArrivalOptions = z.input<typeof arrivalOptions>;

/**
 * Moments of arrival in ms, in order: one `every` so many ms, with `jitter`, in a `burst` of so
 * many, as a `poisson` process, or `on` and `off`, which may be combined. Shrinks to few arrivals,
 * with equal gaps. Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { arrivals, play } from "qsockets/testing";
 *
 * fc.assert(fc.property(arrivals({ every: 10, burst: 4, jitter: 2 }), (times) => {
 *   const frames = times.map((at) => ({ at, bytes: 1250 }));
 *   return play({ rate: "1.1mbit" }, { frames }).info.delay.max <= 4 * 10 + 2;
 * }));
 * ```
 */
export function arrivals(options: ArrivalOptions): Arbitrary<number[]> {
  const { every, count = { min: 0, max: 100 }, ...pattern } = check(
    arrivalOptions,
    options,
    "make arrivals",
  );
  return fc.tuple(evenly(count), moments(every, pattern)).map(([count, moments]) => moments(count));
}

/** A number, each as likely as another: fast-check's bias to few frames would test little. */
export function evenly(limits: { min: number; max: number }): Arbitrary<number> {
  return fc.noBias(fc.integer(limits));
}

/** The first `count` moments of a pattern. */
export function moments(every: number, pattern: Pattern): Arbitrary<(count: number) => number[]> {
  const { start = 0, jitter = 0, burst = 1, poisson = false, on = 0, off = 0 } = pattern;
  return fc.record({
    begin: fc.nat({ max: Math.round(start * 1000) }).map((us) => us / 1000),
    gaps: poisson ? noise(200, GAPS_LENGTH_MIN) : fc.constant(() => 0),
    silences: on > 0 && off > 0 ? noise(10) : fc.constant(() => 0),
    delays: jitter > 0 ? noise(10) : fc.constant(() => 0),
  }).map(({ begin, gaps, silences, delays }) => (count) => {
    const moments: number[] = [];
    let regular = 0; // without bursts, silences and jitter
    let silent = 0;
    let silencesPast = 0;
    let gathered = 0;
    for (let i = 0; i < count; i++) {
      if (i > 0) regular += every * (poisson ? exponential(gaps(i - 1)) : 1);
      for (; on > 0 && off > 0 && regular >= (silencesPast + 1) * on; silencesPast++) {
        silent += off * (1 + silences(silencesPast));
      }
      if (i % burst === 0) gathered = regular + silent;
      const at = microseconds(begin + gathered + jitter * Math.abs(delays(i)));
      moments.push(Math.max(at, moments[i - 1] ?? 0));
    }
    return moments;
  });
}

/** A uniform number from -1 to 1 as an exponential one of mean 1; 0 becomes 1, the mean. */
function exponential(uniform: number): number {
  // Of an exponential distribution a share of 1 - 1/e lies below its mean. The uniform numbers are
  // turned around their circle until 0 lies there; they stay uniform.
  const share = ((uniform + 1) / 2 + 0.5 - Math.exp(-1)) % 1;
  return -Math.log(Math.max(1 - share, 0.0005));
}
