/**
 * H.264 in RTP, RFC 6184, in the non-interleaved mode (packetization-mode=1) that every decoder
 * has: single NAL unit packets (5.6), STAP-A (5.7.1), which carries several small NAL units, and
 * FU-A (5.8), which carries a part of a large one.
 *
 * An access unit comes and goes as a byte stream (H.264 Annex B). Start codes are not sent, so they
 * are made again on arrival: four bytes before the first NAL unit of an access unit and before
 * parameter sets, as B.1.2 demands, three before others, which is also what x264 writes. Bytes
 * before the first start code and zeros behind a NAL unit are not part of any and are not sent.
 *
 * NAL units follow each other in decode order. Small ones share a STAP-A as long as they fit. A
 * large one is cut into parts of one size (but for the last), because datagrams of one size leave
 * the host in one segmented send. The types 0 and 24 to 31, that the payload format claims for
 * itself, cannot be carried and are left out.
 *
 * Back: the parts of a NAL unit count only if its first part starts it, its last one ends it, and
 * nothing lies between; a NAL unit with a part missing is left out.
 */

import { findStartCode } from "./annexb.ts";
import { concatenate, partBytes } from "./rtp_payload.ts";
import type { Joined, Opening, Payload, PayloadFormat, PayloadRun } from "./rtp_payload.ts";
import type { SplitLimits } from "./rtp_payload.ts";

const NAL_TYPE = 0x1f;
const NAL_IMPORTANCE = 0x60; // nal_ref_idc
const NAL_FORBIDDEN = 0x80;
const SLICE = 1;
const IDR = 5;
const SPS = 7;
const PPS = 8;
const DELIMITER = 9;
const NAL_LAST = 23; // above are the payload format's own types
const STAP_A = 24;
const FU_A = 28;
const FU_START = 0x80;
const FU_END = 0x40;
const FU_BYTES = 2; // indicator and header
const STAP_LENGTH_BYTES = 2;

/**
 * The payload format of H.264, "h264".
 *
 * @example
 * ```ts
 * import { h264 } from "qsockets";
 * const accessUnit = new Uint8Array([0, 0, 0, 1, 0x65, 0x88, 0x84]);
 * h264.split(accessUnit, { payloadBytes: 1188, equalSizes: true }); // [[ 65 88 84 ]]
 * ```
 */
export const h264: PayloadFormat = { split, join, opening };

/**
 * The NAL units of a byte stream (H.264 Annex B), without start codes; views of `data`.
 *
 * @example
 * ```ts
 * import { nalUnits } from "qsockets";
 * nalUnits(new Uint8Array([0, 0, 1, 0x67, 0x42, 0, 0, 1, 0x68])).length; // 2
 * ```
 */
export function nalUnits(data: Uint8Array): Uint8Array[] {
  const units: Uint8Array[] = [];
  let start = afterStartCode(data, 0);
  while (start >= 0) {
    const next = afterStartCode(data, start);
    let end = next < 0 ? data.length : next - 3;
    while (end > start && data[end - 1] === 0) end -= 1;
    if (end > start) units.push(data.subarray(start, end));
    start = next;
  }
  return units;
}

/**
 * The byte stream of NAL units: the inverse of {@linkcode nalUnits}.
 *
 * @example
 * ```ts
 * import { annexB } from "qsockets";
 * annexB([new Uint8Array([0x68])]); // 00 00 00 01 68
 * ```
 */
export function annexB(units: readonly Uint8Array[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const unit of units) {
    const type = unit[0] & NAL_TYPE;
    const long = pieces.length === 0 || type === SPS || type === PPS;
    pieces.push(long ? LONG_START_CODE : SHORT_START_CODE, unit);
  }
  return concatenate(pieces);
}

const LONG_START_CODE = new Uint8Array([0, 0, 0, 1]);
const SHORT_START_CODE = LONG_START_CODE.subarray(1);

function afterStartCode(data: Uint8Array, from: number): number {
  const at = findStartCode(data, from);
  return at < 0 ? -1 : at + 3;
}

function split(accessUnit: Uint8Array, limits: SplitLimits): Payload[] {
  const payloads: Payload[] = [];
  let small: Uint8Array[] = []; // waits to share a packet
  let smallBytes = 1;
  const flush = () => {
    if (small.length > 0) payloads.push(small.length === 1 ? small : aggregate(small));
    small = [];
    smallBytes = 1;
  };
  for (const unit of nalUnits(accessUnit)) {
    if (!isCarried(unit[0] & NAL_TYPE)) continue;
    if (smallBytes + STAP_LENGTH_BYTES + unit.length > limits.payloadBytes) flush();
    if (unit.length > limits.payloadBytes) {
      fragment(unit, limits, payloads);
      continue;
    }
    small.push(unit);
    smallBytes += STAP_LENGTH_BYTES + unit.length;
  }
  flush();
  return payloads;
}

