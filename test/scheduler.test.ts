// What the scheduler promises, on random traffic: that it does what the model does, and what
// follows for its users. `QSOCKETS_RUNS=5000` looks further, `QSOCKETS_SEED=n` looks again.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { check, droppable, parameters, scenario, SCHEDULERS, wellFormed } from "./arbitrary.ts";
import { ModelLink } from "./model.ts";
import { play, sameEvents, sameInfo } from "./model/play.ts";
import type { LinkMaker, PlayedInfo, Scenario } from "./model/play.ts";
import { batches } from "./model/sets.ts";
import type { BatchFrame } from "./model/sets.ts";
import type { Event, Options, Scheduler } from "./model/state.ts";

const Link = VirtualLink as LinkMaker;

console.log(`properties: QSOCKETS_SEED=${parameters.seed} QSOCKETS_RUNS=${parameters.runs}`);

/** For runs of hours: Bun would stop a test after five seconds. */
const LONG = { timeout: 24 * 3_600_000 };

const key = ({ stream, message }: Event) => `${stream}.${message}`;
const isSent = ({ outcome }: Event) => outcome !== "dropped";
const sum = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((a, b) => a + b, 0);

describe("the scheduler and its model", () => {
  for (const scheduler of SCHEDULERS) {
    test(`${scheduler} does the same, message by message`, LONG, () => {
      check(scenario(scheduler), (scenario) => {
        const expected = play(ModelLink, scenario);
        const actual = play(Link, scenario);
        sameEvents(actual.events, expected.events, scenario);
        const print = JSON.stringify(scenario);
        actual.streams.forEach((info, i) => sameInfo(info, expected.streams[i], `${i}: ${print}`));
      }, 2);
    });
  }
});

describe("every scheduler", () => {
  test("brings every message to one end, and counts it there", LONG, () => {
    check(scenario(), (scenario) => {
      const { events, streams, link } = play(Link, scenario);
      assert.equal(new Set(events.map(key)).size, events.length, "a message ended twice");
      assert.equal(events.length + link.queued, scenario.messages.length);
      streams.forEach((info, i) => agrees(info, events.filter(({ stream }) => stream === i)));
      agrees(link, events);
    });
  });

  test("sends a stream's messages in the order of their arrival", LONG, () => {
    check(scenario(), (scenario) => {
      const { events } = play(Link, scenario);
      scenario.streams.forEach((_, stream) => {
        const arrived = scenario.messages.filter((message) => message.stream === stream)
          .map(({ at }, number) => ({ at, number }))
          .sort((a, b) => a.at - b.at).map(({ number }) => number);
        const sent = events.filter((event) => event.stream === stream && isSent(event))
          .map(({ message }) => arrived.indexOf(message));
        assert.deepEqual(sent, [...sent].sort((a, b) => a - b));
      });
    });
  });

  test("does not depend on when the clock is looked at", LONG, () => {
    const stops = fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 8 });
    check(fc.tuple(scenario(), stops), ([scenario, stops]) => {
      const sorted = stops.map((tenths) => tenths / 10).sort((a, b) => a - b);
      sameEvents(play(Link, scenario, sorted).events, play(Link, scenario).events, scenario);
    });
  });

  test("does the same with the same input, in whatever order of calls", LONG, () => {
    check(fc.tuple(scenario(), fc.integer()), ([{ messages, ...rest }, seed]) => {
      // Distinct times: among equal ones the order of the calls is the order of arrival.
      const given = messages.map((message, i) => ({ ...message, at: message.at + i / 1e6 }));
      const order = given.map((_, i) => i).sort((a, b) => hash(a, seed) - hash(b, seed));
      const fates = (order: number[]) => {
        const scenario = { ...rest, messages: order.map((i) => given[i]) };
        const numbers = rest.streams.map((_, stream) =>
          order.filter((i) => given[i].stream === stream)
        );
        return play(Link, scenario).events.map(({ at, stream, message, outcome, reason }) =>
          `${at} ${numbers[stream][message]} ${outcome} ${reason ?? ""}`
        ).sort();
      };
      const inOrder = fates(given.map((_, i) => i));
      assert.deepEqual(fates(given.map((_, i) => i)), inOrder);
      assert.deepEqual(fates(order), inOrder);
    });
  });
});

