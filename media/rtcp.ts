/**
 * RTCP, RFC 3550 section 6: the reports that go beside an RTP stream, on the next port (section 11).
 *
 * A sender says with its report (SR, 6.4.1) which moment of the wall clock belongs to which RTP
 * timestamp, so that a player can keep picture and sound together, and how much it has sent. A
 * receiver answers with its own (RR, 6.4.2). Both carry report blocks about the sources that were
 * heard. A description (SDES, 6.5) names the source for good: its CNAME stays when an SSRC changes.
 * A source that ends says so (BYE, 6.6).
 *
 * Packets of several kinds always leave together in one datagram (6.1): first a report, even an
 * empty one, then a description, then the rest. `parseRtcp` checks this as appendix A.2 does, since
 * it is what tells RTCP from anything else that may reach the port.
 *
 * The wall clock is in milliseconds since 1970 here, and an NTP timestamp (section 4: seconds since
 * 1900 in 32.32 fixed point) on the wire, good to well below a millisecond.
 */

/** The reason that a BYE gives, and a CNAME, in bytes of UTF-8: their length is one byte. */
export const RTCP_TEXT_BYTES_MAX = 255;

const VERSION = 2;
const SR = 200;
const RR = 201;
const SDES = 202;
const BYE = 203;
const CNAME = 1;
const HEADER_BYTES = 4;
const SENDER_BYTES = 20;
const BLOCK_BYTES = 24;
const COUNT_MAX = 31;
const NTP_EPOCH_MS = 2_208_988_800_000; // from 1900 to 1970
const LOST_MAX = 0x7fffff;

/** What a receiver says about one source. */
export interface ReportBlock {
  ssrc: number;
  /** The share of packets lost since the report before, 0 to 1 (in steps of 1/256). */
  fractionLost: number;
  /** Packets lost since the beginning; below 0 when duplicates outweigh them. 24 bits. */
  lost: number;
  /** The highest sequence number, with its cycles. */
  highest: number;
  /** Interarrival jitter, in units of the RTP clock. */
  jitter: number;
  /** `ntpMiddle` of the last sender report that came, 0 when there was none. */
  lastReport: number;
  /** Milliseconds since that came, 0 when there was none. */
  delay: number;
}

/** SR: what a sender says. */
export interface SenderReport {
  type: "SR";
  ssrc: number;
  /** Milliseconds since 1970, with fractions. */
  wallclock: number;
  /** The RTP timestamp of the same moment, 0 to 2^32 - 1. */
  timestamp: number;
  /** Packets sent so far. Wraps at 2^32. */
  packets: number;
  /** Bytes of payload sent so far, without headers and padding. Wraps at 2^32. */
  octets: number;
  /** At most 31. */
  reports: readonly ReportBlock[];
}

/** RR: what one says who only receives. */
export interface ReceiverReport {
  type: "RR";
  ssrc: number;
  /** At most 31. */
  reports: readonly ReportBlock[];
}

/** SDES: the lasting name of a source. Other items than the CNAME are passed over. */
export interface SourceDescription {
  type: "SDES";
  ssrc: number;
  cname: string;
}

/** BYE: sources that end. */
export interface Goodbye {
  type: "BYE";
  sources: readonly number[];
  /** Why; may be empty. */
  reason: string;
}

/** One packet of a compound. */
export type RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye;

/**
 * One datagram of the packets, in order. Throws RangeError unless the first is a report, or when
 * one has more than 31 blocks or sources, or a text of more than 255 bytes.
 *
 * @example
 * ```ts
 * import { randomCname, writeRtcp } from "qsockets";
 * const ssrc = 0x1234;
 * writeRtcp([
 *   { type: "RR", ssrc, reports: [] },
 *   { type: "SDES", ssrc, cname: randomCname() },
 *   { type: "BYE", sources: [ssrc], reason: "end of file" },
 * ]);
 * ```
 */
export function writeRtcp(packets: readonly RtcpPacket[]): Uint8Array<ArrayBuffer> {
  const first = packets[0]?.type;
  if (first !== "SR" && first !== "RR") {
    throw new RangeError(
      `Cannot write RTCP: the first packet must be SR or RR, got ${first ?? "none"}`,
    );
  }
  const written = packets.map(writePacket);
  const datagram = new Uint8Array(written.reduce((sum, packet) => sum + packet.length, 0));
  let at = 0;
  for (const packet of written) {
    datagram.set(packet, at);
    at += packet.length;
  }
  return datagram;
}

