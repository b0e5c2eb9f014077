// A video of 20 frames/s, and twice bulk transfer of other processes that fills the same link, by the
// ways of sending it: the runs, and the figures 4 and 5 that are drawn of them. A way that needs a
// scheduler below the stack can be had in the guest alone (below.ts).

import type { LinkOptions } from "../../mod.ts";
import type { Fate } from "../../examples/demo/measure.ts";
import { type Figure, judge, type Panel } from "./experiment.ts";
import { beyondLink, interFrameJitter, inTime, perSecond, quantile } from "./measures.ts";
import { DEVICE, layBelow, layIsolated, layPlain, MANAGED_SHARE, RATE, TO } from "./path.ts";
import type { Plan, Sending } from "./sender.ts";
import type { LabFrame, Video } from "./video.ts";
import { BULK_ABOUT, runVideo, type VideoRun } from "./videorun.ts";

export const FPS = 20;
const LATENCY_MS = 200;
const PORT = 5004;
/** Of the link, for a program that knows of no other: its own headers are counted less exactly. */
const OWN_RATE = 0.98 * RATE;

/** The figure's upper end, ms, and where in it a frame is shown that has no jitter. */
const JITTER_SHOWN_MAX = 10_000;
const LOST_SHOWN_AT = 1500;

export type Way = "plain" | "fair" | "above" | "isolated" | "below";
export const NAMES: Record<Way, string> = {
  plain: "unmanaged (node:dgram)",
  fair: "unmanaged, in fair queues (fq_codel)",
  above: "managed, in its own program (above)",
  isolated: "managed, on a prepared device (isolated)",
  below: "managed, in the device's queue (below)",
};
/** The same in a sentence. */
export const SHORT: Record<Way, string> = {
  plain: "unmanaged",
  fair: "unmanaged with fq_codel",
  above: "above",
  isolated: "above with an HTB",
  below: "below",
};

const LINKS: Record<Way, LinkOptions | null> = {
  plain: null,
  fair: null,
  above: { scheduler: "dwcs", rate: OWN_RATE },
  isolated: { device: DEVICE },
  below: { device: DEVICE },
};

const LAYS: Record<Way, () => void> = {
  plain: () => layPlain(),
  fair: () => layPlain(RATE, "fq_codel"),
  above: () => layPlain(),
  isolated: () => layIsolated("dwcs"),
  below: () => layBelow("dwcs"),
};

/** Whether the library sends it. */
export function isManaged({ way }: { way: Way }): boolean {
  return LINKS[way] !== null;
}

export interface Run {
  way: Way;
  fates: Fate[];
  frames: LabFrame[];
  fps: number[];
  jitter: (number | null)[];
  rawJitter: (number | null)[];
  /** The same as `jitter`, beyond the part of the link that is the managed streams' alone. */
  shareJitter: (number | null)[];
  sender: Omit<Sending, "streams">;
  bulkBytes: number;
  busy: VideoRun["busy"];
}

/** What all runs of a figure have in common. */
export interface Load {
  video: Video;
  seconds: number;
  /** Without bulk transfer. */
  calm?: boolean;
  /** What else there is to say of where it was measured. */
  where?: string[];
  scratch: string;
  receiver: string;
  /** Counts what the machine does (idler.c), if it is given. */
  idler?: string | null;
}

/** Lays the path for one way, and sends the video. */
export async function runWay(way: Way, load: Load): Promise<Run> {
  const { video, seconds, calm } = load;
  LAYS[way]();
  const plan: Plan = {
    host: TO,
    seconds,
    link: LINKS[way],
    streams: [{
      video,
      way: isManaged({ way }) ? "managed" : "plain",
      fps: FPS,
      port: PORT,
      latency: LATENCY_MS,
    }],
  };
  const bursts = calm ? [] : burstsOf(seconds);
  const run = await runVideo({ ...load, plans: [plan], bursts });
  const [{ frames, fates }] = run.streams;
  const delays = fates.map(({ delay }) => delay);
  return {
    way,
    fates,
    frames,
    fps: perSecond(fates, seconds, inTime),
    jitter: interFrameJitter(beyondLink(frames, delays, RATE)),
    rawJitter: interFrameJitter(delays),
    shareJitter: interFrameJitter(beyondLink(frames, delays, MANAGED_SHARE * RATE)),
    sender: run.senders[0],
    bulkBytes: run.bulkBytes,
    busy: run.busy,
  };
}

