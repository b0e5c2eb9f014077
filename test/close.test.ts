import assert from "node:assert/strict";
import { test } from "node:test";
import { qchange, qclose, qinfo, qsocket } from "../ffi/calls.ts";
import { run } from "./child.ts";
import { assertCounted, lost, message } from "./counters.ts";
import { openLink } from "./links.ts";
import { udpPeer } from "./receiver.ts";

const FAST = "1gbit";
const SLOW = 20_000; // bytes per second: a message of 1000 bytes takes 50 ms

test("close discards what is queued, and the link counts it as closed", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: SLOW });
  const socket = link.open({ to: peer.address });
  for (let number = 0; number < 20; number++) socket.send(message(number));
  socket.close();
  // below the stack it is the queue that drops them, when it next looks
  while (link.info().queued > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const info = link.info();
  assert.ok(info.dropped.closed > 0);
  assert.equal(info.queued, 0);
  assert.equal(info.streams, 0);
  assertCounted(info);
});

test("close with drain sends what is queued, takes no more, and counts an open frame", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: 200_000 });
  const socket = link.open({ to: peer.address });
  for (let number = 0; number < 10; number++) socket.send(message(number));
  socket.send(message(99), { frame: "start" });
  const drained = socket.close({ drain: true });
  assert.throws(() => socket.send(message(1)), { code: "EBADF" });
  assert.equal(socket.close({ drain: true }), drained);
  const info = await drained;
  assert.equal(info.sent, 10);
  assert.equal(lost(info), 1);
  assertCounted(info);
  await peer.until(({ received }) => received.length === 10);
});

test("close gives up a drain that is under way", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: SLOW });
  const socket = link.open({ to: peer.address });
  for (let number = 0; number < 100; number++) socket.send(message(number));
  const drained = socket.close({ drain: true });
  await new Promise((resolve) => setTimeout(resolve, 5));
  socket.close();
  assert.ok((await drained).queued > 0);
  assert.equal(link.info().streams, 0);
});

test("a socket that is closed throws EBADF at every use, and closes again in silence", async () => {
  using link = openLink({ rate: FAST });
  const socket = link.open();
  const to = { hostname: "127.0.0.1", port: 9 };
  socket.close();
  socket.close();
  socket[Symbol.dispose]();
  assert.equal(socket.handle, 0);
  const uses: (() => unknown)[] = [
    () => socket.send(message(1)),
    () => socket.sendto(message(1), to),
    () => socket.change({ ipg: 1 }),
    () => socket.info(),
  ];
  for (const use of uses) assert.throws(use, { name: "QError", code: "EBADF" });
  await assert.rejects(socket.close({ drain: true }), { code: "EBADF" });
});

test("a link that is closed closes its sockets, and closes again in silence", () => {
  const link = openLink({ rate: FAST });
  const socket = link.open({ to: { hostname: "127.0.0.1", port: 9 } });
  qclose(link);
  qclose(link);
  assert.throws(() => socket.send(message(1)), { code: "EBADF" });
  assert.throws(() => qsocket(link), { code: "EBADF", message: /the link is closed/ });
  assert.throws(() => qchange(link, { rate: 1 }), { code: "EBADF" });
  assert.throws(() => qinfo(link), { code: "EBADF" });
  socket.close();
});

test("a closed socket's number is not another's", () => {
  using link = openLink({ rate: FAST });
  const first = link.open();
  const { handle } = first;
  first.close();
  using second = link.open();
  assert.notEqual(second.handle, handle);
});

test("a process ends while messages are queued", async () => {
  await using peer = await udpPeer();
  const calls = new URL("../ffi/calls.ts", import.meta.url).href;
  const child = run(`import { qsockinit } from ${JSON.stringify(calls)};
    const socket = qsockinit({ rate: 1000 }).open({ to: ${JSON.stringify(peer.address)} });
    for (let i = 0; i < 100; i++) socket.send(new Uint8Array(1000));
    console.log(socket.info().queued > 50);`);
  assert.deepEqual(child, { status: 0, signal: null, stdout: "true\n", stderr: "" });
});
