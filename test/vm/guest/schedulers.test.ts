// Every scheduler that there is for below the stack, on a device of its own: it carries traffic by
// its rules, and counts all of it.
//
// runtime: bun, as what decides is C alone

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { DELAY_EDGES } from "../../../ffi/delay.ts";
import type { SocketInfo } from "../../../ffi/info.ts";
import { Link, restoreDevice } from "../../../ffi/link.ts";
import type { QSocket } from "../../../ffi/socket.ts";
import { gate, guestTest, sh } from "./guest.ts";

const DEVICE = "vmpolicy";
const TO = { hostname: "10.79.0.2", port: 5004 };
const RATE = "100kbit"; // a message of 1000 bytes takes 82 ms
const SCHEDULERS = ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "fifo"] as const;
const DEADLINE = 500; // which six of them meet
const MESSAGES = 20;

/** A link of this process on a device that has the scheduler. */
async function withLink(scheduler: string, run: (link: Link) => Promise<void>): Promise<void> {
  sh(`set -e
    ip link add ${DEVICE} type dummy
    ip addr add 10.79.0.1/24 dev ${DEVICE}
    ip link set ${DEVICE} up`);
  try {
    new Link({ device: DEVICE, scheduler: scheduler as "dwcs", rate: RATE, system: true }).close();
    const link = new Link({ device: DEVICE });
    try {
      assert.deepEqual([link.host, link.info().gate], ["below", gate], link.hostReason);
      await run(link);
    } finally {
      link.close();
      restoreDevice(DEVICE);
    }
  } finally {
    sh(`ip link del ${DEVICE}`);
  }
}

async function drained(socket: QSocket): Promise<SocketInfo> {
  let info = socket.info();
  for (; info.queued > 0; info = socket.info()) await pause(20);
  return info;
}

const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);

for (const scheduler of SCHEDULERS) {
  guestTest(`${scheduler}: sends what can arrive in time, and says how long it took`, async () => {
    await withLink(scheduler, async (link) => {
      const socket = link.open({ to: TO, ipg: 100, oln: 1, old: 2 });
      for (let i = 0; i < MESSAGES; i++) socket.send(new Uint8Array(1000), { deadline: DEADLINE });
      const info = await drained(socket);
      assert.equal(info.scheduler, scheduler);
      assert.equal(info.offered, MESSAGES);
      assert.equal(info.sent + info.late + sum(Object.values(info.dropped)), MESSAGES);
      const lossless = ["edf-lossless", "fifo"].includes(scheduler);
      assert.equal(info.sent + info.late === MESSAGES, lossless, JSON.stringify(info));
      assert.equal(info.late > 0, lossless);
      assert.ok(info.sent > 0);
      assert.equal(sum(info.delays), info.sent + info.late);
      const lastBucket = info.delays.findLastIndex((count) => count > 0);
      assert.ok(info.delay.max < (DELAY_EDGES[lastBucket] ?? Infinity));
      assert.ok(info.delay.max >= (DELAY_EDGES[lastBucket - 1] ?? 0));
      const all = link.info();
      assert.ok(sum(all.delays) >= sum(info.delays));
      assert.equal(sum(all.delays), all.sent + all.late);
      socket.close();
      if (scheduler === "sfq") await shares(link);
    });
  });
}

/** Streams that wait share by their weights. */
async function shares(link: Link): Promise<void> {
  const heavy = link.open({ to: TO, weight: 3 });
  const light = link.open({ to: TO, weight: 1 });
  for (let i = 0; i < 60; i++) {
    light.send(new Uint8Array(1000));
    heavy.send(new Uint8Array(1000));
  }
  for (;;) {
    const before = heavy.info().sent;
    const slow = light.info().sent;
    const fast = heavy.info();
    if (before === fast.sent && fast.sent >= 30) {
      assert.ok(fast.queued > 0, "it was too late to look");
      // in each, one packet more than its share, and one more before the other stream came
      assert.ok(Math.abs(fast.sent - 3 * slow) <= 3 + 3 + 3, `${fast.sent} beside ${slow}`);
      return;
    }
    await pause(10);
  }
}
