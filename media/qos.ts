/**
 * The policy that turns what is known about a picture into the flags of its messages. It is pure:
 * the same picture at the same place in its group always gets the same answer, so it can be tested,
 * argued about and replaced (any `QosPolicy` will do) without touching the packets.
 *
 * The argument for `gopPolicy`. What the loss of a picture costs is the number of pictures that can
 * no longer be shown right, and that is a matter of who leans on whom:
 *
 * - An I picture carries its whole group. Nothing that can be dropped in its stead is worth as much,
 *   so it is never given up by choice; only its own deadline ends it. The picture that starts a
 *   group is level 0: it is where a decoder that lost its way begins again.
 * - A P picture carries everything up to the next I picture, so its loss costs its distance to that
 *   one. The last P of a group costs little (drop 1), the first nearly the group (drop 6), and
 *   between them the priority falls with the distance. Its level is 1: its loss makes the rest of
 *   the group useless, and the scheduler had better not send that.
 * - A B picture that nobody leans on costs itself. It is dropped first (drop 0), and as level 2 it
 *   harms no other.
 * - A B picture that others lean on (the pyramid of H.264) costs a few pictures, but the scheduler
 *   knows of levels only: after the loss of a level 1 it sends nothing until a group starts. So such
 *   a B picture costs what a P picture at its place would, and is kept as long. A P picture that
 *   nobody leans on (`nal_ref_idc` 0) is a leaf like any other: drop 0, level 2.
 *
 * The distance to the next I picture lies in the future. It is taken from the length of the group:
 * the one given, else that of the group before, since encoders keep the length they were told.
 *
 * Leading pictures (open GOP: shown before the I picture that they follow in decode order) lean on
 * the group before as well, and are flagged so, since they cannot be decoded after a restart.
 */

import * as z from "zod";
import { check } from "../ffi/options.ts";
import type { DropPriority } from "../ffi/options.ts";
import type { FrameFacts } from "./frame.ts";
import { frameLevel } from "./frame.ts";

/** The group length (pictures) assumed as long as nothing is known: half a second, as DVDs have. */
export const GOP_FRAMES_DEFAULT = 15;

/** Where a picture stands in its group, in decode order. */
export interface GroupPlace {
  /** Pictures since the one that started the group: 0 for that one itself. */
  position: number;
  /** Pictures of the group before; null as long as no group has ended. */
  groupFrames: number | null;
}

/** The flags that all messages of a picture share. */
export interface FrameQos {
  /** "never", or 0 (goes first) to 6. */
  drop: DropPriority;
  /** 0 starts a group, 1 is referenced, 2 is a leaf. */
  level: 0 | 1 | 2;
  /** Leans on the group before too. */
  leading: boolean;
}

/** Decides the flags of a picture; must be pure. */
export type QosPolicy = (frame: FrameFacts, place: GroupPlace) => FrameQos;

const gopOptions = z.strictObject({
  /** Pictures from one I picture to the next. Default: the length of the group before. */
  gop: z.int({ error: "must be a whole number of pictures" })
    .min(1, { error: "must be at least 1 picture" }).optional(),
});

/** Options of {@linkcode gopPolicy}. */
export type GopPolicyOptions = z.input<typeof gopOptions>;

/**
 * The default policy, argued at the top of this file. Throws RangeError or TypeError when `gop` is
 * not a whole number of at least 1.
 *
 * @example
 * ```ts
 * import { gopPolicy } from "qsockets";
 * const policy = gopPolicy({ gop: 12 });
 * const b = {
 *   index: 1, codec: "mpeg2", type: "B", pts: 40, dts: 40, keyframe: false,
 *   reference: false, groupStart: false, leading: false, damaged: false,
 * } as const;
 * policy(b, { position: 1, groupFrames: null }); // { drop: 0, level: 2, leading: false }
 * ```
 */
export function gopPolicy(options: GopPolicyOptions = {}): QosPolicy {
  const { gop } = check(gopOptions, options, "make a policy");
  return (frame, place) => ({
    drop: dropPriority(frame, place, gop ?? place.groupFrames ?? GOP_FRAMES_DEFAULT),
    level: frameLevel(frame),
    leading: frame.leading,
  });
}

function dropPriority(frame: FrameFacts, place: GroupPlace, gopFrames: number): DropPriority {
  if (frame.type === "I" || frame.groupStart) return "never";
  if (!frame.reference) return 0;
  const toNext = gopFrames - place.position;
  const share = Math.floor(6 * toNext / gopFrames);
  return Math.max(1, Math.min(6, 1 + share)) as DropPriority;
}
