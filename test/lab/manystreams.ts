// Many small paced streams of one program: each has a socket of its own and sends a message every
// `PERIOD_MS`, at phases of its own.
//
//     manystreams.ts PLAN       a JSON text, `ManyPlan`
//     stdout  ready             when all sockets are open
//     stdin   12345.6           when to begin, on `monotonic()`
//     stdout  {...}             `ManySent`; then it ends
//
// A message begins with its stream's number (u32), its own (u32), and when it was due (f64, ms on
// `monotonic()`), in little-endian order.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonic, QError, qsockinit } from "../../mod.ts";
import { mulberry32 } from "../../examples/demo/bulk.ts";

export const PERIOD_MS = 200;
export const MESSAGE_BYTES = 400;
/** Of the streams in turn: half of them are urgent. */
export const DEADLINES_MS = [20, 200] as const;
/** How often a program with one timer looks which streams are due. */
export const TICK_MS = 5;

export interface ManyPlan {
  host: string;
  port: number;
  streams: number;
  seconds: number;
  seed: number;
  /** Of the managed link, bytes per second; null: node:dgram. */
  rate: number | null;
  /** One timer for all streams, or one each. */
  timers: "each" | "one";
}

export interface ManySent {
  messages: number;
  /** Refused by the link, or by the socket. */
  refused: number;
  /** Processor time while it sent, ms. */
  cpuMs: number;
}

type Send = (data: Uint8Array, deadlineAt: number) => void;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const plan: ManyPlan = JSON.parse(process.argv[2]);
  const outlets = plan.rate === null ? await plain(plan) : managed(plan, plan.rate);
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log("ready");
  const { value } = await input.next();
  const before = process.cpuUsage();
  const messages = await send(plan, Number(value), outlets.sends);
  const { user, system } = process.cpuUsage(before);
  const sent: ManySent = {
    messages,
    refused: outlets.refused(),
    cpuMs: (user + system) / 1000,
  };
  process.stdout.write(`${JSON.stringify(sent)}\n`, () => process.exit());
}

/** Sends until the time is over; returns how many messages that were. */
async function send(plan: ManyPlan, start: number, sends: readonly Send[]): Promise<number> {
  const random = mulberry32(plan.seed);
  const phases = sends.map(() => random() * PERIOD_MS);
  const numbers = new Uint32Array(sends.length);
  const end = start + plan.seconds * 1000;
  const buffer = new Uint8Array(MESSAGE_BYTES);
  const view = new DataView(buffer.buffer);
  let messages = 0;
  const dueOf = (stream: number) => start + phases[stream] + numbers[stream] * PERIOD_MS;
  const sendOne = (stream: number) => {
    const due = dueOf(stream);
    view.setUint32(0, stream, true);
    view.setUint32(4, numbers[stream]++, true);
    view.setFloat64(8, due, true);
    // A plain socket keeps what it is given until it has sent it.
    sends[stream](plan.rate === null ? buffer.slice() : buffer, due + deadlineOf(stream));
    messages += 1;
  };
  const arm = (stream: number) => {
    if (dueOf(stream) >= end) return;
    setTimeout(() => {
      sendOne(stream);
      arm(stream);
    }, Math.max(0, dueOf(stream) - monotonic()));
  };
  let ticking: ReturnType<typeof setInterval> | undefined;
  if (plan.timers === "each") sends.forEach((_, stream) => arm(stream));
  else {
    const order = phases.map((_, stream) => stream).toSorted((a, b) => phases[a] - phases[b]);
    let next = 0; // in this order the streams are due, again and again
    ticking = setInterval(() => {
      const until = Math.min(end, monotonic());
      while (dueOf(order[next]) < until) {
        sendOne(order[next]);
        next = (next + 1) % order.length;
      }
    }, TICK_MS);
  }
  await sleep(end - monotonic() + Math.max(...DEADLINES_MS));
  clearInterval(ticking);
  return messages;
}

export function deadlineOf(stream: number): number {
  return DEADLINES_MS[stream % DEADLINES_MS.length];
}

function managed({ host, port, streams }: ManyPlan, rate: number) {
  const link = qsockinit({ rate, streams, scheduler: "edf", admission: "off" });
  let refused = 0;
  const sends = Array.from({ length: streams }, (): Send => {
    const socket = link.open({ to: { hostname: host, port }, ipg: PERIOD_MS });
    return (data, deadlineAt) => {
      try {
        socket.send(data, { deadlineAt });
      } catch (error) {
        if (!(error instanceof QError && ["ENOBUFS", "ETIME"].includes(error.code))) throw error;
        refused += 1;
      }
    };
  });
  return { sends, refused: () => refused };
}

async function plain({ host, port, streams }: ManyPlan) {
  let refused = 0;
  const sends: Send[] = [];
  for (let stream = 0; stream < streams; stream++) {
    const socket = createSocket("udp4");
    socket.connect(port, host);
    await once(socket, "connect");
    sends.push((data) => socket.send(data, (error) => error && (refused += 1)));
  }
  return { sends, refused: () => refused };
}
