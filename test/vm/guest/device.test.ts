// The privileged side of the host below the stack: what an initialisation makes of a device, what
// changes while it is used, and what is left of it.

import assert from "node:assert/strict";
import { attempt, guestTest, sh } from "./guest.ts";
import { DEVICE, deviceTest, owner, program } from "./prepared.ts";

const LEAVING_MS_MAX = 10_000; // the kernel frees what was unpinned in its own time
const PINS = "/sys/fs/bpf/qsockets";

const MAPS = "bpftool map list | grep -E 'name (memory|members|packets|leaving|desks|users|sched)'";

function count(command: string): number {
  return Number(sh(`${command} | wc -l`));
}

/** How many of ours there are: what an initialisation could leave behind. */
function kept(): Record<string, number> {
  return {
    maps: count(MAPS),
    programs: count("bpftool prog list | grep -E 'struct_ops|name gate_'"),
    links: count("bpftool link list | grep -E 'struct_ops|cgroup'"),
    qdiscs: count("tc qdisc show | grep -E ' (qs_|htb )'"),
    pins: count(`ls ${PINS}`),
    states: count("find /run/qsockets -type f ! -name .lock"),
  };
}

deviceTest("init and off ten times leave nothing behind", async () => {
  const root = owner();
  let here: Record<string, number> = {};
  for (let i = 0; i < 10; i++) {
    // the smallest scheduler: what is left does not depend on that
    const { host } = await root.does({ rate: "10mbit", scheduler: "fifo", queueMessages: 256 });
    assert.equal(host, "below");
    if (i === 0) here = kept();
    assert.deepEqual(await root.does({ off: true }), { off: true });
  }
  await root.end();
  for (const [what, number] of Object.entries(here)) assert.ok(number > 0, `no ${what} to count`);
  // bpftool is slow here: one question until that has its answer, then all
  const until = performance.now() + LEAVING_MS_MAX;
  while (count(MAPS) > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.deepEqual(new Set(Object.values(kept())), new Set([0]), JSON.stringify(kept()));
});

guestTest("what a removed device has left goes when another one is initialised", async () => {
  const root = owner();
  const pins = () => Number(sh(`ls ${PINS} | wc -l`));
  try {
    for (const device of ["vmgone0", "vmgone1"]) {
      sh(`ip link add ${device} type dummy && ip link set ${device} up`);
      const { host } = await root.does({ device, rate: "1mbit", scheduler: "fifo" });
      assert.equal(host, "below");
      if (device === "vmgone0") sh(`ip link del ${device}`);
    }
    assert.equal(pins(), 1);
    await root.does({ device: "vmgone1", off: true });
    assert.equal(pins(), 0);
  } finally {
    attempt("ip link del vmgone0; ip link del vmgone1");
    await root.end();
  }
});

deviceTest("another rate is taken over while a stream sends, and nothing is lost", async () => {
  const root = owner();
  const before = { rate: "100kbit", group: "video" };
  assert.equal((await root.does(before)).host, "below");
  const alice = program(
    "alice",
    `
    const link = new Link({ device: "${DEVICE}" });
    const socket = link.open({ to, droppable: false });
    const waits = async (most) => {
      while (socket.info().queued > most) await pause(2);
    };
    const timed = async () => {
      const start = performance.now();
      for (let i = 0; i < 40; i++) socket.send(new Uint8Array(1000));
      await waits(0);
      return performance.now() - start;
    };
    const slow = await timed();
    say("sending");
    while (link.info().rate === 12_500) {
      socket.send(new Uint8Array(1000));
      await waits(20);
    }
    await waits(0);
    const fast = await timed();
    say({ slow, fast, rate: link.info().rate, info: socket.info() });
    await input.next();
  `,
  );
  assert.equal(await alice.next(), "sending");
  const answer = await root.does({ rate: "8mbit", group: "video" });
  assert.equal(answer.rate, 1_000_000, JSON.stringify(answer));
  const { slow, fast, rate, info } = await alice.next();
  assert.equal(rate, 1_000_000);
  // the rate is 80 times what it was: no guest is so slow that this could be hidden
  assert.ok(fast * 2 < slow, `40 messages took ${slow} ms, then ${fast} ms`);
  assert.ok(info.offered > 80);
  assert.deepEqual([info.sent, info.late, info.queued], [info.offered, 0, 0]);
  const { dropped } = (await root.does({ info: true })).info;
  assert.ok(Object.values(dropped).every((count) => count === 0), JSON.stringify(dropped));

  const closed = await root.does({ rate: "8mbit", group: "video", mode: 0o600 });
  assert.equal(closed.host, "below");
  const late = program(
    "alice",
    `
    let code = null;
    try { new Link({ device: "${DEVICE}" }); } catch (error) { code = error.code; }
    say(code);
  `,
  );
  assert.equal(await late.next(), "EACCES");
  for (const one of [alice, late, root]) await one.end();
});

deviceTest("what was initialised outlives the process that did it", async () => {
  const root = owner();
  const { host } = await root.does({ rate: "10mbit", scheduler: "edf", group: "video" });
  assert.equal(host, "below");
  await root.end(); // killed
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
  assert.deepEqual([info.host, info.scheduler, info.sent + info.late], ["below", "edf", 5]);
  await alice.end();
});

deviceTest("without a compiler's objects the shipped ones serve, and no others", async () => {
  const folder = "/project/kernel/build/bpf";
  const root = owner();
  sh(`mv ${folder} ${folder}.away`);
  try {
    const { host } = await root.does({ rate: "10mbit", scheduler: "fifo" });
    assert.equal(host, "below");
    await root.does({ off: true });
    sh(`mkdir ${folder}
      sed 's/qsockets sources ./qsockets sources x/' ${folder}.away/fifo.bpf.o > ${folder}/fifo.bpf.o
      mv /project/kernel/bpf/built /project/kernel/bpf/built.away`);
    const { hostReason } = await root.does({ rate: "10mbit", scheduler: "fifo" });
    assert.match(hostReason, /fifo.bpf.o is of other sources than the library/);
  } finally {
    attempt(`rm -rf ${folder}; mv ${folder}.away ${folder}
      mv /project/kernel/bpf/built.away /project/kernel/bpf/built`);
    await root.end();
  }
});

deviceTest("a socket that is refused holds no place, and may ask for less", async () => {
  const root = owner();
  assert.equal((await root.does({ rate: "1mbit", group: "video" })).host, "below");
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
  assert.deepEqual(await alice.next(), { code: "EBUSY", utilisation: 8 });
  const members = () =>
    Number(sh(`bpftool map dump pinned ${PINS}/*/members | grep -c key || true`));
  assert.equal(members(), 0);
  alice.write("");
  assert.equal(await alice.next(), "attached");
  assert.equal(members(), 1);
  const { streams } = await root.does({ info: true });
  assert.deepEqual(streams.map(({ bytes }: { bytes: number }) => bytes), [1000]);
  for (const one of [alice, root]) await one.end();
});
