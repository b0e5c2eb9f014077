import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { monotonic } from "../ffi/clock.ts";
import { qchange, qclose, qinfo, qsend, qsendto, qsocket } from "../ffi/calls.ts";
import type { QError } from "../ffi/error.ts";
import type { SocketOptions } from "../ffi/options.ts";
import type { QSocket } from "../ffi/socket.ts";
import { assertCounted, message } from "./counters.ts";
import { areBelow, openLink } from "./links.ts";
import { tcpPeer, udpPeer } from "./receiver.ts";

const FAST = "1gbit";
const SLOW = 20_000; // bytes per second: a message of 1000 bytes takes 50 ms

for (const hostname of ["127.0.0.1", "::1"]) {
  test(`send carries messages to ${hostname} whole, in order`, async () => {
    await using peer = await udpPeer(hostname);
    using link = openLink({ rate: FAST });
    using socket = qsocket(link, { to: peer.address });
    for (let number = 0; number < 60; number++) {
      assert.equal(qsend(socket, message(number), { deadline: 5000, frame: "whole" }), 1000);
    }
    await peer.until(({ received }) => received.length === 60);
    peer.received.forEach((data, number) => {
      assert.deepEqual(new Uint8Array(data), message(number));
    });
    const info = await qclose(socket, { drain: true });
    assert.equal(info.sent, 60);
    assertCounted(info);
  });
}

test("sendto carries each message to its own peer", async () => {
  await using a = await udpPeer();
  await using b = await udpPeer();
  using link = openLink({ rate: FAST, scheduler: "fifo" });
  using socket = link.open({ local: { hostname: "127.0.0.1", port: 0 } });
  for (let number = 0; number < 20; number++) {
    qsendto(socket, message(number), number % 2 ? b.address : a.address);
  }
  await Promise.all([a, b].map((peer) => peer.until(({ received }) => received.length === 10)));
  a.received.forEach((data, index) => assert.equal(data[0], index * 2));
  b.received.forEach((data, index) => assert.equal(data[0], index * 2 + 1));
  assert.equal(new Set([...a.ports, ...b.ports]).size, 1);
});

const linkLocal = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
  entries!.filter((entry) => entry.address.startsWith("fe80:")).map(({ address }) =>
    `${address}%${name}`
  )
);

test("sendto reaches a link-local peer on the interface that its zone names", {
  skip: linkLocal.length === 0,
}, async () => {
  await using peer = await udpPeer(linkLocal[0]);
  using link = openLink({ rate: FAST });
  using socket = link.open({ local: { hostname: "::", port: 0 } });
  socket.sendto(message(1), peer.address);
  await peer.until(({ received }) => received.length === 1);
});

test("send cuts data into datagrams of `segment` bytes, the last one shorter", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  using socket = link.open({ to: peer.address });
  const frame = message(3, 5000);
  assert.equal(socket.send(frame, { segment: 1200, frame: "whole", deadline: 5000 }), 5000);
  await peer.until(({ received }) => received.length === 5);
  assert.deepEqual(peer.received.map((data) => data.byteLength), [1200, 1200, 1200, 1200, 200]);
  assert.deepEqual(new Uint8Array(Buffer.concat(peer.received)), frame);
  const info = await socket.close({ drain: true });
  assert.equal(info.offered, 1);
  assert.equal(info.frames.sent[3], 1);
});

test("send copies the data before it returns", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: SLOW });
  using socket = link.open({ to: peer.address });
  const buffer = new Uint8Array(3000);
  for (let number = 0; number < 3; number++) {
    const part = buffer.subarray(number * 500, number * 500 + 500).fill(number + 1);
    socket.send(part);
    part.fill(99);
  }
  await peer.until(({ received }) => received.length === 3);
  assert.deepEqual(peer.received.map((data) => data[499]), [1, 2, 3]);
});

