// Figure 6: two managed videos and an unmanaged one of another program on a link that is too narrow for
// all three. The managed ones keep their rates, the other has what is left, and is not starved.

import { VirtualLink } from "../../../mod.ts";
import { type Experiment, type Figure, judge, type Setting } from "../experiment.ts";
import { inTime, perSecond } from "../measures.ts";
import { DEVICE, layIsolated, layPlain, MANAGED_SHARE, TO } from "../path.ts";
import type { Plan, StreamPlan } from "../sender.ts";
import { findVideo, packetsOf, type Video } from "../video.ts";
import { runVideo, type StreamRun } from "../videorun.ts";

const LATENCY_MS = 250;
/** What the three ask of the link, by its rate: the first at which the managed ones fit. */
const OVERLOADS = [1.25, 1.2, 1.15, 1.1, 1.05];
/** Of what is the managed streams', which leaves a little for this machine. */
const USED_SHARE = 0.98;
/** What `host: "isolated"` leaves to best effort at the least: 1/16, less a packet in a second. */
const BEST_EFFORT_SHARE = 0.06;
const STREAMS = [
  { name: "managed, 20 frames/s", fps: 20, managed: true },
  { name: "managed, 15 frames/s", fps: 15, managed: true },
  { name: "unmanaged, 20 frames/s", fps: 20, managed: false },
];
const FPS_SHOWN_MAX = 30;
const CONDITIONS = ["none of them managed", "two of them managed"] as const;

export const mixture: Experiment = {
  name: "mixture",
  title: "Two managed streams and an unmanaged one on an overloaded link",
  reproduces: "Figure 6 of the paper: what best effort keeps beside managed streams.",
  seconds: (setting) => CONDITIONS.length * (lengthOf(setting) + 4),
  async run(setting) {
    const video = await findVideo(setting.film);
    const rate = await rateFor(video, setting);
    const runs: StreamRun[][] = [];
    for (const condition of CONDITIONS) {
      const left = (CONDITIONS.length - runs.length) * (lengthOf(setting) + 4);
      setting.progress(condition, left);
      runs.push(await runOnce(condition === "two of them managed", video, rate, setting));
    }
    return [figureOf(runs, video, rate, setting)];
  },
};

/**
 * The lowest of some rates at which all overload the link and the managed streams fit what is theirs
 * of it, as the same scheduler finds in virtual time; if there is none, what the three ask for.
 */
async function rateFor(video: Video, setting: Setting): Promise<number> {
  const demand = demandOf(video.bytes.mean);
  const seconds = lengthOf(setting);
  const streams = await Promise.all(
    STREAMS.filter(({ managed }) => managed).map(async ({ fps }) => ({
      fps,
      frames: await packetsOf(video, { fps, seconds, latency: LATENCY_MS }),
    })),
  );
  for (const overload of OVERLOADS) {
    using link = new VirtualLink({
      scheduler: "dwcs",
      rate: demand / overload * MANAGED_SHARE * USED_SHARE,
    });
    const due = streams.flatMap(({ fps, frames }) => {
      const stream = link.open({ ipg: 1000 / fps, ...video.window });
      return frames.map(({ packets, sent }) => ({ stream, packets, at: sent.dts }));
    }).toSorted((a, b) => a.at - b.at);
    for (const { stream, packets, at } of due) {
      for (const { data, ...options } of packets.messages) {
        stream.send(data.length, { ...options, deadline: LATENCY_MS }, at);
      }
    }
    const events = link.run((seconds + 1) * 1000);
    if (events.every(({ outcome }) => outcome === "sent")) return demand / overload;
  }
  return demand;
}

function demandOf(frameBytes: number): number {
  return STREAMS.reduce((sum, { fps }) => sum + fps * frameBytes, 0);
}

function lengthOf({ quick }: Setting): number {
  return quick ? 5 : 60;
}

async function runOnce(
  managed: boolean,
  video: Video,
  rate: number,
  setting: Setting,
): Promise<StreamRun[]> {
  if (managed) layIsolated("dwcs", rate);
  else layPlain(rate);
  const streams = STREAMS.map(({ fps, managed: asked }, i): StreamPlan => ({
    video,
    fps,
    way: managed && asked ? "managed" : "plain",
    port: 5004 + 2 * i,
    latency: LATENCY_MS,
  }));
  const plan = (streams: StreamPlan[], managed: boolean): Plan => ({
    host: TO,
    seconds: lengthOf(setting),
    link: managed ? { device: DEVICE } : null,
    streams,
  });
  const plans = [plan(streams.slice(0, 2), managed), plan(streams.slice(2), false)];
  return (await runVideo({ ...setting, idler: null, plans, bursts: [] })).streams;
}

