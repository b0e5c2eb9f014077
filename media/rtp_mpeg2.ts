/**
 * MPEG-1 and MPEG-2 video in RTP, RFC 2250: as an elementary stream (section 3, static payload type
 * 32) and as a transport stream (section 2, static payload type 33).
 *
 * Elementary stream. Every payload begins with a header of 4 bytes (3.4) that repeats what of the
 * picture header a receiver needs, and for MPEG-2 with 4 more (3.4.1, T = 1), so that the loss of
 * the packet with the picture header need not cost the picture. The rules of 3.1 for the cuts:
 *
 * - a sequence header begins a payload; a GOP header begins one or follows a sequence header; a
 *   picture header begins one or follows a GOP header; a header is not cut if it fits at all;
 * - a slice begins a payload (after headers), or follows whole slices. So a payload with the rest
 *   of a slice holds nothing else, and after a loss the next slice is found without a search;
 * - B is set when a slice begins the payload, at most with headers before it, and E when its last
 *   byte ends a slice.
 *
 * Whole slices share a payload as long as they fit. A slice is cut only when no payload could hold
 * it; then the headers before it, if any, share its first part, and all parts but the last can have
 * one size, which lets them leave as one segmented datagram.
 *
 * The extension has two optional tails, the composite display information (D) and a list of further
 * extensions (E). Both are read here and never written: they are optional, and decoders in wide
 * use take them for picture data. A picture with composite display information is therefore sent
 * without the extension, which is optional too.
 *
 * Back: packets before a gap are cut after their last whole slice, and packets after it are skipped
 * up to one that begins a slice (B) or a header.
 *
 * Transport stream: a payload is a whole number of 188-byte packets, 7 at most by custom. There
 * is no mark at the end of a frame: the marker bit means that the timestamps jump (section 2).
 */

import { findStartCode } from "./annexb.ts";
import { concatenate, partBytes } from "./rtp_payload.ts";
import type { Joined, Opening, Payload, PayloadFormat, PayloadRun } from "./rtp_payload.ts";
import type { SplitLimits } from "./rtp_payload.ts";

/** The bytes of a packet of an MPEG transport stream. */
export const TS_PACKET_BYTES = 188;
/** The transport stream packets that one RTP packet carries at most. */
export const TS_PACKETS_MAX = 7;

const HEADER_BYTES = 4;
const EXTENSION_BYTES = 4;
const T = 1 << 26;
const B = 1 << 12;
const E = 1 << 11;
const S = 1 << 13;

const PICTURE = 0x00;
const SLICE_MAX = 0xaf;
const SEQUENCE = 0xb3;
const EXTENSION = 0xb5;
const GOP = 0xb8;
const NONE = -1;
const PICTURE_CODING = 8; // extension_start_code_identifier
const FRAME_STRUCTURE = 3; // picture_structure

/** A start code with all that follows it up to the next one. */
interface Section {
  /** The byte after 00 00 01, or NONE for bytes before the first start code. */
  code: number;
  start: number;
  end: number;
  /** Which of the access unit's pictures (two when it has two fields) it belongs to. */
  picture: number;
}

/** What the payload headers of one picture share; null where the extension is not sent. */
interface PictureWords {
  header: number;
  extension: number | null;
}

/**
 * The payload format of MPEG-1/2 elementary video, "mpv". It splits any bytes; those without start
 * codes are cut where they must be.
 *
 * @example
 * ```ts
 * import { mpv } from "qsockets";
 * const slice = new Uint8Array([0, 0, 1, 1, 0x12, 0x34]);
 * const payloads = mpv.split(slice, { payloadBytes: 1188, equalSizes: true });
 * payloads.length; // 1
 * ```
 */
export const mpv: PayloadFormat = { split: splitMpv, join: joinMpv, opening: openingMpv };

/**
 * The payload format of MPEG transport streams, "mp2t". `split` throws RangeError when it is given
 * anything but whole packets of 188 bytes, or may not fill even one.
 *
 * @example
 * ```ts
 * import { mp2t } from "qsockets";
 * const packets = new Uint8Array(10 * 188).fill(0x47);
 * mp2t.split(packets, { payloadBytes: 1316, equalSizes: true }).length; // 2
 * ```
 */
export const mp2t: PayloadFormat = { split: splitMp2t, join: joinMp2t, opening: () => "likely" };

