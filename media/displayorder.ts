/**
 * Where H.264 pictures stand in display order, and from that their times, for streams whose
 * container does not say.
 *
 * The picture order count is decoded as in ISO/IEC 14496-10 section 8.2.1 (all three types). It
 * counts two for a frame, in most streams, and starts anew at each IDR picture, before which
 * everything older is shown. A frame is decoded every period; it is shown `reorderFrames` periods
 * after the place its order count gives it, so that none is shown before it is decoded.
 *
 * memory_management_control_operation 5, which resets the count in mid-stream, lies deep in the
 * slice header and is not read: the count is seen to fall behind and is taken up anew there.
 */

import type { SequenceParameters, SliceParameters } from "./parameterset.ts";

const PERIOD_DEFAULT_MS = 40;
/** Order counts that run this far ahead of decoding are taken for damage, frames. */
const AHEAD_FRAMES_MAX = 64;

/** A picture's place and its times by the stream alone. */
export interface DisplayPlace {
  /** Picture order count; comparable up to the next IDR picture. */
  order: number;
  pts: number;
  dts: number;
}

/** Follows the pictures of one stream in decode order. */
export class DisplayOrder {
  #msb = 0;
  #lsb = 0;
  #frameNum = 0;
  #frameNumOffset = 0;
  #dts = 0;
  #epochDts = 0;
  #epochOrder: number | null = null;
  #orderStep = 2;

  /** Places the next picture. */
  place(
    sequence: SequenceParameters,
    slice: SliceParameters,
    idr: boolean,
    reference: boolean,
  ): DisplayPlace {
    const order = this.#order(sequence, slice, idr, reference);
    const periodMs = sequence.periodMs ?? PERIOD_DEFAULT_MS;
    const dts = this.#dts;
    this.#dts += slice.field ? periodMs / 2 : periodMs;
    if (idr || this.#epochOrder === null) {
      this.#epochOrder = order;
      this.#epochDts = dts;
    }
    const delayMs = sequence.reorderFrames * periodMs;
    if (!slice.field && (order - this.#epochOrder) % 2 !== 0) this.#orderStep = 1;
    let shown = this.#epochDts + (order - this.#epochOrder) / this.#orderStep * periodMs;
    const aheadMs = shown - dts;
    if (aheadMs < -delayMs - periodMs || aheadMs > AHEAD_FRAMES_MAX * periodMs) {
      this.#epochOrder = order;
      this.#epochDts = dts;
      shown = dts;
    }
    return { order, dts, pts: Math.max(shown + delayMs, dts) };
  }

  /** A picture without parameter sets: it takes its time and has no place. */
  pass(): { pts: number; dts: number } {
    const dts = this.#dts;
    this.#dts += PERIOD_DEFAULT_MS;
    return { pts: dts, dts };
  }

  #order(
    sequence: SequenceParameters,
    slice: SliceParameters,
    idr: boolean,
    reference: boolean,
  ): number {
    if (sequence.orderType === 0) return this.#orderByLsb(sequence, slice, idr, reference);
    if (idr) this.#frameNumOffset = 0;
    else if (slice.frameNum < this.#frameNum) this.#frameNumOffset += 2 ** sequence.frameNumBits;
    this.#frameNum = slice.frameNum;
    const frames = this.#frameNumOffset + slice.frameNum;
    if (sequence.orderType === 2) return idr ? 0 : 2 * frames - (reference ? 0 : 1);
    return orderByCycle(sequence, slice, frames, reference);
  }

  /** Section 8.2.1.1. */
  #orderByLsb(
    sequence: SequenceParameters,
    slice: SliceParameters,
    idr: boolean,
    reference: boolean,
  ): number {
    const modulus = 2 ** sequence.orderLsbBits;
    if (idr) this.#msb = this.#lsb = 0;
    let msb = this.#msb;
    const step = slice.orderLsb - this.#lsb;
    if (step < 0 && -step >= modulus / 2) msb += modulus;
    else if (step > modulus / 2) msb -= modulus;
    if (reference) {
      this.#msb = msb;
      this.#lsb = slice.orderLsb;
    }
    const top = msb + slice.orderLsb;
    return slice.field ? top : Math.min(top, top + slice.deltaOrderBottom);
  }
}

/** Section 8.2.1.2. */
function orderByCycle(
  sequence: SequenceParameters,
  slice: SliceParameters,
  frames: number,
  reference: boolean,
): number {
  const offsets = sequence.offsetsForReference;
  let count = offsets.length === 0 ? 0 : frames;
  if (!reference && count > 0) count -= 1;
  let expected = 0;
  if (count > 0) {
    const cycle = offsets.reduce((sum, offset) => sum + offset, 0);
    expected = Math.floor((count - 1) / offsets.length) * cycle;
    for (let i = 0; i <= (count - 1) % offsets.length; i++) expected += offsets[i];
  }
  if (!reference) expected += sequence.offsetForNonReference;
  if (slice.bottomField) return expected + sequence.offsetForTopToBottom + slice.deltaOrder0;
  const top = expected + slice.deltaOrder0;
  if (slice.field) return top;
  return Math.min(top, top + sequence.offsetForTopToBottom + slice.deltaOrder1);
}
