/**
 * RTP packets become frames again, whatever the network did to them.
 *
 * Packets are put in order by their unrolled sequence numbers: one that is missing is waited for
 * until `depth` packets came after it, then given up. What comes later than that, and what comes
 * twice, is not used.
 *
 * A frame is what lies between two boundaries. It ends with the marker bit (or the frame marking's
 * end), or where the timestamp changes; it begins after such an end. It is `complete` only if that
 * is proven: its packets follow each other, the frame before ended right in front of it, or its
 * first packet is one that begins a frame for certain. The last is what a receiver needs where
 * frames are dropped whole at the source. Frame marking (RFC 9626) always tells; without it a
 * sequence header, an MPEG P or B frame's picture header or an H.264 access unit delimiter do. A frame
 * behind a gap that nothing of the kind opens is reported as not complete, with `opens` if nothing
 * speaks against it: most likely it is all there, but no one can know.
 *
 * The data of an incomplete frame holds its whole slices or NAL units. Bytes on the two sides of
 * a gap are never glued together.
 */

import * as z from "zod";
import { check } from "../ffi/options.ts";
import { RTP_FORMATS } from "./packetize.ts";
import type { RtpFormat } from "./packetize.ts";
import { frameMarking, Jitter, parseRtp, Reception, RTP_CLOCK_HZ, Unroller } from "./rtp.ts";
import type { RtpPacket } from "./rtp.ts";
import type { PayloadRun } from "./rtp_payload.ts";

const DEPTH_DEFAULT = 64;
const DEPTH_MAX = 1024;
/** A frame with more packets than this is cut, and counts as incomplete. */
const FRAME_PACKETS_MAX = 16384;

const integer = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const depacketizeOptions = z.strictObject({
  format: z.enum(["mpv", "mp2t", "h264"], { error: 'must be "mpv", "mp2t" or "h264"' }),
  /** Only packets of this type are used. Default: any. */
  payloadType: integer(0, 127).optional(),
  /** Only packets of this source are used. Default: the first one that sends. */
  ssrc: integer(0, 0xffffffff).optional(),
  /** The first sequence number, where signalling tells it (RTSP's RTP-Info). */
  sequence: integer(0, 0xffff).optional(),
  /** Packets to receive before a missing one is given up. Default 64. */
  depth: integer(0, DEPTH_MAX).optional(),
  /** The number of the frame marking extension, where the session description has one. */
  marking: integer(1, 14).optional(),
});

/** Options of {@linkcode Depacketizer}. */
export type DepacketizeOptions = z.input<typeof depacketizeOptions>;

/** A frame as it arrived. */
export interface ReceivedFrame {
  /** The access unit; of an incomplete one, what of it is whole. */
  data: Uint8Array;
  /** The RTP timestamp, unrolled past 2^32, in 1/90000 s. */
  timestamp: number;
  /** The same in ms. Its zero is the sender's own. */
  pts: number;
  /** The unrolled sequence number of the first packet that arrived. */
  sequence: number;
  /** Packets that arrived. */
  packets: number;
  /** Packets missing in the frame or right before it, where they may have been part of it. */
  lost: number;
  /** Nothing is missing, and that is certain. */
  complete: boolean;
  /** The first packet looks like, or is known as, the first of the frame. */
  opens: boolean;
}

interface Ordered {
  sequence: number;
  packet: RtpPacket;
}

interface Pending extends Omit<ReceivedFrame, "data" | "pts" | "complete"> {
  rtpTimestamp: number;
  runs: PayloadRun[];
  startKnown: boolean;
}

/**
 * Puts frames together from datagrams. Throws RangeError or TypeError for wrong options, and never
 * for what a network may bring.
 *
 * @example
 * ```ts
 * import { Depacketizer } from "qsockets";
 * const depacketizer = new Depacketizer({ format: "mpv" });
 * const frames = depacketizer.push(new Uint8Array(0)); // none: not an RTP packet
 * frames.push(...depacketizer.flush());
 * ```
 */
export class Depacketizer {
  /** Counts what came and what did not. */
  readonly reception: Reception = new Reception(0);
  /** The interarrival jitter, where arrival times are given. */
  readonly jitter: Jitter = new Jitter();
  /** Datagrams that were no RTP packets of this source and type. */
  ignored = 0;

  readonly #options: z.output<typeof depacketizeOptions>;
  readonly #format: typeof RTP_FORMATS[RtpFormat]["format"];
  readonly #depth: number;
  #ssrc: number | null;
  readonly #sequences = new Unroller(16);
  readonly #timestamps = new Unroller(32);
  readonly #waiting = new Map<number, RtpPacket>();
  #next: number | null = null;
  #pending: Pending | null = null;
  #boundary = false; // the next packet in sequence begins a frame

  constructor(options: DepacketizeOptions) {
    this.#options = check(depacketizeOptions, options, "depacketize");
    this.#format = RTP_FORMATS[this.#options.format].format;
    this.#depth = this.#options.depth ?? DEPTH_DEFAULT;
    this.#ssrc = this.#options.ssrc ?? null;
    if (this.#options.sequence !== undefined) {
      this.#next = this.#sequences.unroll(this.#options.sequence);
      this.#boundary = true;
    }
  }

