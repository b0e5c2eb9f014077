// The same arrivals give the same decisions wherever the scheduler runs: random traffic is sent through
// the device's qdisc (in BPF, or the kernel's own), which records what it is told and decides; then the
// scheduler in user space and the model are told the same at the same times. They must make the same of
// it, message by message. The times of the decisions are the qdisc's own, so nothing is put down to a
// clock: there is no slack.
//
// QSOCKETS_SEED=n repeats the traffic; its times are as the machine has it, each time anew.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import fc from "fast-check";
import { QError } from "../../../ffi/error.ts";
import { Link, restoreDevice } from "../../../ffi/link.ts";
import type { QSocket } from "../../../ffi/socket.ts";
import { readTrace, type Trace } from "../../../ffi/trace.ts";
import { parameters, scenario } from "../../arbitrary.ts";
import { replayOnModel } from "../../model/replay.ts";
import type { Scenario } from "../../model/play.ts";
import type { Scheduler } from "../../model/state.ts";
import { asUser, attempt, evaluate, gate, guestTest, sh } from "./guest.ts";

const DEVICE = "vmtrace0";
const PEER = "10.79.0.2";
const PORT = 5004;
const RATE = 100_000; // bytes per second: slow enough for queues behind a slow program
const CATCH_UP_MS = 10; // QS_PACE_CATCH_UP_NS
const FLOWS = 64; // QS_BELOW_FLOWS
const SCENARIOS = 4; // for each scheduler
// What decides is C, and the model's own runtime changes nothing: under Deno one is enough.
const SCHEDULERS = "Bun" in globalThis
  ? (["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "fifo"] as const)
  : (["dwcs"] as const);
const SCENARIO_BYTES_MAX = 60_000;
const SCENARIO_MS_MAX = 2000; // also where the machine is slow: messages are late then, and random too
const DATAGRAM_BYTES = 1200; // what is larger is cut by the kernel
const DRAIN_MS_MAX = 20_000;
const STILL_MS = 100;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a scenario leaves open. */
interface Traffic {
  scenario: Scenario;
  load: number; // of the link's rate
  rest: number; // each so many messages, one of a program that knows nothing of all this
  discards: boolean; // its sockets close without waiting for what they have queued
}

const traffic = (scheduler: Scheduler): fc.Arbitrary<Traffic> =>
  fc.record({
    scenario: scenario(scheduler).filter(({ streams, messages }) => {
      const bytes = bytesOf(messages);
      return streams.length > 2 && messages.length > 20 && bytes > 10_000 &&
        bytes < SCENARIO_BYTES_MAX;
    }),
    load: fc.constantFrom(0.5, 1, 1.5, 2, 2.5, 3),
    rest: fc.integer({ min: 2, max: 9 }),
    discards: fc.boolean(),
  });

function bytesOf(messages: { bytes: number }[]): number {
  return messages.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Runs what throws when a message is not taken, which is as random as all else here. */
function perhaps(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof QError)) throw error;
  }
}

