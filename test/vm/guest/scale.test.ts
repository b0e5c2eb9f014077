// Ten thousand streams below the stack, of one process.

import assert from "node:assert/strict";
import { deviceTest, membersLeft } from "./device.ts";
import { sh } from "./guest.ts";

const STREAMS = 10_000;
const BEST_EFFORT_FLOWS = 64;

/** Opens them all, and sends each a message of which nobody can keep all deadlines, and one that is. */
const SENDER = `
  const memory = () => Number(readFileSync("/proc/self/status", "utf8").match(/VmRSS:\\s+(\\d+)/)[1]);
  import { readFileSync } from "node:fs";
  const link = new Link({ device: DEVICE, admission: "off", streams: ${STREAMS} });
  const first = memory(), sockets = [];
  for (let i = 0; i < ${STREAMS}; i++) {
    sockets.push(link.open({ to, ipg: 1000, oln: 1, old: 2 }));
  }
  const data = Buffer.alloc(100, 1);
  for (const deadline of [60_000, 1000]) {
    for (const socket of sockets) socket.send(data, { deadline, drop: 3 });
  }
  let info = link.info();
  while (info.queued > 0) { await pause(20); info = link.info(); }
  const sum = { offered: 0, sent: 0, late: 0, expired: 0, lost: 0, violations: 0 };
  for (const socket of sockets) {
    const { offered, sent, late, dropped, violations } = socket.info();
    sum.offered += offered;
    sum.sent += sent;
    sum.late += late;
    sum.expired += dropped.expired;
    sum.lost += Object.values(dropped).reduce((sum, count) => sum + count, 0);
    sum.violations += violations;
  }
  say({ sum, streams: info.streams, kilobytes: memory() - first });
  await input.next();
`;

deviceTest(
  "10,000 streams of a process are all served, counted and gone with it",
  { scheduler: "dwcs", rate: "20mbit", streams: 12_000, queueMessages: 4 * STREAMS },
  async ({ link, came, program }) => {
    const root = program("root", SENDER);
    const { sum, streams, kilobytes } = await root.next();
    assert.equal(streams, STREAMS);
    assert.equal(sum.offered, 2 * STREAMS);
    assert.equal(sum.sent + sum.lost, 2 * STREAMS);
    assert.equal(sum.late, 0);
    assert.equal(sum.lost, sum.expired);
    assert.ok(sum.sent >= STREAMS, "a message with all the time there is was lost");
    assert.equal(sum.violations, 0, JSON.stringify(sum));
    assert.equal((await came()).messages[1], sum.sent);
    assert.ok(kilobytes < STREAMS * 16, `${kilobytes} KB for ${STREAMS} streams`);
    await root.kill();
    assert.equal(link.info().streams, 0);
    // Each packet of anybody takes leave of 64 as it comes and of 64 as it goes.
    sh(`ping -q -A -c ${Math.ceil(STREAMS / BEST_EFFORT_FLOWS)} 10.79.0.2`);
    assert.deepEqual(membersLeft(), { members: 0, users: 0 });
    assert.equal(link.info().queued, 0);
  },
);
