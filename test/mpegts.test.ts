// Transport and program streams give up their video with its times, and say what they lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32, SectionReader } from "../media/psi.ts";
import { h264Stream, ibbp } from "./bitstream.ts";
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
import {
  AUDIO_PID,
  ibbpOrder,
  programStream,
  timed,
  transportStream,
  VIDEO_PID,
} from "./transport.ts";
import type { MuxOptions } from "./transport.ts";

const UNITS = timed(ibbp(3), ibbpOrder);
const STREAM = transportStream(UNITS);
const isVideo = (packet: Uint8Array) => ((packet[1] & 0x1f) << 8 | packet[2]) === VIDEO_PID;
const marks = (bytes: Uint8Array) => parse([bytes]).frames.map((frame) => Number(frame.damaged));

/** The stream with the `nth` video packet (from 0) changed. */
function edited(nth: number, edit: (packet: Uint8Array) => Uint8Array[], options: MuxOptions = {}) {
  let video = 0;
  return transportStream(UNITS, {
    ...options,
    edit: (packet) => isVideo(packet) && video++ === nth ? edit(packet) : [packet],
  });
}

test("a transport stream gives its access units with their times", () => {
  const { frames, report } = parse([STREAM]);
  assert.deepEqual(frames.map(({ data }) => [...data]), UNITS.map(({ data }) => data));
  assert.deepEqual(frames.map(({ pts }) => pts), UNITS.map(({ pts }) => pts / 90));
  assert.deepEqual(frames.map(({ dts }) => dts), UNITS.map(({ dts }) => dts / 90));
  assert.equal(report.container, "MPEG-TS");
  assert.equal(report.damageCount, 0);
});

test("H.264 is found by its stream type, PES packets with a length are read", () => {
  const units = timed(h264Stream(2), (i) => i);
  const { frames, report } = parse([transportStream(units, { type: 0x1b, bounded: true })]);
  assert.deepEqual(frames.map(({ data }) => [...data]), units.map(({ data }) => data));
  assert.deepEqual(frames.map(({ pts }) => pts), units.map(({ pts }) => pts / 90));
  assert.equal(report.damageCount, 0);
});

test("packets may stand 192 or 204 bytes apart", () => {
  const plain = facts(parse([STREAM]).frames);
  for (const period of [192, 204]) {
    const { frames, report } = parse([transportStream(UNITS, { period })]);
    assert.deepEqual(facts(frames), plain, `${period}`);
    assert.equal(report.damageCount, 0);
  }
});

test("time stamps that wrap go on", () => {
  const units = timed(ibbp(2), ibbpOrder, 2 ** 33 - 5 * 3600);
  const { frames } = parse([transportStream(units)]);
  const first = (2 ** 33 - 5 * 3600) / 90;
  frames.forEach(({ dts, pts }, i) => {
    assert.ok(Math.abs(dts! - (first + 40 * i)) < 1e-6);
    assert.ok(Math.abs(pts! - (first + 40 * (ibbpOrder(i) + 1))) < 1e-6);
  });
});

test("an access unit without a stamp lies where the stream says", () => {
  const units = UNITS.filter((_, i) => i % 2 === 0).map((unit, i) => ({
    ...unit,
    data: [...unit.data, ...UNITS[2 * i + 1].data],
  }));
  const { frames } = parse([transportStream(units)]);
  assert.deepEqual(frames.map(({ dts }) => dts), UNITS.map(({ dts }) => dts / 90));
  assert.deepEqual(frames.map(({ pts }) => pts), UNITS.map(({ pts }) => pts / 90));
});

test("other streams are skipped by name", () => {
  const others = [{ type: 3, pid: AUDIO_PID }, { type: 0x0f, pid: 300 }];
  const { frames, report } = parse([transportStream(UNITS, { others })]);
  assert.deepEqual(facts(frames), facts(parse([STREAM]).frames));
  assert.deepEqual(report.skipped, [
    { id: AUDIO_PID, codec: "MPEG-1 audio" },
    { id: 300, codec: "AAC audio" },
  ]);
});

