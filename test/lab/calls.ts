// Times the calls of the library, and the plain calls of the C library through the same FFI, in turns,
// as a program of its own: with links of its own, above the stack, or on a device that was prepared.
//
//     calls.ts HOST TURNS [DEV] the datagrams go to HOST, where nobody takes them
//     stdout  ready             it has begun
//     stdout  [...]             `Timing` of each call; then it ends

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { qattach, qchange, qclose, qinfo, qsend, qsendto, qsocket, qsockinit } from "../../mod.ts";
import type { Link, QSocket } from "../../mod.ts";
import { dlopen } from "../../ffi/runtime.ts";
import { median } from "./measures.ts";

/** A call beside a plain one: medians of all turns, in ns a call. */
export interface Timing {
  call: string;
  beside: string | null;
  ns: number;
  plainNs: number | null;
  /** The median of each turn's ratio. */
  ratio: number | null;
}

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_PRIORITY = 12;
const PORT = 9;
const BYTES = 1200;
const BATCH = 128;
const INIT_BATCH = 8;
/** At 100 Mbit/s a batch takes some 13 ms. */
const REST_MS = 25;

const libc = dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
});

const [host, turnsText, device] = process.argv.slice(2);
const turns = Number(turnsText);
const to = { hostname: host, port: PORT };
const address = Uint8Array.of(
  AF_INET,
  0,
  PORT >> 8,
  PORT,
  ...host.split(".").map(Number),
  ...new Uint8Array(8),
);
const data = new Uint8Array(BYTES);
const option = new Uint8Array(Int32Array.of(0).buffer);
const length = Uint8Array.of(4, 0, 0, 0);
/** So slow that its thread does not touch a batch: what is timed is the caller's part. */
const asleep = qsockinit(device ? { device } : { rate: "1kbit", admission: "off" });
const sending = qsockinit({ rate: "100mbit" });
const unlimited = qsockinit({ rate: "1000gbit" });
const times = new Map<string, { beside: string | null; ours: number[]; plain: number[] }>();

console.log("ready");
for (let turn = 0; turn < turns; turn++) {
  timeLinks();
  timeSockets();
  timeAttached();
  if (device) {
    timeSendsBelow();
    continue;
  }
  timeSends();
  await timeSendsBesideThread(sending, "sent at 100 Mbit/s");
  await timeSendsBesideThread(unlimited, "sent at once");
}
const timings = [...times].map(([call, { beside, ours, plain }]): Timing => ({
  call,
  beside,
  ns: median(ours),
  plainNs: beside === null ? null : median(plain),
  ratio: beside === null ? null : median(ours.map((ns, turn) => ns / plain[turn])),
}));
process.stdout.write(`${JSON.stringify(timings)}\n`, () => process.exit());

function note(call: string, beside: string | null, ours: number, plain = 0): void {
  const known = times.get(call) ?? { beside, ours: [], plain: [] };
  times.set(call, known);
  known.ours.push(ours);
  if (beside !== null) known.plain.push(plain);
}

/** ns for each of `count` calls. */
function time(call: (i: number) => unknown, count = BATCH): number {
  const begun = process.hrtime.bigint();
  for (let i = 0; i < count; i++) call(i);
  return Number(process.hrtime.bigint() - begun) / count;
}

function works(result: unknown): number {
  if ((result as number) < 0) throw new Error("Cannot time the calls: a plain call failed");
  return result as number;
}

function timeLinks(): void {
  const links: ReturnType<typeof qsockinit>[] = [];
  const options = device ? { device } : { rate: "10mbit" };
  const call = device ? "qsockinit, a device that is prepared" : "qsockinit";
  note(call, null, time(() => links.push(qsockinit(options)), INIT_BATCH));
  for (const link of links) link.close();
}

