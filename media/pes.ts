/**
 * Packets of elementary streams (ISO/IEC 13818-1 section 2.4.3.6; the older form of ISO/IEC 11172-1
 * section 2.4.3.3 too) and their time stamps: 33 bits at 90 kHz, which wrap after 26.5 hours.
 */

export const PES_HEADER_BYTES_MIN = 6;

const TICKS_PER_MS = 90;
const WRAP_TICKS = 2 ** 33;
const STUFFING_BYTES_MAX = 16;

/** A packet's header. */
export interface PesHeader {
  streamId: number;
  /** Bytes of the packet behind this field; 0 if it lasts until the next one begins. */
  length: number;
  /** Where its data begins, from the packet's start. */
  dataAt: number;
  scrambled: boolean;
  ptsTicks: number | null;
  dtsTicks: number | null;
}

/** Reads a header; "more" if it is not all there yet, null if it breaks the syntax. */
export function parsePesHeader(bytes: Uint8Array): PesHeader | "more" | null {
  const prefix = [0, 0, 1];
  for (let i = 0; i < 3 && i < bytes.length; i++) if (bytes[i] !== prefix[i]) return null;
  if (bytes.length < PES_HEADER_BYTES_MIN) return "more";
  const header: PesHeader = {
    streamId: bytes[3],
    length: (bytes[4] << 8) | bytes[5],
    dataAt: 6,
    scrambled: false,
    ptsTicks: null,
    dtsTicks: null,
  };
  if (bytes.length < 7) return "more";
  if ((bytes[6] & 0xc0) !== 0x80) return parseMpeg1Header(bytes, header);
  if (bytes.length < 9) return "more";
  header.dataAt = 9 + bytes[8];
  header.scrambled = (bytes[6] & 0x30) !== 0;
  if (bytes.length < header.dataAt) return "more";
  if (header.length !== 0 && header.dataAt > header.length + 6) return null;
  const stamps = bytes[7] >> 6;
  if (stamps === 1 || bytes[8] < [0, 0, 5, 10][stamps]) return null;
  if (stamps >= 2) {
    header.ptsTicks = parseStamp(bytes, 9, stamps);
    if (header.ptsTicks === null) return null;
  }
  if (stamps === 3) {
    header.dtsTicks = parseStamp(bytes, 14, 1);
    if (header.dtsTicks === null) return null;
  }
  return header;
}

/** The form before MPEG-2: stuffing, buffer size and stamps, told apart by their first bits. */
function parseMpeg1Header(bytes: Uint8Array, header: PesHeader): PesHeader | "more" | null {
  let at = 6;
  while (bytes[at] === 0xff && at < 6 + STUFFING_BYTES_MAX) at += 1;
  if ((bytes[at] & 0xc0) === 0x40) at += 2;
  const stampBytes = bytes[at] >> 4 === 2 ? 5 : bytes[at] >> 4 === 3 ? 10 : 1;
  if (at + stampBytes > bytes.length) return "more";
  header.dataAt = at + stampBytes;
  if (header.dataAt > header.length + 6) return null;
  if (stampBytes === 1) return bytes[at] === 0x0f ? header : null;
  header.ptsTicks = parseStamp(bytes, at, stampBytes === 5 ? 2 : 3);
  if (stampBytes === 10) header.dtsTicks = parseStamp(bytes, at + 5, 1);
  const broken = header.ptsTicks === null || (stampBytes === 10 && header.dtsTicks === null);
  return broken ? null : header;
}

/** 4 bits that say which stamp it is, then 33 bits in three parts, each with a marker bit. */
function parseStamp(bytes: Uint8Array, at: number, kind: number): number | null {
  const [a, b, c, d, e] = bytes.subarray(at, at + 5);
  if (a >> 4 !== kind || (a & c & e & 1) === 0) return null;
  return (a & 0x0e) * 2 ** 29 + (b << 22) + ((c & 0xfe) << 14) + (d << 7) + (e >> 1);
}

/** Turns stamps that wrap into milliseconds that do not. */
export class StampUnwrapper {
  #last: number | null = null;

  /** The stamp nearest to the one before it. */
  #unwrap(ticks: number): number {
    if (this.#last === null) return ticks;
    const step = (ticks - this.#last) % WRAP_TICKS;
    const forward = (step + WRAP_TICKS) % WRAP_TICKS;
    return this.#last + (forward < WRAP_TICKS / 2 ? forward : forward - WRAP_TICKS);
  }

  /** Times of an access unit, ms; without a decoding time it is decoded when it is shown. */
  times({ ptsTicks, dtsTicks }: PesHeader): { pts: number | null; dts: number | null } {
    if (ptsTicks === null) return { pts: null, dts: null };
    const dts = this.#unwrap(dtsTicks ?? ptsTicks);
    this.#last = dts;
    const pts = this.#unwrap(ptsTicks);
    return { pts: pts / TICKS_PER_MS, dts: dts / TICKS_PER_MS };
  }
}
