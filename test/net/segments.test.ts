// What TCP hands to a prepared device at once: no more than the device's rate carries in 2 ms, or one
// segment; and what it had before, afterwards.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type LinkOptions, QError, restoreDevice } from "../../mod.ts";
import { cable, DEVICE, FAR, sh, start, states } from "./network.ts";
import { damage, initialise, RATE } from "./system.ts";

const MTU = 1500;

function segments(): number {
  return Number(/gso_max_segs (\d+)/.exec(sh(`ip -d link show dev ${DEVICE}`))![1]);
}

/** What is right at a rate: TCP's segments in 2 ms. */
function right(rate: number): number {
  return Math.max(1, Math.floor(rate * 0.002 / MTU));
}

test("TCP is limited by the rate, again when that is changed in place, and as before afterwards", () => {
  cable();
  const before = segments();
  assert.ok(before > 1000, "a device that does not limit it");
  for (const [rate, expected] of [[RATE, 1], [RATE * 100, 166], [1_500_000, 2], [12_000, 1]]) {
    assert.equal(right(rate), expected);
    initialise({ rate }).close();
    assert.equal(segments(), expected);
    if (rate === RATE * 100) initialise({ rate, mode: 0o666 }).close();
    assert.equal(segments(), expected);
  }
  initialise({ rate: RATE * 1000, scheduler: "dwcs", replace: true }).close(); // all of it anew
  assert.equal(segments(), right(RATE * 1000));
  restoreDevice(DEVICE);
  assert.equal(segments(), before);
});

test("a device that had few segments is given no more, and gets these back", () => {
  cable();
  sh(`ip link set ${DEVICE} gso_max_segs 3`);
  initialise({ rate: RATE * 1000 }).close();
  assert.equal(segments(), 3);
  initialise().close();
  assert.equal(segments(), 1);
  restoreDevice(DEVICE);
  assert.equal(segments(), 3);
});

test("what somebody has set since stays, and comes back if the rate is changed after that", () => {
  cable();
  initialise().close();
  sh(`ip link set ${DEVICE} gso_max_segs 7`);
  restoreDevice(DEVICE);
  assert.equal(segments(), 7);
  initialise({ rate: RATE * 2 }).close();
  assert.equal(segments(), 3);
  sh(`ip link set ${DEVICE} gso_max_segs 5`);
  initialise().close();
  assert.equal(segments(), 1);
  restoreDevice(DEVICE);
  assert.equal(segments(), 5);
});

test("a device whose initialisation fails or does not come to that has what it had", () => {
  cable();
  const before = segments();
  initialise().close();
  assert.equal(segments(), 1);
  const options: Partial<LinkOptions> = { host: "above", replace: true };
  initialise(options).close(); // no other host is wanted: it is given back
  assert.equal(segments(), before);
  assert.deepEqual(states(), []);
  initialise().close();
  try {
    initialise({ host: "below", replace: true }).close();
    restoreDevice(DEVICE); // this kernel can
  } catch (error) {
    if (!(error instanceof QError)) throw error;
    assert.equal(error.code, "ENOTSUP");
  }
  assert.equal(segments(), before);
  assert.deepEqual(states(), []);
});

test("what a crash left is set, or as it was before", () => {
  cable();
  const before = segments();
  initialise().close();
  damage((state) => state.writeUInt32LE(1, 12)); // its phase: begun
  sh(`ip link set ${DEVICE} gso_max_segs ${before}`); // it did not come to that
  initialise({ rate: RATE * 2 }).close();
  assert.equal(segments(), 3);
  damage((state) => state.writeUInt32LE(1, 12));
  restoreDevice(DEVICE);
  assert.equal(segments(), before);
});

test("of a device whose state was lost the kernel's default comes back", () => {
  cable();
  const before = segments();
  initialise().close();
  sh(`rm /run/qsockets/${states()[0]}`);
  restoreDevice(DEVICE);
  assert.equal(segments(), before);
  initialise().close();
  damage((state) => state.fill(0));
  initialise({ replace: true, rate: RATE * 2 }).close();
  assert.equal(segments(), 3);
  restoreDevice(DEVICE);
  assert.equal(segments(), before);
});

/** Bytes in a packet of the device, as it was handed to it, since the last call. */
function packetSizes(): () => number {
  let last = [0, 0];
  const since = () => {
    const { tx } = JSON.parse(sh(`ip -j -s link show dev ${DEVICE}`))[0].stats64;
    const now = [tx.bytes, tx.packets];
    const [bytes, packets] = now.map((count, i) => count - last[i]);
    last = now;
    return bytes / packets;
  };
  since();
  return since;
}

for (const hostname of [FAR.ipv4, FAR.ipv6]) {
  test(`TCP that is connected already makes small packets from then on, to ${hostname}`, async () => {
    cable();
    const sink = await start("sink.mjs", [], true);
    const connection = connect(5006, hostname);
    await once(connection, "connect");
    let sent = 0;
    const send = async (bytes: number) => {
      sent += bytes;
      await new Promise<void>((done) => connection.write(new Uint8Array(bytes), () => done()));
      // the kernel has all of it, and the far end, once nothing is unacknowledged
      while (!/ 0 +\S+:\d+ +\S+:5006/.test(sh("ss -Htn state established dst :5006"))) {
        await sleep(5);
      }
    };
    await send(1 << 20); // and a large window
    const mean = packetSizes();
    await send(4 << 20);
    assert.ok(mean() > 4 * MTU, "else nothing is shown here");
    initialise().close();
    await send(10_000); // what was made before
    mean();
    await send(300_000);
    const small = mean();
    assert.ok(small <= MTU + 14, `${small} bytes in a packet`);
    restoreDevice(DEVICE);
    await send(4 << 20);
    assert.ok(mean() > 4 * MTU, "and large ones again");
    connection.destroy();
    assert.equal(Number((await sink.end()).split("\n")[1]), sent);
  });
}
