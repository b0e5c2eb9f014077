/**
 * Frames as packets of an MPEG transport stream (ISO/IEC 13818-1), for receivers that take nothing
 * else: `--format mp2t`. A frame becomes a whole number of packets, so it can still be sent or
 * dropped as one; what a drop leaves behind is a step in the continuity counter, which every
 * receiver knows how to bear.
 *
 * The tables (PAT and PMT, 2.4.4) come before every frame at which decoding can begin. Each frame is
 * one PES packet (2.4.3.6) with its times, and carries the clock (PCR, 2.4.2.1) in its first packet.
 * The clock runs behind the decoding times, as much as a receiver may have to wait for a frame.
 */

import type { Frame, VideoCodec } from "../../mod.ts";

const PACKET_BYTES = 188;
const HEADER_BYTES = 4;
const SYNC = 0x47;
const PAT_PID = 0;
const PMT_PID = 0x1000;
const VIDEO_PID = 0x100;
const PROGRAM = 1;
const VIDEO_STREAM_ID = 0xe0;
const STREAM_TYPES: Record<VideoCodec, number> = { mpeg1: 0x01, mpeg2: 0x02, h264: 0x1b };
const UNITS_PER_MS = 90;
/** Added to all times, so that none is below 0. */
const TIME_SHIFT_MS = 10_000;
const CLOCK_BEHIND_MS = 500;

/**
 * A stage that replaces the data of each frame by its transport packets, and its presentation time
 * by its decoding time: the RTP timestamp is the time of sending here (RFC 2250, section 2).
 */
export function transport(): TransformStream<Frame, Frame> {
  const counters = new Map<number, number>();
  return new TransformStream({
    transform(frame, controller) {
      const packets: Uint8Array[] = [];
      const put = (pid: number, payload: Uint8Array, clock: number | null) => {
        let counter = counters.get(pid) ?? 0;
        for (let at = 0; at < payload.length; counter = counter + 1 & 0x0f) {
          const packet = new Uint8Array(PACKET_BYTES);
          at += writePacket(packet, { pid, counter, start: at === 0 }, {
            payload: payload.subarray(at),
            clock: at === 0 ? clock : null,
          });
          packets.push(packet);
        }
        counters.set(pid, counter);
      };
      if (frame.keyframe) {
        put(PAT_PID, section(0x00, [0, 1], [0, PROGRAM, ...pidBytes(PMT_PID)]), null);
        put(PMT_PID, programMap(frame.codec), null);
      }
      const dts = frame.dts ?? frame.pts;
      const clock = dts === null ? null : units(dts - CLOCK_BEHIND_MS);
      put(VIDEO_PID, elementary(frame), clock);
      controller.enqueue({ ...frame, pts: dts, data: join(packets) });
    },
  });
}

/** Writes one packet; returns the bytes of payload that it holds. */
function writePacket(
  packet: Uint8Array,
  { pid, counter, start }: { pid: number; counter: number; start: boolean },
  { payload, clock }: { payload: Uint8Array; clock: number | null },
): number {
  const clockBytes = clock === null ? 0 : 8; // length, flags and six of PCR
  const bytes = Math.min(payload.length, PACKET_BYTES - HEADER_BYTES - clockBytes);
  const adaptation = PACKET_BYTES - HEADER_BYTES - bytes;
  packet.set([
    SYNC,
    (start ? 0x40 : 0) | pid >>> 8,
    pid & 0xff,
    (adaptation > 0 ? 0x30 : 0x10) | counter,
  ]);
  if (adaptation > 0) {
    packet[HEADER_BYTES] = adaptation - 1;
    if (adaptation > 1) {
      packet.fill(0xff, HEADER_BYTES + 2, HEADER_BYTES + adaptation);
      packet[HEADER_BYTES + 1] = clock === null ? 0 : 0x10;
      if (clock !== null) packet.set(clockReference(clock), HEADER_BYTES + 2);
    }
  }
  packet.set(payload.subarray(0, bytes), HEADER_BYTES + adaptation);
  return bytes;
}

/** PCR: 33 bits at 90 kHz, six reserved, nine of 27 MHz that are 0 here. */
function clockReference(time: number): number[] {
  const high = Math.floor(time / 2);
  return [
    high >>> 24,
    high >>> 16 & 0xff,
    high >>> 8 & 0xff,
    high & 0xff,
    (time & 1) << 7 | 0x7e,
    0,
  ];
}

/**
 * The PES packet of a frame. Its length is told where 16 bits can, so that a receiver need not wait
 * for the next one; that of video may be left open, as 0.
 */
function elementary({ pts, dts, data }: Frame): Uint8Array {
  const times = pts === null
    ? []
    : dts === null || dts === pts
    ? stamp(2, pts)
    : [...stamp(3, pts), ...stamp(1, dts)];
  const flags = times.length === 0 ? 0 : times.length === 5 ? 0x80 : 0xc0;
  const bytes = 3 + times.length + data.length;
  const length = bytes <= 0xffff ? [bytes >>> 8, bytes & 0xff] : [0, 0];
  const header = [0, 0, 1, VIDEO_STREAM_ID, ...length, 0x84, flags, times.length, ...times];
  return join([Uint8Array.from(header), data]);
}

/** A time stamp in five bytes, with its marker bits. */
function stamp(prefix: number, ms: number): number[] {
  const time = units(ms);
  const low = time % 2 ** 30;
  return [
    prefix << 4 | Math.floor(time / 2 ** 30) << 1 | 1,
    low >>> 22 & 0xff,
    (low >>> 15 & 0x7f) << 1 | 1,
    low >>> 7 & 0xff,
    (low & 0x7f) << 1 | 1,
  ];
}

function programMap(codec: VideoCodec): Uint8Array {
  const pid = pidBytes(VIDEO_PID);
  return section(0x02, [0, PROGRAM], [...pid, 0xf0, 0, STREAM_TYPES[codec], ...pid, 0xf0, 0]);
}

/** A table of one section, with the pointer before it. */
function section(table: number, id: readonly number[], body: readonly number[]): Uint8Array {
  const length = id.length + 3 + body.length + 4;
  const bytes = [table, 0xb0, length, ...id, 0xc1, 0, 0, ...body];
  const crc = crc32(bytes);
  return Uint8Array.from([0, ...bytes, crc >>> 24, crc >>> 16, crc >>> 8, crc]);
}

/** The CRC of annex A of ISO/IEC 13818-1. */
function crc32(bytes: readonly number[]): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc << 1 ^ (crc < 0 ? 0x04c11db7 : 0);
  }
  return crc;
}

function pidBytes(pid: number): [number, number] {
  return [0xe0 | pid >>> 8, pid & 0xff];
}

function units(ms: number): number {
  return Math.round(Math.max(0, ms + TIME_SHIFT_MS) * UNITS_PER_MS) % 2 ** 33;
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
