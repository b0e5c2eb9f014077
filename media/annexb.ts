/**
 * Byte streams of start codes, as MPEG-1, MPEG-2 (ISO/IEC 13818-2 section 5.2) and H.264 (Annex B)
 * have them: every unit begins with 00 00 01 and one byte that says what it is, and these three
 * bytes occur nowhere else.
 *
 * The reader keeps what is not yet part of a finished access unit in one growing block. A unit is
 * handed out once its header is there (or the next start code, or the end), so that the outcome
 * depends on the bytes alone and not on how they were cut. Blocks are never written twice: an
 * access unit is a view of its block and stays valid for as long as the caller keeps it.
 */

import type { ElementaryChunk } from "./frame.ts";
import type { MediaReport } from "./report.ts";

/** Largest access unit, bytes: four times the largest coded picture of H.264 level 5.1 at 60 Hz. */
export const ACCESS_UNIT_BYTES_MAX = 16 * 1024 * 1024;

/** Largest part of a unit that is shown to a parser, bytes. */
export const UNIT_HEADER_BYTES_MAX = 64 * 1024;

const BLOCK_BYTES_MIN = 256 * 1024;

/** A start code and what follows it. */
export interface Unit {
  /** Where an access unit that starts with this unit begins, in bytes from the stream's start. */
  at: number;
  /** Where the start code is: `at`, or one later if a zero byte before it is part of it. */
  codeAt: number;
  /** The byte after 00 00 01, then as much of the unit as was asked for. */
  body: Uint8Array;
}

/** Times of one access unit as the container gives them, ms. */
export interface Stamp {
  pts: number | null;
  dts: number | null;
}

/** The bytes of one access unit. */
export interface UnitRun {
  data: Uint8Array;
  /** The container's times for it, if any. */
  stamp: Stamp | null;
  damaged: boolean;
}

/** Options of the parsers of elementary streams. */
export interface ParserOptions {
  /** Takes note of what is lost. */
  report?: MediaReport;
  /** Larger access units are thrown away and reported, bytes. @default ACCESS_UNIT_BYTES_MAX */
  accessUnitBytesMax?: number;
}

/** How a codec uses start codes. */
export interface UnitReaderOptions {
  report: MediaReport;
  /** How much of a unit its parser wants to see, bytes, given its first byte. */
  headerBytes: (code: number) => number;
  /** A zero byte before 00 00 01 belongs to the start code (H.264 B.1.1). */
  zeroByte: boolean;
  /** @default ACCESS_UNIT_BYTES_MAX */
  accessUnitBytesMax?: number;
}

/** Index of the first 00 00 01 at or after `from`, or -1. */
export function findStartCode(bytes: Uint8Array, from: number): number {
  // The last byte is the rarest to find by chance that a native search can look for.
  let one = bytes.indexOf(1, from + 2);
  while (one >= 0) {
    if (bytes[one - 1] === 0 && bytes[one - 2] === 0) return one - 2;
    one = bytes.indexOf(1, one + 1);
  }
  return -1;
}

/** Cuts a stream into units, and units into access units where its owner says. */
export class UnitReader {
  readonly #options: UnitReaderOptions;
  readonly #bytesMax: number;
  #block = new Uint8Array(0);
  #bytes = this.#block; // the filled part of #block
  #base = 0; // stream position of #block[0]
  #start = 0; // first byte of the access unit in progress
  #code = -1; // start code not yet handed out
  #from = 0; // where to look for the next one
  #oversizeBytes = 0; // already thrown away of the access unit in progress
  readonly #stamps: { at: number; stamp: Stamp }[] = [];
  readonly #damages: number[] = [];

  constructor(options: UnitReaderOptions) {
    this.#options = options;
    this.#bytesMax = options.accessUnitBytesMax ?? ACCESS_UNIT_BYTES_MAX;
  }

  /** Stream position behind the last byte. */
  get end(): number {
    return this.#base + this.#bytes.length;
  }

  /** Stream position of the access unit in progress. */
  get start(): number {
    return this.#base + this.#start;
  }

