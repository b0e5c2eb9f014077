// What needs a lost frame is not sent either: under overload all that arrives can be decoded.
//
// The oracle knows nothing of the scheduler. It names the frames that each frame is predicted from,
// as a decoder does, and asks of every frame that was sent whether all of those were sent, and all
// that they are predicted from. loss.test.ts has the same worked out by hand.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { check, drop, marks, parameters, round, SCHEDULERS } from "./arbitrary.ts";
import { example, message } from "./model/example.ts";
import { play } from "./model/play.ts";
import type { LinkMaker, Scenario, ScenarioMessage } from "./model/play.ts";
import { POLICIES } from "./model/state.ts";
import type { Attributes, Drop, Event, Scheduler } from "./model/state.ts";

const LONG = { timeout: 24 * 3_600_000 }; // Bun would stop a test after five seconds

console.log(`properties: QSOCKETS_SEED=${parameters.seed} QSOCKETS_RUNS=${parameters.runs}`);

interface Picture {
  type: "I" | "P" | "B";
  leading: boolean; // shown before the I that it follows, so predicted from the group before as well
  packets: number;
  bytes: number;
}

interface Video {
  attributes: Attributes;
  pictures: Picture[];
  gap: number;
  deadline: number;
  drops: Record<Picture["type"], Drop>;
}

const packets = {
  packets: fc.integer({ min: 1, max: 4 }),
  bytes: fc.integer({ min: 100, max: 1500 }),
};

const group: fc.Arbitrary<Picture[]> = fc.tuple(
  fc.record(packets),
  fc.array(fc.record(packets), { maxLength: 2 }),
  fc.array(fc.record({ ...packets, type: fc.constantFrom<Picture["type"]>("P", "B", "B") }), {
    maxLength: 6,
  }),
).map(([first, leading, rest]) => [
  { ...first, type: "I", leading: false },
  ...leading.map((picture) => ({ ...picture, type: "B" as const, leading: true })),
  ...rest.map((picture) => ({ ...picture, leading: false })),
]);

const video: fc.Arbitrary<Video> = fc.record({
  attributes: fc.record({
    ipg: fc.constantFrom(0, 2, 5),
    window: fc.constantFrom({}, { oln: 1, old: 2 }, { oln: 1, old: 5 }, { oln: 3, old: 3 }),
    queueMessages: fc.constantFrom(8, 16, 64),
  }).map(({ window, ...rest }) => ({ ...rest, ...window })),
  pictures: fc.array(group, { minLength: 1, maxLength: 5 }).map(([first, ...others]) => [
    ...first.filter((picture) => !picture.leading), // there is no group before it
    ...others.flat(),
  ]),
  gap: fc.constantFrom(1, 2, 4),
  deadline: fc.integer({ min: 2, max: 30 }),
  drops: fc.record({ I: drop, P: drop, B: drop }),
});

/** The pictures that each picture is predicted from, as numbers. */
function references(pictures: Picture[]): number[][] {
  let [last, before]: (number | null)[] = [null, null]; // references of this group, of the last one
  return pictures.map(({ type, leading }, i) => {
    const from = [last, ...(leading ? [before] : [])].filter((one) => one !== null);
    if (type === "I") [before, last] = [last, i];
    if (type === "P") last = i;
    return type === "I" ? [] : from;
  });
}

function scenarioOf(scheduler: Scheduler, videos: Video[], load: number): Scenario {
  const messages = videos.flatMap(({ pictures, gap, deadline, drops }, stream) =>
    pictures.flatMap(({ type, leading, packets, bytes }, i) =>
      marks(packets).map((frame) => ({
        stream,
        bytes,
        at: round(i * gap),
        deadline,
        drop: drops[type],
        frame,
        level: { I: 0, P: 1, B: 2 }[type],
        ...(leading ? { leading } : {}),
      }))
    )
  );
  const bytes = messages.reduce((sum, message) => sum + message.bytes, 0);
  const length = Math.max(1, ...messages.map(({ at }) => at));
  const rate = Math.max(1000, Math.round(bytes / length / load * 1000));
  return { scheduler, rate, streams: videos.map(({ attributes }) => attributes), messages };
}

/** What became of each picture: by its first message, and whether all were sent. */
function fates(pictures: Picture[], events: Event[]): { whole: boolean; reason?: string }[] {
  const byMessage = new Map(events.map((event) => [event.message, event]));
  let next = 0;
  return pictures.map(({ packets }) => {
    const of = Array.from({ length: packets }, () => byMessage.get(next++)!);
    return { whole: of.every(({ outcome }) => outcome !== "dropped"), reason: of[0].reason };
  });
}

describe("dependency", () => {
  const picture = (level: number, at: number, options: Partial<ScenarioMessage> = {}) =>
    message(0, { frame: "whole", level, at, ...options });
  const [I, P] = [0, 1];
  example(
    "a picture refused at the queue's end stays lost when one before it is lost later",
    "edf",
    [{ queueMessages: 2 }],
    [
      message(0, { bytes: 5000 }), // on the wire until 5
      picture(P, 1, { deadline: 2 }),
      picture(I, 1),
      picture(P, 2, { drop: 0 }), // no room; the next P needs it
      picture(P, 7),
      picture(I, 8),
      picture(P, 10),
    ],
    [
      "2 s0m3 overflow",
      "5 s0m0 sent",
      "5 s0m1 expired",
      "6 s0m2 sent",
      "7 s0m4 dependency",
      "9 s0m5 sent",
      "11 s0m6 sent",
    ],
  );

  const lossy = SCHEDULERS.filter((name) => POLICIES[name].frames && POLICIES[name].lossy);
  const overload = fc.record({
    videos: fc.array(video, { minLength: 1, maxLength: 4 }),
    load: fc.constantFrom(0.8, 1.2, 2, 4),
  });

  for (const scheduler of lossy) {
    test(`${scheduler} sends what can be decoded, and drops for it only what cannot`, LONG, () => {
      let [decoded, useless] = [0, 0];
      check(overload, ({ videos, load }) => {
        const { events } = play(VirtualLink as LinkMaker, scenarioOf(scheduler, videos, load));
        for (const [stream, { pictures }] of videos.entries()) {
          const fate = fates(pictures, events.filter((event) => event.stream === stream));
          const decodable: boolean[] = [];
          for (const [i, from] of references(pictures).entries()) {
            const needs = from.every((reference) => decodable[reference]);
            decodable.push(fate[i].whole && needs);
            const what = `${scheduler}: ${pictures[i].type} ${i} of stream ${stream}`;
            assert.ok(needs || !fate[i].whole, `${what} was sent and cannot be decoded`);
            assert.ok(!needs || fate[i].reason !== "dependency", `${what} could be decoded`);
            if (fate[i].whole) decoded += 1;
            if (fate[i].reason === "dependency") useless += 1;
          }
        }
      });
      assert.ok(decoded > 0 && useless > 0, `${decoded} decoded, ${useless} useless`);
    });
  }
});
