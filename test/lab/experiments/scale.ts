// Scale: 10 to 5,000 paced streams from one program, managed and with plain sockets and timers of
// JavaScript: what a stream costs, how evenly it comes, and how many of its messages are late.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../../../mod.ts";
import { readArrivals } from "../arrivals.ts";
import { hurry, startProgram, startReceiver } from "../children.ts";
import { type Experiment, type Figure, judge, type Series, type Setting } from "../experiment.ts";
import {
  deadlineOf,
  DEADLINES_MS,
  type ManyPlan,
  type ManySent,
  MESSAGE_BYTES,
  PERIOD_MS,
  TICK_MS,
} from "../manystreams.ts";
import { quantile } from "../measures.ts";
import { HEADERS_BYTES, layPlain, RATE, TO } from "../path.ts";

const PORT = 5004;
/** Of the link, that all streams together ask for. */
const LOAD = 0.8;
/** Of the link: the library counts no Ethernet headers, which of small messages are 3 %. */
const OWN_SHARE = 0.95;
const LEAD_MS = 300;
const SETTLE_MS = 600;

const WAYS = [
  { name: "managed, one timer", managed: true, timers: "one" },
  { name: "managed, a timer each", managed: true, timers: "each" },
  { name: "node:dgram, one timer", managed: false, timers: "one" },
  { name: "node:dgram, a timer each", managed: false, timers: "each" },
] as const;
type Way = typeof WAYS[number];

/** One run. */
interface Cell {
  way: string;
  streams: number;
  /** Processor time by wall time, in percent of one core. */
  cpu: number;
  /** By how much the spacing of a stream's messages differs from its period, ms. */
  error: { p50: number; p99: number };
  messages: number;
  late: number;
  lost: number;
}

export const scale: Experiment = {
  name: "scale",
  title: "Many streams from one program",
  reproduces: "How many paced streams one program can have, beside timers of JavaScript.",
  seconds: (setting) => WAYS.length * countsOf(setting).length * (lengthOf(setting) + 3),
  async run(setting) {
    const cells: Cell[] = [];
    const counts = countsOf(setting);
    for (const streams of counts) {
      for (const way of WAYS) {
        const left = WAYS.length * counts.length - cells.length;
        setting.progress(`${streams} streams, ${way.name}`, left * (lengthOf(setting) + 3));
        cells.push(await runOnce(way, streams, setting));
      }
    }
    return [figureOf(cells, setting)];
  },
};

function countsOf({ quick }: Setting): number[] {
  return quick ? [1000] : [10, 100, 1000, 5000];
}

function lengthOf({ quick }: Setting): number {
  return quick ? 2 : 15;
}

async function runOnce(way: Way, streams: number, setting: Setting): Promise<Cell> {
  const seconds = lengthOf(setting);
  const demand = streams * (MESSAGE_BYTES + HEADERS_BYTES) * 1000 / PERIOD_MS;
  const rate = Math.max(RATE, demand / LOAD);
  layPlain(rate);
  const file = join(setting.scratch, "arrivals");
  const plan: ManyPlan = {
    host: TO,
    port: PORT,
    streams,
    seconds,
    seed: setting.seed,
    rate: way.managed ? OWN_SHARE * rate : null,
    timers: way.timers,
  };
  await using receiver = await startReceiver(setting.receiver, file, [PORT]);
  await using sender = await startProgram("./manystreams.ts", [JSON.stringify(plan)]);
  hurry(sender);
  sender.say(String(monotonic() + LEAD_MS));
  const sent: ManySent = JSON.parse(await sender.line((seconds + 60) * 1000));
  await sleep(SETTLE_MS);
  await receiver.finish();
  const last = new Map<number, { number: number; at: number }>();
  const errors: number[] = [];
  let [came, late] = [0, 0];
  for (const { at, data } of readArrivals(file).get(PORT) ?? []) {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const [stream, number] = [view.getUint32(0, true), view.getUint32(4, true)];
    const before = last.get(stream);
    if (before?.number === number - 1) errors.push(Math.abs(at - before.at - PERIOD_MS));
    last.set(stream, { number, at });
    came += 1;
    if (at > view.getFloat64(8, true) + deadlineOf(stream)) late += 1;
  }
  return {
    way: way.name,
    streams,
    cpu: sent.cpuMs / (seconds * 10),
    error: { p50: quantile(errors, 0.5), p99: quantile(errors, 0.99) },
    messages: sent.messages,
    late,
    lost: sent.messages - came,
  };
}

