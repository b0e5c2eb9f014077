/**
 * How long a process was kept waiting: a busy machine delays sender and receiver alike, and what
 * they measure then is its doing and not the scheduler's. The report says so.
 */

import { monotonic } from "../../mod.ts";

const STEP_MS = 10;

/** Watches the event loop; call the result to stop, and for the longest wait in ms. */
export function watchStalls(): () => number {
  let longest = 0;
  let last = monotonic();
  const timer = setInterval(() => {
    const now = monotonic();
    longest = Math.max(longest, now - last - STEP_MS);
    last = now;
  }, STEP_MS);
  return () => {
    clearInterval(timer);
    return longest;
  };
}
