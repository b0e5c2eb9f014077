// How the demo judges a run: by hand-made logs, from packets to aims.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { judgeAims } from "../examples/demo/aims.ts";
import { burstsOf } from "../examples/demo/bulk.ts";
import { decodable, type Dependence } from "../examples/demo/decodable.ts";
import { digestOf, type RunLog, type SentFrame } from "../examples/demo/log.ts";
import { bulkPerSecond, judge, measure, type RunReport } from "../examples/demo/measure.ts";

const I: Dependence = { groupStart: true, keyframe: true, reference: true, leading: false };
const P: Dependence = { groupStart: false, keyframe: false, reference: true, leading: false };
const B: Dependence = { groupStart: false, keyframe: false, reference: false, leading: false };
const L: Dependence = { ...B, leading: true };

/** Which of the frames, as a string of letters with those in lower case missing, can be decoded. */
function decoded(letters: string): string {
  const kinds: Record<string, Dependence> = { I, P, B, L };
  const frames = [...letters].map((letter) => kinds[letter.toUpperCase()]);
  const present = [...letters].map((letter) => letter === letter.toUpperCase());
  return decodable(frames, present).map((can, i) => can ? letters[i] : ".").join("");
}

test("decodable gives all frames of a video that is whole", () => {
  assert.equal(decoded("IPBBPBBILLPBB"), "IPBBPBBILLPBB");
});

test("decodable loses with a B frame nothing else", () => {
  assert.equal(decoded("IPbBPBbILLPBB"), "IP.BPB.ILLPBB");
});

test("decodable loses with a P frame the rest of its group, and the leading frames of the next", () => {
  assert.equal(decoded("IPBBpBBILLPBB"), "IPBB...I..PBB");
});

test("decodable loses with an I frame all of its group", () => {
  assert.equal(decoded("iPBBILLPBBIL"), "....I..PBBIL");
});

test("decodable begins with the first group, whose leading frames lean on nothing that is there", () => {
  assert.equal(decoded("PBILLPB"), "..I..PB");
});

test("decodable lets leading frames break nothing but leading frames", () => {
  const reference: Dependence = { ...L, reference: true };
  const frames = [I, P, I, reference, L, P];
  const can = decodable(frames, [true, true, true, false, true, true]);
  assert.deepEqual(can, [true, true, true, false, false, true]);
});

test("decodable never gives more for fewer frames", () => {
  const kind = fc.constantFrom(I, P, B, L);
  const fate = fc.record({ kind, present: fc.boolean(), more: fc.boolean() });
  fc.assert(fc.property(fc.array(fate, { maxLength: 40 }), (fates) => {
    const frames = fates.map(({ kind }) => kind);
    const few = decodable(frames, fates.map(({ present }) => present));
    const many = decodable(frames, fates.map(({ present, more }) => present || more));
    return few.every((can, i) => (!can || fates[i].present) && (!can || many[i]));
  }));
});

/** A log of frames that are due every 40 ms, of two packets each, and all arrive 10 ms later. */
function logOf(letters: string): RunLog {
  const kinds = { I, P, B, L };
  const sent = [...letters].map((letter, i): SentFrame => ({
    ...kinds[letter as keyof typeof kinds],
    kind: letter === "I" ? "I" : letter === "P" ? "P" : "B",
    sequence: 2 * i,
    packets: 2,
    dts: 40 * i,
    deadline: 40 * i + 100,
    digest: `frame ${i}`,
  }));
  return {
    scheduler: "dwcs",
    seconds: letters.length * 0.04,
    bursts: burstsOf(letters.length * 0.04),
    sent,
    received: {
      packets: sent.flatMap(({ sequence, dts }): [number, number][] => [
        [sequence, dts + 5],
        [sequence + 1, dts + 10],
      ]),
      frames: sent.map(({ sequence, digest }) => [sequence, digest]),
      bulk: [],
      stall: 0,
    },
    drops: {},
    stall: 0,
  };
}

test("judge tells what is in time, late, partial and lost", () => {
  const log = logOf("IPBBP");
  log.received.packets = log.received.packets
    .filter(([sequence]) => ![4, 5, 7].includes(sequence)) // all of B 2, half of B 3
    .map(([sequence, at]) => [sequence, sequence === 9 ? 4 * 40 + 103 : at]);
  log.received.frames = log.received.frames.filter(([sequence]) => ![4, 6].includes(sequence));
  const fates = judge(log);
  assert.deepEqual(fates.map(({ fate }) => fate), [
    "in time",
    "in time",
    "lost",
    "partial",
    "late",
  ]);
  assert.deepEqual(fates.map(({ delay }) => delay), [10, 10, null, null, 103]);
  assert.deepEqual(fates.map((fate) => fate.decodable), [true, true, false, false, false]);
});

test("judge allows a frame no more than the slack after its deadline", () => {
  const log = logOf("II");
  log.received.packets = [[0, 5], [1, 101.9], [2, 50], [3, 142.1]];
  assert.deepEqual(judge(log).map(({ fate }) => fate), ["in time", "late"]);
});

