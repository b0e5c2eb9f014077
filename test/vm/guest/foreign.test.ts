// What root of a user namespace does, who may make devices in a network of his own and give them
// any number: never anything to the scheduler of a device of the host.

import assert from "node:assert/strict";
import { asUser, attempt, sh } from "./guest.ts";
import { DEVICE, deviceTest, qsockDoes } from "./prepared.ts";

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
    assert.match(output, /busy/i);
    assert.equal(host(), "below", "the scheduler takes itself for detached");
    qsockDoes(`off ${DEVICE}`);
  },
);
