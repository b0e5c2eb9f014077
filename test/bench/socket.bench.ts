// What queueing costs the caller, and how fast messages get through to the socket.
//
//   npm run bench -- socket
//
// Datagrams of 1200 bytes go to a bound socket on loopback that nobody reads: once its buffer is
// full the kernel drops them on arrival, which is the same for every sender here. Times are ns per
// datagram, the median of many batches.
//
// "Caller" is the time until the call returns: a batch of sends is timed, and the queue is emptied
// before the next batch, outside the timed part. "Asleep": the link is so slow that the library's
// thread never touches the batch, which is discarded after it. At 100 Mbit/s the thread sends the
// batch, mostly after it was timed, so that the memory which the caller writes was last read by
// the other processor, and each batch follows a rest of some 25 ms: it is set beside a plain send
// that rested as long. Without a limit it sends at the same time, and both wait for one lock.
// "Through" is the time until the last datagram of the batch was handed to the kernel, on the link
// without limit.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { measure } from "mitata";
import { qattach, qsockinit } from "../../ffi/calls.ts";
import { library } from "../../ffi/library.ts";
import type { Address } from "../../ffi/options.ts";
import type { QSocket } from "../../ffi/socket.ts";

const BYTES = 1200;
const BATCH = 256;
const FRAME_DATAGRAMS = 40; // 48 kB, in one call and one UDP_SEGMENT send
const FRAMES = 64;
const LOOK_MS = 0.02;
const REST_MS = 25; // what a batch takes at 100 Mbit/s

/** What is used of the runtimes' own datagram sockets. */
interface Runtimes {
  Bun?: {
    udpSocket(options: object): Promise<{
      send(data: Uint8Array): boolean;
      sendMany(data: Uint8Array[]): number;
      close(): void;
    }>;
  };
  Deno?: {
    listenDatagram?(options: object): {
      send(data: Uint8Array, to: Address & { transport: "udp" }): Promise<number>;
      close(): void;
    };
  };
}

const PLAIN = "plain send(2) through the FFI";
const RESTED = `${PLAIN}, after a rest`;

interface Result {
  name: string;
  /** Median time of a datagram. */
  ns: number;
}

const results: Result[] = [];
const data = new Uint8Array(BYTES).fill(7);
const { Bun, Deno } = globalThis as unknown as Runtimes;

const sink = createSocket({ type: "udp4" });
sink.bind(0, "127.0.0.1");
await once(sink, "listening");
const to: Address = { hostname: "127.0.0.1", port: sink.address().port };
// Bound and never read, by being attached: its descriptor outlives the runtime's reading of it.
const link = qsockinit({ rate: "4000gbit", queueMessages: 65536 });
const paced = qsockinit({ rate: "100mbit" });
const asleep = qsockinit({ rate: "1kbit" });
const held = qattach(link, sink);
sink.close();

await plainSends();
await queueing();
await nodeSends();
await nativeSends();
held.close();
link.close();
paced.close();
asleep.close();
report();

/** Times batches of `datagrams` sends, each batch after `before` has resolved. */
async function time(
  name: string,
  datagrams: number,
  batch: () => unknown,
  before: () => unknown = () => {},
  samples = 0,
): Promise<void> {
  const options = {
    gc: false,
    params: { 0: before }, // called before each batch, outside the timed part
    batch_threshold: -1, // mitata's own batches would call it for many ahead
    min_cpu_time: samples > 0 ? 0 : 300e6,
    min_samples: samples || 50,
  };
  const { p50 } = await measure(batch, options);
  results.push({ name, ns: p50 / datagrams });
}

