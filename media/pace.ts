/**
 * When each frame leaves: the first at once, every other at
 *
 *     start + (dts - first dts) / speed
 *
 * on the clock that deadlines are on. Every moment is computed from the start and none from the one
 * before, so a timer that is late delays one frame and not the rest.
 *
 * A time line that jumps (back, or more than 10 s ahead) is taken up where it goes on: the frame
 * after the jump follows the one before it at the usual distance, or at once if that has passed,
 * and counts as the first of a new line. Frames without a decoding time follow at the usual distance
 * too, which is that of the last two frames that had one.
 */

/** A larger step of the decoding time than this, in ms, is a jump. */
export const JUMP_MS = 10_000;
/** The distance of frames, in ms, as long as nothing is known. */
export const FRAME_INTERVAL_MS_DEFAULT = 40;

/** A jump of the source's time line. */
export interface Discontinuity {
  /** The last decoding time before the jump, ms. */
  from: number;
  /** The first one after it, ms. */
  to: number;
}

/** When a frame leaves. */
export interface Release {
  /** On the clock of `now`, ms. May lie in the past: then at once. */
  at: number;
  /** The time line jumped at this frame. */
  discontinuity: Discontinuity | null;
}

/**
 * The time table of a source, without a clock of its own. `speed` is 1 for real time, 2 for twice
 * as fast; `interval` (ms) is the distance of frames that say nothing.
 *
 * @example
 * ```ts
 * import { Timetable } from "qsockets";
 * const timetable = new Timetable({ speed: 1 });
 * timetable.release(200, 5000).at; // 5000: the first frame leaves now
 * timetable.release(240, 5001).at; // 5040
 * ```
 */
export class Timetable {
  readonly #speed: number;
  #interval: number;
  #anchor: { at: number; dts: number } | null = null;
  #at = 0; // of the last frame
  #dts = 0; // of the last frame, assumed where it had none
  #told: number | null = null; // of the last frame that had one

  constructor(options: { speed?: number; interval?: number } = {}) {
    this.#speed = options.speed ?? 1;
    this.#interval = options.interval ?? FRAME_INTERVAL_MS_DEFAULT;
  }

  /** When the next frame leaves, by its decoding time and the present moment (both in ms). */
  release(dts: number | null, now: number): Release {
    let discontinuity: Discontinuity | null = null;
    const time = dts ?? (this.#anchor === null ? 0 : this.#dts + this.#interval);
    if (this.#anchor === null) {
      this.#anchor = { at: now, dts: time };
      this.#at = now;
    } else if (dts !== null && this.#jumps(dts)) {
      discontinuity = { from: this.#told ?? this.#dts, to: dts };
      this.#at = Math.max(now, this.#at + this.#interval / this.#speed);
      this.#anchor = { at: this.#at, dts };
    } else {
      if (dts !== null && this.#told !== null && this.#dts === this.#told && dts > this.#told) {
        this.#interval = dts - this.#told;
      }
      // Assumed times may have run ahead of told ones: never before the frame before.
      const at = this.#anchor.at + (time - this.#anchor.dts) / this.#speed;
      this.#at = Math.max(this.#at, at);
    }
    this.#dts = time;
    if (dts !== null) this.#told = dts;
    return { at: this.#at, discontinuity };
  }

  #jumps(dts: number): boolean {
    const back = this.#told !== null && dts < this.#told;
    return back || dts > Math.max(this.#dts, this.#told ?? -Infinity) + JUMP_MS;
  }
}
