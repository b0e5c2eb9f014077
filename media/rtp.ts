/**
 * RTP, RFC 3550: the packet header (section 5.1), and what a receiver learns from sequence numbers
 * and timestamps alone (appendices A.1, A.3 and A.8). Nothing here knows about codecs.
 *
 * A sequence number has 16 bits and a timestamp 32, and both wrap. `Unroller` turns either into a
 * number that only grows with the stream, by taking the candidate nearest to the highest one seen.
 * `Reception` is A.1 as written: a jump of 3000 packets or more, or back by more than 100, is
 * believed only when the packet after it follows on, so that one stray packet cannot reset a stream.
 *
 * Frame marking is RFC 9626 in its short form, carried in a one-byte header extension (RFC 8285).
 * It says which packet starts a frame, which ends it, and whether others lean on it. Without the
 * start mark a receiver that sees a gap before a frame cannot tell "a frame was dropped whole, at
 * the source" from "the head of this frame is missing"; the former is what a scheduler that drops
 * whole frames does all day.
 */

/** The clock of video timestamps in RTP, in Hz: RFC 3551, RFC 2250 and RFC 6184 all say 90 kHz. */
export const RTP_CLOCK_HZ = 90_000;
/** The bytes of a header without contributing sources or extension. */
export const RTP_HEADER_BYTES = 12;
/** The bytes that frame marking adds to the header. */
export const RTP_MARKING_BYTES = 8;

const VERSION = 2;
const ONE_BYTE_EXTENSION = 0xbede; // RFC 8285, 4.2
const DROPOUT_MAX = 3000; // A.1
const MISORDER_MAX = 100; // A.1
const SEQUENTIAL_MIN = 2; // A.1

/** What RFC 9626 says about a packet's frame. */
export interface FrameMarking {
  /** The packet is the first of its frame. */
  start: boolean;
  /** The packet is the last of its frame. */
  end: boolean;
  /** The frame can be decoded without any other. */
  independent: boolean;
  /** No other frame leans on this one. */
  discardable: boolean;
}

/** The fields of an RTP header that a sender chooses. */
export interface RtpHeader {
  /** 0 to 127. */
  payloadType: number;
  /** For video: the last packet of a frame. */
  marker: boolean;
  /** 0 to 65535. */
  sequence: number;
  /** In units of 1/90000 s, 0 to 2^32 - 1. */
  timestamp: number;
  /** The source, 0 to 2^32 - 1. */
  ssrc: number;
}

/** A parsed RTP packet; its arrays are views of the datagram. */
export interface RtpPacket extends RtpHeader {
  /** The payload without header, extension and padding. */
  payload: Uint8Array;
  /** The contributing sources. */
  csrc: number[];
  /** The header extension as it stands, with its 16-bit profile; null when there is none. */
  extension: { profile: number; data: Uint8Array } | null;
}

/**
 * Writes an RTP header at `offset` of `target` and returns its bytes: 12, or 20 with `marking`,
 * whose `id` (1 to 14) is the one that the session description gives the extension.
 *
 * @example
 * ```ts
 * import { writeRtpHeader } from "qsockets";
 * const packet = new Uint8Array(1200);
 * const header = { payloadType: 32, marker: true, sequence: 1, timestamp: 90000, ssrc: 7 };
 * writeRtpHeader(packet, header); // 12
 * ```
 */
export function writeRtpHeader(
  target: Uint8Array,
  header: RtpHeader,
  marking?: FrameMarking & { id: number },
  offset = 0,
): number {
  target[offset] = VERSION << 6 | (marking ? 0x10 : 0);
  target[offset + 1] = (header.marker ? 0x80 : 0) | header.payloadType & 0x7f;
  target[offset + 2] = header.sequence >>> 8;
  target[offset + 3] = header.sequence;
  writeU32(target, offset + 4, header.timestamp);
  writeU32(target, offset + 8, header.ssrc);
  if (!marking) return RTP_HEADER_BYTES;
  const flags = (marking.start ? 0x80 : 0) | (marking.end ? 0x40 : 0) |
    (marking.independent ? 0x20 : 0) | (marking.discardable ? 0x10 : 0);
  writeU32(target, offset + 12, ONE_BYTE_EXTENSION << 16 | 1); // one 32-bit word follows
  writeU32(target, offset + 16, marking.id << 28 | flags << 16);
  return RTP_HEADER_BYTES + RTP_MARKING_BYTES;
}

/**
 * Reads an RTP packet; null when the bytes are not one (wrong version, too short, impossible
 * padding). Never throws, whatever the bytes. RTCP on the same port is refused by its packet types
 * 192 to 223 (RFC 5761, section 4).
 *
 * @example
 * ```ts
 * import { parseRtp } from "qsockets";
 * parseRtp(new Uint8Array(3)); // null
 * ```
 */
