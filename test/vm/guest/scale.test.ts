// Ten thousand streams below the stack, of one process, that wait all at once.

import assert from "node:assert/strict";
import { Link } from "../../../mod.ts";
import { DEVICE, deviceTest, membersLeft, PREPARED } from "./device.ts";
import { sh } from "./guest.ts";

const STREAMS = 10_000;
const HOPELESS = 1000; // of the last ones: each has a second message that cannot be in time
const NOBODY = "10.79.0.99"; // what comes there is counted by the device alone
const LEAVING_MAX = 64; // bpf/below.h's: those whom a packet takes leave of
const TRIES_MAX = 100;
const LINK = { scheduler: "dwcs", streams: 12_000, queueMessages: 2 * STREAMS } as const;

/** Sends a message of each, and then what is behind such a one, and is due before it can leave. */
const SENDER = `
  const memory = () => Number(readFileSync("/proc/self/status", "utf8").match(/VmRSS:\\s+(\\d+)/)[1]);
  const link = new Link({ device: DEVICE, admission: "off", streams: ${STREAMS} });
  const there = { hostname: "${NOBODY}", port: 9 };
  const data = Buffer.alloc(100, 1);
  const first = memory(), sockets = [];
  for (let i = 0; i < ${STREAMS}; i++) {
    sockets.push(link.open({ to: there, ipg: 1000, oln: 1, old: 2 }));
    sockets[i].send(data, { deadline: 3_600_000, drop: 3 });
  }
  for (const socket of sockets.slice(-${HOPELESS})) socket.send(data, { deadline: 1, drop: 3 });
  say({ kilobytes: memory() - first });
  await input.next();
  const some = sockets.filter((_, i) => i % 100 === 99).map((socket) => socket.info());
  say(some.map(({ sent, dropped, violations }) => [sent, dropped.expired, violations]));
  await input.next();
`;

/** Packets that have come out of the device's other end. */
function arrived(): number {
  const [{ stats64 }] = JSON.parse(sh("ip -n vmshare -s -j link show vmshare1"));
  return stats64.rx.packets;
}

deviceTest(
  "10,000 streams of a process are all served, counted and gone with it",
  { ...LINK, rate: "100kbit" }, // a hundred messages a second
  async ({ link, program }) => {
    sh(`ip neigh add ${NOBODY} dev ${DEVICE} nud permanent \
      lladdr $(ip netns exec vmshare cat /sys/class/net/vmshare1/address)`);
    const came = arrived(), before = link.info(); // in this order: what comes between is one more
    const root = program("root", SENDER);
    const { kilobytes } = await root.next();
    const full = link.info();
    assert.equal(full.streams, STREAMS);
    assert.ok(full.queued > STREAMS / 2, `${full.queued} messages wait`);
    assert.ok(kilobytes < STREAMS * 16, `${kilobytes} KB for ${STREAMS} streams`);

    // not faster: what comes to the other end in a burst it may not take
    new Link({ ...LINK, ...PREPARED, rate: "20mbit" }).close();
    let after = link.info();
    for (; after.queued > 0; after = link.info()) sh("sleep 0.05");
    const sent = after.sent - before.sent;
    assert.equal(after.late, 0);
    assert.equal(after.dropped.expired, HOPELESS);
    assert.equal(after.offered - before.offered, sent + HOPELESS);
    assert.ok(sent >= STREAMS, `${sent} were sent`);
    for (let i = 0; arrived() - came < sent && i < TRIES_MAX; i++) sh("sleep 0.05");
    const more = arrived() - came - sent; // what neighbours say of themselves
    assert.ok(more >= 0 && more < 10, `${more} more than were sent`);
    root.write("go");
    const some: number[][] = await root.next();
    assert.deepEqual(some.slice(0, -10), Array(90).fill([1, 0, 0]));
    assert.deepEqual(some.slice(-10), Array(10).fill([1, 1, 0]));

    await root.end();
    assert.equal(link.info().streams, 0);
    sh(`ping -q -A -c ${Math.ceil(STREAMS / LEAVING_MAX)} 10.79.0.2`);
    assert.deepEqual(membersLeft(), { members: 0, users: 0 });
    assert.equal(link.info().queued, 0);
  },
);
