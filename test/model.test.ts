// Which message goes next, worked out by hand: precedence, windows, rank and expiry, frames.
// What is lost and what that takes along is in loss.test.ts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { ModelLink } from "./model.ts";
import { example, frame, message, told } from "./model/example.ts";
import { noCounters } from "./model/state.ts";
import type { Attributes, Event, Stream } from "./model/state.ts";
import { missed, served } from "./model/window.ts";

const secondFirst = ["1 s1m0 sent", "2 s0m0 sent"];
const firstFirst = ["1 s0m0 sent", "2 s1m0 sent"];

describe("dwcs precedence", () => {
  const both = (deadlines: [number, number]) => [
    message(0, { deadline: deadlines[0] }),
    message(1, { deadline: deadlines[1] }),
  ];
  const windows = (a: [number, number] | null, b: [number, number] | null) =>
    [a, b].map((w) => w === null ? { ipg: 10 } : { ipg: 10, oln: w[0], old: w[1] });

  example(
    "1: the earliest deadline goes first, whatever the windows",
    "dwcs",
    windows([0, 4], [3, 4]),
    both([20, 10]),
    secondFirst,
  );
  example(
    "2: of equal deadlines the lower x'/y' goes first: 1/4 before 2/4",
    "dwcs",
    windows([2, 4], [1, 4]),
    both([10, 10]),
    secondFirst,
  );
  example(
    "2: the comparison does not round: 333/1000 before 1/3",
    "dwcs",
    windows([1, 3], [333, 1000]),
    both([10, 10]),
    secondFirst,
  );
  example(
    "3: of equal deadlines and x'/y' = 0 the higher y' goes first: 0/5 before 0/3",
    "dwcs",
    windows([0, 3], [0, 5]),
    both([10, 10]),
    secondFirst,
  );
  example(
    "4: of equal deadlines and equal x'/y' the lower x' goes first: 1/4 before 2/8",
    "dwcs",
    windows([2, 8], [1, 4]),
    both([10, 10]),
    secondFirst,
  );
  example(
    "5: of all that equal the first come goes first",
    "dwcs",
    windows([1, 4], [1, 4]),
    both([10, 10]),
    firstFirst,
  );
  example(
    "a stream without a window counts as 1/1, after 3/4",
    "dwcs",
    windows(null, [3, 4]),
    both([10, 10]),
    secondFirst,
  );
  example(
    "edf looks at no window: first come of equal deadlines",
    "edf",
    windows([2, 4], [1, 4]),
    both([10, 10]),
    firstFirst,
  );
  example(
    "fifo looks at no deadline either",
    "fifo",
    windows([2, 4], [1, 4]),
    both([20, 10]),
    firstFirst,
  );
});

describe("dwcs99 precedence", () => {
  type Window = [number, number] | null;
  const both = (windows: [Window, Window], deadlines: [number, number]) =>
    [
      windows.map((w) => w === null ? { ipg: 10 } : { ipg: 10, oln: w[0], old: w[1] }),
      deadlines.map((deadline, stream) => message(stream, { deadline })),
    ] as const;
  const first = (name: string, windows: [Window, Window], deadlines: [number, number]) => {
    example(name, "dwcs99", ...both(windows, deadlines), secondFirst);
  };

  first("1: the lowest x'/y' goes first, whatever the deadlines", [[3, 4], [1, 4]], [10, 20]);
  first("1: the comparison does not round: 333/1000 first", [[1, 3], [333, 1000]], [10, 20]);
  first("2: of x'/y' = 0 the highest y' goes first: 0/5", [[0, 3], [0, 5]], [10, 20]);
  first("3: of these equal the earliest deadline goes first", [[0, 3], [0, 3]], [20, 10]);
  first("3: of equal x'/y' the deadline is looked at before x'", [[1, 4], [2, 8]], [20, 10]);
  first("4: of equal x'/y' and deadlines the lowest x' goes first", [[2, 8], [1, 4]], [10, 10]);
  first("a stream without a window counts as 1/1, after 3/4", [null, [3, 4]], [10, 20]);
  example("5: else first come", "dwcs99", ...both([[1, 4], [1, 4]], [10, 10]), firstFirst);
});

