import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ntpMiddle, parseRtcp, randomCname, roundTrip, writeRtcp } from "../media/rtcp.ts";
import type { ReportBlock, RtcpPacket } from "../media/rtcp.ts";

const block: ReportBlock = {
  ssrc: 7,
  fractionLost: 0.25,
  lost: -2,
  highest: 65536 + 9,
  jitter: 90,
  lastReport: 0x12345678,
  delay: 1000,
};

test("writeRtcp lays a sender report out as RFC 3550 6.4.1 draws it", () => {
  const packet = writeRtcp([{
    type: "SR",
    ssrc: 0x01020304,
    wallclock: 500, // half a second after 1970 began
    timestamp: 0xfffffffe,
    packets: 3,
    octets: 3000,
    reports: [block],
  }]);
  const hex = [...packet].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  assert.equal(
    hex,
    "81c8000c" + "01020304" + "83aa7e80" + "80000000" + "fffffffe" + "00000003" + "00000bb8" +
      "00000007" + "40fffffe" + "00010009" + "0000005a" + "12345678" + "00010000",
  );
});

test("writeRtcp pads a CNAME to a word with at least one zero, as RFC 3550 6.5 demands", () => {
  for (const [cname, bytes] of [["a", 12], ["ab", 16], ["abcde", 16], ["abcdef", 20]] as const) {
    const packet = writeRtcp([{ type: "RR", ssrc: 1, reports: [] }, {
      type: "SDES",
      ssrc: 1,
      cname,
    }]);
    assert.equal(packet.length - 8, bytes, cname);
    assert.equal(packet.at(-1), 0, cname);
  }
});

const u32 = fc.nat(0xffffffff);
const blocks = fc.array(
  fc.record({
    ssrc: u32,
    fractionLost: fc.nat(255).map((share) => share / 256),
    lost: fc.integer({ min: -0x800000, max: 0x7fffff }),
    highest: u32,
    jitter: u32,
    lastReport: u32,
    delay: fc.nat(1_000_000).map((units) => units / 65.536),
  }),
  { maxLength: 31 },
);
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const sender = fc.record({
  type: fc.constant("SR" as const),
  ssrc: u32,
  wallclock: fc.nat(4_000_000_000).map((units) => units * 31.25), // exact in NTP's fractions too
  timestamp: u32,
  packets: u32,
  octets: u32,
  reports: blocks,
});
const receiver = fc.record({ type: fc.constant("RR" as const), ssrc: u32, reports: blocks });
const later = fc.oneof(
  fc.record({ type: fc.constant("SDES" as const), ssrc: u32, cname: text }),
  fc.record({
    type: fc.constant("BYE" as const),
    sources: fc.array(u32, { maxLength: 31 }),
    reason: text,
  }),
  sender,
  receiver,
);

test("parseRtcp reads what writeRtcp wrote", () => {
  fc.assert(fc.property(fc.oneof(sender, receiver), fc.array(later, { maxLength: 4 }), (a, b) => {
    const packets: RtcpPacket[] = [a, ...b];
    // fast-check's records have no prototype.
    assert.deepEqual(
      JSON.parse(JSON.stringify(parseRtcp(writeRtcp(packets)))),
      structuredClone(packets),
    );
  }));
});

test("parseRtcp never throws, whatever the bytes", () => {
  const head = fc.constantFrom([], [0x80, 200], [0x81, 201, 0, 1, 0, 0, 0, 0, 0x81, 202]);
  fc.assert(fc.property(head, fc.uint8Array({ maxLength: 80 }), (start, rest) => {
    parseRtcp(new Uint8Array([...start, ...rest]));
  }));
});

