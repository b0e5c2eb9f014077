// The demo: how its logs are judged, how its results are shown, and one short run of each kind.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { judgeAims } from "../examples/demo/aims.ts";
import { burstsOf } from "../examples/demo/bulk.ts";
import { decodable, type Dependence } from "../examples/demo/decodable.ts";
import type { RunLog, SentFrame } from "../examples/demo/log.ts";
import { bulkPerSecond, judge, measure, type RunReport } from "../examples/demo/measure.ts";
import { parseOptions, UsageError } from "../examples/demo/options.ts";
import { page } from "../examples/demo/page.ts";
import { plot } from "../examples/demo/plot.ts";
import { rowsOf, sparkline, textTable } from "../examples/demo/table.ts";
import { progressLine, Terminal } from "../examples/demo/terminal.ts";
import { fits, latencyFor, play, survey, windowOf } from "../examples/demo/video.ts";

const DEMO = fileURLToPath(new URL("../examples/demo.ts", import.meta.url));
const CLIP = fileURLToPath(new URL("../examples/clip.m2t", import.meta.url));

const I: Dependence = { groupStart: true, keyframe: true, reference: true, leading: false };
const P: Dependence = { groupStart: false, keyframe: false, reference: true, leading: false };
const B: Dependence = { groupStart: false, keyframe: false, reference: false, leading: false };
const L: Dependence = { ...B, leading: true };

/** Which of the pictures, as a string of letters with those in lower case missing, can be decoded. */
function decoded(letters: string): string {
  const kinds: Record<string, Dependence> = { I, P, B, L };
  const frames = [...letters].map((letter) => kinds[letter.toUpperCase()]);
  const present = [...letters].map((letter) => letter === letter.toUpperCase());
  return decodable(frames, present).map((can, i) => can ? letters[i] : ".").join("");
}

test("decodable gives all pictures of a video that is whole", () => {
  assert.equal(decoded("IPBBPBBILLPBB"), "IPBBPBBILLPBB");
});

test("decodable loses with a B picture nothing else", () => {
  assert.equal(decoded("IPbBPBbILLPBB"), "IP.BPB.ILLPBB");
});

test("decodable loses with a P picture the rest of its group, and the leading pictures of the next", () => {
  assert.equal(decoded("IPBBpBBILLPBB"), "IPBB...I..PBB");
});

test("decodable loses with an I picture all of its group", () => {
  assert.equal(decoded("iPBBILLPBBIL"), "....I..PBBIL");
});

test("decodable begins with the first group, whose leading pictures lean on nothing that is there", () => {
  assert.equal(decoded("PBILLPB"), "..I..PB");
});

test("decodable lets leading pictures break nothing but leading pictures", () => {
  const reference: Dependence = { ...L, reference: true };
  const frames = [I, P, I, reference, L, P];
  const can = decodable(frames, [true, true, true, false, true, true]);
  assert.deepEqual(can, [true, true, true, false, false, true]);
});

test("decodable never gives more for fewer pictures", () => {
  const kind = fc.constantFrom(I, P, B, L);
  const picture = fc.record({ kind, present: fc.boolean(), more: fc.boolean() });
  fc.assert(fc.property(fc.array(picture, { maxLength: 40 }), (pictures) => {
    const frames = pictures.map(({ kind }) => kind);
    const few = decodable(frames, pictures.map(({ present }) => present));
    const many = decodable(frames, pictures.map(({ present, more }) => present || more));
    return few.every((can, i) => (!can || pictures[i].present) && (!can || many[i]));
  }));
});

