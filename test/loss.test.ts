// What is lost and why, worked out by hand: dependency, give-up and overflow.
// A byte takes a microsecond; "5 s0m1 sent" is stream 0, message 1, sent at 5 ms.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { example, frame, message } from "./model/example.ts";
import type { ScenarioMessage } from "./model/play.ts";
import type { Attributes, Options } from "./model/state.ts";

describe("dependency", () => {
  const picture = (level: number, options: Partial<ScenarioMessage> = {}) =>
    message(0, { frame: "whole", level, deadline: 90, ...options });
  const [I, P, B] = [0, 1, 2];

  example(
    "a lost P takes the rest of its group along, and the next group's leading pictures",
    "edf",
    [{}],
    // All queued at 0; the first P's time is over when I is sent.
    [
      picture(I),
      picture(P, { deadline: 0.5 }),
      picture(P),
      picture(B),
      picture(I),
      picture(B, { leading: true }),
      picture(P),
      picture(B, { leading: true }),
    ],
    [
      "1 s0m0 sent",
      "1 s0m1 expired",
      "1 s0m2 dependency",
      "1 s0m3 dependency",
      "1 s0m5 dependency",
      "2 s0m4 sent",
      "3 s0m6 sent",
      "4 s0m7 sent",
    ],
    ([info]) => {
      assert.deepEqual(Array.from(info.frames.dropped.dependency), [0, 1, 2, 0]);
      assert.deepEqual(Array.from(info.frames.sent), [2, 1, 1, 0]);
    },
  );
  example(
    "what comes later is judged the same: until the next group and past its leading pictures",
    "edf",
    [{}],
    [
      picture(I),
      picture(P, { deadline: 0.5 }),
      picture(P, { at: 5 }),
      picture(I, { at: 6 }),
      picture(B, { at: 8, leading: true }),
      picture(P, { at: 9 }),
      picture(B, { at: 11, leading: true }),
    ],
    [
      "1 s0m0 sent",
      "1 s0m1 expired",
      "5 s0m2 dependency",
      "7 s0m3 sent",
      "8 s0m4 dependency",
      "10 s0m5 sent",
      "12 s0m6 sent",
    ],
  );
  example(
    "a lost leaf takes nothing along",
    "edf",
    [{}],
    [picture(I), picture(B, { deadline: 0.5 }), picture(B), picture(P)],
    ["1 s0m0 sent", "1 s0m1 expired", "2 s0m2 sent", "3 s0m3 sent"],
  );
  example(
    "what has no level is neither lost nor loses others",
    "edf",
    [{}],
    [picture(I), picture(P, { deadline: 0.5 }), message(0), picture(P)],
    ["1 s0m0 sent", "1 s0m1 expired", "1 s0m3 dependency", "2 s0m2 sent"],
  );
  example(
    "the rest of a frame that is lost while it comes in has the same reason",
    "edf",
    [{}],
    [
      picture(I),
      picture(P, { deadline: 0.5 }),
      picture(P, { frame: "start" }),
      picture(P, { frame: "end", at: 3 }),
      picture(P, { frame: "start", at: 4 }),
      picture(P, { frame: "end", at: 5 }),
    ],
    [
      "1 s0m0 sent",
      "1 s0m1 expired",
      "1 s0m2 dependency",
      "3 s0m3 dependency",
      "4 s0m4 dependency",
      "5 s0m5 dependency",
    ],
  );
  example(
    "each unit lost counts as a miss: a window of 2 of 5 is violated by the third",
    "edf",
    [{ oln: 2, old: 5 }],
    // m0 served 2/4; m1 missed 1/3; m2 missed 0/2; m3 missed 0/3 tagged.
    [picture(I), picture(P, { deadline: 0.5 }), picture(P), picture(B)],
    ["1 s0m0 sent", "1 s0m1 expired", "1 s0m2 dependency", "1 s0m3 dependency"],
    ([info]) => {
      assert.equal(info.violations, 1);
      assert.deepEqual(info.window, { lost: 0, left: 3 });
    },
  );
});

