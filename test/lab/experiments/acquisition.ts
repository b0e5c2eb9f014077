// Figure 7: remote data acquisition. Samples come at random moments with random deadlines, and ask for
// more than the link has. How many are late and how many lost, by the way in which they are sent.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sending } from "../../../examples/sensors/publish.ts";
import { readSample } from "../../../examples/sensors/sample.ts";
import { type Arrival, arrivals, type Traffic } from "../../../examples/sensors/traffic.ts";
import { readArrivals } from "../arrivals.ts";
import { hurry, startProgram, startReceiver } from "../children.ts";
import { type Experiment, type Figure, judge, type Series, type Setting } from "../experiment.ts";
import { median } from "../measures.ts";
import { layPlain, RATE, TO } from "../path.ts";
import type { SamplerPlan } from "../sampler.ts";

const PORT = 5004;
const INTERVAL_S = 5;
const LOAD = 1.2;
const SIZES = [100, 1200] as const;
const DEADLINES_MS = [20, 400] as const;
const SENSORS = 8;
/**
 * So much before it is due a sample must have left: for the link itself (1 ms), the burst that its HTB
 * owes (2.4 ms), and for a machine that wakes a thread late.
 */
const MARGIN_MS = 6;
/** A link of the program's own, slower than the device's by the Ethernet headers of small samples. */
const OWN_SHARE = 0.95;
const OWN_RATE = OWN_SHARE * RATE;
const SETTLE_MS = 2500; // 1000 packets of the largest size take 1 s, what is queued in a link longer

const WAYS = ["edf", "edf-lossless", "plain", "none"] as const satisfies Sending[];
type Way = typeof WAYS[number];
const NAMES: Record<Way, string> = {
  edf: "lossy EDF",
  "edf-lossless": "lossless EDF",
  plain: "first come, first served, 1000 places",
  none: "unmanaged (node:dgram)",
};

/** What became of the samples of one way, by interval. */
interface Run {
  way: Way;
  samples: number[];
  late: number[];
  lost: number[];
  delays: number[];
  /** By how much the latest was late, ms. */
  lateBy: number;
}

export const acquisition: Experiment = {
  name: "acquisition",
  title: "Remote data acquisition",
  reproduces: "Figure 7 of the paper: late and lost samples under lossy EDF, lossless EDF, and " +
    "without management.",
  seconds: (setting) => WAYS.length * (lengthOf(setting) + 5),
  async run(setting) {
    const runs: Run[] = [];
    for (const way of WAYS) {
      setting.progress(NAMES[way], (WAYS.length - runs.length) * (lengthOf(setting) + 5));
      runs.push(await runOnce(way, setting));
    }
    return [figureOf(runs, setting)];
  },
};

function lengthOf({ quick }: Setting): number {
  return quick ? 5 : 60;
}

function trafficOf({ seed }: Setting): Traffic {
  const load = LOAD * RATE / OWN_RATE; // of the link itself it is LOAD
  return { seed, sensors: SENSORS, rate: OWN_RATE, load, sizes: SIZES, deadlines: DEADLINES_MS };
}

/** All samples of a run, with the numbers that their sensors give them. */
function samplesOf(setting: Setting): (Arrival & { key: string })[] {
  const numbers = new Array<number>(SENSORS).fill(0);
  const all: (Arrival & { key: string })[] = [];
  for (const arrival of arrivals(trafficOf(setting))) {
    if (arrival.at >= lengthOf(setting) * 1000) return all;
    all.push({ ...arrival, key: `${arrival.sensor} ${numbers[arrival.sensor]++}` });
  }
  return all;
}

async function runOnce(way: Way, setting: Setting): Promise<Run> {
  const seconds = lengthOf(setting);
  layPlain();
  const file = join(setting.scratch, "arrivals");
  const plan: SamplerPlan = {
    ...trafficOf(setting),
    sending: way,
    to: { hostname: TO, port: PORT },
    seconds,
    margin: MARGIN_MS,
  };
  await using receiver = await startReceiver(setting.receiver, file, [PORT]);
  await using sampler = await startProgram("./sampler.ts", [JSON.stringify(plan)]);
  hurry(sampler);
  sampler.say("begin");
  const { samples } = JSON.parse(await sampler.line((seconds + 60) * 1000));
  await sleep(SETTLE_MS);
  await receiver.finish();
  const came = new Map<string, { lateBy: number; delay: number }>();
  for (const { at, data } of readArrivals(file).get(PORT) ?? []) {
    const sample = readSample(data);
    if (sample?.kind !== "sample") continue;
    const { sensor, number, due, sent } = sample;
    came.set(`${sensor} ${number}`, { lateBy: at - due, delay: at - sent });
  }
  const planned = samplesOf(setting);
  if (samples !== planned.length) {
    throw new Error(`${samples} samples were published, not the ${planned.length} of the plan`);
  }
  const empty = () => new Array<number>(seconds / INTERVAL_S).fill(0);
  const run: Run = { way, samples: empty(), late: empty(), lost: empty(), delays: [], lateBy: 0 };
  for (const { at, key } of planned) {
    const interval = Math.floor(at / 1000 / INTERVAL_S);
    const fate = came.get(key);
    run.samples[interval] += 1;
    if (!fate) {
      run.lost[interval] += 1;
      continue;
    }
    run.delays.push(fate.delay);
    run.lateBy = Math.max(run.lateBy, fate.lateBy);
    if (fate.lateBy > 0) run.late[interval] += 1;
  }
  return run;
}

