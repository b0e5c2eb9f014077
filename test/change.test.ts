// What a change of a stream's attributes does to its window, and to what is queued.
// A byte takes a microsecond.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";

describe("change", () => {
  test("lets a window that stays as it was go on", () => {
    using link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
    const stream = link.open({ ipg: 10, oln: 1, old: 4 });
    stream.send(1000);
    link.run(5);
    stream.change({ ipg: 20, queueMessages: 5 });
    assert.deepEqual(stream.info().window, { lost: 1, left: 3 });
  });

  test("begins another window anew", () => {
    using link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
    const stream = link.open({ ipg: 10, oln: 1, old: 4 });
    stream.send(1000);
    link.run(5);
    stream.change({ oln: 2 });
    assert.deepEqual(stream.info().window, { lost: 2, left: 4 });
  });

  test("of the period ranks what waits anew", () => {
    using link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
    const [busy, slow, other] = [1, 100, 50].map((ipg) => link.open({ ipg }));
    busy.send(5000);
    slow.send(1000); // ranked 100, then 10
    other.send(1000); // ranked 50
    link.run(1);
    slow.change({ ipg: 10 });
    assert.deepEqual(link.run(20).map(({ stream }) => stream), [busy.id, slow.id, other.id]);
  });

  test("to no period lets a frame end that was begun with one", () => {
    using link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
    const stream = link.open({ ipg: 10 });
    for (const frame of ["start", "middle", "end"] as const) stream.send(8000, { frame });
    link.run(1);
    stream.change({ ipg: 0 }); // ranked 10, at the latest of periods that are no more
    assert.deepEqual(link.run(50).map(({ at, outcome }) => `${at} ${outcome}`), [
      "8 sent",
      "16 sent",
      "24 sent",
    ]);
  });
});
