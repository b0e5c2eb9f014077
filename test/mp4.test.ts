// H.264 in MP4 and Matroska becomes Annex B with its times.

import assert from "node:assert/strict";
import { openAsBlob } from "node:fs";
import { test } from "node:test";
import type { Frame } from "../media/frame.ts";
import { DecodeTimes, parseAvcConfiguration, toAnnexB } from "../media/mp4.ts";
import { readFrames } from "../media/source.ts";
import { delimiter, pps, slice, sps } from "./bitstream.ts";
import { facts, noFfmpeg, sameAsFfprobe, withClip } from "./parsing.ts";

const bare = (unit: number[]) => unit.slice(4);
const SPS = bare(sps());
const PPS = bare(pps());
const record = Uint8Array.from([
  1,
  77,
  0,
  30,
  0xff,
  0xe1,
  0,
  SPS.length,
  ...SPS,
  1,
  0,
  PPS.length,
  ...PPS,
]);
const idr = slice({ type: "I", frameNum: 0, order: 0, idr: true });

const sample = (...units: number[][]) =>
  Uint8Array.from(units.flatMap((unit) => [0, 0, 0, unit.length - 4, ...bare(unit)]));

async function collect(source: Parameters<typeof readFrames>[0]): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of readFrames(source)) frames.push(frame);
  return frames;
}

test("an avcC record gives its parameter sets, a damaged one null", () => {
  const configuration = parseAvcConfiguration(record)!;
  assert.equal(configuration.lengthBytes, 4);
  assert.deepEqual(configuration.parameterSets.map((set) => [...set]), [SPS, PPS]);
  for (let end = 0; end < record.length; end++) {
    assert.equal(parseAvcConfiguration(record.subarray(0, end)), null, `cut at ${end}`);
  }
});

test("samples get start codes, and parameter sets where decoding can begin", () => {
  const configuration = parseAvcConfiguration(record)!;
  const p = slice({ type: "P", frameNum: 1, order: 2 });
  const annexB = (bytes: Uint8Array) => [...toAnnexB(bytes, configuration, false).data];
  assert.deepEqual(annexB(sample(p)), p);
  assert.deepEqual(annexB(sample(idr)), [...sps(), ...pps(), ...idr]);
  const delimited = [...delimiter(), ...sps(), ...pps(), ...idr];
  assert.deepEqual(annexB(sample(delimiter(), idr)), delimited);
  assert.deepEqual(annexB(sample(sps(), pps(), idr)), [...sps(), ...pps(), ...idr]);
});

test("a NAL unit longer than its sample is left out, and said to be", () => {
  const configuration = parseAvcConfiguration(record)!;
  const whole = sample(idr, slice({ type: "I", frameNum: 0, order: 0, first: 12, idr: true }));
  assert.equal(toAnnexB(whole, configuration, false).intact, true);
  const { data, intact } = toAnnexB(whole.subarray(0, -5), configuration, false);
  assert.equal(intact, false);
  assert.deepEqual([...data], [...sps(), ...pps(), ...idr]);
});

test("decoding times keep the distances, never fall and never pass the presentation", () => {
  const times = new DecodeTimes(2);
  const shown = [0, 160, 80, 40, 120, 320, 240, 200, 280];
  const dts = shown.map((pts) => times.next(pts, 40));
  assert.deepEqual(dts, [-80, -40, 0, 40, 80, 120, 160, 200, 240]);
});

const X264 = ["-c:v", "libx264", "-g", "15", "-x264-params"];
const CLIPS: Record<string, string[]> = {
  "plain.mp4": [...X264, "bframes=3:b-pyramid=normal"],
  "open.mp4": [...X264, "open-gop=1:bframes=3"],
  "fragments.mp4": [...X264, "bframes=2", "-movflags", "+frag_keyframe+empty_moov"],
  "low.mp4": [...X264, "bframes=0"],
  "pyramid.mkv": [...X264, "bframes=3:b-pyramid=normal"],
  "open.mkv": [...X264, "open-gop=1:bframes=3:keyint=15"],
};
for (const [name, options] of Object.entries(CLIPS)) {
  test(`ffprobe sees the same frames in ${name}`, { skip: noFfmpeg }, async () => {
    await withClip(name, options, async (path) => {
      const [first] = await collect(path);
      // Both parameter sets with their start codes come before each keyframe.
      const extraBytes = [...first.data].findIndex((byte, i, data) =>
        i > 4 && data[i - 1] === 1 && data[i - 2] === 0 && data[i - 3] === 0 &&
        (byte & 31) !== 7 && (byte & 31) !== 8
      ) - 4;
      const frames = await sameAsFfprobe(path, { extraBytes });
      assert.equal(frames.length, 50);
      assert.equal(
        frames.some(({ leading }) =>
          leading
        ),
        name.startsWith("open"),
      );
      assert.deepEqual(facts(await collect(await openAsBlob(path))), facts(frames), "as a Blob");
    });
  });
}

test("other codecs in MP4 and Matroska are refused by name", { skip: noFfmpeg }, async () => {
  await withClip("mpeg2.mkv", ["-c:v", "mpeg2video"], async (path) => {
    await assert.rejects(collect(path), /Cannot read Matroska: it must carry H\.264.*V_MPEG2/);
  });
  await withClip("mpeg4.mp4", ["-c:v", "mpeg4"], async (path) => {
    await assert.rejects(collect(path), /Cannot read MP4: it must carry H\.264/);
  });
});

test("a damaged MP4 file is an error that says so", async () => {
  const blob = new Blob([
    Uint8Array.from([0, 0, 0, 16, ...new TextEncoder().encode("ftypisom"), 0, 0, 0, 0]),
  ]);
  await assert.rejects(collect(blob), /Cannot read MP4: /);
});