test("send over TCP writes whole messages in order", async () => {
  await using peer = await tcpPeer();
  using link = openLink({ rate: FAST });
  using socket = link.open({ type: "tcp", to: peer.address, queueBytes: 64 << 20 });
  const sent = Array.from({ length: 300 }, (_, number) => message(number, 1 + number * 200));
  for (const data of sent) await sendOnceThereIsRoom(socket, data);
  const total = sent.reduce((sum, data) => sum + data.byteLength, 0);
  const arrived = (pieces: Uint8Array[]) => pieces.reduce((sum, data) => sum + data.byteLength, 0);
  await peer.until(({ received }) => arrived(received) >= total);
  assert.ok(Buffer.concat(peer.received).equals(Buffer.concat(sent)), "the bytes differ");
  const info = await socket.close({ drain: true });
  // below the stack it is TCP's segments that are counted
  if (areBelow()) assert.ok(info.sent > 50, `${info.sent}`);
  else assert.equal(info.sent, 300);
  assertCounted(info);
});

/** Below the stack a TCP socket's own buffer is all the room there is. */
async function sendOnceThereIsRoom(socket: QSocket, data: Uint8Array): Promise<void> {
  for (;;) {
    try {
      socket.send(data, { frame: "whole", drop: "never" });
      return;
    } catch (error) {
      if (!areBelow() || (error as QError).code !== "ENOBUFS") throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

test("a TCP socket whose peer went away says so, and counts what it could not send", async () => {
  await using peer = await tcpPeer();
  using link = openLink({ rate: FAST });
  using socket = link.open({ type: "tcp", to: peer.address });
  socket.send(message(1));
  await peer.until(({ received }) => received.length >= 2);
  peer.connections[0].destroy();
  await assert.rejects(async () => {
    for (;;) {
      socket.send(message(2));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }, { name: "QError", code: "EPIPE", message: "Cannot send: the connection is gone (EPIPE)" });
  const info = socket.info();
  assert.equal(info.broken, true);
  assertCounted(info);
});

test("opening a TCP socket to a port where nobody listens fails, or breaks the socket", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  using link = openLink({ rate: FAST });
  await assert.rejects(async () => {
    using socket = link.open({ type: "tcp", to: { hostname: "127.0.0.1", port } });
    for (;;) {
      socket.send(message(1));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }, { name: "QError", message: /^Cannot .*(refused|gone)/ });
});

test("a link keeps to its rate", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: "800kbit" });
  using socket = link.open({ to: peer.address });
  const start = monotonic();
  for (let number = 0; number < 30; number++) socket.send(message(number));
  const { sent, delay } = await socket.close({ drain: true });
  const took = monotonic() - start;
  assert.equal(sent, 30);
  // 30 kB at 100 kB/s; a loaded machine may be late, but never early by more than a burst.
  assert.ok(took > 270 && took < 3000, `${took} ms`);
  // Time in the queue counts up to the end of a transmission, 10 ms ahead of the last call.
  assert.ok(delay.max <= took + 20 && delay.mean < delay.max, JSON.stringify(delay));
  assert.ok(delay.mean > 0);
});

test("send with a deadlineAt that has passed throws ETIME and counts it as expired", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  using socket = link.open({ to: peer.address, ipg: 10 });
  assert.throws(() => socket.send(message(1), { deadlineAt: monotonic() - 1 }), {
    name: "QError",
    code: "ETIME",
    call: "qsend",
    message: "Cannot send: the deadline has passed (ETIME)",
  });
  socket.send(message(2), { deadlineAt: monotonic() + 5000 });
  await peer.until(({ received }) => received.length === 1);
  assert.equal(peer.received[0][0], 2);
  const info = await socket.close({ drain: true });
  assert.equal(info.dropped.expired, 1);
  assert.equal(info.offered, 2);
  assertCounted(info);
});

test("send into a full queue throws ENOBUFS and counts it as overflow", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: SLOW });
  using socket = link.open({ to: peer.address, queueMessages: 2 });
  assert.throws(() => {
    for (let number = 0; number < 10; number++) socket.send(message(number));
  }, { code: "ENOBUFS", call: "qsend" });
  const info = socket.info();
  assert.equal(info.dropped.overflow, 1);
  assertCounted(info);
});

