// Senders that end in the middle of what they were doing: nothing of them stays below the stack, and
// whoever comes next starts clean.

import assert from "node:assert/strict";
import { ASIDE, deviceTest, membersLeft } from "./device.ts";
import { sh } from "./guest.ts";

const LOCAL_PORT = 6000;
const TRIES_MAX = 200;

const OPEN = `
  const link = new Link({ device: DEVICE });
  const local = { hostname: "10.79.0.1", port: ${LOCAL_PORT} };
  const socket = link.open({ to, local, ipg: 20, oln: 1, old: 8, bytes: 1042 });
`;

/** At 200 kbit/s a message takes 42 ms: three whole frames and a half are queued when it says so. */
const IN_THE_MIDST = `
  say("ready");
  await input.next();
  ${OPEN}
  const data = Buffer.alloc(1000, 1);
  for (const frame of ["whole", "whole", "whole", "start", "middle"]) {
    socket.send(data, { frame, deadline: 60_000, level: 2 });
  }
  say({ info: socket.info(), link: link.info() });
  await input.next();
`;

const CLEAN = `
  say("ready");
  await input.next();
  ${OPEN}
  const data = Buffer.alloc(1000, 2);
  for (let i = 0; i < 2; i++) socket.send(data, { frame: "whole", deadline: 60_000 });
  say(await drained(socket));
`;

/** Has a child that keeps its socket. */
const TESTATOR = `
  import { spawn } from "node:child_process";
  import { readFileSync } from "node:fs";
  import { RawSocket } from "/project/test/vm/guest/raw.ts";
  say("ready");
  await input.next();
  const ifindex = Number(readFileSync("/sys/class/net/" + DEVICE + "/ifindex", "utf8"));
  const socket = new RawSocket().known();
  if (!socket.register(ifindex)) throw new Error("not registered");
  const child = spawn("sleep", ["60"], { stdio: [socket.fd, "ignore", "ignore"] });
  child.on("spawn", () => say(child.pid));
`;

deviceTest(
  "a sender that is killed in the midst of a frame leaves nothing behind, nor an heir of its socket",
  { scheduler: "dwcs", rate: "200kbit" },
  async ({ link, came, program }) => {
    const before = link.info();
    const alice = program("alice", IN_THE_MIDST);
    const next = program("alice", CLEAN), testator = program("alice", TESTATOR);
    for (const one of [alice, next, testator]) assert.equal(await one.next(), "ready");
    alice.write("go");
    const { info, link: during } = await alice.next();
    assert.ok(info.frameOpen);
    assert.equal(info.offered, 5);
    assert.equal(during.streams, 1);
    assert.ok(during.utilisation > 0);
    await alice.end();

    // Who is counted, and what was booked, is gone with the socket; the queue notices at its next packet.
    assert.equal(link.info().streams, 0);
    assert.equal(link.info().utilisation, before.utilisation);
    sh(`ping -c 1 -W 5 ${ASIDE}`);
    assert.deepEqual(membersLeft(), { members: 0, users: 0 });
    const after = link.info();
    const arrived = (await came()).messages[1] ?? 0;
    assert.equal(after.queued, 0);
    assert.ok(arrived <= 3, `${arrived} messages came, and three are of whole frames`);
    assert.equal(after.dropped.closed - before.dropped.closed, 5 - arrived);

    next.write("go");
    const clean = await next.next();
    assert.equal(clean.offered, 2);
    assert.deepEqual(clean.frames.sent, [0, 0, 0, 2]);
    assert.deepEqual((await came()).messages, { 2: 2 });
    await next.end();

    testator.write("go");
    const heir = await testator.next();
    await testator.end();
    assert.equal(link.info().streams, 1, "the heir's socket is no stream");
    sh(`kill ${heir}`);
    let tries = 0;
    while (link.info().streams > 0 && ++tries < TRIES_MAX) sh("sleep 0.01");
    assert.equal(link.info().streams, 0);
    sh(`ping -c 1 -W 5 ${ASIDE}`);
    assert.deepEqual(membersLeft(), { members: 0, users: 0 });
  },
);
