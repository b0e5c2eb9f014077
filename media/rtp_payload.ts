/**
 * What an RTP payload format is to the rest of the media layer: a way to split an access unit into
 * payloads, and to join payloads into an access unit again, also when some are missing. Sequence
 * numbers, timestamps and marks are not its business (rtp.ts, packetize.ts, depacketize.ts).
 */

/** A payload as the pieces that it is made of, views where possible; joined, they are its bytes. */
export type Payload = Uint8Array[];

/** What a format may fill. */
export interface SplitLimits {
  /** Most bytes in one payload, above 0. */
  payloadBytes: number;
  /** Cut into equal parts what must be cut, rather than into full ones and a rest. */
  equalSizes: boolean;
}

/** Payloads of one frame that followed each other without a gap. */
export interface PayloadRun {
  payloads: Uint8Array[];
  /** The frame's packets just before these are missing, or may be. */
  headLost: boolean;
  /** The frame's packets just after these are missing, or may be. */
  tailLost: boolean;
}

/** An access unit put together again. */
export interface Joined {
  /** What is whole: slices or NAL units with a missing part are left out, never glued. */
  data: Uint8Array;
  /** Nothing had to be left out. */
  intact: boolean;
}

/**
 * How sure it is that a payload is the first of its access unit: "certain" by the rules of the
 * codec, "likely" because nothing speaks against it.
 */
export type Opening = "certain" | "likely" | "no";

/** One RTP payload format, both ways. None of the three throws on what a network may bring. */
export interface PayloadFormat {
  /** The payloads of an access unit, in order; none when there is nothing to carry. */
  split(accessUnit: Uint8Array, limits: SplitLimits): Payload[];
  /** The access unit of the runs of one frame, in order. */
  join(runs: readonly PayloadRun[]): Joined;
  /** Whether an access unit begins with this payload. */
  opening(payload: Uint8Array): Opening;
}

/** The bytes of all pieces, one after the other. */
export function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  const joined = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/**
 * The size of the parts that `bytes` are cut into when each may have `most`: equal parts but for
 * the last, which has the rest, or full ones.
 */
export function partBytes(bytes: number, most: number, equalSizes: boolean): number {
  return equalSizes ? Math.ceil(bytes / Math.ceil(bytes / most)) : Math.min(bytes, most);
}