function aggregate(units: readonly Uint8Array[]): Payload {
  let forbidden = 0, importance = 0;
  const payload: Payload = [new Uint8Array(1)];
  for (const unit of units) {
    forbidden |= unit[0] & NAL_FORBIDDEN;
    importance = Math.max(importance, unit[0] & NAL_IMPORTANCE);
    payload.push(new Uint8Array([unit.length >>> 8, unit.length]), unit);
  }
  payload[0][0] = forbidden | importance | STAP_A;
  return payload;
}

function fragment(unit: Uint8Array, limits: SplitLimits, payloads: Payload[]): void {
  const part = partBytes(unit.length - 1, limits.payloadBytes - FU_BYTES, limits.equalSizes);
  for (let at = 1; at < unit.length; at += part) {
    const position = (at === 1 ? FU_START : 0) | (at + part >= unit.length ? FU_END : 0);
    payloads.push([
      new Uint8Array([unit[0] & ~NAL_TYPE | FU_A, position | unit[0] & NAL_TYPE]),
      unit.subarray(at, at + part),
    ]);
  }
}

function join(runs: readonly PayloadRun[]): Joined {
  const units: Uint8Array[] = [];
  let intact = true;
  for (const run of runs) intact = collect(run, units) && intact;
  return { data: annexB(units), intact };
}

/** Adds the whole NAL units of a run; false if something had to be left out. */
function collect(run: PayloadRun, units: Uint8Array[]): boolean {
  let intact = true;
  let parts: Uint8Array[] = []; // of the NAL unit that is being put together
  for (const payload of run.payloads) {
    const type = payload[0] & NAL_TYPE;
    const position = type === FU_A && payload.length > FU_BYTES ? payload[1] : null;
    const goesOn = position !== null && (position & FU_START) === 0;
    if (!goesOn && parts.length > 0) { // the end of the one before never came
      intact = false;
      parts = [];
    }
    if (position === null) {
      if (payload.length > 0 && isCarried(type)) units.push(payload);
      else intact = type === STAP_A && separate(payload, units) && intact;
      continue;
    }
    if (!isPart(position) || goesOn && !continues(parts, payload)) {
      intact = false;
      parts = [];
      continue;
    }
    if (!goesOn) {
      parts.push(new Uint8Array([payload[0] & ~NAL_TYPE | position & NAL_TYPE]));
    }
    parts.push(payload.subarray(FU_BYTES));
    if (position & FU_END) {
      units.push(concatenate(parts));
      parts = [];
    }
  }
  return intact && parts.length === 0;
}

function isPart(position: number): boolean {
  const both = FU_START | FU_END;
  return (position & both) !== both && isCarried(position & NAL_TYPE);
}

function continues(parts: readonly Uint8Array[], payload: Uint8Array): boolean {
  return parts.length > 0 &&
    parts[0][0] === (payload[0] & ~NAL_TYPE | payload[1] & NAL_TYPE);
}

/** Adds the NAL units of a STAP-A; false where its lengths are wrong. */
function separate(payload: Uint8Array, units: Uint8Array[]): boolean {
  let at = 1;
  while (at + STAP_LENGTH_BYTES < payload.length) {
    const bytes = payload[at] << 8 | payload[at + 1];
    at += STAP_LENGTH_BYTES;
    if (bytes === 0 || at + bytes > payload.length || !isCarried(payload[at] & NAL_TYPE)) {
      return false;
    }
    units.push(payload.subarray(at, at + bytes));
    at += bytes;
  }
  return at > 1 && at === payload.length;
}

function isCarried(type: number): boolean {
  return type > 0 && type <= NAL_LAST;
}

/**
 * An access unit delimiter opens an access unit for certain. Without one, what was lost in front
 * may have been a message or a parameter set of the same access unit, whatever comes first now.
 */
function opening(payload: Uint8Array): Opening {
  const type = payload[0] & NAL_TYPE;
  if (payload.length < 2) return "no";
  const first = type === STAP_A ? payload.subarray(3) : payload;
  if (type === FU_A) {
    if ((payload[1] & FU_START) === 0) return "no";
    return firstSlice(payload[1] & NAL_TYPE, payload[2]);
  }
  if (first.length === 0) return "no";
  if ((first[0] & NAL_TYPE) === DELIMITER) return "certain";
  return firstSlice(first[0] & NAL_TYPE, first[1]);
}

function firstSlice(type: number, afterHeader: number): Opening {
  if (type > IDR) return "likely";
  // first_mb_in_slice is 0 in the first slice, which ue(v) writes as a single 1 bit.
  return (type === SLICE || type === IDR || type === 2) && afterHeader >= 0x80 ? "likely" : "no";
}