function timeSockets(): void {
  const fds: number[] = [];
  const sockets: QSocket[] = [];
  const plainOpen = time(() => fds.push(works(libc.socket(AF_INET, SOCK_DGRAM, 0))));
  note("qsocket", "socket", time(() => sockets.push(qsocket(asleep, { ipg: 40 }))), plainOpen);
  const plainSet = time((i) =>
    works(libc.setsockopt(fds[i], SOL_SOCKET, SO_PRIORITY, option, option.length))
  );
  note("qchange", "setsockopt", time((i) => qchange(sockets[i], { ipg: 20 })), plainSet);
  const plainGet = time((i) =>
    works(libc.getsockopt(fds[i], SOL_SOCKET, SO_PRIORITY, option, length))
  );
  note("qinfo", "getsockopt", time((i) => qinfo(sockets[i])), plainGet);
  const plainClose = time((i) => works(libc.close(fds[i])));
  note("qclose", "close", time((i) => qclose(sockets[i])), plainClose);
}

function timeAttached(): void {
  const fds = Array.from({ length: BATCH }, () => works(libc.socket(AF_INET, SOCK_DGRAM, 0)));
  const plain = time((i) =>
    works(libc.setsockopt(fds[i], SOL_SOCKET, SO_PRIORITY, option, option.length))
  );
  const sockets: QSocket[] = [];
  note("qattach", "setsockopt", time((i) => sockets.push(qattach(asleep, { fd: fds[i] }))), plain);
  for (const socket of sockets) qclose(socket);
  for (const fd of fds) libc.close(fd);
}

function timeSends(): void {
  const plain = openPlain();
  const loose = qsocket(asleep, {});
  const bound = qsocket(asleep, { to });
  const plainTo = time(plain.sendto);
  note(
    "qsendto, the caller's part, queued",
    "sendto",
    time(() => qsendto(loose, data, to)),
    plainTo,
  );
  const plainSend = time(plain.send);
  note("qsend, the caller's part, queued", "send", time(() => qsend(bound, data)), plainSend);
  qclose(loose);
  qclose(bound);
  plain.close();
}

/** Through the whole stack and the device's queue, as the plain calls go. */
function timeSendsBelow(): void {
  const plain = openPlain();
  const loose = qsocket(asleep, {});
  const bound = qsocket(asleep, { to });
  const ways = [
    ["", undefined],
    [", with a deadline", { deadline: 1000 }],
    [", a whole frame with a deadline", { deadline: 1000, drop: 3, frame: "whole", level: 1 }],
  ] as const;
  for (const [how, options] of ways) {
    const plainTo = time(plain.sendto);
    note(`qsendto${how}`, "sendto", time(() => qsendto(loose, data, to, options)), plainTo);
    const plainSend = time(plain.send);
    note(`qsend${how}`, "send", time(() => qsend(bound, data, options)), plainSend);
  }
  qclose(loose);
  qclose(bound);
  plain.close();
}

/** Plain sockets, one of them connected. */
function openPlain() {
  const fd = works(libc.socket(AF_INET, SOCK_DGRAM, 0));
  const connected = works(libc.socket(AF_INET, SOCK_DGRAM, 0));
  works(libc.connect(connected, address, address.length));
  return {
    sendto: () => works(libc.sendto(fd, data, BYTES, 0, address, address.length)),
    send: () => works(libc.send(connected, data, BYTES, 0)),
    close() {
      libc.close(fd);
      libc.close(connected);
    },
  };
}

/** The call while the link's thread sends, and what the processors spend on a message in all. */
async function timeSendsBesideThread(link: Link, how: string): Promise<void> {
  const fd = works(libc.socket(AF_INET, SOCK_DGRAM, 0));
  const socket = qsocket(link, {});
  await sleep(REST_MS); // both after a rest
  let before = process.cpuUsage();
  const plain = time(() => works(libc.sendto(fd, data, BYTES, 0, address, address.length)));
  await sleep(REST_MS); // as ours below, which is counted
  const plainCpu = cpuSince(before);
  before = process.cpuUsage();
  const ours = time(() => qsendto(socket, data, to, { deadline: 1000 }));
  // Seldom looked at meanwhile: that would be counted too.
  for (let rests = 0; rests === 0 || qinfo(socket).queued > 0; rests++) await sleep(REST_MS);
  const cpu = cpuSince(before);
  note(`qsendto, the caller's part, ${how}`, "sendto", ours, plain);
  note(`qsendto, all processor time, ${how}`, "sendto", cpu, plainCpu);
  qclose(socket);
  libc.close(fd);
}

/** ns of the processors for each call of a batch. */
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return Math.max(1, (user + system) * 1000 / BATCH);
}
