// Traffic for which the scheduler's promises can be stated exactly: sets of streams that fit their
// windows, and frames that may never be dropped among others that may.

import fc from "fast-check";
import { marks, round } from "../arbitrary.ts";
import type { Scenario, ScenarioMessage } from "./play.ts";
import type { Attributes, Drop, Scheduler } from "./state.ts";

/** Streams of one period of so many slots, each with its window. */
export interface SlotSet {
  slots: number;
  streams: { oln: number; old: number }[];
}

/**
 * A window of which all but one may be lost, or none: `dwcs` and `vds` are optimal for sets of
 * these. They are not for any: test/c/windows.c has sets that fit and are violated.
 */
const extreme = (oldMax: number): fc.Arbitrary<{ oln: number; old: number }> =>
  fc.integer({ min: 1, max: oldMax }).chain((old) =>
    fc.constantFrom(0, old - 1, old - 1).map((oln) => ({ oln, old }))
  );

/** Those of the streams, one after the other, that fit into what the others leave of the slots. */
function fitting<T extends { oln: number; old: number; slots: number }>(streams: T[]): T[] {
  let needed = 0;
  return streams.filter(({ oln, old, slots }) => {
    const more = (1 - oln / old) / slots;
    if (needed + more > 1 + 1e-9) return false;
    needed += more;
    return true;
  });
}

/** How much of the link streams of messages of one slot would take without any loss. */
function asked(streams: { slots: number }[]): number {
  return streams.reduce((sum, { slots }) => sum + 1 / slots, 0);
}

/** Sets that ask for more slots than there are, but for no more than is left when each loses its x of y. */
export const slotSets: fc.Arbitrary<SlotSet> = fc.record({
  slots: fc.integer({ min: 1, max: 6 }),
  windows: fc.array(extreme(10), { minLength: 2, maxLength: 14 }),
}).map(({ slots, windows }) => ({
  slots,
  streams: fitting(windows.map((window) => ({ ...window, slots })))
    .map(({ oln, old }) => ({ oln, old })),
})).filter(({ slots, streams }) => streams.length > slots);

/** A stream of a message each so many slots, from the slot `offset` on. */
export interface PeriodicStream {
  slots: number;
  oln: number;
  old: number;
  offset: number;
}

/** The same at any mix of periods, beginning at any slot. */
export const periodicSets: fc.Arbitrary<PeriodicStream[]> = fc.array(
  fc.record({
    slots: fc.integer({ min: 1, max: 9 }),
    window: extreme(9),
    offset: fc.nat({ max: 80 }),
  }),
  { minLength: 2, maxLength: 16 },
).map((streams) => fitting(streams.map(({ window, ...stream }) => ({ ...stream, ...window }))))
  .filter((streams) => asked(streams) > 1);

/** A frame of a batch; bytes are of each of its messages, `first` is the number of the first. */
export interface BatchFrame {
  stream: number;
  first: number;
  packets: number;
  bytes: number;
  due: number;
}

/** Frames that may never be dropped, which come at one time, among traffic that may. */
export interface Batch {
  scenario: Scenario;
  at: number;
  precious: BatchFrame[]; // one on each of the last streams
  others: BatchFrame[];
}

const tenths = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min: min * 10, max: max * 10 }).map((n) => n / 10);

const batchFrame = {
  packets: fc.integer({ min: 1, max: 6 }),
  bytes: fc.integer({ min: 100, max: 1500 }),
  deadline: tenths(1, 40),
};

/** All of it with a deadline, on a link of a byte per microsecond. */
export const batches: fc.Arbitrary<Batch> = fc.record({
  scheduler: fc.constantFrom<Scheduler>("dwcs", "edf"),
  at: tenths(0, 40),
  precious: fc.array(fc.record(batchFrame), { minLength: 1, maxLength: 6 }),
  traces: fc.array(
    fc.record({
      ipg: fc.constantFrom(0, 1, 2, 5, 10),
      trace: fc.array(
        fc.record({
          ...batchFrame,
          at: tenths(0, 60),
          drop: fc.constantFrom<Drop>(0, 1, 2, 3, 4, 5, 6),
        }),
        { minLength: 1, maxLength: 8 },
      ),
    }),
    { minLength: 1, maxLength: 6 },
  ),
}).map(({ scheduler, at, precious, traces }) => {
  const streams: Attributes[] = [
    ...traces.map(({ ipg }) => ({ ipg })),
    ...precious.map(() => ({ ipg: 10 })),
  ];
  const messages: ScenarioMessage[] = [];
  const add = (
    stream: number,
    { packets, ...message }: Omit<ScenarioMessage, "stream"> & { packets: number },
  ): BatchFrame => {
    const first = messages.filter((message) => message.stream === stream).length;
    messages.push(...marks(packets).map((frame) => ({ stream, ...message, frame })));
    const due = round(message.at + message.deadline!);
    return { stream, first, packets, bytes: message.bytes, due };
  };
  const others = traces.flatMap(({ trace }, stream) =>
    trace.sort((a, b) => a.at - b.at).map((frame) => add(stream, frame))
  );
  return {
    scenario: { scheduler, rate: 1_000_000, streams, messages },
    at,
    others,
    precious: precious.map((frame, i) => add(traces.length + i, { ...frame, at, drop: "never" })),
  };
});
