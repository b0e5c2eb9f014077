/**
 * MPEG program streams, of MPEG-2 (ISO/IEC 13818-1 section 2.5) and MPEG-1 (ISO/IEC 11172-1): packs
 * of PES packets, each with a start code that elementary video never contains, and a length.
 *
 * A packet counts as sound if a start code follows it. If none does, its length is wrong or bytes
 * are missing: it then ends at the first such start code within it. The first video stream is
 * taken, and every other stream is reported as skipped.
 */

import { findStartCode } from "./annexb.ts";
import type { ElementaryChunk, VideoCodec } from "./frame.ts";
import { parsePesHeader, StampUnwrapper } from "./pes.ts";
import { MediaReport } from "./report.ts";

export const PACK = 0xba;
const PROGRAM_END = 0xb9;
const PRIVATE_1 = 0xbd;
/** Start codes from here on are those of a program stream, not of video. */
export const SYSTEM_CODE_FIRST = 0xb9;
const VIDEO_FIRST = 0xe0;
const VIDEO_LAST = 0xef;
const AUDIO_FIRST = 0xc0;
const AUDIO_LAST = 0xdf;
const LENGTH_FIELD_END = 6;
const PACK_BYTES_MPEG1 = 12;
const PACK_BYTES_MPEG2 = 14;

/**
 * Takes the video out of a program stream; a synchronous core of `demux()`.
 */
export class PsDemuxer {
  readonly #report: MediaReport;
  readonly #codec: VideoCodec;
  readonly #unwrapper = new StampUnwrapper();
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #unsyncedBytes = 0;
  #damaged = false;
  #video = -1;
  #chunks: ElementaryChunk[] = [];

  /** @param options.codec what the video is coded in; the container does not say */
  constructor(options: { report?: MediaReport; codec?: VideoCodec } = {}) {
    this.#report = options.report ?? new MediaReport();
    this.#codec = options.codec ?? "mpeg2";
  }

  /** Takes a piece of the file and returns the video in it. */
  push(bytes: Uint8Array): ElementaryChunk[] {
    const rest = this.#bytes.subarray(this.#at);
    this.#bytes = new Uint8Array(rest.length + bytes.length);
    this.#bytes.set(rest);
    this.#bytes.set(bytes, rest.length);
    this.#at = 0;
    return this.#read(false);
  }

  /** The file is over: returns the last video in it. */
  end(): ElementaryChunk[] {
    const chunks = this.#read(true);
    if (this.#video >= 0) return chunks;
    const skipped = this.#report.skipped.map(({ codec }) => codec).join(", ") || "nothing else";
    throw new Error(`Cannot read program stream: it must carry video, but it has ${skipped}`);
  }

  #read(final: boolean): ElementaryChunk[] {
    while (this.#at < this.#bytes.length) {
      const bytes = this.#bytes.subarray(this.#at);
      const code = systemCode(bytes, 0);
      const used = code === 0 ? this.#seek(bytes, final) : this.#system(bytes, final);
      if (used === 0) break;
      this.#at += used;
    }
    if (final) this.#endUnsynced();
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks;
  }

  /** Passes over what is no packet; returns its bytes, 0 if more are needed to tell. */
  #seek(bytes: Uint8Array, final: boolean): number {
    let used = nextSystemCode(bytes, 0);
    if (used < 0) used = final ? bytes.length : Math.max(bytes.length - 3, 0);
    for (let i = 0; i < used; i++) {
      // Zeros may stand before any start code.
      if (bytes[i] !== 0 || this.#unsyncedBytes > 0) this.#unsyncedBytes += 1;
    }
    return used;
  }

  #endUnsynced(): void {
    if (this.#unsyncedBytes === 0) return;
    this.#lose("sync", this.#unsyncedBytes, `no packet within ${this.#unsyncedBytes} bytes`);
    this.#unsyncedBytes = 0;
  }

  #lose(kind: "sync" | "packet" | "scrambled" | "truncated", bytes: number, detail: string): void {
    this.#report.lost(kind, bytes, detail);
    this.#damaged = true;
  }

  /** Takes one pack header or packet; returns its bytes, 0 if more are needed. */
  #system(bytes: Uint8Array, final: boolean): number {
    this.#endUnsynced();
    const code = bytes[3];
    if (code === PROGRAM_END) return 4;
    if (code === PACK) return packBytes(bytes) ?? (final ? bytes.length : 0);
    let length = LENGTH_FIELD_END + (bytes[4] << 8 | bytes[5]);
    const there = bytes.length >= LENGTH_FIELD_END && bytes.length >= length + 4;
    if (!there && !final) return 0;
    const intact = bytes.length <= length ? bytes.length === length : systemCode(bytes, length) > 0;
    if (!intact && bytes.subarray(length, length + 4).some((byte) => byte !== 0)) {
      const inner = nextSystemCode(bytes.subarray(0, length), 4);
      if (inner > 0) length = inner;
      this.#lose("packet", 0, "PES packet: no other one follows where it should end");
    } else if (bytes.length < length) this.#lose("truncated", 0, "the last packet is cut off");
    this.#packet(bytes.subarray(0, Math.min(length, bytes.length)));
    return Math.min(length, bytes.length);
  }

  #packet(packet: Uint8Array): void {
    const id = packet[3];
    if (id < VIDEO_FIRST || id > VIDEO_LAST) {
      if (id === PRIVATE_1) this.#report.skip(id, "private data (AC-3, DTS or PCM audio)");
      else if (id >= AUDIO_FIRST && id <= AUDIO_LAST) this.#report.skip(id, "MPEG audio");
      return;
    }
    if (this.#video < 0) this.#video = id;
    if (this.#video !== id) return this.#report.skip(id, "video");
    const header = parsePesHeader(packet);
    if (header === null || header === "more") {
      return this.#lose("packet", packet.length, "PES packet: bad header");
    }
    if (header.scrambled) return this.#lose("scrambled", packet.length, "PES packet: scrambled");
    this.#chunks.push({
      codec: this.#codec,
      data: packet.subarray(header.dataAt),
      ...this.#unwrapper.times(header),
      damaged: this.#damaged,
      timed: true,
    });
    this.#damaged = false;
  }
}

/** The start code at `at` if it is one of a program stream, else 0. */
function systemCode(bytes: Uint8Array, at: number): number {
  const found = bytes[at] === 0 && bytes[at + 1] === 0 && bytes[at + 2] === 1;
  return found && bytes[at + 3] >= SYSTEM_CODE_FIRST ? bytes[at + 3] : 0;
}

/** Index of the first start code of a program stream at or after `from`, or -1. */
function nextSystemCode(bytes: Uint8Array, from: number): number {
  let at = findStartCode(bytes, from);
  while (at >= 0 && systemCode(bytes, at) === 0) at = findStartCode(bytes, at + 3);
  return at;
}

/** Length of a pack header; null if it is not all there. */
function packBytes(bytes: Uint8Array): number | null {
  if (bytes.length < PACK_BYTES_MPEG2) return null;
  if ((bytes[4] & 0xc0) !== 0x40) return PACK_BYTES_MPEG1;
  return PACK_BYTES_MPEG2 + (bytes[13] & 7);
}
