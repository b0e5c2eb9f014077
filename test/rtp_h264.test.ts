import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { annexB, h264, nalUnits } from "../media/rtp_h264.ts";
import { concatenate } from "../media/rtp_payload.ts";
import type { Payload } from "../media/rtp_payload.ts";
import { assertIdentical, assertNeverWrong, datagramsOf, fates, filler, receive } from "./lossy.ts";
import { sendOptions } from "./lossy.ts";
import type { Clip } from "./lossy.ts";

const limits = { payloadBytes: 100, equalSizes: true };

function nal(type: number, bytes: number, seed = type): Uint8Array {
  const unit = filler(bytes, seed);
  unit[0] = 0x60 | type;
  return unit;
}

function bytesOf(payloads: Payload[]): Uint8Array[] {
  return payloads.map(concatenate);
}

function whole(payloads: Uint8Array[]) {
  return h264.join([{ payloads, headLost: false, tailLost: false }]);
}

const unit = fc.record({
  type: fc.integer({ min: 1, max: 23 }).filter((type) => type !== 9),
  bytes: fc.oneof(fc.integer({ min: 2, max: 60 }), fc.integer({ min: 2, max: 4000 })),
  seed: fc.nat(),
}).map(({ type, bytes, seed }) => nal(type, bytes, seed));
const accessUnit = fc.record({
  delimiter: fc.boolean(),
  units: fc.array(unit, { minLength: 1, maxLength: 8 }),
}).map(({ delimiter, units }) => annexB(delimiter ? [nal(9, 2), ...units] : units));
const clip: fc.Arbitrary<Clip> = fc.record({
  units: fc.array(
    fc.record({ data: accessUnit, pts: fc.nat({ max: 5 }).map((n) => 40 * n) }),
    { minLength: 1, maxLength: 6 },
  ),
  options: sendOptions("h264", 100),
});

test("nalUnits finds units behind start codes of 3 and 4 bytes, without trailing zeros", () => {
  const data = new Uint8Array([7, 0, 0, 0, 1, 0x67, 5, 0, 0, 0, 0, 1, 0x68, 6, 0, 0, 1, 0x65, 0]);
  assert.deepEqual(nalUnits(data).map((found) => [...found]), [[0x67, 5], [0x68, 6], [0x65]]);
  assert.deepEqual(nalUnits(new Uint8Array(9)), []);
});

test("annexB writes long start codes first and before parameter sets, else short ones", () => {
  const stream = annexB([nal(6, 2), nal(7, 2), nal(5, 2), nal(8, 2)]);
  const lengths = [6, 6, 5, 6];
  assert.equal(stream.length, lengths.reduce((sum, bytes) => sum + bytes));
  assert.equal(stream[12 + 2], 1);
});

test("h264.split sends a NAL unit that fits as it is", () => {
  const payloads = bytesOf(h264.split(annexB([nal(5, 100)]), limits));
  assert.deepEqual(payloads, [nal(5, 100)]);
});

test("h264.split lets small NAL units share a STAP-A with the highest importance", () => {
  const [sps, pps] = [nal(7, 10), nal(8, 4)];
  pps[0] = 0x20 | 8;
  const [payload, ...more] = bytesOf(h264.split(annexB([pps, sps]), limits));
  assert.equal(more.length, 0);
  assert.deepEqual([...payload.subarray(0, 3)], [0x60 | 24, 0, 4]);
  assert.equal(payload.length, 1 + 2 + 4 + 2 + 10);
});

test("h264.split cuts a large NAL unit into equal FU-A but for the last", () => {
  const payloads = bytesOf(h264.split(annexB([nal(5, 1 + 250)]), limits));
  assert.deepEqual(payloads.map((payload) => payload.length), [2 + 84, 2 + 84, 2 + 82]);
  assert.deepEqual(payloads.map((payload) => payload[0]), [0x7c, 0x7c, 0x7c]);
  assert.deepEqual(payloads.map((payload) => payload[1]), [0x85, 0x05, 0x45]);
});

test("h264.split fills packets where sizes need not be equal", () => {
  const payloads = h264.split(annexB([nal(5, 251)]), { ...limits, equalSizes: false });
  assert.deepEqual(bytesOf(payloads).map((payload) => payload.length), [100, 100, 56]);
});