/**
 * The packets of a datagram; null when it is not RTCP (A.2: version, a report first, lengths that
 * add up). Kinds that are not known here, and what is malformed within its length, are left out.
 * Never throws, whatever the bytes.
 *
 * @example
 * ```ts
 * import { parseRtcp } from "qsockets";
 * parseRtcp(new Uint8Array([0x80, 201, 0, 1, 0, 0, 0, 7])); // [{ type: "RR", ssrc: 7, reports: [] }]
 * ```
 */
export function parseRtcp(datagram: Uint8Array): RtcpPacket[] | null {
  if (datagram.length < HEADER_BYTES || datagram[0] & 0x20) return null;
  if (datagram[1] !== SR && datagram[1] !== RR) return null;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const packets: RtcpPacket[] = [];
  for (let at = 0; at < datagram.length;) {
    if (at + HEADER_BYTES > datagram.length || datagram[at] >>> 6 !== VERSION) return null;
    const end = at + 4 * (view.getUint16(at + 2) + 1);
    if (end > datagram.length) return null;
    const padding = datagram[at] & 0x20 ? datagram[end - 1] : 0;
    if (padding > end - at - HEADER_BYTES) return null;
    const body = new DataView(datagram.buffer, datagram.byteOffset + at, end - at - padding);
    parsePacket(body, packets);
    at = end;
  }
  return packets;
}

/**
 * The middle 32 bits of the NTP timestamp: how a report block names a sender report.
 *
 * @example
 * ```ts
 * import { ntpMiddle } from "qsockets";
 * ntpMiddle(-2_208_988_800_000 + 1000); // 65536: one second after 1900 began
 * ```
 */
export function ntpMiddle(wallclock: number): number {
  return Math.floor((wallclock + NTP_EPOCH_MS) * 65.536) % 2 ** 32;
}

/**
 * The round trip time in milliseconds that a report block tells the sender who gets it at
 * `wallclock` (6.4.1); null when the block answers no report.
 *
 * @example
 * ```ts
 * import { ntpMiddle, roundTrip } from "qsockets";
 * const sent = Date.now();
 * roundTrip({ lastReport: ntpMiddle(sent), delay: 500 }, sent + 510); // about 10
 * ```
 */
export function roundTrip(
  block: Pick<ReportBlock, "lastReport" | "delay">,
  wallclock: number,
): number | null {
  if (block.lastReport === 0) return null;
  const since = ((ntpMiddle(wallclock) - block.lastReport) | 0) / 65.536;
  return Math.max(0, since - block.delay);
}

/**
 * A CNAME for one session: 96 random bits in base64, as RFC 7022 (4.2) advises over user and host.
 *
 * @example
 * ```ts
 * import { randomCname } from "qsockets";
 * randomCname().length; // 16
 * ```
 */
export function randomCname(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(12))));
}

function writePacket(packet: RtcpPacket): Uint8Array {
  switch (packet.type) {
    case "SR": {
      const bytes = start(SR, packet.reports.length, 4 + SENDER_BYTES, BLOCK_BYTES);
      const view = new DataView(bytes.buffer);
      const ntp = packet.wallclock + NTP_EPOCH_MS;
      const seconds = Math.floor(ntp / 1000);
      view.setUint32(4, packet.ssrc);
      view.setUint32(8, seconds);
      view.setUint32(12, Math.floor((ntp - seconds * 1000) / 1000 * 2 ** 32));
      view.setUint32(16, packet.timestamp);
      view.setUint32(20, packet.packets);
      view.setUint32(24, packet.octets);
      writeBlocks(view, 28, packet.reports);
      return bytes;
    }
    case "RR": {
      const bytes = start(RR, packet.reports.length, 4, BLOCK_BYTES);
      const view = new DataView(bytes.buffer);
      view.setUint32(4, packet.ssrc);
      writeBlocks(view, 8, packet.reports);
      return bytes;
    }
    case "SDES": {
      const name = encode(packet.cname, "CNAME");
      // A chunk ends in at least one zero and on a word (6.5).
      const bytes = start(SDES, 1, 4 + 4 * Math.ceil((2 + name.length + 1) / 4), 0);
      new DataView(bytes.buffer).setUint32(4, packet.ssrc);
      bytes.set([CNAME, name.length], 8);
      bytes.set(name, 10);
      return bytes;
    }
    case "BYE": {
      const reason = encode(packet.reason, "reason");
      const text = reason.length === 0 ? 0 : 4 * Math.ceil((1 + reason.length) / 4);
      const bytes = start(BYE, packet.sources.length, text, 4);
      const view = new DataView(bytes.buffer);
      packet.sources.forEach((ssrc, i) => view.setUint32(HEADER_BYTES + 4 * i, ssrc));
      if (text > 0) {
        const at = HEADER_BYTES + 4 * packet.sources.length;
        bytes[at] = reason.length;
        bytes.set(reason, at + 1);
      }
      return bytes;
    }
  }
}

