// What class-based link sharing promises, of the real scheduler: guarantees, ceilings, and what is
// left by priority. S. Floyd, V. Jacobson, "Link-sharing and Resource Management Models for Packet
// Networks", IEEE/ACM Trans. Networking 3(4), 1995. Worked out by hand: cbq_example.test.ts; what a
// tree may say: classes.test.ts.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { check, marks } from "./arbitrary.ts";
import { AHEAD, bytesOf, Greedy, PACKET_BYTES_MAX, runGreedy } from "./greedy.ts";
import { classesOf, classTrees, leavesOf } from "./model/classes.ts";
import type { ClassAttributes } from "./model/share.ts";

const LONG = { timeout: 24 * 3_600_000 };
const RATE = 1_250_000; // 10 Mbit/s
const BURST_BYTES = 3000;

type Classes = Record<string, ClassAttributes>;

/** Bytes of credit that a clock of this rate may save up: 10 ms, or 3000 bytes. */
const burst = (rate: number) => Math.max(rate / 100, BURST_BYTES);

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

function open(classes: Classes, scheduler: "cbq" | "fifo" = "cbq"): VirtualLink {
  const options = { scheduler, rate: RATE, queueMessages: 65_536 };
  return new VirtualLink(scheduler === "cbq" ? { ...options, classes } : options);
}

/** Trees in which every leaf is guaranteed something, and all of the link is guaranteed. */
const guarantees: fc.Arbitrary<Classes> = fc.array(
  fc.record({
    weights: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
    weight: fc.integer({ min: 1, max: 5 }),
    flat: fc.boolean(),
    borrow: fc.boolean(),
    priority: fc.nat({ max: 7 }),
  }),
  { minLength: 1, maxLength: 4 },
).map((groups) => {
  const classes: Classes = {};
  const all = sum(groups.map(({ weight }) => weight));
  groups.forEach(({ weights, weight, flat, borrow, priority }, i) => {
    const rate = Math.floor(RATE * weight / all);
    classes[`g${i}`] = { rate, borrow, priority };
    if (flat) return;
    weights.forEach((part, k) => {
      classes[`g${i}c${k}`] = {
        rate: Math.floor(rate * part / sum(weights)),
        borrow: !borrow,
        priority: (priority + k) % 8,
        parent: `g${i}`,
      };
    });
  });
  return classes;
});

