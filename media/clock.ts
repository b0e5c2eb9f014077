/**
 * The times of frames. A container stamps some access units; the stream itself says how long each
 * picture is shown, and in which order. The stream's own time line runs along from 0, and where a
 * stamp is given it is laid against it: a frame without a stamp lies as far from the last stamped
 * one as the stream says.
 */

import type { Stamp } from "./annexb.ts";

/** Both times of one frame, ms. */
export interface FrameTimes {
  pts: number | null;
  dts: number | null;
}

/** Joins the container's stamps with the stream's own time line. */
export class FrameClock {
  #offset: number | null = null;

  /**
   * @param own the stream's own times of this frame, ms
   * @param stamp the container's times, if it gave any for this frame
   * @param timed whether the container keeps time at all; if not, the own times stand
   */
  times(own: { pts: number; dts: number }, stamp: Stamp | null, timed: boolean): FrameTimes {
    if (stamp !== null && stamp.pts !== null) {
      const dts = stamp.dts ?? stamp.pts;
      this.#offset = dts - own.dts;
      return { pts: stamp.pts, dts };
    }
    if (!timed) return { pts: own.pts, dts: own.dts };
    if (this.#offset === null) return { pts: null, dts: null };
    return { pts: own.pts + this.#offset, dts: own.dts + this.#offset };
  }
}