/** The counters say what the events say. */
function agrees(info: PlayedInfo, events: Event[]): void {
  const bytes = (events: Event[]) => sum(events.map((event) => event.bytes));
  const dropped = events.filter((event) => !isSent(event));
  assert.equal(info.offered, events.length + info.queued);
  assert.equal(info.sent, events.filter(({ outcome }) => outcome === "sent").length);
  assert.equal(info.late, events.filter(({ outcome }) => outcome === "late").length);
  for (const reason of ["expired", "frame", "dependency", "window", "overflow"]) {
    assert.equal(info.dropped[reason], dropped.filter((event) => event.reason === reason).length);
  }
  assert.equal(sum(info.droppedByPriority), dropped.length);
  assert.equal(info.sentBytes, bytes(events.filter(isSent)));
  assert.equal(info.droppedBytes, bytes(dropped));
  assert.equal(info.offeredBytes, bytes(events) + info.queuedBytes);
}

/** A number for each index that has nothing to do with it. */
function hash(index: number, seed: number): number {
  return Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed | 1, index * 0x85ebca6b + 1);
}

describe("frames", () => {
  test("dwcs, edf, edf-lossless and sfq send all of a frame or nothing", LONG, () => {
    const frames = fc.constantFrom<Scheduler>("dwcs", "edf", "edf-lossless", "sfq");
    check(frames.chain(scenario).map(wellFormed), (scenario) => {
      const { events, link } = play(Link, scenario);
      assert.equal(link.frames.partial, 0);
      const sent = new Set(events.filter(isSent).map(key));
      scenario.streams.forEach((_, stream) => {
        let all: boolean | undefined;
        scenario.messages.filter((message) => message.stream === stream).forEach(({ frame }, i) => {
          const one = sent.has(`${stream}.${i}`);
          if (frame === "middle" || frame === "end") assert.equal(one, all);
          else all = one;
        });
      });
    });
  });

  test("begin is a promise: none is partial, whatever comes", LONG, () => {
    const frames = fc.constantFrom<Scheduler>("dwcs", "edf", "edf-lossless", "sfq", "cbq");
    check(frames.chain(scenario), (scenario) => {
      assert.equal(play(Link, scenario).link.frames.partial, 0);
    });
  });

  test("dwcs, edf, sfq and cbq send nothing late on streams that may drop", LONG, () => {
    const lossy = fc.constantFrom<Scheduler>("dwcs", "edf", "sfq", "cbq").chain(scenario).map(
      droppable,
    );
    check(lossy, (scenario) => {
      const { events } = play(Link, scenario);
      assert.deepEqual(events.filter(({ outcome }) => outcome === "late"), []);
    });
  });
});

