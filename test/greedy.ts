// Streams on a virtual link that always have something waiting: who gets what, when all want more?

import type { VirtualEvent, VirtualLink, VirtualStream } from "../ffi/simulate.ts";

/** Of the largest packet, where none is said. */
export const PACKET_BYTES_MAX = 1500;

/** Numbers that look random, the same every time. */
function* dice(seed: number): Generator<number, never> {
  for (let state = seed | 1;;) {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    yield (state >>> 0) / 2 ** 32;
  }
}

interface GreedyOptions {
  link: VirtualLink;
  name?: string; // of its class
  seed?: number;
  bytes?: number; // of its largest packet
  weight?: number;
}

/** A stream that always has something waiting, of packets of all sizes. */
export class Greedy {
  readonly stream: VirtualStream;
  readonly #dice: Generator<number, never>;
  readonly #bytesMax: number;

  constructor(options: GreedyOptions) {
    const { link, name, seed = 1, bytes = PACKET_BYTES_MAX, weight = 1 } = options;
    this.stream = link.open({ ...(name === undefined ? {} : { class: name }), weight });
    this.#dice = dice(seed);
    this.#bytesMax = bytes;
  }

  send(count: number, at: number): void {
    for (let i = 0; i < count; i++) {
      this.stream.send(1 + Math.floor(this.#dice.next().value * this.#bytesMax), {}, at);
    }
  }
}

const STEP_MS = 50; // at 10 Mbit/s 83 packets of 750 bytes
/** Packets that it has waiting, at most. */
export const AHEAD = 1000;

/** Runs the link to a time, keeping these streams supplied. */
export function runGreedy(link: VirtualLink, greedy: Greedy[], until: number): VirtualEvent[] {
  const events: VirtualEvent[] = [];
  const waiting = greedy.map(({ stream }) => stream.info().queued);
  for (let at = link.now; at < until; at += STEP_MS) {
    greedy.forEach((one, i) => {
      one.send(AHEAD - waiting[i], at);
      waiting[i] = AHEAD;
    });
    const stepped = link.run(Math.min(at + STEP_MS, until));
    for (const { stream } of stepped) {
      const i = greedy.findIndex((one) => one.stream.id === stream);
      if (i >= 0) waiting[i] -= 1;
    }
    events.push(...stepped);
  }
  return events;
}

/** Bytes that each of the streams was served. */
export function bytesOf(events: VirtualEvent[], streams: Greedy[]): number[] {
  return streams.map(({ stream }) =>
    events.reduce((sum, event) => sum + (event.stream === stream.id ? event.bytes : 0), 0)
  );
}