/** A log of pictures that are due every 40 ms, of two packets each, and all arrive 10 ms later. */
function logOf(letters: string): RunLog {
  const kinds = { I, P, B, L };
  const sent = [...letters].map((letter, i): SentFrame => ({
    ...kinds[letter as keyof typeof kinds],
    kind: letter === "I" ? "I" : letter === "P" ? "P" : "B",
    sequence: 2 * i,
    packets: 2,
    dts: 40 * i,
    deadline: 40 * i + 100,
    digest: `picture ${i}`,
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
      pictures: sent.map(({ sequence, digest }) => [sequence, digest]),
      bulk: [],
    },
    drops: {},
  };
}

test("judge tells what is in time, late, partial and lost", () => {
  const log = logOf("IPBBP");
  log.received.packets = log.received.packets
    .filter(([sequence]) => ![4, 5, 7].includes(sequence)) // all of B 2, half of B 3
    .map(([sequence, at]) => [sequence, sequence === 9 ? 4 * 40 + 103 : at]);
  log.received.pictures = log.received.pictures.filter(([sequence]) => ![4, 6].includes(sequence));
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

test("judge allows a picture no more than the slack after its deadline", () => {
  const log = logOf("II");
  log.received.packets = [[0, 5], [1, 101.9], [2, 50], [3, 142.1]];
  assert.deepEqual(judge(log).map(({ fate }) => fate), ["in time", "late"]);
});

test("judge takes a picture for partial when its bytes are not those that were sent", () => {
  const log = logOf("IP");
  log.received.pictures = [[0, "picture 0"], [2, "another"]];
  assert.deepEqual(judge(log).map(({ fate }) => fate), ["in time", "partial"]);
});

test("measure counts pictures by kind, and drops by reason", () => {
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

test("measure counts pictures per second by the second that they belong to", () => {
  const log = logOf("I".repeat(55));
  log.received.packets = log.received.packets.filter(([sequence]) => sequence >= 2 * 30);
  assert.deepEqual(measure(log).fps, [0, 20, 25]); // the last second is 5 pictures in 200 ms
});

test("measure takes jitter from the spacing of pictures that follow each other", () => {
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

test("measure makes zeros of a run without pictures", () => {
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

test("judgeAims asks of a video that does not fit that B pictures go first", () => {
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
  assert.deepEqual(missed(lost("P", 20)), ["B pictures go before P pictures"]);
  assert.ok(missed(lost("I", 1)).includes("every I picture arrives whole and in time"));
  assert.deepEqual(missed({ ...lost("B", 20), decodable: 0.5 }), ["what is sent can be decoded"]);
});

test("textTable is at most 100 columns wide and says what was dropped, and why", () => {
  const table = textTable(reports(), 25, (_, text) => text);
  for (const line of table.split("\n")) assert.ok(line.length <= 100, line);
  assert.match(table, /B pictures sent, arrived, dropped +80, \d+, 106 +80, 80, 0/);
  assert.match(table, /dropped: could not arrive in time +100 +0/);
});

test("sparkline draws a character a second, and the worst of several in a long run", () => {
  assert.equal(sparkline([0, 12, 25, 30], 25), "▁▄██");
  const long = new Array(60).fill(25);
  long[31] = 0;
  assert.match(sparkline(long, 25), /^█+▁█+$/);
  assert.ok(sparkline(long, 25).length <= 26);
});

test("plot and page show both runs, and escape what they are given", () => {
  const [fifo, dwcs] = reports();
  const runs = [fifo, dwcs].map((report) => ({ report, fates: judge(logOf("IPBB")), bulk: [1e6] }));
  const svg = plot(runs, { seconds: 6, fps: 25, latency: 200, bursts: burstsOf(6) });
  assert.match(svg, /^<svg .*<\/svg>$/s);
  for (const text of ["fifo", "dwcs", "deadline 200 ms", "overflow", "bulk transfer"]) {
    assert.ok(svg.includes(text), text);
  }
  const html = page({
    title: "<film> & more",
    facts: [],
    svg,
    runs: ["fifo", "dwcs"],
    rows: rowsOf([fifo, dwcs], 25),
    aims: [],
  });
  assert.ok(html.includes("<title>&#60;film&#62; &#38; more</title>"));
  assert.ok(html.includes(svg));
});

test("Terminal writes plain lines, now and then, where there is no terminal", () => {
  let text = "";
  const output = { write: (piece: string) => text += piece };
  const terminal = new Terminal(output, {});
  const state = { scheduler: "dwcs", secondsMax: 20, burst: true, queued: 7, dropped: 3 } as const;
  for (let seconds = 0; seconds < 20.2; seconds += 0.1) terminal.progress({ ...state, seconds });
  assert.equal(text.split("\n").length - 1, 4);
  assert.ok(!text.includes("\r") && !text.includes("\x1b"));
  assert.equal(terminal.style("bold", "a"), "a");
  assert.ok(progressLine({ ...state, seconds: 12 }).length <= 100);
});

test("Terminal writes one line over on a terminal, in colour unless NO_COLOR is set", () => {
  let text = "";
  const output = { isTTY: true, write: (piece: string) => text += piece };
  const terminal = new Terminal(output, {});
  const state = { scheduler: "fifo", seconds: 1, secondsMax: 2, burst: false } as const;
  terminal.progress({ ...state, queued: 0, dropped: 0 });
  assert.ok(text.startsWith("\r\x1b[K") && !text.includes("\n"));
  assert.equal(terminal.style("bold", "a"), "\x1b[1ma\x1b[0m");
  assert.equal(new Terminal(output, { NO_COLOR: "1" }).style("bold", "a"), "a");
});

test("parseOptions reads what was asked for, and refuses what makes no sense", () => {
  const options = parseOptions(["--rate", "1mbit", "--seconds", "5", "film.mp4", "--check"])!;
  assert.deepEqual(
    [options.video, options.rate, options.seconds, options.seed, options.check, options.latency],
    ["film.mp4", 125_000, 5, 1, true, null],
  );
  assert.equal(parseOptions(["--rate", "125000"])!.rate, 125_000);
  assert.equal(parseOptions(["--help"]), null);
  const wrong = [
    ["--seconds", "1"],
    ["--seconds", ""],
    ["--rate", "fast"],
    ["--rate", "0"],
    ["--latency", "-5"],
    ["--seed", "1.5"],
    ["--speed", "2"],
    ["--json"],
    ["one.ts", "two.ts"],
  ];
  for (const args of wrong) assert.throws(() => parseOptions(args), UsageError, args.join(" "));
});

test("play goes on evenly where the clip begins anew, and ends in time", async () => {
  const times: number[] = [];
  const stamps = new Set<number>();
  let index = 0;
  for await (const frame of play(CLIP, 23)) {
    assert.equal(frame.index, index++);
    times.push(frame.dts!);
    stamps.add(frame.pts!);
  }
  assert.deepEqual(times, Array.from({ length: 575 }, (_, i) => 40 * i));
  assert.equal(stamps.size, times.length);
});

test("survey knows the clip, and on what links it fits", async () => {
  const video = await survey(CLIP, 22);
  const { I, P, B } = video.kinds;
  assert.deepEqual([I.pictures, P.pictures, B.pictures], [46, 138, 366]);
  assert.deepEqual(windowOf(video), { ipg: 40, oln: 11, old: 12 });
  assert.equal(latencyFor(video, 1_250_000), 200);
  const narrow = latencyFor(video, 125_000);
  assert.ok(narrow >= 1000 * (I.bytesMax + P.bytesMax) / 125_000, String(narrow));
  assert.equal(fits(video, 1_250_000, 200), true);
  assert.equal(fits(video, 125_000, narrow), false);
});

interface Results {
  runs: RunReport[];
}

/** Runs the demo as a user would, under the runtime that runs this test. */
async function demo(args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const command = process.versions.deno ? ["run", "-A", "--no-check", DEMO] : [DEMO];
  const child = spawn(process.execPath, [...command, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (piece) => out += piece);
  child.stderr.on("data", (piece) => err += piece);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out, err };
}

async function results(args: string[]): Promise<RunReport[]> {
  const folder = mkdtempSync(join(tmpdir(), "qsockets-test-"));
  try {
    const json = join(folder, "results.json");
    const { code, out, err } = await demo([...args, "--json", json, "--out", folder]);
    assert.equal(code, 0, err);
    assert.match(out, /^(met|MISSED) +every I picture arrives whole and in time/m);
    for (const file of ["demo.svg", "demo.html"]) {
      assert.ok(out.includes(join(folder, file)));
      assert.match(readFileSync(join(folder, file), "utf8"), /<svg /);
    }
    const { runs } = JSON.parse(readFileSync(json, "utf8")) as Results;
    assert.deepEqual(runs.map(({ scheduler }) => scheduler), ["fifo", "dwcs"]);
    return runs;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const sum = (counts: Partial<Record<string, number>>) =>
  Object.values(counts).reduce<number>((all, count) => all + (count ?? 0), 0);

// The machine that runs this may be busy, and a receiver that was kept waiting sees a picture late
// that was not. So what the scheduler counted is held to the letter, and what the receiver saw
// within bounds that only a scheduler that does not work would miss.

const RUN = { timeout: 60_000 };

test("demo: dwcs brings what fits the link, where fifo does not", RUN, async () => {
  const [fifo, dwcs] = await results(["--seconds", "4"]);
  for (const { dropped } of Object.values(dwcs.frames)) assert.deepEqual(dropped, {});
  assert.ok(dwcs.decodable >= 0.9, `dwcs ${dwcs.decodable}`);
  assert.ok(fifo.decodable < dwcs.decodable - 0.1, `fifo ${fifo.decodable}`);
  assert.ok(dwcs.partialFrames <= 1 && fifo.partialFrames > 5, `partial ${dwcs.partialFrames}`);
  assert.ok(dwcs.bulkBytesPerSecond > 1_250_000 / 3, `bulk ${dwcs.bulkBytesPerSecond}`);
});

test(
  "demo: where the video does not fit, B goes before P, and what is sent is of use",
  RUN,
  async () => {
    const [fifo, dwcs] = await results(["--seconds", "4", "--rate", "1mbit"]);
    const { I, P, B } = dwcs.frames;
    const share = ({ dropped, offered }: typeof I) => sum(dropped) / offered;
    assert.ok(sum(I.dropped) <= 1, JSON.stringify(I));
    assert.ok(share(B) > share(P), JSON.stringify({ P, B }));
    const offered = I.offered + P.offered + B.offered;
    const arrived = I.arrived + P.arrived + B.arrived;
    assert.ok(dwcs.decodable * offered >= 0.9 * arrived, JSON.stringify(dwcs));
    assert.ok(fifo.decodable < dwcs.decodable / 2, `fifo ${fifo.decodable}`);
  },
);

test("demo refuses wrong arguments and what is no video, with 2", async () => {
  const rate = await demo(["--rate", "10mb"]);
  assert.equal(rate.code, 2);
  assert.match(rate.err, /--rate must be bytes per second/);
  const text = await demo([fileURLToPath(new URL("../package.json", import.meta.url))]);
  assert.equal(text.code, 2);
  assert.match(text.err, /^Cannot send .*package.json: /);
});