test("parseRtcp survives every cut and every changed byte of a real datagram", () => {
  const whole = writeRtcp([
    { type: "SR", ssrc: 1, wallclock: 1, timestamp: 2, packets: 3, octets: 4, reports: [block] },
    { type: "SDES", ssrc: 1, cname: "camera" },
    { type: "BYE", sources: [1], reason: "end" },
  ]);
  for (let cut = 0; cut < whole.length; cut++) {
    const packets = parseRtcp(whole.subarray(0, cut));
    assert.ok(packets === null || cut === 52 || cut === 72, `cut at ${cut}`);
    const changed = whole.slice();
    for (const value of [0, 1, 0x7f, 0xff]) {
      changed[cut] = value;
      parseRtcp(changed);
    }
  }
});

test("parseRtcp refuses what RFC 3550 A.2 refuses", () => {
  const report = [0x80, 201, 0, 1, 0, 0, 0, 7];
  const cases: Record<string, number[]> = {
    "nothing": [],
    "a description first": [0x81, 202, 0, 1, 0, 0, 0, 7],
    "version 1": [0x40, 201, 0, 1, 0, 0, 0, 7],
    "padding in the first packet": [0xa0, 201, 0, 1, 0, 0, 0, 4],
    "a length beyond the end": [0x80, 201, 0, 2, 0, 0, 0, 7],
    "a rest of 3 bytes": [...report, 0x80, 202, 0],
    "another version behind": [...report, 0, 203, 0, 0],
    "an RTP packet": [0x80, 32, 0, 1, 0, 0, 0, 7, 0, 0, 0, 7],
  };
  for (const [what, bytes] of Object.entries(cases)) {
    assert.equal(parseRtcp(new Uint8Array(bytes)), null, what);
  }
  assert.deepEqual(parseRtcp(new Uint8Array(report)), [{ type: "RR", ssrc: 7, reports: [] }]);
});

test("parseRtcp leaves out kinds it does not know and keeps the others", () => {
  const report = [0x80, 201, 0, 1, 0, 0, 0, 7];
  const feedback = [0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8]; // RFC 4585: picture loss
  const goodbye = [0x81, 203, 0, 1, 0, 0, 0, 7];
  assert.deepEqual(
    parseRtcp(new Uint8Array([...report, ...feedback, ...goodbye]))?.map(({ type }) => type),
    ["RR", "BYE"],
  );
});

test("parseRtcp finds the CNAME among other items", () => {
  const description = [0x81, 202, 0, 4, 0, 0, 0, 7, 2, 1, 65, 1, 2, 66, 67, 6, 1, 68, 0, 0];
  const packets = parseRtcp(new Uint8Array([0x80, 201, 0, 1, 0, 0, 0, 7, ...description]));
  assert.deepEqual(packets?.[1], { type: "SDES", ssrc: 7, cname: "BC" });
});

test("writeRtcp refuses what no datagram can carry", () => {
  const report = { type: "RR", ssrc: 1, reports: [] } as const;
  assert.throws(() => writeRtcp([]), /the first packet must be SR or RR, got none/);
  assert.throws(() => writeRtcp([{ type: "BYE", sources: [], reason: "" }]), /got BYE/);
  assert.throws(
    () => writeRtcp([report, { type: "SDES", ssrc: 1, cname: "x".repeat(256) }]),
    /CNAME must be at most 255 bytes, got 256/,
  );
  assert.throws(
    () => writeRtcp([{ ...report, reports: Array(32).fill(block) }]),
    /at most 31 sources fit, got 32/,
  );
});

test("roundTrip is what lies between two reports, less the receiver's delay, over a wrap too", () => {
  const wrap = -2_208_988_800_000 + 65536 * 1000 * 57; // the 16 bits of seconds start anew here
  for (const sent of [1_700_000_000_000, wrap - 200]) {
    const round = roundTrip({ lastReport: ntpMiddle(sent), delay: 500 }, sent + 510);
    assert.ok(round !== null && Math.abs(round - 10) < 0.1, `got ${round}`);
  }
  assert.equal(roundTrip({ lastReport: 0, delay: 0 }, 1), null);
});

test("randomCname is 96 bits in base64, another each time", () => {
  assert.match(randomCname(), /^[A-Za-z0-9+/]{16}$/);
  assert.notEqual(randomCname(), randomCname());
});
