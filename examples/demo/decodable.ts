/**
 * Which frames can be decoded, when some are missing. Frames come in decode order, and each may
 * lean on those before it:
 *
 * - one that starts a group leans on nothing;
 * - every other leans on all the referenced frames of its group that precede it. For MPEG-2 that
 *   is exact: a P frame is predicted from the referenced frame before it, a B frame from
 *   the last two, and those from the ones before (ISO/IEC 13818-2, 6.1.1.11 and 7.6). For H.264,
 *   where a frame names its references, it is the worst case;
 * - a leading frame of an open group, shown before the I frame that it follows, leans on the
 *   group before as well. Frames shown after that I frame never lean on leading ones.
 */

import type { FrameFacts } from "../../mod.ts";

/** What of a frame decides on whom it leans. */
export type Dependence = Pick<FrameFacts, "groupStart" | "keyframe" | "reference" | "leading">;

/**
 * For each frame in decode order, whether it can be decoded when just those are there for which
 * `present` is true. Frames before the first one that decoding can begin with cannot.
 *
 * @example
 * ```ts
 * const i = { groupStart: true, keyframe: true, reference: true, leading: false };
 * const p = { ...i, groupStart: false, keyframe: false };
 * decodable([i, p, p], [true, false, true]); // [true, false, false]
 * ```
 */
export function decodable(frames: readonly Dependence[], present: readonly boolean[]): boolean[] {
  let before = false; // the group before is whole, as far as others lean on it
  let group = false; // so is this group, up to here
  let leading = false; // and its leading frames
  return frames.map((frame, i) => {
    if (frame.groupStart) {
      before = group;
      group = present[i];
      leading = before && group;
      return present[i];
    }
    if (frame.leading) {
      const sound = present[i] && leading;
      if (frame.reference) leading = sound;
      return sound;
    }
    const sound = present[i] && (group || frame.keyframe);
    if (frame.reference) group &&= sound;
    return sound;
  });
}
