// The scheduler as kernel modules (kernel/linux), loaded into the stock kernel: their calls as
// programs without privileges use them through the gate, and the modules' own life. What arrives at
// the other end of the device is counted by that network's own kernel.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { asUser, attempt, guestTest, sh } from "./guest.ts";

const FOLDER = "/opt/qsockets";
const GATE = `${FOLDER}/gate`;
const V4 = "10.79.0.2";
const V6 = "fd79::2";
const SLOW = 125_000; // bytes per second: 1 Mbit/s
const FAST = 1_250_000;
const WAIT_MS_MAX = 5_000;
const FUZZ_SECONDS = 10;

const EPERM = -1, E2BIG = -7, EBADF = -9, EACCES = -13, EFAULT = -14, EBUSY = -16, EEXIST = -17;
const ENODEV = -19, EINVAL = -22, ENOTTY = -25, ENOSYS = -38, ENOLINK = -67, EDESTADDRREQ = -89;
const EMSGSIZE = -90, EPROTOTYPE = -91, EPROTONOSUPPORT = -93, EOPNOTSUPP = -95;
const EAFNOSUPPORT = -97, EALREADY = -114, ENOENT = -2;

const EXPIRED = 1, CLOSED = 7; // enum qsocket_reason

type User = "alice" | "bob" | "root";

/** What a line of the gate's program says. */
// deno-lint-ignore no-explicit-any
type Line = any;

function command(user: User, words: readonly (string | number)[]): string[] {
  const all = [GATE, ...words.map(String)];
  return user === "root" ? all : asUser(user, all);
}

/** Runs the gate's program to its end: the lines that it said. */
function gate(user: User, ...words: (string | number)[]): Line[] {
  return sh(command(user, words).join(" ")).trim().split("\n").map((line) => JSON.parse(line));
}

interface Running {
  next(): Promise<Line>;
  kill(): Promise<void>;
}

/** Starts one that stays. */
function stay(user: User, ...words: (string | number)[]): Running {
  const [program, ...args] = command(user, words);
  const child: ChildProcess = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    async next() {
      const { value, done } = await lines.next();
      assert.ok(!done, "the program ended");
      return JSON.parse(value);
    },
    kill() {
      child.kill("SIGKILL");
      return gone;
    },
  };
}

