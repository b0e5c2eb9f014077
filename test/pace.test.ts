import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Timetable } from "../media/pace.ts";

test("Timetable releases frames at their distance from the first, at any speed", () => {
  fc.assert(fc.property(
    fc.constantFrom(0.5, 1, 2, 10),
    fc.array(fc.tuple(fc.integer({ min: 0, max: 9999 }), fc.nat({ max: 500 }))),
    (speed, steps) => {
      const timetable = new Timetable({ speed });
      timetable.release(1000, 70);
      let [dts, now] = [1000, 70];
      for (const [step, late] of steps) { // however late each one is, nothing adds up
        dts += step;
        now += late;
        const { at, discontinuity } = timetable.release(dts, now);
        assert.equal(discontinuity, null);
        assert.ok(Math.abs(at - (70 + (dts - 1000) / speed)) < 1e-6);
      }
    },
  ));
});

test("Timetable takes up a time line that jumps, and says so", () => {
  const timetable = new Timetable();
  const releases = [0, 20, 5, 25, 10_026, 10_046].map((dts) => timetable.release(dts, 0));
  assert.deepEqual(releases.map(({ at }) => at), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(releases.map(({ discontinuity }) => discontinuity), [
    null,
    null,
    { from: 20, to: 5 },
    null,
    { from: 25, to: 10_026 },
    null,
  ]);
});

test("Timetable catches up at a jump instead of staying late", () => {
  const timetable = new Timetable();
  timetable.release(1000, 0);
  assert.equal(timetable.release(1040, 500).at, 40);
  assert.equal(timetable.release(0, 500).at, 500);
});

test("Timetable spaces frames without a time like the last two that had one", () => {
  const timetable = new Timetable({ interval: 10 });
  const times = [null, null, 100, 120, null, null, 180].map((dts) => timetable.release(dts, 0));
  assert.deepEqual(times.map(({ at }) => at), [0, 10, 100, 120, 140, 160, 180]);
  assert.ok(times.every(({ discontinuity }) => discontinuity === null));
});