/** Sends a scenario's messages, at their times as they are at this link's rate and load. */
async function send(link: Link, { scenario, load, rest, discards }: Traffic): Promise<void> {
  const { streams, messages } = scenario;
  const length = Math.max(10, ...messages.map(({ at }) => at));
  const stretch = bytesOf(messages) / (RATE * load) * 1000 / length;
  const sockets: QSocket[] = streams.map(({ weight: _, class: __, ...attributes }) => {
    const ipg = (attributes.ipg ?? 0) * stretch;
    const window = ipg > 0 ? {} : { oln: 0, old: 0 };
    const to = { hostname: PEER, port: PORT };
    return link.open({ ...attributes, ipg, ...window, to, admission: "off" });
  });
  const unmanaged = [createSocket("udp4"), createSocket("udp4")];
  const start = performance.now();
  const arrivals = messages.map((message, index) => ({ ...message, index }))
    .sort((a, b) => a.at - b.at || a.index - b.index);
  for (const [index, { stream, bytes, at, deadline, index: _, ...options }] of arrivals.entries()) {
    const early = start + at * stretch - performance.now();
    if (early > 1) await pause(early);
    if (performance.now() - start > SCENARIO_MS_MAX) break;
    perhaps(() =>
      sockets[stream].send(new Uint8Array(bytes), {
        ...options,
        ...(deadline !== undefined && { deadline: Math.max(0.001, deadline * stretch) }),
        ...(bytes > DATAGRAM_BYTES && { segment: Math.max(DATAGRAM_BYTES, Math.ceil(bytes / 60)) }),
      })
    );
    if (index % rest === 0) unmanaged[index % 2].send(new Uint8Array(bytes % 1000), PORT, PEER);
    if (index === Math.floor(arrivals.length / 2)) change(sockets[index % sockets.length], stretch);
  }
  // More than can be in time, of whatever scenario this is.
  for (let i = 0; i < 5; i++) {
    perhaps(() => sockets[0].send(new Uint8Array(1000), { deadline: 15 }));
  }
  if (!discards) await drained(link);
  for (const socket of sockets) socket.close();
  await pause(1);
  for (const socket of unmanaged) socket.close();
}

/** Another window; another period, where there is one. */
function change(socket: QSocket, stretch: number): void {
  const { ipg, old } = socket.info();
  if (ipg > 0) socket.change({ ipg: ipg + stretch, old: old + 1 });
}

/** Waits until nothing leaves any more: a frame whose end was lost on its way stays queued. */
async function drained(link: Link): Promise<void> {
  const end = performance.now() + DRAIN_MS_MAX;
  for (let was = Infinity, still = 0; was > 0 && still < STILL_MS;) {
    const { queued } = link.info();
    if (performance.now() > end) throw new Error(`it does not come to rest: ${queued} queued`);
    still = queued === was ? still + 5 : 0;
    was = queued;
    await pause(5);
  }
}

/** What a device recorded, of traffic that goes to nobody. */
async function recorded(
  options: { scheduler: Exclude<Scheduler, "cbq">; queueMessages?: number },
  run: (link: Link) => Promise<void>,
): Promise<Trace> {
  sh(`set -e
    ip link add ${DEVICE} type veth peer name vmtrace1
    ip addr add 10.79.0.1/24 dev ${DEVICE}
    ip link set ${DEVICE} up
    ip link set vmtrace1 up
    ip neigh replace ${PEER} lladdr 02:00:00:00:00:01 dev ${DEVICE}`); // it is not answered
  try {
    const device = { device: DEVICE, rate: RATE, system: true, host: "below" } as const;
    using link = new Link({ ...device, ...options, trace: true });
    assert.equal(link.info().gate, gate);
    await run(link);
    await drained(link);
    return readTrace(DEVICE);
  } finally {
    perhaps(() => restoreDevice(DEVICE));
    attempt(`ip link del ${DEVICE}`);
  }
}

/** The first record in which two traces differ, as both have it. */
function same(actual: Trace, expected: Trace, what: string): void {
  const at = actual.differsAt(expected);
  if (at < 0) return;
  const line = (trace: Trace) => JSON.stringify(trace.records[at] ?? "nothing");
  assert.fail(
    `${what}: record ${at} differs, after\n${JSON.stringify(expected.records[at - 1])}\n` +
      `  actual   ${line(actual)}\n  expected ${line(expected)}`,
  );
}

/** The link is free at each decision: what was sent before has had its time, or what was missed. */
function paced({ records, rate: first }: Trace): void {
  let rate = first, freeAt = -Infinity;
  for (const record of records) {
    if (record.kind === "rate") rate = record.rate!;
    if (record.kind !== "decide") continue;
    const { at = 0, lag = 0, bytes } = record;
    const slack = 1e-6; // a nanosecond: of the division
    assert.ok(at >= freeAt - slack, `sent at ${at}, the link being busy until ${freeAt}`);
    assert.ok(lag <= Math.min(CATCH_UP_MS, at - freeAt) + slack, `lag ${lag} at ${at}, ${freeAt}`);
    if (bytes) freeAt = Math.max(freeAt, at - CATCH_UP_MS) + bytes * 1000 / rate;
  }
}

