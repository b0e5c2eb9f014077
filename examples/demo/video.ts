/**
 * The video to send: a look through it beforehand, which says what it needs of a link, and the
 * frames themselves, repeated or cut to the length that was asked for.
 */

import { basename } from "node:path";
import {
  type Frame,
  frameLevel,
  MediaReport,
  packetizeFrame,
  packetizer,
  type QMessage,
  readFrames,
  type RtpFormat,
  VirtualLink,
} from "../../mod.ts";
import { type Kind, KINDS } from "./log.ts";

/** The number of the frame marking extension (RFC 9626), agreed between sender and receiver. */
export const MARKING = 1;
/** Messages that all streams of the link may queue together, for either scheduler. */
export const QUEUE_MESSAGES = 256;

const LATENCY_MS_MIN = 200;
const LATENCY_STEP_MS = 50;
const LATENCY_MARGIN = 1.25;
const JUMP_MS = 10_000;
const PERIOD_MS_DEFAULT = 40;

/** A video, as much of it as is to be sent. */
export interface Video {
  path: string;
  name: string;
  codec: Frame["codec"];
  container: string;
  format: RtpFormat;
  seconds: number;
  /** From one frame to the next, ms. */
  period: number;
  /** Frames by kind, and the bytes of the largest as it goes on the wire. */
  kinds: Record<Kind, { frames: number; bytesMax: number }>;
  /** Frames of the longest group. */
  group: number;
  /** With the headers of RTP, mean over all. */
  bytesPerSecond: number;
  /** The same over the heaviest second. */
  bytesPerSecondMax: number;
  /** Some frames are of another type (I, P, B) than their place in the group makes them. */
  byPlace: boolean;
  /** Each frame's messages without their data, and when it is due, ms. */
  messages: { dts: number; parts: { bytes: number; options: Omit<QMessage, "data"> }[] }[];
}

/** The kind of a frame by its place in the group. */
export function kindOf(frame: Pick<Frame, "groupStart" | "reference">): Kind {
  return KINDS[frameLevel(frame)];
}

/**
 * The frames of a video file on a time line that begins at 0 and goes on evenly where the file
 * begins anew; as many as are due within `seconds`. Throws if the file is no video.
 */
export async function* play(
  path: string,
  seconds: number,
  report?: MediaReport,
): AsyncGenerator<Frame> {
  let index = 0;
  let at = 0; // when the present frame is due
  let period = PERIOD_MS_DEFAULT;
  for (;;) {
    let origin: number | null = null; // where the file's time line has our 0
    let told = 0;
    const before = index;
    for await (const frame of readFrames(path, report && { report })) {
      const next = index === 0 ? 0 : at + period;
      const dts: number = frame.dts ?? (origin === null ? 0 : origin + next);
      if (origin === null || dts < told || dts > told + JUMP_MS) origin = dts - next;
      const due = dts - origin;
      if (due >= seconds * 1000) return;
      if (due > at) period = due - at;
      at = due;
      told = dts;
      const pts = frame.pts === null ? null : frame.pts - origin;
      yield { ...frame, index: index++, dts: due, pts };
    }
    if (index === before) throw new Error("there is no frame in it");
  }
}

/** Looks through as much of a video as will be sent. Throws, and says why, if it is no video. */
export async function survey(path: string, seconds: number): Promise<Video> {
  try {
    return await lookThrough(path, seconds);
  } catch (error) {
    const why = (error as Error).message.replace(/^Cannot [^:]*: /, "");
    throw new Error(`Cannot send ${path}: ${why}`, { cause: error });
  }
}

