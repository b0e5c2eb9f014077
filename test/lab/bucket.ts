// A token bucket, as a careful program would write one in JavaScript: packets leave at a rate, a few at
// once, and a frame that would have to wait for longer than the receiver does is not queued at all.

import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../../mod.ts";

const BURST_BYTES = 3000;
const HEADERS_BYTES = 28;
const TICK_MS = 1;

/** Lets packets go at `rate` bytes per second, headers included. */
export class TokenBucket {
  readonly #rate: number;
  readonly #queueBytesMax: number;
  readonly #send: (data: Uint8Array) => void;
  readonly #queue: Uint8Array[] = [];
  #queueBytes = 0;
  #tokens = BURST_BYTES;
  #filledAt = monotonic();
  readonly #timer = setInterval(() => this.#drain(), TICK_MS);

  constructor(rate: number, latencyMs: number, send: (data: Uint8Array) => void) {
    this.#rate = rate;
    this.#queueBytesMax = rate * latencyMs / 1000;
    this.#send = send;
  }

  /** Takes a frame's packets; false where the queue is so long that nobody will wait for the last. */
  offer(packets: readonly Uint8Array[]): boolean {
    const bytes = packets.reduce((sum, { length }) => sum + length + HEADERS_BYTES, 0);
    if (this.#queueBytes + bytes > this.#queueBytesMax) return false;
    this.#queue.push(...packets);
    this.#queueBytes += bytes;
    this.#drain();
    return true;
  }

  /** Resolves when all that is queued has left. */
  async close(): Promise<void> {
    while (this.#queue.length > 0) await sleep(TICK_MS);
    clearInterval(this.#timer);
  }

  #drain(): void {
    const now = monotonic();
    const filled = this.#tokens + this.#rate * (now - this.#filledAt) / 1000;
    this.#tokens = Math.min(BURST_BYTES, filled);
    this.#filledAt = now;
    while (this.#queue.length > 0 && this.#queue[0].length + HEADERS_BYTES <= this.#tokens) {
      const data = this.#queue.shift()!;
      this.#tokens -= data.length + HEADERS_BYTES;
      this.#queueBytes -= data.length + HEADERS_BYTES;
      this.#send(data);
    }
  }
}
