/** What the example programs count: samples in time, late and missing; packets and frames. */

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { readSample, type Sample, writeSample } from "../examples/sensors/sample.ts";
import { Tally } from "../examples/sensors/tally.ts";
import { arrivals } from "../examples/sensors/traffic.ts";
import { Arrivals } from "../examples/video/arrivals.ts";
import { type Frame, packetizeFrame, packetizer } from "../mod.ts";

const sample = (number: number, more: Partial<Sample> = {}): Sample => ({
  kind: "sample",
  sensor: 0,
  sensors: 1,
  run: 1,
  number,
  sent: 0,
  due: 10,
  ...more,
});

test("readSample reads what writeSample wrote, and nothing else", () => {
  fc.assert(fc.property(
    fc.record({
      kind: fc.constantFrom("sample" as const, "end" as const),
      sensor: fc.nat(999),
      sensors: fc.constant(1000),
      run: fc.nat(65535),
      number: fc.nat(0xffffffff),
      sent: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e15 }),
      due: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e15 }),
    }),
    (sample) => {
      const data = new Uint8Array(40);
      writeSample(data, sample);
      assert.deepEqual({ ...readSample(data) }, { ...sample });
      assert.equal(readSample(data.subarray(0, 31)), null);
      data[0] ^= 1;
      assert.equal(readSample(data), null);
    },
  ));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (data) => void readSample(data)));
});

test("Tally counts every sample once, in whatever order they come", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.nat(50)),
    fc.array(fc.nat(50), { maxLength: 5 }),
    fc.nat(20),
    (came, again, after) => {
      const tally = new Tally();
      for (const number of came) tally.add(sample(number), number % 2 === 0 ? 10 : 10.5);
      const twice = again.filter((number) => came.includes(number));
      for (const number of twice) tally.add(sample(number), 0);
      const all = Math.max(-1, ...came) + 1 + after;
      assert.equal(tally.end(sample(all, { kind: "end" })), true);
      const { inTime, late, missing } = tally.total;
      assert.equal(inTime, came.filter((number) => number % 2 === 0).length);
      assert.equal(inTime + late, came.length);
      assert.equal(missing, all - came.length);
      assert.equal(tally.duplicates, twice.length);
    },
  ));
});

test("Tally waits for the end of every sensor, and tells intervals apart", () => {
  const tally = new Tally();
  tally.add(sample(0, { sensors: 2 }), 4);
  assert.deepEqual(tally.since(), { inTime: 1, late: 0, missing: 0, delaySum: 4, delayMax: 4 });
  tally.add(sample(2, { sensors: 2 }), 12);
  assert.deepEqual(tally.since(), { inTime: 0, late: 1, missing: 1, delaySum: 12, delayMax: 12 });
  tally.add(sample(1, { sensors: 2 }), 6);
  assert.deepEqual(tally.since(), { inTime: 1, late: 0, missing: -1, delaySum: 6, delayMax: 6 });
  assert.equal(tally.end(sample(3, { kind: "end", sensors: 2 })), false);
  assert.equal(tally.end(sample(3, { kind: "end", sensors: 2 })), false); // the same again
  assert.equal(tally.end(sample(5, { kind: "end", sensors: 2, sensor: 1 })), true);
  assert.equal(tally.total.missing, 5);
  assert.equal(tally.total.delayMax, 12);
});

test("arrivals are the same for the same seed, and ask for the load that was asked for", () => {
  const traffic = {
    seed: 7,
    sensors: 8,
    rate: 250_000,
    load: 1.3,
    sizes: [200, 1200],
    deadlines: [40, 400],
  } as const;
  const take = (seed: number) => arrivals({ ...traffic, seed }).take(20_000).toArray();
  const all = take(7);
  assert.deepEqual(take(7), all);
  assert.notDeepEqual(take(8)[0], all[0]);
  let before = 0;
  let bytes = 0;
  for (const arrival of all) {
    assert.ok(arrival.at >= before && arrival.bytes >= 200 && arrival.bytes <= 1200);
    assert.ok(arrival.deadline >= 20 && arrival.deadline <= 600);
    before = arrival.at;
    bytes += arrival.bytes + 28;
  }
  assert.deepEqual(new Set(all.map(({ sensor }) => sensor)).size, 8);
  const load = bytes / (before / 1000) / traffic.rate;
  assert.ok(Math.abs(load - 1.3) < 0.04, `load ${load}`);
});

/** Packets of `count` MPEG-2 pictures, one packet each, I first and then P. */
function pictures(count: number): Uint8Array[] {
  let state = packetizer({ format: "mpv", sequence: 65530, marking: 1 });
  return Array.from({ length: count }, (_, index) => {
    const type = index === 0 ? 1 : 2;
    const frame: Frame = {
      index,
      codec: "mpeg2",
      type: index === 0 ? "I" : "P",
      pts: index * 40,
      dts: index * 40,
      data: Uint8Array.of(
        0,
        0,
        1,
        0,
        index >> 2,
        index << 6 | type << 3,
        0,
        0,
        0,
        0,
        0,
        1,
        1,
        9,
        9,
      ),
      keyframe: index === 0,
      reference: true,
      groupStart: index === 0,
      leading: false,
      damaged: false,
    };
    const result = packetizeFrame(frame, state);
    state = result.state;
    return result.packets.messages[0].data;
  });
}

test("Arrivals tells what is lost from what is late and what came twice, over a wrap", () => {
  const sent = pictures(20);
  const order = [0, 1, 2, 4, 3, 5, 5, 6, 9, 10, 11, 12, 2, 13, 14, 15, 16, 17, 19, 18];
  const counted = new Arrivals("mpv", 32, 1);
  const frames = order.flatMap((index, at) => counted.push(sent[index], at * 40));
  frames.push(...counted.flush());
  const { packets, lost, gaps, reordered, duplicates, frames: types } = counted.read();
  assert.deepEqual({ packets, lost, gaps, reordered, duplicates }, {
    packets: 20,
    lost: 2,
    gaps: 3, // before 4, 9 and 19, as they came
    reordered: 2,
    duplicates: 2,
  });
  assert.deepEqual(types, { I: { whole: 1, incomplete: 0 }, P: { whole: 17, incomplete: 0 } });
  assert.equal(frames.length, 18);
});

test("Arrivals ignores what is no packet of its stream", () => {
  const [packet] = pictures(1);
  const counted = new Arrivals("mpv", 32, 1);
  counted.push(packet, 0);
  const other = packet.slice();
  other[11] ^= 1; // another source
  for (const datagram of [other, new Uint8Array(0), new Uint8Array(100)]) counted.push(datagram, 1);
  assert.equal(counted.read().packets, 1);
  assert.equal(counted.depacketizer.ignored, 3);
});

test("Arrivals survives a transport stream that it does not understand", () => {
  const packets = pictures(3).map((packet) => {
    const other = packet.slice();
    other[1] = other[1] & 0x80 | 33;
    return other;
  });
  const counted = new Arrivals("mp2t", 33, 1);
  for (const packet of packets) counted.push(packet, 0);
  counted.flush();
  assert.equal(counted.read().packets, 3);
});
