/**
 * Bits of a header, most significant first. H.264 puts a 03 after two zero bytes so that a start
 * code cannot occur within a NAL unit (ISO/IEC 14496-10 section 7.4.1); the reader skips it.
 */

const ZERO_BITS_MAX = 32;

/** Reads past the end yield zeros and set `exhausted`, so that a parser checks once, when done. */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #escaped: boolean;
  #at = 0;
  #bit = 0;
  #zeros = 0;
  /** More bits were read than there are. */
  exhausted = false;

  /** @param escaped whether emulation prevention bytes are to be skipped */
  constructor(bytes: Uint8Array, escaped: boolean) {
    this.#bytes = bytes;
    this.#escaped = escaped;
    this.#skipEscape();
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  /** The next `count` bits, at most 32, as a number without sign. */
  bits(count: number): number {
    let value = 0;
    for (let left = count; left > 0;) {
      if (this.#at >= this.#bytes.length) {
        this.exhausted = true;
        return 0;
      }
      const take = Math.min(left, 8 - this.#bit);
      const part = (this.#bytes[this.#at] >> (8 - this.#bit - take)) & ((1 << take) - 1);
      value = value * (1 << take) + part;
      left -= take;
      this.#bit += take;
      if (this.#bit === 8) this.#nextByte();
    }
    return value;
  }

  skip(count: number): void {
    for (let left = count; left > 0; left -= 32) this.bits(Math.min(left, 32));
  }

  /** ue(v): an Exp-Golomb code without sign (section 9.1). */
  ue(): number {
    let zeros = 0;
    while (!this.flag()) {
      zeros += 1;
      if (this.exhausted || zeros > ZERO_BITS_MAX) {
        this.exhausted = true;
        return 0;
      }
    }
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** se(v): an Exp-Golomb code with sign (section 9.1.1). */
  se(): number {
    const code = this.ue();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }

  /** Goes on at the next whole byte. */
  align(): void {
    if (this.#bit > 0) this.#nextByte();
  }

  #nextByte(): void {
    this.#zeros = this.#bytes[this.#at] === 0 ? this.#zeros + 1 : 0;
    this.#at += 1;
    this.#bit = 0;
    this.#skipEscape();
  }

  #skipEscape(): void {
    if (!this.#escaped || this.#zeros < 2 || this.#bytes[this.#at] !== 3) return;
    this.#at += 1;
    this.#zeros = 0;
  }
}
