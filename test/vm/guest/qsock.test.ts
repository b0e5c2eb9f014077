// The command examples/qsock.ts on a device whose scheduler is below the stack: what it tells whom,
// and what it refuses.

import assert from "node:assert/strict";
import { Link } from "../../../ffi/link.ts";
import { actor } from "./actor.ts";
import { gate, hasCalls, sh } from "./guest.ts";
import { DEVICE, deviceTest, OTHER, qsock, qsockDoes, qsockStarts } from "./prepared.ts";

deviceTest(
  "root is told of alice's stream, by the processes that have it, and bob of none",
  async () => {
    const alice = actor("alice"); // starts while the command does
    qsockDoes(`init ${DEVICE} --streams 256 --rate 1mbit --mode 0666`);
    const { info, pid, own } = await alice.does(`
      const link = new Link({ device: "${DEVICE}" });
      const to = { hostname: "${OTHER}", port: 5004 };
      const socket = link.open({ to, ipg: 20, oln: 1, old: 4, bytes: 1000 });
      for (let i = 0; i < 50; i++) socket.send(new Uint8Array(1000), { deadline: 100 });
      const info = await drained(socket);
      say({ info, pid: process.pid, own: [...link.streams()] });
      await input.next();
    `);
    const [asRoot, table, asBob] = await Promise.all([
      qsockStarts(`info ${DEVICE} --json`),
      qsockStarts(`top ${DEVICE} --once --interval 50`),
      qsockStarts(`info ${DEVICE} --json`, "bob"),
    ]);
    const { streams, host, gate: by } = JSON.parse(asRoot);
    assert.deepEqual([host, by, streams.length], ["below", gate, 1]);
    const [stream] = streams;
    assert.deepEqual([stream.pid, stream.uid, stream.user], [pid, 1000, "alice"]);
    assert.deepEqual([stream.ipg, stream.oln, stream.old, stream.bytes], [20, 1, 4, 1000]);
    assert.deepEqual([stream.sent, stream.dropped], [info.sent, info.dropped]);
    assert.ok(stream.sent > 0 && stream.dropped.expired > 0, JSON.stringify(stream));
    assert.deepEqual([own.length, own[0].scope, own[0].cookie], [1, "own", stream.cookie]);
    assert.match(table, new RegExp(`^ *${pid}  alice `, "m"), table);
    assert.deepEqual(JSON.parse(asBob).streams, []);
    await alice.end();
    using link = new Link({ device: DEVICE });
    assert.deepEqual([...link.streams()], []);
  },
);

// Four commands more, which start slowly under Deno here; outside of the guest it has them as well.
const commandTest = "Bun" in globalThis ? deviceTest : () => {};

commandTest(
  "others than root and another scheduler are refused, and a configured qdisc comes back",
  () => {
    sh(`tc qdisc replace dev ${DEVICE} root handle 7: tbf rate 1mbit burst 3k latency 50ms`);
    const refused = qsock(`init ${DEVICE} --streams 256 --rate 10mbit`, "alice");
    assert.equal(refused.status, 1);
    assert.match(refused.output, /only root may do that/);

    const words = qsockDoes(
      `init ${DEVICE} --streams 256 --rate 10mbit --replace --scheduler edf`,
    );
    const where = hasCalls ? "in a module of the kernel|in the kernel" : "in BPF";
    assert.match(
      words,
      new RegExp(
        `edf at 10 Mbit/s, as the device's own queue, below the protocol stack, (${where})\n`,
      ),
    );

    const second = qsock(`init ${DEVICE} --streams 256 --rate 10mbit --scheduler dwcs`);
    assert.equal(second.status, 1);
    assert.match(second.output, /it is initialised for edf.*pass --replace/);
    qsockDoes(`off ${DEVICE}`);
    assert.match(sh(`tc qdisc show dev ${DEVICE} root`), /^qdisc tbf 7: .*rate 1Mbit/);
  },
);
