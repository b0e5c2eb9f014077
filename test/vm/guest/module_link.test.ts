// What a device's traffic gets of its link, with the kernel modules (kernel/linux): TCP with a contract
// beside TCP without, and all of a device's transmit queues behind one scheduler.
// gate: module, syscall

import assert from "node:assert/strict";
import {
  arrived,
  assertUnused,
  FAST,
  FOLDER,
  GATE,
  gate,
  type Line,
  linkWhere,
  moduleTest,
  run,
  type Running,
  SLOW,
  start,
  stay,
  V4,
} from "./module.ts";
import { asUser, attempt, sh } from "./guest.ts";

const TCP = `${FOLDER}/tcp`;
const EEXIST = -17, ENOLINK = -67, EDQUOT = -122;
const FLOWS = 64; // of the streams, best effort's
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
  { fillsLink: true },
);

moduleTest("QINFO tells of a TCP stream what the protocol stack says of it", async () => {
  gate("root", "init", "vmmod0", "dwcs", FAST);
  const sink = start(["ip", "netns", "exec", "vmmod", TCP, "sink"]);
  try {
    assert.equal(await sink.next(), "ready");
    const { stack, told, calls, errors } = run("tcp", "alice", "stack", "vmmod0", V4)[0];
    assert.deepEqual(told, stack);
    const [room, unsent, cwnd, rtt, , window] = told;
    assert.ok(room > 0 && unsent === 0 && cwnd > 0 && rtt > 0 && window > 0, `${told}`);
    assert.deepEqual([calls, errors], [20, 0]);
  } finally {
    await sink.kill();
  }
});

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
    assertUnused("qsocket_dwcs"); // it went without its scheduler
  } finally {
    attempt("ip netns del vmother");
  }
  await alice.kill();
});

moduleTest("a rate that is raised holds at once for what waits already", async () => {
  const BYTES_PER_SECOND = 10; // the second message waits for two minutes
  sh(`sysctl -q net.ipv6.conf.vmmod0.disable_ipv6=1
    ip neigh replace ${V4} dev vmmod0 nud permanent \
      lladdr $(ip netns exec vmmod cat /sys/class/net/vmmod1/address)
    ip link set vmmod0 arp off`); // another packet would have the queue looked at
  gate("root", "init", "vmmod0", "dwcs", BYTES_PER_SECOND);
  const alice = stay("alice", "send", "vmmod0", V4, 3, 1000, 0, 0, "stay");
  assert.equal((await alice.next()).accepted, 3);
  await linkWhere(({ queued }) => queued > 0);
  assert.equal(gate("root", "init", "vmmod0", "dwcs", FAST, "replace")[0].rate, FAST);
  await linkWhere(({ queued }) => queued === 0);
  await alice.kill();
});

moduleTest("a message to many is refused that its socket sends by another device", () => {
  sh(`ip link add vmmod2 type veth peer name vmmod3
    ip link set vmmod2 up && ip link set vmmod3 up
    ip addr add fd80::1/64 dev vmmod2 nodad`);
  try {
    gate("root", "init", "vmmod0", "dwcs", SLOW);
    assert.deepEqual(run("wrong", "alice", "multicast", "vmmod0", "vmmod2")[0], {
      other: ENOLINK,
      own: 100,
    });
  } finally {
    sh("ip link del vmmod2");
  }
});

moduleTest("who makes a user namespace has no more streams by the users in it", async () => {
  const streams = 40, share = streams / 4;
  sh(`GATE_STREAMS=${FLOWS + streams} ${GATE} init vmmod0 dwcs ${SLOW}`);
  const alice = stay("alice", "fill", "vmmod0", share - 2);
  assert.deepEqual(await alice.next(), { opened: share - 2, refused: 0 });
  // alice's namespace, of users that were given to her, as newuidmap(1) does it
  const space = start(asUser("alice", ["unshare", "-U", "sh", "-c", "echo $$; exec sleep 1000"]));
  const pid = await space.next();
  const other = () =>
    start(["nsenter", "-t", `${pid}`, "-U", "-S", "1", "-G", "44", GATE, "fill", "vmmod0", "100"]);
  try {
    sh(`printf '0 1000 1\n1 200000 9\n' > /proc/${pid}/uid_map
      printf '0 1000 1\n44 44 1\n' > /proc/${pid}/gid_map`);
    const inside = other();
    assert.deepEqual(await inside.next(), { opened: 2, refused: EDQUOT });
    await inside.kill();
  } finally {
    await space.kill();
    await alice.kill();
  }
});

moduleTest("many streams are told of, and looked for, as a whole", async () => {
  const MANY = 700; // more than are looked at in one go
  gate("root", "init", "vmmod0", "dwcs", FAST);
  const alice = stay("alice", "fill", "vmmod0", MANY);
  assert.deepEqual(await alice.next(), { opened: MANY, refused: 0 });
  const [{ streams }] = gate("root", "list", "vmmod0", 1024, 8);
  assert.equal(streams.length, MANY);
  assert.equal(new Set(streams.map(({ cookie }: Line) => cookie)).size, MANY);
  assert.equal(gate("root", "info", "vmmod0")[0].streams, MANY);
  await alice.kill();
  await linkWhere(({ streams }) => streams === 0);
});

moduleTest(
  "one user's streams have no more periods than a scheduler can count beside its work",
  async () => {
    gate("root", "init", "vmmod0", "dwcs", FAST);
    const alice = stay("alice", "fill", "vmmod0", 100, 1);
    assert.deepEqual(await alice.next(), { opened: 5, refused: EDQUOT });
    await alice.kill();
    await linkWhere(({ streams }) => streams === 0); // and has them again
    assert.deepEqual(gate("alice", "hasten", "vmmod0", 100)[0], { changed: 5, refused: EDQUOT });
    await linkWhere(({ streams }) => streams === 0);
    const usual = stay("alice", "fill", "vmmod0", 200, 1_000_000);
    assert.deepEqual(await usual.next(), { opened: 200, refused: 0 });
    await usual.kill();
    const root = stay("root", "fill", "vmmod0", 50, 1);
    assert.deepEqual(await root.next(), { opened: 50, refused: 0 });
    await root.kill();
  },
);
