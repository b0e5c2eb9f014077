// Real peers on the loopback: what we send, ffmpeg and GStreamer must understand to the last byte,
// and what ffmpeg sends, we must. Skipped, with the reason, where they are not installed.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Frame } from "../media/frame.ts";
import type { ReceivedFrame } from "../media/depacketize.ts";
import { Depacketizer } from "../media/depacketize.ts";
import { packetizeFrame, packetizer } from "../media/packetize.ts";
import type { PacketizeOptions } from "../media/packetize.ts";
import { annexB, nalUnits } from "../media/rtp_h264.ts";
import { TS_PACKET_BYTES } from "../media/rtp_mpeg2.ts";
import { writeSdp } from "../media/sdp.ts";
import { pace, packetize } from "../media/stream.ts";

const RUN_MS_MAX = 12_000;
const folder = mkdtempSync(join(tmpdir(), "qsockets-peer-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function has(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
}

/** Runs a program to its end; its output, or an error with what it said. */
function run(program: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
    let output = "", said = "";
    child.stdout.on("data", (data) => output += data);
    child.stderr.on("data", (data) => said += data);
    child.on("error", reject);
    child.on("close", (status) => {
      clearTimeout(timer);
      if (status === 0 && said === "") resolve(output);
      else reject(new Error(`${program} ended with ${status}: ${said.slice(0, 2000)}`));
    });
  });
}

function ffmpeg(...args: string[]): Promise<string> {
  return run("ffmpeg", "-nostdin", "-v", "error", "-y", ...args);
}

interface Clip {
  format: "mpv" | "h264";
  /** The transport stream that the clip was made as. */
  file: string;
  /** The elementary stream. */
  bytes: Uint8Array;
  frames: Frame[];
}

const coding = {
  mpv: ["-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-b:v", "2M"],
  h264: ["-c:v", "libx264", "-g", "12", "-bf", "2", "-threads", "1", "-x264-params", "slices=3"],
};
const clips = new Map<string, Promise<Clip>>();

function clip(format: "mpv" | "h264"): Promise<Clip> {
  if (!clips.has(format)) clips.set(format, makeClip(format));
  return clips.get(format)!;
}

async function makeClip(format: "mpv" | "h264"): Promise<Clip> {
  const file = join(folder, `${format}.ts`), elementary = join(folder, `${format}.es`);
  const picture = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-frames:v", "30"];
  await ffmpeg(...picture, ...coding[format], "-f", "mpegts", file);
  const raw = format === "mpv" ? "mpeg2video" : "h264";
  await ffmpeg("-i", file, "-c", "copy", "-f", raw, elementary);
  const bytes = new Uint8Array(readFileSync(elementary));
  const times = (await run(
    "ffprobe",
    ...["-v", "error", "-show_entries", "packet=pts_time,dts_time", "-of", "csv=p=0", file],
  )).split("\n").filter((line) => line.trim() !== "").map((line) =>
    line.split(",").map((text) => 1000 * Number(text))
  );
  const units = format === "mpv" ? pictures(bytes) : delimited(bytes);
  assert.equal(units.length, times.length);
  const frames = units.map((data, index): Frame => ({
    index,
    codec: format === "mpv" ? "mpeg2" : "h264",
    type: "P",
    pts: times[index][0],
    dts: times[index][1],
    data,
    keyframe: false,
    reference: true,
    groupStart: false,
    leading: false,
    damaged: false,
  }));
  return { format, file, bytes, frames };
}

/** The access units of an MPEG video stream: each ends where a header follows its slices. */
function pictures(data: Uint8Array): Uint8Array[] {
  const starts = [0];
  let slices = false;
  for (let at = 0; at + 3 < data.length; at++) {
    if (data[at] !== 0 || data[at + 1] !== 0 || data[at + 2] !== 1) continue;
    const header = data[at + 3] === 0 || data[at + 3] === 0xb3 || data[at + 3] === 0xb8;
    if (header && slices) starts.push(at);
    slices = header ? false : slices || data[at + 3] <= 0xaf;
  }
  return starts.map((start, i) => data.subarray(start, starts[i + 1] ?? data.length));
}

