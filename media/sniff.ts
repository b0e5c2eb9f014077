/**
 * What an input is, by its first bytes: the layout of its container, or else the first start code
 * with a valid header behind it. The answer depends on the bytes alone, not on how they are cut:
 * it is sought in the first 4 KiB, then in the first 8, and so on up to `SNIFF_BYTES_MAX`.
 */

import { findStartCode } from "./annexb.ts";
import type { VideoCodec } from "./frame.ts";
import { parseSequenceHeader } from "./mpeg2.ts";
import { PACK, SYSTEM_CODE_FIRST } from "./mpegps.ts";
import { SYNC_BYTE, TS_PERIODS } from "./mpegts.ts";
import { parseSequenceParameters, parseSliceHeader } from "./parameterset.ts";

/** So much of an input is searched for something known. */
export const SNIFF_BYTES_MAX = 1024 * 1024;
/** The first look is taken at so much. */
export const SNIFF_BYTES_MIN = 4 * 1024;
/** Transport packets in a row that make a transport stream. */
const SYNC_PACKETS = 5;
const NAL_BYTES_MAX = 512;
/** NAL unit types of H.264 video with their forbidden_zero_bit: slices, and all that are in use. */
const SLICE_TYPES = new Set([1, 5]);
const NAL_TYPES = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20]);
const NAL_SHARE_MIN = 0.9;

/** A container, or a bare elementary stream. */
export type Container = "MPEG-TS" | "MPEG-PS" | "MP4" | "Matroska" | "elementary stream";

/** What an input was found to be. */
export interface Sniffed {
  container: Container;
  /** Of a bare elementary stream, and of what a program stream carries. */
  codec: VideoCodec | null;
}

const MP4_BOXES = new Set(["ftyp", "styp", "moov", "moof", "mdat", "free", "skip", "wide"]);

/** Magic bytes of what is often mistaken for a video this library reads. */
const OTHERS: [string, number[]][] = [
  ["a PNG image", [0x89, 0x50, 0x4e, 0x47]],
  ["a JPEG image", [0xff, 0xd8, 0xff]],
  ["a GIF image", [0x47, 0x49, 0x46, 0x38]],
  ["a RIFF file (AVI, WAV or WebP)", [0x52, 0x49, 0x46, 0x46]],
  ["an Ogg file", [0x4f, 0x67, 0x67, 0x53]],
  ["an FLV file", [0x46, 0x4c, 0x56, 0x01]],
  ["an ASF file (WMV)", [0x30, 0x26, 0xb2, 0x75]],
  ["a PDF document", [0x25, 0x50, 0x44, 0x46]],
  ["a ZIP archive", [0x50, 0x4b, 0x03, 0x04]],
  ["a gzip file", [0x1f, 0x8b]],
  ["an ELF program", [0x7f, 0x45, 0x4c, 0x46]],
  ["an MP3 file", [0x49, 0x44, 0x33]],
];

/**
 * Says what an input is, from its first bytes; null if more are needed to tell. With `final` the
 * bytes are the whole input. Throws an `Error` that says what was found instead of video.
 */
export function sniff(bytes: Uint8Array, final: boolean): Sniffed | null {
  if (bytes.length === 0) {
    if (!final) return null;
    throw new Error("Cannot read video: the input is empty");
  }
  for (let size = SNIFF_BYTES_MIN; size <= SNIFF_BYTES_MAX; size *= 2) {
    const all = final && bytes.length <= size;
    if (bytes.length < size && !all) return null;
    const found = sniffWindow(bytes.subarray(0, size), all);
    if (found !== null) return found;
    if (all) break;
  }
  throw notVideo(bytes);
}

function sniffWindow(bytes: Uint8Array, all: boolean): Sniffed | null {
  const container = containerByMagic(bytes);
  if (container !== null) return { container, codec: null };
  if (isText(bytes) || OTHERS.some(([, magic]) => startsWith(bytes, magic))) throw notVideo(bytes);
  if (isTransportStream(bytes, all)) return { container: "MPEG-TS", codec: null };
  return sniffStartCodes(bytes, all || bytes.length === SNIFF_BYTES_MAX);
}

