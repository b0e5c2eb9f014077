/**
 * The words the media layer shares: a video source is cut into elementary chunks, those into
 * frames, and a frame is what gets a deadline and a drop priority.
 *
 * All times are milliseconds on the source's own time line (its first need not be 0), sizes are
 * bytes.
 */

/** How a picture was coded: on its own, from earlier pictures, or from pictures on both sides. */
export type FrameType = "I" | "P" | "B";

/** The video codecs whose access units are understood. */
export type VideoCodec = "mpeg1" | "mpeg2" | "h264";

/**
 * A piece of one elementary stream, cut anywhere: what `demux()` makes and `frames()` reads.
 * Joined, the pieces are the stream.
 */
export interface ElementaryChunk {
  codec: VideoCodec;
  data: Uint8Array;
  /** Presentation time (ms) of the first access unit that starts in `data`, if the container says. */
  pts: number | null;
  /** Decoding time (ms) of the same access unit. */
  dts: number | null;
  /** Bytes were lost just before `data`. */
  damaged: boolean;
  /** The container keeps time, so frames without a stamp lie between those with one. */
  timed?: boolean;
  /** `data` is exactly one access unit, as the container says. */
  whole?: boolean;
}

/** One access unit (one coded picture with all that belongs to it), in decode order. */
export interface Frame {
  /** Counts from 0 in decode order. */
  index: number;
  codec: VideoCodec;
  type: FrameType;
  /** Presentation time, ms; null where neither the container nor the stream says. */
  pts: number | null;
  /** Decoding time, ms; falls only where the container's own clock jumps back. */
  dts: number | null;
  /** The bytes as in the elementary stream; headers belong to the picture that follows them. */
  data: Uint8Array;
  /** Decoding can begin here. */
  keyframe: boolean;
  /** Another picture may be predicted from this one. */
  reference: boolean;
  /** What follows in display order can be decoded from here on, without anything before. */
  groupStart: boolean;
  /** Open GOP: follows a group's I frame but is shown before it, so it leans on the group before. */
  leading: boolean;
  /** Bytes were lost in this frame, or where it meets the one before or after it. */
  damaged: boolean;
}

/** What of a frame decides how it is treated on the way; `Frame` is one. */
export type FrameFacts = Omit<Frame, "data">;

/**
 * The place of a frame in its group, as the scheduler counts it: 0 starts a group, 1 is referenced
 * by others, 2 is a leaf that nothing leans on.
 *
 * @example
 * ```ts
 * import { frameLevel } from "qsockets";
 * frameLevel({ groupStart: false, reference: false }); // 2: a B frame
 * ```
 */
export function frameLevel(frame: Pick<Frame, "groupStart" | "reference">): 0 | 1 | 2 {
  if (frame.groupStart) return 0;
  return frame.reference ? 1 : 2;
}
