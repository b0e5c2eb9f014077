// Random video: groups of pictures with sizes that add up to a rate, flagged as the media layer
// flags them.

import type { Arbitrary } from "fast-check";
import * as z from "zod";
import { gopPolicy, type GroupPlace, type QosPolicy } from "../../media/qos.ts";
import { LIMIT } from "../abi.ts";
import { check, rate, streamAttributes } from "../options.ts";
import { evenly, microseconds, moments, noise, patternOptions } from "./arrivals.ts";
import { fc } from "./fastcheck.ts";
import { type GopShape, type Picture, pictures } from "./pictures.ts";
import {
  deadline,
  FRAMES_MAX,
  packet,
  PACKET_BYTES_DEFAULT,
  range,
  whole,
  within,
} from "./traffic.ts";
import type { TrafficFrame, TrafficStream } from "./traffic.ts";

const GOP_FRAMES_MAX = 1000;
const B_FRAMES_MAX = 16;
const SIZE_STEPS = 20; // from the mean size to the largest

/** As MPEG-2 broadcasts have it, and `examples/clip.m2t`. */
const RATIO_DEFAULT = { I: 15, P: 6, B: 4 };

const flag = z.boolean({ error: "must be true or false" });
const weight = within(0.001, 1e6, "");
const anyFunction: z.ZodType<unknown> = z.instanceof(Function, { error: "must be a function" });

const gopFields = {
  /** Pictures of a group. Default { min: 1, max: 15 }. */
  gop: range(1, GOP_FRAMES_MAX, "pictures").optional(),
  /** B pictures between anchors. Default { min: 0, max: 3 }. */
  bFrames: range(0, B_FRAMES_MAX, "pictures").optional(),
  /** Groups begin with leading pictures, which lean on the group before. Default: some do. */
  open: flag.optional(),
  /** The middle B picture of a row is a reference for the others. Default: in some groups. */
  pyramid: flag.optional(),
  /** Frames per second. Default 25. */
  fps: within(0.01, 1e5, "frames per second").optional(),
  /** The average over each group, in bytes per second or with a unit. Default "4mbit". */
  rate: rate.optional(),
  /** Mean sizes by type, beside each other. Default 15, 6 and 4. */
  ratio: z.strictObject({ I: weight, P: weight, B: weight }).optional(),
  /** Sizes differ from the mean by up to this share. Default 0.3. */
  spread: within(0, 0.99, "of the mean").optional(),
  /** Turns a picture into its flags. Default `gopPolicy()`. */
  policy: (anyFunction as z.ZodType<QosPolicy, QosPolicy>).optional(),
};

const gopOptions = z.strictObject({
  ...gopFields,
  /** So many groups that follow each other. Default 1. */
  groups: whole(1, GOP_FRAMES_MAX, "groups").optional(),
});

const videoOptions = z.strictObject({
  ...gopFields,
  /** Pictures in all. Default up to 50. */
  frames: range(0, FRAMES_MAX, "pictures", 1).optional(),
  /** The stream's attributes. Default: a period of one frame. */
  attributes: streamAttributes.optional(),
  /** Frames are cut into packets of at most so many bytes. Default 1200. */
  packet: packet.optional(),
  /** ms from arrival. Default 100. */
  deadline: deadline.optional(),
  /** How arrivals differ from one every 1000 / fps ms: as in `arrivals`. Default: not. */
  arrivals: patternOptions.optional(),
  /** Default "video". */
  name: z.string({ error: "must be a string" }).optional(),
});

/** Options of {@linkcode gop}. */
export type GopOptions = z.input<typeof gopOptions>;
/** Options of {@linkcode video}: those of {@linkcode gop} but `groups`, and of a stream. */
export type VideoOptions = z.input<typeof videoOptions>;

/**
 * A video stream of many groups: by default of up to 50 frames at 25 a second and 4 Mbit/s, each
 * due 100 ms after its arrival, in closed and open groups, with and without pyramids. Frames are in
 * decode order and have the flags that the policy gives them, as behind `packetize`; `needs` says
 * which frames each is predicted from. None is larger than 1024 packets, the limit. Shrinks to few
 * frames, of mean size, in few kinds of groups.
 *
 * Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { lost, play, video } from "qsockets/testing";
 *
 * const mine = video({ rate: "2mbit", gop: 12, bFrames: 2, deadline: 100 });
 * fc.assert(fc.property(mine, (stream) => lost(play({ rate: "10mbit" }, stream)).length === 0));
 * ```
 */
