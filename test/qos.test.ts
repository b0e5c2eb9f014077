import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FrameFacts } from "../media/frame.ts";
import { gopPolicy } from "../media/qos.ts";

function picture(facts: Partial<FrameFacts>): FrameFacts {
  const none = { keyframe: false, reference: false, groupStart: false, leading: false };
  return { index: 0, codec: "mpeg2", type: "B", pts: 0, dts: 0, damaged: false, ...none, ...facts };
}

const I = picture({ type: "I", keyframe: true, reference: true, groupStart: true });
const P = picture({ type: "P", reference: true });
const B = picture({ type: "B" });

test("gopPolicy never gives an I picture up, wherever it stands", () => {
  const policy = gopPolicy({ gop: 12 });
  assert.deepEqual(policy(I, { position: 0, groupFrames: 12 }), {
    drop: "never",
    level: 0,
    leading: false,
  });
  // Not a place to begin decoding (H.264, no IDR), yet everything leans on it.
  const inner = picture({ type: "I", reference: true });
  assert.deepEqual(policy(inner, { position: 0, groupFrames: 12 }).drop, "never");
  assert.equal(policy(inner, { position: 0, groupFrames: 12 }).level, 1);
});

test("gopPolicy drops a B picture first, and its loss harms none", () => {
  const qos = gopPolicy()(B, { position: 2, groupFrames: 12 });
  assert.deepEqual(qos, { drop: 0, level: 2, leading: false });
});

test("gopPolicy keeps a B picture that others lean on as long as a P picture at its place", () => {
  for (const position of [2, 6, 11]) {
    const qos = gopPolicy()(picture({ reference: true }), { position, groupFrames: 12 });
    assert.deepEqual(qos, gopPolicy()(P, { position, groupFrames: 12 }));
    assert.equal(qos.level, 1);
  }
});

test("gopPolicy treats a P picture that nobody leans on as a leaf", () => {
  const qos = gopPolicy()(picture({ type: "P" }), { position: 3, groupFrames: 12 });
  assert.deepEqual(qos, { drop: 0, level: 2, leading: false });
});

test("gopPolicy ranks P pictures by their distance from the next I", () => {
  const policy = gopPolicy({ gop: 12 });
  const drops = [3, 6, 9].map((position) => policy(P, { position, groupFrames: null }).drop);
  assert.deepEqual(drops, [5, 4, 2]); // a later loss costs less
  assert.equal(policy(P, { position: 1, groupFrames: null }).drop, 6);
  assert.equal(policy(P, { position: 11, groupFrames: null }).drop, 1);
  assert.equal(policy(P, { position: 40, groupFrames: null }).drop, 1); // longer than it was told
});

test("gopPolicy takes the length of the group before where none is given", () => {
  assert.equal(gopPolicy()(P, { position: 11, groupFrames: 12 }).drop, 1);
  assert.equal(gopPolicy()(P, { position: 11, groupFrames: 250 }).drop, 6);
});

test("gopPolicy flags leading pictures", () => {
  const qos = gopPolicy()(picture({ leading: true }), { position: 1, groupFrames: 12 });
  assert.equal(qos.leading, true);
});

test("gopPolicy never values a later P picture above an earlier one of its group", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 300 }), (gop) => {
    const policy = gopPolicy({ gop });
    let before = 6;
    for (let position = 1; position < gop + 5; position++) {
      const { drop, level } = policy(P, { position, groupFrames: null });
      assert.ok(drop !== "never" && drop >= 1 && drop <= before);
      assert.equal(level, 1);
      before = drop;
    }
  }));
});

test("gopPolicy refuses a group that is none", () => {
  assert.throws(() => gopPolicy({ gop: 0 }), {
    name: "RangeError",
    message: "Cannot make a policy: gop must be at least 1 picture, got 0",
  });
  assert.throws(() => gopPolicy({ gop: 1.5 }), /gop must be a whole number/);
  // @ts-expect-error: there is no such option
  assert.throws(() => gopPolicy({ gops: 12 }), TypeError);
});
