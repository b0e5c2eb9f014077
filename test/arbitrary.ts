// Random links, streams and traffic for the properties of the scheduler.
//
// Rates are chosen by load: a scenario's bytes are offered over its length at 0.2 to 4 times
// what the link can carry. Times are whole microseconds, the grain of deadlines at the socket.

import fc from "fast-check";
import process from "node:process";
import { POLICIES } from "./model/state.ts";
import { classesOf, classTrees, leavesOf } from "./model/classes.ts";
import type { Attributes, Drop, Mark, Options, Scheduler } from "./model/state.ts";
import type { Scenario, ScenarioMessage } from "./model/play.ts";

/** Runs and seed of the properties: set QSOCKETS_RUNS for more, QSOCKETS_SEED to repeat. */
export const parameters = {
  runs: Number(process.env.QSOCKETS_RUNS ?? 100),
  seed: Number(process.env.QSOCKETS_SEED ?? Math.floor(Math.random() * 2 ** 31)),
};

/** Checks a property, a share of QSOCKETS_RUNS times; a failure prints how to repeat it. */
export function check<T>(
  arbitrary: fc.Arbitrary<T>,
  predicate: (value: T) => void,
  share = 1,
): void {
  fc.assert(fc.property(arbitrary, predicate), {
    numRuns: Math.max(1, Math.round(parameters.runs * share)),
    seed: parameters.seed,
    reporter: (run) => {
      if (!run.failed) return;
      const again = `QSOCKETS_SEED=${run.seed} QSOCKETS_RUNS=${parameters.runs}`;
      const cause = run.errorInstance;
      const what = cause instanceof Error ? cause.message : cause;
      throw new Error(`${again} repeats this:\n${what}\n${fc.defaultReportMessage(run)}`, {
        cause,
      });
    },
  });
}

const millis = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min: Math.round(min * 1000), max: Math.round(max * 1000) }).map((us) => us / 1000);

/** Mostly one value, else another. */
const rarely = <T>(
  usual: fc.Arbitrary<T>,
  else_: fc.Arbitrary<T>,
  weight = 5,
): fc.Arbitrary<T> => fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: else_ });

export const drop: fc.Arbitrary<Drop> = fc.constantFrom<Drop>("never", 0, 1, 2, 3, 4, 5, 6);

/** Attributes of a stream: with a period or best effort, with a window or none, tiny queues. */
export const attributes: fc.Arbitrary<Attributes> = fc.record({
  ipg: fc.oneof(fc.constantFrom(0, 1, 5, 10), millis(0.5, 40)),
  window: fc.option(
    fc.tuple(fc.integer({ min: 1, max: 8 }), fc.nat({ max: 8 })),
    { nil: undefined },
  ),
  droppable: rarely(fc.constant(true), fc.constant(false)),
  queueMessages: rarely(fc.constant(0), fc.integer({ min: 1, max: 12 }), 2),
  queueBytes: rarely(fc.constant(0), fc.integer({ min: 500, max: 20_000 }), 3),
  weight: rarely(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 65_535 }), 2),
}).map(({ window: [old, oln] = [0, 0], queueMessages, queueBytes, ...rest }) => ({
  ...rest,
  ...(old > 0 ? { old, oln: Math.min(old, oln) } : {}),
  ...(queueMessages > 0 ? { queueMessages } : {}),
  ...(queueBytes > 0 ? { queueBytes } : {}),
}));

/** When and with what budget a stream's pictures or samples come, in milliseconds. */
interface Pace {
  start: number;
  gap: number;
  deadline: number | undefined;
}

const pace: fc.Arbitrary<Pace> = fc.record({
  start: rarely(fc.constant(0), millis(0, 30), 1),
  gap: fc.oneof(fc.constantFrom(0, 1, 5, 10), millis(0.1, 20)),
  deadline: rarely(
    fc.option(millis(1, 80), { nil: undefined, freq: 6 }),
    fc.constantFrom(0.001, 10),
  ),
});

/** To the microsecond. */
export const round = (ms: number): number => Math.round(ms * 1000) / 1000;

const bytes = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(100, 1000) },
  { weight: 10, arbitrary: fc.integer({ min: 1, max: 3000 }) },
  { weight: 10, arbitrary: fc.integer({ min: 1000, max: 1500 }) },
  { weight: 1, arbitrary: fc.constantFrom(1, 65_507) },
);

type Trace = Omit<ScenarioMessage, "stream">[];

/** Unmarked messages or frames of one message, at a pace with some jitter. */
const samples: fc.Arbitrary<Trace> = fc.tuple(
  pace,
  fc.array(
    fc.record({
      bytes,
      jitter: rarely(fc.constant(0), millis(0, 5), 2),
      drop: rarely(fc.constant<Drop>(6), drop, 1),
      whole: fc.boolean(),
      level: fc.constantFrom(undefined, 0, 1, 2),
      patience: rarely(fc.constant(0), millis(0, 20), 3),
    }),
    { minLength: 1, maxLength: 25 },
  ),
).map(([{ start, gap, deadline }, list]) =>
  list.map(({ bytes, jitter, drop, whole, level, patience }, i) => ({
    bytes,
    at: round(start + i * gap + jitter),
    drop,
    ...(deadline === undefined ? {} : { deadline: round(deadline + patience) }),
    ...(whole ? { frame: "whole" as Mark, ...(level === undefined ? {} : { level }) } : {}),
  }))
);

