// What a viewer has of a video, whoever sent it: which of the source's frames arrived whole, in time,
// and with all that they lean on, and how near the decoded picture is to the source's.
//
// A sender of another make has its own sequence numbers, so frames are known by their bytes. Nor do
// we know when it began: the time line starts where the earliest twentieth of the frames puts it, for
// all senders alike, so that nobody pays for what it takes to start. (Not the earliest one: some
// send the first frames at once.)
//
// For the picture, what arrived in time (of frames that did not arrive whole, their whole slices) is
// decoded by ffmpeg, which conceals what it can; a picture that is missing is the one before it, and
// black if there is none.
// PSNR is that of the mean square error over all frames, luma, with a most of `PSNR_MOST`: that is no
// difference at all.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Demuxer,
  Depacketizer,
  FrameParser,
  parseRtp,
  type ReceivedFrame,
  RTP_CLOCK_HZ,
  Unroller,
} from "../../mod.ts";
import { decodable } from "../../examples/demo/decodable.ts";
import { digestOf } from "../../examples/demo/log.ts";
import { MARKING } from "../../examples/demo/video.ts";
import type { Datagram } from "./arrivals.ts";
import { quantile } from "./measures.ts";
import { packetsOf, type Video } from "./video.ts";

export const PSNR_MOST = 60;
/** Past its deadline by so much a frame still counts as in time: the way through the device. */
const SLACK_MS = 2;
/** The share of the frames that is taken to be as early as can be. */
const EARLY = 0.05;
/** In IVF, which any codec can be put into, with the time of each frame. */
const FOURCC = { mpv: "MPG2", h264: "H264", mp2t: "" };

/** A source's frame: what it is and when it is due and shown, ms. */
export type Source = Awaited<ReturnType<typeof sourceOf>>[number];

/** The source's frames, as they are to be sent in so many seconds. */
export async function sourceOf(video: Video, seconds: number) {
  const all = await packetsOf(video, { fps: video.fps, seconds, latency: 1000 });
  return all.map(({ packets: { frame }, sent }) => ({
    ...sent,
    data: frame.data,
    pts: frame.pts ?? sent.dts,
  }));
}

/** Shares of the source's frames, 0 to 1, and the picture's PSNR in dB (null without ffmpeg). */
export interface Quality {
  whole: number;
  inTime: number;
  decodable: number;
  psnr: number | null;
}

/** A frame, or what is there of one, and when the last of its packets came. */
interface Arrived {
  data: Uint8Array;
  /** In 1/90000 s, from wherever the sender counts. */
  timestamp: number;
  at: number;
}

/** How a sender packs frames: RTP, RTP with marked frames (RFC 9626), or a transport stream. */
export type Packing = "rtp" | "marked" | "ts";

/** Judges what arrived of a source. */
export function qualityOf(
  { datagrams, source, video, packing, latency, scratch }: {
    datagrams: readonly Datagram[];
    source: readonly Source[];
    video: Video;
    packing: Packing;
    latency: number;
    scratch: string;
  },
): Quality {
  const arrived = packing === "ts"
    ? framesOfTs(datagrams)
    : framesOfRtp(datagrams, video, packing === "marked");
  const matches = match(arrived, source);
  const start = quantile([...matches].map(([i, { at }]) => at - source[i].dts), EARLY);
  const inTime = (i: number, at: number) => at <= start + source[i].dts + latency + SLACK_MS;
  const present = source.map((_, i) => matches.has(i) && inTime(i, matches.get(i)!.at));
  const share = (flags: readonly boolean[]) => flags.filter((it) => it).length / source.length;
  return {
    whole: matches.size / source.length,
    inTime: share(present),
    decodable: share(decodable(source, present)),
    psnr: psnr(usable(arrived, matches, source, inTime), source, video, scratch),
  };
}

function framesOfRtp(datagrams: readonly Datagram[], video: Video, marked: boolean): Arrived[] {
  const marking = marked ? { marking: MARKING } : {};
  const depacketizer = new Depacketizer({ format: video.format, ...marking });
  const sequences = new Unroller(16);
  const arrivals = new Map<number, number>();
  const frames: Arrived[] = [];
  const note = (received: readonly ReceivedFrame[]) => {
    for (const frame of received) {
      let at = -Infinity;
      // Of an incomplete frame some numbers are missing: it ends where as many came as it has.
      for (let n = frame.sequence, left = frame.packets; left > 0; n++) {
        const came = arrivals.get(n);
        if (came === undefined) continue;
        at = Math.max(at, came);
        left -= 1;
      }
      for (const data of pictures(frame, video)) {
        frames.push({ data, timestamp: frame.timestamp, at });
      }
    }
  };
  for (const { at, data } of datagrams) {
    const packet = parseRtp(data);
    if (packet === null) continue;
    arrivals.set(sequences.unroll(packet.sequence), at);
    note(depacketizer.push(data, at));
  }
  note(depacketizer.flush());
  return frames;
}

/** A frame's pictures: GStreamer joins small ones, which RFC 2250 does not know. */
function pictures({ data, complete }: ReceivedFrame, { format }: Video): Uint8Array[] {
  if (!complete || format !== "mpv") return [data];
  const parser = new FrameParser();
  const chunk = { codec: "mpeg2", data, pts: null, dts: null, damaged: false } as const;
  const parts = [...parser.push(chunk), ...parser.end()].map((part) => part.data);
  return parts.length > 1 ? parts : [data];
}

