// The command examples/qsock.ts on a device that an HTB isolates: prepared, shown and given back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { play, start } from "../programs.ts";
import { cable, DEVICE, sh, states, traffic } from "./network.ts";

async function qsock(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await play("qsock.ts", args);
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return stdout;
}

test("qsock prepares a device, shows it, and makes it what it was", async () => {
  cable();
  const before = traffic();
  const init = await qsock("init", DEVICE, "--rate", "16mbit", "--host", "isolated");
  assert.match(
    init,
    /^near: dwcs at 15 Mbit\/s of 16mbit, for managed sockets, in each program, other/,
  );
  assert.match(sh(`tc qdisc show dev ${DEVICE} root`), /^qdisc htb 5153:/);

  const info = JSON.parse(await qsock("info", DEVICE, "--json"));
  assert.deepEqual([info.host, info.scheduler, info.rate], ["isolated", "dwcs", 1_875_000]);
  assert.deepEqual([info.streams, info.sent], [[], 0]);
  assert.match(await qsock("info", DEVICE), /0 streams to see\. Other programs' streams are known/);
  assert.match(await qsock("list"), /^near +dwcs +15 Mbit\/s +isolated +0$/m);
  assert.match(await qsock("top", DEVICE, "--once", "--interval", "10"), /^pid +user +command/m);

  assert.equal(await qsock("off", DEVICE), "near: as it was before\n");
  assert.equal(traffic(), before);
  assert.deepEqual(states(), []);
  const { code, stderr } = await play("qsock.ts", ["off", DEVICE]);
  assert.deepEqual([code, stderr.includes("it is not initialised")], [1, true]);
});

test("qsock top shows a table again and again, and ends with Ctrl-C", async () => {
  cable();
  await qsock("init", DEVICE, "--rate", "16mbit", "--host", "isolated");
  const running = start("qsock.ts", ["top", DEVICE, "--interval", "50"]);
  await running.prints(/near: dwcs, [^]*near: dwcs, /);
  running.interrupt();
  const { code, stdout, stderr } = await running.ended;
  assert.deepEqual([code, stderr], [0, ""]);
  assert.ok(stdout.split("near: dwcs, ").length > 2, stdout);
});

test("qsock names a configured qdisc, and takes its place when told to", async () => {
  cable();
  sh(`tc qdisc replace dev ${DEVICE} root handle 7: pfifo limit 77`);
  const before = traffic();
  const { code, stderr } = await play("qsock.ts", ["init", DEVICE, "--rate", "8mbit"]);
  assert.equal(code, 1);
  assert.match(stderr, /its root qdisc is "pfifo", which somebody configured; pass --replace/);
  assert.equal(traffic(), before);
  await qsock("init", DEVICE, "--rate", "8mbit", "--host", "isolated", "--replace");
  await qsock("off", DEVICE);
  assert.equal(traffic(), before);
});
