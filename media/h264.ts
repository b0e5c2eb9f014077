/**
 * H.264 (ISO/IEC 14496-10) in the byte stream format of Annex B: an elementary stream into frames.
 *
 * A picture begins with the first slice that differs from the slice before it in one of the ways of
 * section 7.4.1.2.4; delimiters are optional and prove nothing. Where such a slice is found, the
 * access unit begins at the first delimiter, parameter set or SEI message since the slice before it
 * (7.4.1.2.3), if there is one. A field is an access unit of its own, as the standard has it,
 * unless the container says otherwise (`whole` chunks).
 *
 * Type: I if all slices are I (or SI), B if any is B, else P. Referenced: nal_ref_idc is not 0.
 * Keyframe: an IDR picture or one with a recovery point SEI message. A group starts at a keyframe,
 * and at any other picture of I slices. After one that is not IDR, pictures that come before it in
 * picture order count lean on the group before (open GOP) and are `leading`. With gradual refresh
 * the keyframe is a P picture: from there on the picture recovers, over the next few frames.
 */

import { UnitReader } from "./annexb.ts";
import type { ParserOptions, Unit } from "./annexb.ts";
import { BitReader } from "./bits.ts";
import { FrameClock } from "./clock.ts";
import { DisplayOrder } from "./displayorder.ts";
import type { ElementaryChunk, Frame, FrameType } from "./frame.ts";
import {
  parsePictureParameters,
  parseSequenceParameters,
  parseSliceHeader,
  type PictureParameters,
  type SequenceParameters,
  type SliceHeader,
} from "./parameterset.ts";
import { MediaReport } from "./report.ts";

const SLICE = 1;
const SLICE_PARTITION_A = 2;
const SLICE_IDR = 5;
const SEI = 6;
const SPS = 7;
const PPS = 8;
const DELIMITER = 9;
const PREFIX = 14;
const RESERVED_LAST = 18;

const SEI_RECOVERY_POINT = 6;

/** Enough for what `parseSliceHeader` reads: at most a dozen codes of at most 65 bits each. */
const SLICE_HEADER_BYTES = 112;
/** Profiles that may send the slices of a picture in any order. */
const ANY_ORDER_PROFILES = new Set([66, 88]);

interface Picture {
  at: number;
  codeAt: number;
  idr: boolean;
  reference: boolean;
  type: FrameType;
  keyframe: boolean;
  /** The first slice, and the last one of the primary coded picture. */
  first: SliceHeader;
  last: SliceHeader;
  sequence: SequenceParameters | null;
}

/** Whether the messages of an SEI NAL unit include a recovery point (sections 7.3.2.3.1, D.1.8). */
function hasRecoveryPoint(nal: Uint8Array): boolean {
  const bits = new BitReader(nal.subarray(1), true);
  const code = (): number => {
    let value = 0;
    let byte = bits.bits(8);
    for (; byte === 0xff; byte = bits.bits(8)) value += byte;
    return value + byte;
  };
  for (;;) {
    const type = code();
    const bytes = code();
    if (bits.exhausted) return false;
    if (type === SEI_RECOVERY_POINT) return true;
    bits.skip(8 * bytes);
  }
}

/**
 * Cuts an H.264 Annex B stream into frames; the synchronous core of `frames()`.
 */
export class H264Parser {
  readonly #report: MediaReport;
  readonly #reader: UnitReader;
  readonly #clock = new FrameClock();
  readonly #display = new DisplayOrder();
  readonly #sequences = new Map<number, SequenceParameters>();
  readonly #pictures = new Map<number, PictureParameters>();
  #frames: Frame[] = [];
  #index = 0;
  #timed = false;
  #whole = false;
  #synced = false;
  #picture: Picture | null = null;
  /** Where the next access unit begins, if the next slice turns out to start one. */
  #boundary: { at: number; codeAt: number } | null = null;
  /** A recovery point was announced since the last slice. */
  #recovery = false;
  #group: { open: boolean; order: number | null; onlyLeading: boolean } | null = null;

