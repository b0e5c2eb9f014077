// One link for several processes below the stack: what each was promised it gets, whoever else sends,
// and the rest of the link is for those who were promised nothing.

import assert from "node:assert/strict";
import { DEVICE, deviceTest, type Setting } from "./device.ts";
import { sh } from "./guest.ts";
import { blast, bulk, stream, type StreamOptions, wholeFrames } from "./traffic.ts";

const RATE = 500_000; // bytes per second: 4 Mbit/s
const FRAMES = 150;
const RUNS_MAX = 3;
const STREAM = { ipg: 20, frames: FRAMES, deadline: 150, oln: 1, old: 10 };

/** What two streams, TCP and a blast made of the link in one run. */
async function contend(setting: Setting, link?: string) {
  const { came, program } = setting;
  const text = (number: number) => stream({ ...STREAM, number, link } as StreamOptions);
  const streams = [program("alice", text(1)), program("alice", text(2))];
  const rest = [program("bob", blast(4 * RATE)), program("root", bulk(4))];
  const all = [...streams, ...rest];
  for (const one of all) assert.equal(await one.next(), "ready");
  await came();
  const before = setting.link.info(), started = performance.now();
  for (const one of all) one.write("go");
  const infos = await Promise.all(streams.map((one) => one.next()));
  const seconds = (performance.now() - started) / 1000;
  const sentBytes = setting.link.info().sentBytes - before.sentBytes;
  const { order, tcp } = await came();
  for (const one of all) await one.kill();
  const whole = [wholeFrames(order[1]), wholeFrames(order[2])];
  return { infos, whole, tcp, sentBytes, utilisation: sentBytes / seconds / RATE };
}

deviceTest(
  "two processes share a link by their contracts, and bulk TCP takes the rest",
  { scheduler: "dwcs", rate: RATE },
  async (setting) => {
    let run = await contend(setting);
    // A guest whose host is busy elsewhere cannot keep its own clock's promises: once more, then.
    for (let i = 1; i < RUNS_MAX && run.utilisation < 0.9; i++) run = await contend(setting);
    const { infos, whole, tcp, sentBytes, utilisation } = run;
    for (const [i, info] of infos.entries()) {
      assert.equal(info.violations, 0, JSON.stringify({ info, utilisation }));
      assert.equal(info.late, 0);
      assert.equal(info.frames.partial, 0);
      assert.equal(info.frames.sent[3], whole[i], "the receiver has another count");
      assert.ok(whole[i] >= FRAMES * 0.9, `${whole[i]} of ${FRAMES} frames`);
    }
    assert.ok(tcp > sentBytes / 16, `TCP had ${tcp} of ${sentBytes} bytes`);
    assert.ok(utilisation > 0.9, `${utilisation} of the link`);

    // The same programs on a link as fast, whose queue knows nothing of them.
    sh(`tc qdisc replace dev ${DEVICE} root handle 1: htb default 1 &&
      tc class add dev ${DEVICE} parent 1: classid 1:1 htb rate ${RATE * 8} burst 3k &&
      tc qdisc add dev ${DEVICE} parent 1:1 pfifo limit 100`);
    const plain = await contend(setting, '{ rate: "1gbit" }');
    for (const [i, frames] of plain.whole.entries()) {
      assert.ok(frames < whole[i] / 2, `${frames} whole frames without a contract`);
    }
  },
);

/** Queues at once what the link takes more than half a second for, having asked for 3/4 of it. */
const BACKLOG = `
  const link = new Link({ device: DEVICE, admission: "off" });
  const ipg = ${1042 / (RATE / 2) / 0.75 * 1000};
  const socket = link.open({ to, ipg, oln: 1, old: 4, bytes: 1042 });
  say("ready");
  await input.next();
  for (let i = 0; i < 150; i++) socket.send(Buffer.alloc(1000, 1));
  say({ info: await drained(socket), booked: link.info().utilisation });
  await input.next();
`;

deviceTest(
  "best effort has its share of a link that is overbooked, and no more",
  { scheduler: "dwcs", rate: RATE / 2 },
  async ({ link, came, program }) => {
    const streams = [program("alice", BACKLOG), program("alice", BACKLOG)];
    const bob = program("bob", blast(RATE));
    for (const one of [...streams, bob]) assert.equal(await one.next(), "ready");
    bob.write("go");
    const before = link.info();
    for (const one of streams) one.write("go");
    const results = await Promise.all(streams.map((one) => one.next()));
    const all = link.info().sentBytes - before.sentBytes;
    await came();
    let managed = 0;
    for (const { info, booked } of results) {
      assert.ok(booked > 1, `${booked} is booked`);
      assert.equal(info.sent, 150);
      managed += info.sentBytes;
    }
    const rest = (all - managed) / all;
    assert.ok(rest > 1 / 32 && rest < 1 / 4, `best effort had ${rest} of the link`);
  },
);