describe("giving up within the window", () => {
  const two = (a: Attributes, drop: ScenarioMessage["drop"]): [Attributes[], ScenarioMessage[]] => [
    [{ ipg: 10, ...a }, { ipg: 10 }],
    // Sent first, as its deadline says, s0m0 would leave 1 + 2 > 2.5 ms for s1m0.
    [
      message(0, { deadline: 1.5, drop }),
      message(1, { deadline: 2.5, drop: "never", bytes: 2000 }),
    ],
  ];
  const given = ["0 s0m0 window", "2 s1m0 sent"];
  const kept = ["1 s0m0 sent", "1 s1m0 expired"];
  example(
    "the less valuable is given up for what it would make late",
    "dwcs",
    ...two({ oln: 1, old: 2 }, 0),
    given,
  );
  example("edf does the same", "edf", ...two({ oln: 1, old: 2 }, 0), given);
  example("a stream without a window may always lose", "dwcs", ...two({}, 6), given);
  example("nothing is given up at x' = 0", "dwcs", ...two({ oln: 0, old: 2 }, 0), kept);
  example("never is never given up", "dwcs", ...two({ oln: 1, old: 2 }, "never"), kept);
  example(
    "a stream that may not drop gives nothing up",
    "dwcs",
    ...two({ droppable: false }, 0),
    kept,
  );
  example(
    "best effort gives nothing up, not even for a frame whose end is still to come",
    "dwcs",
    [{}, { ipg: 10 }],
    [
      message(0, { bytes: 2000, deadline: 50, drop: 0 }),
      message(1, { bytes: 3000, deadline: 4, drop: "never", frame: "start" }),
      message(1, { at: 0.5, bytes: 500, drop: "never", frame: "end" }),
    ],
    ["2 s0m0 sent", "2 s1m0 expired", "2 s1m1 expired"],
  );
  example(
    "what is lost either way is no reason: 2.5 ms of data due in 2.4",
    "dwcs",
    [{ ipg: 10 }, { ipg: 10 }],
    [
      message(0, { deadline: 1.5, drop: 0 }),
      message(1, { deadline: 2.4, drop: "never", bytes: 2500 }),
    ],
    ["1 s0m0 sent", "1 s1m0 expired"],
  );
  example(
    "what is promised already counts, though it is due later: 1 + 5 + 4 + 3 > 11",
    "edf",
    [{}, {}, {}],
    // s0 is begun at 0, with 3 left at 1. s2, due first, would let s1 arrive at 10 or s0 at 9,
    // but not both; without s2 both arrive.
    [
      ...frame(0, 4, 0, { deadline: 11, drop: 0 }),
      ...frame(1, 4, 0.5, { deadline: 9.5, drop: "never" }),
      ...frame(2, 5, 0.5, { deadline: 5.5, drop: 0 }),
    ],
    [
      "1 s0m0 sent",
      ...[0, 1, 2, 3, 4].map((i) => `1 s2m${i} window`),
      ...[0, 1, 2, 3].map((i) => `${2 + i} s1m${i} sent`),
      ...[1, 2, 3].map((i) => `${5 + i} s0m${i} sent`),
    ],
  );
  example(
    "... also where what waits would fit without it: 5 + 4.5 + 1 > 10",
    "edf",
    [{}, {}, {}],
    [
      ...frame(0, 6, 0, { deadline: 10 }), // 5 are left at 1
      message(1, { at: 0.5, bytes: 4500, deadline: 10.5, drop: "never" }),
      message(2, { at: 0.5, deadline: 9, drop: 0 }),
    ],
    [
      "1 s0m0 sent",
      "1 s2m0 window",
      ...[1, 2, 3, 4, 5].map((i) => `${1 + i} s0m${i} sent`),
      "10.5 s1m0 sent",
    ],
  );
  example(
    "... and all that is promised behind it, not the next alone: 3 + 5 + 1 + 10 > 18",
    "edf",
    [{}, {}, {}, {}],
    // At 2 one of s0 is left, due at 19.5, and ten of s3, due at 20.
    [
      ...frame(3, 11, 0, { deadline: 20 }),
      ...frame(0, 2, 0.5, { deadline: 19 }),
      message(1, { at: 1.5, bytes: 5000, deadline: 14.5, drop: "never" }),
      message(2, { at: 1.5, bytes: 3000, deadline: 13.5, drop: 0 }),
    ],
    [
      "1 s3m0 sent",
      "2 s0m0 sent",
      "2 s2m0 window",
      "7 s1m0 sent",
      "8 s0m1 sent",
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((i) => `${8 + i} s3m${i} sent`),
    ],
  );
  example(
    "each worth is judged without those below it: 2 of 2.9 ms are left for the never-frame",
    "edf",
    [{}, {}, {}],
    // With s1 counted as taking its time, s2 would be late with and without s0.
    [
      message(0, { deadline: 1, drop: 0 }),
      message(1, { deadline: 2.5, drop: 3 }),
      message(2, { deadline: 2.9, drop: "never", bytes: 2000 }),
    ],
    ["0 s0m0 window", "0 s1m0 window", "2 s2m0 sent"],
  );
  // Of what can expire 128 units are looked at, the one to be given up included.
  const crowd = (others: number): ScenarioMessage[] => [
    message(0, { deadline: 1.5, drop: 0 }),
    ...Array.from({ length: others }, () => message(1, { bytes: 1, deadline: 2, drop: 0 })),
    message(2, { deadline: 2.6, drop: "never", bytes: 2000 }),
  ];
  const sent = (stream: number, at: number, count: number) =>
    Array.from({ length: count }, (_, i) => `${(at * 1000 + i + 1) / 1000} s${stream}m${i} sent`);
  example(
    "the 128th to expire is looked at",
    "edf",
    [{}, {}, {}],
    crowd(126),
    ["0 s0m0 window", ...sent(1, 0, 126), "2.126 s2m0 sent"],
  );
  example(
    "the 129th to expire is not looked at",
    "edf",
    [{}, {}, {}],
    crowd(127),
    ["1 s0m0 sent", ...sent(1, 1, 127), "1.127 s2m0 expired"],
  );
});

