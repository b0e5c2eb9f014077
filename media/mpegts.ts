/**
 * MPEG transport streams (ISO/IEC 13818-1 section 2.4): packets of 188 bytes, which some recorders
 * put a time stamp before (192, M2TS) and some links a checksum after (204).
 *
 * Packets are found by their sync byte 0x47 at the distance of one packet. Where one is missing the
 * search starts again, and a place counts as found when `LOCK_PACKETS` sync bytes in a row stand at
 * that distance. From the program tables follows which PID carries video; of the first program that
 * has some, the first video stream is taken, and everything else is reported as skipped. The 4-bit
 * continuity counter tells where packets are missing. What is lost is counted, and the chunk after
 * it is marked.
 */

import type { ElementaryChunk, VideoCodec } from "./frame.ts";
import { parsePesHeader, type PesHeader, StampUnwrapper } from "./pes.ts";
import {
  parseProgramAssociation,
  parseProgramMap,
  PAT_PID,
  type ProgramEntry,
  SectionReader,
  type StreamEntry,
} from "./psi.ts";
import { MediaReport } from "./report.ts";

export const SYNC_BYTE = 0x47;
export const TS_PACKET_BYTES = 188;
/** Distances at which packets stand: plain, with a time stamp (M2TS), with a checksum. */
export const TS_PERIODS = [TS_PACKET_BYTES, 192, 204];
/** Sync bytes in a row that make a place trustworthy. */
export const LOCK_PACKETS = 3;

const LOCK_BYTES = (LOCK_PACKETS - 1) * Math.max(...TS_PERIODS) + 1;
const PES_HEADER_BYTES_MAX = 9 + 255;
const PROGRAMS_MAX = 64;

/** The distance at which `LOCK_PACKETS` sync bytes stand from `at` on, as far as there are bytes. */
export function syncPeriod(bytes: Uint8Array, at: number, first: number): number | null {
  for (const period of new Set([first, ...TS_PERIODS])) {
    let packets = 0;
    while (packets < LOCK_PACKETS && at + packets * period < bytes.length) {
      if (bytes[at + packets * period] !== SYNC_BYTE) break;
      packets += 1;
    }
    const rest = bytes.length - at - packets * period;
    if (packets === LOCK_PACKETS || (packets > 0 && rest <= 0)) return period;
  }
  return null;
}

/**
 * Takes the video out of a transport stream; a synchronous core of `demux()`.
 *
 * Throws an `Error` that names the codecs if no program has video of a known codec.
 */
export class TsDemuxer {
  readonly #report: MediaReport;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #period = TS_PACKET_BYTES;
  #locked = false;
  #locks = 0;
  /** Passed over since the last packet. */
  #unsyncedBytes = 0;
  #chunks: ElementaryChunk[] = [];
  readonly #pat = new SectionReader();
  #programs: ProgramEntry[] = [];
  readonly #maps = new Map<number, { reader: SectionReader; streams: StreamEntry[] | null }>();
  readonly #counters = new Map<number, number>();
  #video: { pid: number; codec: VideoCodec } | null = null;
  readonly #unwrapper = new StampUnwrapper();
  /** The packet in progress; null while waiting for one to begin. */
  #pes: { header: PesHeader | null; head: Uint8Array; missingBytes: number } | null = null;
  #parts: Uint8Array[] = [];
  #stamp: { pts: number | null; dts: number | null } = { pts: null, dts: null };
  #damaged = false;
  #lastPayload: Uint8Array = new Uint8Array(0);

  constructor(options: { report?: MediaReport } = {}) {
    this.#report = options.report ?? new MediaReport();
  }

  /** Takes a piece of the file and returns the video in it. */
  push(bytes: Uint8Array): ElementaryChunk[] {
    const rest = this.#bytes.subarray(this.#at);
    const joined = new Uint8Array(rest.length + bytes.length);
    joined.set(rest);
    joined.set(bytes, rest.length);
    this.#bytes = joined;
    this.#at = 0;
    this.#read(false);
    return this.#drain();
  }

  /** The file is over: returns the last video in it. */
  end(): ElementaryChunk[] {
    this.#read(true);
    this.#endPes();
    if (this.#video === null) throw this.#noVideo();
    return this.#drain();
  }

  #drain(): ElementaryChunk[] {
    this.#cutChunk();
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks;
  }

