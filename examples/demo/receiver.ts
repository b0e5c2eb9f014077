/**
 * The receiver, a process of its own. It listens on two UDP ports of the loopback device, one for
 * the video and one for the bulk transfer, puts the video's frames together again, and notes when
 * everything came on the clock that all processes of the machine share.
 *
 *     stdout  {"video":41234,"bulk":41235}        the ports, once it listens
 *     stdin   the end of the input                the run is over
 *     stdout  {"packets":[...], ...}              the log; then it exits
 *
 * If the sender dies its input ends as well, so it never outlives the sender.
 */

import { createSocket, type Socket } from "node:dgram";
import process from "node:process";
import {
  Depacketizer,
  monotonic,
  parseRtp,
  type ReceivedFrame,
  type RtpFormat,
  Unroller,
} from "../../mod.ts";
import { digestOf, type ReceiverLog } from "./log.ts";
import { watchStalls } from "./stall.ts";
import { MARKING } from "./video.ts";

/**
 * Datagrams wait here while the process is busy; the kernel grants as much of it as it allows. Not
 * under Deno, which takes the number for the size of the buffer to allocate for each datagram.
 */
const BUFFER_BYTES = process.versions.deno ? undefined : 4 << 20;
const BULK_STEP_MS = 100;

const [format, secondsMax] = process.argv.slice(2);
const log: ReceiverLog = { packets: [], frames: [], bulk: [], stall: 0 };
const depacketizer = new Depacketizer({ format: format as RtpFormat, marking: MARKING });
const sequences = new Unroller(16);
const stalls = watchStalls();

const video = await listen((datagram) => {
  const at = monotonic();
  const packet = parseRtp(datagram);
  if (packet === null) return;
  log.packets.push([sequences.unroll(packet.sequence), at]);
  note(depacketizer.push(datagram, at));
});

const bulk = await listen((datagram) => {
  const at = Math.floor(monotonic() / BULK_STEP_MS) * BULK_STEP_MS;
  const last = log.bulk[log.bulk.length - 1];
  if (last?.[0] === at) last[1] += datagram.length;
  else log.bulk.push([at, datagram.length]);
});

// They may reach the whole process group: the sender decides.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
setTimeout(() => process.exit(1), Number(secondsMax) * 1000);
process.stdin.on("end", finish).resume();
process.stdout.write(JSON.stringify({ video: port(video), bulk: port(bulk) }) + "\n");

function note(frames: readonly ReceivedFrame[]): void {
  for (const { complete, sequence, data } of frames) {
    if (complete) log.frames.push([sequence, digestOf(data)]);
  }
}

function finish(): void {
  note(depacketizer.flush());
  log.stall = stalls();
  process.stdout.write(JSON.stringify(log) + "\n", () => process.exit(0));
}

function listen(onDatagram: (datagram: Uint8Array) => void): Promise<Socket> {
  const socket = createSocket({ type: "udp4", recvBufferSize: BUFFER_BYTES });
  socket.on("message", onDatagram);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.bind(0, "127.0.0.1", () => resolve(socket));
  });
}

function port(socket: Socket): number {
  return socket.address().port;
}
