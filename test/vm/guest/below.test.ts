// The host below the stack, as unprivileged programs use it: their sockets on a device whose queue
// is the scheduler. The other end is in a network namespace, and tells what arrives there.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Link, restoreDevice } from "../../../ffi/link.ts";
import { type Actor, actor } from "./actor.ts";
import { attempt, evaluate, gate, guestTest, isGuest, sh } from "./guest.ts";
import { PRELUDE, type Program, start } from "./program.ts";

const DEVICE = "vmbelow0";
const PORT = 5004;
const V4 = "10.78.0.2";
const V6 = "fd78::2";
const REMOVE = `ip link del ${DEVICE}; ip netns del vmbelow`;

/**
 * Says, for each line written to it, the first byte and the length of each datagram since the one before;
 * of TCP what a connection brought, when that ends.
 */
const RECEIVER = `
  import { createServer } from "node:net";
  let got = [];
  const socket = createSocket({ type: "udp6", ipv6Only: false, recvBufferSize: 1 << 20 });
  socket.on("message", (data) => got.push([data[0], data.length]));
  createServer((connection) => {
    const parts = [];
    connection.on("data", (data) => parts.push(data));
    connection.on("end", () => say(Buffer.concat(parts).toString()));
  }).listen(${PORT}, "::", () => socket.bind(${PORT}, "::", async () => {
    say("ready");
    for await (const _ of input) { await pause(100); say(got); got = []; }
  }));
`;

let other: Program, alice: Actor, bob: Actor;
let isInitialised = false;

before(async () => {
  if (!isGuest) return;
  attempt(REMOVE); // of a run that was cut off
  sh(`set -e
    ip netns add vmbelow
    ip link add ${DEVICE} type veth peer name vmbelow1 netns vmbelow
    ip addr add 10.78.0.1/24 dev ${DEVICE}
    ip addr add fd78::1/64 dev ${DEVICE} nodad
    ip link set ${DEVICE} up
    ip -n vmbelow addr add ${V4}/24 dev vmbelow1
    ip -n vmbelow addr add ${V6}/64 dev vmbelow1 nodad
    ip -n vmbelow link set lo up
    ip -n vmbelow link set vmbelow1 up
    ping -c 1 -W 5 ${V4} && ping -6 -c 1 -W 5 ${V6}`);
  const receiver = evaluate(PRELUDE + RECEIVER);
  other = start(["ip", "netns", "exec", "vmbelow", ...receiver]);
  alice = actor("alice");
  bob = actor("bob");
  initialise("10mbit");
  assert.equal(await other.next(), "ready");
});

after(async () => {
  if (!isGuest) return;
  for (const one of [other, alice, bob]) await one?.end();
  try {
    if (isInitialised) restoreDevice(DEVICE);
  } finally {
    attempt(REMOVE);
  }
});

/** For the group video; the scheduler goes on where only the rate is another. */
function initialise(rate: string): void {
  const link = new Link({ device: DEVICE, scheduler: "dwcs", rate, system: true, group: "video" });
  isInitialised = true;
  const { host, hostReason } = link;
  link.close();
  assert.equal(host, "below", hostReason);
}

/** What came to the other end since the last time. */
function came(): Promise<[number, number][]> {
  other.write("");
  return other.next();
}

/** A socket to the other end, of a link that is closed with it. */
const OPEN = (hostname: string) => `
  const link = new Link({ device: "${DEVICE}" });
  const socket = link.open({ to: { hostname: "${hostname}", port: ${PORT} } });
`;
const CLOSE = "socket.close(); link.close();";

for (const [family, hostname] of [["IPv4", V4], ["IPv6", V6]]) {
  guestTest(
    `an unprivileged user of the group sends with deadlines and is obeyed, ${family}`,
    async () => {
      initialise("1mbit"); // keeps the deadlines of about a tenth of these messages of 1000 bytes
      const { uid, info } = await alice.does(`
      ${OPEN(hostname)}
      for (let i = 0; i < 100; i++) {
        socket.send(new Uint8Array(1000), { deadline: 100, drop: 3, frame: "whole", level: 2 });
      }
      const info = await drained(socket);
      ${CLOSE}
      return { uid: process.getuid(), info };
    `);
      assert.equal(uid, 1000);
      assert.deepEqual([info.host, info.gate], ["below", gate]);
      assert.equal(info.scheduler, "dwcs");
      assert.equal(info.rate, 125_000);
      assert.equal(info.offered, 100);
      assert.equal(info.queued, 0);
      assert.ok(info.sent > 0 && info.dropped.expired > 0, JSON.stringify(info));
      assert.equal(info.sent + info.late + info.dropped.expired, 100);
      assert.equal(info.droppedByPriority[3], info.dropped.expired);
      assert.equal((await came()).length, info.sent + info.late);
    },
  );
}

guestTest("a user outside the group is refused", async () => {
  const code = await bob.does(`return codeOf(() => new Link({ device: "${DEVICE}" }));`);
  assert.equal(code, "EACCES");
});

