// The host below the stack, as unprivileged programs use it: their sockets on a device whose queue
// is the scheduler. The other end is in a network namespace, and tells what arrives there.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { asUser, attempt, evaluate, guestTest, sh } from "./guest.ts";

const PROGRAM_MS_MAX = 50_000;
const PORT = 5004;
const V4 = "10.78.0.2";
const V6 = "fd78::2";

/** A program whose lines are read as they come. */
interface Program {
  /** The next line, as JSON. */
  // deno-lint-ignore no-explicit-any
  next(): Promise<any>;
  write(line: string): void;
  end(): void;
}

function start(words: readonly string[]): Program {
  const [command, ...args] = words;
  const child: ChildProcess = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr!.on("data", (data) => errors += data);
  const timer = setTimeout(() => child.kill("SIGKILL"), PROGRAM_MS_MAX);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    async next() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the program ended, and said\n${errors}`);
      return JSON.parse(value);
    },
    write: (line) => void child.stdin!.write(line + "\n"),
    end() {
      clearTimeout(timer);
      child.kill("SIGKILL");
    },
  };
}

const IMPORTS = `
  import { Link } from "/project/mod.ts";
  import { createInterface } from "node:readline";
  const say = (value) => console.log(JSON.stringify(value));
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const codeOf = (run) => { try { run(); return null; } catch (error) { return error.code; } };
  async function drained(socket) {
    let info = socket.info();
    while (info.queued > 0) { await pause(5); info = socket.info(); }
    return info;
  }
`;

/** A program of one of the guest's users, or of root. */
function program(user: "alice" | "bob" | "root", text: string): Program {
  const words = evaluate(`import process from "node:process";${IMPORTS}${text}`);
  return start(user === "root" ? words : asUser(user, words));
}

/** Says, for each line written to it, the first byte and the length of each datagram so far. */
const RECEIVER = `
  import { createSocket } from "node:dgram";
  const got = [];
  const socket = createSocket({ type: "udp6", ipv6Only: false, recvBufferSize: 1 << 20 });
  socket.on("message", (data) => got.push([data[0], data.length]));
  socket.bind(${PORT}, "::", async () => {
    say("ready");
    for await (const _ of input) { await pause(100); say(got); }
  });
`;

/** Sums what TCP brings, and says it when the connection ends. */
const SINK = `
  import { createServer } from "node:net";
  createServer((connection) => {
    const got = [];
    connection.on("data", (data) => got.push(data));
    connection.on("end", () => say(Buffer.concat(got).toString()));
  }).listen(${PORT}, "::", () => say("ready"));
`;

interface Setting {
  other: Program;
}

/** A pair of devices, one of them initialised for the group video, the other end listening. */
function deviceTest(
  name: string,
  rate: string,
  run: (setting: Setting) => Promise<void>,
  listener = RECEIVER,
): void {
  guestTest(name, async () => {
    sh(`set -e
      ip netns add vmbelow
      ip link add vmbelow0 type veth peer name vmbelow1 netns vmbelow
      ip addr add 10.78.0.1/24 dev vmbelow0
      ip addr add fd78::1/64 dev vmbelow0 nodad
      ip link set vmbelow0 up
      ip -n vmbelow addr add ${V4}/24 dev vmbelow1
      ip -n vmbelow addr add ${V6}/64 dev vmbelow1 nodad
      ip -n vmbelow link set lo up
      ip -n vmbelow link set vmbelow1 up
      ping -c 1 -W 5 ${V4} && ping -6 -c 1 -W 5 ${V6}`);
    const words = evaluate(`import process from "node:process";${IMPORTS}${listener}`);
    const other = start(["ip", "netns", "exec", "vmbelow", ...words]);
    const root = program(
      "root",
      `
      const link = new Link({
        device: "vmbelow0", scheduler: "dwcs", rate: "${rate}", system: true, group: "video",
      });
      link.close();
      say("initialised");
    `,
    );
    try {
      assert.equal(await other.next(), "ready");
      assert.equal(await root.next(), "initialised");
      await run({ other });
    } finally {
      root.end();
      other.end();
      attempt(
        `${
          evaluate(`import { restoreDevice } from "/project/mod.ts"; restoreDevice("vmbelow0");`)
            .map((word) => `'${word}'`).join(" ")
        }; ip link del vmbelow0; ip netns del vmbelow`,
      );
    }
  });
}

/** Messages of 1000 bytes with deadlines that a link of 1 Mbit/s keeps for about a tenth. */
const sendMany = (hostname: string) => `
  const link = new Link({ device: "vmbelow0" });
  const socket = link.open({ to: { hostname: "${hostname}", port: ${PORT} } });
  for (let i = 0; i < 100; i++) {
    socket.send(new Uint8Array(1000), { deadline: 100, drop: 3, frame: "whole", level: 2 });
  }
  say({ uid: process.getuid(), scheduler: link.scheduler, info: await drained(socket) });
  socket.close();
  link.close();
`;

for (const [family, hostname] of [["IPv4", V4], ["IPv6", V6]]) {
  deviceTest(
    `an unprivileged user of the group sends with deadlines and is obeyed, ${family}`,
    "1mbit",
    async ({ other }) => {
      const alice = program("alice", sendMany(hostname));
      const { uid, info } = await alice.next();
      alice.end();
      assert.equal(uid, 1000);
      assert.equal(info.host, "below");
      assert.equal(info.scheduler, "dwcs");
      assert.equal(info.rate, 125_000);
      assert.equal(info.offered, 100);
      assert.equal(info.queued, 0);
      assert.ok(info.sent > 0 && info.dropped.expired > 0, JSON.stringify(info));
      assert.equal(info.sent + info.late + info.dropped.expired, 100);
      assert.equal(info.droppedByPriority[3], info.dropped.expired);
      other.write("");
      assert.equal((await other.next()).length, info.sent + info.late);
    },
  );
}

deviceTest("a user outside the group is refused", "10mbit", async () => {
  const bob = program(
    "bob",
    `
    say(codeOf(() => new Link({ device: "vmbelow0" })));
  `,
  );
  assert.equal(await bob.next(), "EACCES");
  bob.end();
});

deviceTest("a frame that the kernel cuts is dropped whole", "1mbit", async ({ other }) => {
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "vmbelow0" });
    const socket = link.open({ to: { hostname: "${V4}", port: ${PORT} } });
    for (let frame = 0; frame < 20; frame++) {
      const data = new Uint8Array(5000).fill(frame);
      socket.send(data, { deadline: 250, frame: "whole", level: 2, segment: 1000 });
    }
    say(await drained(socket));
  `,
  );
  const info = await alice.next();
  alice.end();
  other.write("");
  const segments = new Map<number, number>();
  for (const [frame] of await other.next()) segments.set(frame, (segments.get(frame) ?? 0) + 1);
  assert.deepEqual(new Set(segments.values()), new Set([5]));
  assert.equal(info.frames.offered[2], 20);
  assert.equal(info.frames.sent[2], segments.size);
  assert.ok(segments.size < 20, "none was dropped");
  assert.equal(info.frames.partial, 0);
});

