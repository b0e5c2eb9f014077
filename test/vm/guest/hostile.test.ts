// What hostile programs do below the stack, some that may open streams there and some that may not,
// while a stream goes on as if nothing were.

import assert from "node:assert/strict";
import { Link } from "../../../mod.ts";
import { ASIDE, DEVICE, deviceTest, membersLeft, PREPARED } from "./device.ts";
import type { Setting } from "./device.ts";
import type { Program } from "./program.ts";
import { hasCalls, sh } from "./guest.ts";
import { stream, wholeFrames } from "./traffic.ts";

const RATE = 125_000; // bytes per second
const FRAMES = 40;
const STREAM = { number: 1, ipg: 80, frames: FRAMES, deadline: 1000, oln: 1, old: 10 };
const STREAMS_MAX = 512; // a quarter of them one user's
const MESSAGES_MAX = 512;
const FLOWS = 20; // of a flood of eight times what the link takes
const ENDLESS_FRAMES = 4;
const LINK = { scheduler: "dwcs", streams: STREAMS_MAX, queueMessages: MESSAGES_MAX } as const;

const RAW = `
  import { AF_UNIX, attachArgs, attr, call, CALLS, GATE, RawSocket }
    from "/project/test/vm/guest/raw.ts";
  import { readFileSync } from "node:fs";
  const ifindex = Number(readFileSync("/sys/class/net/" + DEVICE + "/ifindex", "utf8"));
  const register = (socket, fields) => socket.register(ifindex, fields);
  const now = () => process.hrtime.bigint();
  const times = () => [
    0n, 1n, 0x3ffn, 0xffn, now() - 1n, now(), now() | 0x3ffn, now() + 10n ** 9n,
    now() + 10n ** 15n | 0x77n, 1n << 62n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n,
  ];
  const data = Buffer.alloc(1000, 9);
  say("ready");
  await input.next();
`;

/** Registers nothing, marks its messages as if it had, and sends much that has no mark. */
const STRANGER = `${RAW}
  const socket = new RawSocket().known().timed();
  const plain = Array.from({ length: ${FLOWS} }, () => new RawSocket().timed());
  say({ registered: register(socket) });
  for (;; await pause(20)) {
    for (const time of times()) socket.send(data, { hostname: V4, port: 9 }, time);
    for (const socket of plain) socket.send(data, { hostname: V4, port: 9 }, 0n);
  }
`;

/** What the gate must not take, by options of sockets: `taken`. */
const WRONG_OPTIONS = `
  const one = new RawSocket().known();
  const long = new Uint8Array(1 << 16), plain = attr();
  const taken = {
    short: one.set(GATE.stream, ifindex, plain, 47),
    nothing: one.set(GATE.stream, ifindex, plain, 0),
    long: one.set(GATE.stream, ifindex, long),
    longer: one.set(GATE.stream, ifindex, long, 49),
    nowhere: one.set(GATE.stream, ifindex, null, 48),
    elsewhere: one.set(GATE.stream, ifindex + 1000, plain),
    negative: one.set(GATE.stream, -ifindex, plain),
    flags: register(one, { flags: 0x80 }),
    window: register(one, { ipgNs: 1000n, oln: 3, old: 2 }),
    windows: register(one, { ipgNs: 1000n, oln: 0, old: 1 << 20 }),
    period: register(one, { ipgNs: (1n << 64n) - 1n }),
    unknown: register(new RawSocket()),
    unix: register(new RawSocket(AF_UNIX).known()),
    leave: one.set(GATE.leave, ifindex, new Uint8Array(1)),
    told: one.get(GATE.stream, ifindex, new Uint8Array(4096)),
    toldShort: one.get(GATE.link, ifindex, new Uint8Array(16)),
  };
`;

/** By calls of the kernel. */
const WRONG_CALLS = `
  const one = new RawSocket();
  const args = (fields) => attachArgs(one.fd, ifindex, attr(fields));
  const longer = (bytes) => {
    const some = new Uint8Array(bytes).fill(1);
    some.set(args());
    return some;
  };
  const attach = (given, length) => call(CALLS.attach, given, length);
  const taken = {
    short: attach(args(), 127),
    nothing: attach(args(), 0),
    longer: attach(longer(129)),
    long: attach(longer((1 << 14) - 1)),
    nowhere: attach(null, 128),
    elsewhere: attach(attachArgs(one.fd, ifindex + 1000, attr())),
    negative: attach(attachArgs(one.fd, -ifindex, attr())),
    closed: attach(attachArgs(100_000, ifindex, attr())),
    flags: register(one, { flags: 0x80 }),
    window: register(one, { ipgNs: 1000n, oln: 3, old: 2 }),
    windows: register(one, { ipgNs: 1000n, oln: 0, old: 1 << 20 }),
    period: register(one, { ipgNs: (1n << 64n) - 1n }),
    unix: register(new RawSocket(AF_UNIX)),
    leave: one.leave(ifindex),
    told: call(CALLS.info, new Uint8Array(new Uint32Array(220).fill(one.fd, 0, 1).buffer)),
    toldShort: call(CALLS.info, new Uint8Array(7)),
  };
`;