  #read(final: boolean): void {
    for (;;) {
      const bytes = this.#bytes;
      const left = bytes.length - this.#at;
      if (left === 0) break;
      if (bytes[this.#at] !== SYNC_BYTE) this.#locked = false;
      if (!this.#locked) {
        if (!this.#lock(final)) break;
        continue;
      }
      if (left < TS_PACKET_BYTES) {
        if (final) this.#lose("truncated", left, "the last packet is cut off", left);
        break;
      }
      const next = this.#at + this.#period;
      if (!final && next >= bytes.length) break;
      this.#packet(bytes.subarray(this.#at, this.#at + TS_PACKET_BYTES));
      // Where the next packet does not follow, bytes may be missing from this one.
      if (next < bytes.length && bytes[next] !== SYNC_BYTE) this.#damage();
      this.#at = Math.min(next, bytes.length);
    }
    if (final && this.#unsyncedBytes > 0) this.#endUnsynced();
  }

  /** Looks for the next packet; false if more bytes are needed. */
  #lock(final: boolean): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    for (;; at += 1) {
      at = bytes.indexOf(SYNC_BYTE, at);
      if (at < 0) at = bytes.length;
      if (at === bytes.length || (!final && bytes.length - at < LOCK_BYTES)) {
        this.#unsyncedBytes += at - this.#at;
        this.#at = at;
        return false;
      }
      const period = syncPeriod(bytes, at, this.#period);
      if (period === null) continue;
      this.#unsyncedBytes += at - this.#at;
      this.#at = at;
      // The stamp before a file's first packet is no damage.
      if (this.#locks === 0 && period === 192 && this.#unsyncedBytes === 4) this.#unsyncedBytes = 0;
      this.#period = period;
      this.#locks += 1;
      this.#locked = true;
      this.#endUnsynced();
      return true;
    }
  }

  #endUnsynced(): void {
    const bytes = this.#unsyncedBytes;
    this.#unsyncedBytes = 0;
    if (bytes > 0) this.#lose("sync", bytes, `no packet within ${bytes} bytes`);
  }

  #lose(kind: Parameters<MediaReport["lost"]>[0], bytes: number, detail: string, skip = 0): void {
    this.#report.lost(kind, bytes, detail);
    this.#damage();
    this.#at += skip;
  }

  /** What follows in the video is marked. */
  #damage(): void {
    this.#cutChunk();
    this.#damaged = true;
  }

