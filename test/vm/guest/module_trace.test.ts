// The same arrivals give the same decisions in the kernel modules (kernel/linux) as in user space and
// in the model: random calls of many threads go through each scheduler, which records what it is told
// and decides, while its rate changes and its device goes down and up; then the others are told the
// same at the same times. What is recorded is the kernel's own doing, times included: no slack.
// runtime: bun, unless it is told otherwise: what decides is C.
// gate: module, syscall

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Trace } from "../../../ffi/trace.ts";
import { replayOnModel } from "../../model/replay.ts";
import { asUser, sh } from "./guest.ts";
import { FAST, FOLDER, GATE, gate, moduleTest, SLOW, V4 } from "./module.ts";

const EPERM = -1, EEXIST = -17, ENODEV = -19, ENODATA = -61;
const SECONDS = 2; // of each scheduler's traffic
const FLOWS = 64; // QSOCKET_FLOWS
const FILE = "/run/records";
const SCHEDULERS = ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "fifo"] as const;

function recorded(): Trace {
  const [{ result, counted, ...about }] = gate("root", "trace", "vmmod0", FILE);
  assert.ok(result > 0 && counted <= result, `${result} records, ${counted}`);
  return new Trace({ device: "vmmod0", ...about }, new Uint8Array(readFileSync(FILE)));
}

/** The first record in which two traces differ, as both have it. */
function same(actual: Trace, expected: Trace): void {
  const at = actual.differsAt(expected);
  if (at < 0) return;
  const line = (trace: Trace) => JSON.stringify(trace.records[at] ?? "nothing");
  const before = JSON.stringify(expected.records.slice(Math.max(0, at - 2), at));
  assert.fail(
    `record ${at} differs, after\n${before}\n  actual   ${line(actual)}\n  expected ${
      line(expected)
    }`,
  );
}

for (const scheduler of SCHEDULERS) {
  moduleTest(`${scheduler}: the module decides as user space and the model do`, () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    sh(`GATE_TRACE=1 ${GATE} init vmmod0 ${scheduler} ${FAST}`);
    const fuzz = asUser("alice", [`${FOLDER}/fuzz vmmod0 ${V4} ${SECONDS} ${seed} steady`]).join(
      " ",
    );
    sh(`${fuzz} & sleep ${SECONDS / 2}; ${GATE} init vmmod0 ${scheduler} ${SLOW} replace
      ip link set vmmod0 down; ip link set vmmod0 up; wait`);
    const trace = recorded();
    assert.equal(trace.scheduler, scheduler);
    assert.equal(trace.rate, FAST);
    same(trace.replay(), trace);
    const seen = replayOnModel(trace);
    const kinds: Record<string, number> = {};
    for (const { kind } of trace.records) kinds[kind] = (kinds[kind] ?? 0) + 1;
    console.log(
      `${scheduler}: seed ${seed}, ${JSON.stringify(kinds)}, missed ${trace.missed}, ${
        JSON.stringify(seen)
      }`,
    );
    for (const kind of ["change", "close", "arrive", "lost", "decide"]) {
      assert.ok(kinds[kind] > 0, `no record of the kind ${kind}: ${JSON.stringify(kinds)}`);
    }
    assert.ok(seen.sent > 10 && seen.contested > 10, JSON.stringify(seen));
    // and a scheduler that decides otherwise is noticed
    const other = scheduler === "fifo" ? "edf" : "fifo";
    assert.ok(!trace.replay(other).equals(trace), `${other} did the same`);
  });
}

moduleTest("a trace that is full ends there, and says what it misses", () => {
  sh(`GATE_TRACE=1 GATE_MESSAGES=4 ${GATE} init vmmod0 fifo ${FAST}`);
  gate("alice", "send", "vmmod0", V4, 50, 100, 0, 0);
  const trace = recorded();
  assert.equal(trace.records.length, FLOWS + 4 * 8);
  assert.ok(trace.missed > 20, `${trace.missed}`);
  same(trace.replay(), trace);
});

moduleTest("a trace is there from the start or not at all, and for the network's owner", () => {
  assert.equal(gate("root", "init", "vmmod0", "fifo", FAST)[0].rate, FAST);
  assert.equal(gate("root", "trace", "vmmod0", FILE)[0].result, ENODATA);
  const [late] = JSON.parse(`[${sh(`GATE_TRACE=1 ${GATE} init vmmod0 fifo ${FAST} replace`)}]`);
  assert.equal(late.result, EEXIST);
  assert.match(late.why, /without a trace: restore it first/);
  gate("root", "off", "vmmod0");
  sh(`GATE_TRACE=1 ${GATE} init vmmod0 fifo ${FAST}`);
  assert.ok(gate("root", "trace", "vmmod0", FILE)[0].result >= FLOWS);
  assert.equal(gate("alice", "trace", "vmmod0", FILE)[0].result, EPERM);
  const elsewhere = ["unshare", "-Urn", GATE, "trace", "vmmod0", FILE];
  assert.equal(JSON.parse(sh(asUser("alice", elsewhere).join(" "))).result, ENODEV);
  assert.equal(gate("root", "init", "vmmod0", "fifo", SLOW, "replace")[0].rate, SLOW);
  assert.ok(gate("root", "trace", "vmmod0", FILE)[0].result >= FLOWS); // it goes on
});
