// Whose loss is whose gain: nothing is lost to what is worth less.
//
// `never` has its promise in scheduler.test.ts, to the single frame. For all drop priorities it is:
//
// - Where frames that come together, worth p or more, can all be in time, none of them is lost,
//   whatever is worth less than p and has not begun: under `dwcs` and `edf`, and for every p. Each
//   is at the head of a stream of its own, and among no more than 128 that can expire.
// - A frame is given up (`window`) only while one waits that is worth more.
//
// Not promised, where those worth p or more do not all fit: that the best choice of them is sent.
// And the orders that do not go by deadlines (dwcs99, vds, sfq, cbq) ask of each head whether it
// may go first, so they may give up one that could have gone second.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { check, parameters, scenario, SCHEDULERS } from "./arbitrary.ts";
import { play } from "./model/play.ts";
import type { LinkMaker } from "./model/play.ts";
import { batches } from "./model/sets.ts";
import type { Batch, BatchFrame } from "./model/sets.ts";
import { NEVER, POLICIES } from "./model/state.ts";
import type { Drop, Event } from "./model/state.ts";

const LONG = { timeout: 24 * 3_600_000 }; // Bun would stop a test after five seconds
const Link = VirtualLink as LinkMaker;

console.log(`properties: QSOCKETS_SEED=${parameters.seed} QSOCKETS_RUNS=${parameters.runs}`);

const worth = (drop: Drop | undefined) => drop === "never" ? NEVER : drop ?? 6;
const named = (worth: number) => worth === NEVER ? "never" : worth as Drop;

/** Batches in which the precious frames are worth `least` or more, and all others less. */
const levelled: fc.Arbitrary<Batch> = fc.tuple(
  batches,
  fc.integer({ min: 1, max: NEVER }),
  fc.array(fc.nat({ max: NEVER }), { minLength: 6, maxLength: 6 }),
).map(([batch, least, more]) => {
  const others = batch.scenario.streams.length - batch.precious.length;
  const streams = batch.scenario.streams.map(({ ipg }) => ({ ipg: Math.max(1, ipg!) }));
  const messages = batch.scenario.messages.map((message) => ({
    ...message,
    drop: message.stream < others
      ? named(worth(message.drop) % least)
      : named(Math.min(NEVER, least + more[message.stream - others])),
  }));
  return { ...batch, scenario: { ...batch.scenario, streams, messages } };
});

describe("what is worth more", () => {
  test("is lost to nothing worth less, where all of it fits", LONG, () => {
    let [fitting, lostElsewhere] = [0, 0];
    check(levelled, ({ scenario, at, precious, others }) => {
      const { events } = play(Link, scenario);
      const sent = events.filter(({ outcome }) => outcome === "sent");
      const before = sent.filter((event) => Math.round(event.at * 1000) - event.bytes < at * 1000);
      const free = Math.max(at, ...before.map((event) => event.at));
      const begun = others.map((frame) => ({ frame, left: frame.packets - of(frame, before) }))
        .filter(({ frame, left }) => left > 0 && left < frame.packets)
        .map(({ frame, left }) => ({ ...frame, packets: left }));
      if (!inTime([...begun, ...precious], free)) return;
      fitting += 1;
      for (const frame of precious) {
        assert.equal(of(frame, sent), frame.packets, `stream ${frame.stream} lost its frame`);
      }
      lostElsewhere += events.filter(({ reason }) => reason === "window").length;
    }, 4);
    assert.ok(fitting > 0 && lostElsewhere > 0, `${fitting} fit, ${lostElsewhere} given up`);
  });

  for (const scheduler of SCHEDULERS.filter((name) => POLICIES[name].lossy)) {
    test(`waits whenever ${scheduler} gives anything up`, LONG, () => {
      let given = 0;
      check(scenario(scheduler), (scenario) => {
        const { events } = play(Link, scenario);
        const ended = new Map(
          events.map((event) => [`${event.stream}.${event.message}`, event.at]),
        );
        const numbers = scenario.streams.map(() => 0);
        const firsts = scenario.messages.map((message) => {
          const name = `${message.stream}.${numbers[message.stream]++}`;
          return { ...message, name, ended: ended.get(name) ?? Infinity };
        }).filter(({ frame }) => frame !== "middle" && frame !== "end");
        const lost = new Map(firsts.map((message) => [message.name, message]));
        for (const { at, stream, message, reason } of events) {
          const one = lost.get(`${stream}.${message}`);
          if (reason !== "window" || one === undefined) continue;
          given += 1;
          const better = firsts.some((other) =>
            other !== one && worth(other.drop) > worth(one.drop) &&
            other.at <= at && other.ended >= at
          );
          assert.ok(better, `stream ${stream} gave up message ${message} at ${at} for nothing`);
        }
      });
      assert.ok(given > 0, "nothing was given up");
    });
  }
});

/** How many packets of a frame are among events. */
function of(frame: BatchFrame, events: Event[]): number {
  return events.filter(({ stream, message }) =>
    stream === frame.stream && message >= frame.first && message < frame.first + frame.packets
  ).length;
}

/** Whether all frames arrive by their deadlines if sent in the order of these. */
function inTime(frames: BatchFrame[], free: number): boolean {
  let us = Math.round(free * 1000);
  return frames.toSorted((a, b) => a.due - b.due).every(({ packets, bytes, due }) =>
    (us += packets * bytes) <= Math.round(due * 1000)
  );
}