  #packet(packet: Uint8Array): void {
    const pid = ((packet[1] & 0x1f) << 8) | packet[2];
    const map = this.#maps.get(pid);
    const isVideo = pid === this.#video?.pid;
    if (packet[1] & 0x80) {
      return this.#lose("transport", TS_PACKET_BYTES, `PID ${pid}: marked as faulty`);
    }
    if (!isVideo && pid !== PAT_PID && map === undefined) return;
    if (packet[3] & 0xc0) {
      return this.#lose("scrambled", TS_PACKET_BYTES, `PID ${pid}: scrambled`);
    }
    const control = (packet[3] >> 4) & 3;
    const fieldBytes = control & 2 ? 1 + packet[4] : 0;
    if (control === 0 || 4 + fieldBytes > TS_PACKET_BYTES) {
      return this.#lose("transport", TS_PACKET_BYTES, `PID ${pid}: bad adaptation field`);
    }
    const jump = fieldBytes > 1 && (packet[5] & 0x80) !== 0;
    if ((control & 1) === 0) {
      if (jump) this.#counters.delete(pid);
      return;
    }
    const payload = packet.subarray(4 + fieldBytes);
    const counter = packet[3] & 15;
    const last = this.#counters.get(pid);
    this.#counters.set(pid, counter);
    const continuous = last === undefined || jump || counter === ((last + 1) & 15);
    if (isVideo) this.#videoPacket(payload, (packet[1] & 0x40) !== 0, continuous, counter === last);
    else this.#tablePacket(pid, payload, (packet[1] & 0x40) !== 0, continuous);
  }

  #videoPacket(payload: Uint8Array, starts: boolean, continuous: boolean, repeats: boolean): void {
    if (repeats && !continuous && sameBytes(payload, this.#lastPayload)) return; // sent twice (2.4.3.3)
    this.#lastPayload = payload;
    if (!continuous) {
      this.#lose("continuity", 0, `PID ${this.#video!.pid}: packets are missing`);
      if (this.#pes !== null) {
        if (this.#pes.header === null) this.#pes = null;
        else this.#pes.missingBytes = NaN; // the length can no longer be checked
      }
    }
    if (starts) this.#beginPes();
    const pes = this.#pes;
    if (pes === null) {
      return this.#lose("packet", payload.length, "no packet header before this payload");
    }
    if (pes.header !== null) this.#data(payload);
    else this.#pesHeader(payload);
  }

  #beginPes(): void {
    this.#endPes();
    this.#pes = { header: null, head: new Uint8Array(0), missingBytes: 0 };
  }

  #pesHeader(payload: Uint8Array): void {
    const pes = this.#pes!;
    pes.head = pes.head.length === 0 ? payload : join([pes.head, payload]);
    const header = parsePesHeader(pes.head);
    if (header === "more" && pes.head.length < PES_HEADER_BYTES_MAX) return;
    if (header === null || header === "more" || header.scrambled) {
      this.#pes = null;
      const kind = header !== null && header !== "more" ? "scrambled" : "packet";
      return this.#lose(
        kind,
        pes.head.length,
        `PES packet: ${kind === "packet" ? "bad" : kind} header`,
      );
    }
    const head = pes.head;
    pes.header = header;
    pes.head = new Uint8Array(0);
    pes.missingBytes = header.length === 0 ? NaN : header.length + 6 - header.dataAt;
    this.#cutChunk();
    this.#stamp = this.#unwrapper.times(header);
    this.#data(head.subarray(header.dataAt));
  }

  #data(payload: Uint8Array): void {
    const pes = this.#pes!;
    const extra = payload.length - pes.missingBytes;
    pes.missingBytes -= payload.length;
    if (extra > 0) {
      const bytes = Math.min(extra, payload.length);
      this.#parts.push(payload.subarray(0, payload.length - bytes));
      this.#lose("packet", bytes, "PES packet: longer than it says");
    } else this.#parts.push(payload);
  }

  #endPes(): void {
    const pes = this.#pes;
    this.#pes = null;
    if (pes === null) return;
    if (pes.header === null) {
      this.#lose("packet", pes.head.length, "PES packet: ends within its header");
    } else if (pes.missingBytes > 0) {
      this.#lose("packet", 0, `PES packet: ${pes.missingBytes} bytes shorter than it says`);
    }
  }

  /** What has been gathered becomes a chunk. */
  #cutChunk(): void {
    if (this.#parts.length === 0 || this.#video === null) return;
    const data = join(this.#parts);
    this.#parts = [];
    if (data.length === 0) return;
    const { codec } = this.#video;
    this.#chunks.push({ codec, data, ...this.#stamp, damaged: this.#damaged, timed: true });
    this.#stamp = { pts: null, dts: null };
    this.#damaged = false;
  }

  #tablePacket(pid: number, payload: Uint8Array, starts: boolean, continuous: boolean): void {
    const map = this.#maps.get(pid);
    const reader = map?.reader ?? this.#pat;
    if (!continuous) reader.reset();
    for (const section of reader.push(payload, starts)) {
      const entry = map === undefined ? parseProgramAssociation(section) : parseProgramMap(section);
      if (entry === null) {
        this.#report.lost("section", section.length, `PID ${pid}: table with a bad checksum`);
      } else if (entry === "other") continue;
      else if (Array.isArray(entry)) this.#association(entry);
      else this.#programMap(pid, entry);
    }
  }

  #association(programs: ProgramEntry[]): void {
    this.#programs = programs.slice(0, PROGRAMS_MAX);
    const pids = new Set(this.#programs.map(({ pid }) => pid));
    for (const pid of this.#maps.keys()) if (!pids.has(pid)) this.#maps.delete(pid);
    for (const pid of pids) {
      if (!this.#maps.has(pid)) this.#maps.set(pid, { reader: new SectionReader(), streams: null });
    }
  }

  #programMap(
    pid: number,
    { program, streams }: { program: number; streams: StreamEntry[] },
  ): void {
    if (!this.#programs.some((entry) => entry.pid === pid && entry.program === program)) return;
    const map = this.#maps.get(pid)!;
    map.streams = streams;
    const current = this.#video;
    const owned = [...this.#maps.values()].some(({ streams }) =>
      streams?.some((stream) => stream.pid === current?.pid && stream.video === current.codec)
    );
    if (!owned) this.#choose();
    for (const stream of streams) {
      if (stream.pid !== this.#video?.pid) this.#report.skip(stream.pid, stream.codec);
    }
    const known = [...this.#maps.values()].every((map) => map.streams !== null);
    if (this.#video === null && known) throw this.#noVideo();
  }

  /** Takes the first video stream of the first program that has one. */
  #choose(): void {
    for (const { pid } of this.#programs) {
      const stream = this.#maps.get(pid)?.streams?.find(({ video }) => video !== null);
      if (!stream) continue;
      this.#endPes();
      this.#cutChunk();
      this.#counters.delete(stream.pid);
      this.#video = { pid: stream.pid, codec: stream.video! };
      return;
    }
  }

  #noVideo(): Error {
    const streams = [...this.#maps.values()].flatMap(({ streams }) => streams ?? []);
    const found = streams.length === 0
      ? "it has no readable program map"
      : "it carries " + streams.map(({ codec, pid }) => `${codec} (PID ${pid})`).join(", ");
    return new Error(
      `Cannot read transport stream: it must carry MPEG-1, MPEG-2 or H.264 video, but ${found}`,
    );
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function join(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0];
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
