/**
 * Property tests of how frames are dropped: random traffic (video, samples, bulk transfers) for
 * fast-check, sent over the real scheduler in virtual time, and what became of every frame.
 *
 * It needs the package fast-check, an optional peer: `npm install --save-dev fast-check`. The
 * traffic is plain data in milliseconds and bytes, so that a counterexample shows all there is to
 * know, and can be kept and played again.
 *
 * @example
 * ```ts
 * import fc from "fast-check";
 * import { bulk, lost, play, video } from "qsockets/testing";
 *
 * const mine = video({ rate: "1mbit", fps: 25, gop: 12, bFrames: 2, deadline: 100 });
 * fc.assert(fc.property(mine, bulk({ rate: "20mbit" }), (mine, others) => {
 *   const played = play({ scheduler: "dwcs", rate: "10mbit" }, [mine, others]);
 *   return lost(played, { type: "I" }).length === 0;
 * }), { numRuns: 20 });
 * ```
 *
 * @module
 */

// Random traffic.
export { arrivals } from "./testing/arrivals.ts";
export { gop, video } from "./testing/video.ts";
export { attributes, bulk, competing, feasible, samples } from "./testing/streams.ts";
export type { ArrivalOptions } from "./testing/arrivals.ts";
export type { GopOptions, VideoOptions } from "./testing/video.ts";
export type {
  BulkOptions,
  CompetingOptions,
  FeasibleOptions,
  SampleOptions,
} from "./testing/streams.ts";
export type { TrafficFrame, TrafficStream } from "./testing/traffic.ts";

// What becomes of it.
export { play, replay } from "./testing/play.ts";
export { decodable, lost } from "./testing/fate.ts";
export type { FrameFate, FrameOutcome, Playback, StreamPlayback } from "./testing/play.ts";
export type { FateFilter } from "./testing/fate.ts";

// The link that it is played on.
export { VirtualLink } from "./simulate.ts";
export type { VirtualEvent, VirtualStream } from "./simulate.ts";
export type { VirtualLinkOptions } from "./options.ts";
