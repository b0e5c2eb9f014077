/**
 * A frame becomes its RTP packets, and these become messages for a socket: the data with the flags
 * that the policy (qos.ts) chose for the frame.
 *
 * `packetizeFrame` is a pure function of the frame and the state before it, and returns the state
 * after it: sequence numbers go on from frame to frame, the marker bit is on the last packet of each
 * (not for transport streams, where RFC 2250 gives it another meaning), and the timestamp is the
 * frame's presentation time at 90 kHz, plus an offset.
 *
 * All packets of a frame lie in one buffer, in order. So packets of one size that follow each other
 * (with a shorter one at the end) can be handed over as one segmented message, `segments: true`,
 * which costs one call and one buffer on their way down the stack instead of one each.
 */

import * as z from "zod";
import { LIMIT } from "../ffi/abi.ts";
import { check } from "../ffi/options.ts";
import type { FrameMark, QMessage } from "../ffi/options.ts";
import type { Frame } from "./frame.ts";
import { gopPolicy } from "./qos.ts";
import type { GroupPlace, QosPolicy } from "./qos.ts";
import { RTP_CLOCK_HZ, RTP_HEADER_BYTES, RTP_MARKING_BYTES, writeRtpHeader } from "./rtp.ts";
import { h264 } from "./rtp_h264.ts";
import { mp2t, mpv, TS_PACKET_BYTES, TS_PACKETS_MAX } from "./rtp_mpeg2.ts";
import type { Payload, PayloadFormat } from "./rtp_payload.ts";

const MTU_DEFAULT = 1200;
const MTU_MIN = 100;
const FRAME_MS_DEFAULT = 40; // from one frame without a presentation time to the next

/** The RTP payload formats by name, with their usual payload types: 32 and 33 are assigned ones. */
export const RTP_FORMATS: Record<RtpFormat, { format: PayloadFormat; payloadType: number }> = {
  mpv: { format: mpv, payloadType: 32 },
  mp2t: { format: mp2t, payloadType: 33 },
  h264: { format: h264, payloadType: 96 },
};

/** A payload format: MPEG-1/2 elementary video, an MPEG transport stream, or H.264. */
export type RtpFormat = "mpv" | "mp2t" | "h264";

const integer = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const anyFunction: z.ZodType<unknown> = z.instanceof(Function, { error: "must be a function" });
const policyOption = anyFunction as z.ZodType<QosPolicy, QosPolicy>;

const packetizeOptions = z.strictObject({
  format: z.enum(["mpv", "mp2t", "h264"], { error: 'must be "mpv", "mp2t" or "h264"' }),
  /** Most bytes of an RTP packet, header included. Default 1200; 1328 (7 TS packets) for mp2t. */
  mtu: integer(MTU_MIN, LIMIT.QSOCKET_MESSAGE_BYTES_MAX).optional(),
  /** Default 32 for mpv, 33 for mp2t, 96 for h264. */
  payloadType: integer(0, 127).optional(),
  /** The source's number. Default random. */
  ssrc: integer(0, 0xffffffff).optional(),
  /** The first sequence number. Default random. */
  sequence: integer(0, 0xffff).optional(),
  /** Added to every timestamp, in 1/90000 s. Default random. */
  timestampOffset: integer(0, 0xffffffff).optional(),
  /** The deadline of every message, ms from its sending. Default none. */
  latency: z.number({ error: "must be a number of ms" })
    .positive({ error: "must be above 0 ms" }).optional(),
  /** Chooses drop priority, level and leading. Default `gopPolicy()`. */
  policy: policyOption.optional(),
  /** Cut what must be cut into equal parts, rather than full ones and a rest. Default true. */
  equalSizes: z.boolean({ error: "must be true or false" }).optional(),
  /**
   * Hand packets of equal size over as one segmented message. Default false. A socket takes 1024
   * messages in a frame, so only with segments can a frame have more packets than that.
   */
  segments: z.boolean({ error: "must be true or false" }).optional(),
  /** Mark frames (RFC 9626) in a header extension with this number. Default not. */
  marking: integer(1, 14).optional(),
});