/** The access units of an H.264 stream that has delimiters. */
function delimited(data: Uint8Array): Uint8Array[] {
  const units: Uint8Array[][] = [];
  for (const unit of nalUnits(data)) {
    if ((unit[0] & 0x1f) === 9) units.push([]);
    units[units.length - 1].push(unit);
  }
  return units.map(annexB);
}

async function bound(): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { socket, port: socket.address().port };
}

/** A port that is free now; players bind the one above it too, for RTCP. */
async function freePort(): Promise<number> {
  const { socket, port } = await bound();
  const even = port - port % 2;
  socket.close();
  await until(() => !isBound(port) && !isBound(even), `port ${even} is not free`);
  return even;
}

/** Whether some program has bound the port. */
function isBound(port: number): boolean {
  const local = new RegExp(`^ *\\d+: [0-9A-F]+:${port.toString(16).padStart(4, "0")} `, "im");
  return ["/proc/net/udp", "/proc/net/udp6"].some((file) => local.test(readFileSync(file, "utf8")));
}

async function until(condition: () => boolean, otherwise: string): Promise<void> {
  for (const end = Date.now() + 5000; Date.now() < end; await delay(10)) if (condition()) return;
  throw new Error(otherwise);
}

/** Sends the frames at three times their speed, then an RTCP BYE, which ends the session. */
async function send(frames: readonly Frame[], options: PacketizeOptions, port: number) {
  await until(() => isBound(port), `nobody listens at port ${port}`);
  const { socket } = await bound();
  const paced = new ReadableStream<Frame>({
    start(controller) {
      for (const frame of frames) controller.enqueue(frame);
      controller.close();
    },
  }).pipeThrough(packetize(options)).pipeThrough(pace({ speed: 3, now: () => performance.now() }));
  for await (const { messages } of paced) {
    for (const { data } of messages) await sendOne(socket, data, port);
  }
  const ssrc = [24, 16, 8, 0].map((shift) => options.ssrc! >>> shift & 0xff);
  // An empty receiver report comes first in every compound packet (RFC 3550, 6.1).
  const bye = new Uint8Array([0x80, 201, 0, 1, ...ssrc, 0x81, 203, 0, 1, ...ssrc]);
  await delay(200); // a BYE that comes at once would cut off what waits in the player
  await sendOne(socket, bye, port);
  socket.close();
}

function sendOne(socket: Socket, data: Uint8Array, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(data, port, "127.0.0.1", (error) => error ? reject(error) : resolve());
  });
}

/** The checksums of decoded pictures, from ffmpeg's framemd5. */
function checksums(framemd5: string): string[] {
  return framemd5.split("\n").filter((line) => line && !line.startsWith("#"))
    .map((line) => line.split(",").at(-1)!.trim());
}

const decoded = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"];

const noFfmpeg = has("ffmpeg") && has("ffprobe") ? false : "ffmpeg is not installed";
const noGstreamer = noFfmpeg || (has("gst-launch-1.0") ? false : "GStreamer is not installed");
for (const reason of new Set([noFfmpeg, noGstreamer])) {
  if (reason) console.log(`peer tests skipped: ${reason}`);
}

