// A program that sends for as long as it is let, opens and closes streams meanwhile, and says every
// second what it holds and whether its counters still add up.
//
//     soaker.ts HOST RATE       a link of RATE bytes per second
//     stdout  ready             then a `SoakSample` every second
//     stdin   rate N            changes the link's rate
//             end               it sends no more, and says a last sample; the end of the input ends it

import { readdirSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import {
  type MessageOptions,
  monotonic,
  QError,
  type QSocket,
  qsockinit,
  type SocketInfo,
} from "../../mod.ts";

const VIDEO_PORT = 5004;
const BULK_PORT = 5005;
const VIDEOS = 8;
const FRAME_MS = 40;
const PACKETS = 3; // of a frame
const BYTES = 1200;
const DATAGRAM_COST = BYTES + 28; // IPv4 and UDP: what each costs the link
const LATENCY_MS = 100;
const BULK_STEP = 9; // messages every FRAME_MS, some 3 Mbit/s: the link is overloaded
/** Streams that come every second, and go in the next one: every other one without waiting. */
const VISITORS = 4;
/** No room for a message, or none before its deadline. */
const BY_SCHEDULER = new Set(["ENOBUFS", "ETIME"]);

/** There is no way to the far end. */
const NO_WAY = new Set(["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"]);

/** What the program says of itself. */
export interface SoakSample {
  /** Seconds since it began. */
  at: number;
  rssBytes: number;
  descriptors: number;
  streams: number;
  /** Messages that `send` took, by this program's own count. */
  accepted: number;
  /** Messages that the scheduler had no room or no time for; it counts them as dropped. */
  refused: number;
  /** Messages refused before a scheduler saw them: in none of the library's counts. */
  unseen: number;
  sent: number;
  late: number;
  dropped: number;
  queued: number;
  /** What the messages that were sent are on the wire: those that the kernel cuts are several. */
  datagrams: number;
  /** Streams (and the link) whose messages, as they were handed over, are not all in one place. */
  unbalanced: string[];
  /** The last one: nothing is sent after it. */
  last: boolean;
}

const [host, rate] = process.argv.slice(2);
const link = qsockinit({ rate: Number(rate), admission: "off" });
const data = new Uint8Array(BYTES);
/** One message of best effort that the kernel cuts into datagrams. */
const cut = new Uint8Array(PACKETS * BYTES);
const to = (port: number) => ({ to: { hostname: host, port } });
const openVideo = () => link.open({ ...to(VIDEO_PORT), ipg: FRAME_MS, oln: 2, old: 12 });
const videos = Array.from({ length: VIDEOS }, openVideo);
const bulk = link.open(to(BULK_PORT));
let visitors: QSocket[] = [];
/** What the scheduler was handed, counted here: the library's `offered` is the sum of its other counts. */
const handed = new Map<QSocket, number>();
const total = { accepted: 0, refused: 0, unseen: 0 };
const begun = monotonic();

createInterface({ input: process.stdin }).on("line", (line) => {
  const [word, value] = line.split(" ");
  if (word === "rate") link.change({ rate: Number(value) });
  if (word === "end") end();
}).on("close", () => process.exit());
console.log("ready");
const sending = setInterval(() => {
  for (const video of [...videos, ...visitors]) sendFrame(video);
  for (let i = 0; i < BULK_STEP; i++) offer(bulk);
  offer(bulk, { segment: BYTES }, cut);
}, FRAME_MS);
const visiting = setInterval(() => {
  for (const [i, visitor] of visitors.entries()) {
    if (i % 2 === 0) visitor.close();
    else visitor.close({ drain: true });
    handed.delete(visitor);
  }
  visitors = [];
  for (let i = 0; i < VISITORS; i++) visit();
  console.log(JSON.stringify(sample()));
}, 1000);

function end(): void {
  clearInterval(sending);
  clearInterval(visiting);
  link.change({ rate: 1 }); // what is queued stays there
  console.log(JSON.stringify(sample({ last: true })));
}

function sendFrame(video: QSocket): void {
  const deadlineAt = monotonic() + LATENCY_MS;
  for (let i = 0; i < PACKETS; i++) {
    const frame = i === 0 ? "start" : i === PACKETS - 1 ? "end" : "middle";
    offer(video, { deadlineAt, frame, drop: 3, level: 2 });
  }
}

/**
 * Sends a message, and counts it, taken or not. What the scheduler refuses it counts too, as dropped;
 * what no scheduler has seen (its route is away, say) is in no counter but this.
 */
function offer(socket: QSocket, options: MessageOptions = {}, bytes = data): void {
  const code = attempt(() => socket.send(bytes, options));
  if (code !== null && !BY_SCHEDULER.has(code)) {
    total.unseen += 1;
    return;
  }
  total[code === null ? "accepted" : "refused"] += 1;
  handed.set(socket, (handed.get(socket) ?? 0) + 1);
}

/** While the link is down there is no way to connect to. */
function visit(): void {
  const code = attempt(() => visitors.push(openVideo()));
  if (code !== null && !NO_WAY.has(code)) throw new Error(`Cannot open a stream: ${code}`);
}

/** The code of what went wrong, or null. */
function attempt(call: () => unknown): string | null {
  try {
    call();
    return null;
  } catch (error) {
    if (error instanceof QError) return error.code;
    throw error;
  }
}

function sample({ last = false } = {}): SoakSample {
  const info = link.info();
  const open = [...videos, bulk, ...visitors];
  const all: [name: string, info: SocketInfo, handed: number][] = [
    ["link", info, total.accepted + total.refused],
    ...open.map((socket, i): [string, SocketInfo, number] => [
      `stream ${i}`,
      socket.info(),
      handed.get(socket) ?? 0,
    ]),
  ];
  const { sent, late, queued, streams } = info;
  return {
    at: (monotonic() - begun) / 1000,
    rssBytes: process.memoryUsage.rss(),
    descriptors: readdirSync("/proc/self/fd").length,
    streams,
    ...total,
    sent,
    late,
    dropped: droppedOf(info),
    queued,
    datagrams: info.sentBytes / DATAGRAM_COST,
    unbalanced: all.flatMap(([name, it, handed]) => {
      const held = it.sent + it.late + droppedOf(it) + it.queued;
      return held === handed ? [] : [`${name}: ${handed} handed over, ${held} accounted for`];
    }),
    last,
  };
}

function droppedOf({ dropped }: SocketInfo): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
