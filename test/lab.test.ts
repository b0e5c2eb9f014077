// The lab's pure parts: from what arrived to numbers, aims, and the report's shape. What it does to
// networks is run by `npm run lab`.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Frame, packetizeFrame, packetizer, type QMessage } from "../mod.ts";
import { digestOf } from "../examples/demo/log.ts";
import type { Fate } from "../examples/demo/measure.ts";
import { MARKING } from "../examples/demo/video.ts";
import { parseArrivals, reassemble } from "./lab/arrivals.ts";
import { TokenBucket } from "./lab/bucket.ts";
import { draw } from "./lab/draw.ts";
import { type Figure, judge } from "./lab/experiment.ts";
import { EXPERIMENTS } from "./lab/experiments.ts";
import { beyondLink, interFrameJitter, inTime, perSecond, quantile } from "./lab/measures.ts";
import { page, picture } from "./lab/page.ts";
import { psnr, PSNR_MOST, qualityOf, sourceOf } from "./lab/quality.ts";
import { type Chapter, jsonReport, tell } from "./lab/report.ts";
import { packetsOf } from "./lab/video.ts";

test("quantile is the least value that so many do not exceed", () => {
  assert.equal(quantile([3, 1, 2, 4], 0.5), 2);
  assert.equal(quantile([3, 1, 2, 4], 0.51), 3);
  assert.equal(quantile([3, 1, 2, 4], 1), 4);
  assert.equal(quantile([3, 1, 2, 4], 0), 1);
  assert.equal(quantile(Array.from({ length: 200 }, (_, i) => i + 1), 0.99), 198);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test("interFrameJitter is D of RFC 3550, of neighbours that both arrived", () => {
  // Sent at 0, 50, 100, 150, 200; arrived at 10, 63, null, 158, 210.
  const jitter = interFrameJitter([10, 13, null, 8, 10]);
  assert.deepEqual(jitter, [null, 3, null, null, 2]);
});

test("beyondLink leaves what a frame waits for others than its own stream", () => {
  const frames = [0, 50, 100].map((dts, i) => ({ dts, bytes: i === 0 ? 75_000 : 12_500 }));
  // The first takes 60 ms, so the second is through at 70; the third, at 110, waits for nobody.
  assert.deepEqual(beyondLink(frames, [60, 25, 10], 1_250_000), [0, 5, 0]);
  assert.deepEqual(beyondLink(frames, [null, 20, 13], 1_250_000), [null, 0, 3]);
});

test("perSecond counts frames in the second in which they were due", () => {
  const fates = Array.from({ length: 45 }, (_, i): Fate => ({
    kind: "P",
    dts: i * 1000 / 15,
    fate: i === 20 ? "late" : i === 40 ? "lost" : "in time",
    delay: i === 40 ? null : 10,
    decodable: true,
  }));
  assert.deepEqual(perSecond(fates, 3, inTime), [15, 14, 14]);
  assert.deepEqual(perSecond(fates, 2, () => true), [15, 15]);
});

/** What the receiver writes of datagrams. */
function record(list: readonly { at: number; port: number; data: Uint8Array }[]): Uint8Array {
  const bytes = list.flatMap(({ at, port, data }) => {
    const head = new DataView(new ArrayBuffer(16));
    head.setBigUint64(0, BigInt(Math.round(at * 1e6)), true);
    head.setUint32(8, port, true);
    head.setUint32(12, data.length, true);
    return [...new Uint8Array(head.buffer), ...data];
  });
  return Uint8Array.from(bytes);
}

/** Three pictures of MPEG-2, the bytes of which nobody looks at, as packets. */
function pictures(): { frames: Frame[]; messages: QMessage[][] } {
  let state = packetizer({ format: "mpv", marking: MARKING, sequence: 0, mtu: 300 });
  const frames: Frame[] = [];
  const messages: QMessage[][] = [];
  for (let index = 0; index < 3; index++) {
    const slices = Array.from({ length: 900 }, (_, i) => 2 + (index * 7 + i) % 250);
    const data = Uint8Array.of(0, 0, 1, 0, 0, 8, 0, 0, 0, 0, 1, 1, ...slices);
    const frame: Frame = {
      index,
      codec: "mpeg2",
      type: index === 0 ? "I" : "P",
      pts: index * 50,
      dts: index * 50,
      data,
      keyframe: index === 0,
      reference: true,
      groupStart: index === 0,
      leading: false,
      damaged: false,
    };
    const made = packetizeFrame(frame, state);
    state = made.state;
    frames.push(frame);
    messages.push(made.packets.messages);
  }
  return { frames, messages };
}

test("parseArrivals reads what the receiver wrote, by port", () => {
  const data = Uint8Array.of(1, 2, 3);
  const bytes = record([
    { at: 5.25, port: 5004, data },
    { at: 6, port: 5005, data: new Uint8Array(0) },
    { at: 7.5, port: 5004, data: data.subarray(1) },
  ]);
  const ports = parseArrivals(bytes);
  assert.deepEqual([...ports.keys()], [5004, 5005]);
  assert.deepEqual(ports.get(5004)!.map(({ at }) => at), [5.25, 7.5]);
  assert.deepEqual([...ports.get(5004)![1].data], [2, 3]);
  for (const cut of [bytes.length - 1, 17, 8]) {
    assert.throws(() => parseArrivals(bytes.subarray(0, cut)), /cut off at byte/);
  }
});

test("reassemble puts whole frames together, whatever the order, and no other", () => {
  const { frames, messages } = pictures();
  const datagrams = messages.flat().map(({ data }, i) => ({ at: 1000 + i, data }));
  const all = reassemble(datagrams, "mpv", 1000);
  assert.deepEqual(
    all.frames.map(([, digest]) => digest),
    frames.map(({ data }) => digestOf(data)),
  );
  assert.deepEqual(all.packets.map(([sequence]) => sequence), datagrams.map((_, i) => i));
  assert.deepEqual(all.packets.map(([, at]) => at), datagrams.map((_, i) => i));
  const swapped = [datagrams[1], datagrams[0], ...datagrams.slice(2)];
  assert.equal(reassemble(swapped, "mpv", 1000).frames.length, 3);
  // The second frame loses a packet; the first one is not there at all.
  const [first, second] = messages;
  const without = datagrams.toSpliced(first.length + 1, 1);
  assert.deepEqual(
    reassemble(without, "mpv", 1000).frames.map(([sequence]) => sequence),
    [0, first.length + second.length],
  );
  assert.deepEqual(
    reassemble(datagrams.slice(first.length), "mpv", 1000).frames.map(([sequence]) => sequence),
    [first.length, first.length + second.length],
  );
});

const clip = {
  path: fileURLToPath(new URL("../examples/clip.m2t", import.meta.url)),
  about: "",
  format: "mpv" as const,
  fps: 25,
  bytes: { mean: 0, max: 0 },
  window: { oln: 1, old: 12 },
};

test("qualityOf knows frames by their bytes, and what leans on a lost one", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "qsockets-lab-test-"));
  try {
    const source = await sourceOf(clip, 1);
    const sent = await packetsOf(clip, { fps: 25, seconds: 1, latency: 100 });
    assert.equal(source.length, 25);
    const judged = (lost: (frame: number, packet: number) => boolean, delay = (_: number) => 5) =>
      qualityOf({
        datagrams: sent.flatMap(({ packets: { messages }, sent }, frame) =>
          messages.flatMap(({ data }, packet) =>
            lost(frame, packet) ? [] : [{ at: 7000 + sent.dts + delay(frame), data }]
          )
        ),
        source,
        video: clip,
        packing: "marked",
        latency: 100,
        scratch,
      });
    const all = judged(() => false);
    assert.deepEqual([all.whole, all.inTime, all.decodable], [1, 1, 1]);
    const none = judged(() => true);
    assert.deepEqual([none.whole, none.inTime, none.decodable], [0, 0, 0]);
    // A packet of the second group's I frame: gone with it are its group and the B frames before.
    const second = source.findIndex(({ groupStart }, i) => i > 0 && groupStart);
    const third = source.findIndex(({ groupStart }, i) => i > second && groupStart);
    const leaning = (third < 0 ? source.length : third) - second +
      (third < 0 ? 0 : source.slice(third).filter(({ leading }) => leading).length);
    const cut = judged((frame, packet) => frame === second && packet === 1);
    assert.equal(cut.whole, 24 / 25);
    assert.equal(cut.decodable, (25 - leaning) / 25);
    const late = judged(() => false, (frame) => frame === second ? 200 : 5);
    assert.deepEqual([late.whole, late.inTime], [1, 24 / 25]);
    assert.equal(late.decodable, cut.decodable);
    const pictures = [all, cut, late].map(({ psnr }) => psnr);
    if (pictures.includes(null)) return; // no ffmpeg here
    assert.equal(all.psnr, PSNR_MOST);
    assert.ok(cut.psnr! < PSNR_MOST && late.psnr! < PSNR_MOST, `${pictures}`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test("psnr counts the pictures that are missing before the first one, as black", async (t) => {
  const scratch = mkdtempSync(join(tmpdir(), "qsockets-lab-test-"));
  try {
    // Pictures that lean on no other, so that what is there is as it was sent.
    const all = (await sourceOf(clip, 10)).filter(({ groupStart }) => groupStart);
    const errorOf = (count: number, missing: number): number | null => {
      const source = all.slice(0, count);
      const decibel = psnr(source.slice(missing), source, clip, scratch);
      return decibel === null ? null : count * 255 ** 2 / 10 ** (decibel / 10);
    };
    const [five, again] = [errorOf(20, 5), errorOf(12, 5)];
    if (five === null || again === null) return t.skip("no ffmpeg here");
    assert.ok(all.length >= 20);
    // All that differs is the five: the same sum however many are right after them.
    assert.ok(Math.abs(five / again - 1) < 1e-3, `${five} and ${again}`);
    assert.ok(five > 5 * 1000, `${five}: black is not like them`);
    assert.equal(psnr(all, all, clip, scratch), PSNR_MOST);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test("TokenBucket sends a burst at once, and refuses frames that would wait too long", async () => {
  const sent: number[] = [];
  // A second at 3000 bytes/s: two packets of 1228 bytes are the burst, two more may wait.
  const bucket = new TokenBucket(3000, 1000, (data) => void sent.push(data[0]));
  const frames = [[0], [1], [2], [3, 4], [5], [6]];
  const taken = frames.map((frame) => bucket.offer(frame.map((n) => new Uint8Array(1200).fill(n))));
  assert.deepEqual(taken, [true, true, true, false, true, false]);
  assert.deepEqual(sent, [0, 1]);
  await bucket.close();
  assert.deepEqual(sent, [0, 1, 2, 5]);
});

test("judge says whether an aim was met, and that nothing is not enough", () => {
  assert.deepEqual(judge("jitter", 1.5, { atMost: 2 }, "ms"), {
    name: "jitter",
    aim: "at most 2 ms",
    measured: "1.5 ms",
    met: true,
  });
  assert.equal(judge("jitter", 2, { atMost: 2 }).met, true);
  assert.equal(judge("jitter", 2.001, { atMost: 2 }).met, false);
  assert.equal(judge("rate", 98.9, { atLeast: 99 }).met, false);
  assert.equal(judge("rate", 99, { atLeast: 99 }).met, true);
  assert.equal(judge("lost", 3, { below: 3 }).met, false);
  assert.deepEqual(judge("lost", 0, { below: 3 }).aim, "below 3");
  assert.equal(judge("jitter", NaN, { atMost: 2 }).met, false);
  assert.equal(judge("rate", Infinity, { atLeast: 2 }).met, false);
});

const figure: Figure = {
  figure: "Figure 0",
  title: "A <figure> & its parts",
  paper: "It was so.",
  found: "It is so.",
  facts: ["What was measured."],
  panels: [{
    title: "One",
    x: "time, s",
    y: "frames/s",
    series: [
      { name: "ours", points: [[0, 1], [1, null]] },
      { name: "theirs", points: [[0, 2]], as: "bars" },
    ],
  }, { title: "Two", x: "load", y: "dB", categories: ["a", "b"], series: [] }],
  tables: [{ title: "Counts", head: ["", "sent"], rows: [["ours", "12"]] }],
  aims: [judge("speed", 3, { atLeast: 2 }, "ms"), judge("size", 3, { atMost: 2 })],
};
const experiment = { name: "none", title: "None", reproduces: "Nothing." };
const chapters: Chapter[] = [
  { experiment, figures: [figure], failure: null, skipped: false },
  {
    experiment: { ...experiment, name: "broken" },
    figures: [],
    failure: "it did not start",
    skipped: false,
  },
];
const circumstances = {
  date: "2000-01-01T00:00:00Z",
  command: "npm run lab",
  seed: 1,
  quick: true,
  soak: null,
  machine: "none",
  load: 0,
  commit: "0123456789ab",
  hurried: false,
};

test("jsonReport has each figure with its series and its aims", () => {
  const report = JSON.parse(JSON.stringify(jsonReport(circumstances, chapters)));
  assert.equal(report.seed, 1);
  assert.deepEqual(report.failures, [
    { experiment: "broken", why: "it did not start", skipped: false },
  ]);
  const [{ figure: name, paper, found, command, series, aims }] = report.figures;
  assert.deepEqual([paper, found], ["It was so.", "It is so."]);
  assert.equal(command, "npm run lab -- --only none --seed 1 --quick");
  assert.equal(name, "Figure 0");
  assert.deepEqual(series.map((it: { name: string }) => it.name), ["ours", "theirs"]);
  assert.deepEqual(series[0].points, [[0, 1], [1, null]]);
  assert.equal(series[0].y, "frames/s");
  assert.deepEqual(aims, [
    { name: "speed", aim: "at least 2 ms", measured: "3 ms", met: true },
    { name: "size", aim: "at most 2", measured: "3", met: false },
  ]);
});

test("the page holds figures as SVG, the aims, and what failed, all escaped", () => {
  const html = page(circumstances, chapters);
  assert.match(html, /<svg /);
  assert.match(html, /1 of 2 aims met/);
  assert.match(html, /Failed: it did not start/);
  assert.match(html, /It was so\..*It is so\./);
  assert.match(html, /npm run lab -- --only none --seed 1 --quick/);
  assert.doesNotMatch(html, /<figure>/);
  assert.match(tell(figure), /MISSED size: 3 \(aim: at most 2\)/);
});

test("the page gives no two places the same name, and leads to all it names", () => {
  const named = { ...figure, figure: "Broken" }; // as an experiment is
  const html = page(circumstances, [{ ...chapters[0], figures: [figure, named] }, chapters[1]]);
  const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length, `${ids}`);
  const links = [...html.matchAll(/ href="#([^"]+)"/g)].map(([, id]) => id);
  assert.deepEqual(links.filter((id) => !ids.includes(id)), []);
  assert.equal(links.length, 3);
});

test("draw names every panel, axis and series", () => {
  const svg = draw(figure.panels);
  for (const text of ["One", "Two", "time, s", "frames/s", "dB", "ours", "theirs"]) {
    assert.ok(svg.includes(text), text);
  }
});

test("draw keeps every dot, at its place", () => {
  const points = Array.from({ length: 50 }, (_, i): [number, number] => [i, 2 * i % 37]);
  const panel = { title: "Dots", x: "x", y: "y", xMax: 50, yMin: 0, yMax: 40 };
  const svg = draw([{ ...panel, series: [{ name: "dots", as: "dots", points }] }]);
  const dots = [...svg.matchAll(/M([\d.]+) ([\d.]+)h\.1/g)].map(([, x, y]) => [+x, +y]);
  assert.equal(dots.length, points.length);
  const scale = (axis: 0 | 1) =>
    (dots[1][axis] - dots[0][axis]) / (points[1][axis] - points[0][axis]);
  for (const [i, dot] of dots.entries()) {
    for (const axis of [0, 1] as const) {
      const wanted = dots[0][axis] + scale(axis) * points[i][axis];
      assert.ok(
        Math.abs(dot[axis] - wanted) < 5,
        `dot ${i}: ${dot}, not ${wanted} on axis ${axis}`,
      );
    }
  }
});

test("a picture says what it shows, and what makes it again", () => {
  const svg = picture(figure, circumstances, "none");
  assert.match(svg, /^<svg [^>]*>\s*<title>Figure 0\. A &#60;figure&#62; &#38; its parts<\/title>/);
  assert.match(
    svg,
    /<desc>What was measured\.\nnone; .*npm run lab -- --only none --seed 1 --quick<\/desc>/,
  );
});

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const figures = new URL("lab/figures/", import.meta.url);

test("README.md shows every figure there is, and none that is not", () => {
  const shown = [...readme.matchAll(/!\[[^\]]+\]\(test\/lab\/figures\/([^)]+)\)/g)].map(([, it]) =>
    it
  );
  assert.ok(shown.length > 0);
  assert.deepEqual(shown.toSorted(), readdirSync(figures).toSorted());
  for (const name of shown) {
    const svg = readFileSync(new URL(name, figures), "utf8");
    assert.match(svg, /^<svg [^>]*>\s*<title>.+<\/title>/, name);
    assert.match(
      svg,
      /; seed \d+; npm run lab -- --(only [a-z]+|soak \d+) --seed \d+<\/desc>/,
      name,
    );
    assert.doesNotMatch(svg, /\/(tmp|work|home|root)\//, name);
    assert.ok(svg.length < 100_000, `${name} has ${svg.length} characters`);
  }
});

test("README.md's commands of the lab name experiments and options that there are", () => {
  const help = readFileSync(new URL("lab/run.mjs", import.meta.url), "utf8");
  const commands = [...readme.matchAll(/npm run lab(?: -- ([^`\n]*))?/g)].map(([, it]) => it ?? "");
  assert.ok(commands.some((command) => command.includes("--only")));
  const names = EXPERIMENTS.map(({ name }) => name);
  for (const words of commands.map((command) => command.split(" "))) {
    for (const [i, word] of words.entries()) {
      if (word.startsWith("--")) assert.ok(help.includes(`\n  ${word} `), word);
      if (word === "--only") assert.ok(names.includes(words[i + 1]), words[i + 1]);
    }
  }
});

test("every experiment has a name of its own, and says what it is", () => {
  const names = EXPERIMENTS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, title, reproduces } of EXPERIMENTS) {
    assert.match(name, /^[a-z]+$/);
    assert.ok(title.length > 0 && reproduces.length > 0, name);
  }
});