test("h264.split leaves out NAL unit types that the payload format claims", () => {
  const payloads = bytesOf(h264.split(annexB([nal(24, 9), nal(28, 9), nal(1, 9)]), limits));
  assert.deepEqual(payloads, [nal(1, 9)]);
});

test("h264.join leaves out a NAL unit with a part missing at either end or between", () => {
  const before = nal(6, 99, 1);
  const parts = bytesOf(h264.split(annexB([before, nal(5, 251), nal(1, 99)]), limits));
  for (const missing of [1, 2, 3]) {
    const joined = h264.join([
      { payloads: parts.slice(0, missing), headLost: false, tailLost: true },
      { payloads: parts.slice(missing + 1), headLost: true, tailLost: false },
    ]);
    assert.equal(joined.intact, false);
    assert.deepEqual(nalUnits(joined.data), [before, nal(1, 99)]);
  }
});

test("h264.join reports malformed payloads and takes nothing from them", () => {
  const malformed = {
    "empty": [],
    "type 0": [0x60, 1],
    "STAP-B": [0x60 | 25, 0, 0, 0, 1, 0x61],
    "STAP-A without units": [0x60 | 24],
    "STAP-A with a length of 0": [0x60 | 24, 0, 0, 0],
    "STAP-A cut short": [0x60 | 24, 0, 5, 0x61, 1],
    "STAP-A in a STAP-A": [0x60 | 24, 0, 1, 0x60 | 24],
    "FU-A without data": [0x60 | 28, 0x85],
    "FU-A that starts and ends": [0x60 | 28, 0xc5, 1],
    "FU-A of a STAP-A": [0x60 | 28, 0x80 | 24, 1],
    "FU-A that never ends": [0x60 | 28, 0x85, 1],
    "FU-A that never started": [0x60 | 28, 0x45, 1],
  };
  for (const [why, bytes] of Object.entries(malformed)) {
    const joined = whole([new Uint8Array(bytes), nal(1, 5)]);
    assert.equal(joined.intact, false, why);
    assert.deepEqual(nalUnits(joined.data), [nal(1, 5)], why);
  }
});

test("h264.join does not glue a NAL unit that was never ended to the next one", () => {
  const [start] = bytesOf(h264.split(annexB([nal(5, 150, 1)]), limits));
  const next = nal(5, 150, 2);
  const joined = whole([start, ...bytesOf(h264.split(annexB([next]), limits))]);
  assert.deepEqual(joined, { data: annexB([next]), intact: false });
});

test("h264.join never throws on random bytes", () => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.tuple(fc.constantFrom(0x78, 0x7c), fc.uint8Array({ maxLength: 12 }))
      .map(([first, rest]) => new Uint8Array([first, ...rest])),
  );
  fc.assert(fc.property(fc.array(payload, { maxLength: 6 }), (payloads) => {
    whole(payloads);
    for (const one of payloads) h264.opening(one);
  }));
});

test("H.264 arrives as it was sent when nothing is lost, in whatever order", () => {
  fc.assert(fc.property(clip, fates({ loss: false, delayMax: 20 }), assertIdentical), {
    numRuns: 60,
  });
});

test("H.264 with losses is never wrong and never glued", () => {
  fc.assert(
    fc.property(
      clip,
      fates({ loss: true, delayMax: 20 }),
      (sent, network) => assertNeverWrong(sent, network, nalUnits),
    ),
    { numRuns: 100 },
  );
});

test("H.264 frames dropped whole at the source leave the others complete, when marked", () => {
  fc.assert(
    fc.property(clip, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (sent, dropped) => {
      const options = { ...sent.options, marking: 3 };
      const lists = datagramsOf({ ...sent, options });
      const received = receive(options, lists.filter((_, i) => !dropped[i]).flat());
      const kept = sent.units.filter((_, i) => !dropped[i]);
      assert.deepEqual(received.map(({ data }) => data), kept.map(({ data }) => data));
      assert.ok(received.every(({ complete }) => complete));
    }),
    { numRuns: 60 },
  );
});
