// What else a link carries: samples of sensors, bulk transfers, and the attributes of streams.

import type { Arbitrary } from "fast-check";
import * as z from "zod";
import { LIMIT } from "../abi.ts";
import { check, rate, type StreamAttributes, streamAttributes } from "../options.ts";
import { evenly, microseconds, moments, patternFields } from "./arrivals.ts";
import { fc } from "./fastcheck.ts";
import { deadline, drop, FRAMES_MAX, ms, packet, range, whole, within } from "./traffic.ts";
import { PACKET_BYTES_DEFAULT, type TrafficStream } from "./traffic.ts";
import { video } from "./video.ts";

const name = z.string({ error: "must be a string" }).optional();

const sampleOptions = z.strictObject({
  /** The period, in ms. */
  every: within(0.001, 3_600_000, "ms"),
  /** How many. Default up to 100. */
  count: range(0, FRAMES_MAX, "samples", 1).optional(),
  /** The size of a sample. Default { min: 16, max: 256 }. */
  bytes: range(1, 1_000_000, "bytes").optional(),
  /** ms from arrival. Default: `every`, when the next one comes. */
  deadline: deadline.optional(),
  /** Default 6. */
  drop: drop.optional(),
  /** Default: a period of `every`. */
  attributes: streamAttributes.optional(),
  /** Default "samples". */
  name,
  ...patternFields,
});

/** Options of {@linkcode samples}; times are in ms. */
export type SampleOptions = z.input<typeof sampleOptions>;

/**
 * A stream of samples, as of a sensor: one `every` so many ms, each stale when the next one comes
 * (or after `deadline`), by default up to 100 of 16 to 256 bytes. They arrive in any pattern of
 * {@linkcode arrivals}. Shrinks to few small samples, with equal gaps.
 *
 * Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { lost, play, samples } from "qsockets/testing";
 *
 * const sensor = samples({ every: 20, deadline: 5, poisson: true });
 * fc.assert(fc.property(sensor, (stream) => lost(play({ rate: "10mbit" }, stream)).length === 0));
 * ```
 */
export function samples(options: SampleOptions): Arbitrary<TrafficStream> {
  const {
    every,
    count = { min: 1, max: 100 },
    bytes = { min: 16, max: 256 },
    deadline = every,
    drop,
    attributes = { ipg: every },
    name = "samples",
    ...pattern
  } = check(sampleOptions, options, "make samples");
  return fc.record({
    count: evenly(count),
    sizes: fc.array(fc.integer(bytes), { minLength: 1, maxLength: 64, size: "max" }),
    moments: moments(every, pattern),
  }).map(({ count, sizes, moments }) => ({
    name,
    attributes,
    deadline,
    frames: moments(count).map((at, i) => ({
      at,
      bytes: sizes[i % sizes.length],
      ...(drop === undefined ? {} : { drop }),
    })),
  }));
}

const bulkOptions = z.strictObject({
  /** What it offers while it sends, in bytes per second or with a unit. */
  rate,
  /** It sends at some of these ms. Default 1000. */
  ms: ms.optional(),
  /** Bytes of its packets. Default 1200. */
  packet: packet.optional(),
  /** Default "bulk". */
  name,
});

/** Options of {@linkcode bulk}. */
export type BulkOptions = z.input<typeof bulkOptions>;

/**
 * A best-effort stream without deadlines that takes what it can get: up to three runs of packets
 * at a rate, anywhere in the first `ms` (default 1000). Shrinks to none. Throws RangeError or
 * TypeError for wrong options.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { bulk, lost, play } from "qsockets/testing";
 *
 * const video = { attributes: { ipg: 40 }, deadline: 25, frames: [{ at: 0, bytes: 9000, times: 9 }] };
 * fc.assert(fc.property(bulk({ rate: "100mbit", ms: 50 }), (rival) => {
 *   // 9 frames of 7.2 ms: three make it, whatever else is there
 *   const played = play({ rate: "10mbit" }, [video, rival]);
 *   return lost(played, { stream: 0 }).length === 6;
 * }));
 * ```
 */
