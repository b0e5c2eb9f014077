/**
 * The demo: a video and a bulk transfer share a link that is too narrow for both. Once the link
 * works first come, first served ("fifo"), once it knows about deadlines, loss windows and frames
 * ("dwcs"). What arrives is measured by a receiver in a process of its own.
 *
 *     npm run demo -- --help
 *
 * The parts are in demo/: run.ts sends, receiver.ts receives, measure.ts turns their logs into the
 * report, table.ts, plot.ts and page.ts show it.
 */

import { accessSync, constants, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import type { Scheduler } from "../mod.ts";
import { type Aim, judgeAims } from "./demo/aims.ts";
import { burstsOf, OVERLOAD } from "./demo/bulk.ts";
import { type RunLog } from "./demo/log.ts";
import { bulkPerSecond, judge, measure } from "./demo/measure.ts";
import {
  type DemoOptions,
  HELP,
  LATENCY_MS_MAX,
  parseOptions,
  UsageError,
} from "./demo/options.ts";
import { page } from "./demo/page.ts";
import { plot, type PlottedRun } from "./demo/plot.ts";
import { run } from "./demo/run.ts";
import { megabits, rowsOf, textTable } from "./demo/table.ts";
import { Terminal } from "./demo/terminal.ts";
import { fits, latencyFor, QUEUE_MESSAGES, survey, type Video } from "./demo/video.ts";

const SCHEDULERS: readonly Scheduler[] = ["fifo", "dwcs"];
/** A process that was kept waiting for longer than this is worth a word. */
const STALL_MS = 50;
const EXIT_MISSED = 1;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

/** What both runs have in common. */
interface Setting {
  options: DemoOptions;
  video: Video;
  latency: number;
  fits: boolean;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error && !process.env.DEBUG ? error.message : error);
  process.exitCode = EXIT_FAILED;
}

