// What an initialisation below the stack makes and takes away again: nothing of it stays behind.
//
// runtime: bun, as nothing of a runtime is tested

import assert from "node:assert/strict";
import { restoreDevice } from "../../../ffi/link.ts";
import { attempt, gate, guestTest, hasCalls, sh } from "./guest.ts";
import { bpfDeviceTest, DEVICE, deviceTest, initialise, initialiseBelow } from "./prepared.ts";

const LEAVING_MS_MAX = 10_000; // the kernel frees what was unpinned in its own time
const PINS = "/sys/fs/bpf/qsockets";

const MAPS = "bpftool map list | grep -E 'name (memory|members|packets|leaving|desks|users|sched)'";

function count(command: string): number {
  return Number(sh(`${command} | wc -l`));
}

/** How many of ours there are: what an initialisation could leave behind. */
function kept(): Record<string, number> {
  const everywhere = {
    qdiscs: count("tc qdisc show | grep -E ' (qs_|htb )'"),
    states: count("find /run/qsockets -type f ! -name .lock"),
  };
  if (hasCalls) return { ...everywhere, ...uses() };
  return {
    ...everywhere,
    maps: count(MAPS),
    programs: count("bpftool prog list | grep -E 'struct_ops|name gate_'"),
    links: count("bpftool link list | grep -E 'struct_ops|cgroup'"),
    pins: count(`ls ${PINS}`),
  };
}

/** Of the module of a scheduler, where it is one; this very process has opened the gate. */
function uses(): Record<string, number> {
  if (gate !== "module") return {};
  return {
    uses: Number(sh("sed -n 's/^qsocket_fifo [0-9]* \\([0-9]*\\) .*/\\1/p' /proc/modules")),
  };
}

deviceTest("init and off ten times leave nothing behind", async () => {
  let here: Record<string, number> = {};
  for (let i = 0; i < 10; i++) {
    // the smallest scheduler: what is left does not depend on that
    initialiseBelow({ rate: "10mbit", scheduler: "fifo", queueMessages: 256 });
    if (i === 0) here = kept();
    restoreDevice(DEVICE);
  }
  for (const [what, number] of Object.entries(here)) assert.ok(number > 0, `no ${what} to count`);
  // bpftool is slow here: one question until that has its answer, then all
  const until = performance.now() + LEAVING_MS_MAX;
  while (!hasCalls && count(MAPS) > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.deepEqual(new Set(Object.values(kept())), new Set([0]), JSON.stringify(kept()));
});

guestTest("what a removed device has left goes when another one is initialised", () => {
  const pins = () => count(hasCalls ? "ls /run/qsockets" : `ls ${PINS}`);
  try {
    for (const device of ["vmgone0", "vmgone1"]) {
      sh(`ip link add ${device} type dummy && ip link set ${device} up`);
      initialiseBelow({ device, rate: "1mbit", scheduler: "fifo" });
      if (device === "vmgone0") sh(`ip link del ${device}`);
    }
    assert.equal(pins(), 1);
    restoreDevice("vmgone1");
    assert.equal(pins(), 0);
  } finally {
    attempt("ip link del vmgone0; ip link del vmgone1");
  }
});

bpfDeviceTest("objects of other sources are not taken, wherever they are", () => {
  const folder = "/project/kernel/build/bpf", shipped = "/project/kernel/bpf/built/fifo.bpf.o";
  sh(`mkdir ${folder}
    sed 's/qsockets sources ./qsockets sources x/' ${shipped} > ${folder}/fifo.bpf.o`);
  try {
    initialiseBelow({ rate: "10mbit", scheduler: "fifo" });
    restoreDevice(DEVICE);
    sh(`mv ${shipped} ${shipped}.away`);
    const { host, hostReason } = initialise({ rate: "10mbit", scheduler: "fifo" });
    assert.notEqual(host, "below");
    assert.match(hostReason!, /fifo.bpf.o is of other sources than the library/);
  } finally {
    attempt(`rm -r ${folder}; mv ${shipped}.away ${shipped}`);
  }
});
