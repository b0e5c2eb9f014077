/**
 * One run: a link with a scheduler, the video through the library's streams on one socket, bulk
 * transfer on another, and the receiver's log at the end. The sender does not see what is lost.
 */

import { setTimeout as delay } from "node:timers/promises";
import {
  type DropReason,
  type FrameCounts,
  type FramePackets,
  monotonic,
  pace,
  packetize,
  type QSocket,
  qsockinit,
  type Scheduler,
} from "../../mod.ts";
import { burstsOf, OVERLOAD, sendBulk } from "./bulk.ts";
import { digestOf, type DropsByLevel, type RunLog, type SentFrame } from "./log.ts";
import { type Remote, startReceiver } from "./remote.ts";
import { watchStalls } from "./stall.ts";
import { kindOf, MARKING, play, QUEUE_MESSAGES, type Video, windowOf } from "./video.ts";

const PROGRESS_MS = 100;
/** What the receiver may need to take the last datagrams from its buffers. */
const SETTLE_MS = 150;
const LIFETIME_SLACK_S = 60;
/** Time to empty a queue in at the end, which by fifo takes a slow link minutes. */
const DRAIN_MS_MAX = 1000;

/** How far a run has come. */
export interface RunProgress {
  scheduler: Scheduler;
  /** Of the video, and its length. */
  seconds: number;
  secondsMax: number;
  burst: boolean;
  /** Nothing more will be sent. */
  done: boolean;
  /** Messages in the link's queue. */
  queued: number;
  /** Frames dropped so far. */
  dropped: number;
}

/** What a run needs. */
export interface RunOptions {
  scheduler: Scheduler;
  video: Video;
  /** Of the link, bytes per second. */
  rate: number;
  /** Of each frame, ms. */
  latency: number;
  seed: number;
  signal: AbortSignal;
  onProgress: (progress: RunProgress) => void;
}

/** Sends the video once. When the signal fires, the log ends there. */
export async function run(options: RunOptions): Promise<RunLog> {
  const { video, latency } = options;
  const lifetime = video.seconds + latency / 1000 + LIFETIME_SLACK_S;
  const receiver = await startReceiver(video.format, lifetime);
  try {
    return await sendTo(receiver, options);
  } finally {
    receiver.kill();
  }
}

async function sendTo(receiver: Remote, options: RunOptions): Promise<RunLog> {
  const { scheduler, video, rate, latency, seed, signal } = options;
  using link = qsockinit({ scheduler, rate, queueMessages: QUEUE_MESSAGES });
  const to = (port: number) => ({ to: { hostname: "127.0.0.1", port } });
  const socket = link.open({ ...to(receiver.ports.video), ...windowOf(video) });
  const bulk = link.open(to(receiver.ports.bulk));
  const bursts = burstsOf(video.seconds);
  const sent: SentFrame[] = [];

  const start = monotonic();
  const stalls = watchStalls();
  const tell = (done: boolean) => {
    const ms = monotonic() - start;
    const { queued, frames } = link.info();
    options.onProgress({
      scheduler,
      seconds: Math.min(ms / 1000, video.seconds),
      secondsMax: video.seconds,
      burst: bursts.some(([from, to]) => ms >= from && ms < to),
      done,
      queued,
      dropped: Object.values(frames.dropped).flat().reduce((sum, count) => sum + count, 0),
    });
  };
  const progress = setInterval(tell, PROGRESS_MS, false);
  const discard = () => {
    socket.close();
    bulk.close();
  };
  signal.addEventListener("abort", discard);
  try {
    const sending = sendBulk(bulk, {
      start,
      bursts,
      bytesPerSecond: OVERLOAD * rate - Math.min(video.bytesPerSecond, (OVERLOAD - 1) * rate),
      seed,
      signal,
    });
    await streamOf(play(video.path, video.seconds))
      .pipeThrough(packetize({ format: video.format, marking: MARKING, sequence: 0, latency }))
      .pipeThrough(pace())
      .pipeThrough(record(sent, latency))
      .pipeTo(socket.writable, { preventClose: true, preventAbort: true, signal })
      .catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    await sending;
    // At once: by fifo what is queued of the one stands before what is queued of the other.
    await Promise.all([drain(socket, Math.max(latency, DRAIN_MS_MAX)), drain(bulk, DRAIN_MS_MAX)]);
    const { frames } = link.info(); // of the video alone: the bulk transfer has no frames
    clearInterval(progress);
    tell(true);
    await delay(SETTLE_MS);
    const received = await receiver.finish();
    return onOneTimeLine({
      scheduler,
      seconds: signal.aborted ? (monotonic() - start) / 1000 : video.seconds,
      bursts,
      sent,
      received,
      drops: dropsByLevel(frames),
      stall: stalls(),
    });
  } finally {
    signal.removeEventListener("abort", discard);
    clearInterval(progress);
    stalls();
  }
}

/** Sends what is queued, for `msMax` at most; the rest is discarded, all of it if it is closed. */
async function drain(socket: QSocket, msMax: number): Promise<void> {
  if (socket.handle === 0) return;
  const limit = setTimeout(() => socket.close(), msMax);
  await socket.close({ drain: true });
  clearTimeout(limit);
}

/** What a generator yields, at the speed at which it is read. */
function streamOf<T>(items: AsyncGenerator<T>): ReadableStream<T> {
  return new ReadableStream<T>({
    async pull(controller) {
      const { value, done } = await items.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await items.return(undefined);
    },
  });
}

/** Notes each frame as it is handed to the socket, its times still on `monotonic`. */
function record(sent: SentFrame[], latency: number): TransformStream<FramePackets, FramePackets> {
  let sequence = 0;
  return new TransformStream({
    transform(packets, controller) {
      const { frame, messages } = packets;
      const { groupStart, keyframe, reference, leading } = frame;
      const deadline = messages[0].deadlineAt!;
      sent.push({
        kind: kindOf(frame),
        groupStart,
        keyframe,
        reference,
        leading,
        sequence,
        packets: messages.length,
        dts: deadline - latency,
        deadline,
        digest: digestOf(frame.data),
      });
      sequence += messages.length;
      controller.enqueue(packets);
    },
  });
}

/** Moves all times so that the first frame is due at 0. */
function onOneTimeLine(log: RunLog): RunLog {
  const start = log.sent.length > 0 ? log.sent[0].dts : 0;
  const { packets, frames, bulk, stall } = log.received;
  return {
    ...log,
    sent: log.sent.map((frame) => ({
      ...frame,
      dts: frame.dts - start,
      deadline: frame.deadline - start,
    })),
    received: {
      packets: packets.map(([sequence, at]) => [sequence, at - start]),
      frames,
      stall,
      bulk: bulk.map(([at, bytes]) => [at - start, bytes]),
    },
  };
}

function dropsByLevel({ dropped }: FrameCounts): DropsByLevel {
  const entries = Object.entries(dropped) as [DropReason, readonly number[]][];
  return Object.fromEntries(entries.filter(([, counts]) => counts.some((count) => count > 0)));
}
