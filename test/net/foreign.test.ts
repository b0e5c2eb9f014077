// A device that somebody else has configured meanwhile, or that does not come back as it was.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { restoreDevice } from "../../mod.ts";
import { cable, DEVICE, program, root, sh, states, traffic } from "./network.ts";
import { damage, initialise, refusal, SYSTEM } from "./system.ts";

for (const former of ["", "tbf rate 5mbit burst 5kb latency 50ms"]) {
  test(`restoring leaves a root qdisc that took our place, ${former ? "not a former tbf's" : "the default's"}, and says so`, () => {
    cable();
    if (former) sh(`tc qdisc add dev ${DEVICE} root ${former}`);
    initialise({ replace: true }).close();
    sh(`tc qdisc replace dev ${DEVICE} root handle 7: pfifo limit 7`);
    const before = traffic();
    const refused = refusal(() => restoreDevice(DEVICE));
    assert.equal(refused.code, "EEXIST");
    assert.equal(
      refused.message,
      `Cannot restore ${DEVICE}: its root qdisc is pfifo, which somebody configured since and is ` +
        `left${former ? "; the tbf before is not brought back" : ""} (EEXIST)`,
    );
    assert.equal(traffic(), before);
    assert.deepEqual(states(), []);
    assert.equal(refusal(() => restoreDevice(DEVICE)).code, "ENOENT");
  });
}

test("initialising again names a root qdisc that took our place, and takes it when asked", () => {
  cable();
  initialise().close();
  sh(`tc qdisc replace dev ${DEVICE} root handle 7: pfifo limit 7`);
  const before = traffic();
  const refused = refusal(() => initialise());
  assert.equal(refused.code, "EEXIST");
  assert.match(refused.message, /its root qdisc is "pfifo", which somebody configured/);
  assert.equal(traffic(), before);
  initialise({ replace: true }).close();
  assert.match(traffic(), /qdisc htb 5153: root/);
  restoreDevice(DEVICE);
  assert.equal(traffic(), before);
});

test("restoring says what is not as it was: other parameters", () => {
  cable();
  sh(`tc qdisc add dev ${DEVICE} root handle 7: pfifo_fast`);
  initialise({ replace: true }).close();
  damage((state) => { // pfifo_fast shows a map of priorities, and takes none
    const at = state.indexOf(Buffer.from([3, 0, 0, 0, 1, 2, 2, 2]));
    assert.ok(at > 0);
    state[at + 4] = 0;
  });
  const refused = refusal(() => restoreDevice(DEVICE));
  assert.match(refused.message, /its former root qdisc, pfifo_fast 7:, is back, but with other p/);
  assert.match(traffic(), /qdisc pfifo_fast 7: root/);
  assert.deepEqual(states(), []);
});

test("restoring says what is not as it was: another default", () => {
  cable();
  initialise().close();
  damage((state) => {
    const at = state.indexOf("noqueue");
    assert.ok(at > 0);
    state.write("fq\0\0\0\0\0", at);
  });
  const refused = refusal(() => restoreDevice(DEVICE));
  assert.match(refused.message, /its root qdisc was fq 0: and is noqueue 0:/);
  assert.deepEqual(states(), []);
});

test("where no host is possible, only this program's traffic is scheduled, and words say so", () => {
  cable();
  const before = traffic();
  const { host: _, ...options } = { ...SYSTEM, host: undefined };
  const text = `import { Link } from "./mod.ts";
    using link = new Link(${JSON.stringify(options)});
    console.log(link.host, link.hostReason);`;
  // root of a user namespace of its own, to which this network does not belong
  const { stdout, stderr } = spawnSync(
    "unshare",
    ["-Ur", process.execPath, ...program(text)],
    { cwd: root, encoding: "utf8" },
  );
  assert.match(
    stdout,
    /^above only this program's traffic is scheduled: no BPF qdisc \(.+\), and no HTB: Operation/,
    stderr,
  );
  assert.equal(traffic(), before);
  assert.deepEqual(states(), []);
});
