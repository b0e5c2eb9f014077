/**
 * What arrived of a video: packets lost, reordered and twice, jitter, and frames by type, whole or
 * not. Loss and jitter are counted as RFC 3550 says (A.3, A.8), reordering and duplicates by a
 * window over the last sequence numbers. With B pictures the timestamps are not in the order of
 * sending, and A.8 counts that as jitter too.
 *
 * A frame is whole when all its packets came. Its type is in its first bytes, so an incomplete frame
 * may have none: "?". Frames of which nothing came are seen only as gaps, whether the sender dropped
 * them or the network did.
 */

import {
  Demuxer,
  Depacketizer,
  FrameParser,
  parseRtp,
  type ReceivedFrame,
  type RtpFormat,
  Unroller,
} from "../../mod.ts";

/** Frames of one type of picture. */
export interface TypeCounts {
  whole: number;
  incomplete: number;
}

/** The counts at a moment. */
export interface Arrived {
  frames: Record<string, TypeCounts>;
  packets: number;
  bytes: number;
  /** Packets missing; duplicates do not make up for them, as they do in RFC 3550. */
  lost: number;
  /** The share of packets missing since the last call, 0 to 1. */
  fractionLost: number;
  /** Runs of missing packets, as they were first seen. */
  gaps: number;
  reordered: number;
  duplicates: number;
  /** Milliseconds. */
  jitter: number;
}

/** The sequence numbers that are remembered, to tell a late packet from one that came twice. */
const REMEMBERED_MAX = 4096;

/** Puts the frames of one stream together, and counts. */
export class Arrivals {
  readonly depacketizer: Depacketizer;
  readonly #format: RtpFormat;
  readonly #frames: Record<string, TypeCounts> = {};
  readonly #sequences = new Unroller(16);
  readonly #remembered = new Set<number>();
  /** Of a transport stream, which has its frames within; null if they are not understood. */
  #inner: { demuxer: Demuxer; parser: FrameParser } | null;
  #highest: number | null = null;
  #packets = 0;
  #bytes = 0;
  #gaps = 0;
  #reordered = 0;
  #duplicates = 0;

  constructor(format: RtpFormat, payloadType: number | undefined, marking: number) {
    this.#format = format;
    this.depacketizer = new Depacketizer({
      format,
      marking,
      ...(payloadType !== undefined && { payloadType }),
    });
    this.#inner = format === "mp2t" ? { demuxer: new Demuxer(), parser: new FrameParser() } : null;
  }

  /** Takes a datagram and its arrival in ms; returns the frames that are whole now. */
  push(datagram: Uint8Array, arrival: number): ReceivedFrame[] {
    const { ignored } = this.depacketizer;
    const frames = this.depacketizer.push(datagram, arrival);
    if (this.depacketizer.ignored > ignored) return [];
    this.#packets += 1;
    this.#bytes += datagram.length;
    this.#order(parseRtp(datagram)!.sequence);
    return this.#count(frames);
  }

  /** The frames that are left at the end. */
  flush(): ReceivedFrame[] {
    const frames = this.#count(this.depacketizer.flush());
    if (this.#packets > 0) this.#look(null, true);
    return frames;
  }

  /** The counts so far. */
  read(): Arrived {
    const { reception, jitter } = this.depacketizer;
    return {
      frames: structuredClone(this.#frames),
      packets: this.#packets,
      bytes: this.#bytes,
      lost: Math.max(0, reception.expected - this.#packets + this.#duplicates),
      fractionLost: reception.takeFractionLost(),
      gaps: this.#gaps,
      reordered: this.#reordered,
      duplicates: this.#duplicates,
      jitter: jitter.ms,
    };
  }

  #order(sequence: number): void {
    const unrolled = this.#sequences.unroll(sequence);
    const highest = this.#highest ?? unrolled - 1;
    if (unrolled > highest) {
      if (unrolled > highest + 1) this.#gaps += 1;
      this.#highest = unrolled;
    } else if (this.#remembered.has(unrolled)) {
      this.#duplicates += 1;
      return;
    } else {
      this.#reordered += 1;
    }
    this.#remembered.add(unrolled);
    if (this.#remembered.size > REMEMBERED_MAX) {
      for (const oldest of this.#remembered) {
        this.#remembered.delete(oldest);
        break;
      }
    }
  }

  /** Counts frames by type; returns the whole ones. */
  #count(frames: ReceivedFrame[]): ReceivedFrame[] {
    for (const { data, complete } of frames) {
      if (this.#format === "mp2t") this.#look(data, complete);
      else this.#add([{ type: this.#type(data), damaged: !complete }]);
    }
    return frames.filter(({ complete }) => complete);
  }

  /** Counts the frames within a piece of a transport stream; null is its end. */
  #look(data: Uint8Array | null, complete: boolean): void {
    if (this.#inner) {
      const { demuxer, parser } = this.#inner;
      try {
        const chunks = data ? demuxer.push(data) : demuxer.end();
        this.#add(chunks.flatMap((chunk) => parser.push(chunk)));
        if (data === null) this.#add(parser.end());
        return;
      } catch { // no video that is understood: its packets are counted all the same
        this.#inner = null;
      }
    }
    if (data && this.#format === "mp2t") this.#add([{ type: "?", damaged: !complete }]);
  }

  #add(frames: readonly { type: string; damaged: boolean }[]): void {
    for (const { type, damaged } of frames) {
      const counts = this.#frames[type] ??= { whole: 0, incomplete: 0 };
      counts[damaged ? "incomplete" : "whole"] += 1;
    }
  }

  /** The type of picture that an access unit, or what is left of it, holds. */
  #type(data: Uint8Array): string {
    const codec = this.#format === "h264" ? "h264" : "mpeg2";
    const parser = new FrameParser(); // with no memory of frames before, which may have been lost
    const chunk = { codec, data, pts: null, dts: null, damaged: false, whole: true } as const;
    return [...parser.push(chunk), ...parser.end()][0]?.type ?? "?";
  }
}