async function plainSends(): Promise<void> {
  // Not every runtime's "connected" socket is, to the kernel, so it is one of the library's, at a
  // port that was free a moment ago.
  const free = createSocket("udp4").bind(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address();
  free.close();
  await once(free, "close");
  const socket = link.open({ local: { hostname: "127.0.0.1", port }, to });
  const fd = descriptorOf(port);
  const { qsocket_plain_send } = library();
  const sent = qsocket_plain_send(fd, data, BYTES);
  if (sent !== BYTES) throw new Error(`a plain send returned ${sent}`);
  await time(PLAIN, BATCH, () => {
    for (let sent = 0; sent < BATCH; sent++) qsocket_plain_send(fd, data, BYTES);
  });
  await time(
    RESTED,
    BATCH,
    () => {
      for (let sent = 0; sent < BATCH; sent++) qsocket_plain_send(fd, data, BYTES);
    },
    () => new Promise((resolve) => setTimeout(resolve, REST_MS)),
    100,
  );
  socket.close();
}

async function queueing(): Promise<void> {
  const options = { queueMessages: 8192, queueBytes: 64 << 20 };
  const socket = link.open(options);
  const frame = new Uint8Array(BYTES * FRAME_DATAGRAMS);
  const message = { deadline: 10_000, drop: 3, frame: "whole", level: 1 } as const;
  const whole = { ...message, segment: BYTES };
  const empty = () => emptied(socket);
  let idle = asleep.open(options);
  await time("caller: qsendto, asleep", BATCH, () => {
    for (let sent = 0; sent < BATCH; sent++) idle.sendto(data, to);
  }, () => {
    idle.close();
    idle = asleep.open({ ...options, local: { hostname: "127.0.0.1", port: 0 } });
  }, 500);
  for (const [name, on] of [["100 Mbit/s", paced], ["no limit", link]] as const) {
    const caller = on.open(options);
    const samples = on === paced ? 100 : 0;
    await time(
      `caller: qsendto, ${name}`,
      BATCH,
      () => {
        for (let sent = 0; sent < BATCH; sent++) caller.sendto(data, to);
      },
      () => emptied(caller),
      samples,
    );
    await time(
      `caller: qsendto with deadline and frame, ${name}`,
      BATCH,
      () => {
        for (let sent = 0; sent < BATCH; sent++) caller.sendto(data, to, message);
      },
      () => emptied(caller),
      samples,
    );
    await closed(caller);
  }
  await time("caller: qsendto of whole frames", FRAMES * FRAME_DATAGRAMS, () => {
    for (let sent = 0; sent < FRAMES; sent++) socket.sendto(frame, to, whole);
  }, empty);
  await time("through: qsendto, a message a datagram", BATCH * 4, () => {
    for (let sent = 0; sent < BATCH * 4; sent++) socket.sendto(data, to, message);
    emptied(socket);
  }, empty);
  await time("through: qsendto, whole frames", FRAMES * FRAME_DATAGRAMS, () => {
    for (let sent = 0; sent < FRAMES; sent++) socket.sendto(frame, to, whole);
    emptied(socket);
  }, empty);
  await closed(socket);
}

/** Closes a socket; throws unless it has sent all that it was offered. */
async function closed(socket: QSocket): Promise<void> {
  const { offered, sent, socketErrors } = await socket.close({ drain: true });
  if (sent !== offered) throw new Error(`sent ${sent} of ${offered}, ${socketErrors} errors`);
}

/**
 * Waits until everything was sent, without letting go of the processor, and without asking so often
 * that the answers cost the link's thread its lock.
 */
function emptied(socket: QSocket): void {
  while (socket.info().queued > 0) spin(LOOK_MS);
}

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

async function nodeSends(): Promise<void> {
  const socket = createSocket("udp4");
  socket.connect(to.port, to.hostname);
  await once(socket, "connect");
  await time("through: node:dgram send", BATCH, () =>
    new Promise<void>((resolve, reject) => {
      let left = BATCH;
      const sent = (error: Error | null) => {
        if (error) reject(error);
        else if (--left === 0) resolve();
      };
      for (let count = 0; count < BATCH; count++) socket.send(data, sent);
    }));
  socket.close();
}

async function nativeSends(): Promise<void> {
  if (Bun) {
    const socket = await Bun.udpSocket({ connect: { hostname: to.hostname, port: to.port } });
    await time("through: Bun.udpSocket send", BATCH, () => {
      for (let sent = 0; sent < BATCH; sent++) socket.send(data);
    });
    const many = new Array(BATCH).fill(data);
    await time("through: Bun.udpSocket sendMany", BATCH, () => socket.sendMany(many));
    socket.close();
  }
  if (Deno?.listenDatagram) {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const peer = { ...to, transport: "udp" } as const;
    await time("through: Deno.listenDatagram send", BATCH, async () => {
      for (let sent = 0; sent < BATCH; sent++) await socket.send(data, peer);
    });
    socket.close();
  }
}

/** The descriptor of this process's UDP socket on a port: neither runtime shows it everywhere. */
function descriptorOf(port: number): number {
  const end = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readFileSync("/proc/self/net/udp", "utf8").split("\n");
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const inode = fields.find((field) => field[1]?.endsWith(end))?.[9];
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) === `socket:[${inode}]`) return Number(fd);
    } catch { /* closed meanwhile */ }
  }
  throw new Error(`no descriptor has port ${port}`);
}

function nsOf(name: string): number | undefined {
  return results.find((result) => result.name === name)?.ns;
}

function report(): void {
  const plain = nsOf(PLAIN)!;
  const line = (name: string, ns: string, ratio: string) =>
    console.log(`${name.padEnd(52)}${ns.padStart(10)}${ratio.padStart(18)}`);
  line(`datagrams of ${BYTES} bytes on loopback`, "ns each", "x plain send(2)");
  for (const { name, ns } of results) line(name, ns.toFixed(0), (ns / plain).toFixed(2));
  const aims = ([["asleep", PLAIN], ["100 Mbit/s", RESTED]] as const).map(([name, beside]) => {
    const value = nsOf(`caller: qsendto, ${name}`)! / nsOf(beside)!;
    const aim = `qsendto (${name}) costs its caller at most 0.35 of a ${beside}`;
    return { aim, value, met: value <= 0.35 };
  });
  const frames = nsOf("through: qsendto, whole frames")!;
  for (const [name, least] of [["Bun.udpSocket", 3], ["Deno.listenDatagram", 8]] as const) {
    const other = nsOf(`through: ${name} send`);
    if (other === undefined) continue;
    const value = other / frames;
    const aim = `whole frames get through at least ${least} times as fast as by ${name}`;
    aims.push({ aim, value, met: value >= least });
  }
  for (const { aim, value, met } of aims) {
    console.log(`${met ? "met    " : "NOT met"}  ${aim}: ${value.toFixed(2)}`);
  }
  const at = process.argv.indexOf("--json");
  if (at > 0) writeFileSync(process.argv[at + 1], JSON.stringify({ results, aims }, null, 2));
}