test("a stream without video of a known codec is refused by name", () => {
  const bytes = transportStream(UNITS, { type: 0x24 });
  assert.throws(() => parse([bytes]), /must carry MPEG-1, MPEG-2 or H\.264.*H\.265.*PID 256/);
  const noTables = transportStream(UNITS, { edit: (packet) => isVideo(packet) ? [packet] : [] });
  assert.throws(() => parse([noTables]), /no readable program map/);
});

test("a missing packet is counted and marks the frames beside it", () => {
  const bytes = edited(1, () => []);
  const { frames, report } = parse([bytes]);
  assert.equal(report.damage.continuity?.count, 1);
  assert.equal(frames.filter((frame) => frame.damaged).length > 0, true);
  assert.deepEqual(facts(frames.slice(-12)), facts(parse([STREAM]).frames.slice(-12)));
});

test("a packet that is sent twice counts once", () => {
  const { frames, report } = parse([edited(2, (packet) => [packet, packet])]);
  assert.deepEqual(facts(frames), facts(parse([STREAM]).frames));
  assert.equal(report.damageCount, 0);
});

test("a lost sync byte costs its packet only", () => {
  const bytes = edited(4, (packet) => [Uint8Array.from(packet, (byte, i) => i ? byte : 0)]);
  const { report } = parse([bytes]);
  assert.deepEqual(report.damage.sync, { count: 1, bytes: 188 });
  assert.equal(marks(bytes).slice(-6).join(""), "000000");
});

test("scrambled and faulty packets are counted and not read", () => {
  const set = (at: number, bit: number) => (packet: Uint8Array) => {
    const changed = Uint8Array.from(packet);
    changed[at] |= bit;
    return [changed];
  };
  assert.equal(parse([edited(3, set(3, 0x80))]).report.damage.scrambled?.count, 1);
  assert.equal(parse([edited(3, set(1, 0x80))]).report.damage.transport?.count, 1);
});

test("a PES packet of another length than it says is reported", () => {
  const { report } = parse([edited(0, (packet) => {
    const changed = Uint8Array.from(packet);
    changed[packet.indexOf(0xe0, 4) + 2] -= 9;
    return [changed];
  }, { bounded: true })]);
  assert.equal(report.damage.packet?.count, 1);
});

test("sections are gathered across packets and checked", () => {
  const section = [2, 0xb0, 250, ...Array.from({ length: 246 }, (_, i) => i)];
  const crc = crc32(Uint8Array.from(section));
  section.push(crc >>> 24, (crc >>> 16) & 255, (crc >>> 8) & 255, crc & 255);
  const reader = new SectionReader();
  assert.deepEqual(reader.push(Uint8Array.from([0, ...section.slice(0, 183)]), true), []);
  const [whole] = reader.push(Uint8Array.from([...section.slice(183), 255, 255]), false);
  assert.deepEqual([...whole], section);
  assert.equal(crc32(whole), 0);
});

test("any cutting of a transport stream gives the same frames", () => {
  const whole = facts(parse([STREAM]).frames);
  fc.assert(
    fc.property(sizesArbitrary, (sizes) => {
      assert.deepEqual(facts(parse(cut(STREAM, sizes)).frames), whole);
    }),
    { numRuns: 60 },
  );
});

test("a transport stream that ends anywhere gives the frames before", () => {
  const whole = parse([STREAM]).frames;
  for (let end = 800; end < STREAM.length; end += 7) {
    const { frames } = parse([STREAM.subarray(0, end)]);
    const complete = frames.slice(0, -1);
    const data = (frame: { data: Uint8Array; pts: number | null }) => [[...frame.data], frame.pts];
    assert.deepEqual(
      complete.map(data),
      whole.slice(0, complete.length).map(data),
      `cut at ${end}`,
    );
  }
});

test("damage of a transport stream ends, is reported, and is over at the next group", () => {
  const tail = transportStream(timed(ibbp(3), ibbpOrder, 90000 + 18 * 3600));
  fc.assert(
    fc.property(damageArbitrary, sizesArbitrary, (changes, sizes) => {
      const bytes = Uint8Array.from([...STREAM, ...damaged(STREAM, changes), ...tail]);
      const { frames, report } = parse([bytes]);
      const again = parse(cut(bytes, sizes));
      assert.deepEqual(facts(again.frames), facts(frames));
      assert.deepEqual(again.report.damage, report.damage);
      const last = frames.slice(-11).map(({ type, damaged }) => type + (damaged ? "!" : ""));
      assert.equal(last.join(""), "BBPBBIBBPBB");
    }),
    { numRuns: 150 },
  );
});