for (const format of ["mpv", "h264"] as const) {
  for (const marking of [undefined, 3]) {
    const how = marking === undefined ? "" : ", frames marked";
    test(`ffmpeg decodes what packetize makes of ${format}${how}`, { skip: noFfmpeg }, async () => {
      const { file, frames } = await clip(format);
      const port = await freePort();
      const sdp = join(folder, `${format}${marking ?? ""}.sdp`);
      const parameterSets = format === "h264" ? frames[0].data : undefined;
      const to = { hostname: "127.0.0.1", port };
      writeFileSync(sdp, writeSdp({ format, ...to, marking, parameterSets }));
      const player = ffmpeg("-protocol_whitelist", "file,udp,rtp", "-i", sdp, ...decoded);
      const [output] = await Promise.all([
        player,
        send(frames, { format, ssrc: 7, marking }, port),
      ]);
      const pictures = checksums(output);
      assert.equal(pictures.length, frames.length);
      assert.deepEqual(pictures, checksums(await ffmpeg("-i", file, ...decoded)));
    });
  }

  test(
    `depacketize takes ${format} from ffmpeg and loses no byte`,
    { skip: noFfmpeg },
    async () => {
      const { file, frames } = await clip(format);
      const { socket, port } = await bound();
      const depacketizer = new Depacketizer({ format });
      const received: ReceivedFrame[] = [];
      socket.on("message", (datagram) => received.push(...depacketizer.push(datagram)));
      const pace = ["-readrate", "2"];
      await ffmpeg(...pace, "-i", file, "-c", "copy", "-f", "rtp", `rtp://127.0.0.1:${port}`);
      await delay(100);
      socket.close();
      received.push(...depacketizer.flush());
      const sent = frames.map(({ data }) => data);
      assert.deepEqual(received.map(({ data }) => hex(data)), sent.map(hex));
      assert.ok(received.every(({ complete }) => complete));
      assert.equal(depacketizer.reception.lost, 0);
    },
  );

  test(
    `GStreamer's depayloader gives back the ${format} stream`,
    { skip: noGstreamer },
    async () => {
      const { bytes, frames } = await clip(format);
      const port = await freePort();
      const { payloadType } = packetizer({ format }).options;
      const file = join(folder, `${format}.gst`);
      const encoding = format === "mpv" ? "MPV" : "H264";
      const caps = `application/x-rtp,media=video,clock-rate=90000,encoding-name=${encoding},` +
        `payload=${payloadType}`;
      const count = packetCount(frames, format);
      const depay = format === "mpv"
        ? ["rtpmpvdepay"]
        : ["rtph264depay", "!", "video/x-h264,stream-format=byte-stream,alignment=au"];
      const player = run(
        "gst-launch-1.0",
        ...["-q", "udpsrc", "address=127.0.0.1", `port=${port}`, `num-buffers=${count}`],
        ...[`caps=${caps}`, "!", ...depay, "!", "filesink", `location=${file}`],
      );
      await Promise.all([player, send(frames, { format, ssrc: 7 }, port)]);
      const given = new Uint8Array(readFileSync(file));
      if (format === "mpv") assert.equal(hex(given), hex(bytes));
      else assert.deepEqual(nalUnits(given).map(hex), nalUnits(bytes).map(hex));
    },
  );
}

test("ffmpeg decodes a transport stream in RTP", { skip: noFfmpeg }, async () => {
  const { file, frames } = await clip("mpv");
  const data = new Uint8Array(readFileSync(file));
  const packets = data.length / TS_PACKET_BYTES;
  const chunks = frames.map((frame, i) => {
    const [start, end] = [i, i + 1].map((n) => Math.floor(packets * n / frames.length));
    return { ...frame, data: data.subarray(TS_PACKET_BYTES * start, TS_PACKET_BYTES * end) };
  });
  const port = await freePort();
  const sdp = join(folder, "mp2t.sdp");
  writeFileSync(sdp, writeSdp({ format: "mp2t", hostname: "127.0.0.1", port }));
  const player = ffmpeg("-protocol_whitelist", "file,udp,rtp", "-i", sdp, ...decoded);
  const [output] = await Promise.all([player, send(chunks, { format: "mp2t", ssrc: 7 }, port)]);
  // ffmpeg's demuxer keeps the last packet to itself, so one of the last pictures is not shown.
  const surely = frames.length - 2;
  const pictures = checksums(output).slice(0, surely);
  assert.deepEqual(pictures, checksums(await ffmpeg("-i", file, ...decoded)).slice(0, surely));
});

function packetCount(frames: readonly Frame[], format: "mpv" | "h264"): number {
  const state = packetizer({ format });
  return frames.reduce((n, frame) => n + packetizeFrame(frame, state).packets.messages.length, 0);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