async function lookThrough(path: string, seconds: number): Promise<Video> {
  const report = new MediaReport();
  const kinds = { I: tally(), P: tally(), B: tally() };
  const messages: Video["messages"] = [];
  const bySecond: number[] = [];
  let codec: Frame["codec"] | null = null;
  let state: ReturnType<typeof packetizer> | null = null;
  let [group, groupMax, bytesTotal, byPlace] = [0, 0, 0, false];
  for await (const frame of play(path, seconds, report)) {
    codec ??= frame.codec;
    if (formatOf(codec) !== formatOf(frame.codec)) throw new Error("its codec changes on the way");
    state ??= packetizer({ format: formatOf(codec), marking: MARKING });
    const result = packetizeFrame(frame, state);
    state = result.state;
    const dts = frame.dts!;
    const parts = result.packets.messages.map(({ data, ...options }) => ({
      bytes: data.length,
      options,
    }));
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    messages.push({ dts, parts });
    const kind = kinds[kindOf(frame)];
    kind.frames += 1;
    kind.bytesMax = Math.max(kind.bytesMax, bytes);
    byPlace ||= kindOf(frame) !== frame.type;
    group = frame.groupStart ? 1 : group + 1;
    groupMax = Math.max(groupMax, group);
    bytesTotal += bytes;
    bySecond[Math.floor(dts / 1000)] = (bySecond[Math.floor(dts / 1000)] ?? 0) + bytes;
  }
  if (codec === null) throw new Error("there is no frame in it");
  const last = messages[messages.length - 1].dts;
  return {
    path,
    name: basename(path),
    codec,
    container: report.container ?? "elementary stream",
    format: formatOf(codec),
    seconds,
    period: messages.length > 1 ? last / (messages.length - 1) : PERIOD_MS_DEFAULT,
    kinds,
    group: groupMax,
    bytesPerSecond: bytesTotal / seconds,
    bytesPerSecondMax: Math.max(...bySecond.filter((bytes) => bytes > 0)),
    byPlace,
    messages,
  };
}

/**
 * The latency budget (ms) for a link of `rate` bytes per second: `LATENCY_MS_MIN`, or what a
 * frame that has just begun and the I frame behind it take, if that is more. With less, an I
 * frame could be lost though nothing else stood in its way.
 */
export function latencyFor({ kinds }: Pick<Video, "kinds">, rate: number): number {
  const other = Math.max(kinds.I.bytesMax, kinds.P.bytesMax, kinds.B.bytesMax);
  const least = LATENCY_MARGIN * (kinds.I.bytesMax + other) / rate * 1000;
  return Math.max(LATENCY_MS_MIN, Math.ceil(least / LATENCY_STEP_MS) * LATENCY_STEP_MS);
}

/**
 * Whether the video alone fits the link: all of it in time, with nothing else to send. Found out
 * by sending it, with the very scheduler, on a link in virtual time.
 */
export function fits(video: Video, rate: number, latency: number): boolean {
  using link = new VirtualLink({ scheduler: "dwcs", rate, queueMessages: QUEUE_MESSAGES });
  const stream = link.open(windowOf(video));
  for (const { dts, parts } of video.messages) {
    for (const { bytes, options } of parts) {
      stream.send(bytes, { ...options, deadline: latency }, dts);
    }
  }
  const events = link.run((video.seconds + 1) * 1000 + latency);
  return events.every(({ outcome }) => outcome === "sent");
}

/**
 * What the stream asks of the link: a frame each period, and at most all frames of a group but
 * one lost. That one is the I frame, since the drop priorities say which go first: B frames,
 * then P frames from the last of the group to the first, and never an I frame. A tighter
 * window (all B frames, say) would forbid the scheduler to give up a P frame for the sake of an
 * I frame on a link that carries little more than these.
 */
export function windowOf(video: Pick<Video, "period" | "group">): {
  ipg: number;
  oln: number;
  old: number;
} {
  return { ipg: video.period, oln: video.group - 1, old: video.group };
}

function formatOf(codec: Frame["codec"]): RtpFormat {
  return codec === "h264" ? "h264" : "mpv";
}

function tally() {
  return { frames: 0, bytesMax: 0 };
}
