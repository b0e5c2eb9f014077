// What the other tests here take for granted of the guest and of the library in it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import process from "node:process";
import { qclose, qsend, qsocket, qsockinit } from "../../../ffi/calls.ts";
import { dlopen } from "../../../ffi/runtime.ts";
import { VirtualLink } from "../../../ffi/simulate.ts";
import { assertCounted, message } from "../../counters.ts";
import { udpPeer } from "../../receiver.ts";
import { asUser, attempt, evaluate, guestTest, sh } from "./guest.ts";

guestTest("the kernel has qdiscs of BPF, and tells its types", () => {
  const config = readFileSync(`/lib/modules/${release()}/config`, "utf8");
  assert.match(config, /^CONFIG_NET_SCH_BPF=y$/m);
  sh("bpftool btf dump file /sys/kernel/btf/vmlinux format c 2>&1 | grep -q '^struct Qdisc_ops {'");
});

guestTest("this process is root, and the kernel's file systems are mounted", () => {
  assert.equal(process.getuid!(), 0);
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n").map((line) => line.split(" "));
  const types = new Map(mounts.map(([, path, type]) => [path, type]));
  const expected = { "/sys/fs/bpf": "bpf", "/sys/fs/cgroup": "cgroup2", "/proc": "proc" };
  for (const [path, type] of Object.entries(expected)) assert.equal(types.get(path), type, path);
});

guestTest("the guest has both runtimes of the project's packages", () => {
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  assert.ok(sh("bun --version").includes(devDependencies.bun));
  assert.ok(sh("deno --version").includes(devDependencies.deno));
});

guestTest("libbpf can be opened by its name", () => {
  const { libbpf_major_version } = dlopen("libbpf.so.1", {
    libbpf_major_version: { parameters: [], result: "i32" },
  });
  assert.equal(libbpf_major_version(), 1);
});

guestTest("tc is iproute2's, and the qdiscs and filters of the tests load by themselves", () => {
  assert.match(sh("tc -V"), /iproute2/);
  sh(`set -e
    ip link add vmtest type dummy
    trap 'ip link del vmtest' EXIT
    ip link set vmtest up
    tc qdisc add dev vmtest root handle 1: htb default 2
    tc class add dev vmtest parent 1: classid 1:2 htb rate 10mbit
    tc filter add dev vmtest parent 1: protocol ip u32 match ip tos 0x10 0xff flowid 1:2
    tc qdisc replace dev vmtest parent 1:2 fq
    tc qdisc show dev vmtest | grep -q 'qdisc fq .* parent 1:2'`);
});

guestTest("veth pairs join network namespaces, and packets pass between them", () => {
  const output = sh(`set -e
    ip netns add vmtest
    trap 'ip netns del vmtest' EXIT
    ip link add vmtest0 type veth peer name vmtest1 netns vmtest
    ip addr add 10.77.0.1/24 dev vmtest0
    ip link set vmtest0 up
    ip -n vmtest addr add 10.77.0.2/24 dev vmtest1
    ip -n vmtest link set vmtest1 up
    ping -c 3 -W 5 10.77.0.2`);
  assert.match(output, /3 packets received/);
  assert.notEqual(attempt("ip link show vmtest0").status, 0, "the pair outlived its namespace");
});

guestTest("alice and bob are unprivileged, and alice alone belongs to the group video", () => {
  const ids = (user: "alice" | "bob") => sh(asUser(user, ["id"]).join(" "));
  assert.match(ids("alice"), /^uid=1000\(alice\) gid=1000\(alice\) groups=.*\b44\(video\)/);
  assert.match(ids("bob"), /^uid=1001\(bob\) gid=1001\(bob\) groups=1001\(bob\)$/m);
  assert.equal(sh("cat /proc/sys/kernel/unprivileged_bpf_disabled"), "2\n");
  for (const user of ["alice", "bob"] as const) {
    const refused = attempt(asUser(user, ["bpftool", "prog", "list"]).join(" "));
    assert.match(refused.output, /Operation not permitted/);
  }
});

guestTest("VirtualLink decides here as everywhere", () => {
  const link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
  const stream = link.open({ ipg: 1, oln: 1, old: 2 });
  stream.send(1000, { deadline: 5 }, 0);
  stream.send(1000, { deadline: 0.5 }, 0); // its turn comes after that
  assert.deepEqual(link.run(10).map(({ outcome }) => outcome).sort(), ["dropped", "sent"]);
});

guestTest("messages reach a UDP peer whole and in order, and all of them are counted", async () => {
  await using peer = await udpPeer();
  using link = qsockinit({ rate: "100mbit" });
  using socket = qsocket(link, { to: peer.address });
  for (let number = 0; number < 20; number++) {
    assert.equal(qsend(socket, message(number), { deadline: 30_000, frame: "whole" }), 1000);
  }
  await peer.until(({ received }) => received.length === 20);
  peer.received.forEach((data, number) => {
    assert.deepEqual(new Uint8Array(data), message(number));
  });
  assertCounted(await qclose(socket, { drain: true }));
});

guestTest("an unprivileged user can send through the library", async () => {
  await using peer = await udpPeer();
  const { port } = peer.address;
  const [command, ...args] = asUser(
    "alice",
    evaluate(`
      import { qclose, qsend, qsocket, qsockinit } from "/project/mod.ts";
      if (process.getuid() !== 1000) throw new Error("not alice");
      const link = qsockinit({ rate: "100mbit" });
      const socket = qsocket(link, { to: { hostname: "127.0.0.1", port: ${port} } });
      qsend(socket, new Uint8Array([1, 2, 3]), { deadline: 30_000 });
      const { sent } = await qclose(socket, { drain: true });
      link.close();
      console.log("sent", sent);
    `),
  );
  const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
  assert.equal(stdout, "sent 1\n", stderr);
  await peer.until(({ received }) => received.length === 1);
  assert.deepEqual(new Uint8Array(peer.received[0]), new Uint8Array([1, 2, 3]));
});
