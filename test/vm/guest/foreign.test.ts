// What root of a user namespace does, who may make devices in a network of his own and give them
// any number: never anything to the scheduler of a device of the host.
//
// runtime: bun, as nothing of a runtime is tested

import assert from "node:assert/strict";
import { asUser, attempt, hasCalls, sh } from "./guest.ts";
import { bpfDeviceTest, DEVICE, deviceTest, program, qsock, qsockDoes } from "./prepared.ts";

/** Whether its scheduler is the device's queue is told by what `info` finds. */
const host = () => JSON.parse(qsockDoes(`info ${DEVICE} --json`, "alice")).host;

deviceTest(
  "nobody can take a device's scheduler to a network of his own, or from the device",
  () => {
    qsockDoes(`init ${DEVICE} --streams 256 --rate 1mbit --mode 0666`);
    assert.equal(host(), "below");
    const [, kind] = sh(`tc qdisc show dev ${DEVICE} root`).match(/^qdisc (qs_\w+) 5153:/)!;
    const ifindex = sh(`cat /sys/class/net/${DEVICE}/ifindex`).trim();
    const script = `
    ip link add index ${ifindex} name theirs type dummy && ip link set theirs up || exit 9
    tc qdisc add dev theirs root handle 5153: ${kind} && exit 8
    tc qdisc add dev theirs root handle 5153: ${kind} && exit 8
    echo refused`;
    const words = [...asUser("bob", ["unshare", "-Urn", "sh", "-c", script])];
    const { status, output } = attempt(words.map((word) => `'${word}'`).join(" "));
    assert.equal(status, 0, output);
    assert.match(output, hasCalls ? /set up by QSOCKINIT/ : /busy/i);
    assert.equal(host(), "below", "the scheduler takes itself for detached");
    qsockDoes(`off ${DEVICE}`);
  },
);

const USERS = 4200; // more than are remembered

const REGISTER = `
  import { attr, GATE, RawSocket } from "/project/test/vm/guest/raw.ts";
  import { dlopen } from "/project/ffi/runtime.ts";
  import { readFileSync } from "node:fs";
  const { setresuid, close } = dlopen("libc.so.6", {
    setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });
  const ifindex = Number(readFileSync("/sys/class/net/${DEVICE}/ifindex", "utf8"));
  const register = (socket, fields) => socket.known().set(GATE.stream, ifindex, attr(fields));

  let refused = 0;
  for (let uid = 2000; uid < ${2000 + USERS}; uid++) {
    setresuid(uid, 0, 0); // the real one is whose streams they are
    const socket = new RawSocket();
    if (!register(socket)) refused++;
    close(socket.fd);
  }
  setresuid(0, 0, 0);

  const SOCK_STREAM = 1, AF_INET = 2, FLAGS_AT = 24 + 16; // struct qs_gate_stream's attr.flags
  const flags = (socket) => {
    const told = new Uint8Array(4096);
    return register(socket, { ipgNs: 10_000_000n, oln: 1, old: 2 }) &&
      socket.get(GATE.stream, ifindex, told) && told[FLAGS_AT];
  };
  say({ refused, udp: flags(new RawSocket()), tcp: flags(new RawSocket(AF_INET, SOCK_STREAM)) });
  await input.next();
`;

bpfDeviceTest(
  "users who have left make room for others, and TCP asks for all that it sends",
  async () => {
    qsockDoes(`init ${DEVICE} --streams 256 --rate 1mbit --mode 0666`);
    const root = program("root", REGISTER);
    const { refused, udp, tcp } = await root.next();
    assert.equal(refused, 0);
    assert.deepEqual([udp, tcp], [0, 1]);
    await root.end();
  },
);

bpfDeviceTest("nothing is pinned where somebody else than root may write", () => {
  const pins = "/sys/fs/bpf/qsockets";
  sh(`mkdir -p ${pins} && chown bob ${pins}`);
  try {
    const { status, output } = qsock(`init ${DEVICE} --streams 256 --rate 1mbit --host below`);
    assert.equal(status, 1, output);
    assert.match(output, /qsockets is not root's alone/);
  } finally {
    sh(`chown root ${pins}`);
  }
  qsockDoes(`init ${DEVICE} --streams 256 --rate 1mbit --host below`);
  qsockDoes(`off ${DEVICE}`);
});
