// Traffic is sent over a link in virtual time, and what became of its messages is gathered into
// what became of its frames.

import * as z from "zod";
import type { DropReason, LinkInfo, SocketInfo } from "../info.ts";
import { check } from "../options.ts";
import type { VirtualLinkOptions } from "../options.ts";
import { type VirtualEvent, VirtualLink, type VirtualStream } from "../simulate.ts";
import { checkTraffic, markOf, type NumberedFrame, numberedFrames } from "./traffic.ts";
import type { TrafficFrame, TrafficStream } from "./traffic.ts";

/** What still waits after so long is not waiting for the link: it will never end. */
const SETTLE_MS_MAX = 86_400_000;

/**
 * What became of a frame: "whole" left in time (or had no deadline), "late" left whole, but after
 * its deadline, "dropped" cost the link nothing, and of a "partial" one some packets were sent and
 * some dropped.
 */
export type FrameOutcome = "whole" | "late" | "dropped" | "partial";

/** What became of a frame of the traffic; plain data. */
export interface FrameFate {
  /** The number of its stream in the traffic. */
  stream: number;
  /** Its number in the stream, repeated frames counted. */
  frame: number;
  /** "I", "P" or "B"; none for what is no picture. */
  type?: TrafficFrame["type"];
  level?: number;
  /** The frames that it cannot be decoded without. */
  needs?: number[];
  /** When it arrived, ms. */
  arrived: number;
  /** When the last of it was sent or dropped, ms. */
  at: number;
  outcome: FrameOutcome;
  /** Why it was dropped, or the rest of it. */
  reason?: DropReason;
}

/** What became of a stream of the traffic. */
export interface StreamPlayback {
  name?: string;
  /** In the order of the traffic. */
  frames: FrameFate[];
  /** Its counters in the end. */
  info: SocketInfo;
}

/** What became of traffic. */
export interface Playback {
  /** In the order of the traffic. */
  streams: StreamPlayback[];
  /** Of all streams, stream by stream. */
  frames: FrameFate[];
  /** Of all messages, in order of time, as the link told them. */
  events: VirtualEvent[];
  /** The link's counters in the end. */
  info: LinkInfo;
  /**
   * The options that `play` was given and the traffic: {@linkcode replay} does the same again. Of a
   * given link, only its scheduler and rate.
   */
  readonly json: string;
}

/** A stream while it is being played. */
interface Player {
  stream: VirtualStream;
  frames: NumberedFrame[];
  /** The frame of each message. */
  frameOf: number[];
}

/**
 * Sends traffic (one stream, or several) over a link until nothing waits, and tells what became of
 * every frame. Options make a link of its own; on a given link, times count from its present, and
 * what it carries already is served too. The same traffic on the same link ends the same.
 *
 * Throws RangeError or TypeError for traffic that is not valid.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { play } from "qsockets/testing";
 *
 * const { frames } = play({ scheduler: "edf", rate: "1mbit" }, {
 *   deadline: 15, // ms; a frame takes 10
 *   frames: [
 *     { at: 0, bytes: 1250, type: "I", level: 0 },
 *     { at: 0, bytes: 1250, type: "P", level: 1, needs: [0] },
 *   ],
 * });
 * assert.deepEqual(frames.map(({ at, outcome, reason }) => [at, outcome, reason]), [
 *   [10, "whole", undefined],
 *   [10, "dropped", "expired"],
 * ]);
 * ```
 */
export function play(
  link: VirtualLink | VirtualLinkOptions,
  traffic: TrafficStream | readonly TrafficStream[],
): Playback {
  const streams = checkTraffic(traffic, "play");
  if (link instanceof VirtualLink) {
    return playOn(link, { scheduler: link.scheduler, rate: link.rate }, streams);
  }
  using own = new VirtualLink(link);
  return playOn(own, link, streams);
}

/**
 * Plays what {@linkcode Playback}'s `json` holds once more, on a fresh link. So a counterexample
 * can be kept as a file, and stay as a regression test.
 *
 * Throws SyntaxError for what is not JSON, RangeError or TypeError for what is not a playback's.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { play, replay } from "qsockets/testing";
 *
 * const once = play({ rate: "1mbit" }, { frames: [{ at: 0, bytes: 3000 }] });
 * assert.deepEqual(replay(once.json).frames, once.frames);
 * ```
 */