/** Options of {@linkcode packetizer}. */
export type PacketizeOptions = z.input<typeof packetizeOptions>;

/** A frame with the messages that carry it; `QSocket.writable` takes it. */
export interface FramePackets {
  frame: Frame;
  /** The frame's decoding time, ms on the source's time line; null where unknown. */
  dts: number | null;
  messages: QMessage[];
}

/** All that one frame hands on to the next; start from {@linkcode packetizer}. */
export interface PacketizerState {
  readonly options: Readonly<
    & Omit<z.output<typeof packetizeOptions>, "latency" | "marking">
    & Required<Pick<PacketizeOptions, SettledOption>>
    & Pick<PacketizeOptions, "latency" | "marking">
  >;
  /** The sequence number of the next packet. */
  readonly sequence: number;
  /** The presentation time of the frame before, ms; null before the first. */
  readonly pts: number | null;
  /** The place of the frame before in its group; null before the first group. */
  readonly place: GroupPlace | null;
}

type SettledOption =
  | "mtu"
  | "payloadType"
  | "ssrc"
  | "timestampOffset"
  | "policy"
  | "equalSizes"
  | "segments";

/**
 * The state before the first frame. Throws RangeError or TypeError for options that are wrong.
 *
 * @example
 * ```ts
 * import { packetizer } from "qsockets";
 * const state = packetizer({ format: "mpv", ssrc: 1, sequence: 0, timestampOffset: 0 });
 * state.options.payloadType; // 32
 * ```
 */
export function packetizer(options: PacketizeOptions): PacketizerState {
  const given = check(packetizeOptions, options, "packetize");
  const [ssrc, timestampOffset, sequence] = crypto.getRandomValues(new Uint32Array(3));
  const marks = given.marking === undefined ? 0 : RTP_MARKING_BYTES;
  const mtuDefault = given.format === "mp2t"
    ? RTP_HEADER_BYTES + marks + TS_PACKETS_MAX * TS_PACKET_BYTES
    : MTU_DEFAULT;
  const mtu = given.mtu ?? mtuDefault;
  if (given.format === "mp2t" && mtu < RTP_HEADER_BYTES + marks + TS_PACKET_BYTES) {
    throw new RangeError(
      `Cannot packetize: mtu must leave room for a TS packet of 188 bytes, got ${mtu}`,
    );
  }
  return {
    options: {
      ...given,
      mtu,
      payloadType: given.payloadType ?? RTP_FORMATS[given.format].payloadType,
      ssrc: given.ssrc ?? ssrc,
      timestampOffset: given.timestampOffset ?? timestampOffset,
      policy: given.policy ?? gopPolicy(),
      equalSizes: given.equalSizes ?? true,
      segments: given.segments ?? false,
    },
    sequence: given.sequence ?? sequence & 0xffff,
    pts: null,
    place: null,
  };
}

/**
 * The messages of a frame, and the state for the frame after it. A frame with nothing to carry has
 * no messages. Throws RangeError for a transport stream that is not cut into whole packets.
 *
 * @example
 * ```ts
 * import { packetizeFrame, packetizer } from "qsockets";
 * const frame = {
 *   index: 0, codec: "h264", type: "I", pts: 0, dts: 0, keyframe: true, reference: true,
 *   groupStart: true, leading: false, damaged: false,
 *   data: new Uint8Array([0, 0, 0, 1, 0x65, 0x88]),
 * } as const;
 * const { packets } = packetizeFrame(frame, packetizer({ format: "h264", latency: 100 }));
 * packets.messages[0].frame; // "whole"
 * ```
 */
