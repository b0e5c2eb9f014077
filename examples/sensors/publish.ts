/**
 * Publishes samples for a while under one kind of sending, and says what the sender knows of their
 * fate. Each sensor has a socket of its own, and all share one link, so that the scheduler can put
 * an urgent sample before one that can wait.
 */

import { createSocket } from "node:dgram";
import { setTimeout as delay } from "node:timers/promises";
import { type Address, Link, monotonic, QError, type QSocket } from "../../mod.ts";
import { type Sample, SAMPLE_BYTES_MIN, writeSample } from "./sample.ts";
import { arrivals, type Traffic } from "./traffic.ts";

/**
 * - `edf`: the earliest deadline first; what cannot be in time any more is dropped
 * - `edf-lossless`: the earliest deadline first, and nothing is dropped for being late
 * - `plain`: first come, first served, into a queue that drops what finds it full: what becomes of
 *   plain datagrams on a link of this rate
 * - `none`: `node:dgram`, with no rate at all: for a path that has its own
 */
export type Sending = "edf" | "edf-lossless" | "plain" | "none";

/** What is published, how, and to whom. */
export interface PublishOptions extends Traffic {
  sending: Sending;
  to: Address;
  device?: string;
  seconds: number;
  /** Milliseconds that the network and the subscriber take: so much before it is due, a sample
   * must have left. */
  margin: number;
  /** Ends the publishing early. */
  stopped: AbortSignal;
  /** Told about once a second. */
  progress?: (published: Published) => void;
}

/** What the sender knows. */
export interface Published {
  /** Samples published so far. */
  samples: number;
  bytes: number;
  /** Samples sent in time, and late; as far as the sender can tell. */
  inTime: number;
  late: number;
  /** Not sent because they were to be late. */
  expired: number;
  /** Not sent because the queue was full. */
  overflow: number;
  /** Not sent for other reasons. */
  failed: number;
  /** Seconds since the beginning. */
  seconds: number;
}

/** The messages that a plain link keeps: a Linux device's own queue has 1000 places. */
const PLAIN_QUEUE_MESSAGES = 1000;
const ENDS_SENT = 3; // the network may lose one

/** Where samples go. */
interface Outlet {
  send(data: Uint8Array, sample: Sample): void;
  /** Counts so far. */
  counts(): Omit<Published, "samples" | "bytes" | "seconds">;
  /** Sends what is queued, unless `discard`. */
  close(discard: boolean): Promise<void>;
}

/** Publishes until the time is over or `stopped` fires; resolves when all has been sent. */
export async function publish(options: PublishOptions): Promise<Published> {
  const { sensors, seconds, stopped, progress } = options;
  const outlet = options.sending === "none" ? plainOutlet(options) : linkOutlet(options);
  const numbers = new Uint32Array(sensors);
  const run = crypto.getRandomValues(new Uint16Array(1))[0];
  const buffer = new Uint8Array(Math.max(SAMPLE_BYTES_MIN, options.sizes[1]));
  const start = monotonic();
  const published = { samples: 0, bytes: 0 };
  const state = (): Published => ({
    ...published,
    ...outlet.counts(),
    seconds: (monotonic() - start) / 1000,
  });
  let shown = start;
  try {
    for (const arrival of arrivals(options)) {
      if (arrival.at >= seconds * 1000) break;
      const at = start + arrival.at;
      if (await waitUntil(at, stopped)) break;
      const sent = monotonic();
      const { sensor } = arrival;
      const number = numbers[sensor]++;
      const data = buffer.subarray(0, arrival.bytes);
      const sample: Sample = {
        kind: "sample",
        sensor,
        sensors,
        run,
        number,
        sent,
        due: at + arrival.deadline, // however late this program itself is
      };
      writeSample(data, sample);
      outlet.send(data, sample);
      published.samples += 1;
      published.bytes += data.byteLength;
      if (progress && sent - shown >= 1000) {
        shown = sent;
        progress(state());
      }
    }
    await outlet.close(stopped.aborted);
    await sendEnds(options.to, run, numbers);
    return state();
  } finally {
    await outlet.close(true);
  }
}

/** Waits for a moment of `monotonic()`; true when it was stopped instead. */
async function waitUntil(at: number, stopped: AbortSignal): Promise<boolean> {
  for (let wait = at - monotonic(); wait > 0 && !stopped.aborted; wait = at - monotonic()) {
    await delay(wait, undefined, { signal: stopped }).catch(() => {});
  }
  return stopped.aborted;
}

function linkOutlet(options: PublishOptions): Outlet {
  const { sending, rate, device, to, sensors, margin } = options;
  const plain = sending === "plain";
  const link = new Link({
    scheduler: plain ? "fifo" : sending as "edf" | "edf-lossless",
    rate,
    ...(device !== undefined && { device }),
    ...(plain && { queueMessages: PLAIN_QUEUE_MESSAGES }),
  });
  const sockets: QSocket[] = [];
  let final: ReturnType<Outlet["counts"]> | null = null;
  const counts = () => {
    const { sent, late, dropped } = link.info();
    return {
      inTime: sent,
      late,
      expired: dropped.expired,
      overflow: dropped.overflow,
      failed: dropped.error + dropped.closed,
    };
  };
  try {
    while (sockets.length < sensors) sockets.push(link.open({ to }));
  } catch (error) {
    link.close();
    throw error;
  }
  return {
    send(data, { sensor, due }) {
      try {
        sockets[sensor].send(data, { deadlineAt: due - margin });
      } catch (error) {
        // Full, or too late already: counted by the scheduler, and what this program is about.
        if (!(error instanceof QError && ["ENOBUFS", "ETIME"].includes(error.code))) throw error;
      }
    },
    counts: () => final ?? counts(),
    async close(discard) {
      if (final) return;
      if (discard) sockets.forEach((socket) => socket.close());
      else await Promise.all(sockets.map((socket) => socket.close({ drain: true })));
      final = counts();
      link.close();
    },
  };
}

function plainOutlet({ to }: PublishOptions): Outlet {
  const socket = createSocket(to.hostname.includes(":") ? "udp6" : "udp4");
  const counts = { inTime: 0, late: 0, expired: 0, overflow: 0, failed: 0 };
  let waiting = 0;
  let settled = () => {};
  let closed = false;
  return {
    send(data, { due }) {
      waiting += 1;
      socket.send(data.slice(), to.port, to.hostname, (error) => {
        waiting -= 1;
        if (error) counts.failed += 1;
        else counts[monotonic() <= due ? "inTime" : "late"] += 1;
        if (waiting === 0) settled();
      });
    },
    counts: () => ({ ...counts }),
    async close(discard) {
      if (closed) return;
      closed = true;
      if (!discard && waiting > 0) await new Promise<void>((resolve) => settled = resolve);
      socket.close();
    },
  };
}

/** Tells the subscriber how many samples each sensor had. */
async function sendEnds(to: Address, run: number, numbers: Uint32Array): Promise<void> {
  const socket = createSocket(to.hostname.includes(":") ? "udp6" : "udp4");
  const now = monotonic();
  for (let time = 0; time < ENDS_SENT; time++) {
    for (const [sensor, number] of numbers.entries()) {
      const data = new Uint8Array(SAMPLE_BYTES_MIN);
      const sensors = numbers.length;
      writeSample(data, { kind: "end", sensor, sensors, run, number, sent: now, due: now });
      await new Promise<void>((resolve) =>
        socket.send(data, to.port, to.hostname, () => resolve())
      );
    }
    await delay(10);
  }
  socket.close();
}
