// The program `inspect` lists frames as ffprobe does, and fails with a reason.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ibbp } from "./bitstream.ts";
import { mediaPath, noFfmpeg } from "./parsing.ts";
import { ibbpOrder, timed, transportStream } from "./transport.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const run = process.versions.bun ? [] : ["run", "-A"];
const command = [...run, join(root, "examples", "inspect.ts")];
const folder = mkdtempSync(join(tmpdir(), "qsockets-"));
const film = join(folder, "film.ts");
writeFileSync(film, transportStream(timed(ibbp(2), ibbpOrder)));
after(() => rmSync(folder, { recursive: true, force: true }));

function inspect(...args: string[]) {
  const env = { ...process.env, NO_COLOR: "1" };
  const done = spawnSync(process.execPath, [...command, ...args], { encoding: "utf8", env });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

test("--json prints a line for each frame in decode order, then the summary", () => {
  const { code, out, err } = inspect(film, "--json");
  assert.equal(code, 0, err);
  const lines = out.trimEnd().split("\n").map((line) => JSON.parse(line));
  const units = timed(ibbp(2), ibbpOrder);
  const expected = units.map(({ data, pts, dts }, index) => {
    const type = "IBBPBB"[index % 6];
    const times = { pts: pts / 90, dts: dts / 90 };
    const flags = { keyframe: type === "I", reference: type !== "B" };
    return { index, type, ...times, bytes: data.length, ...flags };
  });
  assert.deepEqual(lines.slice(0, -1), expected);
  const { summary } = lines.at(-1);
  assert.deepEqual(summary.types, { I: 2, P: 2, B: 8 });
  assert.equal(summary.container, "MPEG-TS");
  assert.equal(summary.durationMs, 480);
  assert.equal(summary.bytes, expected.reduce((sum, { bytes }) => sum + bytes, 0));
});

test("without --json it prints a table and what was found", () => {
  const { code, out } = inspect(film);
  assert.equal(code, 0);
  assert.match(out, /index {2}type.*\n\s+0 {2}I\s+1120\.000\s+1000\.000.*key ref/);
  assert.match(out, /mpeg2 in MPEG-TS: 12 frames.* 25 frames\/s/);
  assert.match(out, /^2 groups, 4 leading, 0 damaged$/m);
  const short = join(folder, "short.ts");
  writeFileSync(short, transportStream(timed(ibbp(1), ibbpOrder)));
  assert.match(inspect(short).out, /^1 group, 2 leading, 0 damaged$/m);
});

const clip = mediaPath("clip.m2t");
const skip = noFfmpeg || (clip === null && "skipped for want of the clip");
test("it agrees with ffprobe about the clip", { skip }, () => {
  const show = ["-select_streams", "v", "-show_entries", "packet=pts_time,dts_time,size,flags"];
  const probe = spawnSync("ffprobe", ["-v", "quiet", ...show, "-of", "json", clip!]);
  const packets: Record<string, string>[] = JSON.parse(probe.stdout.toString()).packets;
  const lines = inspect(clip!, "--json").out.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.at(-1).summary.types, { I: 46, P: 138, B: 366 });
  const ms = (time: string) => Math.round(Number(time) * 1000);
  assert.deepEqual(
    lines.slice(0, -1).map(({ pts, dts, bytes, keyframe }) => ({
      ...{ pts: Math.round(pts), dts: Math.round(dts), bytes, keyframe },
    })),
    packets.map(({ pts_time, dts_time, size, flags }) => ({
      ...{ pts: ms(pts_time), dts: ms(dts_time), bytes: Number(size), keyframe: flags[0] === "K" },
    })),
  );
});

test("--help explains, and a wrong call says what is wrong and ends with 2", () => {
  assert.match(inspect("--help").out, /inspect\.ts FILE/);
  for (const args of [[], ["--nonsense", film], [film, film]]) {
    const { code, err, out } = inspect(...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, /inspect\.ts: /);
    assert.equal(out, "");
  }
});

test("what cannot be read is a message and ends with 1", () => {
  const text = join(folder, "letter.txt");
  writeFileSync(text, "Dear reader,\n");
  const { code, err } = inspect(text);
  assert.equal(code, 1);
  assert.match(err, /^inspect\.ts: Cannot read video: .*it is text\n$/);
  const absent = inspect(join(folder, "absent.ts"));
  assert.equal(absent.code, 1);
  assert.match(absent.err, /^inspect\.ts: Cannot read \S*absent\.ts: there is no such file\n$/);
});

test("a reader that goes away ends it without a trace", async () => {
  const child = spawn(process.execPath, [...command, "-"], { stdio: ["pipe", "pipe", "pipe"] });
  let err = "";
  child.stderr.on("data", (data) => err += data);
  child.stdin.on("error", () => {}); // it stops reading
  child.stdout.destroy();
  child.stdin.end(transportStream(timed(ibbp(60), ibbpOrder)));
  await once(child, "close");
  assert.equal(err, "");
});
