// What the runner of the guest's tests sees in a kernel's log, on lines that kernels have written.

import { test } from "node:test";
import assert from "node:assert/strict";
import { complaints, EXCUSED, isEmulators } from "./vm/kernellog.mjs";

const BOOT = `[    0.000000] Linux version 7.2.13+deb14-cloud-amd64 (debian-kernel@lists.debian.org)
[    0.000000] tsc: Unable to calibrate against PIT
[    0.503710] NMI watchdog: Perf NMI watchdog permanently disabled
[    0.811827] mtrr: your CPUs had inconsistent fixed MTRR settings
[    0.983039] PCI: Using host bridge windows from ACPI; if necessary, use "pci=nocrs" and report a bug
[    1.010671] acpi PNP0A03:00: fail to add MMCONFIG information, can't access extended configuration space
[    2.245233] clocksource: Switched to clocksource tsc
[    6.454423] u32 classifier
[    7.120000] bun[214]: segfault at 0 ip 00000000004 sp 00007ffc error 4 in bun[200000+1]
`;

const WARNING = `[   12.400000][  T301] ------------[ cut here ]------------
[   12.400001][  T301] WARNING: net/sched/sch_api.c:791 at qdisc_tree_reduce_backlog+0x152/0x180, CPU#1: tc/301
[   12.400002][  T301] Modules linked in: veth
[   12.400003][  T301] Call Trace:
[   12.400004][  T301]  <TASK>
[   12.400005][  T301]  qdisc_graft+0x1/0x2
[   12.400006][  T301]  </TASK>
[   12.400007][  T301] ---[ end trace 0000000000000000 ]---
`;

test("complaints finds nothing in the log of a sound boot, nor in a program's crash", () => {
  assert.deepEqual(complaints(BOOT), []);
});

test("complaints tells a warning once, from its first line to its end", () => {
  const found = complaints(`${BOOT}${WARNING}${BOOT}`);
  assert.equal(found.length, 1);
  assert.match(found[0].line, /^WARNING: net\/sched\/sch_api\.c:791 /);
  assert.match(found[0].text, /^\[ {3}12\.400001\][\s\S]*qdisc_graft[\s\S]*end trace 0+ \]---$/);
});

test("complaints tells each of two warnings", () => {
  assert.equal(complaints(WARNING + WARNING).length, 2);
});

for (
  const line of [
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "BUG: KASAN: slab-use-after-free in bpf_qdisc_reset_destroy_epilogue+0x1/0x2",
    "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585",
    "BUG: scheduling while atomic: tc/301/0x00000201",
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [ksoftirqd/0:14]",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...D }",
    "INFO: task tc:301 blocked for more than 120 seconds.",
    "INFO: lockdep is turned off.",
    "WARNING: possible circular locking dependency detected",
    "WARNING: inconsistent lock state",
    "WARNING: suspicious RCU usage",
    "INFO: trying to register non-static key.",
    "kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "kmemleak: Memory pool empty, consider increasing CONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE",
    "unreferenced object 0xffff888004c3f000 (size 192):",
    "Oops: Oops: 0000 [#1] SMP NOPTI",
    "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000",
    "general protection fault, probably for non-canonical address 0xdead000000000108: 0000",
    "Kernel panic - not syncing: Fatal exception in interrupt",
    "kernel BUG at net/core/skbuff.c:210!",
    "refcount_t: underflow; use-after-free.",
    "list_del corruption. prev->next should be ffff888, but was 0000000",
    "UBSAN: array-index-out-of-bounds in net/sched/sch_generic.c:11:2",
    "unregister_netdevice: waiting for v0 to become free. Usage count = 2",
    "Out of memory: Killed process 301 (bun) total-vm:1kB",
  ]
) {
  test(`complaints finds "${line.slice(0, 60)}", with a time before it and without`, () => {
    for (
      const before of [
        "",
        "[   30.000001] ",
        "[12345.000001][ T4711] ",
        "<4>[    1.000001][    C0] ",
      ]
    ) {
      assert.deepEqual(complaints(`${BOOT}${before}${line}\n`).map((it) => it.line), [line]);
    }
  });
}

test("complaints tells no more of one than a report is long", () => {
  const lines = Array.from({ length: 500 }, (_, index) => `[   40.0000${index}] frame ${index}`);
  const [found, ...others] = complaints(`BUG: endless\n${lines.join("\n")}\n`);
  assert.deepEqual(others, []);
  assert.ok(found.text.split("\n").length < 100);
});

test("complaints leaves out what is excused, and nothing beside it", () => {
  const line = "[    0.300000] Spectre V2 : WARNING: Unprivileged eBPF is enabled";
  assert.deepEqual(complaints(`${line}\n`), []);
  assert.equal(complaints(`${line}\n`, []).length, 1);
  assert.equal(complaints(`${line}\n${WARNING}`).length, 1);
});

test("each line that is excused has a reason", () => {
  for (const { why } of EXCUSED) assert.ok(why.length > 20);
});

test("isEmulators tells a breakpoint that nobody knows from a fault of the kernel", () => {
  const int3 = `[   42.667065] Oops: int3: 0000 [#1] SMP NOPTI
[   42.667815] RIP: 0010:enqueue_task_fair+0x1bb/0xed0
[   42.669614]  enqueue_task+0x88/0x1a0
[   42.670945] ---[ end trace 0000000000000000 ]---
[   42.680000] Kernel panic - not syncing: Fatal exception
`;
  assert.equal(isEmulators(BOOT + int3), true);
  assert.equal(isEmulators(WARNING + int3), false, "it complained before");
  for (const log of [BOOT, WARNING, "Oops: Oops: 0002 [#1] SMP NOPTI\n", "bun[9]: int3 at 4\n"]) {
    assert.equal(isEmulators(log), false);
  }
});
