// The histogram of delays: where its buckets end, what is counted in which, and its percentiles.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DELAY_EDGES, delayPercentile } from "../ffi/delay.ts";
import { VirtualLink } from "../ffi/simulate.ts";
import { check } from "./arbitrary.ts";

const NONE = DELAY_EDGES.map(() => 0).concat(0);

/** How many delays, in milliseconds, are in which bucket: each one looked for among the edges. */
function histogram(delays: number[]): number[] {
  const counts = [...NONE];
  for (const delay of delays) {
    const bucket = DELAY_EDGES.findIndex((edge) =>
      Math.round(delay * 1e6) < Math.round(edge * 1e6)
    );
    counts[bucket < 0 ? DELAY_EDGES.length : bucket] += 1;
  }
  return counts;
}

test("DELAY_EDGES doubles from 64 microseconds to a second", () => {
  assert.equal(DELAY_EDGES.length, 15);
  assert.equal(DELAY_EDGES[0], 0.064);
  assert.equal(DELAY_EDGES[14], 1048.576);
  assert.ok(DELAY_EDGES.every((edge, i) => i === 0 || edge === 2 * DELAY_EDGES[i - 1]));
});

describe("info.delays", () => {
  test("counts what took as long as an edge above it, and what took less below it", () => {
    DELAY_EDGES.forEach((edge, bucket) => {
      using link = new VirtualLink({ scheduler: "edf", rate: 31_250 }); // 32 microseconds a byte
      const stream = link.open();
      const bytes = edge / 0.032;
      assert.equal(bytes, 2 ** (bucket + 1));
      stream.send(bytes - 1);
      stream.send(bytes, {}, 2000);
      link.run(4000);
      const expected = [...NONE];
      expected[bucket] = expected[bucket + 1] = 1;
      assert.deepEqual(stream.info().delays, expected);
    });
  });

  test("counts from the call to the last byte, of what was late too, and nothing that was lost", () => {
    using link = new VirtualLink({ scheduler: "edf", rate: 1_000_000 }); // a microsecond a byte
    const late = link.open({ droppable: false });
    const lost = link.open();
    late.send(1000);
    late.send(1000, { deadline: 0.5 }); // late, after 2 ms
    lost.send(1000, { deadline: 0.5 }); // expires
    assert.deepEqual(late.info().delays, NONE);
    link.run(10);
    assert.equal(late.info().late, 1);
    assert.equal(lost.info().dropped.expired, 1);
    assert.deepEqual(late.info().delays, histogram([1, 2]));
    assert.deepEqual(lost.info().delays, NONE);
    assert.deepEqual(link.info().delays, histogram([1, 2]));
  });
});

/** Messages of a stream: when each comes, and its bytes, of which a thousand take 1 ms. */
const traffic = fc.array(
  fc.record({ at: fc.nat({ max: 2000 }), bytes: fc.integer({ min: 1, max: 65_507 }) }),
  { minLength: 1, maxLength: 60 },
);

describe("delayPercentile", () => {
  test("is no less than the percentile, and at most twice it", () => {
    const shares = fc.constantFrom(0.01, 0.25, 0.5, 0.9, 0.99, 1);
    check(fc.tuple(traffic, shares), ([messages, share]) => {
      using link = new VirtualLink({ scheduler: "edf", rate: 1_000_000 });
      const stream = link.open();
      const sorted = messages.toSorted((a, b) => a.at - b.at);
      for (const { at, bytes } of sorted) stream.send(bytes, {}, at);
      const delays = link.run(1e6).map(({ at, message }) => at - sorted[message].at);
      delays.sort((a, b) => a - b);
      const exact = delays[Math.ceil(share * delays.length) - 1];
      const info = stream.info();
      const found = delayPercentile(info, share);
      assert.deepEqual(info.delays, histogram(delays));
      assert.ok(found > exact - 1e-6, `${found} is below ${exact}`);
      assert.ok(found <= info.delay.max, `${found} is above the longest, ${info.delay.max}`);
      if (exact < 1048) assert.ok(found <= Math.max(0.064, 2 * exact), `${found} above ${exact}`);
    });
  });

  test("is 0 where nothing was sent", () => {
    using link = new VirtualLink({ scheduler: "edf", rate: 1_000_000 });
    assert.equal(delayPercentile(link.info(), 0.99), 0);
  });

  for (const share of [0, -1, 1.01, 99, NaN]) {
    test(`refuses a share of ${share}`, () => {
      const info = { delays: NONE, delay: { mean: 0, max: 0 } };
      assert.throws(() => delayPercentile(info, share), {
        name: "RangeError",
        message: "Cannot find a percentile of delays: the share must be above 0 and at most 1, " +
          `got ${share}`,
      });
    });
  }
});
