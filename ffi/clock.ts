import { library } from "./library.ts";

/**
 * The time of the clock that `deadlineAt` is on: CLOCK_MONOTONIC in milliseconds, with fractions.
 * It does not jump when the time of day is set, and is the same for every process of the machine.
 *
 * @example
 * ```ts
 * import { monotonic } from "qsockets";
 *
 * const due = monotonic() + 40; // 40 ms from now
 * ```
 */
export function monotonic(): number {
  return Number(library().qsocket_now()) / 1e6;
}
