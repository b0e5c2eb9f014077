// Messages for the tests of sockets, and what must hold of the counters at every moment.

import assert from "node:assert/strict";
import type { SocketInfo } from "../ffi/info.ts";

/** A message of which every byte can be told from its neighbours' and its number. */
export function message(number: number, bytes = 1000): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => number + index * 7);
}

/** Messages dropped, whatever the reason. */
export function lost({ dropped }: SocketInfo): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

/** Every message that was accepted is in exactly one counter, and so is every byte. */
export function assertCounted(info: SocketInfo): void {
  assert.equal(info.offered, info.sent + info.late + lost(info) + info.queued, "messages");
  assert.equal(info.offeredBytes, info.sentBytes + info.droppedBytes + info.queuedBytes, "bytes");
  const delayed = info.delays.reduce((sum, count) => sum + count, 0);
  assert.equal(delayed, info.sent + info.late, "delays");
  assert.equal(info.droppedByPriority.reduce((sum, count) => sum + count, 0), lost(info));
}
