/**
 * Lists the frames of a video file in decode order, as the library sees them: type, times, size,
 * and what leans on what. `--json` prints one object a line and a last one with the summary.
 */

import { once } from "node:events";
import process from "node:process";
import type { Frame } from "../media/frame.ts";
import { MediaReport } from "../media/report.ts";
import { readFrames } from "../media/source.ts";
import { run, UsageError } from "./command.ts";
import { bitrate, count } from "./terminal.ts";

const command = {
  file: "inspect.ts",
  operands: "FILE",
  summary: "Lists the frames of a video file in decode order. FILE may be - for standard input.\n" +
    "Read are MPEG transport and program streams, MPEG-1, MPEG-2 and H.264 elementary streams,\n" +
    "and H.264 in MP4 and Matroska.",
  options: { json: { help: "Print one JSON object a line, the last one being the summary." } },
  notes:
    "Times are milliseconds on the file's own time line. The marks are: key (decoding can begin\n" +
    "here), ref (others lean on it), leading (leans on the group before too), damaged.",
};
const WRITE_BYTES = 64 * 1024;

/** What is said of the whole file. */
class Summary {
  frames = 0;
  bytes = 0;
  groups = 0;
  leading = 0;
  damaged = 0;
  readonly types = { I: 0, P: 0, B: 0 };
  readonly typeBytes = { I: 0, P: 0, B: 0 };
  codec: string | null = null;
  #firstMs = Infinity;
  #lastMs = -Infinity;

  add(frame: Frame): void {
    this.frames += 1;
    this.bytes += frame.data.length;
    this.types[frame.type] += 1;
    this.typeBytes[frame.type] += frame.data.length;
    this.groups += Number(frame.groupStart);
    this.leading += Number(frame.leading);
    this.damaged += Number(frame.damaged);
    this.codec = frame.codec;
    if (frame.pts === null) return;
    this.#firstMs = Math.min(this.#firstMs, frame.pts);
    this.#lastMs = Math.max(this.#lastMs, frame.pts);
  }

  /** From the first picture shown to the end of the last, if all are shown for as long. */
  get durationMs(): number {
    const span = this.#lastMs - this.#firstMs;
    return this.frames > 1 && span > 0 ? span * this.frames / (this.frames - 1) : 0;
  }

  json(report: MediaReport): string {
    const { frames, codec, bytes, types, groups, leading, damaged } = this;
    const { container, damage, skipped } = report;
    const durationMs = rounded(this.durationMs);
    const counts = { frames, bytes, durationMs, types, groups, leading, damaged };
    return JSON.stringify({ summary: { container, codec, ...counts, damage, skipped } });
  }

  text(report: MediaReport): string {
    const seconds = this.durationMs / 1000;
    const types = (["I", "P", "B"] as const).filter((type) => this.types[type] > 0).map((type) =>
      `${this.types[type]} ${type} (${Math.round(this.typeBytes[type] / this.types[type])} bytes)`
    );
    const rate = seconds > 0
      ? `, ${seconds.toFixed(2)} s, ${Number((this.frames / seconds).toFixed(2))} frames/s, ` +
        bitrate(this.bytes / seconds)
      : "";
    const lines = [
      `${this.codec} in ${report.container}: ${count(this.frames, "frame")}, ${
        count(this.bytes, "byte")
      }${rate}`,
      `types (mean size): ${types.join(", ")}`,
      `${count(this.groups, "group")}, ${this.leading} leading, ${this.damaged} damaged`,
    ];
    const skipped = report.skipped.map(({ id, codec }) => `${codec} (${id})`);
    if (skipped.length > 0) lines.push(`skipped: ${skipped.join(", ")}`);
    for (const [kind, { count: times, bytes }] of Object.entries(report.damage)) {
      lines.push(`lost: ${kind}, ${count(times, "time")}, ${count(bytes, "byte")} thrown away`);
    }
    return lines.join("\n");
  }
}

function rounded(ms: number): number;
function rounded(ms: number | null): number | null;
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000;
}

function jsonLine({ index, type, pts, dts, data, keyframe, reference }: Frame): string {
  const times = { pts: rounded(pts), dts: rounded(dts) };
  return JSON.stringify({ index, type, ...times, bytes: data.length, keyframe, reference });
}

const HEAD = "  index  type         pts         dts     bytes  marks";

function textLine({ index, type, pts, dts, data, ...is }: Frame): string {
  const time = (ms: number | null) => (ms === null ? "-" : ms.toFixed(3)).padStart(12);
  const marks = [is.keyframe && "key", is.reference && "ref", is.leading && "leading"];
  const words = [...marks, is.damaged && "damaged"].filter(Boolean).join(" ");
  const place = `${String(index).padStart(7)}  ${type}   ${time(pts)}${time(dts)}`;
  return `${place}${String(data.length).padStart(10)}  ${words}`.trimEnd();
}

/** Input up to Ctrl-C, also while a pipe that nobody writes to keeps it waiting. */
async function* untilStopped(
  input: AsyncIterable<Uint8Array>,
  stopped: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const pieces = input[Symbol.asyncIterator]();
  const end = once(stopped, "abort").then(() => null);
  for (;;) {
    const piece = await Promise.race([pieces.next(), end]);
    if (piece === null || piece.done) return;
    yield piece.value;
  }
}

/** Waits where the reader is slower than the file. */
async function print(lines: string[]): Promise<void> {
  const text = lines.join("\n") + "\n";
  lines.length = 0;
  await new Promise((resolve) => process.stdout.write(text, resolve));
}

await run(command, async (args, stopped) => {
  const [file, ...more] = args.operands;
  if (file === undefined) throw new UsageError("FILE is missing");
  if (more.length > 0) throw new UsageError(`only one FILE can be read, got "${more[0]}" too`);
  const json = args.has("json");
  const report = new MediaReport();
  const summary = new Summary();
  const lines = json ? [] : [HEAD];
  let bytes = 0;
  const source = file === "-" ? untilStopped(process.stdin, stopped) : file;
  try {
    for await (const frame of readFrames(source, { report })) {
      summary.add(frame);
      const line = json ? jsonLine(frame) : textLine(frame);
      lines.push(line);
      bytes += line.length + 1;
      if (bytes >= WRITE_BYTES) {
        await print(lines);
        bytes = 0;
      }
      if (stopped.aborted) break;
    }
  } catch (error) {
    if (!stopped.aborted) throw error;
  }
  if (summary.frames === 0 && stopped.aborted) process.exit();
  if (summary.frames === 0) {
    const damage = Object.entries(report.damage).map(([kind, { count }]) => `${count} ${kind}`);
    const why = damage.length > 0 ? `: damage of these kinds: ${damage.join(", ")}` : "";
    throw new Error(`Cannot find a frame in ${file}${why}`);
  }
  lines.push(...json ? [summary.json(report)] : ["", summary.text(report)]);
  await print(lines);
  if (stopped.aborted) process.exit(); // an unfinished read would keep it alive
});
