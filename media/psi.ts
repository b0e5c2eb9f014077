/**
 * The tables of a transport stream (ISO/IEC 13818-1 section 2.4.4): the program association table
 * (PID 0) says where each program's map is, and the map which PID carries what.
 */

import type { VideoCodec } from "./frame.ts";

export const PAT_PID = 0;
const PAT_TABLE = 0;
const PMT_TABLE = 2;
/** A section of these tables, bytes (sections 2.4.4.4 and 2.4.4.9). */
const SECTION_BYTES_MAX = 1024;
const CRC_BYTES = 4;

const TAG_REGISTRATION = 0x05;
const TAG_AC3 = 0x6a;
const TAG_SUBTITLES = 0x59;
const TAG_TELETEXT = 0x56;

/** What a stream_type stands for (table 2-34). */
const STREAM_TYPES: Record<number, string> = {
  0x01: "MPEG-1 video",
  0x02: "MPEG-2 video",
  0x03: "MPEG-1 audio",
  0x04: "MPEG-2 audio",
  0x06: "private data",
  0x0f: "AAC audio",
  0x10: "MPEG-4 part 2 video",
  0x11: "AAC audio (LATM)",
  0x15: "metadata",
  0x1b: "H.264 video",
  0x20: "H.264 video (MVC)",
  0x21: "JPEG 2000 video",
  0x24: "H.265 video",
  0x33: "H.266 video",
  0x42: "AVS video",
  0x81: "AC-3 audio",
  0x86: "SCTE-35 cues",
  0x87: "E-AC-3 audio",
  0xd1: "Dirac video",
  0xea: "VC-1 video",
};
const VIDEO_TYPES: Record<number, VideoCodec> = { 0x01: "mpeg1", 0x02: "mpeg2", 0x1b: "h264" };

/** A program and the PID of its map. */
export interface ProgramEntry {
  program: number;
  pid: number;
}

/** An elementary stream of a program; `video` is null for what is not turned into frames. */
export interface StreamEntry {
  pid: number;
  codec: string;
  video: VideoCodec | null;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let i = 0; i < 8; i++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc >>> 0;
});

/** CRC-32 of MPEG (annex A): 0 over a section with its checksum. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = ((crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]) >>> 0;
  return crc;
}

/** Gathers the sections that one PID carries across packets. */
export class SectionReader {
  #bytes: number[] | null = null;

  /** Bytes are missing: what has been gathered is worth nothing. */
  reset(): void {
    this.#bytes = null;
  }

  /** Takes a packet's payload; returns the sections that are complete with it. */
  push(payload: Uint8Array, starts: boolean): Uint8Array[] {
    const sections: Uint8Array[] = [];
    let at = 0;
    if (starts) {
      const pointer = payload[0] ?? 0;
      this.#gather(payload.subarray(1, 1 + pointer), sections);
      this.#bytes = [];
      at = 1 + pointer;
    }
    this.#gather(payload.subarray(at), sections);
    return sections;
  }

  #gather(part: Uint8Array, sections: Uint8Array[]): void {
    for (const byte of part) {
      const bytes = this.#bytes;
      if (bytes === null) return;
      if (bytes.length === 0 && byte === 0xff) return; // stuffing up to the packet's end
      bytes.push(byte);
      if (bytes.length < 3) continue;
      const length = 3 + ((bytes[1] & 0x0f) << 8 | bytes[2]);
      if (length > SECTION_BYTES_MAX) this.#bytes = null;
      else if (bytes.length >= length) {
        sections.push(Uint8Array.from(bytes));
        this.#bytes = [];
      }
    }
  }
}

/** The body of a current section of this table; "other" if it is another, null if damaged. */
function sectionBody(section: Uint8Array, table: number): Uint8Array | "other" | null {
  if (section.length < 8 + CRC_BYTES || crc32(section) !== 0) return null;
  if (section[0] !== table || (section[5] & 1) === 0) return "other";
  return section.subarray(8, section.length - CRC_BYTES);
}

/** Reads a section of the program association table. */
export function parseProgramAssociation(section: Uint8Array): ProgramEntry[] | "other" | null {
  const body = sectionBody(section, PAT_TABLE);
  if (body === null || body === "other") return body;
  const programs: ProgramEntry[] = [];
  for (let at = 0; at + 4 <= body.length; at += 4) {
    const program = (body[at] << 8) | body[at + 1];
    const pid = ((body[at + 2] & 0x1f) << 8) | body[at + 3];
    if (program !== 0) programs.push({ program, pid }); // 0 is the network table
  }
  return programs;
}

/** Reads a section of a program's map. */
export function parseProgramMap(
  section: Uint8Array,
): { program: number; streams: StreamEntry[] } | "other" | null {
  const body = sectionBody(section, PMT_TABLE);
  if (body === null || body === "other") return body;
  const streams: StreamEntry[] = [];
  let at = 4 + ((body[2] & 0x0f) << 8 | body[3]);
  while (at + 5 <= body.length) {
    const type = body[at];
    const pid = ((body[at + 1] & 0x1f) << 8) | body[at + 2];
    const length = (body[at + 3] & 0x0f) << 8 | body[at + 4];
    const descriptors = body.subarray(at + 5, at + 5 + length);
    streams.push({ pid, codec: codecName(type, descriptors), video: VIDEO_TYPES[type] ?? null });
    at += 5 + length;
  }
  return { program: (section[3] << 8) | section[4], streams };
}

function codecName(type: number, descriptors: Uint8Array): string {
  const name = STREAM_TYPES[type] ?? `stream type 0x${type.toString(16)}`;
  if (type !== 0x06) return name;
  for (let at = 0; at + 2 <= descriptors.length; at += 2 + descriptors[at + 1]) {
    const tag = descriptors[at];
    if (tag === TAG_AC3) return "AC-3 audio";
    if (tag === TAG_SUBTITLES) return "subtitles";
    if (tag === TAG_TELETEXT) return "teletext";
    if (tag === TAG_REGISTRATION) {
      const format = String.fromCharCode(...descriptors.subarray(at + 2, at + 6));
      if (/^[\w-]+$/.test(format)) return `private data (${format})`;
    }
  }
  return name;
}
