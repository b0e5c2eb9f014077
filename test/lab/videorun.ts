// One run of senders over a path that has been laid: starts the receiver and the senders, lets them
// begin at one moment, and judges every frame by what the receiver wrote down.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../../mod.ts";
import { type Fate, judge } from "../../examples/demo/measure.ts";
import { type Datagram, readArrivals, reassemble } from "./arrivals.ts";
import { Child, hurry, type startProgram, startPrograms, startReceiver } from "./children.ts";
import { HEADERS_BYTES, TO } from "./path.ts";
import type { Plan, Sending } from "./sender.ts";
import type { LabFrame } from "./video.ts";

const CONNECTIONS = 16;
const PROCESSES = 2;
/** From when all are ready to the first frame. */
const LEAD_MS = 200;
/** What the link's queue holds may be under way for so long after the last was sent. */
const SETTLE_MS = 1500;
const GRACE_MS = 30_000;

/** What disturbs, in a sentence. */
export const BULK_ABOUT = `${PROCESSES} other processes with ${CONNECTIONS} TCP connections each`;

/** From the first frame until all was sent, ms, and of that when the processor had something to do. */
export interface Busy {
  wallMs: number;
  busyMs: number;
}

/** What became of one stream. */
export interface StreamRun {
  frames: LabFrame[];
  fates: Fate[];
  /** Bytes that arrived in each second, with all headers. */
  bytesPerSecond: number[];
  sending: Sending["streams"][number];
}

export interface VideoRun {
  /** The streams of all senders, in the order of the plans. */
  streams: StreamRun[];
  senders: Omit<Sending, "streams">[];
  bulkBytes: number;
  /** How long the machine was busy while the senders were at it, where that was asked for. */
  busy: Busy | null;
}

/** Runs the plans at once, with bulk transfer in the `bursts` (seconds, from and to). */
export async function runVideo(
  { plans, bursts, scratch, receiver: program, idler: idlerProgram = null }: {
    plans: readonly Plan[];
    bursts: readonly (readonly [from: number, to: number])[];
    scratch: string;
    receiver: string;
    /** Counts how busy the machine is, if it has one processor: idler.c, compiled. */
    idler?: string | null;
  },
): Promise<VideoRun> {
  const file = join(scratch, "arrivals");
  const streams = plans.flatMap((plan) => plan.streams);
  const seconds = Math.max(...plans.map((plan) => plan.seconds));
  await using children = new AsyncDisposableStack();
  const receiver = children.use(
    await startReceiver(program, file, streams.map(({ port }) => port)),
  );
  const bulk = children.use(await startBulk(bursts.length > 0));
  const senders = await startPrograms(
    children,
    plans.map((plan) => ["./sender.ts", [JSON.stringify(plan)]]),
  );
  senders.forEach(hurry);
  const idler = idlerProgram === null ? null : children.use(new Child([idlerProgram]));
  await idler?.line();
  const start = monotonic() + LEAD_MS;
  idler?.say("begin");
  senders.forEach((sender) => sender.say(String(start)));
  await bulk.disturb(start, bursts);
  const sendings: Sending[] = [];
  for (const sender of senders) {
    sendings.push(JSON.parse(await sender.line(seconds * 1000 + GRACE_MS)));
  }
  idler?.say("end");
  const busy: Busy | null = idler && JSON.parse(await idler.line());
  await sleep(SETTLE_MS);
  await receiver.finish();
  const bulkBytes = await bulk.finish();
  const arrivals = readArrivals(file);
  const all = sendings.flatMap((sending) => sending.streams);
  return {
    streams: all.map((sending, i) => {
      const { port, video } = streams[i];
      const datagrams = arrivals.get(port) ?? [];
      const received = { ...reassemble(datagrams, video.format, start), bulk: [], stall: 0 };
      return {
        frames: sending.sent,
        fates: judge({ sent: sending.sent, received }),
        bytesPerSecond: bytesPerSecond(datagrams, start, seconds),
        sending,
      };
    }),
    senders: sendings.map(({ streams: _, ...sender }) => sender),
    bulkBytes,
    busy,
  };
}

/** Starts the processes that disturb, or none, and what takes their bytes at the far end. */
export async function startBulk(any: boolean) {
  await using starting = new AsyncDisposableStack();
  const programs = any
    ? await startPrograms(starting, [
      ["../net/sink.mjs", [], { far: true }],
      ...Array.from({ length: PROCESSES }, (): Parameters<typeof startProgram> => [
        "./bulk.mjs",
        [TO, String(CONNECTIONS)],
      ]),
    ])
    : [];
  const [sink = null, ...bulk] = programs;
  const children = starting.move();
  return {
    /** Disturbs in the bursts (s, from and to) after `start`, a moment of `monotonic()`. */
    async disturb(start: number, bursts: readonly (readonly [from: number, to: number])[]) {
      for (const [from, to] of any ? bursts : []) {
        for (const [at, word] of [[from, "on"], [to, "off"]] as const) {
          await sleep(Math.max(0, start + at * 1000 - monotonic()));
          bulk.forEach((child) => child.say(word));
        }
      }
    },
    /** The bytes that arrived. */
    finish: async () => sink === null ? 0 : Number(await sink.finish()),
    [Symbol.asyncDispose]: () => children.disposeAsync(),
  };
}

function bytesPerSecond(datagrams: readonly Datagram[], start: number, seconds: number): number[] {
  const sums = new Array<number>(Math.ceil(seconds)).fill(0);
  for (const { at, data } of datagrams) {
    const second = Math.floor((at - start) / 1000);
    if (second >= 0 && second < sums.length) sums[second] += data.length + HEADERS_BYTES;
  }
  return sums;
}