/** The perturbations: each a tenth of the run, from a third and from two thirds of it on. */
function burstsOf(seconds: number): [from: number, to: number][] {
  return [1, 2].map((third) => [third * seconds / 3, third * seconds / 3 + seconds / 10]);
}

/** The least frames in time of a second, in percent of what was sent. */
export function worstSecond({ fps }: Pick<Run, "fps">): number {
  return 100 * Math.min(...fps) / FPS;
}

/** p of the jitter of frames that arrived, ms. */
export function jitterOf({ jitter }: Pick<Run, "jitter">, p: number): number {
  return quantile(jitter.filter((it) => it !== null), p);
}

export function frameRates(runs: readonly Run[], { video, seconds, where = [] }: Load): Figure {
  const disturbed = (run: Run) =>
    run.fps.filter((_, second) =>
      burstsOf(seconds).some(([from, to]) => second >= Math.floor(from) && second < to)
    );
  const plain = runs.find(({ way }) => way === "plain")!;
  const mbit = (RATE * 8 / 1e6).toFixed(0);
  const videoMbit = (video.bytes.mean * FPS * 8 / 1e6).toFixed(2);
  return {
    figure: "Figure 4",
    title: "Frame rate of a video beside bulk transfer of other processes",
    paper:
      "Managed the video keeps its 20 frames/s in both perturbations, unmanaged it loses most of them.",
    found: `Frames/s in the worst second: ${
      runs.map((run) => `${Math.min(...run.fps)} ${SHORT[run.way]}`).join(", ")
    }.`,
    facts: [
      `Frames that arrived whole and within ${LATENCY_MS} ms of when they were due, in each ` +
      `second in which they were due.`,
      `Video: ${video.about}; ${FPS} frames/s, ${videoMbit} Mbit/s with all headers.`,
      `Link: ${mbit} Mbit/s, a cable between two network namespaces behind an HTB (burst 3k), ` +
      `the queue of a device as Linux makes it (1000 packets, first come, first served).`,
      `Perturbation: ${BULK_ABOUT}, started at a third and at two thirds of the run, for a tenth ` +
      `of it. What is then in the queue is under way for longer.`,
      "The program is the same each time. Above: it has a link of its own of 0.98 times the rate, " +
      "and nothing keeps others out of the device's queue. Isolated: the device was prepared by " +
      "root for all programs, and the video has a class of its own." +
      (runs.some(({ way }) => way === "below")
        ? " Below: the scheduler itself is the device's queue, in the place of the HTB."
        : ""),
      ...(runs.some(({ way }) => way === "fair")
        ? [
          "fq_codel, which many distributions set, stands behind the HTB in the place of that queue: " +
          "each connection has its turn, and what waits for longer than some 5 ms is dropped.",
        ]
        : []),
      ...where,
    ],
    panels: runs.map((run): Panel => ({
      title: NAMES[run.way],
      x: "time, s",
      y: "frames/s",
      yMin: 0,
      yMax: 24,
      xMax: seconds,
      height: 130,
      level: { at: FPS, what: "ideal" },
      shaded: shades(seconds),
      series: [{ name: NAMES[run.way], as: "step", points: steps(run.fps, seconds) }],
    })),
    tables: [{
      title: "Frames",
      head: ["", "sent", "in time", "late", "partial", "lost", "worst second, frames", "bulk, MB"],
      rows: runs.map((run) => {
        const count = (fate: Fate["fate"]) => run.fates.filter((it) => it.fate === fate).length;
        return [
          NAMES[run.way],
          `${run.fates.length}`,
          `${count("in time")}`,
          `${count("late")}`,
          `${count("partial")}`,
          `${count("lost")}`,
          `${Math.min(...run.fps)}`,
          (run.bulkBytes / 1e6).toFixed(2),
        ];
      }),
    }],
    aims: [
      ...runs.filter(isManaged).map((run) =>
        judge(`frame rate in every second, ${run.way}`, worstSecond(run), { atLeast: 99 }, "%")
      ),
      judge(
        "unmanaged, worst second of the perturbations (visibly broken)",
        100 * Math.min(...disturbed(plain)) / FPS,
        { atMost: 50 },
        "%",
      ),
    ],
  };
}