describe("overflow", () => {
  const busy = message(0, { bytes: 5000 });
  example(
    "evicts the least valuable, the lowest drop first, and refuses what is worth less",
    "edf",
    [{ queueMessages: 2 }],
    [
      busy, // on the wire until 5, no longer in the queue
      message(0, { at: 1, drop: 3 }),
      message(0, { at: 1, drop: 2 }),
      message(0, { at: 2, drop: 4 }), // evicts the 2
      message(0, { at: 3, drop: 1 }), // worth less than 3 and 4
      message(0, { at: 4, drop: 3 }), // worth no more than 3
    ],
    [
      "2 s0m2 overflow",
      "3 s0m4 overflow",
      "4 s0m5 overflow",
      "5 s0m0 sent",
      "6 s0m1 sent",
      "7 s0m3 sent",
    ],
  );
  example(
    "of equal drop the highest level goes, then the youngest; bytes are a limit too",
    "edf",
    [{ queueBytes: 5000 }],
    [
      busy,
      message(0, { at: 1, bytes: 2000, frame: "whole", level: 1, drop: 3 }),
      message(0, { at: 1, frame: "whole", level: 2, drop: 3 }),
      message(0, { at: 1, frame: "whole", level: 2, drop: 3 }),
      message(0, { at: 2, bytes: 1500, frame: "whole", level: 1, drop: 3 }), // 5500: one must go
    ],
    ["2 s0m3 overflow", "5 s0m0 sent", "7 s0m1 sent", "8 s0m2 sent", "9.5 s0m4 sent"],
  );
  const full = (picture: Options, start: Options, end: Options) => [
    busy,
    message(0, { at: 1, ...picture }),
    message(0, { at: 1, ...picture }),
    message(0, { at: 1, frame: "start", ...start }),
    message(0, { at: 2, frame: "end", ...end }),
  ];
  const refused = [
    "2 s0m3 frame",
    "2 s0m4 overflow",
    "5 s0m0 sent",
    "6 s0m1 sent",
    "7 s0m2 sent",
  ];
  example(
    "what continues a frame is worth what its start is",
    "edf",
    [{ queueMessages: 3 }],
    full({ drop: 3 }, { drop: 0 }, { drop: 6 }),
    refused,
  );
  example(
    "what continues a frame has its start's level",
    "edf",
    [{ queueMessages: 3 }],
    full({ drop: 3, frame: "whole", level: 1 }, { drop: 3, level: 2 }, { drop: 3, level: 0 }),
    refused,
  );
  example(
    "what is larger than the queue evicts nothing",
    "edf",
    [{ queueBytes: 5000 }],
    [busy, message(0, { at: 1, drop: 0 }), message(0, { at: 2, bytes: 5001, drop: "never" })],
    ["2 s0m2 overflow", "5 s0m0 sent", "6 s0m1 sent"],
  );
  example(
    "a picture that evicts what it needs is lost with it",
    "edf",
    [{ queueMessages: 1 }],
    [
      busy,
      message(0, { at: 1, frame: "whole", level: 1, drop: 3 }),
      message(0, { at: 2, frame: "whole", level: 2, drop: 4 }),
    ],
    ["2 s0m1 overflow", "2 s0m2 dependency", "5 s0m0 sent"],
  );
  example(
    "a picture that is lost in any case evicts nothing",
    "edf",
    [{ queueMessages: 1 }],
    [
      message(0, { frame: "whole", level: 1, drop: 0 }), // evicted by the next
      message(0, { drop: 1 }),
      message(0, { frame: "whole", level: 1, drop: 6 }),
    ],
    ["0 s0m0 overflow", "0 s0m2 dependency", "1 s0m1 sent"],
  );
  example(
    "a picture refused takes along what needs it",
    "edf",
    [{ queueMessages: 1 }],
    [
      busy,
      message(0, { at: 1, drop: "never" }),
      message(0, { at: 2, frame: "whole", level: 1, drop: 0 }),
      message(0, { at: 7, frame: "whole", level: 2 }),
      message(0, { at: 8, frame: "whole", level: 0 }),
    ],
    ["2 s0m2 overflow", "5 s0m0 sent", "6 s0m1 sent", "7 s0m3 dependency", "9 s0m4 sent"],
  );
  example(
    "a frame whose rest finds no room is lost whole",
    "edf",
    [{ queueMessages: 2 }],
    [busy, ...frame(0, 4, 1, {}), message(0, { at: 2 })],
    [
      "1 s0m1 frame",
      "1 s0m2 frame",
      "1 s0m3 overflow",
      "1 s0m4 frame",
      "5 s0m0 sent",
      "6 s0m5 sent",
    ],
  );
  example(
    "what has expired makes room first",
    "edf",
    [{ queueMessages: 1 }],
    [busy, message(0, { at: 1, deadline: 1, drop: "never" }), message(0, { at: 3, drop: 0 })],
    ["3 s0m1 expired", "5 s0m0 sent", "6 s0m2 sent"],
  );
  example(
    "best effort that has all its room finds more in its own messages only",
    "edf",
    [{}, {}],
    [
      busy,
      message(0, { at: 1, deadline: 20, drop: 0 }),
      message(1, { at: 1, drop: 0 }),
      message(1, { at: 1, drop: 0 }), // now it has half of the link's messages
      message(0, { at: 2, drop: 6 }), // the one that is worth less is not of best effort
      message(1, { at: 3, drop: 6 }),
    ],
    [
      "2 s0m2 overflow",
      "3 s1m1 overflow",
      "5 s0m0 sent",
      "6 s0m1 sent",
      "7 s1m0 sent",
      "8 s1m2 sent",
    ],
    undefined,
    { queueMessages: 4 },
  );
  example(
    "fifo refuses the newcomer, and only that message of a frame",
    "fifo",
    [{ queueMessages: 1 }],
    [busy, ...frame(0, 2, 1, { level: 1 }), message(0, { at: 7 })],
    ["1 s0m2 overflow", "5 s0m0 sent", "6 s0m1 sent", "8 s0m3 sent"],
    ([info]) => {
      assert.equal(info.frames.partial, 1);
      assert.deepEqual(Array.from(info.frames.dropped.overflow), [0, 1, 0, 0]);
    },
  );
  const many = (count: number) => Array.from({ length: count }, (_, i) => i);
  example(
    "a stream queues 2048 messages unless told otherwise",
    "edf",
    [{}],
    many(2050).map(() => message(0)),
    [
      "0 s0m2048 overflow",
      "0 s0m2049 overflow",
      ...many(2048).map((i) => `${i + 1} s0m${i} sent`),
    ],
  );
  example(
    "a stream queues 4 MiB unless told otherwise: 69 messages of 60000 bytes",
    "edf",
    [{}],
    many(70).map(() => message(0, { bytes: 60_000 })),
    ["0 s0m69 overflow", ...many(69).map((i) => `${60 * (i + 1)} s0m${i} sent`)],
  );
  example(
    "the link's queue is shared, and best effort has half of it",
    "dwcs",
    [{}, { ipg: 10 }],
    [
      busy,
      message(0, { at: 1 }),
      message(0, { at: 1 }),
      message(0, { at: 1 }), // a third of two
      message(1, { at: 2 }),
      message(1, { at: 2 }),
      message(1, { at: 2 }), // a fifth of four
    ],
    [
      "1 s0m3 overflow",
      "2 s1m2 overflow",
      "5 s0m0 sent",
      "6 s1m0 sent",
      "7 s1m1 sent",
      "8 s0m1 sent",
      "9 s0m2 sent",
    ],
    () => {},
    { queueMessages: 4 },
  );
});