/** May open streams, and means no good by it. */
const MEMBER = `${RAW}
  ${hasCalls ? WRONG_CALLS : WRONG_OPTIONS}
  // Frames that never end, of which nothing may be dropped.
  const [middle, start] = [0x74n, 0x75n]; // qsocket.h's flags
  let endless = 0;
  for (; endless < ${ENDLESS_FRAMES}; endless++) {
    const socket = new RawSocket().known().timed();
    if (!register(socket)) break; // the other has all there are
    for (let i = 0; i < 80; i++) {
      const flags = i === 0 ? start : middle;
      socket.send(data.subarray(0, 1), { hostname: V4, port: 9 }, now() & ~0x3ffn | flags);
    }
  }

  // As many streams as there can be.
  const sockets = [];
  while (sockets.length < ${STREAMS_MAX} && register(sockets[sockets.push(new RawSocket().known()) - 1]));
  say({ taken, streams: endless + sockets.length - 1 });

  // On and off, this and that, while messages are on their way.
  const busy = sockets[0].timed(), fickle = sockets[1] ?? new RawSocket().known();
  const periods = [0n, 1n, 1000n, 3_600_000_000_000n];
  for (let i = 0;; i++) {
    register(busy, { flags: i & 1 });
    for (const time of times()) busy.send(data, { hostname: V4, port: 9 }, time);
    for (let j = 0; j < 20; j++) {
      fickle.leave(ifindex);
      register(fickle, { ipgNs: periods[j % 4] });
    }
    await pause(20);
  }
`;

/** What a stream counted, and its frames that came whole, as part of those it sent. */
async function served(alice: Program, { came }: Setting) {
  await came();
  // Its neighbour is known no more, and must be asked for through whatever else there is.
  sh(`ip neigh del ${ASIDE} dev ${DEVICE} || true`);
  alice.write("{}");
  const info = await alice.next();
  return { info, whole: wholeFrames((await came()).order[1]) / FRAMES };
}

deviceTest(
  "hostile programs, with and without streams of their own, do a stream no harm",
  { ...LINK, rate: RATE },
  async (setting) => {
    const { link, program } = setting;
    const alice = program("alice", stream({ ...STREAM, hostname: ASIDE }));
    const stranger = program("bob", STRANGER);
    const members = [program("mallory", MEMBER), program("mallory", MEMBER)];
    const hostile = [stranger, ...members];
    for (const one of [alice, ...hostile]) assert.equal(await one.next(), "ready");
    const calm = await served(alice, setting);

    for (const one of hostile) one.write("go");
    assert.deepEqual(await stranger.next(), { registered: false });
    let streams = 0;
    for (const member of members) {
      const done = await member.next();
      const taken = Object.keys(done.taken).filter((what) => done.taken[what]);
      assert.deepEqual(taken, [], "the gate took what it must not");
      streams += done.streams;
    }
    const waiting = link.info().queued;
    // the place of one's that comes and goes may have become the other's
    const most = STREAMS_MAX / 4 + members.length;
    assert.ok(streams >= STREAMS_MAX / 4 && streams <= most, `${streams} streams`);
    assert.ok(link.info().streams <= STREAMS_MAX / 4);
    assert.ok(waiting > ENDLESS_FRAMES, "no frame waits for its end");
    assert.ok(waiting < 0.9 * MESSAGES_MAX, `${waiting} of ${MESSAGES_MAX} messages are queued`);

    const attacked = await served(alice, setting);
    assert.ok(attacked.whole >= 0.9 * calm.whole, JSON.stringify({ calm, attacked }));
    assert.equal(attacked.info.violations, 0, JSON.stringify({ calm, attacked }));
    assert.equal(attacked.info.late, 0);
    assert.equal(attacked.info.dropped.overflow, 0);

    for (const one of [alice, ...hostile]) await one.end();
    assert.equal(link.info().streams, 0);
    // What was nobody's stream still waits: a faster link is soon through with it.
    new Link({ ...LINK, ...PREPARED, rate: "1gbit" }).close();
    sh(`ping -q -A -c 20 ${ASIDE}`); // each takes leave of some that are gone
    assert.deepEqual(membersLeft(), { members: 0, users: 0 });
    const [{ packets, drops, qlen }] = JSON.parse(sh(`tc -s -j qdisc show dev ${DEVICE}`));
    const info = link.info();
    const lost = Object.values(info.dropped).reduce((sum, count) => sum + count, 0);
    assert.deepEqual([packets, drops, qlen], [info.sent + info.late, lost, 0]);
    assert.equal(info.queued, 0);
  },
);