function splitMpv(data: Uint8Array, limits: SplitLimits): Payload[] {
  const sections = findSections(data);
  const words = pictureWords(data, sections);
  const payloads: Payload[] = [];
  // data[start, end) is the payload being filled, with the sections that lie wholly in it.
  let start = 0, end = 0;
  let held: Section[] = [];

  const close = (picture: number, begins: boolean, endsSlice: boolean) => {
    if (end > start) {
      const bits = (begins ? B : 0) | (endsSlice ? E : 0) |
        (codeAt(data, start) === SEQUENCE ? S : 0);
      payloads.push([payloadHeader(words[picture], bits), data.subarray(start, end)]);
    }
    start = end;
    held = [];
  };
  const flush = () => {
    if (held.length === 0) return;
    const begins = held.some((section) => isSlice(section.code));
    close(held[0].picture, begins, isSlice(held[held.length - 1].code));
  };

  for (const section of sections) {
    const slice = isSlice(section.code);
    const room = limits.payloadBytes - headerBytes(words[section.picture]);
    const headersOnly = held.every(({ code }) => !isSlice(code));
    const fitsAlone = section.end - section.start <= room;
    const fits = section.end - start <= room;
    if (mustBegin(section.code, held) || !fits && (fitsAlone || !slice || !headersOnly)) flush();
    if (section.end - start <= room) {
      end = section.end;
      held.push(section);
      continue;
    }
    // Pending headers stay whole: they go alone if the first part would not reach beyond them.
    let part = partBytes(section.end - start, room, limits.equalSizes);
    if (section.start - start + 4 > part) {
      flush();
      part = partBytes(section.end - start, room, limits.equalSizes);
    }
    let begins = slice;
    while (end < section.end) {
      end = Math.min(start + part, section.end);
      close(section.picture, begins, slice && end === section.end);
      begins = false;
    }
  }
  flush();
  return payloads;
}

function mustBegin(code: number, held: readonly Section[]): boolean {
  if (held.length === 0) return false;
  const ordering = held.filter((section) => isOrdering(section.code) || isSlice(section.code));
  const last = ordering.length === 0 ? NONE : ordering[ordering.length - 1].code;
  if (code === SEQUENCE) return true;
  if (code === GOP) return last !== SEQUENCE;
  return code === PICTURE && last !== GOP;
}

function findSections(data: Uint8Array): Section[] {
  const sections: Section[] = [];
  let picture = 0;
  let sliced = false;
  const add = (code: number, start: number) => {
    if (sections.length > 0) sections[sections.length - 1].end = start;
    if (isSlice(code)) sliced = true;
    else if (sliced && isOrdering(code)) {
      picture += 1;
      sliced = false;
    }
    sections.push({ code, start, end: data.length, picture });
  };
  for (let at = nextStartCode(data, 0); at >= 0; at = nextStartCode(data, at + 4)) {
    if (sections.length === 0 && at > 0) add(NONE, 0);
    add(data[at + 3], at);
  }
  if (sections.length === 0 && data.length > 0) add(NONE, 0);
  return sections;
}

/** The offset of the next 00 00 01 that has a byte after it, at or after `from`; -1 if none. */
function nextStartCode(data: Uint8Array, from: number): number {
  const at = findStartCode(data, from);
  return at + 3 < data.length ? at : -1;
}

function pictureWords(data: Uint8Array, sections: readonly Section[]): PictureWords[] {
  const words: PictureWords[] = [];
  let seen = -1;
  for (const { code, start, end, picture } of sections) {
    words[picture] ??= { header: 0, extension: null };
    if (code === PICTURE && end - start >= 8 && seen < picture) {
      words[picture].header = headerWord(data, start);
      seen = picture;
    } else if (code === EXTENSION && end - start >= 9 && seen === picture) {
      if (data[start + 4] >>> 4 !== PICTURE_CODING) continue;
      const word = ((data[start + 4] & 0x0f) << 26 | data[start + 5] << 18 |
        data[start + 6] << 10 | data[start + 7] << 2 | data[start + 8] >>> 6) >>> 0;
      if ((word & 1) === 0) words[picture].extension = word; // no composite display information
    }
  }
  return words;
}

/** TR, P, FBV, BFC, FFV and FFC of RFC 2250, 3.4, from the picture header at `start`. */
function headerWord(data: Uint8Array, start: number): number {
  const temporal = data[start + 4] << 2 | data[start + 5] >>> 6;
  const type = data[start + 5] >>> 3 & 7;
  const codes = data[start + 7] << 8 | data[start + 8]; // from the last 3 bits of vbv_delay - 1 on
  const forward = type === 2 || type === 3 ? codes >>> 7 & 0x0f : 0;
  const backward = type === 3 ? codes >>> 3 & 0x0f : 0;
  return temporal << 16 | type << 8 | backward << 4 | forward;
}

function payloadHeader(words: PictureWords, bits: number): Uint8Array {
  const { extension } = words;
  const word = words.header | bits | (extension === null ? 0 : T);
  const first = [word >>> 24, word >>> 16, word >>> 8, word];
  if (extension === null) return new Uint8Array(first);
  return new Uint8Array([
    ...first,
    extension >>> 24,
    extension >>> 16,
    extension >>> 8,
    extension,
  ]);
}

function headerBytes(words: PictureWords): number {
  return HEADER_BYTES + (words.extension === null ? 0 : EXTENSION_BYTES);
}

