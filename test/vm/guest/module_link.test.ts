// What a device's traffic gets of its link, with the kernel modules (kernel/linux): TCP with a contract
// beside TCP without, and all of a device's transmit queues behind one scheduler.
// gate: module, syscall

import assert from "node:assert/strict";
import {
  arrived,
  FAST,
  FOLDER,
  gate,
  type Line,
  linkWhere,
  loaded,
  moduleTest,
  type Running,
  SLOW,
  start,
  stay,
  V4,
} from "./module.ts";
import { asUser, attempt, sh } from "./guest.ts";

const TCP = `${FOLDER}/tcp`;
const EEXIST = -17;
const CONNECTIONS = 4; // without a contract
// of a link of 1250 bytes a millisecond, more than one of five has without one
const IPG_US = 1600, BYTES = 1000;
const SECONDS = 4;

moduleTest(
  "TCP with a contract gets what it asked for beside bulk TCP, and without it does not",
  async () => {
    gate("root", "init", "vmmod0", "dwcs", FAST);
    const programs: Running[] = [];
    const running = async (words: string[]) => {
      programs.push(start(words));
      assert.equal(await programs.at(-1)!.next(), "ready");
    };
    try {
      await running(["ip", "netns", "exec", "vmmod", TCP, "sink"]);
      await running([TCP, "bulk", V4, `${CONNECTIONS}`]);
      const share = (way: string) => {
        const words = asUser(
          "alice",
          [TCP, "paced", "vmmod0", V4, way, SECONDS, IPG_US, BYTES].map(String),
        );
        const { tried, arrived, ...counted }: Line = JSON.parse(sh(words.join(" ")));
        console.log(`${way}: ${arrived} of ${tried} bytes, ${JSON.stringify(counted)}`);
        if (way !== "stranger") assert.ok(counted.sent > 0 && counted.dropped === 0);
        return arrived / tried;
      };
      const shares = { stranger: share("stranger"), qsend: share("qsend"), send: share("send") };
      const told = JSON.stringify(shares);
      assert.ok(shares.qsend > 0.9 && shares.send > 0.9, told);
      assert.ok(shares.stranger < 0.75, told);
    } finally {
      for (const program of programs) await program.kill();
    }
  },
);

moduleTest("all transmit queues of a device are behind one scheduler", () => {
  sh("ip link del vmmod0");
  sh(`set -e
    ip link add vmmod0 numtxqueues 4 numrxqueues 4 type veth peer name vmmod1 netns vmmod
    ethtool -K vmmod0 tx-udp-segmentation off
    tc qdisc add dev vmmod0 root handle 1: mq
    ip addr add 10.79.0.1/24 dev vmmod0
    ip link set vmmod0 up
    ip -n vmmod addr add ${V4}/24 dev vmmod1
    ip -n vmmod link set vmmod1 up
    ping -c 1 -W 5 ${V4}`);
  const [refused] = gate("root", "init", "vmmod0", "dwcs", SLOW);
  assert.deepEqual([refused.result, refused.obstacle], [EEXIST, "mq"]);
  assert.ok(gate("root", "init", "vmmod0", "dwcs", SLOW, "replace")[0].result > 0);
  assert.match(sh("tc qdisc show dev vmmod0"), /^qdisc qs_dwcs 5153: root [^\n]*\n$/);
  const came = arrived(), before = gate("root", "info", "vmmod0")[0].offered;
  for (let i = 0; i < 8; i++) { // of eight ports, so of more than one queue
    assert.equal(gate("alice", "send", "vmmod0", V4, 10, 500, 5000, 0)[1].sent, 10);
  }
  assert.equal(arrived() - came, 80);
  assert.ok(gate("root", "info", "vmmod0")[0].offered - before >= 80);
  assert.equal(gate("root", "off", "vmmod0")[0].result, 0);
});

moduleTest("a device that moves to another network leaves its streams behind", async () => {
  gate("root", "init", "vmmod0", "dwcs", 10_000);
  const alice = stay("alice", "send", "vmmod0", V4, 20, 1000, 0, 0, "stay");
  assert.equal((await alice.next()).accepted, 20);
  await linkWhere(({ streams }) => streams === 1);
  try {
    sh("ip netns add vmother; ip link set vmmod0 netns vmother");
    assert.equal(loaded().get("qsocket_dwcs"), 0); // it went without its scheduler
  } finally {
    attempt("ip netns del vmother");
  }
  await alice.kill();
});