for (const [family, hostname] of [["IPv4", V4], ["IPv6", V6]]) {
  deviceTest(`a message that is cut into fragments is dropped whole, ${family}`, "1mbit", async (
    { other },
  ) => {
    const alice = program(
      "alice",
      `
    const link = new Link({ device: "vmbelow0" });
    const socket = link.open({ to: { hostname: "${hostname}", port: ${PORT} } });
    for (let frame = 0; frame < 20; frame++) {
      socket.send(new Uint8Array(4000).fill(frame), { deadline: 250, frame: "whole", level: 2 });
    }
    say(await drained(socket));
    for (const frame of ["start", "middle", "end"]) {
      socket.send(new Uint8Array(4000).fill(100), { frame, level: 1 });
    }
    socket.send(new Uint8Array(4000).fill(101));
    say(await drained(socket));
  `,
    );
    const info = await alice.next();
    const after = await alice.next();
    alice.end();
    other.write("");
    const got = (await other.next()) as [number, number][];
    assert.ok(got.every(([, bytes]) => bytes === 4000));
    const frames = got.filter(([frame]) => frame < 20);
    assert.equal(info.frames.offered[2], 20);
    assert.equal(info.frames.sent[2], frames.length);
    assert.ok(frames.length < 20, JSON.stringify(info));
    assert.equal(info.offered, 3 * 20);
    // A frame of cut messages is one frame, and a message without marks arrives as well.
    assert.equal(after.frames.offered[1], 1);
    assert.equal(after.frames.sent[1], 1);
    assert.deepEqual(got.slice(frames.length).map(([frame]) => frame), [100, 100, 100, 101]);
  });
}

