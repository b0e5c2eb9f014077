// MPEG-1 and MPEG-2 elementary streams become frames, whatever the pieces and the damage.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Mpeg2Parser } from "../media/mpeg2.ts";
import { MediaReport } from "../media/report.ts";
import { group, ibbp, picture, sequence } from "./bitstream.ts";
import {
  cut,
  damageArbitrary,
  damaged,
  facts,
  noFfmpeg,
  parse,
  sameAsFfprobe,
  sizesArbitrary,
  withClip,
} from "./parsing.ts";

const bytesOf = (units: number[][]) => Uint8Array.from(units.flat());
const STREAM = bytesOf(ibbp(3));

test("an IBBP stream gives its types, references and groups in decode order", () => {
  const { frames, report } = parse([STREAM]);
  assert.equal(frames.map(({ type }) => type).join(""), "IBBPBBIBBPBBIBBPBB");
  assert.deepEqual(
    frames.map(({ reference }) => reference),
    frames.map(({ type }) => type !== "B"),
  );
  assert.deepEqual(
    frames.map(({ groupStart }) => groupStart),
    frames.map(({ type }) => type === "I"),
  );
  assert.deepEqual(frames.map(({ index }) => index), frames.map((_, i) => i));
  assert.ok(frames.every(({ codec, damaged }) => codec === "mpeg2" && !damaged));
  assert.equal(report.damageCount, 0);
  assert.equal(report.container, "elementary stream");
});

test("the access units of a stream are the stream, each beginning with its headers", () => {
  const { frames } = parse([STREAM]);
  assert.deepEqual(frames.map(({ data }) => [...data]), ibbp(3));
});

test("B pictures after the I of an open group are leading, those of a closed one are not", () => {
  const leading = (closed: boolean) =>
    parse([bytesOf(ibbp(2, closed))]).frames.map((frame) => Number(frame.leading)).join("");
  assert.equal(leading(false), "011000011000");
  assert.equal(leading(true), "000000000000");
});

test("times of a bare stream follow from its frame rate and temporal references", () => {
  const { frames } = parse([STREAM]);
  assert.deepEqual(frames.slice(0, 7).map(({ dts }) => dts), [0, 40, 80, 120, 160, 200, 240]);
  assert.deepEqual(frames.slice(0, 7).map(({ pts }) => pts), [120, 40, 80, 240, 160, 200, 360]);
});

test("a low delay stream shows each picture when it is decoded", () => {
  const head = [...sequence({ lowDelay: true }), ...group(true)];
  const units = [
    [...head, ...picture({ type: "I", temporalReference: 0 })],
    picture({ type: "P", temporalReference: 1 }),
    picture({ type: "P", temporalReference: 2 }),
  ];
  const { frames } = parse([bytesOf(units)]);
  assert.deepEqual(frames.map(({ pts, dts }) => [pts, dts]), [[0, 0], [40, 40], [80, 80]]);
});

test("repeated fields make a picture last longer", () => {
  const head = [...sequence({ progressive: false, rateCode: 4 }), ...group(true)];
  const rff = { rows: 4, repeatFirstField: true };
  const units = [
    [...head, ...picture({ type: "I", temporalReference: 0, ...rff })],
    picture({ type: "P", temporalReference: 3, rows: 4 }),
    picture({ type: "B", temporalReference: 1, ...rff }),
    picture({ type: "B", temporalReference: 2, rows: 4 }),
  ];
  const { frames, report } = parse([bytesOf(units)]);
  const periods = frames.map(({ dts }) => Math.round(dts! / (1001 / 60)));
  assert.deepEqual(periods, [0, 2, 5, 8], "half frames: the I lasts 3, the B lasts 3");
  assert.equal(report.damageCount, 0);
});

test("two field pictures are one frame of the first field's type", () => {
  const head = [...sequence({ progressive: false }), ...group(true)];
  const field = (type: "I" | "P" | "B", temporalReference: number, structure: number) =>
    picture({ type, temporalReference, structure, rows: 2 });
  const units = [
    [...head, ...field("I", 0, 1), ...field("P", 0, 2)],
    [...field("P", 1, 1), ...field("P", 1, 2)],
    [...field("B", 2, 2), ...field("B", 2, 1)],
  ];
  const { frames, report } = parse([bytesOf(units)]);
  assert.deepEqual(frames.map(({ type }) => type), ["I", "P", "B"]);
  assert.deepEqual(frames.map(({ data }) => [...data]), units);
  assert.equal(report.damageCount, 0);
});

test("a field without its partner is a frame of its own", () => {
  const head = [...sequence({ progressive: false }), ...group(true)];
  const units = [
    [...head, ...picture({ type: "I", temporalReference: 0, structure: 1, rows: 2 })],
    picture({ type: "P", temporalReference: 1, structure: 1, rows: 2 }),
    picture({ type: "P", temporalReference: 1, structure: 1, rows: 2 }),
  ];
  const { frames } = parse([bytesOf(units)]);
  assert.deepEqual(frames.map(({ data }) => [...data]), units);
});