for (const scheduler of SCHEDULERS) {
  guestTest(`${scheduler}: the qdisc decides as user space and the model do`, async () => {
    const { seed } = parameters;
    const trace = await recorded({ scheduler }, async (link) => {
      const scenarios = fc.sample(traffic(scheduler), { seed, numRuns: SCENARIOS });
      for (const [i, one] of scenarios.entries()) {
        // One at least waits until its last messages are too late, or sent.
        await send(link, i === 0 ? { ...one, discards: false } : one);
      }
    });
    const lags = trace.records.flatMap(({ lag, bytes }) => bytes && lag !== undefined ? [lag] : []);
    assert.equal(trace.scheduler, scheduler);
    assert.equal(trace.missed, 0);
    same(trace.replay(), trace, `QSOCKETS_SEED=${seed}, in user space`);
    const seen = replayOnModel(trace);
    paced(trace);
    console.log(
      `${scheduler}: QSOCKETS_SEED=${seed}, ${trace.records.length} records, ` +
        `${JSON.stringify(seen)}; decisions up to ${Math.max(...lags).toFixed(3)} ms late`,
    );
    // It was worth looking at: there was much to choose from, and what can be lost was.
    const { arrivals, contested, sent, late, lost } = seen;
    assert.ok(arrivals > 30 * SCENARIOS && sent > 10 * SCENARIOS, JSON.stringify(seen));
    assert.ok(contested > 2 * SCENARIOS, JSON.stringify(seen));
    const lossless = scheduler === "edf-lossless" || scheduler === "fifo";
    assert.ok(!lossless ? lost.expired > 0 : late > 0, JSON.stringify(seen));
    // And a scheduler that decides otherwise is noticed.
    const other = scheduler === "fifo" ? "edf" : "fifo";
    assert.ok(!trace.replay(other).equals(trace), `${other} did the same`);
  });
}

guestTest("a trace that is full ends there, and says what it misses", async () => {
  const trace = await recorded({ scheduler: "fifo", queueMessages: 4 }, async (link) => {
    const to = { hostname: PEER, port: PORT };
    using socket = link.open({ to });
    for (let i = 0; i < 50; i++) {
      perhaps(() => socket.send(new Uint8Array(100)));
      await pause(1);
    }
  });
  assert.equal(trace.records.length, FLOWS + 4 * 8);
  assert.ok(trace.missed > 50, `${trace.missed}`);
  same(trace.replay(), trace, "in user space");
});

guestTest("a device that is initialised without a trace has none later", () => {
  sh(`ip link add ${DEVICE} type dummy`);
  const device = { device: DEVICE, rate: RATE, system: true, host: "below" } as const;
  try {
    new Link({ ...device, scheduler: "fifo" }).close();
    assert.throws(() => readTrace(DEVICE), { code: "ENODATA" });
    assert.throws(
      () => new Link({ ...device, scheduler: "fifo", trace: true }),
      /without a trace: restore it first/,
    );
  } finally {
    perhaps(() => restoreDevice(DEVICE));
    attempt(`ip link del ${DEVICE}`);
  }
});

guestTest("a trace is root's, and of a device that has one", () => {
  assert.throws(() => readTrace("lo"), { code: "ENOENT" });
  const program = `
    import { readTrace } from "/project/ffi/trace.ts";
    try { readTrace("lo"); } catch (error) { console.log(error.code); }`;
  const [command, ...words] = asUser("alice", evaluate(program));
  assert.equal(execFileSync(command, words, { encoding: "utf8" }), "EACCES\n");
});