function joinMpv(runs: readonly PayloadRun[]): Joined {
  const whole: Uint8Array[] = [];
  let intact = true;
  for (const run of runs) {
    const pieces: Uint8Array[] = [];
    let skipping = run.headLost;
    let endsSlice = false;
    for (const payload of run.payloads) {
      const parsed = parsePayload(payload);
      if (!parsed) { // malformed: as good as lost
        intact = false;
        if (!endsSlice) cutLastSlice(pieces);
        skipping = true;
        continue;
      }
      skipping &&= !parsed.begins && codeAt(parsed.data, 0) === NONE;
      if (skipping) {
        intact = false;
        continue;
      }
      pieces.push(parsed.data);
      endsSlice = parsed.endsSlice;
    }
    if (run.tailLost && !endsSlice && cutLastSlice(pieces)) intact = false;
    whole.push(...pieces);
  }
  return { data: concatenate(whole), intact };
}

function parsePayload(payload: Uint8Array) {
  if (payload.length < HEADER_BYTES) return null;
  const word = payload[0] << 24 | payload[1] << 16 | payload[2] << 8 | payload[3];
  let at = HEADER_BYTES;
  if (word & T) {
    if (payload.length < at + EXTENSION_BYTES) return null;
    const furtherExtensions = (payload[at] & 0x40) !== 0;
    const compositeDisplay = (payload[at + 3] & 1) !== 0;
    at += EXTENSION_BYTES + (compositeDisplay ? 4 : 0);
    if (furtherExtensions) { // the first byte is their length in words, itself included
      if (at >= payload.length || payload[at] === 0) return null;
      at += 4 * payload[at];
    }
  }
  if (at >= payload.length) return null;
  return { data: payload.subarray(at), begins: (word & B) !== 0, endsSlice: (word & E) !== 0 };
}

/** Takes off what follows the last slice's start code, if a slice is what the pieces end in. */
function cutLastSlice(pieces: Uint8Array[]): boolean {
  const joined = concatenate(pieces);
  let last = NONE;
  for (let at = nextStartCode(joined, 0); at >= 0; at = nextStartCode(joined, at + 4)) last = at;
  if (last !== NONE && !isSlice(joined[last + 3])) return false;
  pieces.length = 0;
  if (last > 0) pieces.push(joined.subarray(0, last));
  return true;
}

/**
 * A sequence header opens an access unit for certain. So does the picture header of a P or B frame,
 * before which no other header may stand alone; but a lone field may be the second of its frame,
 * and before an I picture a sequence header may have been lost.
 */
function openingMpv(payload: Uint8Array): Opening {
  const parsed = parsePayload(payload);
  if (!parsed) return "no";
  const { data } = parsed;
  const code = codeAt(data, 0);
  if (code === SEQUENCE) return "certain";
  if (code === GOP) return "likely";
  if (code !== PICTURE || data.length < 6) return "no";
  const type = data[5] >>> 3 & 7;
  if (type !== 2 && type !== 3) return "likely";
  for (let at = nextStartCode(data, 4); at >= 0; at = nextStartCode(data, at + 4)) {
    if (isSlice(data[at + 3])) return "certain"; // MPEG-1 has no fields
    if (data[at + 3] !== EXTENSION || data[at + 4] >>> 4 !== PICTURE_CODING) continue;
    return (data[at + 6] & 3) === FRAME_STRUCTURE ? "certain" : "likely";
  }
  return "likely";
}

function codeAt(data: Uint8Array, at: number): number {
  const isCode = at + 3 < data.length && data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1;
  return isCode ? data[at + 3] : NONE;
}

function isSlice(code: number): boolean {
  return code > PICTURE && code <= SLICE_MAX;
}

function isOrdering(code: number): boolean {
  return code === SEQUENCE || code === GOP || code === PICTURE;
}

function splitMp2t(data: Uint8Array, limits: SplitLimits): Payload[] {
  if (data.length % TS_PACKET_BYTES !== 0) {
    throw new RangeError(
      `Cannot packetize a transport stream: need whole packets of 188 bytes, got ${data.length} bytes`,
    );
  }
  const most = Math.min(TS_PACKETS_MAX, Math.floor(limits.payloadBytes / TS_PACKET_BYTES));
  if (most === 0) {
    throw new RangeError(
      `Cannot packetize a transport stream: a payload must hold 188 bytes, got ${limits.payloadBytes}`,
    );
  }
  const packets = data.length / TS_PACKET_BYTES;
  const part = packets === 0 ? 1 : partBytes(packets, most, limits.equalSizes) * TS_PACKET_BYTES;
  const payloads: Payload[] = [];
  for (let at = 0; at < data.length; at += part) payloads.push([data.subarray(at, at + part)]);
  return payloads;
}

function joinMp2t(runs: readonly PayloadRun[]): Joined {
  const all = runs.flatMap((run) => run.payloads);
  const sound = all.filter((payload) => payload.length % TS_PACKET_BYTES === 0);
  return { data: concatenate(sound), intact: sound.length === all.length };
}