test("a program stream gives its access units with their times", () => {
  const bytes = programStream(UNITS);
  const { frames, report } = parse([bytes]);
  assert.deepEqual(frames.map(({ data }) => [...data]), UNITS.map(({ data }) => data));
  assert.deepEqual(frames.map(({ pts }) => pts), UNITS.map(({ pts }) => pts / 90));
  assert.equal(report.container, "MPEG-PS");
  assert.deepEqual(report.skipped, [{ id: 0xc0, codec: "MPEG audio" }]);
  assert.equal(report.damageCount, 0);
  fc.assert(
    fc.property(sizesArbitrary, (sizes) => {
      assert.deepEqual(facts(parse(cut(bytes, sizes)).frames), facts(frames));
    }),
    { numRuns: 40 },
  );
});

test("damage of a program stream ends, is reported, and is over at the next group", () => {
  const bytes = programStream(UNITS).subarray(0, -4);
  const tail = programStream(timed(ibbp(3), ibbpOrder, 90000 + 36 * 3600));
  fc.assert(
    fc.property(damageArbitrary, sizesArbitrary, (changes, sizes) => {
      const all = Uint8Array.from([...bytes, ...damaged(bytes, changes), ...tail]);
      const { frames } = parse([all]);
      assert.deepEqual(facts(parse(cut(all, sizes)).frames), facts(frames));
      const last = frames.slice(-11).map(({ type, damaged }) => type + (damaged ? "!" : ""));
      assert.equal(last.join(""), "BBPBBIBBPBB");
    }),
    {
      numRuns: 100,
      // a start code that is cut off within its four bytes
      examples: [[
        [{ place: 0.7305768589529843, change: "cut", count: 239 }, {
          place: 0,
          change: "flip",
          count: 1,
        }],
        [1],
      ]],
    },
  );
});

test("what is no video is refused with what it is", () => {
  const refused = (bytes: number[] | string, message: RegExp) => {
    const input = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    assert.throws(() => parse([Uint8Array.from(input)]), message);
  };
  refused([], /input is empty/);
  // A line of 32 letters puts a G, which is the sync byte, at the distance of packets.
  refused("Good morning, this is a letter.\n".repeat(300), /it is text/);
  refused([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10], /it is a PNG image/);
  refused([0, 0, 0, 1, 0x40, 1, 12, 1, 255, 255, 1, 0x60], /it is H\.265/);
  refused([0, 0, 0, 24, 0x66, 0x74, 0x79, 0x70], /index may stand at the end/);
  refused(new Array(2_000_000).fill(7), /it begins with 07 07/);
});

const MPEG2 = ["-c:v", "mpeg2video", "-g", "12", "-bf", "2"];
const CLIPS: Record<string, string[]> = {
  "mpeg2.ts": MPEG2,
  "blu-ray.m2ts": ["-c:v", "libx264", "-mpegts_m2ts_mode", "1"],
  "mpeg2.mpg": MPEG2,
  "mpeg2.vob": MPEG2,
  "wrap.ts": [...MPEG2, "-output_ts_offset", "95442"],
};
for (const [name, options] of Object.entries(CLIPS)) {
  test(`ffprobe sees the same frames in ${name}`, { skip: noFfmpeg }, async () => {
    await withClip(name, options, async (path) => {
      const frames = await sameAsFfprobe(path, { wrapMs: 2 ** 33 / 90 });
      assert.equal(frames.length, 50);
      assert.ok(frames.every(({ dts }, i) => i === 0 || dts! > frames[i - 1].dts!));
    });
  });
}

const COUNTS = { "clip.m2t": 550, "bbb_2500ms.ts": 58, "sample_h262_mpeg_audio.ts": 3 };
for (const [name, count] of Object.entries(COUNTS)) {
  const path = mediaPath(name);
  const skip = noFfmpeg || (path === null && "skipped for want of the file");
  test(`ffprobe sees the same frames in ${name}, which is real`, { skip }, async () => {
    assert.equal((await sameAsFfprobe(path!)).length, count);
  });
}
