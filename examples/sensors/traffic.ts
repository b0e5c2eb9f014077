/**
 * Aperiodic samples: each comes at a moment of its own, with a size and a deadline of its own.
 *
 * The gaps between samples are exponential (a Poisson process: what many independent sources make
 * together), sizes are uniform, and each sample belongs to a random sensor. A sensor has a usual
 * deadline, from fast ones to slow ones in even ratios, and its samples have half to one and a half
 * of it. The same seed always makes the same samples.
 */

/** IPv4 and UDP; the link counts them too. */
const HEADERS_BYTES = 20 + 8;

/** What the samples are to be like. */
export interface Traffic {
  seed: number;
  sensors: number;
  /** Bytes per second of the link. */
  rate: number;
  /** The share of the link that the samples ask for; above 1 is overload. */
  load: number;
  /** Bytes of a sample, least and most. */
  sizes: readonly [number, number];
  /** The usual deadline in ms of the fastest and of the slowest sensor. */
  deadlines: readonly [number, number];
}

/** A sample that is due to be published. */
export interface Arrival {
  /** Milliseconds since the beginning. */
  at: number;
  sensor: number;
  bytes: number;
  /** Milliseconds from `at`. */
  deadline: number;
}

/** The samples, in order of time; there is no last one. */
export function* arrivals(traffic: Traffic): Generator<Arrival, never> {
  const random = generator(traffic.seed);
  const { sensors, sizes: [least, most], deadlines: [fastest, slowest] } = traffic;
  const gap = ((least + most) / 2 + HEADERS_BYTES) / (traffic.rate * traffic.load) * 1000;
  for (let at = 0;;) {
    at += -Math.log(1 - random()) * gap;
    const sensor = Math.floor(random() * sensors);
    const usual = fastest * (slowest / fastest) ** (sensors === 1 ? 0 : sensor / (sensors - 1));
    yield {
      at,
      sensor,
      bytes: least + Math.floor(random() * (most - least + 1)),
      deadline: usual * (0.5 + random()),
    };
  }
}

/** Mulberry32 (Tommy Ettinger): 32 bits of state, numbers in [0, 1). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}
