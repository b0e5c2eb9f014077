/**
 * What became of the samples of one run, as the subscriber sees it: each is in time, late or
 * missing. A sample is missing when a later one of its sensor has come, or its sensor's end, and it
 * has not; if it comes after all (the network may reorder), it is missing no more.
 */

import type { Sample } from "./sample.ts";

/** Counts of samples. */
export interface Counts {
  inTime: number;
  late: number;
  missing: number;
  /** Milliseconds from sending to arrival, of those that came: their sum and the most. */
  delaySum: number;
  delayMax: number;
}

const MISSING_KEPT_MAX = 100_000; // numbers remembered in each sensor, to know them when they come

/** Counts the samples of one run. */
export class Tally {
  readonly total: Counts = zero();
  /** Samples that came twice; counted nowhere else. */
  duplicates = 0;
  #before: Counts = zero();
  #delayMaxSince = 0;
  readonly #next: number[] = [];
  readonly #missing: Set<number>[] = [];
  readonly #ended = new Set<number>();

  /** Takes a sample and the moment of its arrival (ms of `monotonic()`). */
  add(sample: Sample, arrival: number): void {
    const { sensor, number } = sample;
    const next = this.#next[sensor] ??= 0;
    const missing = this.#missing[sensor] ??= new Set();
    if (number < next && !missing.delete(number)) {
      this.duplicates += 1;
      return;
    }
    if (number < next) this.total.missing -= 1;
    else this.#miss(sensor, number, number + 1);
    const delay = arrival - sample.sent;
    this.total.delaySum += delay;
    this.total.delayMax = Math.max(this.total.delayMax, delay);
    this.#delayMaxSince = Math.max(this.#delayMaxSince, delay);
    if (arrival <= sample.due) this.total.inTime += 1;
    else this.total.late += 1;
  }

  /** Takes a sensor's end: `number` samples there were. True when it was the last sensor's. */
  end(sample: Sample): boolean {
    this.#missing[sample.sensor] ??= new Set();
    this.#miss(sample.sensor, sample.number, sample.number);
    this.#ended.add(sample.sensor);
    return this.#ended.size === sample.sensors;
  }

  /** The counts since the last call; `missing` falls below 0 when more came after all. */
  since(): Counts {
    const { total } = this;
    const before = this.#before;
    const delayMax = this.#delayMaxSince;
    this.#before = { ...total };
    this.#delayMaxSince = 0;
    return {
      inTime: total.inTime - before.inTime,
      late: total.late - before.late,
      missing: total.missing - before.missing,
      delaySum: total.delaySum - before.delaySum,
      delayMax,
    };
  }

  /** Everything of this sensor before `number` that has not come is missing. */
  #miss(sensor: number, number: number, next: number): void {
    const from = this.#next[sensor] ?? 0;
    if (next <= from) return;
    const missing = this.#missing[sensor];
    this.total.missing += number - from;
    for (let one = from; one < number && missing.size < MISSING_KEPT_MAX; one++) missing.add(one);
    this.#next[sensor] = next;
  }
}

function zero(): Counts {
  return { inTime: 0, late: 0, missing: 0, delaySum: 0, delayMax: 0 };
}