function figureOf(runs: readonly Run[], setting: Setting): Figure {
  const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
  const of = (way: Way) => runs.find((run) => run.way === way)!;
  const useless = (way: Way) => total(of(way).late) + total(of(way).lost);
  const fewer = runs.filter(({ lost }) => total(lost) < total(of("edf").lost))
    .map(({ way }) => NAMES[way]);
  const seconds = lengthOf(setting);
  const intervals = of("edf").samples.map((_, i) => `${i * INTERVAL_S}-${(i + 1) * INTERVAL_S}`);
  const panel = (title: string, count: (run: Run, interval: number) => number) => ({
    title,
    x: "time, s",
    y: `samples in ${INTERVAL_S} s`,
    categories: intervals,
    height: 160,
    series: runs.map((run): Series => ({
      name: NAMES[run.way],
      as: "bars",
      points: intervals.map((_, i) => [i, count(run, i)]),
    })),
  });
  return {
    figure: "Figure 7",
    title: "Late and lost samples",
    paper:
      "Lossy EDF ends with no late sample, and with fewer lost than lossless EDF and unmanaged.",
    found: `Of ${total(of("edf").samples)} samples ${
      runs.map((run) => `${total(run.late)} late and ${total(run.lost)} lost, ${NAMES[run.way]}`)
        .join("; ")
    }.`,
    facts: [
      `Samples of ${SENSORS} sensors, Poisson arrivals, ${SIZES[0]} to ${
        SIZES[1]
      } bytes, each with ` +
      `a deadline of its own: half to one and a half of its sensor's, which are ${
        DEADLINES_MS[0]
      } ` +
      `to ${
        DEADLINES_MS[1]
      } ms. They ask for ${LOAD} times the link, all the time. The same ones ` +
      `each time.`,
      `Link: ${
        (RATE * 8 / 1e6).toFixed(0)
      } Mbit/s, an HTB and a device's usual queue. Managed: in ` +
      `the program itself (above), at ${OWN_SHARE} times the rate, and with ${MARGIN_MS} ms of each deadline ` +
      "set aside for the way.",
      "First come, first served: as a device's own queue serves, in the place of which it stands; what " +
      "finds it full is lost. node:dgram loses nothing: where the kernel takes no more, it waits in the program.",
      "A deadline counts from when the sample was to be taken, even if the program was late itself.",
      "Late: arrived after its deadline. Lost: did not arrive. A sample that is late is worth as " +
      "little as one that is lost.",
      "Intervals are those in which samples were published.",
      ...(fewer.length === 0 ? [] : [
        `Counted by loss alone ${
          fewer.join(" and ")
        } lost fewer than lossy EDF, other than in the ` +
        "paper: what they do not lose they bring too late. The aims count either.",
      ]),
    ],
    panels: [
      panel("Late samples", ({ late }, i) => late[i]),
      panel("Lost samples", ({ lost }, i) => lost[i]),
      panel("Late or lost", ({ late, lost }, i) => late[i] + lost[i]),
    ],
    tables: [{
      title: `Samples of ${seconds} s`,
      head: [
        "",
        "published",
        "in time",
        "late",
        "by at most, ms",
        "lost",
        "of use, %",
        "median delay, ms",
      ],
      rows: runs.map((run) => {
        const [all, late, lost] = [total(run.samples), total(run.late), total(run.lost)];
        const inTime = all - late - lost;
        return [
          NAMES[run.way],
          `${all}`,
          `${inTime}`,
          `${late}`,
          run.lateBy.toFixed(1),
          `${lost}`,
          (100 * inTime / all).toFixed(1),
          median(run.delays).toFixed(1),
        ];
      }),
    }],
    aims: [
      judge("late samples, lossy EDF", total(of("edf").late), { atMost: 0 }),
      ...(["edf-lossless", "plain", "none"] as const).flatMap((way) => [
        judge(`samples lost, lossy EDF; ${NAMES[way]} is the bound`, total(of("edf").lost), {
          below: total(of(way).lost),
        }),
        judge(`samples late or lost, lossy EDF; ${NAMES[way]} is the bound`, useless("edf"), {
          below: useless(way),
        }),
      ]),
    ],
  };
}
