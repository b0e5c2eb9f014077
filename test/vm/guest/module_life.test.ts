// The life of the kernel modules' devices and streams (kernel/linux): who ends them, what is left of
// them, and the modules' own end.
// gate: module, syscall

import assert from "node:assert/strict";
import process from "node:process";
import { asUser, attempt, sh } from "./guest.ts";
import {
  arrived,
  assertUnused,
  FAST,
  FOLDER,
  gate,
  linkWhere,
  loaded,
  moduleTest,
  SLOW,
  stay,
  V4,
} from "./module.ts";

const FUZZ_SECONDS = Number(process.env.QSOCKETS_FUZZ_SECONDS ?? 10);
const ROUND_SECONDS_MAX = 20; // then the device is made anew, as another seed goes on
const EBUSY = -16, EEXIST = -17, ENOENT = -2;
const CLOSED = 7; // enum qsocket_reason

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
  assertUnused("qsocket_edf_lossless");
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

moduleTest(
  "a stream that drains takes no more, sends what it has, and ends by itself",
  async () => {
    const EPIPE = -32, ENOLINK = -67, CLOSING = 2;
    const INCOMPLETE = 2; // enum qsocket_reason
    gate("root", "init", "vmmod0", "dwcs", SLOW);
    const came = arrived();
    const [drained] = gate("alice", "drain", "vmmod0", V4, 30, 1000);
    assert.deepEqual(drained, {
      accepted: 31,
      closing: 0,
      sent: EPIPE,
      more: 0,
      state: CLOSING,
      ended: ENOLINK,
      again: ENOLINK,
      hadTime: 1,
      hasTime: 0,
    });
    const link = await linkWhere(({ streams }) => streams === 0);
    assert.equal(arrived() - came, 30);
    assert.deepEqual([link.dropped[INCOMPLETE], link.dropped[CLOSED]], [1, 0]);
    // or is ended after all
    const [ended] = gate("alice", "drain", "vmmod0", V4, 30, 1000, "again");
    assert.deepEqual([ended.more, ended.ended, ended.hasTime], [0, ENOLINK, 0]);
    assert.ok(gate("root", "info", "vmmod0")[0].dropped[CLOSED] > 10);
  },
);

moduleTest("a stream that drains sends what it has, though its program is gone", async () => {
  gate("root", "init", "vmmod0", "dwcs", SLOW);
  const came = arrived();
  const alice = stay("alice", "drain", "vmmod0", V4, 40, 1000);
  await linkWhere(({ offered }) => offered >= 41);
  await linkWhere(({ dropped }) => dropped[2] === 1); // it drains
  await alice.kill();
  const link = await linkWhere(({ streams }) => streams === 0);
  assert.equal(arrived() - came, 40);
  assert.equal(link.dropped[CLOSED], 0, JSON.stringify(link));
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
  assertUnused("qsocket_dwcs");
  await alice.kill();
});

moduleTest("ten times initialised and given back, nothing is left", () => {
  // beside what is not given back at once, and stacks of threads
  const others = "pcpu|unpurged|kernel_clone|copy_process|dup_task_struct";
  const memory = () => Number(sh(`grep -Evc '${others}' /proc/vmallocinfo`));
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
  assertUnused("qsocket_dwcs");
});

for (let left = FUZZ_SECONDS; left > 0; left -= ROUND_SECONDS_MAX) {
  const seconds = Math.min(left, ROUND_SECONDS_MAX);
  moduleTest(
    `random calls of many threads for ${seconds} s, and a device that changes under them, do no harm`,
    async () => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      console.log(`seed ${seed}`);
      gate("root", "init", "vmmod0", "dwcs", FAST);
      const fuzz = `${FOLDER}/fuzz vmmod0 ${V4} ${seconds} ${seed}`;
      const done = sh(`${asUser("alice", [fuzz]).join(" ")} & ${fuzz}; wait`).trim().split("\n");
      assert.equal(done.length, 2);
      for (const { accepted, refused } of done.map((line) => JSON.parse(line))) {
        assert.ok(accepted > 0 && refused > 0, `${done}`);
      }
      // what still drains is done soon at such a rate
      assert.ok(gate("root", "init", "vmmod0", "vds", 100 * FAST, "replace")[0].result > 0);
      await linkWhere(({ streams }) => streams === 0);
      const [, info] = gate("alice", "send", "vmmod0", V4, 10, 100, 1000, 0);
      assert.equal(info.sent, 10);
    },
  );
}

moduleTest(
  "a scheduler's module is loaded for whoever asks, and needed while a device has it",
  () => {
    attempt("rmmod qsocket-vds"); // of another test
    assert.deepEqual([...loaded()], []);
    assert.equal(gate("root", "init", "vmmod0", "vds", SLOW)[0].scheduler, "vds");
    assert.deepEqual([...loaded()], [["qsocket_vds", 1]]);
    assert.match(attempt("rmmod qsocket-vds").output, /in use/);
    const [, info] = gate("alice", "send", "vmmod0", V4, 10, 100, 1000, 0);
    assert.equal(info.sent, 10);
    assert.equal(gate("root", "off", "vmmod0")[0].result, 0);
    sh("rmmod qsocket-vds");
  },
  { form: "built-in" },
);

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
}, { form: "modules" });
