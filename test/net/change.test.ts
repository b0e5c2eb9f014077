// A device that is initialised already, asked for with something else.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Link, restoreDevice } from "../../mod.ts";
import { FAR6, Socket } from "./libc.ts";
import { cable, DEVICE, FAR, program, root, sent, sh, states, traffic } from "./network.ts";
import { damage, initialise, MANAGED, RATE, refusal, SYSTEM } from "./system.ts";

test("the same again changes nothing; another scheduler or host is refused, and what is there named", () => {
  cable();
  initialise().close();
  const before = traffic();
  initialise().close();
  assert.equal(traffic(), before);
  const other = refusal(() => initialise({ scheduler: "dwcs" }));
  assert.equal(other.code, "EBUSY");
  assert.match(
    other.message,
    /initialised for edf at 1250000 bytes\/s, host isolated; pass replace: true/,
  );
  assert.equal(refusal(() => initialise({ scheduler: "dwcs", rate: RATE * 2 })).code, "EBUSY");
  const host = refusal(() => initialise({ host: "below" }));
  assert.equal(host.code, "EBUSY");
  assert.match(host.message, /host isolated/);
  assert.equal(traffic(), before);
  using link = initialise({ scheduler: "dwcs", rate: RATE * 2, replace: true });
  assert.equal(link.scheduler, "dwcs");
  assert.match(traffic(), /class htb 5153:1 root rate 20Mbit/);
  restoreDevice(DEVICE);
});

for (const replace of [false, true]) {
  test(`another rate is set in place, ${replace ? "replace or not" : "and is as if it had been there"}`, () => {
    cable();
    initialise({ rate: RATE * 2 }).close();
    const whole = traffic();
    restoreDevice(DEVICE);
    sh(`tc qdisc add dev ${DEVICE} root tbf rate 5mbit burst 5kb latency 50ms`);
    const before = traffic();
    initialise({ replace: true }).close();
    using socket = Socket.icmp6();
    socket.sendto6(Uint8Array.of(128, ...new Uint8Array(7)), FAR6);
    const counted = sent("5153:20");
    assert.ok(counted > 0);
    using link = initialise({ rate: RATE * 2, replace });
    assert.equal(link.rate, MANAGED * 2);
    assert.equal(traffic(), whole);
    assert.ok(sent("5153:20") >= counted, "they are the same classes");
    link.close();
    initialise().close();
    restoreDevice(DEVICE);
    assert.equal(traffic(), before);
    assert.deepEqual(states(), []);
  });
}

test("another rate loses nothing of what is queued, and serves it at once", async () => {
  cable();
  initialise({ rate: 10_000 }).close();
  const plain = createSocket("udp4").bind(0, "10.77.0.1");
  await once(plain, "listening");
  const before = sent("5153:20");
  for (let i = 0; i < 30; i++) {
    await new Promise((done) => plain.send(new Uint8Array(1000), 5004, FAR.nobody, done));
  }
  const queued = () => {
    const text = sh(`tc -s qdisc show dev ${DEVICE} parent 5153:20`);
    return Number(/backlog \S+ (\d+)p/.exec(text)![1]);
  };
  assert.ok(queued() > 20, "it is slow");
  initialise({ rate: 20_000 }).close();
  assert.ok(queued() > 15, "what is queued stays");
  initialise({ rate: RATE * 10 }).close();
  while (queued() > 0) await sleep(1);
  assert.ok(sent("5153:20") - before >= 30);
  assert.doesNotMatch(sh(`tc -s qdisc show dev ${DEVICE}`), /dropped [1-9]/);
  plain.close();
  restoreDevice(DEVICE);
});

test("another group or mode is in force at once, and touches no traffic", () => {
  cable();
  initialise({ mode: 0o600 }).close();
  const before = traffic();
  initialise({ mode: 0o666, group: 44 }).close();
  assert.equal(traffic(), before);
  damage((state) => {
    assert.equal(state.readUInt32LE(24), 44); // its group
    assert.equal(state.readUInt32LE(28), 0o666);
  });
  restoreDevice(DEVICE);
});

test("a link that is open takes the device's new rate, and keeps one of its own until then", () => {
  cable();
  using link = initialise();
  initialise({ rate: RATE * 2 }).close(); // shares it
  assert.equal(link.info().rate, MANAGED * 2);
  link.change({ rate: 1000 });
  assert.equal(link.info().rate, 1000);
  using again = new Link({ device: DEVICE });
  assert.equal(again.info().rate, 1000, "the device's has not changed since");
  initialise({ rate: RATE }).close();
  assert.equal(link.info().rate, MANAGED);
  restoreDevice(DEVICE);
  assert.equal(link.info().rate, MANAGED, "what is given back has none");
});

test("a program that sends takes the device's new rate without asking", async () => {
  cable();
  initialise({ rate: 8000 }).close();
  using link = new Link({ device: DEVICE });
  using stream = link.open({ to: { hostname: FAR.ipv4, port: 5004 } });
  for (let i = 0; i < 100; i++) stream.send(new Uint8Array(1000)); // 13 s at the old rate
  const change = `import { Link } from "./mod.ts";
    new Link(${JSON.stringify({ ...SYSTEM, host: "isolated" })}).close();`;
  assert.equal(spawnSync(process.execPath, program(change), { cwd: root }).status, 0);
  while (stream.info().queued > 0) await sleep(10);
  assert.equal(stream.info().rate, MANAGED);
  restoreDevice(DEVICE);
});

test("a change that was cut off is gone on with", () => {
  cable();
  initialise().close();
  const before = traffic();
  initialise({ rate: RATE * 2 }).close();
  damage((state) => { // back to before, with what was begun
    const at = state.indexOf(Buffer.from(BigUint64Array.of(BigInt(RATE * 2)).buffer));
    state.writeBigUInt64LE(BigInt(RATE), at);
    state.writeBigUInt64LE(BigInt(RATE * 2), at + 8);
  });
  {
    using joined = new Link({ device: DEVICE });
    assert.equal(joined.rate, MANAGED, "until it is through the old rate counts");
  }
  initialise().close();
  assert.equal(traffic(), before);
  restoreDevice(DEVICE);
});

test("a class that is gone stops a change with words, and replace makes all of it anew", () => {
  cable();
  initialise().close();
  const whole = traffic();
  sh(`tc qdisc del dev ${DEVICE} root && tc qdisc add dev ${DEVICE} root handle 5153: htb`);
  const refused = refusal(() => initialise({ rate: RATE * 2 }));
  assert.match(refused.message, /it cannot be changed to 2500000 bytes\/s: /);
  initialise({ replace: true }).close();
  assert.equal(traffic(), whole);
  restoreDevice(DEVICE);
});