  /** Takes a datagram and its arrival (ms, for the jitter); returns the frames that it ends. */
  push(datagram: Uint8Array, arrival?: number): ReceivedFrame[] {
    const packet = parseRtp(datagram);
    if (!packet || !this.#isOurs(packet)) {
      this.ignored += 1;
      return [];
    }
    this.#ssrc = packet.ssrc;
    const known = this.reception.add(packet.sequence);
    if (known === "invalid") return [];
    if (arrival !== undefined) this.jitter.add(packet.timestamp, arrival);
    const frames: ReceivedFrame[] = [];
    if (known === "restart") { // what waits belongs to what was before
      while (this.#waiting.size > 0) this.#skip(frames);
      this.#wait(this.#sequences.restart(packet.sequence), packet);
      this.#skip(frames);
    } else {
      this.#wait(this.#sequences.unroll(packet.sequence), packet);
    }
    this.#release(frames);
    while (this.#waiting.size > this.#depth) this.#skip(frames);
    return frames;
  }

  /** The frames that are left when no more packets come. */
  flush(): ReceivedFrame[] {
    const frames: ReceivedFrame[] = [];
    while (this.#waiting.size > 0) this.#skip(frames);
    this.#close(frames, false);
    this.#boundary = false;
    return frames;
  }

  #isOurs(packet: RtpPacket): boolean {
    const { payloadType } = this.#options;
    return (this.#ssrc === null || packet.ssrc === this.#ssrc) &&
      (payloadType === undefined || packet.payloadType === payloadType);
  }

  #wait(sequence: number, packet: RtpPacket): void {
    this.#next ??= sequence;
    if (sequence >= this.#next && !this.#waiting.has(sequence)) {
      this.#waiting.set(sequence, packet);
    }
  }

  #release(frames: ReceivedFrame[]): void {
    for (let packet; (packet = this.#waiting.get(this.#next!)) !== undefined; this.#next! += 1) {
      this.#waiting.delete(this.#next!);
      this.#take({ sequence: this.#next!, packet }, 0, frames);
    }
  }

  /** Gives up what is missing before the first packet that waits. */
  #skip(frames: ReceivedFrame[]): void {
    let first = Infinity;
    for (const sequence of this.#waiting.keys()) first = Math.min(first, sequence);
    const packet = this.#waiting.get(first)!;
    this.#waiting.delete(first);
    const missing = first - this.#next!;
    this.#next = first + 1;
    this.#take({ sequence: first, packet }, missing, frames);
    this.#release(frames);
  }

  /** Takes the next packet in order, behind `missing` ones that never came. */
  #take(next: Ordered, missing: number, frames: ReceivedFrame[]): void {
    const { packet } = next;
    const marking = this.#options.marking === undefined
      ? null
      : frameMarking(packet, this.#options.marking);
    const opening = marking
      ? marking.start ? "certain" : "no"
      : this.#format.opening(packet.payload);
    if (missing > 0) this.#boundary = false;
    if (this.#pending) {
      const otherTime = packet.timestamp !== this.#pending.rtpTimestamp;
      const opensAnew = opening === "certain" && (missing > 0 || marking !== null);
      const full = this.#pending.packets >= FRAME_PACKETS_MAX;
      if (otherTime || opensAnew || full) {
        this.#pending.lost += missing;
        this.#close(frames, missing === 0 && !full);
      }
    }
    this.#pending ??= this.#begin(next, missing, opening);
    const pending = this.#pending;
    if (missing > 0 && pending.packets > 0) {
      pending.lost += missing;
      pending.runs[pending.runs.length - 1].tailLost = true;
      pending.runs.push({ payloads: [], headLost: true, tailLost: false });
    }
    pending.runs[pending.runs.length - 1].payloads.push(packet.payload);
    pending.packets += 1;
    const ends = marking ? marking.end : packet.marker && this.#options.format !== "mp2t";
    if (ends) this.#close(frames, true);
  }

  #begin(
    { sequence, packet }: Ordered,
    missing: number,
    opening: "certain" | "likely" | "no",
  ): Pending {
    const startKnown = this.#boundary || opening === "certain";
    return {
      sequence,
      packets: 0,
      lost: startKnown ? 0 : missing,
      timestamp: this.#timestamps.unroll(packet.timestamp),
      rtpTimestamp: packet.timestamp,
      opens: startKnown || opening === "likely",
      startKnown,
      runs: [{ payloads: [], headLost: !startKnown, tailLost: false }],
    };
  }

  #close(frames: ReceivedFrame[], endKnown: boolean): void {
    const pending = this.#pending;
    this.#pending = null;
    this.#boundary = endKnown;
    if (!pending) return;
    const { sequence, packets, lost, timestamp, opens, startKnown, runs } = pending;
    runs[runs.length - 1].tailLost = !endKnown;
    const { data, intact } = this.#format.join(runs);
    frames.push({
      data,
      timestamp,
      pts: timestamp / (RTP_CLOCK_HZ / 1000),
      sequence,
      packets,
      lost,
      complete: startKnown && endKnown && lost === 0 && intact,
      opens,
    });
  }
}
