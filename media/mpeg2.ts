/**
 * MPEG-1 and MPEG-2 video (ISO/IEC 11172-2, ISO/IEC 13818-2): an elementary stream into frames.
 *
 * An access unit begins with the first of sequence header, group header and picture header, and
 * lasts until the next one that does not belong to it (13818-1 section 2.1.1). Two field pictures
 * that make up one frame are one access unit here: of opposite parity and the same temporal
 * reference, the second without headers of its own but the picture's. Its type is that of the
 * first field, since an I field may be followed by a P field that leans on it alone.
 *
 * B pictures are never referenced. The B pictures that follow an I picture in decode order are
 * shown before it; unless their group says that it is closed they lean on the group before
 * (section 6.3.8), which makes them `leading`.
 *
 * Time: a picture that others are predicted from is shown when the next such picture is decoded, a
 * B picture at once. So the decoder's clock advances, while a B picture is decoded, by that
 * picture's duration, and else by that of the last referenced picture (13818-2 section C.9). How
 * many B pictures will be shown first is told by the temporal reference (section 6.3.9).
 */

import { UnitReader } from "./annexb.ts";
import type { ParserOptions, Unit } from "./annexb.ts";
import { BitReader } from "./bits.ts";
import { FrameClock } from "./clock.ts";
import type { ElementaryChunk, Frame, FrameType } from "./frame.ts";
import { MediaReport } from "./report.ts";

const PICTURE = 0x00;
const SLICE_LAST = 0xaf;
const USER_DATA = 0xb2;
const SEQUENCE = 0xb3;
const EXTENSION = 0xb5;
const SEQUENCE_END = 0xb7;
const GROUP = 0xb8;

const EXTENSION_SEQUENCE = 1;
const EXTENSION_PICTURE = 8;
const STRUCTURE_FRAME = 3;

const HEADER_BYTES = 16;
const TEMPORAL_REFERENCES = 1024;
/** More B pictures in a row than this are taken for a damaged temporal reference. */
const B_RUN_MAX = 15;
/** Above this many lines a slice's row does not fit its start code (section 6.3.16). */
const LINES_PLAIN_MAX = 2800;

/** Frames per second by frame_rate_code (table 6-4). */
const FRAME_RATES = [0, 24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60];
const PERIOD_DEFAULT_MS = 40;

/** What a sequence header says. */
export interface SequenceHeader {
  width: number;
  height: number;
  /** How long a frame is shown, ms. */
  periodMs: number;
}

interface Picture {
  at: number;
  codeAt: number;
  type: FrameType;
  temporalReference: number;
  structure: number;
  paired: boolean;
  topFieldFirst: boolean;
  repeatFirstField: boolean;
  /** Rows of macroblocks seen so far; -1 before the first slice. */
  row: number;
}

/** Reads a sequence header behind its start code; null if it breaks the syntax (6.2.2.1). */
export function parseSequenceHeader(body: Uint8Array): SequenceHeader | null {
  if (body.length < 8) return null;
  const bits = new BitReader(body.subarray(1), false);
  const width = bits.bits(12);
  const height = bits.bits(12);
  const aspect = bits.bits(4);
  const rate = FRAME_RATES[bits.bits(4)];
  bits.skip(18);
  if (!bits.flag() || width === 0 || height === 0 || aspect === 0 || !rate) return null;
  return { width, height, periodMs: 1000 / rate };
}

/**
 * Cuts an MPEG-1 or MPEG-2 video stream into frames; the synchronous core of `frames()`.
 */
export class Mpeg2Parser {
  readonly #report: MediaReport;
  readonly #reader: UnitReader;
  readonly #clock = new FrameClock();
  #frames: Frame[] = [];
  #index = 0;
  #timed = false;
  #synced = false;
  #codec: "mpeg1" | "mpeg2";
  #sequence: SequenceHeader | null = null;
  #progressive = false;
  #lowDelay = false;
  #previousCode = -1;
  #picture: Picture | null = null;
  /** A picture header that may be the second field of #picture: its extension will tell. */
  #second: Picture | null = null;
  #group: { closed: boolean } | null = null;
  #lastAnchor: { type: FrameType; closed: boolean; temporalReference: number } | null = null;
  #lastAnchorMs: number | null = null;
  #dts = 0;

