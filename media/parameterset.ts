/**
 * The parameter sets and slice headers of H.264 (ISO/IEC 14496-10 sections 7.3.2.1, 7.3.2.2, 7.3.3,
 * E.1.1): what is needed to tell pictures apart, to order them and to time them, and no more.
 */

import { BitReader } from "./bits.ts";
import type { FrameType } from "./frame.ts";

const SPS_COUNT = 32;
const PPS_COUNT = 256;
const OFFSETS_MAX = 255;
const SLICE_TYPES: FrameType[] = ["P", "B", "I", "P", "I"]; // P, B, I, SP, SI
const ASPECT_EXTENDED = 255;

/** Profiles whose sequence parameter sets say what chroma and bit depth they have. */
const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
/** Profiles that may consist of intra pictures only, by constraint_set3_flag. */
const INTRA_PROFILES = new Set([44, 86, 100, 110, 122, 244]);

/** MaxDpbMbs by level_idc (table A-1). */
const DPB_MACROBLOCKS: Record<number, number> = {
  9: 396,
  10: 396,
  11: 900,
  12: 2376,
  13: 2376,
  20: 2376,
  21: 4752,
  22: 8100,
  30: 8100,
  31: 18000,
  32: 20480,
  40: 32768,
  41: 32768,
  42: 34816,
  50: 110400,
  51: 184320,
  52: 184320,
  60: 696320,
  61: 696320,
  62: 696320,
};
const DPB_FRAMES_MAX = 16;

/** What a sequence parameter set says. */
export interface SequenceParameters {
  id: number;
  profile: number;
  width: number;
  height: number;
  separateColourPlanes: boolean;
  frameNumBits: number;
  orderType: number;
  orderLsbBits: number;
  deltaOrderAlwaysZero: boolean;
  offsetForNonReference: number;
  offsetForTopToBottom: number;
  offsetsForReference: number[];
  frameMacroblocksOnly: boolean;
  /** How long a frame is shown, ms; null if the stream does not say. */
  periodMs: number | null;
  /** How many frames may come before one in decode order and after it in display order. */
  reorderFrames: number;
}

/** What a picture parameter set says. */
export interface PictureParameters {
  id: number;
  sequenceId: number;
  bottomFieldOrder: boolean;
  redundantPictures: boolean;
}

/** The first fields of a slice header; those behind `type` are null without parameter sets. */
export interface SliceHeader {
  firstMacroblock: number;
  type: FrameType;
  parameters: SliceParameters | null;
}

/** What of a slice header depends on the parameter sets. */
export interface SliceParameters {
  pictureId: number;
  colourPlane: number;
  frameNum: number;
  field: boolean;
  bottomField: boolean;
  idrId: number;
  orderLsb: number;
  deltaOrderBottom: number;
  deltaOrder0: number;
  deltaOrder1: number;
  redundant: boolean;
}

