// Writes MPEG transport and program streams, so that tests know every byte of what they parse.

import { crc32 } from "../media/psi.ts";
import { BitWriter } from "./bitstream.ts";

export const VIDEO_PID = 256;
export const AUDIO_PID = 257;
const MAP_PID = 4096;

/** An access unit with its times in ticks of 90 kHz. */
export interface Timed {
  data: number[];
  pts: number;
  dts: number;
}

export interface MuxOptions {
  /** stream_type of the video. */
  type?: number;
  /** Other streams in the program map. */
  others?: { type: number; pid: number }[];
  /** Distance of packets: 188, 192 or 204. */
  period?: number;
  /** PES packets say how long they are. */
  bounded?: boolean;
  /** Changes a packet before it is written; null leaves it out. */
  edit?: (packet: Uint8Array, index: number) => Uint8Array[];
}

/** Gives access units of a stream with one frame of reordering times of 25 frames a second. */
export function timed(units: number[][], order: (index: number) => number, first = 90000): Timed[] {
  return units.map((data, i) => ({
    data,
    dts: (first + 3600 * i) % 2 ** 33,
    pts: (first + 3600 * (order(i) + 1)) % 2 ** 33,
  }));
}

/** Display places of `ibbp()` and, but for its first picture, of what else goes `P B B`. */
export const ibbpOrder = (i: number) => i % 3 === 0 ? i + 2 : i - 1;

function stamp(kind: number, ticks: number): number[] {
  return new BitWriter().bits(4, kind).bits(3, Math.floor(ticks / 2 ** 30)).bits(1, 1)
    .bits(15, Math.floor(ticks / 2 ** 15)).bits(1, 1).bits(15, ticks).bits(1, 1).bytes();
}

export function pes({ data, pts, dts }: Timed, bounded: boolean): number[] {
  const stamps = pts === dts ? stamp(2, pts) : [...stamp(3, pts), ...stamp(1, dts)];
  const flags = [0x80, pts === dts ? 0x80 : 0xc0, stamps.length];
  const length = bounded ? 3 + stamps.length + data.length : 0;
  return [0, 0, 1, 0xe0, length >> 8, length & 255, ...flags, ...stamps, ...data];
}

function section(table: number, id: number, body: number[]): number[] {
  const length = 5 + body.length + 4;
  const bytes = [table, 0xb0 | (length >> 8), length & 255, id >> 8, id & 255, 0xc1, 0, 0, ...body];
  const crc = crc32(Uint8Array.from(bytes));
  return [0, ...bytes, crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255];
}

/** A transport stream: tables first and before every sixth access unit, one PES packet each. */
export function transportStream(units: Timed[], options: MuxOptions = {}): Uint8Array<ArrayBuffer> {
  const { type = 2, others = [], period = 188, bounded = false } = options;
  const packets: Uint8Array[] = [];
  const counters = new Map<number, number>();
  const write = (pid: number, payload: number[]) => {
    for (let at = 0; at < payload.length; at += 184) {
      const part = payload.slice(at, at + 184);
      const counter = counters.get(pid) ?? 0;
      counters.set(pid, (counter + 1) & 15);
      const stuffing = 184 - part.length;
      const field = stuffing === 0 ? [] : stuffing === 1 ? [0] : [stuffing - 1, 0];
      while (field.length < stuffing) field.push(0xff);
      const head = [0x47, (at === 0 ? 0x40 : 0) | (pid >> 8), pid & 255];
      const control = (stuffing > 0 ? 0x30 : 0x10) | counter;
      packets.push(Uint8Array.from([...head, control, ...field, ...part]));
    }
  };
  const entries = [{ type, pid: VIDEO_PID }, ...others].flatMap((stream) => [
    ...[stream.type, 0xe0 | (stream.pid >> 8), stream.pid & 255, 0xf0, 0],
  ]);
  units.forEach((unit, i) => {
    if (i % 6 === 0) {
      write(0, section(0, 1, [0, 1, 0xe0 | (MAP_PID >> 8), MAP_PID & 255]));
      write(
        MAP_PID,
        section(2, 1, [0xe0 | (VIDEO_PID >> 8), VIDEO_PID & 255, 0xf0, 0, ...entries]),
      );
    }
    write(VIDEO_PID, pes(unit, bounded));
    for (const { pid } of others) write(pid, pes({ data: [1, 2, 3], pts: 0, dts: 0 }, true));
  });
  const edit = options.edit ?? ((packet) => [packet]);
  const before = period === 192 ? [0x11, 0x22, 0x33, 0x44] : [];
  const after = new Array(period === 204 ? 16 : 0).fill(0x55);
  const edited = packets.flatMap((packet, i) => edit(packet, i));
  return Uint8Array.from(edited.flatMap((packet) => [...before, ...packet, ...after]));
}

/** A program stream of MPEG-2: a pack before each access unit, and some audio. */
export function programStream(units: Timed[]): Uint8Array<ArrayBuffer> {
  const pack = [0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xf8];
  const audio = [0, 0, 1, 0xc0, 0, 7, 0x80, 0, 0, 1, 2, 3, 4];
  const bytes = units.flatMap((unit) => [...pack, ...pes(unit, true), ...audio]);
  return Uint8Array.from([...bytes, 0, 0, 1, 0xb9]);
}
