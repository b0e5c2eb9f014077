// Class-based link sharing worked out by hand: clocks, bursts, promises, and streams that move.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { example, frame, message } from "./model/example.ts";

describe("cbq by hand", () => {
  // A byte takes a microsecond; at 100 kB/s 1000 bytes take 10 ms, and the burst is 3000 bytes.
  const slow = { rate: 100_000 };
  const times = (count: number, stream = 0) => Array.from({ length: count }, () => message(stream));

  example(
    "a class without anything to borrow sends at its rate",
    "cbq",
    [{ class: "a" }],
    times(3),
    ["1 s0m0 sent", "11 s0m1 sent", "21 s0m2 sent"],
    () => {},
    { classes: { a: slow } },
  );
  example(
    "a class that was idle has its burst saved up, and no more",
    "cbq",
    [{ class: "a" }],
    times(5).map((m) => ({ ...m, at: 1000 })),
    // the clock stands at 970: 980, 990, 1000, then 1010
    ["1001 s0m0 sent", "1002 s0m1 sent", "1003 s0m2 sent", "1004 s0m3 sent", "1011 s0m4 sent"],
    () => {},
    { classes: { a: slow } },
  );
  example(
    "a frame with a deadline, once begun, is finished beyond the limit and charged",
    "cbq",
    [{ class: "a" }],
    [...frame(0, 3, 0, { deadline: 50 }), ...times(1)],
    ["1 s0m0 sent", "2 s0m1 sent", "3 s0m2 sent", "31 s0m3 sent"],
    () => {},
    { classes: { a: slow } },
  );
  example(
    "a frame sent ahead of its class's turn is paid for to all who waited",
    "cbq",
    [{ class: "a" }, { class: "b" }],
    [...frame(0, 4, 0, { deadline: 4 }), ...times(1), ...times(6, 1)],
    // a's share is four packets ahead; when b has caught up, a's number is the lower
    [
      ...[0, 1, 2, 3].map((m) => `${m + 1} s0m${m} sent`),
      ...[0, 1, 2, 3].map((m) => `${m + 5} s1m${m} sent`),
      "9 s0m4 sent",
      "10 s1m4 sent",
      "11 s1m5 sent",
    ],
    () => {},
    { classes: { a: { borrow: true }, b: { borrow: true } } },
  );
  example(
    "a class that others held up makes that good, with what came meanwhile as well",
    "cbq",
    [{ class: "a" }, { class: "b" }],
    [
      message(0),
      ...frame(1, 40, 0, { deadline: 40 }),
      ...times(30).map((m) => ({ ...m, at: 39 })),
    ],
    [
      ...Array.from({ length: 40 }, (_, i) => `${i + 1} s1m${i} sent`),
      ...Array.from({ length: 31 }, (_, i) => `${i + 41} s0m${i} sent`), // at twice its rate
    ],
    () => {},
    { classes: { a: { rate: 500_000, priority: 1 }, b: { rate: 500_000, priority: 0 } } },
  );
  example(
    "a frame without one goes packet by packet, as the class may",
    "cbq",
    [{ class: "a" }, { class: "b" }],
    [...frame(0, 3, 0, {}), ...times(2, 1)],
    ["1 s0m0 sent", "2 s1m0 sent", "11 s0m1 sent", "12 s1m1 sent", "21 s0m2 sent"],
    () => {},
    { classes: { a: slow, b: slow } },
  );
  example(
    "what is lost while it waits is not charged",
    "cbq",
    [{ class: "a" }],
    [message(0), message(0, { deadline: 5 }), message(0)],
    ["1 s0m0 sent", "5 s0m1 expired", "11 s0m2 sent"],
    () => {},
    { classes: { a: slow } },
  );
  example(
    "a ceiling holds a class that borrows, and those below it",
    "cbq",
    [{ class: "a" }, { class: "b" }],
    [...times(2), ...times(2, 1)],
    ["1 s0m0 sent", "11 s1m0 sent", "21 s0m1 sent", "31 s1m1 sent"],
    () => {},
    {
      classes: {
        both: { ceil: 100_000, borrow: true },
        a: { borrow: true, parent: "both" },
        b: { borrow: true, parent: "both" },
      },
    },
  );
  example(
    "streams without a class have what is left, behind all others",
    "cbq",
    [{}, { class: "a" }],
    [...times(3), ...times(2, 1)],
    ["1 s1m0 sent", "2 s0m0 sent", "3 s0m1 sent", "4 s0m2 sent", "11 s1m1 sent"],
    () => {},
    { classes: { a: slow } },
  );

  test("a stream that changes its class takes along what is queued", () => {
    using link = new VirtualLink({
      scheduler: "cbq",
      rate: 1_000_000,
      classes: { a: slow, b: { rate: 200_000 } },
    });
    const stream = link.open({ class: "a" });
    for (let i = 0; i < 4; i++) stream.send(1000);
    assert.deepEqual(link.run(15).map(({ at }) => at), [1, 11]);
    stream.change({ class: "b" });
    assert.equal(stream.info().class, "b");
    assert.deepEqual(link.run(100).map(({ at }) => at), [16, 17]); // b has its burst
    assert.throws(() => stream.change({ class: "c" }), /class must be one of .*"a", "b", got "c"/);
  });

  test("a stream brings no tags of its old class to the new one", () => {
    using link = new VirtualLink({
      scheduler: "cbq",
      rate: 1_000_000,
      classes: { a: { rate: 500_000, borrow: true }, b: { rate: 500_000 } },
    });
    const [mover, stays] = [link.open({ class: "a" }), link.open({ class: "b" })];
    for (let i = 0; i < 100; i++) mover.send(1000);
    link.run(100);
    mover.change({ class: "b" });
    for (let i = 0; i < 40; i++) mover.send(1000, {}, 100), stays.send(1000, {}, 100);
    const served = link.run(160).map(({ stream }) => stream);
    const own = served.filter((stream) => stream === mover.id).length;
    assert.ok(Math.abs(2 * own - served.length) <= 1, `${own} of ${served.length}`);
  });
});
