// A device for all processes: initialised, joined, and given back.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Link, qattach, restoreDevice } from "../../mod.ts";
import { cable, DEVICE, FAR, program, root, sent, sh, states, traffic } from "./network.ts";
import { damage, initialise, MANAGED, RATE, refusal, SYSTEM } from "./system.ts";

test("ten times initialised and restored leaves what was there, and no file", () => {
  cable();
  const before = traffic();
  const between = new Set<string>();
  for (let i = 0; i < 10; i++) {
    initialise().close();
    between.add(traffic());
    assert.equal(states().length, 1);
    restoreDevice(DEVICE);
    assert.equal(traffic(), before);
    assert.deepEqual(states(), []);
  }
  assert.equal(between.size, 1, "the same each time");
  assert.match([...between][0], /qdisc htb 5153: root/);
});

for (
  const qdisc of [
    "tbf rate 5mbit burst 5kb latency 50ms",
    "tbf rate 7mbit burst 1514 peakrate 9mbit mtu 1514 limit 20000",
    "pfifo limit 77",
    "bfifo limit 30000",
    "pfifo_head_drop limit 7",
    "pfifo_fast",
    "noqueue",
    "mq",
  ]
) {
  test(`a configured ${qdisc} is named, replaced when asked, and comes back`, () => {
    cable(4);
    sh(`tc qdisc add dev ${DEVICE} root ${qdisc}`);
    const before = traffic();
    const refused = refusal(() => initialise());
    assert.equal(refused.code, "EEXIST");
    const kind = qdisc.split(" ")[0];
    assert.equal(
      refused.message,
      `Cannot initialise ${DEVICE}: its root qdisc is "${kind}", which somebody configured; ` +
        "pass replace: true to take its place (EEXIST)",
    );
    assert.equal(traffic(), before);
    assert.deepEqual(states(), []);
    initialise({ replace: true }).close();
    assert.match(traffic(), /qdisc htb 5153: root/);
    initialise({ scheduler: "dwcs", replace: true }).close(); // what was there first is still known
    restoreDevice(DEVICE);
    assert.equal(traffic(), before);
    assert.deepEqual(states(), []);
  });
}

test("a tbf that comes back lets pass what it let pass: its largest packet is not shown", async () => {
  cable();
  sh(`tc qdisc add dev ${DEVICE} root handle 7: tbf rate 7mbit burst 1514 limit 20000`);
  const plain = createSocket("udp4").bind(0, "10.77.0.1");
  await once(plain, "listening");
  const passed = async () => {
    await new Promise((done) => plain.send(new Uint8Array(1472), 5004, FAR.nobody, done));
    await sleep(20);
    return sh(`tc -s qdisc show dev ${DEVICE} handle 7:`).includes("(dropped 0");
  };
  assert.ok(await passed());
  initialise({ replace: true }).close();
  restoreDevice(DEVICE);
  assert.ok(await passed(), "1514 bytes, as before");
  plain.close();
});

test("a root qdisc that could not come back is not replaced", () => {
  cable();
  sh(`tc qdisc add dev ${DEVICE} root handle 7: htb default 1`);
  sh(`tc class add dev ${DEVICE} parent 7: classid 7:1 htb rate 5mbit`);
  const before = traffic();
  const refused = refusal(() => initialise({ replace: true }));
  assert.match(refused.message, /its root qdisc is "htb".*could not be brought back.*remove it/);
  assert.equal(traffic(), before);
  assert.deepEqual(states(), []);
});

test("restoring twice says that there is nothing to restore", () => {
  cable();
  initialise().close();
  restoreDevice(DEVICE);
  assert.equal(refusal(() => restoreDevice(DEVICE)).code, "ENOENT");
  assert.equal(refusal(() => restoreDevice("none")).code, "ENODEV");
});

test("a program that joins takes over scheduler and rate", () => {
  cable();
  initialise().close();
  using link = new Link({ device: DEVICE });
  assert.deepEqual([link.host, link.scheduler, link.rate], ["isolated", "edf", MANAGED]);
  assert.equal(link.info().host, "isolated");
  link.close();
  assert.equal(refusal(() => new Link({ device: DEVICE, scheduler: "dwcs" })).code, "EBUSY");
  assert.equal(refusal(() => new Link({ device: DEVICE, rate: 1000 })).code, "EEXIST");
  restoreDevice(DEVICE);
  assert.match(
    refusal(() => new Link({ device: DEVICE })).message,
    /rate must be given, as qsockinit has not initialised the device/,
  );
  using alone = new Link({ device: DEVICE, rate: 1000 });
  assert.equal(alone.host, "above");
  assert.notEqual(alone.hostReason, "");
});

/** Where Deno keeps what nobody has compiled. */
const cache = mkdtempSync(join(tmpdir(), "qsockets-nobody-"));
chmodSync(cache, 0o777);
after(() => rmSync(cache, { recursive: true }));

/** What a program of nobody's says, or undefined where nobody can run one. */
function asNobody(text: string): string | undefined {
  const { status, stdout } = spawnSync(process.execPath, program(text), {
    cwd: root,
    uid: 65534,
    gid: 65534,
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: "/tmp", DENO_DIR: cache },
  });
  return status === 0 ? stdout.trim() : undefined;
}

