// What a user would pick instead: the same video over the same link by each of the ways there are,
// with more and more of the link asked for, alone and beside bulk transfer, judged by one receiver.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../../../mod.ts";
import { readArrivals } from "../arrivals.ts";
import { hurry, startProgram, startReceiver } from "../children.ts";
import { type Experiment, type Figure, judge, type Series, type Setting } from "../experiment.ts";
import { FOREIGN } from "../foreign.ts";
import { DEVICE, layClassed, layIsolated, layPlain, TO } from "../path.ts";
import {
  type Packing,
  PSNR_MOST,
  type Quality,
  qualityOf,
  type Source,
  sourceOf,
} from "../quality.ts";
import type { Plan } from "../sender.ts";
import { findVideo, type Video } from "../video.ts";
import { BULK_ABOUT, startBulk } from "../videorun.ts";

const PORT = 5004;
/** Of each frame, and of SRT: at twice the link an I frame and the one before take so long. */
const LATENCY_MS = 600;
/** What is left to a sender that keeps everything back for the whole latency. */
const SPENT_SLACK_MS = 100;
/** Of the link, for those who pace themselves. */
const OWN_SHARE = 0.98;
const SETTLE_MS = 1500;

type Starter = (typeof FOREIGN)[number]["start"];

/** A way to send. */
interface Way {
  name: string;
  packing: Packing;
  start: (rate: number) => Starter;
  /** The link, if it is not a plain one. */
  lay?: (rate: number) => void;
  spendsLatency?: boolean;
}

const OURS = "managed, isolated";
const ABOVE = "managed, above";
const WAYS: readonly Way[] = [
  {
    name: OURS,
    packing: "marked",
    lay: (rate) => layIsolated("dwcs", rate),
    start: () => own("managed", { device: DEVICE }),
  },
  {
    name: ABOVE,
    packing: "marked",
    start: (rate) => own("managed", { scheduler: "dwcs", rate: OWN_SHARE * rate }),
  },
  { name: "node:dgram", packing: "marked", start: () => own("plain", null) },
  {
    name: "node:dgram, HTB class",
    packing: "marked",
    lay: (rate) => layClassed(rate, PORT),
    start: () => own("plain", null),
  },
  {
    name: "token bucket",
    packing: "marked",
    start: (rate) => own("bucket", null, OWN_SHARE * rate),
  },
  ...FOREIGN.map(({ start, ...facts }): Way => ({ ...facts, start: () => start })),
];

/** One run. */
interface Cell extends Quality {
  way: string;
  load: number;
  disturbed: boolean;
  /** It still sent when there was nothing more to send for long, and was ended. */
  cutOff: boolean;
  bulkBytes: number;
}

export const alternatives: Experiment = {
  name: "alternatives",
  title: "What a user would pick instead",
  reproduces: "The same video, link, load and receiver for every way of sending that there is.",
  seconds: (setting) => WAYS.length * conditionsOf(setting).length * (lengthOf(setting) + 4) + 3,
  async run(setting) {
    const video = await findVideo(setting.film);
    const seconds = lengthOf(setting);
    const source = await sourceOf(video, seconds);
    const there = WAYS.filter(({ name }) => missing(name) === null);
    const cells: Cell[] = [];
    const conditions = conditionsOf(setting);
    for (const { load, disturbed } of conditions) {
      for (const way of there) {
        const left = there.length * conditions.length - cells.length;
        const how = `${load} times the link${disturbed ? ", bulk transfer" : ""}`;
        setting.progress(`${way.name}, ${how}`, left * (seconds + 4));
        const quality = await runOnce({ way, load, disturbed, video, source }, setting);
        cells.push({ way: way.name, load, disturbed, ...quality });
      }
    }
    return [false, true].filter((it) => conditions.some(({ disturbed }) => disturbed === it))
      .map((it) => figureOf(cells.filter(({ disturbed }) => disturbed === it), it, video, setting));
  },
};

function conditionsOf({ quick }: Setting): { load: number; disturbed: boolean }[] {
  if (quick) return [{ load: 1.5, disturbed: false }];
  return [false, true].flatMap((disturbed) =>
    [0.8, 1, 1.25, 1.5, 2].map((load) => ({ load, disturbed }))
  );
}

function lengthOf({ quick }: Setting): number {
  return quick ? 4 : 10;
}

function missing(name: string): string | null {
  return FOREIGN.find((it) => it.name === name)?.missing() ?? null;
}