  constructor(options: ParserOptions & { codec?: "mpeg1" | "mpeg2" } = {}) {
    this.#report = options.report ?? new MediaReport();
    this.#codec = options.codec ?? "mpeg2";
    this.#reader = new UnitReader({
      report: this.#report,
      headerBytes: (code) => code > PICTURE && code <= SLICE_LAST ? 1 : HEADER_BYTES,
      zeroByte: false,
      accessUnitBytesMax: options.accessUnitBytesMax,
    });
  }

  /** Takes a piece of the stream and returns the frames that are complete with it. */
  push(chunk: ElementaryChunk): Frame[] {
    this.#timed ||= chunk.timed === true;
    this.#reader.append(chunk);
    this.#read(false);
    return this.#drain();
  }

  /** The stream is over: returns the last frame. */
  end(): Frame[] {
    this.#read(true);
    if (this.#second !== null) this.#beginSecond();
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
      this.#previousCode = unit.body[0];
    }
  }

  #unit(unit: Unit): void {
    const code = unit.body[0];
    if (!this.#synced) {
      if (code !== PICTURE && code !== SEQUENCE && code !== GROUP) return;
      this.#synced = true;
      if (!this.#reader.zerosBefore(unit.at)) {
        this.#report.lost(
          "lead-in",
          this.#reader.skipTo(unit.at),
          "no picture header before these bytes",
        );
        this.#reader.damage(unit.at);
      }
    }
    if (code === undefined) this.#broken(unit, "a start code without its last byte");
    else if (code === PICTURE) this.#pictureHeader(unit);
    else if (code <= SLICE_LAST) this.#slice(unit);
    else if (code === SEQUENCE) this.#sequenceHeader(unit);
    else if (code === GROUP) this.#groupHeader(unit);
    else if (code === EXTENSION) this.#extension(unit);
    else if (code !== SEQUENCE_END && code !== USER_DATA) {
      this.#broken(unit, `start code ${code.toString(16)} has no place in video`);
    }
  }

  #broken(unit: Unit, detail: string): void {
    this.#report.lost("syntax", 0, `at byte ${unit.codeAt}: ${detail}`);
    this.#reader.damage(unit.codeAt + 1); // within the start code: not the unit before
  }

  #sequenceHeader(unit: Unit): void {
    this.#finishBefore(unit);
    const sequence = parseSequenceHeader(unit.body);
    if (sequence === null) return this.#broken(unit, "bad sequence header");
    this.#sequence = sequence;
    this.#codec = "mpeg1"; // until a sequence extension follows
    this.#progressive = true;
    this.#lowDelay = false;
  }

  #groupHeader(unit: Unit): void {
    this.#finishBefore(unit);
    if (unit.body.length < 5) return this.#broken(unit, "bad group header");
    this.#group = { closed: (unit.body[4] & 0x40) !== 0 };
  }

  #pictureHeader(unit: Unit): void {
    const { body } = unit;
    const coding = body.length < 5 ? 0 : (body[2] >> 3) & 7;
    if (coding === 0 || coding > 4) this.#broken(unit, `bad picture header, type ${coding}`);
    const picture: Picture = {
      at: unit.at,
      codeAt: unit.codeAt,
      // A D picture (MPEG-1, type 4) stands alone; of a broken one the worst is assumed.
      type: coding === 1 || coding === 4 ? "I" : coding === 3 ? "B" : "P",
      temporalReference: body.length < 5 ? 0 : (body[1] << 2) | (body[2] >> 6),
      structure: STRUCTURE_FRAME,
      paired: false,
      topFieldFirst: false,
      repeatFirstField: false,
      row: -1,
    };
    if (this.#second !== null) this.#beginSecond();
    const first = this.#picture;
    const maySecond = first !== null && first.structure !== STRUCTURE_FRAME && !first.paired &&
      first.temporalReference === picture.temporalReference;
    if (maySecond) this.#second = picture;
    else this.#begin(picture);
  }

  #begin(picture: Picture): void {
    if (this.#picture !== null) this.#finish(picture.at);
    this.#picture = picture;
  }

  /** What might have been a second field is a picture of its own. */
  #beginSecond(): void {
    const picture = this.#second!;
    this.#second = null;
    this.#begin(picture);
  }

  #extension(unit: Unit): void {
    const { body } = unit;
    const id = body.length < 2 ? 0 : body[1] >> 4;
    if (id === EXTENSION_SEQUENCE && this.#previousCode === SEQUENCE && body.length >= 7) {
      this.#codec = "mpeg2";
      this.#progressive = (body[2] & 0x08) !== 0;
      this.#lowDelay = (body[6] & 0x80) !== 0;
      const sequence = this.#sequence;
      if (sequence !== null) {
        sequence.width |= ((body[2] & 0x01) << 13) | ((body[3] & 0x80) << 5);
        sequence.height |= (body[3] & 0x60) << 7;
        sequence.periodMs *= ((body[6] & 0x1f) + 1) / (((body[6] >> 5) & 3) + 1);
      }
    } else if (id === EXTENSION_PICTURE && this.#previousCode === PICTURE && body.length >= 6) {
      this.#pictureExtension(unit);
    }
  }

  #pictureExtension(unit: Unit): void {
    const { body } = unit;
    const structure = body[3] & 3;
    if (structure === 0) this.#broken(unit, "bad picture structure");
    const picture = this.#second ?? this.#picture;
    if (picture === null) return;
    picture.structure = structure || STRUCTURE_FRAME;
    picture.topFieldFirst = (body[4] & 0x80) !== 0;
    picture.repeatFirstField = (body[4] & 0x02) !== 0;
    if (this.#second === null) return;
    const first = this.#picture!;
    if (first.structure + picture.structure !== STRUCTURE_FRAME) return this.#beginSecond();
    this.#checkRows(first, this.#second);
    first.paired = true;
    first.row = -1;
    this.#second = null;
  }

  /** Rows of slices only ever count up by one, and all are there (MPEG-2 section 6.1.2.2). */
  #slice(unit: Unit): void {
    if (this.#second !== null) this.#beginSecond();
    const picture = this.#picture;
    if (picture === null) return this.#broken(unit, "slice without a picture header");
    const row = unit.body[0];
    const plain = this.#sequence !== null && this.#sequence.height <= LINES_PLAIN_MAX;
    const previous = Math.max(picture.row, 0);
    if (plain && (row < previous || (this.#codec === "mpeg2" && row > previous + 1))) {
      this.#broken(unit, `slice of row ${row} after row ${previous}`);
    }
    picture.row = row;
  }

  /** The last row must have been reached when a picture, or its first field, is over. */
  #checkRows(picture: Picture, next: { at: number }): void {
    if (this.#sequence === null || this.#sequence.height > LINES_PLAIN_MAX) return;
    const { height } = this.#sequence;
    let rows = Math.ceil(height / 16);
    if (this.#codec === "mpeg2" && !this.#progressive) rows = 2 * Math.ceil(height / 32);
    if (picture.structure !== STRUCTURE_FRAME) rows /= 2;
    if (picture.row >= (this.#codec === "mpeg2" ? rows : 1)) return;
    const detail = `picture ends after row ${Math.max(picture.row, 0)} of ${rows}`;
    this.#report.lost("syntax", 0, `at byte ${next.at}: ${detail}`);
    this.#reader.damage(picture.codeAt + 1);
  }

  #finishBefore(unit: Unit): void {
    if (this.#second !== null) this.#beginSecond();
    if (this.#picture !== null) this.#finish(unit.at);
  }

  /** Ends the access unit in progress before stream position `end`. */
  #finish(end: number): void {
    const picture = this.#picture!;
    this.#picture = null;
    this.#checkRows(picture, { at: end });
    const run = this.#reader.take(end, picture.codeAt);
    const own = this.#ownTimes(picture);
    const { type } = picture;
    const leading = type === "B" && this.#lastAnchor?.type === "I" && !this.#lastAnchor.closed;
    if (type !== "B") {
      const { temporalReference } = picture;
      const closed = this.#group?.closed ?? false;
      this.#lastAnchor = { type, closed, temporalReference };
      this.#group = null;
    }
    if (run === null) return;
    this.#frames.push({
      index: this.#index++,
      codec: this.#codec,
      type,
      ...this.#clock.times(own, run.stamp, this.#timed),
      data: run.data,
      keyframe: type === "I",
      reference: type !== "B",
      groupStart: type === "I",
      leading,
      damaged: run.damaged,
    });
  }

  /** Times by the stream alone, ms. */
  #ownTimes(picture: Picture): { pts: number; dts: number } {
    const period = this.#sequence?.periodMs ?? PERIOD_DEFAULT_MS;
    const dts = this.#dts;
    const shownMs = period * this.#framesShown(picture);
    if (picture.type === "B" || this.#lowDelay) {
      this.#dts += shownMs;
      return { pts: dts, dts };
    }
    const delayMs = this.#lastAnchorMs ?? period;
    this.#dts += delayMs;
    this.#lastAnchorMs = shownMs;
    return { pts: dts + delayMs + period * this.#shownFirst(picture), dts };
  }

  /** For how many frame periods a picture is shown (section 6.3.10, repeat_first_field). */
  #framesShown(picture: Picture): number {
    if (!picture.repeatFirstField || picture.structure !== STRUCTURE_FRAME) return 1;
    if (this.#progressive) return picture.topFieldFirst ? 3 : 2;
    return 1.5;
  }

  /** How many B pictures are to be decoded and shown before this one. */
  #shownFirst({ temporalReference }: Picture): number {
    let count = temporalReference;
    if (this.#group === null && this.#lastAnchor !== null) {
      const step = temporalReference - this.#lastAnchor.temporalReference - 1;
      count = (step + TEMPORAL_REFERENCES) % TEMPORAL_REFERENCES;
    }
    return count <= B_RUN_MAX ? count : 0;
  }
}