/** Whether a file is of the kind that is read by its tables, by its first 8 bytes. */
export function containerByMagic(bytes: Uint8Array): "MP4" | "Matroska" | null {
  if (MP4_BOXES.has(String.fromCharCode(...bytes.subarray(4, 8)))) return "MP4";
  return startsWith(bytes, [0x1a, 0x45, 0xdf, 0xa3]) ? "Matroska" : null;
}

function startsWith(bytes: Uint8Array, magic: number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, i) => bytes[i] === byte);
}

function isTransportStream(bytes: Uint8Array, all: boolean): boolean {
  for (let at = bytes.indexOf(SYNC_BYTE); at >= 0; at = bytes.indexOf(SYNC_BYTE, at + 1)) {
    for (const period of TS_PERIODS) {
      let packets = 0;
      while (packets < SYNC_PACKETS && bytes[at + packets * period] === SYNC_BYTE) packets += 1;
      if (packets === SYNC_PACKETS) return true;
      const short = all && at <= 4 && packets >= 2 && at + packets * period >= bytes.length;
      if (short) return true;
    }
  }
  return false;
}

/**
 * The first start code that has a valid header decides. Without one, where `all` has been seen,
 * slices of H.264 do if hardly anything else is there: their parameter sets may have been lost.
 */
function sniffStartCodes(bytes: Uint8Array, all: boolean): Sniffed | null {
  let codes = 0;
  let slices = 0;
  let units = 0;
  let packed = false;
  let picture = false;
  const found = (codec: VideoCodec | null): Sniffed => ({
    container: packed ? "MPEG-PS" : "elementary stream",
    codec,
  });
  for (let at = findStartCode(bytes, 0); at >= 0; at = findStartCode(bytes, at + 3)) {
    const body = bytes.subarray(at + 3, at + 3 + NAL_BYTES_MAX);
    const code = body[0];
    if (code < SYSTEM_CODE_FIRST) codes += 1;
    if (NAL_TYPES.has(code & 0x9f)) units += 1;
    if (SLICE_TYPES.has(code & 0x9f) && isFirstSlice(body)) slices += 1;
    if (code === PACK && ((body[1] & 0xc4) === 0x44 || (body[1] & 0xf1) === 0x21)) packed = true;
    else if (code === 0xb3 && parseSequenceHeader(body) !== null) return found("mpeg2");
    else if (code === 0x00 && body.length >= 5) {
      const coding = (body[2] >> 3) & 7;
      picture = coding >= 1 && coding <= 4;
    } else if (picture && (code === 1 || (code === 0xb5 && body[1] >> 4 === 8))) {
      return found("mpeg2"); // a picture header and what must follow it
    } else if ((code === 0x40 || code === 0x42) && body[1] === 1) {
      throw new Error(
        "Cannot read video: it must be MPEG-1, MPEG-2 or H.264, but it is H.265 (HEVC)",
      );
    } else if ((code & 0x9f) === 7 && (code & 0x60) !== 0) {
      const next = findStartCode(body, 1);
      const nal = next < 0 ? body : body.subarray(0, next);
      if (parseSequenceParameters(nal) !== null) return found("h264");
    }
  }
  return all && slices > 0 && units >= codes * NAL_SHARE_MIN ? found("h264") : null;
}

function isFirstSlice(nal: Uint8Array): boolean {
  return parseSliceHeader(nal, new Map(), new Map())?.firstMacroblock === 0;
}

function isText(bytes: Uint8Array): boolean {
  const controls = [9, 10, 13];
  return bytes.subarray(0, SNIFF_BYTES_MIN).every((byte) =>
    (byte >= 32 && byte < 127) || controls.includes(byte)
  );
}

function notVideo(bytes: Uint8Array): Error {
  const other = OTHERS.find(([, magic]) => startsWith(bytes, magic));
  const first = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0"));
  const what = other ? other[0] : isText(bytes) ? "text" : null;
  return new Error(
    "Cannot read video: the input must be MPEG-TS, MPEG-PS, MP4, Matroska, MPEG-1/2 video or " +
      `H.264 Annex B, but it ${what ? `is ${what}` : `begins with ${first.join(" ")}`}`,
  );
}
