// H.264 in Annex B becomes frames, whatever the pieces and the damage.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { H264Parser } from "../media/h264.ts";
import { parseSequenceParameters, parseSliceHeader } from "../media/parameterset.ts";
import { MediaReport } from "../media/report.ts";
import { delimiter, filler, h264Stream, nal, pps, recoveryPoint, slice, sps } from "./bitstream.ts";
import type { Slice } from "./bitstream.ts";
import {
  cut,
  damageArbitrary,
  damaged,
  facts,
  mediaPath,
  noFfmpeg,
  parse,
  sameAsFfprobe,
  sizesArbitrary,
  withClip,
} from "./parsing.ts";

const bytesOf = (units: number[][]) => Uint8Array.from(units.flat());
const STREAM = bytesOf(h264Stream(3));
const IDR: Slice = { type: "I", frameNum: 0, order: 0, idr: true };

/** Frames of pictures, parameter sets first. */
function read(pictures: number[][], sets = [...sps(), ...pps()]) {
  return parse([Uint8Array.from([...sets, ...pictures.flat()])], "h264");
}

test("access units are told apart by their slices, without delimiters", () => {
  const { frames, report } = parse([STREAM]);
  assert.equal(frames.map(({ type }) => type).join(""), "IPBBPBB".repeat(3));
  assert.deepEqual(frames.map(({ data }) => [...data]), h264Stream(3));
  assert.deepEqual(
    frames.map(({ reference }) => reference),
    frames.map(({ type }) => type !== "B"),
  );
  assert.deepEqual(
    frames.map(({ groupStart }) => groupStart),
    frames.map(({ keyframe }) => keyframe),
  );
  assert.equal(frames.filter(({ keyframe }) => keyframe).length, 3);
  assert.ok(frames.every(({ leading, damaged }) => !leading && !damaged));
  assert.equal(report.damageCount, 0);
});

test("delimiters and messages belong to the picture that follows them", () => {
  const units = h264Stream(2).map((unit) => [...delimiter(), ...unit]);
  assert.deepEqual(parse([bytesOf(units)]).frames.map(({ data }) => [...data]), units);
});

test("a delimiter between two slices of one picture does not divide it", () => {
  const picture = [...slice(IDR), ...delimiter(), ...slice({ ...IDR, first: 12 })];
  const { frames } = read([picture, slice({ type: "P", frameNum: 1, order: 2 })]);
  assert.deepEqual(frames.map(({ type }) => type), ["I", "P"]);
});

test("each difference of section 7.4.1.2.4 begins another picture", () => {
  const base: Slice = { type: "P", frameNum: 1, order: 2, refIdc: 2, first: 0 };
  const count = (change: Partial<Slice>) =>
    read([slice(IDR), slice(base), slice({ ...base, first: 12, ...change })], [
      ...sps({ interlaced: true }),
      ...pps(),
      ...pps({ id: 1 }),
    ]).frames.length;
  const field = { interlaced: true };
  Object.assign(base, field);
  Object.assign(IDR, field);
  assert.equal(count({}), 2);
  assert.equal(count({ frameNum: 2 }), 3);
  assert.equal(count({ pps: 1 }), 3);
  assert.equal(count({ order: 4 }), 3);
  assert.equal(count({ refIdc: 0 }), 3);
  assert.equal(count({ refIdc: 1 }), 2, "both are referenced");
  assert.equal(count({ parity: "top" }), 3);
  assert.equal(count({ idr: true, idrId: 1, type: "I" }), 3);
  Object.assign(base, { parity: "top" });
  assert.equal(count({ parity: "bottom" }), 3, "fields are access units of their own");
  Object.assign(IDR, { interlaced: false });
});

test("a picture that repeats idr_pic_id still begins at its first macroblock", () => {
  const { frames } = read([slice(IDR), slice(IDR), slice(IDR)]);
  assert.equal(frames.length, 3);
});

test("redundant slices belong to their picture", () => {
  const sets = [...sps(), ...pps({ redundant: true })];
  const primary = { ...IDR, redundant: 0 };
  const { frames } = read([[...slice(primary), ...slice({ ...primary, redundant: 1 })]], sets);
  assert.equal(frames.length, 1);
});

test("a picture is B if any slice is B, and I only if all are", () => {
  const mixed = (...types: ("I" | "P" | "B")[]) =>
    types.flatMap((type, i) => slice({ type, frameNum: 1, order: 2, refIdc: 2, first: 5 * i }));
  const pictures = [["I", "P"], ["I", "B", "P"], ["P", "I"], ["I", "I"]] as const;
  for (const types of pictures) {
    const type = types.includes("B" as never) ? "B" : types.includes("P" as never) ? "P" : "I";
    assert.equal(read([slice(IDR), mixed(...types)]).frames[1].type, type, types.join());
  }
});