export function parseRtp(datagram: Uint8Array): RtpPacket | null {
  if (datagram.length < RTP_HEADER_BYTES || datagram[0] >>> 6 !== VERSION) return null;
  if (datagram[1] >= 192 && datagram[1] <= 223) return null;
  const sources = datagram[0] & 0x0f;
  let start = RTP_HEADER_BYTES + 4 * sources;
  let end = datagram.length;
  if (start > end) return null;
  const csrc: number[] = [];
  for (let i = 0; i < sources; i++) csrc.push(readU32(datagram, RTP_HEADER_BYTES + 4 * i));
  let extension: RtpPacket["extension"] = null;
  if (datagram[0] & 0x10) {
    if (start + 4 > end) return null;
    const profile = datagram[start] << 8 | datagram[start + 1];
    const bytes = 4 * (datagram[start + 2] << 8 | datagram[start + 3]);
    start += 4;
    if (start + bytes > end) return null;
    extension = { profile, data: datagram.subarray(start, start + bytes) };
    start += bytes;
  }
  if (datagram[0] & 0x20) {
    const padding = datagram[end - 1];
    if (padding === 0 || start + padding > end) return null;
    end -= padding;
  }
  return {
    payloadType: datagram[1] & 0x7f,
    marker: (datagram[1] & 0x80) !== 0,
    sequence: datagram[2] << 8 | datagram[3],
    timestamp: readU32(datagram, 4),
    ssrc: readU32(datagram, 8),
    payload: datagram.subarray(start, end),
    csrc,
    extension,
  };
}

/**
 * The frame marking that a packet carries under extension `id`; null when it has none.
 *
 * @example
 * ```ts
 * import { frameMarking, parseRtp } from "qsockets";
 * const packet = parseRtp(new Uint8Array(12).fill(0x80, 0, 1));
 * if (packet) frameMarking(packet, 3); // null
 * ```
 */
export function frameMarking(packet: RtpPacket, id: number): FrameMarking | null {
  if (packet.extension?.profile !== ONE_BYTE_EXTENSION) return null;
  const { data } = packet.extension;
  for (let at = 0; at < data.length;) {
    const element = data[at] >>> 4;
    if (element === 0) { // padding
      at += 1;
      continue;
    }
    if (element === 15) return null; // RFC 8285: stop here
    const bytes = (data[at] & 0x0f) + 1;
    if (at + 1 + bytes > data.length) return null;
    if (element === id) {
      const flags = data[at + 1];
      return {
        start: (flags & 0x80) !== 0,
        end: (flags & 0x40) !== 0,
        independent: (flags & 0x20) !== 0,
        discardable: (flags & 0x10) !== 0,
      };
    }
    at += 1 + bytes;
  }
  return null;
}

/**
 * Unrolls counters of 16 bits (sequence numbers) or 32 bits (timestamps) into numbers that keep
 * growing where the counter wraps. What comes late gets its own, smaller number.
 *
 * @example
 * ```ts
 * import { Unroller } from "qsockets";
 * const sequence = new Unroller(16);
 * sequence.unroll(65535); // 65535
 * sequence.unroll(0); // 65536
 * sequence.unroll(65534); // 65534
 * ```
 */
export class Unroller {
  readonly #modulus: number;
  #highest: number | null = null;

  constructor(bits: 16 | 32) {
    this.#modulus = 2 ** bits;
  }