describe("vds precedence", () => {
  // By T and window: due at the start of the period + k'T/m', of which m' = y' - x' and k' = y'.
  const two = (a: Attributes, b: Attributes, deadlines = [30, 30]) =>
    [[a, b], deadlines.map((deadline, stream) => message(stream, { deadline }))] as const;
  const window = (ipg: number, oln = 0, old = 0): Attributes => ({ ipg, oln, old });

  example(
    "1: the earliest virtual deadline goes first: 20 before 40, though due later",
    "vds",
    ...two(window(10, 3, 4), window(20, 0, 1), [10, 20]),
    secondFirst,
  );
  example(
    "1: the comparison does not round: 1000001 1/4 ns before 1000001 2/3 ns",
    "vds",
    ...two(window(0.600001, 2, 5), window(0.444445, 5, 9)),
    secondFirst,
  );
  example(
    "1: it counts from the start of the period: 1 + 12 before 8 + 6",
    "vds",
    [window(12, 0, 1), window(6, 0, 1), window(10)],
    [message(2, { bytes: 9000 }), message(1, { at: 8 }), message(0, { at: 1 })],
    ["9 s2m0 sent", "10 s0m0 sent", "11 s1m0 sent"],
  );
  example(
    "1: what was served is owed no more: 10 + 2 * 10 / 1 before 10 + 3 * 10 / 1",
    "vds",
    [window(10, 2, 4), window(10, 1, 2)],
    // s0 owes 2 of 4, then 1 of 3: due at 10 + 30.
    [message(0), message(0, { at: 10 }), message(1, { at: 10 })],
    ["1 s0m0 sent", "11 s1m0 sent", "12 s0m1 sent"],
  );
  example(
    "2: of equal ones the highest m'/k' goes first: 1/1 before 1/2",
    "vds",
    ...two(window(5, 1, 2), window(10, 0, 1)),
    secondFirst,
  );
  example("3: else first come", "vds", ...two(window(5, 1, 2), window(5, 1, 2)), firstFirst);
  example(
    "4: what has all that it is owed waits for what has not",
    "vds",
    [window(10, 1, 2), window(10, 3, 4)],
    [message(0), message(0, { at: 10 }), message(1, { at: 10 })],
    ["1 s0m0 sent", "11 s1m0 sent", "12 s0m1 sent"],
  );
  example(
    "4: what is owed nothing goes by its deadline, without a window or with 1/1",
    "vds",
    ...two(window(10), window(10, 1, 1), [20, 10]),
    secondFirst,
  );
});