  append(chunk: ElementaryChunk): void {
    if (chunk.damaged) this.#damages.push(this.end);
    if (chunk.pts !== null) {
      this.#stamps.push({ at: this.end, stamp: { pts: chunk.pts, dts: chunk.dts } });
    }
    const filled = this.#bytes.length;
    const { data } = chunk;
    if (filled + data.length > this.#block.length) this.#move(data.length);
    this.#block.set(data, this.#bytes.length);
    this.#bytes = this.#block.subarray(0, this.#bytes.length + data.length);
  }

  /** The next unit whose header is there; null if more bytes are needed, or at the end. */
  next(final: boolean): Unit | null {
    if (this.#code < 0) {
      this.#code = findStartCode(this.#bytes, this.#from);
      if (this.#code < 0) {
        this.#from = Math.max(this.#from, this.#bytes.length - 2);
        // One byte more stays for a zero byte before the next start code.
        if (this.#tooLarge(this.#from - 1)) this.#shed(this.#from - 1);
        return null;
      }
      this.#from = this.#code + 3;
    }
    const first = this.#code + 3;
    const length = this.#bytes.length;
    if (first >= length) return null;
    const wanted = Math.min(this.#options.headerBytes(this.#bytes[first]), UNIT_HEADER_BYTES_MAX);
    const limit = first + Math.max(wanted, 1);
    const next = findStartCode(this.#bytes, this.#from);
    if (next >= 0 && next < limit) return this.#unit(next, next);
    if (length >= limit + 2) return this.#unit(limit, -1, next);
    if (final) return this.#unit(length, -1);
    this.#from = Math.max(this.#from, length - 2);
    return null;
  }

  /**
   * Ends the access unit in progress before stream position `at`. Its stamp is the last one given
   * for a byte up to `startsAt`, where it commences in the container's sense. Returns null for an
   * access unit that was too large.
   */
  take(at: number, startsAt: number): UnitRun | null {
    const end = Math.max(at - this.#base, this.#start);
    const bytes = end - this.#start + this.#oversizeBytes;
    const data = this.#bytes.subarray(this.#start, end);
    this.#start = end;
    let stamp: Stamp | null = null;
    while (this.#stamps.length > 0 && this.#stamps[0].at <= startsAt) {
      stamp = this.#stamps.shift()!.stamp;
    }
    // A loss exactly between two access units may have taken from either, so it marks both.
    const damaged = this.#damages.length > 0 && this.#damages[0] <= at;
    while (this.#damages.length > 0 && this.#damages[0] < at) this.#damages.shift();
    if (bytes <= this.#bytesMax) return { data, stamp, damaged };
    this.#oversizeBytes = 0;
    const detail = `access unit of ${bytes} bytes, the limit is ${this.#bytesMax}`;
    this.#options.report.lost("oversize", bytes, detail);
    this.damage(this.#base + end);
    return null;
  }

  /** Throws away what stands before stream position `at`; returns how many bytes that was. */
  skipTo(at: number): number {
    const end = Math.max(at - this.#base, this.#start);
    const bytes = end - this.#start + this.#oversizeBytes;
    this.#start = end;
    this.#oversizeBytes = 0;
    return bytes;
  }

  /** Whether only zeros stand before stream position `at`; these may precede any start code. */
  zerosBefore(at: number): boolean {
    const skipped = this.#bytes.subarray(this.#start, at - this.#base);
    return this.#oversizeBytes === 0 && skipped.every((byte) => byte === 0);
  }

  /** Marks the access unit that holds stream position `at` as damaged. */
  damage(at: number): void {
    let i = this.#damages.length;
    while (i > 0 && this.#damages[i - 1] > at) i -= 1;
    if (this.#damages[i - 1] !== at) this.#damages.splice(i, 0, at);
  }

  /** Makes a unit of the pending start code, whose header ends at `end`. */
  #unit(end: number, nextCode: number, nextFound = -1): Unit {
    const code = this.#code;
    const body = this.#bytes.subarray(code + 3, end);
    this.#code = nextCode >= 0 ? nextCode : nextFound;
    if (this.#code >= 0) this.#from = this.#code + 3;
    else this.#from = Math.max(this.#from, nextFound < 0 ? this.#bytes.length - 2 : end, code + 3);
    const zero = this.#options.zeroByte && code > this.#start && this.#bytes[code - 1] === 0;
    const begin = zero ? code - 1 : code;
    if (this.#tooLarge(begin)) this.#shed(begin);
    return { at: this.#base + begin, codeAt: this.#base + code, body };
  }

  #tooLarge(end: number): boolean {
    return end - this.#start + this.#oversizeBytes > this.#bytesMax;
  }

  /** Gives up the bytes before `end`: the access unit in progress is too large already. */
  #shed(end: number): void {
    this.#oversizeBytes += end - this.#start;
    this.#start = end;
  }

  /** Moves what is still needed into a new block with room for `more` bytes. */
  #move(more: number): void {
    const live = this.#bytes.subarray(this.#start);
    const block = new Uint8Array(Math.max(BLOCK_BYTES_MIN, 2 * (live.length + more)));
    block.set(live);
    this.#base += this.#start;
    this.#from -= this.#start;
    if (this.#code >= 0) this.#code -= this.#start;
    this.#start = 0;
    this.#block = block;
    this.#bytes = block.subarray(0, live.length);
  }
}