/** A sender of ours, or one in JavaScript. */
function own(
  way: "managed" | "plain" | "bucket",
  link: Plan["link"],
  bucketRate?: number,
): Starter {
  return async ({ video, seconds, latency, port, children }) => {
    const stream = { video, way, bucketRate, fps: video.fps, port, latency };
    const plan: Plan = { host: TO, seconds, link, streams: [stream] };
    const child = children.use(await startProgram("./sender.ts", [JSON.stringify(plan)]));
    hurry(child);
    child.say(String(monotonic()));
    return {
      async ended() {
        await child.line(seconds * 1000 + 30_000);
        return { cutOff: false };
      },
    };
  };
}

async function runOnce(
  { way, load, disturbed, video, source }: {
    way: Way;
    load: number;
    disturbed: boolean;
    video: Video;
    source: readonly Source[];
  },
  setting: Setting,
): Promise<Quality & Pick<Cell, "cutOff" | "bulkBytes">> {
  const seconds = lengthOf(setting);
  const rate = demandOf(source, seconds) / load;
  (way.lay ?? layPlain)(rate);
  const file = join(setting.scratch, "arrivals");
  await using children = new AsyncDisposableStack();
  // RTCP goes to the next port, and must not be answered by an error.
  const receiver = children.use(await startReceiver(setting.receiver, file, [PORT, PORT + 1]));
  const bulk = children.use(await startBulk(disturbed));
  const options = {
    video,
    seconds,
    latency: LATENCY_MS,
    rate: OWN_SHARE * rate,
    port: PORT,
    children,
  };
  const sending = await way.start(rate)(options);
  await bulk.disturb(monotonic(), [[seconds / 3, seconds * 2 / 3]]);
  const { cutOff } = await sending.ended();
  await sleep(SETTLE_MS);
  await receiver.finish();
  const bulkBytes = await bulk.finish();
  if (disturbed && bulkBytes === 0) throw new Error("Nothing arrived of the bulk transfer");
  const datagrams = readArrivals(file).get(PORT) ?? [];
  if (datagrams.length === 0) throw new Error(`Of ${way.name} not one datagram arrived`);
  const quality = qualityOf({
    datagrams,
    source,
    video,
    packing: way.packing,
    latency: way.spendsLatency ? SPENT_SLACK_MS : LATENCY_MS,
    scratch: setting.scratch,
  });
  return { ...quality, cutOff, bulkBytes };
}

/** What the video asks of the link, bytes per second, headers included. */
function demandOf(source: readonly Source[], seconds: number): number {
  return source.reduce((sum, { bytes }) => sum + bytes, 0) / seconds;
}

