// A scenario is a test's input as plain data, so that one that fails can be printed, replayed on
// the model and on the real scheduler, and kept. `play` runs it, `sameEvents` compares.

import assert from "node:assert/strict";
import type { ClassAttributes } from "./share.ts";
import type { Attributes, Event, Options, Scheduler } from "./state.ts";

/** A message of a scenario; `at` in milliseconds. */
export interface ScenarioMessage extends Options {
  stream: number;
  bytes: number;
  at: number;
}

/** Streams and what they send on one link, whose `rate` is in bytes per second. */
export interface Scenario {
  scheduler: Scheduler;
  rate: number;
  queueMessages?: number;
  classes?: Record<string, ClassAttributes>;
  streams: Attributes[];
  messages: ScenarioMessage[];
}

/** The counters that the comparison looks at. */
export interface PlayedInfo {
  offered: number;
  sent: number;
  late: number;
  dropped: Record<string, number>;
  droppedByPriority: ArrayLike<number>;
  offeredBytes: number;
  sentBytes: number;
  droppedBytes: number;
  queued: number;
  queuedBytes: number;
  violations: number;
  delays: ArrayLike<number>;
  window: { lost: number; left: number };
  frames: {
    offered: ArrayLike<number>;
    sent: ArrayLike<number>;
    late: ArrayLike<number>;
    dropped: Record<string, ArrayLike<number>>;
    partial: number;
  };
}

/** What `ModelLink` and `VirtualLink` have in common. */
export interface PlayedLink {
  open(attributes?: Attributes): {
    send(bytes: number, options?: Options, at?: number): number;
    info(): PlayedInfo;
  };
  run(until: number): Event[];
  info(): PlayedInfo;
}

export type LinkMaker = new (
  options: Pick<Scenario, "scheduler" | "rate" | "queueMessages" | "classes">,
) => PlayedLink;

/** What came of a scenario: events, and counters of each stream once all is over. */
export interface Played {
  events: Event[];
  streams: PlayedInfo[];
  link: PlayedInfo;
}

/** Long after any message of a scenario is sent or has expired, in milliseconds. */
export const FOREVER = 1e7;

/** Runs a scenario, stopping the clock at each of `stops` on the way. */
export function play(Link: LinkMaker, scenario: Scenario, stops: number[] = []): Played {
  const { scheduler, rate, queueMessages, classes, messages } = scenario;
  const link = new Link({
    scheduler,
    rate,
    ...(queueMessages ? { queueMessages } : {}),
    ...(classes ? { classes } : {}),
  });
  try {
    const streams = scenario.streams.map((attributes) => link.open(attributes));
    for (const { stream, bytes, at, ...options } of messages) {
      streams[stream].send(bytes, options, at);
    }
    const events = [...stops, FOREVER].flatMap((until) => link.run(until));
    return { events, streams: streams.map((stream) => stream.info()), link: link.info() };
  } finally {
    if (Symbol.dispose in link) (link as unknown as Disposable)[Symbol.dispose]();
  }
}

/** One line for an event, exact to the nanosecond. */
function line(event: Event): string {
  const { at, stream, message, bytes, outcome, reason } = event;
  const ns = String(Math.round(at * 1e6)).padStart(15);
  return `${ns} ns  stream ${stream} message ${message} (${bytes} B) ${outcome} ${reason ?? ""}`;
}

/**
 * Throws unless both lists say the same of the same messages at the same times. Events of one
 * instant may come in any order, but time may not run backwards.
 */
export function sameEvents(actual: Event[], expected: Event[], scenario: Scenario): void {
  const sorted = (events: Event[]) =>
    [...events].sort((a, b) => a.at - b.at || a.stream - b.stream || a.message - b.message)
      .map(line);
  const print = JSON.stringify(scenario);
  const ordered = actual.every((event, i) => i === 0 || actual[i - 1].at <= event.at);
  assert.ok(ordered, `Events are not in order of time: ${print}`);
  const [a, b] = [sorted(actual), sorted(expected)];
  const at = a.findIndex((text, i) => text !== b[i]);
  const i = at < 0 ? Math.min(a.length, b.length) : at;
  if (i === a.length && i === b.length) return;
  assert.fail(
    `Event ${i} differs:\n  actual   ${a[i] ?? "none"}\n  expected ${b[i] ?? "none"}\n${print}`,
  );
}

/** Throws unless all counters that the model keeps are the same. */
export function sameInfo(actual: PlayedInfo, expected: PlayedInfo, about: string): void {
  const plain = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (ArrayBuffer.isView(value)) return [...value as unknown as number[]];
    return value;
  };
  const compare = (a: unknown, b: unknown, path: string): void => {
    [a, b] = [plain(a), plain(b)];
    if (typeof b === "object" && b !== null) {
      for (const key of Object.keys(b)) {
        compare(
          (a as Record<string, unknown>)[key],
          (b as Record<string, unknown>)[key],
          `${path}.${key}`,
        );
      }
    } else if (a !== b) {
      assert.fail(`${path} is ${a}, expected ${b}\n${about}`);
    }
  };
  compare(actual, expected, "info");
}