test("MPEG-1 is told from MPEG-2 by what follows the sequence header", () => {
  const one = (temporalReference: number, type: "I" | "P") =>
    picture({ type, temporalReference }, true);
  const units = [[...sequence({ mpeg1: true }), ...group(true), ...one(0, "I")], one(1, "P")];
  assert.deepEqual(parse([bytesOf(units)]).frames.map(({ codec }) => codec), ["mpeg1", "mpeg1"]);
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
  const whole = parse([STREAM], "mpeg2").frames;
  for (let end = 0; end < STREAM.length; end++) {
    const { frames } = parse([STREAM.subarray(0, end)], "mpeg2");
    const complete = frames.slice(0, -1);
    assert.deepEqual(facts(complete), facts(whole.slice(0, complete.length)), `cut at ${end}`);
    const bytes = frames.reduce((sum, { data }) => sum + data.length, 0);
    assert.ok(bytes <= end);
  }
});

test("damage ends, is the same for any cutting, and loses no byte unreported", () => {
  const tail = bytesOf(ibbp(2));
  fc.assert(
    fc.property(damageArbitrary, sizesArbitrary, (changes, sizes) => {
      const bytes = Uint8Array.from([...damaged(STREAM, changes), ...tail]);
      const { frames, report } = parse([bytes], "mpeg2");
      assert.deepEqual(facts(parse(cut(bytes, sizes), "mpeg2").frames), facts(frames));
      const kept = frames.reduce((sum, { data }) => sum + data.length, 0);
      const lost = Object.values(report.damage).reduce((sum, entry) => sum + entry.bytes, 0);
      assert.equal(kept + lost, bytes.length);
      // What comes after the damage is read as if it had not been.
      const last = frames.slice(-11).map(({ type, damaged }) => type + (damaged ? "!" : ""));
      assert.equal(last.join(""), "BBPBBIBBPBB");
    }),
    { numRuns: 150 },
  );
});

test("a picture whose slices are missing is marked", () => {
  const units = [[...sequence(), ...group(true), ...picture({ type: "I", temporalReference: 0 })]];
  units.push(picture({ type: "P", temporalReference: 1, rows: 1 }));
  units.push(picture({ type: "P", temporalReference: 2 }));
  const { frames, report } = parse([bytesOf(units)]);
  assert.deepEqual(frames.map(({ damaged }) => damaged), [false, true, false]);
  assert.equal(report.damage.syntax?.count, 1);
});

test("a stream that begins in mid-picture is read from the next header, and says so", () => {
  const { frames, report } = parse([STREAM.subarray(60)], "mpeg2");
  assert.equal(frames[0].type, "B");
  assert.equal(frames[0].damaged, true);
  assert.equal(report.damage["lead-in"]?.count, 1);
});

test("an access unit beyond the limit is thrown away and reported, for any cutting", () => {
  const big = picture({ type: "P", temporalReference: 5, sliceBytes: 3000 });
  const units = [...ibbp(1), big, ...ibbp(1)];
  const read = (pieces: Iterable<Uint8Array>) => {
    const report = new MediaReport();
    const parser = new Mpeg2Parser({ report, accessUnitBytesMax: 2000 });
    const chunk = { codec: "mpeg2" as const, pts: null, dts: null, damaged: false };
    const frames = [...pieces].flatMap((data) => parser.push({ ...chunk, data }));
    return { frames: facts([...frames, ...parser.end()]), report };
  };
  const { frames, report } = read([bytesOf(units)]);
  assert.equal(frames.length, 12);
  assert.deepEqual(report.damage.oversize, { count: 1, bytes: big.length });
  for (const size of [1, 7, 500, 2500]) {
    assert.deepEqual(read(cut(bytesOf(units), [size])).frames, frames, `pieces of ${size}`);
  }
});

test("start codes that video does not have are reported and do not stop it", () => {
  const units = ibbp(1);
  units[2].push(0, 0, 1, 0xb6, 7);
  const { frames, report } = parse([bytesOf(units)]);
  assert.equal(frames.length, 6);
  assert.equal(frames[2].damaged, true);
  assert.equal(report.damage.syntax?.count, 1);
});

const CLIPS: Record<string, string[]> = {
  "es.m2v": ["-c:v", "mpeg2video", "-g", "12", "-bf", "2"],
  "es.m1v": ["-c:v", "mpeg1video", "-g", "12", "-bf", "2"],
  "closed.ts": ["-c:v", "mpeg2video", "-flags", "+cgop", "-sc_threshold", "1000000000", "-bf", "2"],
  "interlaced.ts": ["-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-bf", "2"],
  "mpeg1.ts": ["-c:v", "mpeg1video", "-bf", "2"],
};
for (const [name, options] of Object.entries(CLIPS)) {
  test(`ffprobe sees the same frames in ${name}`, { skip: noFfmpeg }, async () => {
    await withClip(name, options, async (path) => {
      const frames = await sameAsFfprobe(path);
      assert.equal(frames.length, 50);
      assert.equal(frames.some(({ leading }) => leading), name !== "closed.ts");
    });
  });
}