guestTest("a frame that the kernel cuts is dropped whole", async () => {
  initialise("1mbit");
  const info = await alice.does(`
    ${OPEN(V4)}
    for (let frame = 0; frame < 20; frame++) {
      const data = new Uint8Array(5000).fill(frame);
      socket.send(data, { deadline: 250, frame: "whole", level: 2, segment: 1000 });
    }
    const info = await drained(socket);
    ${CLOSE}
    return info;
  `);
  const segments = new Map<number, number>();
  for (const [frame] of await came()) segments.set(frame, (segments.get(frame) ?? 0) + 1);
  assert.deepEqual(new Set(segments.values()), new Set([5]));
  assert.equal(info.frames.offered[2], 20);
  assert.equal(info.frames.sent[2], segments.size);
  assert.ok(segments.size < 20, "none was dropped");
  assert.equal(info.frames.partial, 0);
});

for (const [family, hostname] of [["IPv4", V4], ["IPv6", V6]]) {
  guestTest(`a message that is cut into fragments is dropped whole, ${family}`, async () => {
    initialise("1mbit");
    const { info, after } = await alice.does(`
      ${OPEN(hostname)}
      for (let frame = 0; frame < 20; frame++) {
        socket.send(new Uint8Array(4000).fill(frame), { deadline: 250, frame: "whole", level: 2 });
      }
      const info = await drained(socket);
      for (const frame of ["start", "middle", "end"]) {
        socket.send(new Uint8Array(4000).fill(100), { frame, level: 1 });
      }
      socket.send(new Uint8Array(4000).fill(101));
      const after = await drained(socket);
      ${CLOSE}
      return { info, after };
    `);
    const got = await came();
    assert.ok(got.every(([, bytes]) => bytes === 4000));
    const frames = got.filter(([frame]) => frame < 20);
    assert.equal(info.frames.offered[2], 20);
    assert.equal(info.frames.sent[2], frames.length);
    assert.ok(frames.length < 20, JSON.stringify(info));
    assert.equal(info.offered, 3 * 20);
    // A frame of cut messages is one frame, and a message without marks arrives as well.
    assert.equal(after.frames.offered[1], 1);
    assert.equal(after.frames.sent[1], 1);
    assert.deepEqual(got.slice(frames.length).map(([frame]) => frame), [100, 100, 100, 101]);
  });
}

guestTest("a stream is changed, and tells what it is", async () => {
  initialise("10mbit");
  const { before, after, alone, link } = await alice.does(`
    const link = new Link({ device: "${DEVICE}" });
    const alone = link.info().streams;
    const to = { hostname: "${V4}", port: ${PORT} };
    const socket = link.open({ to, ipg: 10, oln: 1, old: 4, bytes: 1000 });
    const before = socket.info();
    socket.send(new Uint8Array(100));
    socket.change({ ipg: 20, old: 8 });
    socket.send(new Uint8Array(100));
    const said = { before, after: await drained(socket), alone, link: link.info() };
    ${CLOSE}
    return said;
  `);
  assert.deepEqual([before.ipg, before.oln, before.old, before.bytes], [10, 1, 4, 1000]);
  assert.deepEqual([after.ipg, after.oln, after.old, after.bytes], [20, 1, 8, 1000]);
  assert.equal(after.sent, 2);
  assert.equal(after.utilisation, 0.035); // of eight, one may be lost
  assert.ok(after.stack.sndbufBytes > 0);
  assert.equal(link.streams, alone + 1);
  assert.ok(link.sent >= 2);
});

guestTest("TCP has its stream's contract, and its messages stay whole", async () => {
  initialise("10mbit");
  const info = await alice.does(`
    const link = new Link({ device: "${DEVICE}" });
    const to = { hostname: "${V4}", port: ${PORT} };
    const socket = link.open({ type: "tcp", to, ipg: 20, old: 8 });
    for (let i = 0; i < 20; i++) socket.send(new TextEncoder().encode("message " + i + ";"));
    const info = socket.info();
    await socket.close({ drain: true });
    link.close();
    return info;
  `);
  const expected = Array.from({ length: 20 }, (_, i) => `message ${i};`).join("");
  assert.equal(await other.next(), expected);
  assert.equal(info.host, "below");
  assert.equal(info.ipg, 20);
  assert.ok(info.stack.tcp.cwnd > 0 && info.stack.tcp.peerWindowBytes > 0);
});

/** The last: the device has its scheduler no longer. */
guestTest("a queue that is replaced under a running stream is noticed", async () => {
  initialise("10mbit");
  const sending = await alice.does(`
    ${OPEN(V4)}
    socket.send(new Uint8Array(100), { deadline: 1000 });
    say("sending");
    let code = null;
    for (let i = 0; i < 10_000 && code === null; i++) {
      code = codeOf(() => socket.send(new Uint8Array(100), { deadline: 1000 }));
      await pause(1);
    }
    const info = socket.info();
    ${CLOSE}
    return { code, info };
  `);
  assert.equal(sending, "sending");
  sh(`tc qdisc replace dev ${DEVICE} root pfifo`);
  const { code, info } = await alice.next();
  assert.equal(code, "ENOLINK");
  assert.equal(info.dropped.error, 1);
  assert.equal(info.lastError, "ENOLINK");
  isInitialised = false;
  assert.throws(() => restoreDevice(DEVICE), { code: "EEXIST" });
  assert.match(sh(`tc qdisc show dev ${DEVICE} root`), /^qdisc pfifo /);
});