/** The link's counters, once they are as expected. */
async function linkWhere(holds: (link: Line) => boolean): Promise<Line> {
  const end = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const [link] = gate("root", "info", "vmmod0");
    if (holds(link)) return link;
    assert.ok(performance.now() < end, `still ${JSON.stringify(link)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Datagrams that have arrived at the other end, where nobody listens. */
function arrived(): number {
  const v4 = sh("ip netns exec vmmod sh -c 'grep ^Udp: /proc/net/snmp | tail -n 1'").split(" ");
  const v6 = sh("ip netns exec vmmod grep Udp6NoPorts /proc/net/snmp6").trim().split(/\s+/);
  return Number(v4[2]) + Number(v6[1]);
}

/** Loaded modules of ours, and how often each is used. */
function loaded(): Map<string, number> {
  const lines = sh("grep ^qsocket /proc/modules || true").split("\n").filter(Boolean);
  return new Map(lines.map((line) => [line.split(" ")[0], Number(line.split(" ")[2])]));
}

function load(): void {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".ko"));
  assert.ok(files.length > 1, `no modules in ${FOLDER}`);
  for (const file of ["qsockets.ko", ...files.filter((name) => name !== "qsockets.ko")]) {
    sh(`insmod ${FOLDER}/${file}`);
  }
}

/** With a pair of devices, the other one in a network of its own; the first test loads the modules. */
function moduleTest(name: string, run: () => void | Promise<void>): void {
  guestTest(name, async () => {
    if (loaded().size === 0) load();
    try {
      sh(`set -e
        ip netns add vmmod
        ip link add vmmod0 type veth peer name vmmod1 netns vmmod
        ethtool -K vmmod0 tx-udp-segmentation off
        ip addr add 10.79.0.1/24 dev vmmod0
        ip addr add fd79::1/64 dev vmmod0 nodad
        ip link set vmmod0 up
        ip -n vmmod addr add ${V4}/24 dev vmmod1
        ip -n vmmod addr add ${V6}/64 dev vmmod1 nodad
        ip -n vmmod link set lo up
        ip -n vmmod link set vmmod1 up
        ping -c 1 -W 5 ${V4} && ping -6 -c 1 -W 5 ${V6}`);
      await run();
    } finally {
      attempt("ip link del vmmod0; ip netns del vmmod");
    }
  });
}

for (const [family, address] of [["IPv4", V4], ["IPv6", V6]]) {
  moduleTest(
    `an unprivileged user of the group sends with deadlines and is obeyed, ${family}`,
    () => {
      gate("root", "init", "vmmod0", "dwcs", SLOW);
      const before = arrived();
      const [done, info] = gate("alice", "send", "vmmod0", address, 100, 1000, 100, 0);
      assert.deepEqual(done, { uid: 1000, stream: done.stream, accepted: 100, refused: 0 });
      assert.equal(info.host, 3);
      assert.equal(info.scheduler, "dwcs");
      assert.equal(info.rate, SLOW);
      assert.equal(info.offered, 100);
      // of 1 Mbit/s a tenth of the messages is in time
      assert.ok(info.sent > 0 && info.dropped[EXPIRED] > 0, JSON.stringify(info));
      assert.equal(info.sent + info.late + info.dropped[EXPIRED], 100);
      assert.equal(arrived() - before, info.sent + info.late);
    },
  );
}

moduleTest("frames that the kernel cuts are sent and dropped whole", () => {
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  const before = arrived();
  const [, info] = gate("alice", "send", "vmmod0", V4, 20, 5000, 250, 1000);
  assert.equal(info.framesOffered, 20);
  assert.equal(info.framesSent + info.dropped[EXPIRED], 20);
  assert.ok(info.framesSent > 0 && info.dropped[EXPIRED] > 0, JSON.stringify(info));
  assert.equal(info.framesPartial, 0);
  assert.equal(arrived() - before, 5 * info.framesSent);
});

moduleTest("a user outside the group, another network's and one without rights are refused", () => {
  assert.equal(gate("alice", "init", "vmmod0", "dwcs", SLOW)[0].result, EPERM);
  assert.equal(gate("alice", "info", "vmmod0")[0].result, ENOENT);
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  assert.equal(gate("bob", "info", "vmmod0")[0].result, EACCES);
  assert.equal(gate("alice", "off", "vmmod0")[0].result, EPERM);
  const elsewhere = asUser("alice", ["unshare", "-Urn", GATE, "info", "vmmod0"]).join(" ");
  assert.equal(JSON.parse(sh(elsewhere)).result, ENODEV);
});

moduleTest("who rules a network of their own may initialise a device there", () => {
  const script = `ip link add mine type veth peer name other &&
    ip addr add ${
    V4.replace(/2$/, "1")
  }/24 dev mine && ip link set mine up && ip link set other up &&
    GATE_GROUP=0 ${GATE} init mine edf ${SLOW} && ${GATE} info mine`;
  const words = asUser("alice", ["unshare", "-Urn", "sh", "-c", `'${script}'`]);
  const [made, link] = sh(words.join(" ")).trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(made.result > 0, JSON.stringify(made));
  assert.equal(link.scheduler, "edf");
});

moduleTest("calls that make no sense are refused, each for its reason", () => {
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  const [wrong] = gate("alice", "wrong", "vmmod0");
  assert.deepEqual(wrong, {
    unknown: ENOSYS,
    short: EINVAL,
    long: E2BIG,
    pointer: EFAULT,
    type: ENOTTY,
    again: EALREADY,
    family: EAFNOSUPPORT,
    protocol: EPROTOTYPE,
    link: EBADF,
    window: EINVAL,
    admission: EBUSY,
    overbooked: 1,
    stranger: ENOLINK,
    data: EFAULT,
    route: ENOLINK,
    size: EMSGSIZE,
    unconnected: EDESTADDRREQ,
    drain: EOPNOTSUPP,
    rate: EPERM,
    initialise: EPERM,
    device: ENODEV,
    closed: 0,
  });
  assert.equal(gate("root", "init", "vmmod0", "nonesuch", SLOW)[0].result, EPROTONOSUPPORT);
});

moduleTest("a configured qdisc is left and named, unless it is to be replaced", () => {
  sh("tc qdisc add dev vmmod0 root handle 7: pfifo limit 77");
  const [refused] = gate("root", "init", "vmmod0", "dwcs", SLOW);
  assert.equal(refused.result, EEXIST);
  assert.equal(refused.obstacle, "pfifo");
  assert.match(sh("tc qdisc show dev vmmod0"), /pfifo 7: root .*limit 77p/);
  assert.ok(gate("root", "init", "vmmod0", "dwcs", SLOW, "replace")[0].result > 0);
  assert.match(sh("tc qdisc show dev vmmod0"), /^qdisc qs_dwcs 5153: root/m);
  assert.equal(gate("root", "init", "vmmod0", "dwcs", SLOW)[0].rate, SLOW); // it is that already
  assert.equal(gate("root", "init", "vmmod0", "dwcs", FAST)[0].result, EBUSY);
  assert.equal(gate("root", "init", "vmmod0", "dwcs", FAST, "replace")[0].rate, FAST);
  assert.equal(gate("root", "init", "vmmod0", "vds", FAST, "replace")[0].scheduler, "vds");
  assert.equal(gate("root", "off", "vmmod0")[0].result, 0);
  assert.match(sh("tc qdisc show dev vmmod0"), /^qdisc noqueue/m);
  assert.match(attempt("tc qdisc add dev vmmod0 root qs_dwcs").output, /set up by QSOCKINIT/);
});

moduleTest("another rate is kept to at once, and what is queued stays", async () => {
  gate("root", "init", "vmmod0", "fifo", 2_000);
  const alice = stay("alice", "send", "vmmod0", V4, 50, 1000, 0, 0, "stay");
  assert.equal((await alice.next()).accepted, 50);
  assert.ok((await alice.next()).queued > 40);
  gate("root", "init", "vmmod0", "fifo", FAST, "replace");
  const link = await linkWhere(({ queued }) => queued === 0);
  assert.equal(link.streams, 1);
  assert.ok(link.sent >= 50 && link.dropped[CLOSED] === 0, JSON.stringify(link));
  await alice.kill();
});

moduleTest("tc shows what the scheduler has counted", () => {
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  const [, info] = gate("alice", "send", "vmmod0", V4, 50, 1000, 60, 0);
  const sent = () => gate("root", "info", "vmmod0")[0].sent;
  const least = sent(); // the network's own packets come and go
  const shown = sh("tc -s qdisc show dev vmmod0").match(
    /Sent (\d+) bytes (\d+) pkt \(dropped (\d+), overlimits (\d+) .*\n backlog (\d+)b (\d+)p/,
  )!.slice(1).map(Number);
  assert.ok(least <= shown[1] && shown[1] <= sent(), `${shown[1]} packets, and ${least} before`);
  assert.equal(shown[2], info.dropped[EXPIRED]);
  assert.ok(shown[3] > 0); // the link was busy
  assert.deepEqual(shown.slice(4), [0, 0]);
});

moduleTest("devices have schedulers of their own", () => {
  sh("ip link add vmmod2 type veth peer name vmmod3");
  try {
    gate("root", "init", "vmmod0", "dwcs", SLOW);
    gate("root", "init", "vmmod2", "edf-lossless", FAST);
    assert.equal(gate("root", "info", "vmmod0")[0].scheduler, "dwcs");
    assert.equal(gate("root", "info", "vmmod2")[0].scheduler, "edf-lossless");
    const [, info] = gate("alice", "send", "vmmod0", V4, 10, 100, 1000, 0);
    assert.equal(info.sent, 10);
    assert.equal(gate("root", "info", "vmmod2")[0].offered, 0);
  } finally {
    sh("ip link del vmmod2");
  }
  assert.equal(loaded().get("qsocket_edf_lossless"), 0);
});

moduleTest("a stream ends with its socket, when its program is killed", async () => {
  gate("root", "init", "vmmod0", "dwcs", 10_000);
  const alice = stay("alice", "send", "vmmod0", V4, 100, 1000, 0, 0, "stay");
  assert.equal((await alice.next()).accepted, 100);
  await linkWhere(({ streams, queued }) => streams === 1 && queued > 80);
  await alice.kill();
  const link = await linkWhere(({ streams }) => streams === 0);
  assert.ok(link.dropped[CLOSED] > 80, JSON.stringify(link));
  assert.equal(link.queued, 0);
});

moduleTest("a stream lives as long as anybody has its socket", async () => {
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  const alice = stay("alice", "pass", "vmmod0");
  assert.equal((await alice.next()).streams, 1); // who opened it has ended
  await new Promise((resolve) => setTimeout(resolve, 300)); // and has been looked for
  assert.equal(gate("root", "info", "vmmod0")[0].streams, 1);
  await alice.kill();
  await linkWhere(({ streams }) => streams === 0);
});

moduleTest("another qdisc ends the streams of the one before it", async () => {
  gate("root", "init", "vmmod0", "dwcs", 10_000);
  const alice = stay("alice", "send", "vmmod0", V4, 20, 1000, 0, 0, "stay");
  assert.equal((await alice.next()).accepted, 20);
  sh("tc qdisc replace dev vmmod0 root pfifo");
  assert.equal(gate("root", "info", "vmmod0")[0].result, ENOENT);
  assert.equal(loaded().get("qsocket_dwcs"), 0);
  await alice.kill();
});

moduleTest("ten times initialised and given back, nothing is left", () => {
  const memory = () => Number(sh("grep -c pcpu -v /proc/vmallocinfo"));
  gate("root", "init", "vmmod0", "dwcs", FAST);
  gate("alice", "send", "vmmod0", V4, 10, 1000, 1000, 0);
  gate("root", "off", "vmmod0");
  const before = memory(), qdiscs = sh("tc qdisc show dev vmmod0");
  for (let i = 0; i < 10; i++) {
    assert.ok(gate("root", "init", "vmmod0", "dwcs", FAST)[0].result > 0);
    gate("alice", "send", "vmmod0", V4, 10, 1000, 1000, 0);
    assert.equal(gate("root", "off", "vmmod0")[0].result, 0);
  }
  assert.equal(gate("root", "off", "vmmod0")[0].result, ENOENT);
  assert.ok(memory() - before < 10, `${before} areas of memory, then ${memory()}`);
  assert.equal(sh("tc qdisc show dev vmmod0"), qdiscs);
  assert.equal(loaded().get("qsocket_dwcs"), 0);
});

moduleTest("random calls of many threads, and a device that changes under them, do no harm", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}`);
  gate("root", "init", "vmmod0", "dwcs", FAST);
  const fuzz = `${FOLDER}/fuzz vmmod0 ${V4} ${FUZZ_SECONDS} ${seed}`;
  const done = sh(`${asUser("alice", [fuzz]).join(" ")} & ${fuzz}; wait`).trim().split("\n");
  assert.equal(done.length, 2);
  for (const { accepted, refused } of done.map((line) => JSON.parse(line))) {
    assert.ok(accepted > 0 && refused > 0, `${done}`);
  }
  assert.ok(gate("root", "init", "vmmod0", "vds", FAST, "replace")[0].result > 0);
  assert.equal(gate("root", "info", "vmmod0")[0].streams, 0);
  const [, info] = gate("alice", "send", "vmmod0", V4, 10, 100, 1000, 0);
  assert.equal(info.sent, 10);
});

moduleTest("unloading is refused while a device has a scheduler or anybody the gate", async () => {
  gate("root", "init", "vmmod0", "dwcs", 10_000);
  const alice = stay("alice", "send", "vmmod0", V4, 20, 1000, 0, 0, "stay");
  assert.equal((await alice.next()).accepted, 20);
  assert.match(attempt("rmmod qsocket-dwcs").output, /in use/);
  sh("ip link del vmmod0"); // the streams end with the device
  for (const name of loaded().keys()) if (name !== "qsockets") sh(`rmmod ${name}`);
  assert.match(attempt("rmmod qsockets").output, /in use/);
  await alice.kill();
  sh("rmmod qsockets");
  assert.equal(loaded().size, 0);
});
