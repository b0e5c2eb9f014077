import assert from "node:assert/strict";
import { test } from "node:test";
import { monotonic } from "../ffi/clock.ts";
import type { SocketInfo } from "../ffi/info.ts";
import type { QMessage } from "../ffi/options.ts";
import { message } from "./counters.ts";
import { openLink } from "./links.ts";
import { udpPeer } from "./receiver.ts";

const FAST = "1gbit";
const SLOW = 20_000; // bytes per second: a message of 1000 bytes takes 50 ms

test("writable waits for room rather than lose messages", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: 2_000_000 });
  const socket = link.open({ to: peer.address, queueMessages: 20 });
  let number = 0;
  const source = new ReadableStream<QMessage>({
    pull(controller) {
      if (number === 80) controller.close();
      else controller.enqueue({ data: message(number++) });
    },
  });
  await source.pipeTo(socket.writable);
  assert.equal(socket.handle, 0);
  await peer.until(({ received }) => received.length === 80);
  peer.received.forEach((data, number) => assert.equal(data[0], number & 255));
  const info = link.info();
  assert.equal(info.sent, 80);
  assert.equal(info.dropped.overflow, 0);
});

test("writable holds nothing back whose time runs already", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: 2000 });
  using socket = link.open({ to: peer.address, queueMessages: 4, ipg: 1, oln: 1, old: 1 });
  const writer = socket.writable.getWriter();
  const deadlineAt = monotonic() + 60_000;
  for (let drop = 0; drop < 6; drop++) {
    await writer.write({
      data: message(drop),
      deadlineAt,
      drop: drop as 0,
      frame: "whole",
      level: 2,
    });
  }
  // No time has passed for more than the first: the scheduler chose whom to evict.
  assert.ok(socket.info().dropped.overflow >= 1);
});

test("writable takes several messages at once, each to its own peer", async () => {
  await using a = await udpPeer();
  await using b = await udpPeer();
  using link = openLink({ rate: FAST });
  const writer = link.open().writable.getWriter();
  await writer.write({
    messages: [
      { data: message(1), to: a.address, frame: "start" },
      { data: message(2), to: a.address, frame: "end" },
      { data: message(3), to: b.address },
    ],
  });
  await writer.close();
  await a.until(({ received }) => received.length === 2);
  await b.until(({ received }) => received.length === 1);
});

test("writable leaves to the counters what the scheduler drops, and fails of the rest", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: SLOW });
  const socket = link.open({ to: peer.address, queueBytes: 1000 });
  const writer = socket.writable.getWriter();
  await writer.write({ data: message(1), deadlineAt: monotonic() - 10 });
  await writer.write({ data: message(1, 2000) });
  assert.equal(socket.info().dropped.expired, 1);
  assert.equal(socket.info().dropped.overflow, 1);
  await assert.rejects(writer.write({ data: message(1), frame: "end" }), { code: "EPROTO" });
  await assert.rejects(writer.closed, { code: "EPROTO" });
});

test("writable closed in the middle of a frame rejects", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  const socket = link.open({ to: peer.address });
  const writer = socket.writable.getWriter();
  writer.closed.catch(() => {});
  await writer.write({ data: message(1), frame: "start" });
  await assert.rejects(writer.close(), {
    name: "RangeError",
    message: "Cannot close: a frame was started and not ended",
  });
  assert.equal(socket.handle, 0);
});

test("writable aborted closes the socket at once, also while it waits", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: 1000 });
  const socket = link.open({ to: peer.address, queueMessages: 4 });
  const writer = socket.writable.getWriter();
  writer.closed.catch(() => {});
  const messages = Array.from({ length: 10 }, (_, number) => ({ data: message(number) }));
  const write = writer.write({ messages });
  write.catch(() => {});
  await writer.abort(new Error("enough"));
  await assert.rejects(write, /enough/);
  assert.equal(socket.handle, 0);
});

test("stats gives counters until the socket is closed, the last ones included", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  const socket = link.open({ to: peer.address });
  const reader = socket.stats(1).getReader();
  assert.equal((await reader.read()).value?.offered, 0);
  socket.send(message(1));
  const drained = await socket.close({ drain: true });
  let last: SocketInfo | undefined;
  for (let read = await reader.read(); !read.done; read = await reader.read()) last = read.value;
  assert.deepEqual(last, drained);
  await assert.rejects(async () => await socket.stats(0).cancel(), RangeError);
  const cancelled = link.open().stats(60_000).getReader();
  const read = cancelled.read();
  await cancelled.cancel();
  assert.equal((await read).done, true);
});