/** The marks of the messages of one frame. */
export function marks(packets: number): Mark[] {
  if (packets === 1) return ["whole"];
  return ["start", ...Array<Mark>(packets - 2).fill("middle"), "end"];
}

const picture = fc.record({
  type: fc.constantFrom("I", "P", "B", "b"),
  packets: fc.integer({ min: 1, max: 6 }),
  bytes: fc.integer({ min: 50, max: 1500 }),
  leading: rarely(fc.constant(false), fc.constant(true), 3),
  broken: rarely(fc.constant(false), fc.constant(true), 30), // its end never comes
});

const policies: Record<string, Drop>[] = [
  { I: "never", P: 4, B: 0, b: 1 },
  { I: 6, P: 6, B: 6, b: 6 },
  { I: 5, P: 3, B: 1, b: 1 },
];

/** Pictures in decode order, cut into packets, in groups with and without leading pictures. */
const groups: fc.Arbitrary<Trace> = fc.tuple(
  pace,
  fc.constantFrom(...policies),
  fc.constantFrom(0, 0, 0.01, 0.3),
  fc.array(picture, { minLength: 1, maxLength: 14 }),
).map(([{ start, gap, deadline }, policy, spread, pictures]) =>
  pictures.flatMap(({ type, packets, bytes, leading, broken }, i) => {
    const flags: Options = {
      drop: policy[type],
      level: type === "I" ? 0 : type === "P" ? 1 : 2,
      ...(leading && type !== "I" ? { leading } : {}),
      ...(deadline === undefined ? {} : { deadline }),
    };
    return marks(packets).slice(0, broken ? -1 : undefined).map((frame, k) => ({
      bytes,
      at: round(start + i * gap + k * spread),
      ...flags,
      frame,
    }));
  })
);

/** Any flags at any time: what a careless or hostile caller might send. */
const chaos: fc.Arbitrary<Trace> = fc.array(
  fc.record({
    bytes,
    at: rarely(millis(0, 100), fc.constantFrom(0, 10, 20), 2),
    deadline: millis(0.001, 60),
    drop,
    frame: fc.constantFrom<Mark>("whole", "start", "middle", "end", "end"),
    level: fc.constantFrom(0, 1, 2, 3, 9),
    leading: fc.boolean(),
  }, { requiredKeys: ["bytes", "at"] }),
  { minLength: 1, maxLength: 30 },
);

/** Many small messages at once: more than are looked at, and enough for best effort to save up. */
const burst: fc.Arbitrary<Trace> = fc.record({
  count: fc.integer({ min: 20, max: 160 }),
  bytes: fc.integer({ min: 10, max: 200 }),
  at: rarely(fc.constant(0), millis(0, 20), 1),
  deadline: fc.option(fc.tuple(millis(1, 30), millis(0, 0.5)), { nil: undefined }),
  drop: rarely(drop, fc.constant("never" as const), 1),
}).map(({ count, bytes, at, deadline, drop }) =>
  Array.from({ length: count }, (_, i) => ({
    bytes,
    at,
    drop,
    ...(deadline === undefined ? {} : { deadline: round(deadline[0] + i * deadline[1]) }),
  }))
);

/**
 * Frames that come one after the other, each due before the one before: all are begun, until as
 * many are as may be at once.
 */
const nested: fc.Arbitrary<Source[]> = fc.record({
  streams: fc.array(
    fc.record({
      attributes: rarely(fc.constant<Attributes>({ ipg: 1 }), attributes, 20),
      packets: rarely(fc.constant(2), fc.integer({ min: 1, max: 4 }), 6),
      bytes: rarely(fc.constant(1000), fc.integer({ min: 50, max: 1500 }), 6),
      drop,
    }),
    { minLength: 10, maxLength: 30 },
  ),
  gap: millis(0.1, 2),
  deadline: millis(20, 120),
}).map(({ streams, gap, deadline }) =>
  streams.map(({ attributes, packets, ...message }, i) => ({
    attributes,
    trace: marks(packets).map((frame) => ({
      ...message,
      at: round(i * gap),
      deadline: round(Math.max(1, deadline - 2.2 * i * gap)),
      frame,
    })),
  }))
);

/** One stream's attributes and its traffic. */
interface Source {
  attributes: Attributes;
  trace: Trace;
}

const mixed: fc.Arbitrary<Source[]> = fc.array(
  fc.record({
    attributes,
    trace: fc.oneof(
      { weight: 4, arbitrary: samples },
      { weight: 6, arbitrary: groups },
      { weight: 4, arbitrary: chaos },
      { weight: 2, arbitrary: burst },
    ),
  }),
  { minLength: 1, maxLength: 6 },
);