/** Whole frames, in time or not, in the second in which they arrived. */
function arrivedPerSecond({ fates }: StreamRun, seconds: number): [number, number][] {
  const counts = new Array<number>(seconds).fill(0);
  for (const { dts, delay } of fates) {
    if (delay === null) continue;
    const second = Math.floor((dts + delay) / 1000);
    if (second < seconds) counts[second] += 1;
  }
  return [...counts.map((count, i): [number, number] => [i, count]), [seconds, counts.at(-1)!]];
}

function figureOf(runs: StreamRun[][], video: Video, rate: number, setting: Setting): Figure {
  const seconds = lengthOf(setting);
  const [before, after] = runs;
  const worst = (run: StreamRun, fps: number) =>
    100 * Math.min(...perSecond(run.fates, seconds, inTime)) / fps;
  // The first second begins with an empty link and the last may be cut off.
  const shares = after[2].bytesPerSecond.slice(1, -1).map((bytes) => 100 * bytes / rate);
  const mbit = (bytes: number) => (bytes * 8 / 1e6).toFixed(2);
  return {
    figure: "Figure 6",
    title: "Frame rates of two managed streams and a best-effort one",
    paper:
      "The managed streams keep their rates on an overloaded link, and the best-effort one is not starved.",
    found: `In the worst second ${worst(after[0], 20).toFixed(0)} % and ${
      worst(after[1], 15).toFixed(0)
    } % of the managed frames came in time (not managed: ${worst(before[0], 20).toFixed(0)} % and ${
      worst(before[1], 15).toFixed(0)
    } %), and best effort had ${Math.min(...shares).toFixed(1)} % of the link at the least.`,
    facts: [
      "Whole frames in the second in which they arrived, in time or not. In time is within " +
      `${LATENCY_MS} ms of when a frame was due.`,
      `Video: ${video.about}; three times, at 20, 15 and 20 frames/s, begun at once. The third is ` +
      "a program of its own, and sends with node:dgram in either run.",
      `Link: ${mbit(rate)} Mbit/s, of which the three ask ` +
      `${(demandOf(video.bytes.mean) / rate).toFixed(2)} times on average: of ${
        OVERLOADS.join(", ")
      } the first at which the managed two fit ` +
      "what is theirs, as the same scheduler finds beforehand in virtual time. Managed: prepared " +
      "for all programs (isolated), scheduler dwcs. Not managed: an HTB and a device's usual queue.",
    ],
    panels: runs.map((run, i) => ({
      title: `Whole frames that arrived, late ones included, ${CONDITIONS[i]}`,
      x: "time, s",
      y: "frames/s",
      yMin: 0,
      yMax: FPS_SHOWN_MAX,
      xMax: seconds,
      height: 200,
      series: run.map((stream, j) => ({
        name: i === 0
          ? STREAMS[j].name.replace(/^managed/, "unmanaged") + ` (${j + 1})`
          : STREAMS[j].name,
        as: "step" as const,
        points: arrivedPerSecond(stream, seconds),
      })),
    })),
    tables: runs.map((run, i) => ({
      title: `Frames, ${CONDITIONS[i]}`,
      head: ["", "sent", "in time", "late", "partial", "lost", "received, Mbit/s"],
      rows: run.map(({ fates, bytesPerSecond }, j) => [
        i === 0 ? `stream ${j + 1}, ${STREAMS[j].fps} frames/s` : STREAMS[j].name,
        `${fates.length}`,
        ...(["in time", "late", "partial", "lost"] as const).map((what) =>
          `${fates.filter(({ fate }) => fate === what).length}`
        ),
        mbit(bytesPerSecond.reduce((sum, bytes) => sum + bytes, 0) / seconds),
      ]),
    })),
    aims: [
      judge(
        "frames in time, every second, managed at 20",
        worst(after[0], 20),
        { atLeast: 99 },
        "%",
      ),
      judge(
        "frames in time, every second, managed at 15",
        worst(after[1], 15),
        { atLeast: 99 },
        "%",
      ),
      judge(
        "the worst of the same two, not managed (the link is overloaded)",
        Math.min(worst(before[0], 20), worst(before[1], 15)),
        { atMost: 50 },
        "%",
      ),
      judge(
        "best effort's share of the link, worst second (not starved)",
        Math.min(...shares),
        { atLeast: 100 * BEST_EFFORT_SHARE },
        "%",
      ),
    ],
  };
}
