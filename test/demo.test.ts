// The demo: how its results are shown, what it makes of its arguments, and one short run of each kind.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { burstsOf } from "../examples/demo/bulk.ts";
import type { Fate, RunReport } from "../examples/demo/measure.ts";
import { parseOptions, UsageError } from "../examples/demo/options.ts";
import { page } from "../examples/demo/page.ts";
import { plot } from "../examples/demo/plot.ts";
import { rowsOf, sparkline, textTable } from "../examples/demo/table.ts";
import { progressLine, Terminal } from "../examples/demo/terminal.ts";
import { fits, latencyFor, play, survey, windowOf } from "../examples/demo/video.ts";

const DEMO = fileURLToPath(new URL("../examples/demo.ts", import.meta.url));
const CLIP = fileURLToPath(new URL("../examples/clip.m2t", import.meta.url));

/** The reports of a bad run and a good one. */
function reports(): [RunReport, RunReport] {
  const kind = (offered: number, dropped = {}) => ({ offered, arrived: 0, late: 0, dropped });
  const good: RunReport = {
    scheduler: "dwcs",
    fps: [25, 25, 25, 25, 25, 25],
    frames: { I: kind(10), P: kind(40), B: kind(80) },
    decodable: 1,
    partialFrames: 0,
    lateFrames: 0,
    jitterMs: { p50: 1, p99: 2.5, max: 1234.56 },
    bulkBytesPerSecond: 1e6,
  };
  const B = kind(80, { overflow: 6, expired: 100 });
  return [
    { ...good, scheduler: "fifo", fps: [25, 0, 0, 0, 1, 25], frames: { ...good.frames, B } },
    good,
  ];
}

test("textTable is at most 100 columns wide and says what was dropped, and why", () => {
  const table = textTable(reports(), 25, (_, text) => text);
  for (const line of table.split("\n")) assert.ok(line.length <= 100, line);
  assert.match(table, /B frames sent, arrived, dropped +80, 0, 106 +80, 0, 0/);
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
  const fate = { kind: "B", dts: 40, fate: "in time", delay: 9, decodable: true } as const;
  const fates: Fate[] = [fate, { ...fate, dts: 80, fate: "lost", delay: null }];
  const runs = [fifo, dwcs].map((report) => ({ report, fates, bulk: [1e6] }));
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
  for (let tenths = 0; tenths <= 200; tenths++) {
    terminal.progress({ ...state, seconds: tenths / 10, done: false });
  }
  terminal.progress({ ...state, seconds: 20, done: true });
  const told = [...text.matchAll(/([\d.]+) of 20 s/g)].map(([, seconds]) => seconds);
  assert.deepEqual(told, ["5.0", "10.0", "15.0", "20.0"]);
  assert.ok(!text.includes("\r") && !text.includes("\x1b"));
  assert.equal(terminal.style("bold", "a"), "a");
  assert.ok(progressLine({ ...state, seconds: 12, done: false }).length <= 100);
});

test("Terminal writes one line over on a terminal, in colour unless NO_COLOR is set", () => {
  let text = "";
  const output = { isTTY: true, write: (piece: string) => text += piece };
  const terminal = new Terminal(output, {});
  const state = { scheduler: "fifo", seconds: 1, secondsMax: 2, burst: false } as const;
  terminal.progress({ ...state, done: false, queued: 0, dropped: 0 });
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
  assert.deepEqual([I.frames, P.frames, B.frames], [46, 138, 366]);
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

/**
 * Runs the demo as a user would, under the runtime that runs this test; `hear` is given what it has
 * printed so far, and its process.
 */
async function demo(
  args: string[],
  hear: (out: string, pid: number) => void = () => {},
  environment: Record<string, string> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const command = process.versions.deno ? ["run", "-A", "--no-check", DEMO] : [DEMO];
  const child = spawn(process.execPath, [...command, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", ...environment },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (piece) => {
    out += piece;
    hear(out, child.pid!);
  });
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
    for (const scheduler of ["fifo", "dwcs"]) {
      assert.match(out, new RegExp(`^  ${scheduler} █+ +4.0 of 4 s .*dropped +\\d+ frames`, "m"));
    }
    assert.match(out, /^(met|MISSED) +every I frame arrives whole and in time/m);
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

// The machine that runs this may be busy: a link that was kept waiting has frames expire that it would
// have sent, and a receiver sees a frame late that was not. So there are bounds, which only a scheduler
// that does not work would miss.

const total = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);

const RUN = { timeout: 60_000 };

test("demo: dwcs brings what fits the link, where fifo does not", RUN, async () => {
  const [fifo, dwcs] = await results(["--seconds", "4"]);
  const frames = Object.values(dwcs.frames);
  const [dropped, offered] = [frames.map((it) => sum(it.dropped)), frames.map((it) => it.offered)];
  assert.ok(total(dropped) <= 0.05 * total(offered), JSON.stringify(dwcs.frames));
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

test("demo ends soon after a signal, whatever is queued on a slow link", RUN, async () => {
  let signalledAt = 0;
  const slow = ["--seconds", "12", "--rate", "20kbit", "--latency", "30000"];
  const folder = mkdtempSync(join(tmpdir(), "qsockets-test-"));
  const { code, out, err } = await demo([...slow, "--out", folder], (out, pid) => {
    if (signalledAt > 0 || !/fifo .* 5\.\d of 12 s/.test(out)) return;
    signalledAt = performance.now();
    process.kill(pid, "SIGTERM"); // Deno's child.kill() makes it forget the exit code
  });
  rmSync(folder, { recursive: true });
  assert.equal(code, 130, err);
  const took = performance.now() - signalledAt;
  assert.ok(took < 5000, `${took} ms`); // what is queued would take the link a minute and more
  assert.match(out, /dropped: the socket was closed/);
  assert.match(out, /Interrupted/);
});

test("demo without the C library says how to make it, and ends with 1", async () => {
  const { code, err } = await demo([], () => {}, { QSOCKETS_LIBRARY: "/nowhere.so" });
  assert.equal(code, 1);
  assert.match(err, /^Cannot load the C library of Q.Sockets: .*npm run build.*\n$/);
});

test("demo refuses wrong arguments and what is no video, with 2", async () => {
  const rate = await demo(["--rate", "10mb"]);
  assert.equal(rate.code, 2);
  assert.match(rate.err, /--rate must be bytes per second/);
  const slow = await demo(["--rate", "10"]);
  assert.equal(slow.code, 2);
  assert.match(slow.err, /^--rate is too low for this video: an I frame takes 3\d{3} s\n$/);
  const dash = await demo(["--seed", "-1"]);
  assert.equal(dash.code, 2);
  assert.match(dash.err, /^--seed needs a value.*\nTry --help.\n$/);
  const missing = join(tmpdir(), `qsockets-missing-${process.pid}`);
  const folder = await demo(["--json", join(missing, "results.json")]);
  assert.equal(folder.code, 2);
  assert.equal(folder.err, `Cannot write to ${missing}: there is no such folder\n`);
  assert.ok(!existsSync(missing));
  const text = await demo([fileURLToPath(new URL("../package.json", import.meta.url))]);
  assert.equal(text.code, 2);
  assert.match(text.err, /^Cannot send .*package.json: the input must be /);
  const absent = await demo(["absent.ts"]);
  assert.equal(absent.code, 2);
  assert.equal(absent.err, "Cannot send absent.ts: there is no such file\n");
});
