// When streams without a period are served, worked out by hand: by turns among themselves, for a
// sixteenth of the link beside managed streams. A byte takes a microsecond; "5 s0m1 sent" is
// stream 0, message 1, sent at 5 ms.

import { describe } from "node:test";
import { example, frame, message } from "./model/example.ts";
import type { ScenarioMessage } from "./model/play.ts";

/** So many messages of 1000 bytes, one after the other. */
function run(stream: number, first: number, count: number, from: number): string[] {
  return Array.from({ length: count }, (_, i) => `${from + i + 1} s${stream}m${first + i} sent`);
}

describe("best effort", () => {
  example(
    "streams take turns by bytes: 1000 of one, twice 500 of the other",
    "dwcs",
    [{}, {}],
    // Tags: s0 0, 1000, 2000; s1 0, 500, 1000, 1500.
    [
      ...[0, 1, 2].map(() => message(0)),
      ...[0, 1, 2, 3].map(() => message(1, { bytes: 500 })),
    ],
    [
      "1 s0m0 sent",
      "1.5 s1m0 sent",
      "2 s1m1 sent",
      "3 s0m1 sent",
      "3.5 s1m2 sent",
      "4 s1m3 sent",
      "5 s0m2 sent",
    ],
  );
  example(
    "a stream that was idle has saved up no turns",
    "dwcs",
    [{}, {}],
    // Tags: s0 0, 1000, 2000, 3000; at 2.5, with s0's 2000 on the wire, s1 2000 and 3000.
    [...[0, 1, 2, 3].map(() => message(0)), message(1, { at: 2.5 }), message(1, { at: 2.5 })],
    [...run(0, 0, 3, 0), "4 s1m0 sent", "5 s0m3 sent", "6 s1m1 sent"],
  );
  const managed = (count: number, options: Partial<ScenarioMessage> = {}) =>
    Array.from({ length: count }, () => message(0, options));
  example(
    "a sixteenth is best effort's: one message after each sixteen managed ones",
    "dwcs",
    [{ ipg: 1 }, {}],
    [...managed(40), message(1), message(1)],
    [
      ...run(0, 0, 16, 0),
      "17 s1m0 sent",
      ...run(0, 16, 16, 17),
      "34 s1m1 sent",
      ...run(0, 32, 8, 34),
    ],
  );
  example(
    "nothing is saved up while none waits",
    "dwcs",
    [{ ipg: 1 }, {}],
    // It comes at 15.5; the sixteen that count are begun from 16 to 31.
    [...managed(40), message(1, { at: 15.5 })],
    [...run(0, 0, 32, 0), "33 s1m0 sent", ...run(0, 32, 8, 33)],
  );
  example(
    "its turn waits while it would make a never-frame late",
    "dwcs",
    [{ ipg: 0.5 }, {}],
    // Twenty ms of frames that must all arrive in 20.5: no time for one more ms before they have.
    [...managed(20, { deadline: 20.5, drop: "never" }), message(1)],
    [...run(0, 0, 20, 0), "21 s1m0 sent"],
  );
  example(
    "nothing managed waits: best effort has the link",
    "dwcs",
    [{ ipg: 1 }, {}],
    [message(1), message(1), message(0, { at: 0.5 })],
    ["1 s1m0 sent", "2 s0m0 sent", "3 s1m1 sent"],
  );
  example(
    "a turn of a frame begun waits for a never-frame too",
    "dwcs",
    [{ ipg: 100 }, {}, { ipg: 10 }],
    // At 33 best effort has its second turn; 33 + 5 = 38 is when s2's frame is due.
    [
      ...managed(40),
      ...frame(1, 2, 0, {}),
      message(2, { at: 32.5, bytes: 5000, deadline: 5.5, drop: "never" }),
    ],
    [
      ...run(0, 0, 16, 0),
      "17 s1m0 sent",
      ...run(0, 16, 16, 17),
      "38 s2m0 sent",
      "39 s1m1 sent",
      ...run(0, 32, 8, 39),
    ],
  );
  example(
    "a frame is not begun as the seventeenth, though it is best effort's turn",
    "dwcs",
    [{}, ...Array.from({ length: 16 }, () => ({ ipg: 10 }))],
    // At 16 all sixteen managed frames are begun, and best effort has saved up 16000 bytes.
    [
      ...frame(0, 2, 0, { deadline: 1000 }),
      ...Array.from({ length: 16 }, (_, i) => frame(i + 1, 2, i, { deadline: 100 - 2 * i })).flat(),
    ],
    [
      ...Array.from({ length: 16 }, (_, i) => `${i + 1} s${i + 1}m0 sent`),
      "17 s16m1 sent",
      "18 s0m0 sent", // 17000 - 16000 are left, fifteen more to go
      ...Array.from({ length: 15 }, (_, i) => `${19 + i} s${15 - i}m1 sent`),
      "34 s0m1 sent",
    ],
  );
  example(
    "no more than sixteen of the largest packets are credited",
    "dwcs",
    [{ ipg: 60 }, {}, { ipg: 10_000 }],
    // 1.2 MB of never-frames with no time to lose, of which 16 * 70115 = 1121840 are credited: 68
    // turns of 16 * 1024 in a row leave 7728, and another turn comes after 9 messages: 16728.
    [
      ...Array.from(
        { length: 20 },
        (_, i) => message(0, { bytes: 60_000, deadline: 60 * (i + 1), drop: "never" }),
      ),
      ...Array.from({ length: 69 }, () => message(1, { bytes: 1024 })),
      ...Array.from({ length: 10 }, () => message(2)),
    ],
    [
      ...Array.from({ length: 20 }, (_, i) => `${60 * (i + 1)} s0m${i} sent`),
      ...Array.from(
        { length: 68 },
        (_, i) => `${(1_200_000 + 1024 * (i + 1)) / 1000} s1m${i} sent`,
      ),
      ...Array.from(
        { length: 9 },
        (_, i) => `${(1_269_632 + 1000 * (i + 1)) / 1000} s2m${i} sent`,
      ),
      "1279.656 s1m68 sent",
      "1280.656 s2m9 sent",
    ],
  );
});