/** Reads a sequence parameter set, from its NAL header on; null if it breaks the syntax. */
export function parseSequenceParameters(nal: Uint8Array): SequenceParameters | null {
  const bits = new BitReader(nal.subarray(1), true);
  const profile = bits.bits(8);
  const constraints = bits.bits(8);
  const level = bits.bits(8);
  const id = bits.ue();
  let separateColourPlanes = false;
  let chromaFormat = 1;
  if (HIGH_PROFILES.has(profile)) {
    chromaFormat = bits.ue();
    if (chromaFormat === 3) separateColourPlanes = bits.flag();
    bits.ue();
    bits.ue();
    bits.flag();
    if (bits.flag()) skipScalingLists(bits, chromaFormat === 3 ? 12 : 8);
  }
  const frameNumBits = bits.ue() + 4;
  const order = pictureOrder(bits);
  bits.ue(); // max_num_ref_frames
  bits.flag();
  const widthMacroblocks = bits.ue() + 1;
  const heightUnits = bits.ue() + 1;
  const frameMacroblocksOnly = bits.flag();
  const heightMacroblocks = heightUnits * (frameMacroblocksOnly ? 1 : 2);
  if (!frameMacroblocksOnly) bits.flag();
  bits.flag();
  if (bits.flag()) { for (let i = 0; i < 4; i++) bits.ue(); // cropping
   }
  const dpb = Math.floor((DPB_MACROBLOCKS[level] ?? 0) / (widthMacroblocks * heightMacroblocks));
  const intraOnly = INTRA_PROFILES.has(profile) && (constraints & 0x10) !== 0;
  let reorderFrames = intraOnly ? 0 : Math.min(Math.max(dpb, 1), DPB_FRAMES_MAX);
  let periodMs: number | null = null;
  const legal = id < SPS_COUNT && chromaFormat <= 3 && frameNumBits <= 16 && order !== null &&
    widthMacroblocks <= 4096 && heightMacroblocks <= 4096;
  if (bits.exhausted || !legal) return null;
  if (bits.flag()) {
    const usability = parseUsability(bits);
    periodMs = usability.periodMs;
    reorderFrames = Math.min(usability.reorderFrames ?? reorderFrames, DPB_FRAMES_MAX);
  }
  if (order.orderType === 2) reorderFrames = 0; // display order is decode order (8.2.1.3)
  return {
    id,
    profile,
    width: widthMacroblocks * 16,
    height: heightMacroblocks * 16,
    separateColourPlanes,
    frameNumBits,
    ...order,
    frameMacroblocksOnly,
    periodMs,
    reorderFrames,
  };
}

function pictureOrder(bits: BitReader) {
  const order = {
    orderType: bits.ue(),
    orderLsbBits: 0,
    deltaOrderAlwaysZero: false,
    offsetForNonReference: 0,
    offsetForTopToBottom: 0,
    offsetsForReference: [] as number[],
  };
  if (order.orderType === 0) {
    order.orderLsbBits = bits.ue() + 4;
    if (order.orderLsbBits > 16) return null;
  } else if (order.orderType === 1) {
    order.deltaOrderAlwaysZero = bits.flag();
    order.offsetForNonReference = bits.se();
    order.offsetForTopToBottom = bits.se();
    const count = bits.ue();
    if (count > OFFSETS_MAX) return null;
    for (let i = 0; i < count; i++) order.offsetsForReference.push(bits.se());
  } else if (order.orderType > 2) return null;
  return order;
}

function skipScalingLists(bits: BitReader, count: number): void {
  for (let list = 0; list < count; list++) {
    if (!bits.flag()) continue;
    let last = 8;
    let next = 8;
    for (let i = 0; i < (list < 6 ? 16 : 64) && !bits.exhausted; i++) {
      if (next !== 0) next = (last + bits.se() + 256) % 256;
      if (next !== 0) last = next;
    }
  }
}

/** Video usability information (E.1.1): timing, and how far pictures are reordered. */
function parseUsability(bits: BitReader): {
  periodMs: number | null;
  reorderFrames: number | null;
} {
  if (bits.flag() && bits.bits(8) === ASPECT_EXTENDED) bits.skip(32);
  if (bits.flag()) bits.flag(); // overscan
  if (bits.flag()) {
    bits.skip(4);
    if (bits.flag()) bits.skip(24);
  }
  if (bits.flag()) {
    bits.ue();
    bits.ue();
  }
  let periodMs: number | null = null;
  if (bits.flag()) {
    const ticks = bits.bits(32);
    const scale = bits.bits(32);
    bits.flag();
    // A tick is the time of a field, also in streams that have none (D.1.3, table D-1).
    if (ticks > 0 && scale > 0) periodMs = 2000 * ticks / scale;
  }
  const nalBuffering = bits.flag();
  if (nalBuffering) skipBuffering(bits);
  const vclBuffering = bits.flag();
  if (vclBuffering) skipBuffering(bits);
  if (nalBuffering || vclBuffering) bits.flag();
  bits.flag();
  let reorderFrames: number | null = null;
  if (bits.flag()) {
    bits.flag();
    for (let i = 0; i < 4; i++) bits.ue();
    reorderFrames = bits.ue();
    if (bits.exhausted) reorderFrames = null;
  }
  return { periodMs, reorderFrames };
}