describe("window", () => {
  const stream = (x: number, y: number): Stream =>
    ({ x, y, window: { lost: x, left: y, tagged: false }, counters: noCounters() }) as Stream;
  const after = (x: number, y: number, story: string): string => {
    const s = stream(x, y);
    for (const step of story) step === "s" ? served(s) : missed(s);
    const { lost, left, tagged } = s.window;
    return `${lost}/${left}${tagged ? " tagged" : ""}, ${s.counters.violations} violations`;
  };

  test("served counts y' down to x', then both", () => {
    assert.equal(after(1, 3, "s"), "1/2, 0 violations");
    assert.equal(after(1, 3, "ss"), "1/1, 0 violations"); // the classic misreading starts again
    assert.equal(after(2, 3, "ss"), "1/1, 0 violations"); // 2/3, 2/2, 1/1
  });
  test("the window starts again at 0/0", () => {
    assert.equal(after(1, 3, "sss"), "1/3, 0 violations"); // 1/3, 1/2, 1/1, 0/0
    assert.equal(after(1, 3, "mss"), "1/3, 0 violations"); // 1/3, 0/2, 0/1, 0/0
    assert.equal(after(1, 3, "ssm"), "1/3, 0 violations"); // 1/3, 1/2, 1/1, 0/0
    assert.equal(after(2, 2, "mm"), "2/2, 0 violations");
  });
  test("one loss too many violates the window, widens it and tags it", () => {
    assert.equal(after(1, 3, "mm"), "0/3 tagged, 1 violations"); // 0/2, 0/3
    assert.equal(after(0, 2, "mmm"), "0/5 tagged, 3 violations");
  });
  test("a tagged window starts again with the next message served", () => {
    assert.equal(after(1, 3, "mms"), "1/3, 1 violations");
    assert.equal(after(0, 2, "mmms"), "0/2, 3 violations");
  });
  test("y' is capped at 65535", () => {
    assert.equal(after(0, 65534, "mmm"), "0/65535 tagged, 3 violations");
  });
  test("a stream without a window counts nothing", () => {
    assert.equal(after(0, 0, "sm"), "0/0, 0 violations");
  });

  example(
    "dwcs counts a miss for each period that a message waits beyond its rank",
    "dwcs",
    [{ ipg: 2, oln: 1, old: 2 }],
    // m0: rank 2, sent at 5: missed, 0/1.  m1: release 2, rank 4; at 5 missed once (0/2, tagged),
    // rank 6; sent at 10: missed, 0/3.  m2: release 4 + 2 = 6, rank 8; at 10 missed twice (10 is
    // two periods past: 0/5), rank 12; sent at 15: missed, 0/6.
    [0, 1, 2].map(() => message(0, { bytes: 5000 })),
    ["5 s0m0 sent", "10 s0m1 sent", "15 s0m2 sent"],
    ([info]) => {
      assert.equal(info.violations, 5);
      assert.deepEqual(info.window, { lost: 0, left: 6 });
    },
  );
  example(
    "misses counted at once that one window does not bear are the next one's",
    "dwcs",
    [{ ipg: 2, oln: 1, old: 2 }, { ipg: 10 }],
    // m0: served, 1/1.  m1: release 2, rank 4; at 7 missed twice (0/0, begins anew, 0/1), rank 8.
    [message(0), message(1, { at: 0.5, bytes: 6000 }), message(0, { at: 1.5 })],
    ["1 s0m0 sent", "7 s1m0 sent", "8 s0m1 sent"],
    ([info]) => {
      assert.equal(info.violations, 0);
      assert.deepEqual(info.window, { lost: 1, left: 2 });
    },
  );
  example(
    "y' is capped at 65535, however many misses are counted at once",
    "dwcs",
    [{ ipg: 2, oln: 0, old: 65534 }],
    [0, 1, 2].map(() => message(0, { bytes: 5000 })), // 1, 1 + 1 and 2 + 1 misses, as above
    ["5 s0m0 sent", "10 s0m1 sent", "15 s0m2 sent"],
    ([info]) => {
      assert.equal(info.violations, 6);
      assert.deepEqual(info.window, { lost: 0, left: 65_535 });
    },
  );
});