async function main(): Promise<number> {
  const terminal = new Terminal(process.stdout);
  let options: DemoOptions | null;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\nTry --help.`);
    return EXIT_USAGE;
  }
  if (options === null) {
    terminal.print(HELP);
    return 0;
  }
  let video: Video;
  let latency: number;
  try {
    checkFolders(options);
    video = await survey(options.video, options.seconds);
    latency = options.latency ?? latencyOn(options.rate, video);
  } catch (error) {
    console.error((error as Error).message);
    return EXIT_USAGE;
  }
  const setting = { options, video, latency, fits: fits(video, options.rate, latency) };
  return await demonstrate(setting, terminal);
}

/** Better before the runs than after them. Only the plots' folder is made. */
function checkFolders({ json, out }: DemoOptions): void {
  if (out !== null) checkFolder(resolve(out), (folder) => mkdirSync(folder, { recursive: true }));
  if (json !== null) checkFolder(dirname(resolve(json)));
}

function checkFolder(folder: string, make?: (folder: string) => void): void {
  try {
    make?.(folder);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" && !make ? "there is no such folder" : message;
    throw new Error(`Cannot write to ${folder}: ${why}`, { cause: error });
  }
}

/** The latency budget where none was asked for; throws where none would do. */
function latencyOn(rate: number, video: Video): number {
  const latency = latencyFor(video, rate);
  if (latency <= LATENCY_MS_MAX) return latency;
  const seconds = Math.round(video.kinds.I.bytesMax / rate);
  throw new UsageError(`--rate is too low for this video: an I frame takes ${seconds} s`);
}

async function demonstrate(setting: Setting, terminal: Terminal) {
  const { options, video } = setting;
  terminal.print(`${describe(setting).join("\n")}\n`);
  const { logs, interrupted } = await runAll(setting, terminal);
  const runs = logs.map((log): PlottedRun => {
    const fates = judge(log);
    return { report: measure(log, fates), fates, bulk: bulkPerSecond(log) };
  });
  if (runs.length === 0) return EXIT_INTERRUPTED;

  const reports = runs.map(({ report }) => report);
  const fps = 1000 / video.period;
  terminal.print(`\n${textTable(reports, fps, (how, text) => terminal.style(how, text))}`);
  if (video.byPlace) {
    terminal.print("I, P, B here: starts a group, is leaned on by others, is a leaf.");
  }
  const aims = runs.length < SCHEDULERS.length || interrupted
    ? []
    : judgeAims(reports[0], reports[1], setting.fits);
  const note = stallNote(logs);
  if (note) terminal.print(note);
  if (aims.length > 0) terminal.print("");
  for (const aim of aims) terminal.print(aimLine(aim, terminal));
  if (options.json !== null) {
    writeFileSync(
      options.json,
      JSON.stringify({ ...facts(setting), runs: reports }, null, 2) + "\n",
    );
  }
  const files = writePlots(setting, runs, aims);
  terminal.print(`\nplot  ${files.svg}\npage  ${files.html}`);
  if (interrupted) {
    terminal.print("\nInterrupted: the last run shown was cut short.");
    return EXIT_INTERRUPTED;
  }
  return options.check && aims.some(({ met }) => !met) ? EXIT_MISSED : 0;
}

/** All runs, one after the other; Ctrl-C ends the present one early, a second one ends it all. */
async function runAll({ options, video, latency }: Setting, terminal: Terminal) {
  const interrupt = new AbortController();
  const onSignal = () => {
    if (interrupt.signal.aborted) process.exit(EXIT_INTERRUPTED);
    interrupt.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  const logs: RunLog[] = [];
  try {
    for (const scheduler of SCHEDULERS) {
      const log = await run({
        scheduler,
        video,
        rate: options.rate,
        latency,
        seed: options.seed,
        signal: interrupt.signal,
        onProgress: (progress) => terminal.progress(progress),
      });
      if (log.sent.length > 0) logs.push(log);
      if (interrupt.signal.aborted) break;
    }
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
  return { logs, interrupted: interrupt.signal.aborted };
}

function describe({ options, video, latency, fits }: Setting): string[] {
  const { kinds, period, seconds } = video;
  const largest = Math.max(kinds.I.bytesMax, kinds.P.bytesMax, kinds.B.bytesMax);
  const mean = megabits(video.bytesPerSecond);
  const alone = largest / options.rate * 1000;
  const tooLong = alone > latency;
  const whether = fits ? "fits the link" : "does not fit the link";
  return [
    `video ${video.name}: ${video.codec} in ${video.container}, ${seconds} s, ` +
    `${round(1000 / period)} frames/s, ${kinds.I.frames} I, ${kinds.P.frames} P, ` +
    `${kinds.B.frames} B`,
    `      ${mean}, ${megabits(video.bytesPerSecondMax)} in its heaviest second, frames up to ` +
    `${round(largest / 1000)} kB: alone it ${whether}`,
    `link  ${megabits(options.rate)}, queue of ${QUEUE_MESSAGES} messages; ` +
    `a frame may take ${latency} ms${tooLong ? `, the largest takes ${Math.ceil(alone)} ms` : ""}`,
    `bulk  two bursts of ${seconds / 6 === Math.round(seconds / 6) ? "" : "about "}` +
    `${round(seconds / 6)} s, which overload the link ${OVERLOAD} times`,
  ];
}

/** The setting as `--json` shows it. */
function facts({ options, video, latency, fits }: Setting) {
  const { name, codec, container, seconds, period, kinds, bytesPerSecond } = video;
  const { I, P, B } = kinds;
  return {
    link: {
      bytesPerSecond: options.rate,
      queueMessages: QUEUE_MESSAGES,
      bulk: { overload: OVERLOAD, burstsMs: burstsOf(seconds), seed: options.seed },
    },
    video: {
      name,
      codec,
      container,
      seconds,
      fps: round(1000 / period),
      frames: { I: I.frames, P: P.frames, B: B.frames },
      bytesPerSecond: Math.round(bytesPerSecond),
      latencyMs: latency,
      fitsAlone: fits,
    },
  };
}

function aimLine({ claim, met, numbers }: Aim, terminal: Terminal): string {
  const word = met ? terminal.style("green", "met   ") : terminal.style("red", "MISSED");
  return `${word} ${claim}: ${numbers}`;
}

/** What to say of a machine that was too busy to measure on. */
function stallNote(logs: readonly RunLog[]): string | null {
  const sender = Math.max(...logs.map(({ stall }) => stall));
  const receiver = Math.max(...logs.map(({ received }) => received.stall));
  if (Math.max(sender, receiver) < STALL_MS) return null;
  return `This machine was busy: it kept the sender waiting for up to ${Math.round(sender)} ms ` +
    `and the receiver for up to ${Math.round(receiver)} ms.`;
}

function writePlots(setting: Setting, runs: readonly PlottedRun[], aims: readonly Aim[]) {
  const { options, video, latency } = setting;
  const folder = resolve(options.out ?? mkdtempSync(join(tmpdir(), "qsockets-demo-")));
  const fps = 1000 / video.period;
  const bursts = burstsOf(video.seconds);
  const svg = plot(runs, { seconds: video.seconds, fps, latency, bursts });
  const reports = runs.map(({ report }) => report);
  const html = page({
    title: `Q.Sockets: ${video.name} over ${megabits(options.rate)}`,
    facts: describe(setting),
    svg,
    runs: reports.map(({ scheduler }) => scheduler),
    rows: rowsOf(reports, fps),
    aims,
  });
  const files = { svg: join(folder, "demo.svg"), html: join(folder, "demo.html") };
  writeFileSync(files.svg, svg);
  writeFileSync(files.html, html);
  return files;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
