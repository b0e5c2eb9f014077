// Files, Blobs and streams of bytes become frames through the stages and through readFrames().

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { demux, Demuxer, FrameParser, frames } from "../media/demux.ts";
import type { Frame } from "../media/frame.ts";
import { frameLevel } from "../media/frame.ts";
import { MediaReport } from "../media/report.ts";
import { readFrames } from "../media/source.ts";
import type { ReadOptions } from "../media/source.ts";
import { h264Stream, ibbp, slice } from "./bitstream.ts";
import { cut, facts, parse } from "./parsing.ts";
import { ibbpOrder, timed, transportStream } from "./transport.ts";

const STREAM = transportStream(timed(ibbp(30), ibbpOrder));
const EXPECTED = facts(parse([STREAM]).frames);
const folder = mkdtempSync(join(tmpdir(), "qsockets-"));
const path = join(folder, "film.ts");
writeFileSync(path, STREAM);
after(() => rmSync(folder, { recursive: true, force: true }));

async function collect(source: AsyncIterable<Frame>): Promise<Frame[]> {
  const all: Frame[] = [];
  for await (const frame of source) all.push(frame);
  return all;
}

test("a stream of bytes goes through demux() and frames()", async () => {
  const stages = new Blob([STREAM]).stream().pipeThrough(demux()).pipeThrough(frames());
  assert.deepEqual(facts(await collect(stages)), EXPECTED);
});

test("the stages err with the reason", async () => {
  const stages = new Blob(["Dear reader"]).stream().pipeThrough(demux()).pipeThrough(frames());
  await assert.rejects(collect(stages), /Cannot read video: .*it is text/);
});

test("readFrames takes a path, a URL, a Blob and pieces of bytes", async () => {
  const sources = [path, pathToFileURL(path), new Blob([STREAM]), [...cut(STREAM, [1000])]];
  for (const source of sources) {
    assert.deepEqual(facts(await collect(readFrames(source))), EXPECTED);
  }
});

test("a loop that is left early closes the file", async () => {
  for await (const frame of readFrames(path)) if (frame.index === 3) break;
  const open = readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false; // closed meanwhile
    }
  });
  assert.deepEqual(open, []);
});

test("a path that cannot be read is named with the reason, the system's error its cause", async () => {
  const absent = join(folder, "absent.ts");
  const cases = [
    [absent, {}, `Cannot read ${absent}: there is no such file`, "ENOENT"],
    [absent, { codec: "h264" }, `Cannot read ${absent}: there is no such file`, "ENOENT"],
    [pathToFileURL(absent), {}, `Cannot read ${absent}: there is no such file`, "ENOENT"],
    [folder, {}, `Cannot read ${folder}: it is a folder`, "EISDIR"],
    [folder, { codec: "mpeg2" }, `Cannot read ${folder}: it is a folder`, "EISDIR"],
  ] as const;
  for (const [source, options, message, code] of cases) {
    await assert.rejects(collect(readFrames(source, options)), (error: Error) => {
      assert.equal(error.message, message);
      assert.equal((error.cause as NodeJS.ErrnoException).code, code);
      return true;
    });
  }
});

test("wrong sources and options are the caller's mistake", async () => {
  const refuse = async (
    source: unknown,
    options: unknown,
    type: typeof TypeError,
    text: RegExp,
  ) => {
    const run = collect(readFrames(source as string, options as ReadOptions));
    await assert.rejects(run, (error) => error instanceof type && text.test(error.message));
  };
  await refuse(5, {}, TypeError, /Cannot read frames: source must be/);
  await refuse(STREAM, {}, TypeError, /iterable of Uint8Array/);
  await refuse(["text"], {}, TypeError, /Cannot demux: input must be Uint8Array, got string/);
  await refuse(path, { codec: "h265" }, RangeError, /codec must be/);
  await refuse(path, { accessUnitBytesMax: 0 }, RangeError, /accessUnitBytesMax must be above 0/);
  await refuse(path, { size: 1 }, TypeError, /there is no option "size"/);
  assert.throws(() => new MediaReport("x" as never), TypeError);
});

test("a report tells each loss as it happens", () => {
  const seen: string[] = [];
  const report = new MediaReport(({ kind }) => seen.push(kind));
  const demuxer = new Demuxer({ report });
  const at = 100 * 188; // between two packets
  demuxer.push(
    Uint8Array.from([...STREAM.subarray(0, at), 1, 2, 3, ...STREAM.subarray(at)]),
  );
  demuxer.end();
  assert.deepEqual(seen, ["sync"]);
  assert.equal(report.damageCount, 1);
});

test("H.264 is known by its slices where its parameter sets are lost", () => {
  const slices = h264Stream(2).map((unit, i) =>
    i % 7 === 0 ? slice({ type: "I", frameNum: 0, order: 0, idr: true }) : unit
  );
  const { frames, report } = parse([Uint8Array.from(slices.flat())]);
  assert.equal(report.container, "elementary stream");
  assert.equal(frames.map(({ type }) => type).join(""), "IPBBPBBIPBBPBB");
  assert.ok(frames.every(({ damaged, codec }) => damaged && codec === "h264"));
});

test("where the codec changes, frames are counted through", () => {
  const parser = new FrameParser();
  const chunk = { pts: null, dts: null, damaged: false };
  const mpeg = Uint8Array.from(ibbp(1).flat());
  const h264 = Uint8Array.from(h264Stream(1).flat());
  const all = [
    ...parser.push({ ...chunk, codec: "mpeg2", data: mpeg }),
    ...parser.push({ ...chunk, codec: "h264", data: h264 }),
    ...parser.end(),
  ];
  assert.deepEqual(all.map(({ index }) => index), all.map((_, i) => i));
  assert.equal(all.length, 13);
  assert.equal(Buffer.concat(all.map(({ data }) => data)).length, mpeg.length + h264.length);
});

test("frames have the level of their place in the group", () => {
  const levels = parse([STREAM]).frames.slice(0, 6).map(frameLevel);
  assert.deepEqual(levels, [0, 2, 2, 1, 2, 2]);
});
