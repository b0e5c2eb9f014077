// The HTB host: what it does for managed sockets beside traffic that would fill the link.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Link, monotonic, restoreDevice } from "../../mod.ts";
import { cable, DEVICE, FAR, program, root, sent, sh, start } from "./network.ts";

const RATE = 1_250_000; // bytes per second
const DEADLINE_MS = 60;
const MESSAGES = 500;
const IPG_MS = 3; // of 1000 bytes: 27 % of the link

/** A managed stream beside a blast: which share of it came in time, and of the link the blast had. */
async function contend(options: { system: boolean }) {
  const receiver = await start("receiver.mjs", [], true);
  const blast = await start("blast.mjs", [FAR.ipv4], false);
  await sleep(300); // its queue is filled
  const begun = monotonic();
  {
    using link = new Link({
      device: DEVICE,
      rate: RATE,
      ...options.system ? { system: true, replace: true, host: "isolated" } : {},
    });
    assert.equal(link.host, options.system ? "isolated" : "above");
    using stream = link.open({ to: { hostname: FAR.ipv4, port: 5004 }, ipg: IPG_MS });
    const data = new Uint8Array(1000);
    for (let i = 0; i < MESSAGES; i++) {
      const ahead = begun + i * IPG_MS - monotonic();
      if (ahead > 0) await sleep(ahead);
      const until = monotonic() + DEADLINE_MS;
      new DataView(data.buffer).setFloat64(0, until, true);
      stream.send(data, { deadline: DEADLINE_MS });
    }
    await stream.close();
    await sleep(DEADLINE_MS);
  }
  const seconds = (monotonic() - begun) / 1000;
  await blast.end();
  const counts = JSON.parse((await receiver.end()).trim().split("\n").at(-1)!);
  return { inTime: counts.inTime / MESSAGES, blast: counts.blastBytes / (RATE * seconds) };
}

test("an isolated device keeps a managed stream in time beside a blast, which keeps its share", async () => {
  cable();
  sh(`tc qdisc add dev ${DEVICE} root tbf rate 10mbit burst 3k limit 2mb`);
  const before = await contend({ system: false });
  const after = await contend({ system: true });
  const report = JSON.stringify({ before, after });
  assert.ok(after.inTime >= 0.95, report);
  assert.ok(before.inTime <= after.inTime / 2, report);
  assert.ok(after.blast >= 0.8 / 16, report);
  restoreDevice(DEVICE);
});

for (const [version, hostname] of [["IPv4", FAR.ipv4], ["IPv6", FAR.ipv6]]) {
  for (const connected of [true, false]) {
    test(`${version} of a managed socket goes to its class, ${connected ? "connected" : "or not"}`, async () => {
      cable();
      const address = { hostname, port: 5004 };
      using link = new Link({ device: DEVICE, rate: RATE, system: true, host: "isolated" });
      const [managed, rest] = [sent("5153:10"), sent("5153:20")];
      using stream = link.open(connected ? { to: address } : {});
      for (let i = 0; i < 20; i++) {
        if (connected) stream.send(new Uint8Array(100));
        else stream.sendto(new Uint8Array(100), address);
      }
      while (stream.info().queued > 0) await sleep(5);
      await sleep(50);
      assert.ok(sent("5153:10") - managed >= 20, "managed");
      assert.ok(sent("5153:20") - rest < 20, "the rest");
      restoreDevice(DEVICE);
    });
  }
}

for (const connected of [true, false]) {
  test(`two programs that fill the class lose nothing unknown, ${connected ? "connected" : "or not"}`, async () => {
    cable();
    new Link({ device: DEVICE, rate: RATE, system: true, host: "isolated" }).close();
    const before = sent("5153:10");
    const address = { hostname: FAR.ipv4, port: 5004 };
    const text = `import { Link } from "./mod.ts";
      using link = new Link({ device: "${DEVICE}" });
      const streams = [1, 2, 3].map(() => link.open(${connected} ? { to: ${
      JSON.stringify(address)
    } } : {}));
      for (let i = 0; i < 300; i++) {
        for (const stream of streams) {
          if (${connected}) stream.send(new Uint8Array(1200));
          else stream.sendto(new Uint8Array(1200), ${JSON.stringify(address)});
        }
      }
      while (link.info().queued > 0) await new Promise((done) => setTimeout(done, 10));
      console.log(link.info().sent);
      process.exit();`;
    const programs = [1, 2].map(() =>
      spawn(process.execPath, program(`import process from "node:process";${text}`), {
        cwd: root,
        stdio: ["ignore", "pipe", "inherit"],
      })
    );
    const counts = await Promise.all(programs.map(async ({ stdout }) => {
      let said = "";
      for await (const part of stdout) said += part;
      return Number(said);
    }));
    assert.deepEqual(counts, [900, 900]);
    while (/backlog \S+ [1-9]\d*p/.test(sh(`tc -s qdisc show dev ${DEVICE} parent 5153:10`))) {
      await sleep(10);
    }
    assert.ok(sent("5153:10") - before >= 1800, `${sent("5153:10") - before} of 1800`);
    restoreDevice(DEVICE);
  });
}

for (const [version, hostname] of [["IPv4", FAR.ipv4], ["IPv6", FAR.ipv6]]) {
  test(`answers that nobody is there cost an ${version} stream no message`, async () => {
    cable();
    using link = new Link({ device: DEVICE, rate: RATE, system: true, host: "isolated" });
    const before = sent("5153:10");
    using stream = link.open();
    for (let i = 0; i < 200; i++) stream.sendto(new Uint8Array(1000), { hostname, port: 9 });
    while (stream.info().queued > 0) await sleep(5);
    assert.equal(stream.info().sent, 200);
    assert.ok(sent("5153:10") - before >= 200);
    restoreDevice(DEVICE);
  });
}

/** What a queue of a class says, as tc(8) shows it. */
function queue(parent: string): { limit: number; dropped: number } {
  const text = sh(`tc -s -j qdisc show dev ${DEVICE} parent ${parent}`);
  const [{ options, drops }] = JSON.parse(text);
  return { limit: options.limit, dropped: drops };
}

test("the managed queue is some milliseconds of the rate, and holds the largest message", async () => {
  cable();
  const largest = 65507;
  const limits = [100_000, RATE, RATE * 100].map((rate) => {
    new Link({ device: DEVICE, rate, system: true, host: "isolated" }).close();
    return queue("5153:10").limit;
  });
  assert.ok(limits[0] > largest && limits[0] < largest * 1.25, `${limits}`);
  assert.ok(limits[2] > RATE * 100 * 0.01 && limits[2] < RATE * 100 * 0.03, `${limits}`);
  new Link({ device: DEVICE, rate: RATE * 4, system: true, host: "isolated" }).close();
  {
    using link = new Link({ device: DEVICE });
    using stream = link.open({ to: { hostname: FAR.ipv4, port: 5004 } });
    const before = sent("5153:10");
    for (let i = 0; i < 20; i++) stream.send(new Uint8Array(largest));
    while (stream.info().queued > 0) await sleep(5);
    // in fragments of 1480 bytes (RFC 791)
    while (sent("5153:10") - before < 20 * Math.ceil((largest + 8) / 1480)) await sleep(5);
  }
  assert.equal(queue("5153:10").dropped, 0);
  restoreDevice(DEVICE);
});