export function jitters(runs: readonly Run[], { seconds, where = [] }: Load): Figure {
  const ms = (value: number) => Number.isFinite(value) ? value.toFixed(2) : "-";
  return {
    figure: "Figure 5",
    title: "Inter-frame jitter of the same runs",
    paper: "Managed the jitter stays small in both perturbations, unmanaged it grows with them.",
    found: `p99 over the whole run, beyond the link's own: ${
      runs.map((run) => `${ms(jitterOf(run, 0.99))} ms ${SHORT[run.way]}`).join(", ")
    }.`,
    facts: [
      "D of RFC 3550, 6.4.1, of each two frames that arrived whole one after the other, in time or " +
      "not: by how much the spacing of their last bytes' arrivals differs from the spacing at which " +
      "they were due.",
      "Frames differ in size, so their last bytes differ in time on any link. That part is taken " +
      "out: a frame's delay counts beyond what it would be if the video were alone on a link of " +
      `${(RATE * 8 / 1e6).toFixed(0)} Mbit/s. The table has it with that part as well (raw), ` +
      "and beyond a link of 15/16 of that: best effort has a sixteenth of a prepared device, and an HTB's " +
      "class for the managed keeps to the rest even while nobody asks for that sixteenth. So of two frames that differ " +
      "by 30 kB the larger one comes 1.6 ms later.",
      "Arrival is when the far end's kernel took the packet from the device.",
      ...where,
    ],
    panels: runs.map((run): Panel => ({
      title: NAMES[run.way],
      x: "time, s",
      y: "jitter, ms",
      log: true,
      yMin: 0.01,
      yMax: JITTER_SHOWN_MAX,
      xMax: seconds,
      height: 150,
      level: { at: 2, what: "aim" },
      shaded: shades(seconds),
      series: [{
        name: "frames that came whole",
        as: "dots",
        points: run.jitter.map((d, i) => [
          run.frames[i].dts / 1000,
          d === null ? null : Math.min(Math.max(d, 0.01), JITTER_SHOWN_MAX),
        ]),
      }, {
        name: "frames that did not",
        as: "dots",
        points: run.fates.flatMap(({ delay }, i): [number, number][] =>
          delay === null ? [[run.frames[i].dts / 1000, LOST_SHOWN_AT]] : []
        ),
      }],
    })),
    tables: [{
      title: "Jitter, ms",
      head: [
        "",
        "p50",
        "p99",
        "max",
        "p99, of 15/16",
        "raw p50",
        "raw p99",
        "handed over late by, p99",
      ],
      rows: runs.map((run) => [
        NAMES[run.way],
        ...[0.5, 0.99, 1].map((q) => ms(jitterOf(run, q))),
        ms(jitterOf({ jitter: run.shareJitter }, 0.99)),
        ...[0.5, 0.99].map((q) => ms(jitterOf({ jitter: run.rawJitter }, q))),
        ms(quantile(run.sender.behind, 0.99)),
      ]),
    }],
    aims: runs.filter(isManaged).map((run) =>
      judge(`p99 of the jitter beyond the link's own, ${run.way}`, jitterOf(run, 0.99), {
        atMost: 2,
      }, "ms")
    ),
  };
}

function shades(seconds: number) {
  return burstsOf(seconds).map(([from, to]) => ({ what: "bulk transfer", from, to }));
}

/** Each second as a level stretch, to the second's end. */
function steps(values: readonly number[], seconds: number): [number, number][] {
  return [...values.map((value, i): [number, number] => [i, value]), [seconds, values.at(-1)!]];
}