describe("rank and expiry", () => {
  example(
    "a stream ahead of its period is ranked by its release, not by its deadline",
    "dwcs",
    [{ ipg: 10 }, { ipg: 10 }],
    // s0m1 is released at 10, so ranked 10: behind s1m0's 8.
    [message(0, { deadline: 5 }), message(0, { deadline: 5 }), message(1, { deadline: 8 })],
    ["1 s0m0 sent", "2 s1m0 sent", "3 s0m1 sent"],
  );
  example(
    "expiry is judged on the deadline alone",
    "dwcs",
    [{ ipg: 10 }, { ipg: 10 }],
    [
      message(0, { deadline: 5 }),
      message(0, { deadline: 5 }),
      message(1, { deadline: 8, bytes: 4000 }),
    ],
    ["1 s0m0 sent", "5 s0m1 expired", "5 s1m0 sent"],
  );
  example(
    "without a deadline the rank is a period after the release",
    "dwcs",
    [{ ipg: 10 }, { ipg: 10 }],
    [message(0), message(1, { deadline: 9 })],
    secondFirst,
  );
  example(
    "a stream that may not drop sends late, and says so",
    "dwcs",
    [{ ipg: 10, droppable: false }],
    [message(0, { deadline: 0.5 })],
    ["1 s0m0 late"],
  );
  example(
    "edf-lossless drops nothing for its time",
    "edf-lossless",
    [{ ipg: 10 }, {}],
    [message(0, { deadline: 3 }), message(1, { deadline: 0.5 })],
    ["1 s1m0 late", "2 s0m0 sent"],
  );
  example(
    "an idle link wakes for what expires: a frame whose end does not come",
    "dwcs",
    [{ ipg: 10 }],
    [message(0, { deadline: 5, frame: "start" }), message(0, { at: 7, frame: "end" })],
    ["5 s0m0 frame", "7 s0m1 frame"],
  );
});