  constructor(options: ParserOptions = {}) {
    this.#report = options.report ?? new MediaReport();
    this.#reader = new UnitReader({
      report: this.#report,
      headerBytes: (code) => {
        const type = code & 31;
        if (type === SLICE || type === SLICE_PARTITION_A || type === SLICE_IDR) {
          return SLICE_HEADER_BYTES;
        }
        return type === SPS || type === PPS || type === SEI ? Infinity : 1;
      },
      zeroByte: true,
      accessUnitBytesMax: options.accessUnitBytesMax,
    });
  }

  /** Takes a piece of the stream and returns the frames that are complete with it. */
  push(chunk: ElementaryChunk): Frame[] {
    this.#timed ||= chunk.timed === true;
    this.#whole = chunk.whole === true;
    this.#reader.append(chunk);
    this.#read(this.#whole);
    if (this.#whole && this.#picture !== null) this.#finish(this.#reader.end);
    return this.#drain();
  }

  /** The stream is over: returns the last frame. */
  end(): Frame[] {
    this.#read(true);
    if (this.#picture !== null) this.#finish(this.#reader.end);
    const bytes = this.#reader.skipTo(this.#reader.end);
    if (bytes > 0) this.#report.lost("lead-in", bytes, "no picture in the last bytes");
    return this.#drain();
  }

  #drain(): Frame[] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  #read(final: boolean): void {
    for (let unit = this.#reader.next(final); unit !== null; unit = this.#reader.next(final)) {
      this.#unit(unit);
    }
  }

  #unit(unit: Unit): void {
    const header = unit.body[0];
    if (!this.#synced) {
      this.#synced = true;
      if (!this.#reader.zerosBefore(unit.at)) {
        this.#report.lost(
          "lead-in",
          this.#reader.skipTo(unit.at),
          "no start code before these bytes",
        );
        this.#reader.damage(unit.at);
      }
    }
    if ((header & 0x80) !== 0) return this.#broken(unit, "forbidden_zero_bit is set");
    const type = header & 31;
    if (type === SLICE || type === SLICE_PARTITION_A || type === SLICE_IDR) {
      return this.#slice(unit, type);
    }
    const begins = type === SEI || type === SPS || type === PPS || type === DELIMITER ||
      (type >= PREFIX && type <= RESERVED_LAST);
    if (begins && this.#picture !== null) {
      this.#boundary ??= { at: unit.at, codeAt: unit.codeAt };
    }
    if (type === SPS) this.#sequenceParameters(unit);
    else if (type === PPS) this.#pictureParameters(unit);
    else if (type === SEI && hasRecoveryPoint(unit.body)) this.#recovery = true;
  }

  #broken(unit: Unit, detail: string): void {
    this.#report.lost("syntax", 0, `at byte ${unit.codeAt}: ${detail}`);
    this.#reader.damage(unit.codeAt + 1); // within the start code: not the unit before
  }

  #sequenceParameters(unit: Unit): void {
    const parameters = parseSequenceParameters(unit.body);
    if (parameters === null) this.#broken(unit, "bad sequence parameter set");
    else this.#sequences.set(parameters.id, parameters);
  }

  #pictureParameters(unit: Unit): void {
    const parameters = parsePictureParameters(unit.body);
    if (parameters === null) this.#broken(unit, "bad picture parameter set");
    else this.#pictures.set(parameters.id, parameters);
  }

  #slice(unit: Unit, nalType: number): void {
    const slice = parseSliceHeader(unit.body, this.#sequences, this.#pictures);
    if (slice === null) {
      this.#broken(unit, "bad slice header");
      // Its bytes stay with the picture in progress, or with the next one.
      return;
    }
    const idr = nalType === SLICE_IDR;
    const reference = (unit.body[0] & 0x60) !== 0;
    const picture = this.#picture;
    const begins = picture === null ||
      (!this.#whole && startsPicture(picture, slice, idr, reference));
    if (!begins) {
      if (slice.parameters?.redundant !== true) picture.last = slice;
      picture.keyframe ||= this.#recovery;
      if (slice.type === "B" || (slice.type === "P" && picture.type === "I")) {
        picture.type = slice.type;
      }
    } else {
      const { at, codeAt } = this.#boundary ?? unit;
      if (picture !== null) this.#finish(at);
      this.#begin(unit, slice, { at, codeAt, idr, reference });
    }
    this.#boundary = null;
    this.#recovery = false;
  }

  #begin(
    unit: Unit,
    slice: SliceHeader,
    place: { at: number; codeAt: number; idr: boolean; reference: boolean },
  ): void {
    const sequence = this.#sequenceOf(slice);
    const anyOrder = sequence !== null && ANY_ORDER_PROFILES.has(sequence.profile);
    this.#picture = {
      ...place,
      codeAt: Math.max(place.codeAt, this.#reader.start),
      type: slice.type,
      keyframe: place.idr || this.#recovery,
      first: slice,
      last: slice,
      sequence,
    };
    if (slice.parameters === null) this.#broken(unit, "slice without its parameter sets");
    else if (slice.firstMacroblock > 0 && !anyOrder) {
      this.#broken(unit, `picture begins at macroblock ${slice.firstMacroblock}`);
    }
  }

  #sequenceOf({ parameters }: SliceHeader): SequenceParameters | null {
    const picture = parameters && this.#pictures.get(parameters.pictureId);
    return (picture && this.#sequences.get(picture.sequenceId)) ?? null;
  }

  /** Ends the access unit in progress before stream position `end`. */
  #finish(end: number): void {
    const picture = this.#picture!;
    this.#picture = null;
    const run = this.#reader.take(end, picture.codeAt);
    const { type, keyframe, reference, idr } = picture;
    const { sequence, first: { parameters } } = picture;
    const place = sequence !== null && parameters !== null
      ? this.#display.place(sequence, parameters, idr, reference)
      : { ...this.#display.pass(), order: null };
    const groupStart = keyframe || type === "I";
    const leading = !groupStart && this.#leads(type, place.order);
    if (groupStart) this.#group = { open: !idr, order: place.order, onlyLeading: true };
    else if (this.#group !== null && !leading) this.#group.onlyLeading = false;
    if (run === null) return;
    this.#frames.push({
      index: this.#index++,
      codec: "h264",
      type,
      ...this.#clock.times(place, run.stamp, this.#timed),
      data: run.data,
      keyframe,
      reference,
      groupStart,
      leading,
      damaged: run.damaged,
    });
  }

  #leads(type: FrameType, order: number | null): boolean {
    const group = this.#group;
    if (group === null || !group.open) return false;
    if (order !== null && group.order !== null) return order < group.order;
    return type === "B" && group.onlyLeading;
  }
}

/** Section 7.4.1.2.4: whether a slice is the first of another picture than the one before it. */
function startsPicture(
  picture: Picture,
  slice: SliceHeader,
  idr: boolean,
  reference: boolean,
): boolean {
  if (picture.idr !== idr || picture.reference !== reference) return true;
  const a = picture.last.parameters;
  const b = slice.parameters;
  if (a === null || b === null) return slice.firstMacroblock === 0;
  if (b.redundant) return false;
  if (
    a.frameNum !== b.frameNum || a.pictureId !== b.pictureId || a.field !== b.field ||
    a.bottomField !== b.bottomField || a.idrId !== b.idrId || a.orderLsb !== b.orderLsb ||
    a.deltaOrderBottom !== b.deltaOrderBottom || a.deltaOrder0 !== b.deltaOrder0 ||
    a.deltaOrder1 !== b.deltaOrder1
  ) return true;
  // Beyond the standard, for encoders that repeat idr_pic_id: no picture begins twice.
  return slice.firstMacroblock === 0 && picture.first.firstMacroblock === 0 &&
    a.colourPlane === b.colourPlane;
}