function figureOf(cells: readonly Cell[], setting: Setting): Figure {
  const counts = countsOf(setting);
  const cell = (way: string, streams: number) =>
    cells.find((it) => it.way === way && it.streams === streams)!;
  const panel = (title: string, y: string, value: (cell: Cell) => number, log = false) => ({
    title,
    x: "streams",
    y,
    log,
    categories: counts.map(String),
    height: 180,
    series: WAYS.map(({ name }): Series => ({
      name,
      as: "bars",
      points: counts.map((streams, i) => [i, value(cell(name, streams))]),
    })),
  });
  const [MANAGED, PLAIN] = ["managed, one timer", "node:dgram, one timer"];
  const cheaper = counts.filter((streams) => cell(PLAIN, streams).cpu < cell(MANAGED, streams).cpu);
  const thousand = cell(MANAGED, 1000);
  return {
    figure: "Scale",
    title: "Paced streams of one program",
    found: `1000 streams take ${thousand.cpu.toFixed(0)} % of a core, managed, with ${
      thousand.late + thousand.lost
    } of ${thousand.messages} messages late or lost; by ${PLAIN} ${
      cell(PLAIN, 1000).cpu.toFixed(0)
    } %, with ${cell(PLAIN, 1000).late + cell(PLAIN, 1000).lost}.`,
    facts: [
      `Each stream has a socket, and sends ${MESSAGE_BYTES} bytes every ${PERIOD_MS} ms at a phase of ` +
      `its own, for ${lengthOf(setting)} s. Every other one's messages must arrive within ` +
      `${DEADLINES_MS[0]} ms of when they were due, the rest within ${DEADLINES_MS[1]} ms.`,
      `Link: an HTB whose rate is what they ask for together by ${LOAD}, and ` +
      `${(RATE * 8 / 1e6).toFixed(0)} Mbit/s at least.`,
      `Managed: scheduler edf, above the stack, at ${OWN_SHARE} times the link's rate. One timer: ` +
      `every ${TICK_MS} ms the program hands over what is due. A timer each: setTimeout for every ` +
      "message.",
      "node:dgram with one timer sends at once what is due, " +
      "and so at those moments; a managed link then spreads it at its rate.",
      "Pacing error: by how much the spacing of a stream's messages at the receiver differs from its " +
      "period. Processor time is all of the sending program's, the link's thread included.",
      ...(cheaper.length === 0 ? [] : [
        `With one timer, plain sockets cost less at ${
          cheaper.join(", ")
        } streams: the link's thread wakes up for what ` +
        "leaves, beside the program itself.",
      ]),
    ],
    panels: [
      panel("Processor time of the program", "% of one core", ({ cpu }) => Number(cpu.toFixed(2))),
      panel("Pacing error, p99", "ms", ({ error }) => Number(error.p99.toFixed(3))),
    ],
    tables: [{
      title: "Streams",
      head: [
        "",
        "streams",
        "% of a core",
        "µs a stream and second",
        "pacing error p50, ms",
        "p99, ms",
        "messages",
        "late",
        "lost",
      ],
      rows: counts.flatMap((streams) =>
        WAYS.map(({ name }) => {
          const { cpu, error, messages, late, lost } = cell(name, streams);
          return [
            name,
            `${streams}`,
            cpu.toFixed(1),
            (cpu * 1e4 / streams).toFixed(0),
            error.p50.toFixed(2),
            error.p99.toFixed(2),
            `${messages}`,
            `${late}`,
            `${lost}`,
          ];
        })
      ),
    }],
    aims: [
      judge("1000 managed streams, processor time", thousand.cpu, { atMost: 100 }, "% of one core"),
      judge(
        "1000 managed streams, late or lost",
        100 * (thousand.late + thousand.lost) / thousand.messages,
        { atMost: 0 },
        "%",
      ),
    ],
  };
}