describe("frames", () => {
  const ten = [{ ipg: 10 }, { ipg: 10 }];
  example(
    "a frame is admitted if all of it arrives by its deadline: 3 ms in 3 ms",
    "dwcs",
    ten,
    frame(0, 3, 0, { deadline: 3 }),
    ["1 s0m0 sent", "2 s0m1 sent", "3 s0m2 sent"],
  );
  example(
    "a frame that cannot arrive whole is dropped before its first byte: 3 ms in 2.999",
    "dwcs",
    ten,
    frame(0, 3, 0, { deadline: 2.999 }),
    ["0 s0m0 expired", "0 s0m1 expired", "0 s0m2 expired"],
  );
  // s0's four are begun at 0. s1's three come at 0.5, due at 6.9, before s0's.
  const late = (first: number, second: number) => [
    ...frame(0, 4, 0, { deadline: first }),
    ...frame(1, 3, 0.5, { deadline: second }),
  ];
  const head = ["1 s0m0 sent", "2 s1m0 sent", "3 s1m1 sent", "4 s1m2 sent"];
  example(
    "an earlier frame goes between the messages of one that can wait: 1 + 3 + 3 <= 10",
    "dwcs",
    ten,
    late(10, 6.4),
    [...head, "5 s0m1 sent", "6 s0m2 sent", "7 s0m3 sent"],
  );
  const committed = ["1 s0m0 sent", "2 s0m1 sent", "3 s0m2 sent", "4 s0m3 sent"];
  example(
    "a frame begun is seen through first if it cannot wait: 1 + 3 + 3 > 6.95",
    "dwcs",
    ten,
    late(6.95, 6.4),
    ["1 s0m0 sent", "2 s0m1 sent", "3 s0m2 sent", "4 s0m3 sent", "4 s1m0 expired"]
      .concat("4 s1m1 expired", "4 s1m2 expired"), // 4 + 3 > 6.9
  );
  example(
    "what waits for a frame begun is sent if there is time: 4 + 3 = 7 <= 7",
    "dwcs",
    ten,
    late(7 - 0.001, 6.5),
    [...committed, "5 s1m0 sent", "6 s1m1 sent", "7 s1m2 sent"],
    (infos) => assert.ok(infos.every((info) => info.frames.partial === 0)),
  );
  example(
    "a frame is given up at once when those promised before it leave no time: 2 + 3 + 6 > 10.5",
    "dwcs",
    [{ ipg: 100 }, { ipg: 10 }],
    // s0's frame, a period early, is due at 10 and ranked 100: begun, but behind s1's.
    [
      message(0, { deadline: 50 }),
      ...frame(0, 4, 0, { deadline: 10 }),
      ...frame(1, 6, 1.5, { deadline: 9 }),
    ],
    [
      "1 s0m0 sent",
      "2 s0m1 sent",
      ...[0, 1, 2, 3, 4, 5].map((i) => `2 s1m${i} expired`),
      "3 s0m2 sent",
      "4 s0m3 sent",
      "5 s0m4 sent",
    ],
  );
  example(
    "sixteen frames are begun at most; the seventeenth waits for the first promised",
    "dwcs",
    Array.from({ length: 17 }, () => ({ ipg: 10 })),
    Array.from({ length: 17 }, (_, i) => frame(i, 2, i, { deadline: 100 - 2 * i })).flat(),
    [
      ...Array.from({ length: 16 }, (_, i) => `${i + 1} s${i}m0 sent`), // due at 100 - i
      "17 s15m1 sent",
      "18 s16m0 sent",
      "19 s16m1 sent",
      ...Array.from({ length: 15 }, (_, i) => `${20 + i} s${14 - i}m1 sent`),
    ],
  );
  example(
    "out of order within a frame is refused and changes nothing",
    "edf",
    ten,
    [
      message(0, { frame: "middle" }),
      message(0, { frame: "start" }),
      message(0, { frame: "start" }),
      message(0),
      message(0, { frame: "end" }),
      message(0, { frame: "end" }),
    ],
    ["0 s0m0 frame", "0 s0m2 frame", "0 s0m3 frame", "0 s0m5 frame", "1 s0m1 sent", "2 s0m4 sent"],
  );
  example(
    "a frame of one message needs no promise, and goes although sixteen are begun",
    "dwcs",
    Array.from({ length: 17 }, () => ({ ipg: 10 })),
    [
      ...Array.from({ length: 16 }, (_, i) => frame(i, 2, i, { deadline: 100 - 2 * i })).flat(),
      message(16, { at: 16, deadline: 50, frame: "whole" }),
    ],
    [
      ...Array.from({ length: 16 }, (_, i) => `${i + 1} s${i}m0 sent`),
      "17 s16m0 sent",
      ...Array.from({ length: 16 }, (_, i) => `${18 + i} s${15 - i}m1 sent`),
    ],
  );
  const letters = (count: number) => frame(0, count, 0, {}).map((m) => ({ ...m, bytes: 1 }));
  example(
    "a frame has at most 1024 messages",
    "dwcs",
    [{}],
    letters(1024),
    Array.from({ length: 1024 }, (_, i) => `${(i + 1) / 1000} s0m${i} sent`),
  );
  example(
    "a frame of 1025 messages is lost",
    "dwcs",
    [{}],
    letters(1025),
    Array.from({ length: 1025 }, (_, i) => `0 s0m${i} frame`).sort(),
  );

  test("a promise that a slower link breaks is given up, and counted as partial (model)", () => {
    const link = new ModelLink({ scheduler: "dwcs", rate: 1_000_000 });
    const stream = link.open({ ipg: 10 });
    for (const { bytes, at, ...options } of frame(0, 3, 0, { deadline: 3 })) {
      stream.send(bytes, { deadline: options.deadline, frame: options.frame }, at);
    }
    assert.deepEqual(told(link.run(1)), ["1 s0m0 sent"]);
    link.state.rate = 500_000; // 1 + 4 > 3
    assert.deepEqual(told(link.run(9)), ["1 s0m1 frame", "1 s0m2 frame"]);
    assert.equal(stream.info().frames.partial, 1);
  });

  test("a promise that a slower link breaks is given up, and counted as partial (C)", () => {
    using link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
    const stream = link.open({ ipg: 10 });
    for (const { bytes, at, ...options } of frame(0, 3, 0, { deadline: 3 })) {
      stream.send(bytes, { deadline: options.deadline, frame: options.frame }, at);
    }
    assert.deepEqual(told(link.run(1) as Event[]), ["1 s0m0 sent"]);
    link.change({ rate: 500_000 });
    assert.deepEqual(told(link.run(9) as Event[]), ["1 s0m1 frame", "1 s0m2 frame"]);
    assert.equal(stream.info().frames.partial, 1);
  });
});