export function packetizeFrame(
  frame: Frame,
  state: PacketizerState,
): { packets: FramePackets; state: PacketizerState } {
  const { options } = state;
  const pts = frame.pts ?? (state.pts === null ? 0 : state.pts + FRAME_MS_DEFAULT);
  const timestamp = wrap32(Math.round(pts * (RTP_CLOCK_HZ / 1000)) + options.timestampOffset);
  const headerBytes = RTP_HEADER_BYTES + (options.marking === undefined ? 0 : RTP_MARKING_BYTES);
  const payloads = RTP_FORMATS[options.format].format.split(frame.data, {
    payloadBytes: options.mtu - headerBytes,
    equalSizes: options.equalSizes,
  });
  const { buffer, ends } = writePackets(payloads, frame, headerBytes, timestamp, state);
  const place = placeInGroup(frame, state.place);
  const qos = options.policy(frame, place);
  const messages: QMessage[] = [];
  const pieces = options.segments ? joinEqual(ends) : ends.map((end) => ({ end, segment: 0 }));
  let start = 0;
  for (let i = 0; i < pieces.length; i++) {
    const { end, segment } = pieces[i];
    const message: QMessage = {
      data: buffer.subarray(start, end),
      frame: markOf(i, pieces.length),
      drop: qos.drop,
      level: qos.level,
      leading: qos.leading,
    };
    if (options.latency !== undefined) message.deadline = options.latency;
    if (segment > 0) message.segment = segment;
    messages.push(message);
    start = end;
  }
  const sequence = state.sequence + payloads.length & 0xffff;
  return {
    packets: { frame, dts: frame.dts, messages },
    state: { options, sequence, pts, place },
  };
}

/** Writes all packets into one buffer; `ends` are the offsets at which they end. */
function writePackets(
  payloads: readonly Payload[],
  frame: Frame,
  headerBytes: number,
  timestamp: number,
  state: PacketizerState,
): { buffer: Uint8Array; ends: number[] } {
  const { marking, payloadType, ssrc, format } = state.options;
  let bytes = 0;
  for (const payload of payloads) {
    bytes += headerBytes;
    for (const piece of payload) bytes += piece.length;
  }
  const buffer = new Uint8Array(bytes);
  const ends: number[] = [];
  let at = 0;
  for (let i = 0; i < payloads.length; i++) {
    const last = i === payloads.length - 1;
    const sequence = state.sequence + i & 0xffff;
    const header = { payloadType, marker: last && format !== "mp2t", sequence, timestamp, ssrc };
    const marks = marking === undefined ? undefined : {
      id: marking,
      start: i === 0,
      end: last,
      independent: frame.keyframe,
      discardable: !frame.reference,
    };
    at += writeRtpHeader(buffer, header, marks, at);
    for (const piece of payloads[i]) {
      buffer.set(piece, at);
      at += piece.length;
    }
    ends.push(at);
  }
  return { buffer, ends };
}

/** Joins neighbours of one size, and a shorter one after them, within the limits of UDP_SEGMENT. */
function joinEqual(ends: readonly number[]): { end: number; segment: number }[] {
  const joined: { end: number; segment: number }[] = [];
  for (let i = 0; i < ends.length;) {
    const start = i === 0 ? 0 : ends[i - 1];
    const segment = ends[i] - start;
    let packets = 1;
    for (i += 1; i < ends.length && packets < LIMIT.QSOCKET_SEGMENTS_MAX; i++, packets++) {
      const bytes = ends[i] - ends[i - 1];
      if (bytes > segment || ends[i] - start > LIMIT.QSOCKET_MESSAGE_BYTES_MAX) break;
      if (bytes < segment) { // only the last may be shorter
        i += 1;
        packets += 1;
        break;
      }
    }
    joined.push({ end: ends[i - 1], segment: packets > 1 ? segment : 0 });
  }
  return joined;
}

function placeInGroup(frame: Frame, before: GroupPlace | null): GroupPlace {
  if (frame.groupStart || frame.type === "I") {
    return { position: 0, groupFrames: before === null ? null : before.position + 1 };
  }
  if (before === null) return { position: 1, groupFrames: null }; // joined in the middle of a group
  return { position: before.position + 1, groupFrames: before.groupFrames };
}

function markOf(index: number, count: number): FrameMark {
  if (count === 1) return "whole";
  if (index === 0) return "start";
  return index === count - 1 ? "end" : "middle";
}

function wrap32(value: number): number {
  return ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
}
