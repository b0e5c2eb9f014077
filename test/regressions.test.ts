// What random traffic once found, made small, with the answer worked out by hand.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualLink } from "../ffi/simulate.ts";
import { example, message } from "./model/example.ts";

describe("regression", () => {
  // QSOCKETS_SEED=180907997
  example(
    "a frame under fifo is late if any of its messages is, not only the last",
    "fifo",
    [{}],
    [message(0, { frame: "start", deadline: 0.5 }), message(0, { at: 5, frame: "end" })],
    ["1 s0m0 late", "6 s0m1 sent"],
    ([info]) => {
      assert.deepEqual(Array.from(info.frames.sent), [0, 0, 0, 1]);
      assert.deepEqual(Array.from(info.frames.late), [0, 0, 0, 1]);
    },
  );
  example(
    "best effort's half of the queue does not count the message on the wire",
    "dwcs",
    [{}],
    // At 2 one of two is queued: m1. m0 is on the wire until 5.
    [message(0, { bytes: 5000 }), message(0, { at: 1 }), message(0, { at: 2 })],
    ["5 s0m0 sent", "6 s0m1 sent", "7 s0m2 sent"],
    () => {},
    { queueMessages: 4 },
  );
  example(
    "best effort's half of the queue does not count what was evicted",
    "dwcs",
    [{ queueMessages: 1 }, {}],
    [
      message(0, { frame: "whole", level: 2, drop: 0 }),
      message(0, { frame: "whole", level: 0, drop: "never" }),
      message(1, { frame: "whole", level: 0, drop: "never" }), // a second of one
    ],
    ["0 s0m0 overflow", "0 s1m0 overflow", "1 s0m1 sent"],
    () => {},
    { queueMessages: 2 },
  );
  example(
    "best effort's half of the queue does not count what has expired",
    "dwcs",
    [{}],
    [
      message(0, { frame: "start" }),
      message(0, { frame: "middle", deadline: 0.001 }),
      message(0, { at: 5 }),
    ],
    ["0.001 s0m0 frame", "0.001 s0m1 frame", "6 s0m2 sent"],
    () => {},
    { queueMessages: 5 },
  );

  test("a frame that loses its period while it is sent turns no best effort's time back", () => {
    using link = new VirtualLink({ scheduler: "dwcs", rate: 1_000_000 });
    const [a, b] = [link.open(), link.open()], framed = link.open({ ipg: 100 });
    for (let i = 0; i < 20; i++) a.send(1000);
    link.run(20);
    for (const frame of ["start", "end"] as const) framed.send(1000, { frame }, 20);
    link.run(20.5);
    framed.change({ ipg: 0 }); // best effort's from here on
    for (let i = 0; i < 4; i++) a.send(1000, {}, 20.5);
    link.run(22);
    for (let i = 0; i < 4; i++) b.send(1000, {}, 22);
    const { queued } = framed.info();
    const order = link.run(40).map(({ stream }) => stream).filter((id) => id !== framed.id);
    assert.equal(queued, 0);
    assert.deepEqual(order, [b.id, a.id, b.id, a.id, b.id, a.id, b.id, a.id]);
  });
});