/** Bursts with and without a period side by side, so that best effort gets and loses its turn. */
const bursts: fc.Arbitrary<Source[]> = fc.array(
  fc.record({
    attributes: fc.record({ ipg: fc.constantFrom(0, 0.1, 1) }),
    trace: fc.oneof(burst, burst, groups),
  }),
  { minLength: 2, maxLength: 5 },
);

/** Streams of one period, whose windows decide at every tick. */
const periodic: fc.Arbitrary<Source[]> = fc.record({
  period: fc.integer({ min: 1, max: 5 }),
  ticks: fc.integer({ min: 3, max: 25 }),
  windows: fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat({ max: 6 })), {
    minLength: 2,
    maxLength: 8,
  }),
  deadline: fc.boolean(),
}).map(({ period, ticks, windows, deadline }) =>
  windows.map(([old, oln]) => ({
    attributes: { ipg: period, old, oln: Math.min(old, oln) },
    trace: Array.from({ length: ticks }, (_, k) => ({
      bytes: 1000,
      at: k * period,
      ...(deadline ? { deadline: period } : {}),
    })),
  }))
);

const sources: fc.Arbitrary<Source[]> = fc.oneof(
  { weight: 8, arbitrary: mixed },
  { weight: 1, arbitrary: bursts },
  { weight: 1, arbitrary: nested },
  { weight: 1, arbitrary: periodic },
);

/** The same in whole milliseconds and kilobytes, so that much happens at equal times and ranks. */
function align(sources: Source[]): Source[] {
  return sources.map(({ attributes, trace }) => ({
    attributes: { ...attributes, ipg: Math.ceil(attributes.ipg ?? 0) },
    trace: trace.map((message) => ({
      ...message,
      bytes: Math.min(65_500, 500 * Math.ceil(message.bytes / 500)),
      at: Math.round(message.at),
      ...(message.deadline === undefined ? {} : { deadline: Math.ceil(message.deadline) }),
    })),
  }));
}

/** All schedulers that have a model. */
export const SCHEDULERS = Object.keys(POLICIES) as Scheduler[];

/** A link with a few streams under any load; without a `scheduler` any of them. */
export function scenario(scheduler?: Scheduler): fc.Arbitrary<Scenario> {
  return fc.record({
    scheduler: scheduler === undefined ? fc.constantFrom(...SCHEDULERS) : fc.constant(scheduler),
    load: fc.constantFrom(0.2, 0.5, 0.8, 0.95, 1, 1.1, 1.5, 2, 4),
    queueMessages: rarely(fc.constant(0), fc.integer({ min: 1, max: 20 }), 5),
    sources,
    aligned: rarely(fc.constant(false), fc.constant(true), 3),
    shapes: classTrees,
    joins: fc.array(fc.nat({ max: 9 }), { minLength: 30, maxLength: 30 }),
    extreme: rarely(fc.constant(0), fc.constantFrom(12_345, 1_000_000_007, 1_000_000_000_000), 15),
  }).map(({ scheduler, load, queueMessages, aligned, shapes, joins, extreme, ...rest }) => {
    const sources = aligned ? align(rest.sources) : rest.sources;
    const messages = sources.flatMap(({ trace }, stream) =>
      trace.map((message) => ({ stream, ...message }))
    );
    const total = messages.reduce((sum, message) => sum + message.bytes, 0);
    const length = Math.max(10, ...messages.map((message) => message.at));
    const usual = aligned ? 1_000_000 : Math.max(1000, Math.round(total / length / load) * 1000);
    const rate = extreme || usual;
    const classes = scheduler === "cbq" ? classesOf(shapes, rate) : undefined;
    const leaves = [undefined, ...leavesOf(classes ?? {})];
    return {
      scheduler,
      rate,
      ...(queueMessages ? { queueMessages } : {}),
      ...(classes ? { classes } : {}),
      streams: sources.map(({ attributes }, i) => {
        const name = leaves[joins[i] % leaves.length];
        return { ...attributes, ...(name === undefined ? {} : { class: name }) };
      }),
      messages,
    };
  });
}

/** The scenario with every stream droppable, so that the policy alone decides what is lost. */
export function droppable(scenario: Scenario): Scenario {
  const streams = scenario.streams.map((stream) => ({ ...stream, droppable: true }));
  return { ...scenario, streams };
}

/** The scenario without messages that are out of order within their frame, or whose frame has no end. */
export function wellFormed(scenario: Scenario): Scenario {
  const messages = scenario.streams.flatMap((_, stream) => {
    const arriving = scenario.messages.filter((message) => message.stream === stream)
      .sort((a, b) => a.at - b.at);
    const kept: ScenarioMessage[] = [];
    let open: ScenarioMessage[] = [];
    for (const message of arriving) {
      const { frame } = message;
      if (frame === undefined || frame === "whole" || frame === "start") open = [];
      else if (open.length === 0) continue;
      open.push(message);
      if (frame === "start" || frame === "middle") continue;
      kept.push(...open);
      open = [];
    }
    return kept;
  });
  return { ...scenario, messages };
}