function skipBuffering(bits: BitReader): void {
  const count = bits.ue() + 1;
  bits.skip(8);
  for (let i = 0; i < count && i < 32; i++) {
    bits.ue();
    bits.ue();
    bits.flag();
  }
  bits.skip(20);
}

/** Reads a picture parameter set, from its NAL header on; null if it breaks the syntax. */
export function parsePictureParameters(nal: Uint8Array): PictureParameters | null {
  const bits = new BitReader(nal.subarray(1), true);
  const id = bits.ue();
  const sequenceId = bits.ue();
  bits.flag();
  const bottomFieldOrder = bits.flag();
  const groups = bits.ue();
  if (groups > 7) return null;
  if (groups > 0) skipSliceGroups(bits, groups);
  bits.ue();
  bits.ue();
  bits.skip(3);
  for (let i = 0; i < 3; i++) bits.se();
  bits.skip(2);
  const redundantPictures = bits.flag();
  if (bits.exhausted || id >= PPS_COUNT || sequenceId >= SPS_COUNT) return null;
  return { id, sequenceId, bottomFieldOrder, redundantPictures };
}

function skipSliceGroups(bits: BitReader, groups: number): void {
  const type = bits.ue();
  if (type === 0) {
    for (let i = 0; i <= groups; i++) bits.ue();
  } else if (type === 2) {
    for (let i = 0; i < 2 * groups; i++) bits.ue();
  } else if (type >= 3 && type <= 5) {
    bits.flag();
    bits.ue();
  } else if (type === 6) {
    const width = Math.ceil(Math.log2(groups + 1));
    for (let left = bits.ue() + 1; left > 0 && !bits.exhausted; left--) bits.skip(width);
  }
}

/** Reads the start of a slice header, from its NAL header on; null if it breaks the syntax. */
export function parseSliceHeader(
  nal: Uint8Array,
  sequences: ReadonlyMap<number, SequenceParameters>,
  pictures: ReadonlyMap<number, PictureParameters>,
): SliceHeader | null {
  const bits = new BitReader(nal.subarray(1), true);
  const firstMacroblock = bits.ue();
  const sliceType = bits.ue();
  const pictureId = bits.ue();
  if (bits.exhausted || sliceType > 9 || pictureId >= PPS_COUNT) return null;
  const type = SLICE_TYPES[sliceType % 5];
  const picture = pictures.get(pictureId);
  const sequence = picture && sequences.get(picture.sequenceId);
  if (!picture || !sequence) return { firstMacroblock, type, parameters: null };
  const colourPlane = sequence.separateColourPlanes ? bits.bits(2) : 0;
  const frameNum = bits.bits(sequence.frameNumBits);
  const field = !sequence.frameMacroblocksOnly && bits.flag();
  const bottomField = field && bits.flag();
  const idrId = (nal[0] & 31) === 5 ? bits.ue() : 0;
  const both = picture.bottomFieldOrder && !field;
  const { orderType } = sequence;
  const orderLsb = orderType === 0 ? bits.bits(sequence.orderLsbBits) : 0;
  const deltaOrderBottom = orderType === 0 && both ? bits.se() : 0;
  const deltas = orderType === 1 && !sequence.deltaOrderAlwaysZero;
  const deltaOrder0 = deltas ? bits.se() : 0;
  const deltaOrder1 = deltas && both ? bits.se() : 0;
  const redundant = picture.redundantPictures && bits.ue() > 0;
  if (bits.exhausted) return null;
  return {
    firstMacroblock,
    type,
    parameters: {
      pictureId,
      colourPlane,
      frameNum,
      field,
      bottomField,
      idrId,
      orderLsb,
      deltaOrderBottom,
      deltaOrder0,
      deltaOrder1,
      redundant,
    },
  };
}
