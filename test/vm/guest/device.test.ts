// A device that root has initialised for a group's streams: what changes while they use it, and what
// they may have of it.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Link } from "../../../ffi/link.ts";
import { type Actor, actor } from "./actor.ts";
import { isGuest } from "./guest.ts";
import { DEVICE, deviceTest, initialise, initialiseBelow, members, OTHER } from "./prepared.ts";

const TO = `{ hostname: "${OTHER}", port: 5004 }`;

let alice: Actor, root: Actor;

before(() => {
  if (!isGuest) return;
  alice = actor("alice");
  root = actor("root");
});

after(async () => {
  for (const one of [alice, root]) await one?.end();
});

deviceTest("another rate is taken over while a stream sends, and nothing is lost", async () => {
  initialiseBelow({ rate: "100kbit", group: "video" });
  alice.starts(`
    const link = new Link({ device: "${DEVICE}" });
    const socket = link.open({ to: ${TO}, droppable: false });
    const waits = async (most) => {
      while (socket.info().queued > most) await pause(2);
    };
    const timed = async () => {
      const start = performance.now();
      for (let i = 0; i < 40; i++) socket.send(new Uint8Array(1000));
      await waits(0);
      return performance.now() - start;
    };
    const slow = await timed();
    say("sending");
    while (link.info().rate === 12_500) {
      socket.send(new Uint8Array(1000));
      await waits(20);
    }
    await waits(0);
    const fast = await timed();
    const said = { slow, fast, rate: link.info().rate, info: socket.info() };
    socket.close();
    link.close();
    return said;
  `);
  assert.equal(await alice.next(), "sending");
  assert.equal(initialise({ rate: "8mbit", group: "video" }).rate, 1_000_000);
  const { slow, fast, rate, info } = await alice.next();
  assert.equal(rate, 1_000_000);
  // the rate is 80 times what it was: no guest is so slow that this could be hidden
  assert.ok(fast * 2 < slow, `40 messages took ${slow} ms, then ${fast} ms`);
  assert.ok(info.offered > 80);
  assert.deepEqual([info.sent, info.late, info.queued], [info.offered, 0, 0]);
  using link = new Link({ device: DEVICE });
  const { dropped } = link.info();
  assert.ok(Object.values(dropped).every((count) => count === 0), JSON.stringify(dropped));

  initialiseBelow({ rate: "8mbit", group: "video", mode: 0o600 });
  const code = await alice.does(`return codeOf(() => new Link({ device: "${DEVICE}" }));`);
  assert.equal(code, "EACCES");
});

deviceTest("what was initialised outlives the process that did it", async () => {
  const host = await root.does(`
    const system = { system: true, streams: 256, group: "video" };
    const link = new Link({ device: "${DEVICE}", rate: "10mbit", scheduler: "edf", ...system });
    return link.host;
  `);
  assert.equal(host, "below");
  await root.end(); // killed
  const info = await alice.does(`
    const link = new Link({ device: "${DEVICE}" });
    const socket = link.open({ to: ${TO} });
    for (let i = 0; i < 5; i++) socket.send(new Uint8Array(100), { deadline: 1000 });
    const info = await drained(socket);
    socket.close();
    link.close();
    return info;
  `);
  assert.deepEqual([info.host, info.scheduler, info.sent + info.late], ["below", "edf", 5]);
});

deviceTest("a socket that is refused holds no place, and may ask for less", async () => {
  initialiseBelow({ rate: "1mbit", group: "video" });
  const refused = await alice.does(`
    const plain = createSocket("udp4").bind(0, "10.79.0.1");
    await new Promise((resolve) => plain.on("listening", resolve));
    const link = new Link({ device: "${DEVICE}", admission: "refuse" });
    let error = {};
    try {
      link.attach(plain, { ipg: 10, bytes: 10_000 });
    } catch (caught) {
      error = caught;
    }
    say({ code: error.code, utilisation: error.utilisation });
    await input.next();
    const socket = link.attach(plain, { ipg: 100, bytes: 1000 });
    socket.sendto(new Uint8Array(100), ${TO});
    return "attached";
  `);
  assert.deepEqual(refused, { code: "EBUSY", utilisation: 8 });
  assert.equal(members(), 0);
  alice.write("");
  assert.equal(await alice.next(), "attached");
  assert.equal(members(), 1);
  using link = new Link({ device: DEVICE });
  assert.deepEqual([...link.streams()].map(({ bytes }) => bytes), [1000]);
});
