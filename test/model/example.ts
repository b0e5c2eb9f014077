// Examples worked out by hand, played on the model and on the scheduler itself.
//
// A byte takes a microsecond on these links, so 1000 bytes take one millisecond. An event reads
// "5 s0m1 sent": at 5 ms the second message of the first stream was sent.

import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualLink } from "../../ffi/simulate.ts";
import { ModelLink } from "../model.ts";
import { play } from "./play.ts";
import type { LinkMaker, PlayedInfo, Scenario, ScenarioMessage } from "./play.ts";
import type { Attributes, Event, Options, Scheduler } from "./state.ts";

const links: [string, LinkMaker][] = [["model", ModelLink], ["C", VirtualLink as LinkMaker]];

/** What happened, in order of time; one instant's events by their names. */
export function told(events: Event[]): string[] {
  return events.map(({ at, stream, message, outcome, reason }) =>
    `${Math.round(at * 1e6) / 1e6} s${stream}m${message} ${reason ?? outcome}`
  ).sort((a, b) => parseFloat(a) - parseFloat(b) || (a < b ? -1 : 1));
}

/** Plays one example on both, and compares all events, then whatever `also` looks at. */
export function example(
  name: string,
  scheduler: Scheduler,
  streams: readonly Attributes[],
  messages: readonly ScenarioMessage[],
  expected: string[],
  also: (streams: PlayedInfo[]) => void = () => {},
  options: Partial<Scenario> = {},
): void {
  for (const [what, Link] of links) {
    test(`${name} (${what})`, () => {
      const scenario = {
        scheduler,
        rate: 1_000_000,
        streams: [...streams],
        messages: [...messages],
        ...options,
      };
      const { events, streams: infos } = play(Link, scenario);
      assert.deepEqual(told(events), expected);
      also(infos);
    });
  }
}

/** A message of 1000 bytes at 0 unless said otherwise. */
export function message(stream: number, options: Partial<ScenarioMessage> = {}): ScenarioMessage {
  return { stream, bytes: 1000, at: 0, ...options };
}

/** A frame of so many messages of 1000 bytes. */
export function frame(
  stream: number,
  messages: number,
  at: number,
  options: Options,
): ScenarioMessage[] {
  return Array.from({ length: messages }, (_, i) => ({
    stream,
    bytes: 1000,
    at,
    ...options,
    frame: i === 0 ? "start" as const : i === messages - 1 ? "end" as const : "middle" as const,
  }));
}
