// The loss window of DWCS, in its 2004 form (R. West, Y. Zhang, K. Schwan, C. Poellabauer,
// "Dynamic Window-Constrained Scheduling of Real-Time Streams in Media Servers", IEEE
// Transactions on Computers 53(6), 2004): of every y messages at most x may be lost.
// x' and y' are what is left of the current window. It starts again when both are 0, not when
// they are equal: at x' = y' all that is left may be lost, and yet the next window has not begun.

import { LIMITS } from "./state.ts";
import type { Stream } from "./state.ts";

/** Begins the next window, with all of its losses left. */
function startAgain(stream: Stream): void {
  stream.window = { lost: stream.x, left: stream.y, tagged: false };
}

/** Counts a unit that arrived by its rank. */
export function served(stream: Stream): void {
  if (stream.y === 0) return;
  const window = stream.window;
  if (window.left > window.lost) {
    window.left -= 1;
  } else if (window.lost > 0) {
    window.lost -= 1;
    window.left -= 1;
  }
  if ((window.lost === 0 && window.left === 0) || window.tagged) startAgain(stream);
}

/** Counts a unit that was lost or came after its rank. */
export function missed(stream: Stream): void {
  if (stream.y === 0) return;
  const window = stream.window;
  if (window.lost > 0) {
    window.lost -= 1;
    window.left -= 1;
    if (window.lost === 0 && window.left === 0) startAgain(stream);
  } else {
    window.left = Math.min(window.left + 1, LIMITS.windowLength);
    window.tagged = true;
    stream.counters.violations += 1;
  }
}