deviceTest("a stream is changed, and tells what it is", "10mbit", async () => {
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "vmbelow0" });
    const alone = link.info().streams;
    const to = { hostname: "${V4}", port: ${PORT} };
    const socket = link.open({ to, ipg: 10, oln: 1, old: 4, bytes: 1000 });
    const before = socket.info();
    socket.send(new Uint8Array(100));
    socket.change({ ipg: 20, old: 8 });
    socket.send(new Uint8Array(100));
    say({ before, after: await drained(socket), alone, link: link.info() });
    await input.next();
  `,
  );
  const { before, after, alone, link } = await alice.next();
  alice.end();
  assert.deepEqual([before.ipg, before.oln, before.old, before.bytes], [10, 1, 4, 1000]);
  assert.deepEqual([after.ipg, after.oln, after.old, after.bytes], [20, 1, 8, 1000]);
  assert.equal(after.sent, 2);
  assert.equal(after.utilisation, 0.035); // of eight, one may be lost
  assert.ok(after.stack.sndbufBytes > 0);
  assert.equal(link.streams, alone + 1);
  assert.ok(link.sent >= 2);
});

deviceTest("a queue that is replaced under a running stream is noticed", "10mbit", async () => {
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "vmbelow0" });
    const socket = link.open({ to: { hostname: "${V4}", port: ${PORT} } });
    socket.send(new Uint8Array(100), { deadline: 1000 });
    say("sending");
    let code = null;
    for (let i = 0; i < 10_000 && code === null; i++) {
      code = codeOf(() => socket.send(new Uint8Array(100), { deadline: 1000 }));
      await pause(1);
    }
    say({ code, info: socket.info() });
  `,
  );
  assert.equal(await alice.next(), "sending");
  sh("tc qdisc replace dev vmbelow0 root pfifo");
  const { code, info } = await alice.next();
  alice.end();
  assert.equal(code, "ENOLINK");
  assert.equal(info.dropped.error, 1);
  assert.equal(info.lastError, "ENOLINK");
});

deviceTest("TCP has its stream's contract, and its messages stay whole", "10mbit", async (
  { other },
) => {
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "vmbelow0" });
    const to = { hostname: "${V4}", port: ${PORT} };
    const socket = link.open({ type: "tcp", to, ipg: 20, old: 8 });
    for (let i = 0; i < 20; i++) socket.send(new TextEncoder().encode("message " + i + ";"));
    say(socket.info());
    await socket.close({ drain: true });
    say("closed");
  `,
  );
  const info = await alice.next();
  const expected = Array.from({ length: 20 }, (_, i) => `message ${i};`).join("");
  assert.equal(await alice.next(), "closed");
  assert.equal(await other.next(), expected);
  alice.end();
  assert.equal(info.host, "below");
  assert.equal(info.ipg, 20);
  assert.ok(info.stack.tcp.cwnd > 0 && info.stack.tcp.peerWindowBytes > 0);
}, SINK);
