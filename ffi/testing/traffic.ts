// Traffic as plain data: what arrives when, on which streams. It is what the arbitraries make,
// what a counterexample prints, what JSON carries, and what play() sends. What enters is checked
// here, once.

import * as z from "zod";
import { LIMIT } from "../abi.ts";
import { check, streamAttributes } from "../options.ts";
import type { DropPriority, FrameMark, StreamAttributes } from "../options.ts";

/** Most frames of one stream, repeated ones counted. */
export const FRAMES_MAX = 1_000_000;
/** Most bytes of a packet where a stream does not say. */
export const PACKET_BYTES_DEFAULT = 1200;

const TIME_MS_MAX = 3_600_000; // an hour, as for periods
const MOMENT_MS_MAX = 9e9; // of what a link in virtual time can count to in ns, 104 days

/** A number within limits, ends included. */
export function within(min: number, max: number, unit: string): z.ZodNumber {
  const error = `must be ${min} to ${max} ${unit}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

/** A whole number within limits, ends included. */
export function whole(min: number, max: number, unit: string): z.ZodNumber {
  const error = `must be a whole number of ${unit} from ${min} to ${max}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

/** `number`, or `{ min, max }` with `min` as given if it is left out; the output has both. */
export function range(min: number, max: number, unit: string, least = min) {
  const one = whole(min, max, unit);
  const error = `must be a whole number of ${unit} from ${min} to ${max}, or { min, max }`;
  return z.union([one, z.strictObject({ min: one.optional(), max: one })], { error })
    .transform((value) =>
      typeof value === "number" ? { min: value, max: value } : { min: least, ...value }
    ).refine(({ min, max }) => min <= max, { error: "must have min at most max" });
}

/** A length of time, in milliseconds. */
export const ms = within(0, TIME_MS_MAX, "ms");

/** How long from arrival until a frame must have left, in ms. */
export const deadline = within(0.001, TIME_MS_MAX, "ms");

/** Most bytes of one packet. */
export const packet = whole(1, LIMIT.QSOCKET_MESSAGE_BYTES_MAX, "bytes");

/** Schema of `DropPriority`. */
export const drop: z.ZodType<DropPriority, DropPriority> = z.union(
  [z.literal("never"), z.literal([0, 1, 2, 3, 4, 5, 6])],
  { error: 'must be "never" or 0 to 6' },
);

const trafficFrame = z.strictObject({
  /** "I", "P" or "B"; none for what is no picture, such as a sample. */
  type: z.enum(["I", "P", "B"], { error: 'must be "I", "P" or "B"' }).optional(),
  /** When it arrives, in ms from the start. */
  at: within(0, MOMENT_MS_MAX, "ms"),
  /** Of all its packets together. */
  bytes: whole(1, Number.MAX_SAFE_INTEGER, "bytes"),
  /** ms from its arrival. Default: the stream's. */
  deadline: deadline.optional(),
  /** As in a message's options. Default 6. */
  drop: drop.optional(),
  /** 0 starts a group, 1 is referenced, 2 is a leaf. Default: not told. */
  level: whole(0, 2 ** 31, "levels").optional(),
  /** Leans on the group before as well. */
  leading: z.boolean({ error: "must be true or false" }).optional(),
  /** The frames of this stream, by number, without which it cannot be decoded. */
  needs: z.array(whole(0, FRAMES_MAX, "frames before it")).optional(),
  /** So many frames like this one, each numbered ... Default 1. */
  times: whole(1, FRAMES_MAX, "frames").optional(),
  /** ... one every so many ms. Default 0: all at once. */
  every: ms.optional(),
});

const trafficStream = z.strictObject({
  /** For the reader, and to find it by. */
  name: z.string({ error: "must be a string" }).optional(),
  attributes: streamAttributes.optional(),
  /** Frames are cut into packets of at most so many bytes, equal to a byte. Default 1200. */
  packet: packet.optional(),
  /** ms from arrival, of the frames that have none of their own. Default: none. */
  deadline: deadline.optional(),
  frames: z.array(trafficFrame, { error: "must be a list of frames" }),
}, { error: "must be a stream such as { frames: [] }" });

/** Schema of a list of {@linkcode TrafficStream}. */
export const trafficStreams = z.array(trafficStream, { error: "must be a list of streams" });

/**
 * A frame that arrives at `at` (ms) with so many `bytes`; plain data. A picture has a `type`, a
 * sample has none. `times` and `every` (ms) stand for many that are alike.
 */
export type TrafficFrame = z.input<typeof trafficFrame>;

/** A stream with its attributes and its frames, in the order of their arrival; plain data. */
export interface TrafficStream {
  /** For the reader, and to find it by. */
  name?: string;
  /** Period in ms, loss window, queue limits. Default: best effort. */
  attributes?: StreamAttributes;
  /** Frames are cut into packets of at most so many bytes, equal to a byte. Default 1200. */
  packet?: number;
  /** ms from arrival, of the frames that have none of their own. Default: none. */
  deadline?: number;
  frames: TrafficFrame[];
}

/** A frame among all of its stream, with what it inherits. */
export interface NumberedFrame extends TrafficFrame {
  packets: number[]; // bytes of each
}

/** The frames of a stream, repeated ones written out. Throws RangeError for what cannot be sent. */
export function numberedFrames(
  { frames, packet = PACKET_BYTES_DEFAULT, deadline }: TrafficStream,
  where: string,
): NumberedFrame[] {
  const numbered: NumberedFrame[] = [];
  for (const { times = 1, every = 0, ...frame } of frames) {
    const name = `frame ${numbered.length} of ${where}`;
    if (numbered.length + times > FRAMES_MAX) {
      throw new RangeError(`Cannot play: ${where} must have at most ${FRAMES_MAX} frames`);
    }
    const missing = frame.needs?.find((need) => need >= numbered.length);
    if (missing !== undefined) {
      throw new RangeError(`Cannot play: ${name} must need frames before it, got ${missing}`);
    }
    const count = Math.ceil(frame.bytes / packet);
    if (count > LIMIT.QSOCKET_FRAME_MESSAGES_MAX) {
      const most = LIMIT.QSOCKET_FRAME_MESSAGES_MAX;
      throw new RangeError(`Cannot play: ${name} must have at most ${most} packets, got ${count}`);
    }
    const packets = cut(frame.bytes, count);
    const whole = { ...(deadline === undefined ? {} : { deadline }), ...frame, packets };
    for (let k = 0; k < times; k++) numbered.push({ ...whole, at: frame.at + k * every });
  }
  return numbered;
}

/** The sizes of so many packets, equal to a byte. */
function cut(bytes: number, count: number): number[] {
  const larger = bytes % count;
  return Array.from({ length: count }, (_, i) => Math.floor(bytes / count) + (i < larger ? 1 : 0));
}

/** The marks of the messages of one frame. */
export function markOf(index: number, count: number): FrameMark {
  if (count === 1) return "whole";
  if (index === 0) return "start";
  return index === count - 1 ? "end" : "middle";
}

/** One stream or several, checked; throws TypeError or RangeError. */
export function checkTraffic(
  traffic: TrafficStream | readonly TrafficStream[],
  doing: string,
): TrafficStream[] {
  return check(trafficStreams, Array.isArray(traffic) ? traffic : [traffic], doing);
}
