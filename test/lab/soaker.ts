// A program that sends for as long as it is let, opens and closes streams meanwhile, and says every
// second what it holds and whether its counters still add up.
//
//     soaker.ts HOST RATE       a link of RATE bytes per second
//     stdout  ready             then a `SoakSample` every second
//     stdin   rate N            changes the link's rate; the end of the input ends it

import { readdirSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { monotonic, QError, type QSocket, qsockinit, type SocketInfo } from "../../mod.ts";

const VIDEO_PORT = 5004;
const BULK_PORT = 5005;
const VIDEOS = 8;
const FRAME_MS = 40;
const PACKETS = 3; // of a frame
const BYTES = 1200;
const LATENCY_MS = 100;
const BULK_STEP = 12; // messages every FRAME_MS, some 3 Mbit/s: the link is overloaded
/** Streams that come every second, and go in the next one: every other one without waiting. */
const VISITORS = 4;

/** What the program says of itself. */
export interface SoakSample {
  /** Seconds since it began. */
  at: number;
  rssBytes: number;
  descriptors: number;
  streams: number;
  offered: number;
  sent: number;
  late: number;
  dropped: number;
  queued: number;
  /** Streams (and the link) whose messages are not all in exactly one place. */
  unbalanced: string[];
}

const [host, rate] = process.argv.slice(2);
const link = qsockinit({ rate: Number(rate), admission: "off" });
const data = new Uint8Array(BYTES);
const to = (port: number) => ({ to: { hostname: host, port } });
const openVideo = () => link.open({ ...to(VIDEO_PORT), ipg: FRAME_MS, oln: 2, old: 12 });
const videos = Array.from({ length: VIDEOS }, openVideo);
const bulk = link.open(to(BULK_PORT));
let visitors: QSocket[] = [];
const begun = monotonic();

createInterface({ input: process.stdin }).on("line", (line) => {
  const [word, value] = line.split(" ");
  if (word === "rate") link.change({ rate: Number(value) });
}).on("close", () => process.exit());
console.log("ready");
setInterval(() => {
  for (const video of [...videos, ...visitors]) sendFrame(video);
  for (let i = 0; i < BULK_STEP; i++) offer(() => bulk.send(data));
}, FRAME_MS);
setInterval(() => {
  visitors.forEach((visitor, i) => i % 2 === 0 ? visitor.close() : visitor.close({ drain: true }));
  visitors = [];
  // While the link is down there is no way to connect to.
  for (let i = 0; i < VISITORS; i++) offer(() => visitors.push(openVideo()));
  console.log(JSON.stringify(sample()));
}, 1000);

function sendFrame(video: QSocket): void {
  const deadlineAt = monotonic() + LATENCY_MS;
  for (let i = 0; i < PACKETS; i++) {
    const frame = i === 0 ? "start" : i === PACKETS - 1 ? "end" : "middle";
    offer(() => video.send(data, { deadlineAt, frame, drop: 3, level: 2 }));
  }
}

/** What is refused is the caller's still, and counted nowhere: a full queue, a route that is away. */
function offer(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    if (!(error instanceof QError)) throw error;
  }
}

function sample(): SoakSample {
  const info = link.info();
  const open = [...videos, bulk, ...visitors].map((socket, i) => [`stream ${i}`, socket.info()]);
  const all = [["link", info], ...open] as [string, SocketInfo][];
  const { offered, sent, late, queued, streams } = info;
  return {
    at: (monotonic() - begun) / 1000,
    rssBytes: process.memoryUsage.rss(),
    descriptors: readdirSync("/proc/self/fd").length,
    streams,
    offered,
    sent,
    late,
    dropped: droppedOf(info),
    queued,
    unbalanced: all.flatMap(([name, it]) => {
      const held = it.sent + it.late + droppedOf(it) + it.queued;
      return held === it.offered ? [] : [`${name}: ${it.offered} offered, ${held} accounted for`];
    }),
  };
}

function droppedOf({ dropped }: SocketInfo): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
