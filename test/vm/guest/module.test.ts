// The scheduler in the kernel (kernel/linux), as modules of a stock kernel or built into one: its calls
// as programs without privileges use them.
// gate: module, syscall

import assert from "node:assert/strict";
import { asUser, sh } from "./guest.ts";
import {
  arrived,
  FAST,
  GATE,
  gate,
  isBuiltIn,
  type Line,
  linkWhere,
  moduleTest,
  SLOW,
  stay,
  V4,
  V6,
} from "./module.ts";

const EPERM = -1,
  E2BIG = -7,
  EBADF = -9,
  EACCES = -13,
  EFAULT = -14,
  EBUSY = -16,
  ENODEV = -19,
  EINVAL = -22,
  ENOTTY = -25,
  ENOSYS = -38,
  ENOLINK = -67,
  EDESTADDRREQ = -89,
  EMSGSIZE = -90,
  EPROTOTYPE = -91,
  EPROTONOSUPPORT = -93,
  EAFNOSUPPORT = -97,
  EALREADY = -114,
  ENOENT = -2,
  ERANGE = -34;
const EXPIRED = 1, OVERFLOW = 5, CLOSED = 7; // enum qsocket_reason

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
      // what was in time is counted by how long it took, all of it; a full queue takes long
      for (const { delays, sent, late } of [info, gate("root", "info", "vmmod0")[0]]) {
        assert.equal(delays.reduce((sum: number, count: number) => sum + count, 0), sent + late);
        assert.ok(delays.slice(8).some((count: number) => count > 0), `${delays}`);
      }
    },
  );
}

moduleTest("each of the seven schedulers carries traffic", () => {
  for (const scheduler of ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "fifo"]) {
    gate("root", "init", "vmmod0", scheduler, FAST, "replace");
    const [, info] = gate("alice", "send", "vmmod0", V4, 20, 1000, 1000, 0);
    assert.equal(info.scheduler, scheduler);
    assert.equal(info.sent, 20, JSON.stringify(info));
  }
});

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

moduleTest(
  "a message that the protocol stack cuts into fragments is sent and dropped whole",
  () => {
    for (const address of [V4, V6]) {
      gate("root", "init", "vmmod0", "dwcs", SLOW);
      const before = arrived();
      const [, info] = gate("alice", "send", "vmmod0", address, 20, 4000, 200, 0);
      assert.equal(info.offered, 60);
      assert.equal(info.framesOffered, 20);
      assert.ok(info.framesSent > 0 && info.framesSent < 20, JSON.stringify(info));
      // A guest that is given no time may have to break one off: it counts as such, and not as sent.
      assert.equal(arrived() - before, info.framesSent);
      gate("root", "off", "vmmod0");
    }
  },
);

moduleTest("a user who floods the queue leaves room in it to others", async () => {
  sh(`GATE_MESSAGES=100 ${GATE} init vmmod0 dwcs 10000`);
  const alice = stay("alice", "send", "vmmod0", V4, 1000, 1000, 0, 0, "stay");
  await alice.next();
  const { queued, dropped } = await alice.next();
  assert.ok(queued < 40 && dropped[OVERFLOW] > 900, `${queued} queued, ${dropped} dropped`);
  const root = stay("root", "send", "vmmod0", V4, 10, 1000, 0, 0, "stay");
  await root.next();
  assert.equal((await root.next()).dropped[OVERFLOW], 0);
  await alice.kill();
  await root.kill();
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
    ...(isBuiltIn ? {} : { type: ENOTTY }), // of the device alone
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
    flags: EINVAL,
    rate: EPERM,
    initialise: EPERM,
    device: ENODEV,
    closed: 0,
  });
  assert.equal(gate("root", "init", "vmmod0", "nonesuch", SLOW)[0].result, EPROTONOSUPPORT);
});

moduleTest("who may rule the network is told of all streams, and whose they are", async () => {
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  const all = [];
  for (const user of ["alice", "root", "alice"] as const) {
    const one = stay(user, "send", "vmmod0", V4, 10, 100, 0, 0, "stay");
    await one.next();
    await one.next();
    all.push(one);
  }
  const lists = [[1], [2], [16], [2, 40], [2, 1024]].map((room) =>
    gate("root", "list", "vmmod0", ...room)[0]
  );
  const users = all.map(({ pid }, i) => `${pid} ${i === 1 ? 0 : 1000}`);
  for (const { result, scope, streams } of lists) {
    assert.deepEqual([result, scope], [0, 2]);
    // a cookie is of the processor that gave it: their order is not that of opening
    const told = streams.map(({ pid, uid }: Line) => `${pid} ${uid}`);
    assert.deepEqual(told.sort(), users.toSorted());
    assert.deepEqual(streams.map(({ command }: Line) => command), ["gate", "gate", "gate"]);
    const cookies = streams.map(({ cookie }: Line) => cookie);
    assert.ok(cookies[0] < cookies[1] && cookies[1] < cookies[2], `${cookies}`);
    assert.ok(streams.every(({ last }: Line) => last === 0));
  }
  assert.ok(lists[0].streams.every(({ offered, kind }: Line) => offered === 10 && kind === 2));
  assert.ok(lists[3].streams.every(({ offered }: Line) => offered === 0)); // told of no more
  assert.equal(gate("alice", "list", "vmmod0")[0].result, EPERM);
  assert.equal(gate("root", "list", "vmmod0", 0)[0].result, ERANGE);
  assert.equal(gate("root", "list", "vmmod0", 1, 4)[0].result, EINVAL);
  // another's processes have no number there
  const elsewhere = JSON.parse(sh(`unshare --pid --fork ${GATE} list vmmod0`));
  assert.deepEqual(elsewhere.streams.map(({ pid }: Line) => pid), [0, 0, 0]);
  for (const one of all) await one.kill();
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