test("pictures shown before the I of an open group lean on the group before", () => {
  const { frames } = read([
    slice(IDR),
    slice({ type: "P", frameNum: 1, order: 2 }),
    [...recoveryPoint(), ...slice({ type: "I", frameNum: 2, order: 8 })],
    slice({ type: "B", frameNum: 3, order: 4 }),
    slice({ type: "B", frameNum: 3, order: 6 }),
    slice({ type: "P", frameNum: 3, order: 14 }),
    slice({ type: "B", frameNum: 4, order: 10 }),
  ]);
  assert.equal(frames.map((frame) => Number(frame.leading)).join(""), "0001100");
  assert.equal(frames.map((frame) => Number(frame.keyframe)).join(""), "1010000");
  assert.equal(frames.map((frame) => Number(frame.groupStart)).join(""), "1010000");
});

test("an I picture without a recovery point starts a group and is no keyframe", () => {
  const { frames } = read([slice(IDR), slice({ type: "I", frameNum: 1, order: 2 })]);
  assert.deepEqual([frames[1].groupStart, frames[1].keyframe], [true, false]);
});

test("times of a bare stream follow from its tick and its picture order", () => {
  const { frames } = parse([STREAM]);
  assert.deepEqual(frames.slice(0, 7).map(({ dts }) => dts), [0, 40, 80, 120, 160, 200, 240]);
  assert.deepEqual(frames.slice(0, 8).map(({ pts }) => pts), [
    40,
    160,
    80,
    120,
    280,
    200,
    240,
    320,
  ]);
});

test("picture order counts of types 1 and 2 give the same places", () => {
  const p = (orderType: number, k: number, deltaOrder = 0): Slice => (
    { type: "P", frameNum: k, order: 0, orderType, deltaOrder }
  );
  const two = read([
    slice({ ...IDR, orderType: 2 }),
    ...[1, 2, 3].map((k) => slice(p(2, k))),
  ], [...sps({ orderType: 2 }), ...pps()]);
  assert.deepEqual(
    two.frames.map(({ pts, dts }) => [pts, dts]),
    [0, 40, 80, 120].map((t) => [t, t]),
  );
  // A cycle of 4 for each reference frame: I P P, each followed by a B that lies before it.
  const one = read([
    slice({ ...IDR, orderType: 1 }),
    slice(p(1, 1)),
    slice({ ...p(1, 2, -1), type: "B", refIdc: 0 }),
    slice(p(1, 2)),
  ], [...sps({ orderType: 1 }), ...pps()]);
  assert.deepEqual(one.frames.map(({ pts }) => pts), [40, 120, 80, 200]);
});

test("picture order counts unwrap", () => {
  const pictures = Array.from(
    { length: 300 },
    (_, i) =>
      slice({ ...i === 0 ? IDR : { type: "P", frameNum: i }, order: 2 * i, bytes: 2 } as Slice),
  );
  const { frames } = read(pictures);
  assert.deepEqual(frames.map(({ pts }) => pts), frames.map((_, i) => 40 * i + 40));
});

test("slices without their parameter sets still give frames, marked as damaged", () => {
  const bytes = Uint8Array.from([...slice(IDR), ...slice({ type: "P", frameNum: 1, order: 2 })]);
  const { frames, report } = parse([bytes], "h264");
  assert.deepEqual(frames.map(({ type, damaged }) => [type, damaged]), [["I", true], ["P", true]]);
  assert.equal(report.damage.syntax?.count, 2);
});

test("a picture whose first slice is missing is marked", () => {
  const { frames } = read([slice(IDR), slice({ type: "P", frameNum: 1, order: 2, first: 12 })]);
  assert.deepEqual(frames.map(({ damaged }) => damaged), [false, true]);
});

test("a sequence parameter set with scaling lists and buffering is read to its end", () => {
  const plain = parseSequenceParameters(Uint8Array.from(sps({ timeScale: 60 }).slice(4)))!;
  assert.equal(plain.width, 80);
  assert.equal(plain.height, 80);
  assert.ok(Math.abs(plain.periodMs! - 1000 / 30) < 1e-9);
  assert.equal(plain.reorderFrames, 1);
});