test("judge takes a frame for partial when its bytes are not those that were sent", () => {
  const log = logOf("IP");
  log.received.frames = [[0, "frame 0"], [2, "another"]];
  assert.deepEqual(judge(log).map(({ fate }) => fate), ["in time", "partial"]);
});

test("digestOf tells access units apart, but not by the zeros before their start codes", () => {
  const of = (...bytes: number[]) => digestOf(Uint8Array.from(bytes));
  assert.equal(of(0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 65, 7), of(0, 0, 1, 9, 16, 0, 0, 1, 65, 7));
  assert.notEqual(of(0, 0, 1, 9, 16, 0, 0, 1, 65, 7), of(0, 0, 1, 9, 16, 0, 0, 1, 65, 8));
  assert.notEqual(of(0, 0, 1, 9, 16, 0, 1, 65), of(0, 0, 1, 9, 16, 0, 0, 1, 65));
});

test("measure counts frames by kind, and drops by reason", () => {
  const log = logOf("IPBBPBB");
  log.received.packets = log.received.packets.filter(([sequence]) => sequence < 10);
  log.drops = { window: [0, 0, 1], dependency: [0, 0, 1] };
  const { frames, decodable, partialFrames, lateFrames } = measure(log);
  assert.deepEqual(frames.I, { offered: 1, arrived: 1, late: 0, dropped: {} });
  assert.deepEqual(frames.B, {
    offered: 4,
    arrived: 2,
    late: 0,
    dropped: { window: 1, dependency: 1 },
  });
  assert.deepEqual([decodable, partialFrames, lateFrames], [0.7143, 0, 0]);
});

test("measure counts frames per second by the second that they belong to", () => {
  const log = logOf("I".repeat(55));
  log.received.packets = log.received.packets.filter(([sequence]) => sequence >= 2 * 30);
  assert.deepEqual(measure(log).fps, [0, 20, 25]); // the last second is 5 frames in 200 ms
});

test("measure takes jitter from the spacing of frames that follow each other", () => {
  const log = logOf("IIIII");
  const delays = [10, 14, 12, null, 50];
  log.received.packets = delays.flatMap((delay, i): [number, number][] => {
    return delay === null ? [] : [[2 * i, 40 * i], [2 * i + 1, 40 * i + delay]];
  });
  assert.deepEqual(measure(log).jitterMs, { p50: 2, p99: 4, max: 4 });
});

test("measure takes bulk throughput from the bursts alone", () => {
  const log = logOf("I".repeat(300)); // 12 s: bursts at 3 to 5 s and 7 to 9 s
  log.received.bulk = [[2900, 999], [3000, 1000], [4900, 3000], [5000, 999], [8000, 4000]];
  assert.equal(measure(log).bulkBytesPerSecond, 2000);
  assert.deepEqual(bulkPerSecond(log), [0, 0, 999, 1000, 3000, 999, 0, 0, 4000, 0, 0, 0]);
});

test("measure makes zeros of a run without frames", () => {
  const report = measure({ ...logOf(""), seconds: 0 });
  assert.deepEqual(report.fps, []);
  assert.equal(report.decodable, 0);
  assert.deepEqual(report.jitterMs, { p50: 0, p99: 0, max: 0 });
});

/** The reports of a bad run and a good one. */
function reports(): [RunReport, RunReport] {
  const bad = logOf("IPBBPBBPBBPBB".repeat(10));
  bad.received.packets = bad.received.packets.filter(([sequence]) => sequence % 9 !== 0);
  bad.drops = { overflow: [4, 5, 6], expired: [0, 1, 100] };
  const good = logOf("IPBBPBBPBBPBB".repeat(10));
  return [{ ...measure(bad), scheduler: "fifo" }, measure(good)];
}

test("judgeAims finds the aims of a video that fits its link met, or missed", () => {
  const [bad, good] = reports();
  assert.ok(judgeAims(bad, good, true).every(({ met }) => met));
  assert.deepEqual(
    judgeAims(good, bad, true).map(({ met }) => met),
    [false, false, true, false, false],
  );
});

test("judgeAims asks of a video that does not fit that most is lost of the B frames", () => {
  const [bad, good] = reports();
  const lost = (kind: "I" | "P" | "B", count: number): RunReport => {
    const { frames } = good;
    const arrived = frames[kind].offered - count;
    const decodable = (130 - count) / 130;
    return { ...good, decodable, frames: { ...frames, [kind]: { ...frames[kind], arrived } } };
  };
  const missed = (report: RunReport) =>
    judgeAims(bad, report, false).filter(({ met }) => !met).map(({ claim }) => claim);
  assert.deepEqual(missed(lost("B", 20)), []);
  const claim = "of the B frames at least as large a share is lost as of the P frames";
  assert.deepEqual(missed(lost("P", 20)), [claim]);
  assert.ok(missed(lost("I", 1)).includes("every I frame arrives whole and in time"));
  assert.deepEqual(missed({ ...lost("B", 20), decodable: 0.5 }), ["what is sent can be decoded"]);
});