function figureOf(
  cells: readonly Cell[],
  disturbed: boolean,
  video: Video,
  setting: Setting,
): Figure {
  const loads = [...new Set(cells.map(({ load }) => load))];
  const names = [...new Set(cells.map(({ way }) => way))];
  const others = names.filter((name) => !name.startsWith("managed"));
  const cell = (way: string, load: number) =>
    cells.find((it) => it.way === way && it.load === load)!;
  const panel = (title: string, y: string, value: (cell: Cell) => number | null) => ({
    title,
    x: "times the link's rate that the video asks for",
    y,
    categories: loads.map(String),
    height: 200,
    series: names.map((name): Series => ({
      name,
      as: "bars",
      points: loads.map((load, i) => [i, value(cell(name, load))]),
    })),
  });
  const percent = (share: number) => Number((100 * share).toFixed(1));
  const pictures = cells.every(({ psnr }) => psnr !== null);
  const from = loads.filter((load) => load >= 1);
  const best = (load: number, value: (cell: Cell) => number) =>
    others.map((name) => cell(name, load)).toSorted((a, b) => value(b) - value(a))[0];
  /** By how much ours is above the best of the others, at the load where it is least so. */
  const ahead = (value: (cell: Cell) => number) =>
    Math.min(...from.map((load) => value(cell(OURS, load)) - value(best(load, value))));
  const shown = ({ decodable }: Cell) => 100 * decodable;
  const picture = ({ psnr }: Cell) => psnr ?? 0;
  const beaten = (load: number, value: (cell: Cell) => number) => {
    const [ours, theirs] = [value(cell(OURS, load)), best(load, value)];
    return [ours.toFixed(1), `${value(theirs).toFixed(1)} (${theirs.way})`];
  };
  const beatersOf = (ours: string, load: number) =>
    others.filter((name) =>
      [shown, picture].some((value) => value(cell(name, load)) > value(cell(ours, load)))
    );
  /** Why others bring more: the sixteenth, where ours without it is not beaten. */
  const why = (load: number) =>
    beatersOf(ABOVE, load).length > 0
      ? ""
      : " Ours on a prepared device leaves a sixteenth of the link to others, used or not; above, " +
        "where it leaves none, it is not beaten.";
  const cutOff = cells.filter((it) => it.cutOff).map(({ way, load }) => `${way} at ${load}`);
  const beside = disturbed ? "beside bulk transfer" : "alone on the link";
  return {
    figure: disturbed ? "Alternatives, disturbed" : "Alternatives",
    title: `One video by every way of sending, ${beside}`,
    found: `Decodable frames, ours and the best of what is not ours: ${
      loads.map((load) => {
        const [ours, theirs] = beaten(load, shown);
        return `at ${load} times the link ${ours} % and ${theirs.replace(" (", " % (")}`;
      }).join("; ")
    }.`,
    facts: [
      `Video: ${video.about}, ${lengthOf(setting)} s at ${
        video.fps.toFixed(0)
      } frames/s. The link's ` +
      "rate is what the video asks for (mean, headers included) by the load.",
      ...(disturbed
        ? [
          `Bulk transfer: ${BULK_ABOUT}, in the middle third; ${
            (Math.min(...cells.map((it) => it.bulkBytes)) / 1e6).toFixed(1)
          } MB arrived of it at the least.`,
        ]
        : []),
      "One run of each.",
      `In time: whole within ${LATENCY_MS} ms, counted from when the earliest twentieth came, so that no ` +
      "sender pays for its start. SRT has the same as its latency: it hands everything on so long after " +
      `it was sent, and what comes ${SPENT_SLACK_MS} ms later than that is late.`,
      "Decodable: in time, and so is all that it leans on.",
      "PSNR: luma, of what ffmpeg makes of all that came in time, pieces of frames included, beside " +
      `the picture that was sent; a missing picture is the one before, or black. ${PSNR_MOST} dB: no difference.`,
      `Managed, above, the token bucket and SRT (maxbw) are told ${OWN_SHARE} times the link's rate. The token ` +
      "bucket refuses what would have to wait for longer than the receiver does.",
      "node:dgram, ffmpeg and GStreamer do not pace: what the kernel takes no more waits in the program, " +
      `and as long as all of that takes less than ${LATENCY_MS} ms nothing is lost.`,
      "HTB class: node:dgram with a class for its port, made by hand, of the same size as ours has on a " +
      "prepared device, which may borrow the rest.",
      "SRT's sender gives up what is older than a second and no sooner, whatever its latency.",
      ...(cutOff.length === 0 ? [] : [
        `Not done four seconds after the end, and ended then (times the link): ${
          cutOff.join(", ")
        }.`,
      ]),
      ...loads.flatMap((load) => {
        const beaters = beatersOf(OURS, load);
        if (beaters.length === 0) return [];
        const which = beaters.join(" and ");
        return [`At ${load} times the link ${which} brought more than ours, isolated.${why(load)}`];
      }),
      ...WAYS.flatMap(({ name }) => {
        const why = missing(name);
        return why === null ? [] : [`Not measured: ${name}: ${why}.`];
      }),
    ],
    panels: [
      panel("Decodable frames", "% of the source's", (it) => percent(it.decodable)),
      ...(pictures ? [panel("PSNR", "dB", (it) => it.psnr)] : []),
    ],
    tables: [
      {
        title: "Ours (managed, isolated) and the best of what is not ours",
        head: ["times the link", "decodable, %", "best", ...(pictures ? ["PSNR, dB", "best"] : [])],
        rows: loads.map((load) => [
          String(load),
          ...beaten(load, shown),
          ...(pictures ? beaten(load, picture) : []),
        ]),
      },
      ...loads.map((load) => ({
        title: `${load} times the link, ${beside}`,
        head: ["", "whole, %", "in time, %", "decodable, %", "PSNR, dB"],
        rows: names.map((name) => {
          const { whole, inTime, decodable, psnr } = cell(name, load);
          return [
            name,
            ...[whole, inTime, decodable].map((share) => (100 * share).toFixed(1)),
            psnr === null ? "" : psnr.toFixed(1),
          ];
        }),
      })),
    ],
    aims: from.length === 0 ? [] : [
      judge(
        `decodable frames, beyond the best of ${others.length} alternatives, at the worst load from 1.0 on`,
        ahead(shown),
        { above: 0 },
        "%",
      ),
      ...(pictures
        ? [judge("PSNR, beyond the best alternative, the same", ahead(picture), { above: 0 }, "dB")]
        : []),
    ],
  };
}