export function replay(json: string): Playback {
  const { link, traffic } = check(playbackJson, JSON.parse(json), "replay");
  return play(link as VirtualLinkOptions, traffic as TrafficStream[]);
}

// What is in them is checked by the link and by play().
const playbackJson = z.strictObject({
  link: z.looseObject({}, { error: "must be options of a link" }),
  traffic: z.array(z.unknown(), { error: "must be a list of streams" }),
});

function playOn(
  link: VirtualLink,
  options: VirtualLinkOptions,
  traffic: TrafficStream[],
): Playback {
  const start = link.now;
  const players = traffic.map((stream, i): Player => {
    const frames = numberedFrames(stream, `stream ${stream.name ?? i}`);
    return { stream: link.open(stream.attributes), frames, frameOf: [] };
  });
  players.forEach((player) => send(player, start));
  const events = settle(link, players);
  const streams = players.map((player, i): StreamPlayback => ({
    ...(traffic[i].name === undefined ? {} : { name: traffic[i].name }),
    frames: fates(player, i, start, events),
    info: player.stream.info(),
  }));
  return {
    streams,
    frames: streams.flatMap(({ frames }) => frames),
    events,
    info: link.info(),
    get json() {
      return JSON.stringify({ link: options, traffic });
    },
  };
}

function send({ stream, frames, frameOf }: Player, start: number): void {
  frames.forEach(({ at, packets, deadline, drop, level, leading }, frame) => {
    packets.forEach((bytes, k) => {
      const mark = markOf(k, packets.length);
      stream.send(bytes, { deadline, drop, level, leading, frame: mark }, start + at);
      frameOf.push(frame);
    });
  });
}

/** Runs the link until nothing of the players waits. */
function settle(link: VirtualLink, players: Player[]): VirtualEvent[] {
  const arrivals = players.flatMap(({ frames }) => frames);
  const bytes = arrivals.reduce((sum, frame) => sum + frame.bytes, 0);
  const start = link.now;
  const last = arrivals.reduce((latest, { at }) => Math.max(latest, at), 0);
  const events = link.run(start + last + 1000 * bytes / link.rate + 1);
  // More than that is needed where the link carries other streams too, or idles by its policy.
  for (let more = 1; players.some(({ stream }) => stream.info().queued > 0); more *= 2) {
    if (more > SETTLE_MS_MAX) {
      throw new Error(`Cannot play: messages still wait after ${link.now - start} ms`);
    }
    events.push(...link.run(link.now + more));
  }
  return events;
}

/** What became of the frames of one stream, by what became of its messages. */
function fates(
  { stream, frames, frameOf }: Player,
  number: number,
  start: number,
  events: VirtualEvent[],
): FrameFate[] {
  const ends: VirtualEvent[][] = frames.map(() => []);
  for (const event of events) {
    if (event.stream === stream.id) ends[frameOf[event.message]].push(event);
  }
  return frames.map(({ type, level, needs, at }, frame) => {
    const of = ends[frame];
    const reason = reasonOf(of);
    return {
      stream: number,
      frame,
      ...(type === undefined ? {} : { type }),
      ...(level === undefined ? {} : { level }),
      ...(needs === undefined ? {} : { needs }),
      arrived: start + at,
      at: of[of.length - 1].at,
      outcome: outcomeOf(of),
      ...(reason === undefined ? {} : { reason }),
    };
  });
}

function outcomeOf(events: VirtualEvent[]): FrameOutcome {
  const dropped = events.filter(({ outcome }) => outcome === "dropped").length;
  if (dropped > 0) return dropped === events.length ? "dropped" : "partial";
  return events.some(({ outcome }) => outcome === "late") ? "late" : "whole";
}

/** The first reason; "frame" (the rest went too) only where nothing else is known. */
function reasonOf(events: VirtualEvent[]): DropReason | undefined {
  const reasons = events.flatMap(({ reason }) => reason ?? []);
  return reasons.find((reason) => reason !== "frame") ?? reasons[0];
}
