// Writes small video streams bit by bit, so that tests know every byte of what they parse.

/** Most significant bit first, with the Exp-Golomb codes of H.264. */
export class BitWriter {
  #bytes: number[] = [];
  #bit = 0;

  bits(count: number, value: number): this {
    for (let i = count - 1; i >= 0; i--) {
      if (this.#bit === 0) this.#bytes.push(0);
      this.#bytes[this.#bytes.length - 1] |= (Math.floor(value / 2 ** i) & 1) << (7 - this.#bit);
      this.#bit = (this.#bit + 1) % 8;
    }
    return this;
  }

  ue(value: number): this {
    const length = Math.floor(Math.log2(value + 1));
    return this.bits(length, 0).bits(length + 1, value + 1);
  }

  se(value: number): this {
    return this.ue(value > 0 ? 2 * value - 1 : -2 * value);
  }

  bytes(): number[] {
    return this.#bytes;
  }
}

/** Coded data that holds no start code. */
export function filler(bytes: number, seed = 0): number[] {
  return Array.from({ length: bytes }, (_, i) => 0x80 | ((i * 37 + seed * 11) & 0x7f));
}

export interface Mpeg2Picture {
  type: "I" | "P" | "B";
  temporalReference: number;
  /** 1 top field, 2 bottom field, 3 frame. */
  structure?: number;
  topFieldFirst?: boolean;
  repeatFirstField?: boolean;
  rows?: number;
  sliceBytes?: number;
}

const start = (code: number) => [0, 0, 1, code];

/** Sequence header and extension: 32x48, so three rows of macroblocks. */
export function sequence(
  options: { mpeg1?: boolean; progressive?: boolean; lowDelay?: boolean; rateCode?: number } = {},
): number[] {
  const { mpeg1 = false, progressive = true, lowDelay = false, rateCode = 3 } = options;
  const header = new BitWriter().bits(12, 32).bits(12, 48).bits(4, 1).bits(4, rateCode)
    .bits(18, 1000).bits(1, 1).bits(10, 20).bits(3, 0).bytes();
  const extension = new BitWriter().bits(4, 1).bits(8, 0x48).bits(1, Number(progressive))
    .bits(2, 1).bits(4, 0).bits(12, 0).bits(1, 1).bits(8, 0).bits(1, Number(lowDelay)).bits(7, 0)
    .bytes();
  return [...start(0xb3), ...header, ...mpeg1 ? [] : [...start(0xb5), ...extension]];
}

export function group(closed: boolean): number[] {
  const body = new BitWriter().bits(12, 0).bits(1, 1).bits(12, 0).bits(1, Number(closed)).bits(
    6,
    0,
  );
  return [...start(0xb8), ...body.bytes()];
}

export function picture(options: Mpeg2Picture, mpeg1 = false): number[] {
  const { type, temporalReference, structure = 3, rows = 3, sliceBytes = 20 } = options;
  const header = new BitWriter().bits(10, temporalReference).bits(3, "IPB".indexOf(type) + 1)
    .bits(16, 0xffff).bits(3, 0).bytes();
  const extension = new BitWriter().bits(4, 8).bits(16, 0xffff).bits(2, 0).bits(2, structure)
    .bits(1, Number(options.topFieldFirst ?? false)).bits(5, 0)
    .bits(1, Number(options.repeatFirstField ?? false)).bits(1, 1).bits(8, 0x80).bytes();
  const slices = Array.from(
    { length: rows },
    (_, row) => [...start(row + 1), ...filler(sliceBytes, row + temporalReference)],
  );
  return [...start(0), ...header, ...mpeg1 ? [] : [...start(0xb5), ...extension], ...slices.flat()];
}

/** Access units of an IBBP stream: groups of `I B B P B B`, the I shown third, as encoders do. */
export function ibbp(groups: number, closedGroups = false): number[][] {
  const units: number[][] = [];
  for (let i = 0; i < groups; i++) {
    const headers = [...sequence(), ...group(closedGroups)];
    units.push(
      [...headers, ...picture({ type: "I", temporalReference: 2, sliceBytes: 60 })],
      picture({ type: "B", temporalReference: 0 }),
      picture({ type: "B", temporalReference: 1 }),
      picture({ type: "P", temporalReference: 5, sliceBytes: 40 }),
      picture({ type: "B", temporalReference: 3 }),
      picture({ type: "B", temporalReference: 4 }),
    );
  }
  return units;
}

/** A NAL unit with its start code and emulation prevention. */
export function nal(refIdc: number, type: number, body: number[], zeroByte = true): number[] {
  const out = zeroByte ? [0, 0, 0, 1] : [0, 0, 1];
  out.push((refIdc << 5) | type);
  let zeros = 0;
  for (const byte of body) {
    if (zeros >= 2 && byte <= 3) {
      out.push(3);
      zeros = 0;
    }
    out.push(byte);
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return out;
}

export interface SpsOptions {
  orderType?: 0 | 1 | 2;
  interlaced?: boolean;
  reorderFrames?: number;
  /** Ticks per second of the VUI, two for a frame; 0 leaves it out. */
  timeScale?: number;
}

/** A sequence parameter set of 80x80, main profile, 8 bits of picture order count. */
export function sps(options: SpsOptions = {}): number[] {
  const { orderType = 0, interlaced = false, reorderFrames = 1, timeScale = 50 } = options;
  const bits = new BitWriter().bits(8, 77).bits(8, 0).bits(8, 30).ue(0).ue(0).ue(orderType);
  if (orderType === 0) bits.ue(4);
  if (orderType === 1) bits.bits(1, 0).se(-1).se(1).ue(1).se(4);
  bits.ue(2).bits(1, 0).ue(4).ue(interlaced ? 2 : 4).bits(1, Number(!interlaced));
  if (interlaced) bits.bits(1, 0);
  bits.bits(1, 1).bits(1, 0).bits(1, 1); // direct 8x8, no cropping, VUI
  bits.bits(4, 0).bits(1, Number(timeScale > 0));
  if (timeScale > 0) bits.bits(32, 1).bits(32, timeScale).bits(1, 1);
  bits.bits(3, 0).bits(1, 1); // no HRD, no pic_struct; bitstream restriction
  bits.bits(1, 1).ue(0).ue(0).ue(10).ue(10).ue(reorderFrames).ue(4);
  return nal(3, 7, bits.bits(1, 1).bytes());
}

export function pps(options: { id?: number; redundant?: boolean } = {}): number[] {
  const bits = new BitWriter().ue(options.id ?? 0).ue(0).bits(1, 0).bits(1, 0).ue(0).ue(0).ue(0)
    .bits(3, 0).se(0).se(0).se(0).bits(2, 0).bits(1, Number(options.redundant ?? false));
  return nal(3, 8, bits.bits(1, 1).bytes());
}

export const delimiter = () => nal(0, 9, [0xf0]);
/** An SEI unit: user data first, then a recovery point. */
export const recoveryPoint = () => nal(0, 6, [5, 3, 1, 2, 3, 6, 1, 0xc4, 0x80]);

export interface Slice {
  type: "I" | "P" | "B";
  frameNum: number;
  order: number;
  refIdc?: number;
  idr?: boolean;
  idrId?: number;
  first?: number;
  pps?: number;
  redundant?: number;
  interlaced?: boolean;
  /** Of a field picture. */
  parity?: "top" | "bottom";
  bytes?: number;
  zeroByte?: boolean;
  /** Set for streams whose picture order count type is not 0. */
  orderType?: number;
  deltaOrder?: number;
}

export function slice(options: Slice): number[] {
  const { type, frameNum, order, idr = false, refIdc = type === "B" ? 0 : 2 } = options;
  const bits = new BitWriter().ue(options.first ?? 0).ue(["P", "B", "I"].indexOf(type) + 5)
    .ue(options.pps ?? 0).bits(4, frameNum % 16);
  if (options.interlaced || options.parity) {
    bits.bits(1, Number(options.parity !== undefined));
    if (options.parity) bits.bits(1, Number(options.parity === "bottom"));
  }
  if (idr) bits.ue(options.idrId ?? 0);
  if (options.orderType === 1) bits.se(options.deltaOrder ?? 0);
  else if (options.orderType !== 2) bits.bits(8, order & 255);
  if (options.redundant !== undefined) bits.ue(options.redundant);
  const data = bits.bits(1, 1).bits(7, 0x55).bytes();
  const body = [...data, ...filler(options.bytes ?? 30, frameNum + order)];
  return nal(refIdc, idr ? 5 : 1, body, options.zeroByte ?? true);
}

/** Access units of H.264: IDR, then `P B B` groups, each picture in two slices, no delimiters. */
export function h264Stream(groups: number): number[][] {
  const units: number[][] = [];
  for (let i = 0; i < groups; i++) {
    const two = (options: Slice) => [
      ...slice(options),
      ...slice({ ...options, first: 12, zeroByte: false }),
    ];
    const idr = two({ type: "I", frameNum: 0, order: 0, idr: true, idrId: i % 2, bytes: 90 });
    units.push([...sps(), ...pps(), ...idr]);
    for (let k = 0; k < 2; k++) {
      units.push(
        two({ type: "P", frameNum: k + 1, order: 6 * k + 6, bytes: 50 }),
        two({ type: "B", frameNum: k + 2, order: 6 * k + 2 }),
        two({ type: "B", frameNum: k + 2, order: 6 * k + 4 }),
      );
    }
  }
  return units;
}
