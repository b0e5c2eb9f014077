/**
 * What a parser could not use. Damaged input never stops a parser and is never passed over in
 * silence: each loss is counted here by kind, told to whoever listens, and marked on the next
 * frame. Streams that are whole but not wanted (audio, another codec) are listed as skipped.
 */

/**
 * - `lead-in`: bytes before the first access unit, as when a recording starts in mid-picture
 * - `sync`: bytes between two packets of a transport or program stream
 * - `continuity`: packets that never arrived, seen by their counter
 * - `transport`: packets whose sender or receiver marked them as faulty, or with a bad header
 * - `scrambled`: encrypted packets
 * - `packet`: a PES packet with a bad header or of another length than it says
 * - `section`: a program table with a bad checksum or layout
 * - `syntax`: a start code or header that the codec does not allow there
 * - `oversize`: an access unit beyond `ACCESS_UNIT_BYTES_MAX`
 * - `truncated`: the input ends within a packet
 */
export type DamageKind =
  | "lead-in"
  | "sync"
  | "continuity"
  | "transport"
  | "scrambled"
  | "packet"
  | "section"
  | "syntax"
  | "oversize"
  | "truncated";

/** One loss. */
export interface Damage {
  kind: DamageKind;
  /** Bytes of the input that were thrown away; 0 where they never came, or were kept. */
  bytes: number;
  detail: string;
}

/** A stream of the input that is not turned into frames. */
export interface SkippedStream {
  /** PID of a transport stream, stream id of a program stream, or number of a track. */
  id: number;
  codec: string;
}

/**
 * Counts what the parsers of one source could not use. Pass one to `demux()`, `frames()` or
 * `readFrames()` and read it at any time.
 *
 * @example
 * ```ts
 * import { MediaReport, readFrames } from "qsockets";
 * const report = new MediaReport((damage) => console.error(damage.kind, damage.detail));
 * for await (const frame of readFrames("examples/clip.m2t", { report })) console.log(frame.type);
 * console.log(report.damage.continuity?.count ?? 0, "gaps");
 * ```
 */
export class MediaReport {
  /** What the source turned out to be: "MPEG-TS", "MP4", … ; null until that is known. */
  container: string | null = null;
  /** Counts and discarded bytes of each kind that occurred. */
  readonly damage: Partial<Record<DamageKind, { count: number; bytes: number }>> = {};
  readonly skipped: SkippedStream[] = [];
  readonly #onDamage: ((damage: Damage) => void) | undefined;

  /** @param onDamage is called at each loss, within the parser's call. */
  constructor(onDamage?: (damage: Damage) => void) {
    if (onDamage !== undefined && typeof onDamage !== "function") {
      throw new TypeError(`Cannot report damage: onDamage must be a function, got ${onDamage}`);
    }
    this.#onDamage = onDamage;
  }

  /** Losses of all kinds so far. */
  get damageCount(): number {
    return Object.values(this.damage).reduce((sum, { count }) => sum + count, 0);
  }

  /** Counts one loss; parsers call this. */
  lost(kind: DamageKind, bytes: number, detail: string): void {
    const entry = (this.damage[kind] ??= { count: 0, bytes: 0 });
    entry.count += 1;
    entry.bytes += bytes;
    this.#onDamage?.({ kind, bytes, detail });
  }

  /** Notes a stream that is not used, once; parsers call this. */
  skip(id: number, codec: string): void {
    if (this.skipped.some((stream) => stream.id === id && stream.codec === codec)) return;
    this.skipped.push({ id, codec });
  }
}