/** The bytes of a packet with its header written: `fixed` bytes and `count` times `each`. */
function start(type: number, count: number, fixed: number, each: number): Uint8Array<ArrayBuffer> {
  if (count > COUNT_MAX) {
    throw new RangeError(`Cannot write RTCP: at most ${COUNT_MAX} sources fit, got ${count}`);
  }
  const bytes = new Uint8Array(HEADER_BYTES + fixed + count * each);
  const words = bytes.length / 4 - 1;
  bytes.set([VERSION << 6 | count, type, words >>> 8, words & 0xff]);
  return bytes;
}

function writeBlocks(view: DataView, from: number, reports: readonly ReportBlock[]): void {
  reports.forEach((report, i) => {
    const at = from + BLOCK_BYTES * i;
    const lost = Math.max(-LOST_MAX - 1, Math.min(LOST_MAX, report.lost)); // A.3 clamps it
    view.setUint32(at, report.ssrc);
    view.setUint32(at + 4, lost & 0xffffff);
    view.setUint8(at + 4, Math.min(255, Math.floor(report.fractionLost * 256)));
    view.setUint32(at + 8, report.highest);
    view.setUint32(at + 12, report.jitter);
    view.setUint32(at + 16, report.lastReport);
    view.setUint32(at + 20, Math.round(report.delay * 65.536));
  });
}

function encode(text: string, what: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > RTCP_TEXT_BYTES_MAX) {
    throw new RangeError(
      `Cannot write RTCP: ${what} must be at most ${RTCP_TEXT_BYTES_MAX} bytes, got ${bytes.length}`,
    );
  }
  return bytes;
}

/** Adds the packet, header included, that is all of `view`. */
function parsePacket(view: DataView, packets: RtcpPacket[]): void {
  const count = view.getUint8(0) & 0x1f;
  const type = view.getUint8(1);
  const bytes = view.byteLength;
  if (type === SR && bytes >= 8 + SENDER_BYTES + count * BLOCK_BYTES) {
    packets.push({
      type: "SR",
      ssrc: view.getUint32(4),
      wallclock: view.getUint32(8) * 1000 + view.getUint32(12) / 2 ** 32 * 1000 - NTP_EPOCH_MS,
      timestamp: view.getUint32(16),
      packets: view.getUint32(20),
      octets: view.getUint32(24),
      reports: parseBlocks(view, 28, count),
    });
  } else if (type === RR && bytes >= 8 + count * BLOCK_BYTES) {
    packets.push({ type: "RR", ssrc: view.getUint32(4), reports: parseBlocks(view, 8, count) });
  } else if (type === SDES) {
    parseDescription(view, count, packets);
  } else if (type === BYE && bytes >= HEADER_BYTES + 4 * count) {
    const sources: number[] = [];
    for (let i = 0; i < count; i++) sources.push(view.getUint32(HEADER_BYTES + 4 * i));
    const at = HEADER_BYTES + 4 * count;
    const length = at < bytes ? view.getUint8(at) : 0;
    packets.push({ type: "BYE", sources, reason: decode(view, at + 1, length) });
  }
}

function parseBlocks(view: DataView, from: number, count: number): ReportBlock[] {
  const reports: ReportBlock[] = [];
  for (let i = 0; i < count; i++) {
    const at = from + BLOCK_BYTES * i;
    reports.push({
      ssrc: view.getUint32(at),
      fractionLost: view.getUint8(at + 4) / 256,
      lost: view.getInt32(at + 4) << 8 >> 8,
      highest: view.getUint32(at + 8),
      jitter: view.getUint32(at + 12),
      lastReport: view.getUint32(at + 16),
      delay: view.getUint32(at + 20) / 65.536,
    });
  }
  return reports;
}

function parseDescription(view: DataView, count: number, packets: RtcpPacket[]): void {
  let at = HEADER_BYTES;
  for (let i = 0; i < count && at + 4 <= view.byteLength; i++) {
    const ssrc = view.getUint32(at);
    at += 4;
    while (at + 1 < view.byteLength && view.getUint8(at) !== 0) {
      const length = view.getUint8(at + 1);
      if (at + 2 + length > view.byteLength) return;
      if (view.getUint8(at) === CNAME) {
        packets.push({ type: "SDES", ssrc, cname: decode(view, at + 2, length) });
      }
      at += 2 + length;
    }
    at += 4 - at % 4; // the zero, and what fills its word
  }
}

function decode(view: DataView, at: number, length: number): string {
  if (at + length > view.byteLength) return "";
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at, length));
}
