import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  frameMarking,
  Jitter,
  parseRtp,
  Reception,
  Unroller,
  writeRtpHeader,
} from "../media/rtp.ts";

const header = fc.record({
  payloadType: fc.nat({ max: 63 }),
  marker: fc.boolean(),
  sequence: fc.nat({ max: 0xffff }),
  timestamp: fc.nat({ max: 0xffffffff }),
  ssrc: fc.nat({ max: 0xffffffff }),
});

test("writeRtpHeader writes what RFC 3550 draws", () => {
  const packet = new Uint8Array(12);
  const fields = { payloadType: 32, marker: true, sequence: 0x1234, ssrc: 0xdeadbeef };
  assert.equal(writeRtpHeader(packet, { ...fields, timestamp: 0x89abcdef }), 12);
  assert.equal(Buffer.from(packet).toString("hex"), "80a0123489abcdefdeadbeef");
});

test("parseRtp reads back what writeRtpHeader wrote", () => {
  fc.assert(fc.property(header, fc.uint8Array({ maxLength: 40 }), (fields, payload) => {
    const packet = new Uint8Array(12 + payload.length);
    writeRtpHeader(packet, fields);
    packet.set(payload, 12);
    const parsed = parseRtp(packet);
    assert.ok(parsed);
    assert.deepEqual(parsed, { ...fields, payload, csrc: [], extension: null });
  }));
});

test("parseRtp skips contributing sources, extension and padding", () => {
  const hex = "b2200001000000020000000300000004000000051234000199999999aabb000003";
  const parsed = parseRtp(new Uint8Array(Buffer.from(hex, "hex")));
  assert.ok(parsed);
  assert.deepEqual(parsed.csrc, [4, 5]);
  assert.equal(parsed.extension?.profile, 0x1234);
  assert.deepEqual([...parsed.extension.data], [0x99, 0x99, 0x99, 0x99]);
  assert.deepEqual([...parsed.payload], [0xaa, 0xbb]);
});

test("parseRtp refuses what is not RTP", () => {
  const valid = "80200001000000020000000300";
  const wrong = {
    "too short": valid.slice(0, 22),
    "version 1": "40" + valid.slice(2),
    "RTCP": "80c8" + valid.slice(4),
    "sources beyond the end": "8f" + valid.slice(2),
    "extension beyond the end": "90" + valid.slice(2),
    "extension longer than the packet": "90" + valid.slice(2, 24) + "bede0002" + "00000000",
    "padding of 0 bytes": "a0" + valid.slice(2),
    "padding beyond the header": "a0" + valid.slice(2, 24) + "02",
  };
  for (const [why, hex] of Object.entries(wrong)) {
    assert.equal(parseRtp(new Uint8Array(Buffer.from(hex, "hex"))), null, why);
  }
});

test("parseRtp and frameMarking never throw on random bytes", () => {
  const start = fc.constantFrom([], [0x80], [0x90], [0xbf], [0x90, 32]);
  fc.assert(fc.property(start, fc.uint8Array({ maxLength: 80 }), (first, rest) => {
    const packet = parseRtp(new Uint8Array([...first, ...rest]));
    if (packet) frameMarking(packet, 3);
  }));
});

test("frameMarking finds its element among others", () => {
  const fields = { payloadType: 32, marker: true, sequence: 1, timestamp: 2, ssrc: 3 };
  const marks = { start: true, end: false, independent: true, discardable: false };
  const packet = new Uint8Array(20);
  assert.equal(writeRtpHeader(packet, fields, { id: 3, ...marks }), 20);
  const parsed = parseRtp(packet)!;
  assert.deepEqual(frameMarking(parsed, 3), marks);
  assert.equal(frameMarking(parsed, 4), null);
  assert.equal(parsed.payload.length, 0);
  // A padding byte, element 5 of 2 bytes, then ours.
  const data = new Uint8Array([0, 0x51, 9, 9, 0x30, 0x70, 0, 0]);
  const others = frameMarking({ ...parsed, extension: { profile: 0xbede, data } }, 3);
  assert.deepEqual(others, { start: false, end: true, independent: true, discardable: true });
  const stop = new Uint8Array([0xf0, 0, 0x30, 0x80]);
  assert.equal(frameMarking({ ...parsed, extension: { profile: 0xbede, data: stop } }, 3), null);
});

test("Unroller follows a counter through wraps, and backwards", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 0xffff }),
    fc.array(fc.integer({ min: -1000, max: 30000 }), { maxLength: 50 }),
    (first, steps) => {
      const unroller = new Unroller(16);
      let highest = unroller.unroll(first);
      for (const step of steps) {
        const value = highest + step;
        if (value < 0) continue;
        assert.equal(unroller.unroll(value % 65536), value);
        highest = Math.max(highest, value);
      }
    },
  ));
  const timestamps = new Unroller(32);
  assert.equal(timestamps.unroll(0xffffffff), 0xffffffff);
  assert.equal(timestamps.unroll(3), 0x100000003);
  assert.equal(timestamps.unroll(0xfffffffe), 0xfffffffe);
});

test("Unroller restarts above everything before", () => {
  const unroller = new Unroller(16);
  unroller.unroll(100);
  assert.equal(unroller.restart(50), 65536 + 50);
  assert.equal(unroller.restart(50), 2 * 65536 + 50);
});

test("Jitter is that of RFC 3550 A.8", () => {
  const jitter = new Jitter();
  assert.equal(jitter.add(0, 1000), 0);
  assert.equal(jitter.add(3600, 1040), 0);
  assert.ok(Math.abs(jitter.add(7200, 1096) - 1) < 1e-9);
  assert.ok(Math.abs(jitter.add(10800, 1120) - (1 + 15 / 16)) < 1e-9);
  assert.equal(jitter.units, Math.floor((1 + 15 / 16) * 90));
});

test("Jitter does not see the timestamp wrap", () => {
  const jitter = new Jitter();
  jitter.add(2 ** 32 - 1800, 0);
  assert.equal(jitter.add(1800, 40), 0);
});

test("Reception counts losses, wraps and duplicates as A.3 does", () => {
  const reception = new Reception(0);
  for (const sequence of [65533, 65534, 0, 1, 1, 5]) reception.add(sequence);
  assert.equal(reception.extendedHighest, 65536 + 5);
  assert.equal(reception.expected, 9);
  assert.equal(reception.received, 6);
  assert.equal(reception.lost, 3);
  assert.equal(reception.takeFractionLost(), 3 / 9);
  reception.add(6);
  assert.equal(reception.takeFractionLost(), 0);
});

test("Reception asks a new source for two packets in sequence", () => {
  const reception = new Reception();
  assert.equal(reception.add(10), "invalid");
  assert.equal(reception.add(20), "invalid");
  assert.equal(reception.add(21), "valid");
  assert.equal(reception.expected, 1);
  assert.equal(reception.lost, 0);
});

test("Reception believes a large jump only when the next packet follows it", () => {
  const reception = new Reception(0);
  reception.add(10);
  assert.equal(reception.add(20000), "invalid");
  assert.equal(reception.add(11), "valid");
  assert.equal(reception.add(30000), "invalid");
  assert.equal(reception.add(30001), "restart");
  assert.equal(reception.add(30002), "valid");
  assert.equal(reception.lost, 0);
});