test("parsing of any bytes as parameter sets or slices ends", () => {
  const sets = new Map([[0, parseSequenceParameters(Uint8Array.from(sps().slice(4)))!]]);
  const pictures = new Map([
    [0, { id: 0, sequenceId: 0, bottomFieldOrder: true, redundantPictures: true }],
  ]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    parseSequenceParameters(bytes);
    parseSliceHeader(bytes, sets, pictures);
    parse([Uint8Array.from([0, 0, 1, 0x67, ...bytes, 0, 0, 1, 6, ...bytes])], "h264");
  }));
});

test("any cutting of the input gives the same frames", () => {
  const whole = facts(parse([STREAM]).frames);
  fc.assert(
    fc.property(sizesArbitrary, (sizes) => {
      assert.deepEqual(facts(parse(cut(STREAM, sizes)).frames), whole);
    }),
    { numRuns: 60 },
  );
});

test("a stream that ends anywhere gives the frames before, and no other bytes", () => {
  const whole = parse([STREAM], "h264").frames;
  for (let end = 0; end < STREAM.length; end++) {
    const { frames } = parse([STREAM.subarray(0, end)], "h264");
    const complete = frames.slice(0, -1);
    assert.deepEqual(facts(complete), facts(whole.slice(0, complete.length)), `cut at ${end}`);
    assert.ok(frames.reduce((sum, { data }) => sum + data.length, 0) <= end);
  }
});

test("damage ends, is the same for any cutting, and loses no byte unreported", () => {
  const tail = bytesOf(h264Stream(2));
  fc.assert(
    fc.property(damageArbitrary, sizesArbitrary, (changes, sizes) => {
      const bytes = Uint8Array.from([...damaged(STREAM, changes), ...tail]);
      const { frames, report } = parse([bytes], "h264");
      assert.deepEqual(facts(parse(cut(bytes, sizes), "h264").frames), facts(frames));
      const kept = frames.reduce((sum, { data }) => sum + data.length, 0);
      const lost = Object.values(report.damage).reduce((sum, entry) => sum + entry.bytes, 0);
      assert.equal(kept + lost, bytes.length);
      const last = frames.slice(-7).map(({ type, damaged }) => type + (damaged ? "!" : ""));
      assert.equal(last.join(""), "IPBBPBB");
    }),
    { numRuns: 150 },
  );
});

test("an access unit beyond the limit is thrown away and reported, for any cutting", () => {
  const big = slice({ type: "P", frameNum: 1, order: 2, bytes: 3000 });
  const later = slice({ type: "P", frameNum: 2, order: 4 });
  const message = nal(0, 6, [5, 255, 255, ...filler(900)]);
  const bytes = Uint8Array.from([...sps(), ...pps(), ...slice(IDR), ...big, ...message, ...later]);
  const collect = (pieces: Iterable<Uint8Array>) => {
    const report = new MediaReport();
    const parser = new H264Parser({ report, accessUnitBytesMax: 2000 });
    const chunk = { codec: "h264" as const, pts: null, dts: null, damaged: false };
    const frames = [...pieces].flatMap((data) => parser.push({ ...chunk, data }));
    return { frames: facts([...frames, ...parser.end()]), report };
  };
  const { frames, report } = collect([bytes]);
  assert.equal(frames.length, 2);
  assert.equal(report.damage.oversize?.count, 1);
  for (const size of [1, 7, 500, 2500]) {
    const again = collect(cut(bytes, [size]));
    assert.deepEqual(again.frames, frames, `pieces of ${size}`);
    assert.deepEqual(again.report.damage, report.damage);
  }
});

const X264 = ["-c:v", "libx264", "-x264-params"];
const CLIPS: Record<string, string[]> = {
  "slices.264": [...X264, "slices=4:bframes=3:b-pyramid=normal"],
  "many.264": [...X264, "aud=1:slice-max-size=400", "-bsf:v", "h264_metadata=aud=remove"],
  "pyramid.ts": [...X264, "bframes=4:b-pyramid=strict:keyint=20"],
  "open.ts": [...X264, "open-gop=1:keyint=15:bframes=3"],
  "interlaced.ts": [...X264, "tff=1:keyint=20", "-flags", "+ilme+ildct"],
  "refresh.ts": [...X264, "intra-refresh=1:keyint=20"],
};
for (const [name, options] of Object.entries(CLIPS)) {
  test(`ffprobe sees the same frames in ${name}`, { skip: noFfmpeg }, async () => {
    await withClip(name, options, async (path) => {
      assert.equal((await sameAsFfprobe(path)).length, 50);
    });
  });
}

const real = mediaPath("VID_1280x720_cabac_temporal_direct.264");
const skip = noFfmpeg || (real === null && "skipped for want of the file");
test("ffprobe sees the same frames in a real stream", { skip }, async () => {
  assert.equal((await sameAsFfprobe(real!)).length, 300);
});
