// What earliest deadline first is best at, held to every order that there is.
//
// Two theorems, for messages that each have a stream of their own:
//
// - all there at once, of any sizes: no order has a smaller greatest lateness. J. R. Jackson,
//   "Scheduling a Production Line to Minimize Maximum Tardiness", UCLA research report 43, 1955.
// - of one size, arriving in whole multiples of its time: the same. W. A. Horn, "Some Simple
//   Scheduling Algorithms", Naval Research Logistics Quarterly 21(1), 1974.
//
// So where any order meets all deadlines, `edf` sends everything in time. More is not promised: a
// message on the wire is not taken back for one that comes later and is due earlier.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { check, drop, parameters } from "./arbitrary.ts";
import { play } from "./model/play.ts";
import type { LinkMaker } from "./model/play.ts";
import type { Drop, Scheduler } from "./model/state.ts";

const LONG = { timeout: 24 * 3_600_000 }; // Bun would stop a test after five seconds

console.log(`properties: QSOCKETS_SEED=${parameters.seed} QSOCKETS_RUNS=${parameters.runs}`);

/** A message; its size is its time on the wire. All in milliseconds. */
interface Job {
  at: number;
  size: number;
  due: number;
  drop: Drop;
}

const MESSAGES = { minLength: 2, maxLength: 7 };

/** All there at once, of any sizes. */
const together: fc.Arbitrary<Job[]> = fc.array(
  fc.record({
    at: fc.constant(0),
    size: fc.integer({ min: 1, max: 5000 }).map((bytes) => bytes / 1000),
    due: fc.integer({ min: 1, max: 20_000 }).map((us) => us / 1000),
    drop,
  }),
  MESSAGES,
);

/** Of one size, arriving whenever one could just have been sent. */
const slotted: fc.Arbitrary<Job[]> = fc.array(
  fc.record({
    at: fc.nat({ max: 6 }),
    size: fc.constant(1),
    patience: fc.integer({ min: 1, max: 7 }),
    drop,
  }).map(({ patience, ...job }) => ({ ...job, due: job.at + patience })),
  MESSAGES,
);

/** The greatest lateness of the best of all orders; at or below zero all deadlines are met. */
function leastLateness(jobs: Job[], free = 0): number {
  if (jobs.length === 0) return -Infinity;
  return Math.min(...jobs.map((job) => {
    const done = us(Math.max(free, job.at) + job.size);
    return Math.max(done - job.due, leastLateness(jobs.filter((other) => other !== job), done));
  }));
}

const us = (ms: number) => Math.round(ms * 1000) / 1000;

/** What a scheduler makes of the jobs on a link of a byte per microsecond. */
function run(scheduler: Scheduler, jobs: Job[], order = 0) {
  const rotated = [...jobs.slice(order), ...jobs.slice(0, order)];
  const { events } = play(VirtualLink as LinkMaker, {
    scheduler,
    rate: 1_000_000,
    streams: rotated.map(() => ({})),
    messages: rotated.map(({ at, size, due, drop }, stream) => ({
      stream,
      at,
      bytes: Math.round(size * 1000),
      deadline: us(due - at),
      drop,
    })),
  });
  return {
    sent: events.filter(({ outcome }) => outcome === "sent").length,
    lateness: us(Math.max(...events.map(({ at, stream }) => at - rotated[stream].due))),
  };
}

describe("edf", () => {
  const kinds: [string, fc.Arbitrary<Job[]>][] = [
    ["that come together, of any sizes", together],
    ["of one size, in slots of its time", slotted],
  ];
  for (const [which, jobs] of kinds) {
    test(`sends all messages ${which}, where any order could; fifo does not`, LONG, () => {
      let [possible, lateByFifo] = [0, 0];
      check(fc.tuple(jobs, fc.nat({ max: 6 })), ([jobs, order]) => {
        if (leastLateness(jobs) > 0) return;
        assert.equal(run("edf", jobs, order).sent, jobs.length);
        possible += 1;
        if (run("fifo", jobs, order).lateness > 0) lateByFifo += 1;
      }, 4);
      assert.ok(possible > 0 && lateByFifo > 0, `${possible} could be met, ${lateByFifo} not fifo`);
    });

    test(`edf-lossless is as little late as any order, with messages ${which}`, LONG, () => {
      check(fc.tuple(jobs, fc.nat({ max: 6 })), ([jobs, order]) => {
        assert.ok(run("edf-lossless", jobs, order).lateness <= us(leastLateness(jobs)));
      }, 4);
    });
  }

  test("does not wait for what it cannot know of", () => {
    // Idle until 1, both would be in time.
    const jobs: Job[] = [{ at: 0, size: 3, due: 10, drop: 6 }, { at: 1, size: 1, due: 2, drop: 6 }];
    assert.equal(run("edf", jobs).sent, 1);
    assert.equal(run("edf-lossless", jobs).lateness, 2);
  });
});