test("a program without privileges joins where the mode lets it, and initialises nothing", (t) => {
  if (asNobody("console.log(1)") !== "1") return t.skip("nobody cannot run a program here");
  cable();
  const joining = `import { Link } from "./mod.ts";
    try { const l = new Link({ device: "${DEVICE}" }); console.log(l.host, l.scheduler, l.rate); }
    catch (error) { console.log(error.code); }
    process.exit();`;
  initialise({ mode: 0o666 }).close();
  assert.equal(asNobody(joining), `isolated edf ${MANAGED}`);
  initialise({ mode: 0o660, replace: true }).close();
  assert.equal(asNobody(joining), "EACCES");
  initialise({ mode: 0o660, group: 65534, replace: true }).close();
  assert.equal(asNobody(joining), `isolated edf ${MANAGED}`);
  const options = JSON.stringify(SYSTEM);
  const before = traffic();
  assert.equal(
    asNobody(`import { Link, restoreDevice } from "./mod.ts";
      const codes = [() => new Link(${options}), () => restoreDevice("${DEVICE}")].map((call) => {
        try { call(); return "none"; } catch (error) { return error.code; }
      });
      console.log(codes.join());
      process.exit();`),
    "EPERM,EPERM",
  );
  assert.equal(traffic(), before);
  restoreDevice(DEVICE);
});

test("the end of the process that initialised a device changes nothing", async () => {
  cable();
  const text = `import { Link } from "./mod.ts";
    new Link(${JSON.stringify({ ...SYSTEM, host: "isolated" })});
    console.log("ready");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, program(text), {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const before = traffic();
  child.kill("SIGKILL");
  await once(child, "close");
  assert.match(before, /qdisc htb 5153: root/);
  assert.equal(traffic(), before);
  restoreDevice(DEVICE);
  assert.deepEqual(states(), []);
});

test("what a crash left is repaired by the next initialisation, or undone", () => {
  cable();
  const before = traffic();
  initialise().close();
  const whole = traffic();
  sh(`tc filter del dev ${DEVICE} && tc qdisc del dev ${DEVICE} root`); // the state says it is there
  initialise().close();
  assert.equal(traffic(), whole);
  writeFileSync(`/run/qsockets/${states()[0]}`, "half"); // not a state
  for (const call of [() => initialise(), () => restoreDevice(DEVICE)]) {
    const { code, message } = refusal(call);
    assert.equal(code, "EBADMSG");
    assert.match(
      message,
      /its state in \/run\/qsockets cannot be believed; initialise it with rep/,
    );
  }
  initialise({ replace: true }).close();
  assert.equal(traffic(), whole);
  restoreDevice(DEVICE);
  assert.equal(traffic(), before);
});

test("half of what was begun is repaired, or undone with what was there before", () => {
  cable();
  sh(`tc qdisc add dev ${DEVICE} root tbf rate 5mbit burst 5kb latency 50ms`);
  const before = traffic();
  initialise({ replace: true }).close();
  const whole = traffic();
  const crash = (command: string) => {
    damage((state) => state.writeUInt32LE(1, 12)); // its phase: begun
    sh(command);
  };
  crash(`tc filter del dev ${DEVICE}`);
  {
    using alone = new Link({ device: DEVICE, rate: RATE });
    assert.equal(alone.host, "above", "nobody joins half of it");
  }
  initialise().close();
  assert.equal(traffic(), whole);
  crash(`tc qdisc del dev ${DEVICE} root`); // after what was there, and before anything else
  initialise().close();
  assert.equal(traffic(), whole);
  crash(`tc qdisc del dev ${DEVICE} root`);
  restoreDevice(DEVICE);
  assert.equal(traffic(), before);
  assert.deepEqual(states(), []);
});

test("another address of the device is no other device", () => {
  cable();
  sh(`tc qdisc add dev ${DEVICE} root pfifo limit 77`);
  const before = traffic();
  initialise({ replace: true }).close();
  sh(`ip link set ${DEVICE} address 02:00:00:00:00:77`);
  using link = new Link({ device: DEVICE });
  assert.equal(link.host, "isolated");
  restoreDevice(DEVICE);
  assert.equal(traffic(), before);
});

test("a device that is gone is forgotten, and its successor is not taken for it", () => {
  cable();
  initialise().close();
  sh(`ip link del ${DEVICE}`);
  restoreDevice(DEVICE);
  assert.deepEqual(states(), []);
  cable();
  initialise().close();
  cable();
  assert.equal(refusal(() => restoreDevice(DEVICE)).code, "ENOENT");
  assert.deepEqual(states(), []);
});

test("an attached socket is marked while it is, and no longer", async () => {
  cable();
  using link = initialise();
  const plain = createSocket("udp4").bind(0, "10.77.0.1");
  await once(plain, "listening");
  const count = async () => {
    const [managed, rest] = [sent("5153:10"), sent("5153:20")];
    for (let i = 0; i < 5; i++) {
      await new Promise((done) => plain.send(new Uint8Array(10), 5004, FAR.nobody, done));
    }
    await sleep(50);
    return [sent("5153:10") - managed, sent("5153:20") - rest];
  };
  assert.ok((await count())[1] >= 5, "unmarked before");
  const socket = qattach(link, plain);
  const [managed, rest] = await count();
  assert.ok(managed >= 5 && rest < 5, `marked: ${managed}, ${rest}`);
  socket.close();
  assert.ok((await count())[1] >= 5, "unmarked after");
  plain.close();
  restoreDevice(DEVICE);
});