describe("cbq", () => {
  test("gives every class what it is guaranteed, within 1 %, while all want more", LONG, () => {
    let sets = 0, brokenByFifo = 0;
    check(fc.tuple(guarantees, fc.integer()), ([classes, seed]) => {
      const names = leavesOf(classes);
      const MS = 20_000;
      const worst = (scheduler: "cbq" | "fifo") => {
        using link = open(classes, scheduler);
        const streams = names.map((name, i) =>
          new Greedy({
            link,
            ...(scheduler === "cbq" ? { name } : {}),
            seed: seed + i,
            bytes: 300 + 1200 * (i % 2),
          })
        );
        const got = bytesOf(runGreedy(link, streams, MS), streams);
        return Math.min(...names.map((name, i) => got[i] / (classes[name].rate! * MS / 1000)));
      };
      sets += 1;
      const share = worst("cbq");
      assert.ok(share >= 0.99, `a class got ${share} of its guarantee`);
      if (names.length > 1 && worst("fifo") < 0.99) brokenByFifo += 1;
    }, 0.1);
    assert.ok(brokenByFifo > 0, `fifo kept them in all of ${sets}`);
  });

  test("exceeds no ceiling by more than its burst, over any time", LONG, () => {
    let binding = 0;
    check(fc.tuple(classTrees, traffic), ([shapes, bursts]) => {
      const classes = classesOf(shapes, RATE);
      const excess = play(classes, bursts, "cbq");
      for (const [name, { bytes, ceil }] of Object.entries(excess)) {
        assert.ok(bytes <= burst(ceil) + 1, `${name} exceeded ${ceil} by ${bytes}`);
      }
      const free = play(classes, bursts, "fifo");
      if (Object.values(free).some(({ bytes, ceil }) => bytes > burst(ceil) + 1)) binding += 1;
    }, 2);
    assert.ok(binding > 0, "fifo kept to the ceilings as well: they bound nobody");
  });

  test("finishes a frame begun with a deadline beyond a ceiling, by that frame alone", LONG, () => {
    let beyond = 0;
    check(fc.tuple(classTrees, traffic), ([shapes, bursts]) => {
      const classes = classesOf(shapes, RATE);
      const one = bursts.map((burst) => ({ ...burst, to: 0, packets: 8 }));
      for (const { bytes, ceil } of Object.values(play(classes, one, "cbq", 1000))) {
        assert.ok(bytes <= burst(ceil) + 7 * PACKET_BYTES_MAX + 1);
        if (bytes > burst(ceil) + 1) beyond += 1;
      }
    });
    assert.ok(beyond > 0, "no frame had to go beyond");
  });

  /** Bursts of frames: when, to which leaf, how many, of how many packets of what size. */
  interface Burst {
    at: number;
    to: number;
    frames: number;
    packets: number;
    bytes: number;
  }

  /** By class with a ceiling: the bytes by which it exceeded that over some time. */
  function play(
    classes: Classes,
    bursts: Burst[],
    scheduler: "cbq" | "fifo",
    deadline?: number,
  ): Record<string, { bytes: number; ceil: number }> {
    using link = open(classes, scheduler);
    const names = [undefined, ...leavesOf(classes)];
    const streams = names.map((name) =>
      link.open(name === undefined || scheduler === "fifo" ? {} : { class: name })
    );
    for (const { at, to, frames, packets, bytes } of bursts) {
      const stream = streams[(to === 0 ? 1 : to) % streams.length];
      for (let i = 0; i < frames; i++) {
        for (const frame of marks(packets)) {
          stream.send(bytes, { frame, ...(deadline === undefined ? {} : { deadline }) }, at);
        }
      }
    }
    const sent = link.run(5000).filter(({ outcome }) => outcome === "sent");
    const result: Record<string, { bytes: number; ceil: number }> = {};
    for (const [name, { ceil }] of Object.entries(classes)) {
      if (ceil === undefined || ceil >= RATE) continue;
      const own = sent.filter(({ stream }) => isBelow(classes, names[stream], name));
      let before = 0, lowest = 0, bytes = 0;
      for (const event of own) {
        const begun = event.at / 1000 - event.bytes / RATE;
        lowest = Math.min(lowest, before - ceil * begun);
        bytes = Math.max(bytes, before - ceil * begun - lowest);
        before += event.bytes;
      }
      result[name] = { bytes, ceil };
    }
    return result;
  }

  const traffic: fc.Arbitrary<Burst[]> = fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 1000 }),
      to: fc.nat({ max: 8 }),
      frames: fc.integer({ min: 1, max: 60 }),
      packets: fc.constantFrom(1, 1, 3),
      bytes: fc.integer({ min: 1, max: PACKET_BYTES_MAX }),
    }),
    { minLength: 1, maxLength: 8 },
  );

  function isBelow(classes: Classes, name: string | undefined, above: string): boolean {
    for (; name !== undefined; name = classes[name].parent) if (name === above) return true;
    return false;
  }

  test("lets only those use more than their rate that borrow", LONG, () => {
    check(fc.tuple(guarantees, fc.nat({ max: 3 })), ([classes, leftOut]) => {
      const names = leavesOf(classes);
      const active = names.filter((_, i) => names.length === 1 || i !== leftOut % names.length);
      using link = open(classes);
      const streams = active.map((name, i) => new Greedy({ link, name, seed: i }));
      const seconds = 5;
      const got = bytesOf(runGreedy(link, streams, seconds * 1000), streams);
      active.forEach((name, i) => {
        const { rate = 0, borrow } = classes[name];
        if (borrow) return;
        const most = rate * seconds + burst(rate) + PACKET_BYTES_MAX;
        assert.ok(got[i] <= most, `${name} got ${got[i]} of ${most}`);
      });
    }, 0.1);
    for (const borrow of [false, true]) {
      using link = open({ one: { rate: RATE / 4, borrow } });
      const streams = [new Greedy({ link, name: "one" })];
      const [got] = bytesOf(runGreedy(link, streams, 4000), streams);
      assert.ok(Math.abs(got / RATE / 4 - (borrow ? 1 : 0.25)) < 0.01, `${borrow}: ${got}`);
    }
  });

  /** Shares of the link that greedy streams of these classes get, of one each, in ten seconds. */
  function shares(classes: Classes, active = leavesOf(classes)): Record<string, number> {
    using link = open(classes);
    const streams = active.map((name, i) => new Greedy({ link, name, seed: i }));
    const got = bytesOf(runGreedy(link, streams, 10_000), streams);
    return Object.fromEntries(active.map((name, i) => [name, got[i] / RATE / 10]));
  }

  function near(actual: Record<string, number>, expected: Record<string, number>): void {
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort());
    for (const [name, share] of Object.entries(expected)) {
      const text = `${name} got ${actual[name]}, expected ${share}`;
      assert.ok(Math.abs(actual[name] - share) <= 0.01, text);
    }
  }

  test("gives what is left to the lowest priority number, beyond all guarantees", () => {
    const rate = RATE / 5;
    near(
      shares({
        a: { rate, borrow: true, priority: 1 },
        b: { rate, borrow: true, priority: 0 },
        c: { rate, borrow: false, priority: 0 },
      }),
      { a: 0.2, b: 0.6, c: 0.2 },
    );
  });

  test("shares what is left among equals by what they are guaranteed", () => {
    near(
      shares({ a: { rate: RATE / 10, borrow: true }, b: { rate: 3 * RATE / 10, borrow: true } }),
      { a: 0.25, b: 0.75 },
    );
    // what is guaranteed nothing counts as a 256th of the link
    near(shares({ a: { rate: RATE / 10, borrow: true }, b: { borrow: true } }), {
      a: 0.1 + 0.9 * 256 / 266,
      b: 0.9 * 10 / 266,
    });
    const ceil = RATE * 4 / 10; // what b may not have is a's
    near(
      shares({
        a: { rate: RATE / 10, borrow: true },
        b: { rate: 3 * RATE / 10, borrow: true, ceil },
      }),
      { a: 0.6, b: 0.4 },
    );
  });

  test("gives a class that comes back no more of what is left than it would have had", () => {
    const equal = { rate: RATE / 10, borrow: true };
    using link = open({ away: equal, here: equal });
    const [away, here] = ["away", "here"].map((name, seed) => new Greedy({ link, name, seed }));
    runGreedy(link, [here], 2000);
    const [back, still] = bytesOf(runGreedy(link, [away, here], 2300), [away, here]);
    const half = RATE * 0.3 / 2;
    assert.ok(Math.abs(back - half) <= burst(equal.rate) + 2 * PACKET_BYTES_MAX, `${back}`);
    assert.ok(Math.abs(still - half) <= burst(equal.rate) + 2 * PACKET_BYTES_MAX, `${still}`);
  });

  test("keeps what is guaranteed to a group within the group, in two levels", () => {
    const classes: Classes = {
      left: { rate: RATE / 2 },
      a: { rate: RATE * 3 / 10, borrow: true, parent: "left" },
      b: { rate: RATE / 10, borrow: true, parent: "left", priority: 6 },
      right: { rate: RATE / 2, borrow: true },
      c: { rate: RATE / 10, borrow: true, parent: "right", priority: 0 },
      d: { rate: RATE / 10, borrow: true, parent: "right" },
    };
    near(shares(classes), { a: 0.3, b: 0.2, c: 0.4, d: 0.1 });
    near(shares(classes, ["a", "c"]), { a: 0.5, c: 0.5 });
    near(shares(classes, ["a", "b"]), { a: 0.3, b: 0.2 }); // "left" does not borrow
    near(shares(classes, ["d"]), { d: 1 });
  });

  test("costs nobody anything for a class that idles, which has its share at once again", () => {
    using link = open({
      away: { rate: RATE / 2 },
      here: { rate: RATE / 2, borrow: true },
    });
    const [away, here] = ["away", "here"].map((name, seed) => new Greedy({ link, name, seed }));
    runGreedy(link, [here, away], 1000);
    link.run(1000 + 1000 * AHEAD * PACKET_BYTES_MAX / RATE); // all that was queued has left
    const from = link.now;
    const alone = bytesOf(runGreedy(link, [here], from + 2000), [here])[0];
    assert.ok(alone >= 2 * RATE - PACKET_BYTES_MAX, `${alone} while the other idled`);
    const [back, still] = bytesOf(runGreedy(link, [away, here], from + 2100), [away, here]);
    const half = RATE / 2 / 10;
    const slack = 2 * PACKET_BYTES_MAX;
    assert.ok(back >= half - slack, `${back} of ${half} in the first 100 ms`);
    assert.ok(back <= half + burst(RATE / 2) + slack, `${back}: it has saved up`);
    assert.ok(back + still >= RATE / 10 - slack);
  });

  test("bounds the delay of a small class of high priority by a packet on the wire", () => {
    const worst = (priority: number) => {
      using link = open({
        voice: { rate: RATE / 10, priority },
        bulk: { rate: RATE * 6 / 10, borrow: true, priority: 3 },
        rest: { rate: RATE * 3 / 10, borrow: true, priority: 3 },
      });
      const greedy = ["bulk", "rest"].map((name, seed) => new Greedy({ link, name, seed }));
      const voice = link.open({ class: "voice" });
      const sent = Array.from({ length: 400 }, (_, i) => 1 + i * 7.3); // 200 bytes each: 27 kB/s
      for (const at of sent) voice.send(200, {}, at);
      const events = runGreedy(link, greedy, 3000).filter(({ stream }) => stream === voice.id);
      assert.equal(events.length, sent.length);
      return Math.max(...events.map(({ at, message }) => at - sent[message]));
    };
    const bound = (200 + PACKET_BYTES_MAX) / RATE * 1000;
    assert.ok(worst(0) <= bound, `${worst(0)} ms, beyond ${bound}`);
    assert.ok(worst(7) > bound, "the last priority is as good: the test shows nothing");
  });

  test("shares a class among its streams by their weights", () => {
    using link = open({ a: { rate: RATE / 2 }, b: { rate: RATE / 2 } });
    const streams = [
      new Greedy({ link, name: "a", weight: 1, bytes: 1500 }),
      new Greedy({ link, name: "a", weight: 3, bytes: 200 }),
      new Greedy({ link, name: "b", weight: 9, bytes: 700 }),
    ];
    const [one, three, other] = bytesOf(runGreedy(link, streams, 10_000), streams);
    assert.ok(Math.abs(three / one - 3) < 0.02, `${three} to ${one}`);
    assert.ok(Math.abs(other / RATE / 10 - 0.5) < 0.005);
  });

  test("goes by priority where a slower link cannot keep what it guaranteed", () => {
    using link = open({
      first: { rate: RATE / 2, priority: 1 },
      second: { rate: RATE / 2, priority: 2 },
    });
    const streams = ["first", "second"].map((name, seed) => new Greedy({ link, name, seed }));
    runGreedy(link, streams, 2000);
    link.change({ rate: RATE * 3 / 4 });
    const slow = bytesOf(runGreedy(link, streams, 12_000), streams);
    assert.ok(Math.abs(slow[0] / 10 / RATE - 0.5) < 0.01, `${slow}`);
    assert.ok(Math.abs(slow[1] / 10 / RATE - 0.25) < 0.01, `${slow}`);
    link.change({ rate: RATE }); // and what it missed is not made good afterwards, but a little
    const [second] = bytesOf(runGreedy(link, [streams[1]], 15_000), [streams[1]]);
    const little = 3 * 70_115 / 2 + burst(RATE / 2) + PACKET_BYTES_MAX;
    assert.ok(second <= RATE / 2 * 3 + little, `${second} in three seconds`);
  });
});
