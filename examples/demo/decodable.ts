/**
 * Which pictures can be decoded, when some are missing. Pictures come in decode order, and each may
 * lean on those before it:
 *
 * - one that starts a group leans on nothing;
 * - every other leans on all the referenced pictures of its group that precede it. For MPEG-2 that
 *   is exact: a P picture is predicted from the referenced picture before it, a B picture from
 *   the last two, and those from the ones before (ISO/IEC 13818-2, 6.1.1.11 and 7.6). For H.264,
 *   where a picture names its references, it is the worst case;
 * - a leading picture of an open group, shown before the I picture that it follows, leans on the
 *   group before as well. Pictures shown after that I picture never lean on leading ones.
 */

import type { FrameFacts } from "../../mod.ts";

/** What of a picture decides on whom it leans. */
export type Dependence = Pick<FrameFacts, "groupStart" | "keyframe" | "reference" | "leading">;

/**
 * For each picture in decode order, whether it can be decoded when just those are there for which
 * `present` is true. Pictures before the first one that decoding can begin with cannot.
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
  let leading = false; // and its leading pictures
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
