/**
 * Bulk transfer: datagrams that no one waits for, as many as the link will take and more. It comes
 * in two bursts, unevenly from one moment to the next, so that the queue is full now and then not;
 * a seed makes two runs alike.
 */

import { setTimeout as delay } from "node:timers/promises";
import { monotonic, QError, type QSocket } from "../../mod.ts";
import type { Burst } from "./log.ts";

/** What all streams together offer in a burst, as a multiple of the link's rate. */
export const OVERLOAD = 2.5;

const DATAGRAM_BYTES = 1200;
const STEP_MS = 4;
/** A sender that was kept waiting makes up for so much, and no more. */
const BEHIND_MS_MAX = 100;
const UNEVENNESS = 0.5;

/** When the bursts are, ms, in a run of so many seconds. */
export function burstsOf(seconds: number): [Burst, Burst] {
  const ms = seconds * 1000;
  return [[ms / 4, ms * 5 / 12], [ms * 7 / 12, ms * 9 / 12]];
}

/**
 * Offers `bytesPerSecond` during the bursts, which count from `start` (ms on `monotonic`). Resolves
 * when the last one is over or the signal fires. What the link's queue refuses is lost, as it
 * would be on the way.
 */
export async function sendBulk(
  socket: QSocket,
  options: {
    start: number;
    bursts: readonly Burst[];
    bytesPerSecond: number;
    seed: number;
    signal: AbortSignal;
  },
): Promise<void> {
  const { start, bursts, bytesPerSecond, signal } = options;
  const random = mulberry32(options.seed);
  const datagram = new Uint8Array(DATAGRAM_BYTES);
  for (const [from, to] of bursts) {
    if (!await waitUntil(start + from, signal)) return;
    let last = start + from;
    let owed = 0;
    for (let now = monotonic(); now < start + to; now = monotonic()) {
      const ms = Math.min(now - last, BEHIND_MS_MAX);
      last = now;
      owed += bytesPerSecond * ms / 1000 * (1 + UNEVENNESS * (2 * random() - 1));
      // On a fast link that is more than a program can offer and still serve the video.
      for (; owed >= DATAGRAM_BYTES && monotonic() < now + STEP_MS; owed -= DATAGRAM_BYTES) {
        offer(socket, datagram);
      }
      owed %= DATAGRAM_BYTES;
      if (!await waitUntil(now + STEP_MS, signal)) return;
    }
  }
}

function offer(socket: QSocket, datagram: Uint8Array): void {
  try {
    socket.send(datagram);
  } catch (error) {
    if (!(error instanceof QError) || error.code !== "ENOBUFS") throw error;
  }
}

/** False when the signal fired first. */
async function waitUntil(at: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(Math.max(0, at - monotonic()), undefined, { signal });
    return true;
  } catch {
    return false;
  }
}

/** Numbers from 0 up to 1: the generator "mulberry32" of Tommy Ettinger, of the public domain. */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}
