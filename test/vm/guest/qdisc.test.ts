// The scheduler as a qdisc in BPF, before anything is set up for it: the kernel's verifier and
// struct_ops take it, and nobody can make it the qdisc of a device that it was not loaded for. The
// smallest one serves for all: schedulers.test.ts has the library load each.
//
// runtime: bun, as nothing of a runtime is tested

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { attempt, bpfTest, sh } from "./guest.ts";

const OBJECT = "kernel/bpf/built/fifo.bpf.o"; // test/vm/objects.mjs
const PIN = "/sys/fs/bpf/qsockets-test";

bpfTest("the kernel takes it as a qdisc, and lets it go again", () => {
  assert.ok(existsSync(OBJECT), `${OBJECT} is missing`);
  sh(`set -e
    ulimit -l unlimited
    mkdir -p ${PIN}
    bpftool struct_ops register ${OBJECT} ${PIN}
    bpftool struct_ops list | grep -q Qdisc_ops
    rm -r ${PIN}
    for i in 1 2 3 4 5 6 7 8 9 10; do
      bpftool struct_ops list | grep -q Qdisc_ops || exit 0
      sleep 0.2
    done
    echo "it is still there"; exit 1`);
});

bpfTest(
  "it refuses a device that its memory is not for, and leaves the device as it was",
  () => {
    sh(`set -e
    ulimit -l unlimited
    mkdir -p ${PIN}
    bpftool struct_ops register ${OBJECT} ${PIN}
    ip link add vmtest type dummy
    ip link set vmtest up`);
    try {
      const before = sh("tc qdisc show dev vmtest");
      const done = attempt("tc qdisc replace dev vmtest root qsockets");
      assert.notEqual(done.status, 0);
      assert.match(done.output, /busy/i);
      assert.equal(sh("tc qdisc show dev vmtest"), before);
    } finally {
      sh(`ip link del vmtest; rm -r ${PIN}`);
    }
  },
);