  /** The unrolled value nearest to the highest so far. */
  unroll(value: number): number {
    if (this.#highest === null) return this.#highest = value;
    const ahead = this.#ahead(value);
    const unrolled = this.#highest + (ahead < this.#modulus / 2 ? ahead : ahead - this.#modulus);
    if (unrolled > this.#highest) this.#highest = unrolled;
    return unrolled;
  }

  /** The unrolled value above the highest so far, however far that is: the stream started anew. */
  restart(value: number): number {
    if (this.#highest === null) return this.unroll(value);
    return this.#highest += this.#ahead(value) || this.#modulus;
  }

  #ahead(value: number): number {
    const ahead = (value - this.#highest!) % this.#modulus;
    return ahead < 0 ? ahead + this.#modulus : ahead;
  }
}

/**
 * Interarrival jitter, RFC 3550 section 6.4.1 and A.8: the smoothed difference between the spacing
 * of packets at the receiver and at the sender.
 *
 * @example
 * ```ts
 * import { Jitter } from "qsockets";
 * const jitter = new Jitter();
 * jitter.add(0, 1000); // timestamp, arrival in ms
 * jitter.add(3600, 1056); // 16 ms late: 16 / 16 = 1 ms
 * ```
 */
export class Jitter {
  #transit: number | null = null;
  #units = 0;

  /** Takes a packet's timestamp (1/90000 s) and arrival (ms); returns the jitter in ms. */
  add(timestamp: number, arrival: number): number {
    // The difference of two transit times modulo 2^32, as A.8 has it in unsigned arithmetic.
    const transit = arrival * (RTP_CLOCK_HZ / 1000) - timestamp;
    if (this.#transit !== null) {
      const modulus = 2 ** 32;
      const difference = transit - this.#transit;
      const wrapped = difference - modulus * Math.round(difference / modulus);
      this.#units += (Math.abs(wrapped) - this.#units) / 16;
    }
    this.#transit = transit;
    return this.ms;
  }

  /** The jitter in milliseconds. */
  get ms(): number {
    return this.#units / (RTP_CLOCK_HZ / 1000);
  }

  /** The jitter in timestamp units, as an RTCP report carries it. */
  get units(): number {
    return Math.floor(this.#units);
  }
}

/** What became of a packet's sequence number: see {@linkcode Reception}. */
export type Arrival = "valid" | "restart" | "invalid";

/**
 * The reception statistics of one source, RFC 3550 A.1 and A.3. `probation` packets in sequence
 * are asked for before a source counts as valid (A.1's MIN_SEQUENTIAL; 0 trusts the first).
 *
 * @example
 * ```ts
 * import { Reception } from "qsockets";
 * const reception = new Reception(0);
 * for (const sequence of [10, 11, 13]) reception.add(sequence);
 * reception.lost; // 1
 * ```
 */
export class Reception {
  #probation: number;
  #highest = 0;
  #base = 0;
  #cycles = 0;
  #bad: number | null = null;
  #started = false;
  #received = 0;
  #expectedPrior = 0;
  #receivedPrior = 0;

  constructor(probation: number = SEQUENTIAL_MIN) {
    this.#probation = probation;
  }

  /** Counts a packet. "restart": the source began anew at this number; "invalid": do not use it. */
  add(sequence: number): Arrival {
    if (!this.#started) {
      this.#restart(sequence);
      this.#started = true;
      if (this.#probation > 0) this.#highest = sequence - 1 & 0xffff;
    }
    if (this.#probation > 0) return this.#prove(sequence);
    const ahead = sequence - this.#highest & 0xffff;
    if (ahead < DROPOUT_MAX) {
      if (sequence < this.#highest) this.#cycles += 65536;
      this.#highest = sequence;
    } else if (ahead <= 65536 - MISORDER_MAX) {
      if (sequence !== this.#bad) {
        this.#bad = sequence + 1 & 0xffff;
        return "invalid";
      }
      this.#restart(sequence);
      this.#received = 1;
      return "restart";
    } // else a duplicate, or late
    this.#received += 1;
    return "valid";
  }

  #prove(sequence: number): Arrival {
    const follows = sequence === (this.#highest + 1 & 0xffff);
    this.#highest = sequence;
    this.#probation = follows ? this.#probation - 1 : SEQUENTIAL_MIN - 1;
    if (this.#probation > 0) return "invalid";
    this.#restart(sequence);
    this.#received = 1;
    return "valid";
  }

  #restart(sequence: number): void {
    this.#base = sequence;
    this.#highest = sequence;
    this.#bad = null;
    this.#cycles = 0;
    this.#received = 0;
    this.#expectedPrior = 0;
    this.#receivedPrior = 0;
  }

  /** Packets that came, duplicates included, as A.3 counts. */
  get received(): number {
    return this.#received;
  }

  /** Packets that should have come, from the first to the highest sequence number. */
  get expected(): number {
    return this.#started ? this.extendedHighest - this.#base + 1 : 0;
  }

  /** Packets missing; below 0 when duplicates outweigh losses, as A.3 has it. */
  get lost(): number {
    return this.expected - this.#received;
  }

  /** The highest sequence number with its cycles: 65536 for each wrap. */
  get extendedHighest(): number {
    return this.#cycles + this.#highest;
  }

  /** The share of packets lost since the last call, 0 to 1; 0 when none is missing. */
  takeFractionLost(): number {
    const expected = this.expected - this.#expectedPrior;
    const lost = expected - (this.#received - this.#receivedPrior);
    this.#expectedPrior = this.expected;
    this.#receivedPrior = this.#received;
    return expected === 0 || lost <= 0 ? 0 : lost / expected;
  }
}

function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
}