export function bulk(options: BulkOptions): Arbitrary<TrafficStream> {
  const { rate, ms = 1000, packet = PACKET_BYTES_DEFAULT, name = "bulk" } = check(
    bulkOptions,
    options,
    "make bulk traffic",
  );
  const every = Math.max(0.001, microseconds(1000 * packet / rate));
  const most = Math.min(FRAMES_MAX / 4, Math.floor(ms / every) + 1);
  const run = fc.record({
    at: fc.nat({ max: Math.floor(ms) }),
    times: fc.integer({ min: 1, max: most }),
  });
  return fc.array(run, { maxLength: 3, size: "max" }).map((runs) => ({
    name,
    packet,
    frames: runs.sort((a, b) => a.at - b.at).map(({ at, times }) => ({
      at,
      bytes: packet,
      times: Math.max(1, Math.min(times, Math.floor((ms - at) / every))),
      every,
    })),
  }));
}

const competingOptions = z.strictObject({
  /** The most that each of them offers, in bytes per second or with a unit. */
  rate,
  /** They send in the first so many ms. Default 1000. */
  ms: ms.optional(),
  /** How many. Default up to 3. */
  streams: range(0, 100, "streams").optional(),
});

/** Options of {@linkcode competing}. */
export type CompetingOptions = z.input<typeof competingOptions>;

/**
 * Other streams that want the link: bulk transfers, video and samples, with attributes of their
 * own, up to three of them by default. `rate` is the most that each of them offers. Shrinks to few,
 * and to none if `streams` allows it. Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { competing, play, samples } from "qsockets/testing";
 *
 * const urgent = samples({ every: 10, drop: "never", deadline: 9 });
 * const others = competing({ rate: "2mbit", ms: 200 });
 * fc.assert(fc.property(urgent, others, (urgent, others) => {
 *   const [{ info }] = play({ rate: "20mbit" }, [urgent, ...others]).streams;
 *   return info.sent === info.offered;
 * }), { numRuns: 30 });
 * ```
 */
export function competing(options: CompetingOptions): Arbitrary<TrafficStream[]> {
  const { rate, ms = 1000, streams = { min: 0, max: 3 } } = check(
    competingOptions,
    options,
    "make competing traffic",
  );
  const one = fc.oneof(
    bulk({ rate, ms }),
    fc.constantFrom(1, 2, 5, 10, 20, 40).chain((every) => {
      const bytes = { max: Math.max(1, Math.min(1_000_000, Math.floor(rate * every / 1000))) };
      return samples({ every, bytes, count: { max: Math.max(1, Math.floor(ms / every)) } });
    }),
    video({ rate, frames: { max: Math.max(1, Math.floor(ms / 40)) } }),
  );
  const stream = fc.tuple(one, attributes()).map(([stream, attributes]) =>
    stream.attributes === undefined ? stream : { ...stream, attributes }
  );
  const { min, max } = streams;
  return fc.array(stream, { minLength: min, maxLength: max, size: "max" });
}

/**
 * Attributes that any stream may have: with a period or none, a loss window or none, now and then
 * not droppable, with a weight, or with a small queue. Shrinks to `{}`, best effort.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { attributes, play } from "qsockets/testing";
 *
 * fc.assert(fc.property(attributes(), (attributes) => {
 *   const { info } = play({ rate: "1mbit" }, { attributes, frames: [{ at: 0, bytes: 100 }] });
 *   return info.sent === 1;
 * }));
 * ```
 */
export function attributes(): Arbitrary<StreamAttributes> {
  const windowMax = Math.min(50, LIMIT.QSOCKET_WINDOW_MAX);
  return fc.record({
    ipg: fc.option(tenths(0.5, 100), { nil: undefined, freq: 3 }),
    window: fc.option(
      fc.tuple(fc.integer({ min: 1, max: windowMax }), fc.nat({ max: windowMax })),
      { nil: undefined, freq: 2 },
    ),
    lossless: fc.nat({ max: 5 }).map((n) => n === 5),
    weight: rarely(fc.integer({ min: 2, max: 16 })),
    queueMessages: rarely(fc.integer({ min: 1, max: 100 })),
    queueBytes: rarely(fc.integer({ min: 1000, max: 1 << 20 })),
  }).map(({ ipg, window, lossless, weight, queueMessages, queueBytes }) => ({
    ...(ipg === undefined ? {} : { ipg }),
    ...(window === undefined ? {} : { oln: Math.min(...window), old: window[0] }),
    ...(lossless ? { droppable: false } : {}),
    ...(weight === undefined ? {} : { weight }),
    ...(queueMessages === undefined ? {} : { queueMessages }),
    ...(queueBytes === undefined ? {} : { queueBytes }),
  }));
}

