// Questions to ask of what became of frames.

import type { FrameFate, Playback } from "./play.ts";

/** Which frames are meant: those for which all that is given is so. */
export type FateFilter = Partial<
  Pick<FrameFate, "stream" | "type" | "level" | "outcome" | "reason">
>;

/**
 * The frames that did not leave whole and in time: dropped, partial or late ones. A filter says
 * which of them count: `{ type: "I" }`, `{ stream: 0, outcome: "late" }`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { lost, play } from "qsockets/testing";
 *
 * const frames = [{ at: 0, bytes: 1250, times: 3, deadline: 25 }]; // of 10 ms each
 * const played = play({ scheduler: "edf", rate: "1mbit" }, { frames });
 * assert.deepEqual(lost(played).map(({ frame, reason }) => [frame, reason]), [[2, "expired"]]);
 * assert.deepEqual(lost(played, { type: "I" }), []); // they are no pictures
 * ```
 */
export function lost(played: Pick<Playback, "frames">, filter: FateFilter = {}): FrameFate[] {
  const wanted = Object.entries(filter);
  return played.frames.filter((fate) =>
    fate.outcome !== "whole" &&
    wanted.every(([key, value]) => fate[key as keyof FateFilter] === value)
  );
}

/**
 * The frames that a decoder can show: those that left whole and in time, as did all that they need,
 * directly or not. Frames that are not in the list count as lost. `late: true` is for a receiver
 * that waits: it counts what was late as there.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodable, play } from "qsockets/testing";
 *
 * // fifo knows of no dependencies: the P frame is lost, and the B frame is sent all the same.
 * const { frames } = play({ scheduler: "fifo", rate: "1mbit" }, {
 *   attributes: { queueBytes: 1500 },
 *   frames: [
 *     { type: "I", at: 0, bytes: 1000, level: 0 },
 *     { type: "P", at: 0, bytes: 1000, level: 1, needs: [0] },
 *     { type: "B", at: 0, bytes: 500, level: 2, needs: [0, 1] },
 *   ],
 * });
 * assert.deepEqual(frames.map(({ outcome }) => outcome), ["whole", "dropped", "whole"]);
 * assert.deepEqual(decodable(frames).map(({ type }) => type), ["I"]);
 * ```
 */
export function decodable(
  frames: readonly FrameFate[],
  options: { late?: boolean } = {},
): FrameFate[] {
  const key = (stream: number, frame: number) => `${stream}.${frame}`;
  const shown = new Set<string>();
  const arrived = (fate: FrameFate) =>
    fate.outcome === "whole" || options.late === true && fate.outcome === "late";
  // A frame needs only earlier ones, so by number each is decided after those that it needs.
  const ordered = [...frames].sort((a, b) => a.frame - b.frame);
  for (const fate of ordered) {
    const sound = (fate.needs ?? []).every((need) => shown.has(key(fate.stream, need)));
    if (arrived(fate) && sound) shown.add(key(fate.stream, fate.frame));
  }
  return frames.filter(({ stream, frame }) => shown.has(key(stream, frame)));
}
