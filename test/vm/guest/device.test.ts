// The privileged side of the host below the stack: what an initialisation makes of a device, what
// changes while it is used, and what is left of it.

import assert from "node:assert/strict";
import process from "node:process";
import { attempt, guestTest, sh } from "./guest.ts";
import { DEVICE, deviceTest, program, qsockDoes } from "./prepared.ts";

const LEAVING_MS_MAX = 10_000; // the kernel frees what was unpinned in its own time
const PINS = "/sys/fs/bpf/qsockets";

const MAPS = "bpftool map list | grep '^[0-9]'";

function count(command: string): number {
  return Number(sh(`${command} | wc -l`));
}

/** How many of each there are: what an initialisation could leave behind. */
function kept(): Record<string, number> {
  return {
    maps: count(MAPS),
    programs: count("bpftool prog list | grep '^[0-9]'"),
    links: count("bpftool link list | grep '^[0-9]'"),
    qdiscs: count("tc qdisc show"),
    pins: count("find /sys/fs/bpf -mindepth 1"),
    states: count("find /run/qsockets -type f ! -name .lock 2> /dev/null"),
  };
}

/** Waits until it is so again, which it becomes at the kernel's leisure. */
async function isAgain(before: Record<string, number>): Promise<void> {
  const until = performance.now() + LEAVING_MS_MAX;
  // bpftool is slow here: one question until that has its answer, then all
  while (count(MAPS) !== before.maps && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.deepEqual(kept(), before);
}

deviceTest("init and off ten times leave nothing behind", async () => {
  sh(`mkdir -p ${PINS}`); // what the first one of all makes
  const before = kept();
  const cycle = program(
    "root",
    `
    import { restoreDevice } from "/project/mod.ts";
    for (let i = 0; i < 10; i++) {
      const options = { device: "${DEVICE}", rate: "10mbit", system: true, streams: 256 };
      const link = new Link({ ...options, scheduler: "fifo", queueMessages: 256 });
      const socket = link.open({ to });
      socket.send(new Uint8Array(100), { deadline: 1000 });
      say(link.host);
      link.close();
      restoreDevice("${DEVICE}");
    }
    say("done");
  `,
  );
  for (let i = 0; i < 10; i++) assert.equal(await cycle.next(), "below");
  assert.equal(await cycle.next(), "done");
  await cycle.end();
  await isAgain(before);
});

guestTest("what a removed device has left goes when another one is initialised", () => {
  try {
    for (const name of ["vmgone0", "vmgone1"]) {
      sh(`ip link add ${name} type dummy && ip link set ${name} up`);
      qsockDoes(`init ${name} --rate 1mbit --streams 256 --scheduler fifo`);
      if (name === "vmgone0") sh(`ip link del ${name}`);
    }
    assert.equal(sh(`ls ${PINS} | wc -l`).trim(), "1");
    qsockDoes("off vmgone1");
    assert.equal(sh(`ls ${PINS} | wc -l`).trim(), "0");
  } finally {
    attempt("ip link del vmgone0; ip link del vmgone1");
  }
});

deviceTest("another rate is taken over while a stream sends, and nothing is lost", async () => {
  qsockDoes(`init ${DEVICE} --streams 256 --rate 400kbit --group video`);
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "${DEVICE}" });
    const socket = link.open({ to, droppable: false });
    const send = async (number) => {
      for (let i = 0; i < number; i++) socket.send(new Uint8Array(1000));
      const start = performance.now();
      for (;;) {
        const info = socket.info();
        if (info.queued === 0) return [performance.now() - start, info, link.info().rate];
        await pause(2);
      }
    };
    say(await send(40));
    say("sending");
    const both = send(100);
    say(await both);
    say(await send(40));
    await input.next();
  `,
  );
  const [slow] = await alice.next();
  assert.equal(await alice.next(), "sending");
  assert.match(
    qsockDoes(`init ${DEVICE} --streams 256 --rate 8mbit --group video`),
    /at 8 Mbit\/s/,
  );
  const [, , rate] = await alice.next();
  const [fast, info] = await alice.next();
  assert.equal(rate, 1_000_000);
  // 20 times the rate: a guest is never so late that this could be hidden
  assert.ok(fast * 4 < slow, `40 messages took ${slow} ms, then ${fast} ms`);
  assert.deepEqual([info.offered, info.sent, info.late, info.queued], [180, 180, 0, 0]);
  const drops = JSON.parse(qsockDoes(`info ${DEVICE} --json`)).dropped;
  assert.ok(Object.values(drops).every((count) => count === 0), JSON.stringify(drops));
  await alice.end();
});

deviceTest("what was initialised outlives the process that did it", async () => {
  const root = program(
    "root",
    `
    const options = { device: "${DEVICE}", rate: "10mbit", system: true, group: "video", streams: 256 };
    const link = new Link(options);
    say(link.host);
    await pause(1e6);
  `,
  );
  assert.equal(await root.next(), "below");
  process.kill(root.pid, "SIGKILL");
  await root.end();
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "${DEVICE}" });
    const socket = link.open({ to });
    for (let i = 0; i < 5; i++) socket.send(new Uint8Array(100), { deadline: 1000 });
    let info = socket.info();
    while (info.queued > 0) { await pause(5); info = socket.info(); }
    say(info);
  `,
  );
  const info = await alice.next();
  assert.deepEqual([info.host, info.sent], ["below", 5]);
  await alice.end();
});

