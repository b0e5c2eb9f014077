// The video that the experiments send: what is asked for, else real film, where some lies beside the
// checkout, else the demo's clip. Where there is an ffmpeg, ten seconds of it are coded anew, once, in the usual shape of a live
// picture: 20 pictures/s, groups of 12 as IBBP, nearly constant rate. Without one the clip is sent
// as it is, slowed down to the frame rate asked for; its first second is three times as heavy as the rest.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import type { Frame, FramePackets, RtpFormat } from "../../mod.ts";
import { packetizeFrame, packetizer } from "../../mod.ts";
import { digestOf, type SentFrame } from "../../examples/demo/log.ts";
import { kindOf, MARKING, play, survey, windowOf } from "../../examples/demo/video.ts";
import { root } from "./children.ts";
import { HEADERS_BYTES } from "./path.ts";

const FILM = join(root, "..", "shared", "media", "bbb_2500ms.ts");
const CLIP = join(root, "examples", "clip.m2t");
const CACHE = join(root, "kernel", "build", "lab");
const CODED_SECONDS = 10;
const CODING = "-vf scale=1280:720,fps=20 -c:v mpeg2video -g 12 -bf 2 -sc_threshold 1000000000 " +
  "-qmin 1 -b:v 3M -maxrate 3500k -bufsize 600k -threads 1";

/** A video file, and what it asks of a link when it is sent at its usual frame rate. */
export interface Video {
  path: string;
  /** What it is, in a sentence. */
  about: string;
  format: RtpFormat;
  /** Its own frames per second; it can be sent at any other. */
  fps: number;
  /** Of one frame on the wire, with all headers: mean and largest. */
  bytes: { mean: number; max: number };
  window: { oln: number; old: number };
}

/** A frame that was sent, and what it weighed on the wire. */
export interface LabFrame extends SentFrame {
  bytes: number;
}

/** Finds the best video that this machine has, or codes it. */
export async function findVideo(asked: string | null = null): Promise<Video> {
  const film = existsSync(FILM);
  const coded = asked !== null
    ? code(asked, fileName(asked))
    : film
    ? code(FILM, "film")
    : code(CLIP, "clip");
  if (asked !== null && coded === null) throw new Error(`Cannot code ${asked} anew with ffmpeg`);
  const path = coded ?? CLIP;
  const seen = await survey(path, CODED_SECONDS);
  const { period, bytesPerSecond, kinds, messages } = seen;
  const datagrams = messages.reduce((sum, { parts }) => sum + parts.length, 0);
  const headers = 1 + HEADERS_BYTES * datagrams / (bytesPerSecond * CODED_SECONDS);
  const { oln, old } = windowOf(seen);
  const largest = Math.max(kinds.I.bytesMax, kinds.P.bytesMax, kinds.B.bytesMax);
  return {
    path,
    about: asked !== null
      ? `${basename(asked)}, coded anew as MPEG-2, 1280x720`
      : coded === null
      ? "the clip of examples/, MPEG-2, 640x360, slowed down"
      : film
      ? "Big Buck Bunny ((c) Blender Foundation, CC BY 3.0), MPEG-2, 1280x720, repeated"
      : "the clip of examples/, coded anew as MPEG-2, 1280x720",
    format: seen.format,
    fps: 1000 / period,
    bytes: {
      mean: bytesPerSecond * CODED_SECONDS / messages.length * headers,
      max: largest * headers,
    },
    window: { oln, old },
  };
}

/** What a file that was asked for is kept as: another one when it changes. */
function fileName(path: string): string {
  const { size, mtimeMs } = statSync(path);
  const hash = createHash("sha256").update(`${path} ${size} ${mtimeMs}`).digest("hex");
  return `asked-${hash.slice(0, 16)}`;
}

/** Codes a file anew, unless that is done already; null where there is no ffmpeg. */
function code(from: string, name: string): string | null {
  const coded = join(CACHE, `${name}-1280x720-3M.ts`);
  if (existsSync(coded)) return coded;
  mkdirSync(CACHE, { recursive: true });
  const part = `${coded}.${process.pid}.part`;
  const input = ["-v", "error", "-y", "-stream_loop", "-1", "-i", from, "-an"];
  const output = ["-t", String(CODED_SECONDS), ...CODING.split(" "), "-f", "mpegts", part];
  if (spawnSync("ffmpeg", [...input, ...output], { stdio: "ignore" }).status !== 0) return null;
  renameSync(part, coded);
  return coded;
}

/** A video's frames as packets, evenly spaced from 0 ms, with what is known of each. */
export async function packetsOf(
  { path, format, fps: ownFps }: Pick<Video, "path" | "format" | "fps">,
  { fps, seconds, latency }: { fps: number; seconds: number; latency: number },
): Promise<{ packets: FramePackets; sent: LabFrame }[]> {
  const slower = ownFps / fps;
  let state = packetizer({ format, marking: MARKING, sequence: 0, latency });
  let sequence = 0;
  const all: { packets: FramePackets; sent: LabFrame }[] = [];
  for await (const frame of play(path, seconds * fps / ownFps + 1)) {
    const dts = all.length * 1000 / fps;
    if (dts >= seconds * 1000) break;
    const due = { ...frame, dts, pts: frame.pts === null ? null : frame.pts * slower };
    const made = packetizeFrame(due, state);
    state = made.state;
    const sent = describe(due, made.packets, sequence, latency);
    sequence += sent.packets;
    all.push({ packets: made.packets, sent });
  }
  return all;
}

function describe(
  frame: Frame,
  { messages }: FramePackets,
  sequence: number,
  latency: number,
): LabFrame {
  const { groupStart, keyframe, reference, leading } = frame;
  return {
    kind: kindOf(frame),
    groupStart,
    keyframe,
    reference,
    leading,
    sequence,
    packets: messages.length,
    dts: frame.dts!,
    deadline: frame.dts! + latency,
    digest: digestOf(frame.data),
    bytes: messages.reduce((sum, { data }) => sum + data.length + HEADERS_BYTES, 0),
  };
}