describe("never", () => {
  // The precise form: of `never` frames that come together, each at the head of its stream and
  // among no more than 128 units that can expire, exactly those are lost that do not fit between
  // the packet on the wire and the frames promised before they came, one added after the other
  // in the order of their deadlines. So no frame that may be dropped and was begun after they
  // came has made the difference. Not promised: that no time is spent on other messages before
  // they come, nor that a frame is broken off; and what has no deadline is not looked at.
  test("is lost to nothing that may be dropped and was begun after it came", LONG, () => {
    check(batches, ({ scenario, at, precious, others }) => {
      const sent = play(Link, scenario).events.filter(isSent);
      const before = sent.filter((event) => startUs(event) < Math.round(at * 1000));
      const free = Math.max(at, ...before.map((event) => event.at));
      const of = (frame: BatchFrame, events: Event[]) =>
        events.filter(({ stream, message }) =>
          stream === frame.stream && message >= frame.first &&
          message < frame.first + frame.packets
        ).length;
      const queue = others.filter((frame) => of(frame, before) > 0)
        .map((frame) => ({ ...frame, packets: frame.packets - of(frame, before) }))
        .filter(({ packets }) => packets > 0);
      const expected = precious.toSorted(byDue).filter((frame) => {
        const fits = inTime([...queue, frame], free);
        if (fits) queue.push(frame);
        return fits;
      });
      const arrived = precious.filter((frame) => of(frame, sent) > 0);
      assert.deepEqual(arrived.toSorted(byDue), expected);
    }, 2);
  });

  /** When its transmission began, in us at a byte per us. */
  const startUs = ({ at, bytes }: Event) => Math.round(at * 1000) - bytes;

  const byDue = (a: BatchFrame, b: BatchFrame) => a.due - b.due || a.stream - b.stream;

  /** Whether all frames arrive by their deadlines if sent in their order. */
  function inTime(frames: BatchFrame[], free: number): boolean {
    let us = Math.round(free * 1000);
    return frames.toSorted(byDue).every(({ packets, bytes, due }) =>
      (us += packets * bytes) <= Math.round(due * 1000)
    );
  }
});

describe("best effort", () => {
  const PERIODS = 150;

  interface Load {
    scheduler: Scheduler;
    managed: number[]; // bytes of each managed stream's messages
    bytes: number; // of best effort's
  }

  const loads: fc.Arbitrary<Load> = fc.record({
    scheduler: fc.constantFrom<Scheduler>("dwcs", "edf"),
    managed: fc.array(fc.integer({ min: 200, max: 1500 }), { minLength: 1, maxLength: 5 }),
    bytes: fc.integer({ min: 100, max: 1500 }),
  });

  /** A message in each `gap` ms on each managed stream, and more best effort than can be sent. */
  function traffic(load: Load, gap: number, options: Options): Scenario {
    const waiting = Math.ceil(PERIODS * sum(load.managed) / 8 / load.bytes); // twice its share
    const periods = Array.from({ length: PERIODS }, (_, k) => Math.round(k * gap * 1000) / 1000);
    return {
      scheduler: load.scheduler,
      rate: 1_000_000,
      streams: [{}, ...load.managed.map(() => ({ ipg: gap }))],
      messages: [
        ...Array.from({ length: waiting }, () => ({ stream: 0, bytes: load.bytes, at: 0 })),
        ...load.managed.flatMap((bytes, i) =>
          periods.map((at) => ({ stream: i + 1, bytes, at, ...options }))
        ),
      ],
    };
  }

  test("gets a sixteenth of what an overload of managed streams gets", LONG, () => {
    check(loads, (load) => {
      const gap = sum(load.managed) / 1000 / 1.5; // 1.5 times what the link carries
      const { events } = play(Link, traffic(load, gap, { deadline: Math.ceil(4 * gap) }));
      const bytes = (own: boolean) =>
        sum(
          events.filter((event) => isSent(event) && event.at <= PERIODS * gap)
            .filter((event) => (event.stream === 0) === own).map((event) => event.bytes),
        );
      const slack = 16 * load.bytes + 3000; // one message saved up for, one on the wire
      assert.ok(16 * bytes(true) >= bytes(false) - slack, `${bytes(true)} of ${bytes(false)}`);
    }, 0.5);
  });

  test("costs a feasible managed set none of its never-frames", LONG, () => {
    // 0.85 of the link is asked for, a sixteenth of that more is best effort's. Each message has
    // time for what all streams send in three periods, and for four messages of best effort.
    check(loads, (load) => {
      const gap = sum(load.managed) / 1000 / 0.85;
      const options: Options = { deadline: Math.ceil(3 * gap + 6), drop: "never" };
      const { events } = play(Link, traffic(load, gap, options));
      assert.deepEqual(events.filter((event) => event.stream > 0 && !isSent(event)), []);
      assert.ok(events.some((event) => event.stream === 0 && isSent(event)));
    }, 0.5);
  });
});
