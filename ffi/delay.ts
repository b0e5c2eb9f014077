// How long messages waited: the histogram of qinfo, in buckets each twice as wide as the one before.

import { LIMIT } from "./abi.ts";
import type { SocketInfo } from "./info.ts";

/**
 * Where the buckets of {@linkcode SocketInfo.delays} end, in milliseconds: 0.064, 0.128 … 1048.576.
 * Bucket `i` counts delays from `DELAY_EDGES[i - 1]` (the first one from 0) to below
 * `DELAY_EDGES[i]`; the last bucket, one more than there are edges, has no end.
 */
export const DELAY_EDGES: readonly number[] = Array.from(
  { length: LIMIT.QSOCKET_DELAYS - 1 },
  (_, bucket) => LIMIT.QSOCKET_DELAY_NS_MIN * 2 ** bucket / 1e6,
);

/**
 * A time in milliseconds that so much of what was sent (0.99: 99 of 100 messages) did not exceed:
 * the upper edge of the bucket that the percentile is in, or the longest delay where that is less.
 * From 0.064 ms to 1048.576 ms that is at most twice the percentile itself. 0 where nothing was sent.
 * Throws a RangeError for a share that is not above 0 and at most 1.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { delayPercentile, VirtualLink } from "qsockets";
 *
 * using link = new VirtualLink({ scheduler: "edf", rate: "10mbit" });
 * const stream = link.open();
 * for (let i = 0; i < 4; i++) stream.send(1250); // they have left after 1, 2, 3 and 4 ms
 * link.run(10);
 * assert.equal(delayPercentile(stream.info(), 0.25), 1.024);
 * assert.equal(delayPercentile(stream.info(), 0.75), 4); // below 4.096, and none took longer
 * ```
 */
export function delayPercentile(
  info: Pick<SocketInfo, "delays" | "delay">,
  share: number,
): number {
  if (!(share > 0 && share <= 1)) {
    throw new RangeError(
      `Cannot find a percentile of delays: the share must be above 0 and at most 1, got ${share}`,
    );
  }
  const messages = info.delays.reduce((sum, count) => sum + count, 0);
  let left = share * messages;
  const bucket = info.delays.findIndex((count) => (left -= count) <= 0);
  return Math.min(DELAY_EDGES[bucket] ?? Infinity, info.delay.max);
}