test("frames whose marks are out of order are refused with EPROTO and not counted", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  using socket = link.open({ to: peer.address });
  assert.throws(() => socket.send(message(1), { frame: "middle" }), {
    code: "EPROTO",
    message: 'Cannot send: no frame was started that this "middle" could belong to (EPROTO)',
  });
  socket.send(message(1), { frame: "start" });
  assert.throws(() => socket.send(message(1), { frame: "whole" }), {
    code: "EPROTO",
    message: 'Cannot send: a frame was started before; its "end" comes first (EPROTO)',
  });
  assert.equal(socket.info().frameOpen, true);
  socket.send(message(1), { frame: "end" });
  assert.equal(socket.info().frameOpen, false);
  assert.equal(socket.info().offered, 2);
});

test("a frame that never ends is refused when it is too long, and the next one is sent", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  using socket = link.open({ to: peer.address });
  socket.send(message(0), { frame: "start" });
  for (let count = 1; count < 1024; count++) socket.send(message(0), { frame: "middle" });
  assert.throws(() => socket.send(message(0), { frame: "middle" }), {
    code: "EMSGSIZE",
    message: "Cannot send: the frame has no end after 1024 messages, and was dropped (EMSGSIZE)",
  });
  socket.send(message(7), { frame: "whole" });
  await peer.until(({ received }) => received.length === 1);
  assert.equal(peer.received[0][0], 7);
  assert.equal(socket.info().dropped.frame, 1024);
});

test("every message that was accepted is in one counter, at every moment", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: 400_000, scheduler: "dwcs", queueMessages: 200 });
  const options: SocketOptions[] = [
    { ipg: 5, oln: 1, old: 3, queueMessages: 50 },
    { ipg: 10, droppable: false },
    { queueBytes: 20_000 },
  ];
  const sockets = options.map((each) => link.open({ ...each, to: peer.address }));
  let seed = 7;
  const random = (below: number) => (seed = seed * 48271 % 0x7fffffff) % below;
  const accepted = sockets.map(() => 0);
  // fewer in an emulated guest, where Deno's receiver spends most of its time collecting garbage
  const rounds = areBelow() ? 25 : 100;
  for (let round = 0; round < rounds; round++) {
    for (let number = 0; number < 8; number++) {
      const index = random(3);
      const whole = { frame: "whole", level: random(3) } as const;
      const drop = random(7) as 0;
      try {
        sockets[index].send(message(number, 1 + random(1400)), {
          ...(random(2) && whole),
          drop,
          deadline: 1 + random(60),
        });
        accepted[index]++;
      } catch (error) {
        assert.match((error as { code: string }).code, /^(ENOBUFS|ETIME)$/);
        accepted[index]++;
      }
    }
    sockets.forEach((socket) => assertCounted(socket.info()));
    assertCounted(link.info());
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const finals = await Promise.all(sockets.map((socket) => socket.close({ drain: true })));
  finals.forEach((info, index) => {
    assertCounted(info);
    assert.equal(info.queued, 0);
    assert.equal(info.offered, accepted[index]);
  });
  const total = link.info();
  assert.equal(total.offered, 8 * rounds);
  assert.equal(total.streams, 0);
  assertCounted(total);
});

test("change alters what is given and keeps the rest", () => {
  using link = openLink({ rate: FAST });
  using socket = link.open({ ipg: 10, oln: 1, old: 4 });
  qchange(socket, { ipg: 2.5, droppable: false });
  const { ipg, oln, old, droppable } = qinfo(socket);
  assert.deepEqual([ipg, oln, old, droppable], [2.5, 1, 4, false]);
  assert.throws(() => socket.change({ oln: 5 }), /^RangeError: Cannot change the socket: oln must/);
  assert.equal(socket.info().oln, 1);
  if (areBelow()) return; // the device's rate is its owner's
  qchange(link, { rate: "5mbit" });
  assert.equal(link.rate, 625_000);
  assert.equal(link.info().rate, 625_000);
  assert.throws(() => link.change({ rate: 0 }), /Cannot change the link: rate must be above 0/);
});
