// What start-time fair queueing promises, of the real scheduler: shares by weight over any time in
// which streams have something to send, and a bound on what that costs a stream in delay.
// P. Goyal, H. M. Vin, H. Cheng, "Start-Time Fair Queuing", SIGCOMM 1996: theorems 1 and 4.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { type VirtualEvent, VirtualLink, type VirtualStream } from "../ffi/simulate.ts";
import { check, marks, round } from "./arbitrary.ts";
import { example, frame, message } from "./model/example.ts";
import type { Scheduler } from "./model/state.ts";

const LONG = { timeout: 24 * 3_600_000 };
const RATE = 1_000_000; // a byte takes a microsecond

interface Unit {
  at: number; // ms
  sizes: number[]; // of its packets; several are a frame
}

interface Sender {
  weight: number;
  units: Unit[];
}

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 1500 }) },
  { weight: 1, arbitrary: fc.constantFrom(1, 40, 1500, 9000) },
);

/** Bursts with pauses between them, more than the link carries while they last. */
const senders: fc.Arbitrary<Sender[]> = fc.array(
  fc.record({
    weight: fc.oneof(
      fc.integer({ min: 1, max: 10 }),
      fc.constantFrom(1, 100, 65_535),
      fc.integer({ min: 1, max: 65_535 }),
    ),
    bursts: fc.array(
      fc.record({
        at: fc.integer({ min: 0, max: 200 }),
        spread: fc.constantFrom(0, 0, 0.1, 0.7),
        units: fc.array(
          fc.oneof(
            { weight: 3, arbitrary: sizes.map((bytes) => [bytes]) },
            { weight: 1, arbitrary: fc.array(sizes, { minLength: 2, maxLength: 12 }) },
          ),
          { minLength: 1, maxLength: 60 },
        ),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  { minLength: 2, maxLength: 5 },
).map((list) =>
  list.map(({ weight, bursts }) => ({
    weight,
    units: bursts.flatMap(({ at, spread, units }) =>
      units.map((sizes, i) => ({ at: round(at + i * spread), sizes }))
    ).sort((a, b) => a.at - b.at),
  }))
);

const rates = fc.array(
  fc.record({
    at: fc.integer({ min: 1, max: 250 }),
    rate: fc.constantFrom(RATE, RATE / 3, RATE * 4),
  }),
  { maxLength: 3 },
);

function sendAll(stream: VirtualStream, units: Unit[], options: { deadline?: number } = {}): void {
  for (const { at, sizes } of units) {
    marks(sizes.length).forEach((frame, i) => stream.send(sizes[i], { ...options, frame }, at));
  }
}

/** What became of the messages, in order; `deadline` is of every one. */
function run(
  scheduler: Scheduler,
  senders: Sender[],
  changes: { at: number; rate: number }[] = [],
  deadline?: number,
): VirtualEvent[] {
  using link = new VirtualLink({ scheduler, rate: RATE });
  for (const { weight, units } of senders) {
    sendAll(link.open({ weight }), units, deadline === undefined ? {} : { deadline });
  }
  const events: VirtualEvent[] = [];
  for (const { at, rate } of changes.toSorted((a, b) => a.at - b.at)) {
    events.push(...link.run(at));
    link.change({ rate });
  }
  return [...events, ...link.run(1e6)];
}

/** When a packet came, by stream and message. */
function arrivals(senders: Sender[]): number[][] {
  return senders.map(({ units }) => units.flatMap(({ at, sizes }) => sizes.map(() => at)));
}

/**
 * The largest difference of what two streams were served in proportion to their weights, over all
 * times in which both had something waiting. A packet counts from its decision on, which is the
 * end of the one before it. Messages of a stream end in the order in which they came.
 */
function unfairness(senders: Sender[], events: VirtualEvent[], a: number, b: number): number {
  const came = arrivals(senders);
  const next = senders.map(() => 0);
  let difference = 0, low = 0, high = 0, worst = 0, free = 0;
  for (const { at, stream, bytes, outcome } of events) {
    if (outcome === "dropped") {
      next[stream] += 1;
      continue;
    }
    const first = Math.min(...senders.map((_, i) => came[i][next[i]] ?? Infinity));
    const decided = Math.max(free, first);
    const waits = (i: number) => next[i] < came[i].length && came[i][next[i]] <= decided;
    if (!waits(a) || !waits(b)) difference = low = high = 0;
    else if (stream === a) difference += bytes / senders[a].weight;
    else if (stream === b) difference -= bytes / senders[b].weight;
    low = Math.min(low, difference);
    high = Math.max(high, difference);
    worst = Math.max(worst, high - low);
    next[stream] += 1;
    free = at;
  }
  return worst;
}

const largest = ({ units }: Sender) => Math.max(...units.flatMap(({ sizes }) => sizes));
const largestFrame = ({ units }: Sender) =>
  Math.max(...units.map(({ sizes }) => sizes.reduce((a, b) => a + b)));

/** l/w of both, and the grain of the tags: 2^-20 of a byte at weight 1, for each. */
function bound(senders: Sender[], a: number, b: number, of = largest): number {
  return of(senders[a]) / senders[a].weight + of(senders[b]) / senders[b].weight + 2 ** -19;
}

function pairs(senders: Sender[]): [number, number][] {
  return senders.flatMap((_, a) =>
    senders.slice(a + 1).map((_, i): [number, number] => [a, a + 1 + i])
  );
}

describe("sfq", () => {
  test("serves two streams that wait by weight, to a packet of each, at any rate", LONG, () => {
    let sets = 0, brokenByFifo = 0, brokenByEdf = 0;
    check(fc.tuple(senders, rates), ([senders, changes]) => {
      const broken = (scheduler: Scheduler) => {
        const events = run(scheduler, senders, changes);
        assert.equal(events.length, arrivals(senders).flat().length);
        return pairs(senders).filter(([a, b]) =>
          unfairness(senders, events, a, b) > bound(senders, a, b)
        );
      };
      assert.deepEqual(broken("sfq"), []);
      sets += 1;
      if (broken("fifo").length > 0) brokenByFifo += 1;
      if (broken("edf").length > 0) brokenByEdf += 1; // all equal, as best effort
    }, 2);
    assert.ok(brokenByFifo > 0.2 * sets, `fifo broke the bound in ${brokenByFifo} of ${sets}`);
    assert.ok(brokenByEdf > 0.2 * sets, `edf broke the bound in ${brokenByEdf} of ${sets}`);
  });

  test("with deadlines, serves by weight to a frame of each, whatever is lost", LONG, () => {
    let lost = 0;
    const deadlines = fc.integer({ min: 2, max: 60 });
    check(fc.tuple(senders, deadlines), ([senders, deadline]) => {
      // A frame that was begun is promised, and goes ahead of its turn where it must.
      const events = run("sfq", senders, [], deadline);
      assert.ok(events.every(({ outcome }) => outcome !== "late"));
      lost += events.filter(({ outcome }) => outcome === "dropped").length;
      for (const [a, b] of pairs(senders)) {
        const worst = unfairness(senders, events, a, b);
        assert.ok(worst <= bound(senders, a, b, largestFrame), `${a} and ${b}: ${worst}`);
      }
    }, 2);
    assert.ok(lost > 0);
    // Four packets in turns, then the frame's last four: a packet of each would not do as a bound.
    const forced = [
      { weight: 1, units: [{ at: 0, sizes: Array(8).fill(1000) }] },
      { weight: 1, units: Array(8).fill({ at: 0, sizes: [1000] }) },
    ];
    using link = new VirtualLink({ scheduler: "sfq", rate: RATE });
    sendAll(link.open(), forced[0].units, { deadline: 12 });
    sendAll(link.open(), forced[1].units);
    const worst = unfairness(forced, link.run(100), 0, 1);
    assert.ok(worst > bound(forced, 0, 1), `${worst}`);
  });

  test("brings a stream that keeps to its share in time, whatever the others do", LONG, () => {
    // Theorem 4: a packet leaves no later than it would at the stream's own rate r, and a packet
    // of each other stream and its own on the link.
    const keeping = fc.record({
      senders,
      weight: fc.integer({ min: 1, max: 20 }),
      packets: fc.array(fc.record({ bytes: sizes, gap: fc.integer({ min: 0, max: 5 }) }), {
        minLength: 1,
        maxLength: 60,
      }),
    });
    const late = (scheduler: Scheduler, { senders, weight, packets }: Keeping) => {
      let at = 0;
      const units = packets.map(({ bytes, gap }) => ({ at: at += gap, sizes: [bytes] }));
      const others = senders.map((sender, i) => ({ ...sender, weight: 1 + i }));
      const all = [{ weight, units }, ...others];
      const share = weight / all.reduce((sum, { weight }) => sum + weight, 0);
      const slack = others.reduce((sum, other) => sum + largest(other), 0) / 1000;
      const left = run(scheduler, all).filter(({ stream }) => stream === 0);
      let expected = 0; // when the packet would begin at the stream's own rate
      return left.filter(({ at: leaves }, i) => {
        const { at, sizes: [bytes] } = units[i];
        expected = Math.max(at, expected);
        const latest = expected + slack + bytes / 1000;
        expected += bytes / 1000 / share;
        return leaves > latest + 1e-6;
      }).length;
    };
    interface Keeping {
      senders: Sender[];
      weight: number;
      packets: { bytes: number; gap: number }[];
    }
    let lateUnderFifo = 0;
    check(keeping, (set) => {
      assert.equal(late("sfq", set), 0);
      lateUnderFifo += late("fifo", set);
    });
    assert.ok(lateUnderFifo > 0, "fifo was late as well, or the test shows nothing");
  });
});

describe("sfq by hand", () => {
  const order = (messages: string) => messages.split(" ").map((m, i) => `${i + 1} ${m} sent`);
  const of = (stream: number, count: number, at = 0) =>
    Array.from({ length: count }, () => message(stream, { at }));

  example(
    "2 to 1: the lowest start tag goes first, of equal ones what came first",
    "sfq",
    [{ weight: 2 }, {}],
    [...of(0, 4), ...of(1, 2)], // S: 0 500 1000 1500, and 0 1000
    order("s0m0 s1m0 s0m1 s0m2 s1m1 s0m3"),
  );
  example(
    "what the division by the weight leaves is kept: three thirds are one",
    "sfq",
    [{}, { weight: 3 }],
    // S: 0 1, and 0 1/3 2/3 1: at 1 the first stream's was there before
    [...of(0, 2), ...of(1, 4)].map((m) => ({ ...m, bytes: 1 })),
    ["s0m0", "s1m0", "s1m1", "s1m2", "s0m1", "s1m3"].map((m, i) => `${(i + 1) / 1000} ${m} sent`),
  );
  example(
    "a stream that was idle starts at the virtual time: it has saved nothing up",
    "sfq",
    [{}, {}],
    [...of(0, 5), ...of(1, 2, 2.5)], // S: 0 ... 4000; at 2.5 the third is in service: v = 2000
    order("s0m0 s0m1 s0m2 s1m0 s0m3 s1m1 s0m4"),
  );
  example(
    "once all is served, nobody owes anything",
    "sfq",
    [{}, {}],
    // s0 has F = 2000 when the link falls idle: so has v, and s1 goes second, as it came.
    [...of(0, 2), ...of(0, 1, 5), ...of(1, 1, 5)],
    ["1 s0m0 sent", "2 s0m1 sent", "6 s0m2 sent", "7 s1m0 sent"],
  );
  example(
    "what comes as the last packet leaves is still of the busy time before",
    "sfq",
    [{}, {}],
    [...of(0, 2), ...of(0, 1, 2), ...of(1, 1, 2)], // v = 1000: s0's F is 2000, s1 starts at 1000
    ["1 s0m0 sent", "2 s0m1 sent", "3 s1m0 sent", "4 s0m2 sent"],
  );
  example(
    "what is lost before it is served is not charged",
    "sfq",
    [{}, {}],
    [
      message(1, { bytes: 3000 }),
      message(0, { deadline: 2, bytes: 5000 }),
      message(0),
      ...of(1, 1),
    ],
    // s0m0 cannot be in time at 3: s0m1 starts at 0, as it would have, and before s1m1's 3000.
    ["3 s0m0 expired", "3 s1m0 sent", "4 s0m1 sent", "5 s1m1 sent"],
    ([info]) => assert.equal(info.sentBytes, 1000),
  );
  example(
    "packets of frames take turns, as others do",
    "sfq",
    [{}, {}],
    [...frame(0, 3, 0, {}), ...of(1, 3)],
    order("s0m0 s1m0 s0m1 s1m1 s0m2 s1m2"),
  );
  example(
    "a frame that was begun goes ahead of its turn to keep its deadline, and pays",
    "sfq",
    [{}, {}],
    [...frame(0, 3, 0, { deadline: 3 }), ...of(1, 5), ...of(0, 1)],
    // s0 is at F = 3000 after its frame.
    order("s0m0 s0m1 s0m2 s1m0 s1m1 s1m2 s1m3 s0m3 s1m4"), // s1m3 starts at 3000, and came first
  );

  example(
    "who comes while that frame is sent does not pay for it",
    "sfq",
    [{}, {}, {}],
    [...frame(0, 4, 0, { deadline: 4 }), ...of(1, 3), ...of(2, 1, 3.5)],
    // v has stayed at 0, with s1 whose turn it was: there s2 starts
    order("s0m0 s0m1 s0m2 s0m3 s1m0 s2m0 s1m1 s1m2"),
  );

  test("a weight that changes holds from the next packet on, of what is queued as well", () => {
    using link = new VirtualLink({ scheduler: "sfq", rate: RATE });
    const [one, two] = [link.open(), link.open()];
    for (let i = 0; i < 8; i++) one.send(1000), two.send(1000);
    link.run(4);
    one.change({ weight: 3 });
    assert.equal(one.info().weight, 3);
    const served = link.run(12).map(({ stream }) => stream);
    assert.equal(served.filter((stream) => stream === 0).length, 6);
    assert.equal(two.info().queued, 4);
  });
});