/** A frame ends where the next one begins, so each is a frame's time late, and that is all the same. */
function framesOfTs(datagrams: readonly Datagram[]): Arrived[] {
  const demuxer = new Demuxer();
  const parser = new FrameParser();
  const frames: Arrived[] = [];
  let at = 0;
  const note = (chunks: ReturnType<Demuxer["end"]>) => {
    for (const chunk of chunks) {
      for (const { data, pts } of parser.push(chunk)) {
        if (pts !== null) frames.push({ data, timestamp: ticks(pts), at });
      }
    }
  };
  for (const datagram of datagrams) {
    at = datagram.at;
    note(demuxer.push(datagram.data));
  }
  note(demuxer.end());
  for (const { data, pts } of parser.end()) {
    if (pts !== null) frames.push({ data, timestamp: ticks(pts), at });
  }
  return frames;
}

/** The source's frames that arrived whole, by index. Frames with the same bytes match in order. */
function match(arrived: readonly Arrived[], source: readonly Source[]): Map<number, Arrived> {
  const byDigest = new Map<string, number[]>();
  source.forEach(({ digest }, i) => {
    const list = byDigest.get(digest);
    if (list) list.push(i);
    else byDigest.set(digest, [i]);
  });
  const matches = new Map<number, Arrived>();
  for (const frame of arrived) {
    const i = byDigest.get(digestOf(frame.data))?.shift();
    if (i !== undefined) matches.set(i, frame);
  }
  return matches;
}

/** What a decoder is given: data in the order of decoding, with the time at which it is shown. */
type Shown = { data: Uint8Array; pts: number };

/** What arrived in time, pieces of frames included, each with its place on the source's time line. */
function usable(
  arrived: readonly Arrived[],
  matches: ReadonlyMap<number, Arrived>,
  source: readonly Source[],
  inTime: (i: number, at: number) => boolean,
): Shown[] {
  const [known] = [...matches].map(([i, { timestamp }]) => timestamp - ticks(source[i].pts));
  if (known === undefined) return [];
  const byTime = new Map(source.map(({ pts }, i) => [ticks(pts), i]));
  const indexes = new Map([...matches].map(([i, frame]) => [frame, i]));
  const shown = new Map<number, Shown>();
  for (const frame of arrived) {
    const { data, timestamp, at } = frame;
    // Of a piece only the time says which frame it is of; a sender may round otherwise.
    const i = indexes.get(frame) ??
      [0, 1, -1].map((off) => byTime.get(timestamp - known + off)).find((it) => it !== undefined);
    if (i === undefined || data.length === 0 || !inTime(i, at)) continue;
    shown.set(i, { data, pts: source[i].pts });
  }
  return [...shown].toSorted(([a], [b]) => a - b).map(([, it]) => it);
}

function ticks(pts: number): number {
  return Math.round(pts * RTP_CLOCK_HZ / 1000);
}

/**
 * What is compared: the source, and what is shown at the same times, black until the first picture is
 * there and then the last one that is.
 */
const COMPARISON = "[0:v]split[wanted][base];[base]lutyuv=y=16:u=128:v=128[black];" +
  "[black][1:v]overlay=format=yuv420[got];[wanted][got]psnr";

/** PSNR of what is shown beside the source, dB; null where there is no ffmpeg. */
export function psnr(
  shown: readonly Shown[],
  source: readonly Shown[],
  video: Pick<Video, "format">,
  scratch: string,
): number | null {
  const [got, wanted] = [join(scratch, "got.ivf"), join(scratch, "wanted.ivf")];
  if (shown.length === 0) return spawnSync("ffmpeg", ["-version"]).status === 0 ? 0 : null;
  writeFileSync(got, ivf(shown, video));
  writeFileSync(wanted, ivf(source, video));
  const read = (file: string) => ["-flags", "+output_corrupt", "-i", file];
  const { error, signal, stderr } = spawnSync("ffmpeg", [
    // By the files' own times: else each would begin with the first picture that it has.
    ...["-v", "info", "-nostats", "-copyts", "-threads", "1"],
    ...read(wanted),
    ...read(got),
    ...["-lavfi", COMPARISON, "-f", "null", "-"],
  ], { encoding: "utf8" });
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") return null;
  if (error || signal) throw new Error(`Cannot compare pictures: ${error?.message ?? signal}`);
  const luma = /PSNR y:(\S+)/.exec(stderr)?.[1];
  if (luma === undefined) throw new Error(`Cannot compare pictures: ${stderr.slice(-500)}`);
  return luma === "inf" ? PSNR_MOST : Math.min(PSNR_MOST, Number(luma));
}

/** An IVF file: a header of 32 bytes, and 12 before each frame, with its time in ms. */
export function ivf(frames: readonly Shown[], { format }: Pick<Video, "format">): Uint8Array {
  const bytes = frames.reduce((sum, { data }) => sum + 12 + data.length, 32);
  const file = new Uint8Array(bytes);
  const view = new DataView(file.buffer);
  const text = (at: number, letters: string) => file.set(new TextEncoder().encode(letters), at);
  text(0, "DKIF");
  view.setUint16(6, 32, true);
  text(8, FOURCC[format]);
  view.setUint32(16, 1000, true); // ticks in a second
  view.setUint32(20, 1, true);
  view.setUint32(24, frames.length, true);
  let at = 32;
  for (const { data, pts } of frames) {
    view.setUint32(at, data.length, true);
    view.setBigUint64(at + 4, BigInt(Math.round(pts)), true);
    file.set(data, at + 12);
    at += 12 + data.length;
  }
  return file;
}