const feasibleOptions = z.strictObject({
  /** Of the link, in bytes per second or with a unit. */
  rate,
  /** Of each message, the same for all. */
  bytes: whole(1, LIMIT.QSOCKET_MESSAGE_BYTES_MAX, "bytes"),
  /** The most that they may need of the link: U, of 1. Default 1. */
  utilisation: within(0.01, 1, "of the link").optional(),
  /** Most messages that a period has time for. Default 6. */
  slots: range(1, 1000, "messages").optional(),
  /** How many streams. Default 2 to 12. */
  streams: range(1, 1000, "streams").optional(),
});

/** Options of {@linkcode feasible}. */
export type FeasibleOptions = z.input<typeof feasibleOptions>;

/**
 * Sets of streams of one period T whose windows can be kept: with C the time that a message takes,
 * Σ(1 - oln/old)·C/T is at most `utilisation`, and T is a whole number of C. All
 * messages together mostly ask for more than the link has. At a utilisation of exactly 1, `dwcs` and
 * `vds` violate a window of about one random set in 100,000; up to 0.95 none was found in as many.
 * Shrinks to few streams with small windows. Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { feasible, play } from "qsockets/testing";
 *
 * const link = { scheduler: "dwcs", rate: "10mbit" } as const;
 * const sets = feasible({ rate: "10mbit", bytes: 1250, utilisation: 0.95 });
 * fc.assert(fc.property(sets, (set) => {
 *   const traffic = set.map((attributes) => {
 *     const every = attributes.ipg; // each is due when the next one comes
 *     const frames = [{ at: 0, bytes: 1250, times: 50, every, deadline: every }];
 *     return { attributes, packet: 1250, frames };
 *   });
 *   return play(link, traffic).info.violations === 0;
 * }));
 * ```
 */
export function feasible(
  options: FeasibleOptions,
): Arbitrary<(StreamAttributes & { ipg: number; oln: number; old: number })[]> {
  const {
    rate,
    bytes,
    utilisation = 1,
    slots = { min: 1, max: 6 },
    streams = { min: 2, max: 12 },
  } = check(feasibleOptions, options, "make a feasible set");
  const window = fc.tuple(fc.integer({ min: 1, max: 10 }), fc.nat({ max: 9 }));
  return fc.record({
    slots: fc.integer(slots),
    windows: fc.array(window, { minLength: streams.min, maxLength: streams.max, size: "max" }),
  }).map(({ slots, windows }) => {
    // Up to a whole microsecond: never less time than the messages take.
    const ipg = Math.ceil(1e6 * slots * bytes / rate - 1e-9) / 1000;
    let left = utilisation * slots; // in slots: what is not lost must fit
    return windows.map(([old, most]) => {
      // As few losses as are wanted, or as many as are needed to fit.
      const oln = Math.max(Math.min(old - 1, most), Math.ceil(old * (1 - left) - 1e-9));
      left -= 1 - oln / old;
      return { ipg, oln, old };
    });
  });
}

/** Mostly undefined, to which it shrinks. */
function rarely<T>(value: Arbitrary<T>): Arbitrary<T | undefined> {
  const usual = { weight: 3, arbitrary: fc.constant(undefined) };
  return fc.oneof({ withCrossShrink: true }, usual, { weight: 1, arbitrary: value });
}

function tenths(min: number, max: number): Arbitrary<number> {
  return fc.integer({ min: min * 10, max: max * 10 }).map((n) => n / 10);
}
