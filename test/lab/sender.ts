// Sends video, as one program that has any number of streams: managed ones, which share a link of the
// library's, or plain ones of node:dgram, which send each frame's packets when it is due, or hand them
// to a token bucket (bucket.ts).
//
//     sender.ts PLAN            a JSON text, `Plan`
//     stdout  ready             when all is prepared
//     stdin   12345.6           when to begin, on `monotonic()`
//     stdout  {...}             `Sending`, when all is sent; then it ends
//
// What each stream is due to send is known before, so that nothing is read or parsed meanwhile.

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type FramePackets,
  type LinkOptions,
  monotonic,
  QError,
  qsockinit,
  type SocketInfo,
} from "../../mod.ts";
import { TokenBucket } from "./bucket.ts";
import { type LabFrame, packetsOf, type Video } from "./video.ts";

/** Timers are late by about so much: the rest is waited for without the event loop, to the microsecond. */
const TIMER_MS = 2;
const NEVER = new Int32Array(new SharedArrayBuffer(4)); // changes, and nobody wakes who waits for it

/** One stream of a program. */
export interface StreamPlan {
  video: Pick<Video, "path" | "format" | "fps" | "window">;
  way: "managed" | "plain" | "bucket";
  /** Of a bucket: the rate at which it lets packets go, bytes per second. */
  bucketRate?: number;
  fps: number;
  port: number;
  /** Of each frame, ms. */
  latency: number;
}

/** What a sender is to do. */
export interface Plan {
  host: string;
  seconds: number;
  /** Of the managed streams. */
  link: LinkOptions | null;
  streams: StreamPlan[];
}

/** What became of it, as the sender knows it. */
export interface Sending {
  streams: {
    sent: LabFrame[];
    /** Packets that the socket or the link refused. */
    refused: number;
    info: SocketInfo | null;
  }[];
  /** How late each frame was handed over, ms: this machine's doing. */
  behind: number[];
  /** Processor time of the program while it sent, ms. */
  cpuMs: number;
}

interface Outlet {
  send(packets: FramePackets, deadlineAt: number): void;
  close(): Promise<{ refused: number; info: SocketInfo | null }>;
}

const plan: Plan = JSON.parse(process.argv[2]);
const link = plan.link === null ? null : qsockinit(plan.link);
const streams = await Promise.all(plan.streams.map(async (stream) => ({
  frames: await packetsOf(stream.video, { ...stream, seconds: plan.seconds }),
  outlet: stream.way === "managed" ? managed(stream) : await plain(stream),
  latency: stream.latency,
})));
const due = streams
  .flatMap(({ frames, outlet, latency }) => frames.map((frame) => ({ ...frame, outlet, latency })))
  .toSorted((a, b) => a.sent.dts - b.sent.dts);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log("ready");
const { value } = await input.next();
await send(Number(value));
process.exit();

async function send(start: number): Promise<void> {
  const before = process.cpuUsage();
  const behind: number[] = [];
  for (const { packets, sent, outlet, latency } of due) {
    const at = start + sent.dts;
    await until(at);
    behind.push(monotonic() - at);
    outlet.send(packets, at + latency);
  }
  const ends = await Promise.all(streams.map(({ outlet }) => outlet.close()));
  const { user, system } = process.cpuUsage(before);
  const sending: Sending = {
    streams: streams.map(({ frames }, i) => ({ sent: frames.map(({ sent }) => sent), ...ends[i] })),
    behind,
    cpuMs: (user + system) / 1000,
  };
  await new Promise<void>((resolve) => {
    process.stdout.write(`${JSON.stringify(sending)}\n`, () => resolve());
  });
}

async function until(at: number): Promise<void> {
  const ahead = at - monotonic();
  if (ahead > TIMER_MS) await sleep(ahead - TIMER_MS);
  for (let left; (left = at - monotonic()) > 0;) Atomics.wait(NEVER, 0, 0, left);
}

function managed({ video, fps, port }: StreamPlan): Outlet {
  const to = { hostname: plan.host, port };
  const socket = link!.open({ to, ipg: 1000 / fps, ...video.window });
  let refused = 0;
  return {
    send({ messages }, deadlineAt) {
      for (const { data, deadline: _, ...flags } of messages) {
        try {
          socket.send(data, { ...flags, deadlineAt });
        } catch (error) {
          // Full, or handed over too late: what a scheduler refuses is lost to the stream.
          if (!(error instanceof QError && ["ENOBUFS", "ETIME"].includes(error.code))) throw error;
          refused += 1;
        }
      }
    },
    close: async () => ({ info: await socket.close({ drain: true }), refused }),
  };
}

async function plain({ port, way, bucketRate, latency }: StreamPlan): Promise<Outlet> {
  const socket: Socket = createSocket("udp4");
  socket.connect(port, plan.host);
  await once(socket, "connect");
  let [waiting, refused] = [0, 0];
  let settled = () => {};
  const hand = (data: Uint8Array) => {
    waiting += 1;
    socket.send(data, (error) => {
      if (error) refused += 1;
      waiting -= 1;
      if (waiting === 0) settled();
    });
  };
  const bucket = way === "bucket" ? new TokenBucket(bucketRate!, latency, hand) : null;
  return {
    send({ messages }) {
      const packets = messages.map(({ data }) => data);
      if (bucket === null) packets.forEach(hand);
      else if (!bucket.offer(packets)) refused += packets.length;
    },
    async close() {
      await bucket?.close();
      if (waiting > 0) await new Promise<void>((resolve) => settled = resolve);
      socket.close();
      return { info: null, refused };
    },
  };
}
