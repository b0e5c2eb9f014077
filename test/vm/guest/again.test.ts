// A socket that leaves its device's scheduler and registers again, what root is told of its streams'
// delays, and how much TCP hands to the device at once.
//
// runtime: bun, as nothing of a runtime is tested

import assert from "node:assert/strict";
import { sh } from "./guest.ts";
import { counted, DEVICE, deviceTest, members, owner, program } from "./prepared.ts";

const PLAIN = `
  import { once } from "node:events";
  const plain = createSocket("udp4").bind(0, "10.79.0.1");
  await once(plain, "listening");
  const link = new Link({ device: "${DEVICE}", admission: "refuse" });
`;

deviceTest(
  "a socket that has sent and left is a new stream at once, on an idle device too",
  async () => {
    const root = owner();
    assert.equal((await root.does({ rate: "1mbit", group: "video" })).host, "below");
    const alice = program(
      "alice",
      `${PLAIN}
    const first = link.attach(plain, { ipg: 100, bytes: 1000 });
    first.sendto(new Uint8Array(100), to);
    const before = await drained(first);
    first.close();
    for (let i = 0; i < 50; i++) link.attach(plain, { ipg: 50, bytes: 1000 }).close();
    let refused = null;
    try { link.attach(plain, { ipg: 1, bytes: 10_000 }); } catch (error) { refused = error.code; }
    const again = link.attach(plain, { ipg: 20, bytes: 1000 });
    say({ before, refused, idle: again.info(), streams: link.info().streams });
    await input.next();
    for (let i = 0; i < 3; i++) again.sendto(new Uint8Array(100), to, { deadline: 1000 });
    say({ after: await drained(again) });
    await input.next();
    again.close();
    say("closed");
    await input.next();
  `,
    );
    const { before, refused, idle, streams } = await alice.next();
    assert.deepEqual([before.ipg, before.offered, before.sent], [100, 1, 1]);
    assert.equal(refused, "EBUSY");
    assert.deepEqual([idle.ipg, idle.offered, idle.sent], [20, 0, 0]);
    assert.deepEqual([streams, members(), counted()], [1, 1, 1]);
    const [listed] = (await root.does({ info: true })).streams;
    assert.deepEqual([listed.ipg, listed.offered], [20, 0]);
    alice.write("");
    const { after } = await alice.next();
    assert.deepEqual([after.ipg, after.offered, after.sent, after.late], [20, 3, 3, 0]);
    assert.equal((await root.does({ info: true })).streams[0].sent, 3);
    alice.write("");
    assert.equal(await alice.next(), "closed");
    sh("ping -c 1 -W 5 10.79.0.2"); // the next packet
    assert.deepEqual([members(), counted()], [0, 0]);
    const { info } = await root.does({ info: true });
    assert.deepEqual([info.streams, info.queued], [0, 0]);
    for (const one of [alice, root]) await one.end();
  },
);

deviceTest(
  "what a socket had queued when it left is lost, and nothing of what it sends anew",
  async () => {
    const root = owner();
    assert.equal((await root.does({ rate: "100kbit", group: "video" })).host, "below");
    const alice = program(
      "alice",
      `${PLAIN}
    const rounds = [];
    for (let round = 0; round < 5; round++) {
      const socket = link.attach(plain, { droppable: false });
      for (let i = 0; i < 3 + round; i++) socket.sendto(new Uint8Array(1000), to);
      if (round === 4) rounds.push(await drained(socket));
      else rounds.push(socket.info());
      socket.close();
    }
    say(rounds);
    await input.next();
  `,
    );
    const rounds = await alice.next();
    const offered = rounds.map(({ offered }: { offered: number }) => offered);
    assert.deepEqual(offered, [3, 4, 5, 6, 7]);
    assert.deepEqual([rounds[4].sent, rounds[4].queued], [7, 0]);
    const { info } = await root.does({ info: true });
    assert.ok(info.dropped.closed > 0, JSON.stringify(info.dropped));
    for (const one of [alice, root]) await one.end();
  },
);

deviceTest("root is told of a stream's delays, by all that was sent", async () => {
  const root = owner();
  assert.equal((await root.does({ rate: "1mbit", group: "video" })).host, "below");
  const alice = program(
    "alice",
    `${PLAIN}
    const socket = link.attach(plain, { droppable: false });
    for (let i = 0; i < 20; i++) socket.sendto(new Uint8Array(1000), to, { deadline: 60 });
    say(await drained(socket));
    await input.next();
  `,
  );
  const own = await alice.next();
  const [told] = (await root.does({ info: true })).streams;
  assert.deepEqual([told.sent, told.late], [own.sent, own.late]);
  assert.deepEqual(told.delays, own.delays);
  const sum = told.delays.reduce((all: number, count: number) => all + count, 0);
  assert.equal(sum, told.sent + told.late);
  assert.equal(sum, 20);
  assert.ok(told.delays.filter((count: number) => count > 0).length > 1, "of several lengths");
  for (const one of [alice, root]) await one.end();
});

deviceTest(
  "TCP hands the device as little at once as its rate wants, until it is given back",
  async () => {
    const root = owner();
    const segments = () => {
      const text = sh(`ip -d link show dev ${DEVICE}`);
      return Number(/gso_max_segs (\d+)/.exec(text)![1]);
    };
    const before = segments();
    assert.ok(before > 1000);
    const system = { rate: "4mbit", scheduler: "fifo" };
    assert.equal((await root.does(system)).host, "below");
    assert.equal(segments(), 1);
    assert.equal((await root.does({ ...system, rate: "100mbit" })).host, "below");
    assert.equal(segments(), 16);
    const { code } = await root.does({ ...system, scheduler: "cbq", host: "below", replace: true });
    assert.equal(code, "ENOTSUP"); // there is no such object, and nothing is left of what was
    assert.equal(segments(), before);
    assert.equal((await root.does(system)).host, "below");
    assert.equal(segments(), 1);
    assert.deepEqual(await root.does({ off: true }), { off: true });
    assert.equal(segments(), before);
    await root.end();
  },
);
