// What the tests of the parsers share: cutting and damaging input, comparing frames, and asking
// ffprobe what it sees.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { Demuxer, FrameParser } from "../media/demux.ts";
import type { Frame, VideoCodec } from "../media/frame.ts";
import { MediaReport } from "../media/report.ts";
import { readFrames } from "../media/source.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const has = (tool: string) => spawnSync(tool, ["-version"], { stdio: "ignore" }).status === 0;

/** Reason to skip what needs ffmpeg and ffprobe, or false. */
export const noFfmpeg = has("ffmpeg") && has("ffprobe") ? false : "skipped for want of ffprobe";

/** Real video beside the checkout, or in it; null where it is absent. */
export function mediaPath(name: string): string | null {
  const places = [join(root, "..", "shared", "media", name), join(root, "examples", name)];
  return places.find((path) => existsSync(path)) ?? null;
}

export interface Parsed {
  frames: Frame[];
  report: MediaReport;
}

/** Runs both synchronous cores over pieces of an input. */
export function parse(pieces: Iterable<Uint8Array>, codec?: VideoCodec): Parsed {
  const report = new MediaReport();
  const demuxer = new Demuxer({ report, codec });
  const parser = new FrameParser({ report });
  const frames: Frame[] = [];
  for (const piece of pieces) {
    for (const chunk of demuxer.push(piece)) frames.push(...parser.push(chunk));
  }
  for (const chunk of demuxer.end()) frames.push(...parser.push(chunk));
  frames.push(...parser.end());
  return { frames, report };
}

/** Everything of a frame, with its bytes as text so that differences can be read. */
export function facts(frames: Frame[]): object[] {
  return frames.map((frame) => ({ ...frame, data: Buffer.from(frame.data).toString("hex") }));
}

/** Pieces of 1 to 400 bytes, sizes repeating. */
export const sizesArbitrary: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 1, max: 400 }), {
  minLength: 1,
  maxLength: 12,
});

export function* cut(bytes: Uint8Array, sizes: number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length];
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** Flipped bits, and bytes taken out or put in, at places given as a share of the length. */
export const damageArbitrary: fc.Arbitrary<
  { place: number; change: "flip" | "cut" | "add"; count: number }[]
> = fc
  .array(
    fc.record({
      place: fc.double({ min: 0, max: 1, noNaN: true }),
      change: fc.constantFrom("flip" as const, "cut" as const, "add" as const),
      count: fc.integer({ min: 1, max: 300 }),
    }),
    { minLength: 1, maxLength: 8 },
  );

export function damaged(
  bytes: Uint8Array,
  changes: { place: number; change: "flip" | "cut" | "add"; count: number }[],
): Uint8Array {
  let out = [...bytes];
  for (const { place, change, count } of changes) {
    const at = Math.floor(place * (out.length - 1));
    if (change === "flip") out[at] ^= 1 << (count % 8);
    else if (change === "cut") out.splice(at, count);
    else {out = [
        ...out.slice(0, at),
        ...Array.from({ length: count }, (_, i) => i * count),
        ...out.slice(at),
      ];}
  }
  return Uint8Array.from(out, (byte) => byte & 255);
}

/** Runs `body` with a clip made by ffmpeg, which is removed afterwards. */
export async function withClip(
  name: string,
  options: string[],
  body: (path: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qsockets-"));
  const path = join(folder, name);
  const source = ["-f", "lavfi", "-i", "testsrc2=size=160x128:rate=25", "-t", "2"];
  try {
    execFileSync("ffmpeg", [
      "-y",
      "-v",
      "error",
      ...source,
      "-pix_fmt",
      "yuv420p",
      ...options,
      path,
    ]);
    await body(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Probed {
  type: string;
  pts_time?: string;
  dts_time?: string;
  size?: string;
  flags?: string;
  pict_type?: string;
}

export interface Comparison {
  /** Bytes that a frame may have more than the packet: parameter sets put before it. */
  extraBytes?: number;
  /** Times of this source wrap, and ffprobe may place them a wrap away. */
  wrapMs?: number;
}

/** Reads a file and asserts that ffprobe sees the same frames; returns them. */
export async function sameAsFfprobe(path: string, options: Comparison = {}): Promise<Frame[]> {
  const { extraBytes = 0, wrapMs = 0 } = options;
  const frames: Frame[] = [];
  for await (const frame of readFrames(path)) frames.push(frame);
  const show = ["-select_streams", "v:0", "-show_packets", "-show_frames", "-of", "json"];
  const output = execFileSync("ffprobe", ["-v", "quiet", ...show, path], { maxBuffer: 1 << 28 });
  const probed: Probed[] = JSON.parse(output.toString()).packets_and_frames;
  const packets = probed.filter(({ type }) => type === "packet");
  assert.equal(frames.length, packets.length, "number of frames");
  const near = (ours: number | null, theirs: string | undefined, what: string) => {
    if (theirs === undefined) return; // ffprobe knows less of bare streams
    assert.ok(ours !== null, `${what} is missing`);
    let distance = Math.abs(ours - Number(theirs) * 1000);
    if (wrapMs > 0) distance = Math.min(distance % wrapMs, wrapMs - distance % wrapMs);
    assert.ok(distance < 0.51, `${what}: ${ours} ms, ffprobe says ${theirs} s`);
  };
  packets.forEach((packet, i) => {
    const extra = frames[i].data.length - Number(packet.size);
    assert.ok(
      extra === 0 || (extra === extraBytes && frames[i].keyframe),
      `${extra} bytes at ${i}`,
    );
    near(
      frames[i].pts,
      frames[i].codec === "mpeg1" && i === 0 ? undefined : packet.pts_time,
      `pts ${i}`,
    );
    near(frames[i].dts, packet.dts_time, `dts ${i}`);
    assert.equal(frames[i].keyframe, packet.flags?.startsWith("K"), `keyframe flag of ${i}`);
  });
  // ffprobe gives pictures in display order.
  const shown = frames.toSorted((a, b) => a.pts! - b.pts!).map(({ type }) => type).join("");
  const theirs = probed.flatMap(({ pict_type }) => pict_type ?? []).join("");
  assert.equal(shown, theirs, "types in display order");
  return frames;
}

/** Says why on a machine that lacks something, so that a skipped test is seen. */
if (noFfmpeg) process.stderr.write(`comparisons with ffprobe: ${noFfmpeg}\n`);