deviceTest("without a compiler's objects the shipped ones serve, and no others", () => {
  const folder = "/project/kernel/build/bpf";
  sh(`mv ${folder} ${folder}.away`);
  try {
    assert.match(
      qsockDoes(`init ${DEVICE} --streams 256 --rate 10mbit --scheduler fifo`),
      /below the protocol stack/,
    );
    qsockDoes(`off ${DEVICE}`);
    sh(`mkdir ${folder}
      sed 's/qsockets sources ./qsockets sources x/' ${folder}.away/fifo.bpf.o > ${folder}/fifo.bpf.o
      mv /project/kernel/bpf/built /project/kernel/bpf/built.away`);
    const words = qsockDoes(`init ${DEVICE} --streams 256 --rate 10mbit --scheduler fifo`);
    assert.match(words, /fifo.bpf.o is of other sources than the library/);
  } finally {
    attempt(`rm -rf ${folder}; mv ${folder}.away ${folder}
      mv /project/kernel/bpf/built.away /project/kernel/bpf/built`);
  }
});

deviceTest("a socket that is refused holds no place, and may ask for less", async () => {
  qsockDoes(`init ${DEVICE} --streams 256 --rate 1mbit --group video`);
  const alice = program(
    "alice",
    `
    import { createSocket } from "node:dgram";
    import { once } from "node:events";
    const plain = createSocket("udp4").bind(0, "10.79.0.1");
    await once(plain, "listening");
    const link = new Link({ device: "${DEVICE}", admission: "refuse" });
    let error = {};
    try {
      link.attach(plain, { ipg: 10, bytes: 10_000 });
    } catch (caught) {
      error = caught;
    }
    say({ code: error.code, utilisation: error.utilisation });
    await input.next();
    const socket = link.attach(plain, { ipg: 100, bytes: 1000 });
    socket.sendto(new Uint8Array(100), to);
    say("attached");
    await input.next();
  `,
  );
  const { code, utilisation } = await alice.next();
  assert.equal(code, "EBUSY");
  assert.equal(utilisation, 8);
  const members = () =>
    Number(sh(`bpftool map dump pinned ${PINS}/*/members | grep -c key || true`));
  assert.equal(members(), 0);
  alice.write("");
  assert.equal(await alice.next(), "attached");
  assert.equal(members(), 1);
  await alice.end();
});