export function video(options: VideoOptions = {}): Arbitrary<TrafficStream> {
  const given = check(videoOptions, options, "make video");
  const { frames = { min: 1, max: 50 }, packet, deadline = 100, name = "video" } = given;
  const period = 1000 / (given.fps ?? 25);
  const { attributes = { ipg: microseconds(period) } } = given;
  return fc.record({
    count: evenly(frames),
    shapes: fc.array(shape(given), { minLength: 1, maxLength: 8, size: "max" }),
    sizes: noise(SIZE_STEPS),
    moments: moments(period, given.arrivals ?? {}),
  }).map(({ count, shapes, sizes, moments }) => {
    const times = moments(count);
    const list = flagged(repeated(shapes, count), sizes, given).slice(0, count);
    const bytesMax = LIMIT.QSOCKET_FRAME_MESSAGES_MAX * (packet ?? PACKET_BYTES_DEFAULT);
    const stream = { name, attributes, ...(packet === undefined ? {} : { packet }), deadline };
    return {
      ...stream,
      frames: list.map((frame, i) => ({
        ...frame,
        at: times[i],
        bytes: Math.min(bytesMax, frame.bytes),
      })),
    };
  });
}

/**
 * The frames of one group, or of so many `groups` that follow each other, at the times of their
 * frame rate; all of {@linkcode video} that is not about the stream. Shrinks to small closed groups
 * of frames of mean size. Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import fc from "fast-check";
 * import { gop } from "qsockets/testing";
 *
 * const [frames] = fc.sample(gop({ gop: 7, bFrames: 2 }), 1);
 * assert.equal(frames.map(({ type }) => type).join(""), "IPBBPBB"); // in decode order
 * ```
 */
export function gop(options: GopOptions = {}): Arbitrary<TrafficFrame[]> {
  const { groups = 1, ...given } = check(gopOptions, options, "make groups of pictures");
  const shapes = fc.array(shape(given), { minLength: groups, maxLength: groups });
  return fc.tuple(shapes, noise(SIZE_STEPS)).map(([shapes, sizes]) =>
    flagged(shapes, sizes, given)
  );
}

type GopFields = Omit<z.output<typeof gopOptions>, "groups">;

function shape(
  { gop = { min: 1, max: 15 }, bFrames = { min: 0, max: 3 }, open, pyramid }: GopFields,
): Arbitrary<GopShape> {
  return fc.record({
    frames: evenly(gop),
    bFrames: evenly(bFrames),
    open: open === undefined ? fc.boolean() : fc.constant(open),
    pyramid: pyramid === undefined ? fc.boolean() : fc.constant(pyramid),
  });
}

/** The shapes again and again, for at least so many frames. */
function repeated(shapes: GopShape[], frames: number): GopShape[] {
  const list: GopShape[] = [];
  for (let sum = 0; sum < frames; sum += list[list.length - 1].frames) {
    list.push(shapes[list.length % shapes.length]);
  }
  return list;
}

/** Frames with their sizes and flags. */
function flagged(
  shapes: readonly GopShape[],
  sizes: (index: number) => number,
  { fps = 25, rate = 500_000, ratio = RATIO_DEFAULT, spread = 0.3, policy = gopPolicy() }:
    GopFields,
): TrafficFrame[] {
  const list = pictures(shapes);
  const weights = shapes.map(() => 0);
  for (const { group, type } of list) weights[group] += ratio[type];
  let place: GroupPlace | null = null;
  return list.map((picture, index): TrafficFrame => {
    const { group, type, needs } = picture;
    place = placeOf(picture, place);
    const { drop, level, leading } = policy(factsOf(picture, index, fps), place);
    const mean = ratio[type] / weights[group] * shapes[group].frames * rate / fps;
    return {
      type,
      at: microseconds(index * 1000 / fps),
      bytes: Math.max(1, Math.round(mean * (1 + spread * sizes(index)))),
      drop,
      level,
      ...(leading ? { leading } : {}),
      ...(needs.length > 0 ? { needs } : {}),
    };
  });
}

/** A picture as the media layer describes it to a policy. */
function factsOf({ type, reference, leading, display }: Picture, index: number, fps: number) {
  const delay = 2; // pictures by which a pyramid's order of decoding is ahead of that of display
  return {
    index,
    codec: "h264" as const,
    type,
    pts: microseconds((display + delay) * 1000 / fps),
    dts: microseconds(index * 1000 / fps),
    keyframe: type === "I",
    reference,
    groupStart: type === "I",
    leading,
    damaged: false,
  };
}

function placeOf({ type }: Picture, before: GroupPlace | null): GroupPlace {
  if (before === null) return { position: 0, groupFrames: null };
  if (type === "I") return { position: 0, groupFrames: before.position + 1 };
  return { ...before, position: before.position + 1 };
}
