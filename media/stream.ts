/**
 * The Web Streams between frames and a socket. Each is a thin layer over a synchronous core that
 * tests drive directly: `packetizeFrame`, `Timetable` and `Depacketizer`.
 *
 * Out: `Frame` -> packetize() -> `FramePackets` -> pace() -> socket.writable.
 * Back: datagrams -> depacketize() -> `ReceivedFrame`.
 */

import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { monotonic } from "../ffi/clock.ts";
import { check } from "../ffi/options.ts";
import type { QMessage } from "../ffi/options.ts";
import { Depacketizer } from "./depacketize.ts";
import type { DepacketizeOptions, ReceivedFrame } from "./depacketize.ts";
import type { Frame } from "./frame.ts";
import { Timetable } from "./pace.ts";
import type { Discontinuity } from "./pace.ts";
import { packetizeFrame, packetizer } from "./packetize.ts";
import type { FramePackets, PacketizeOptions } from "./packetize.ts";

/**
 * A stage that turns frames into RTP packets with their flags; see {@linkcode PacketizeOptions}.
 * Frames with nothing to carry are left out. Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import { packetize } from "qsockets";
 * const stage = packetize({ format: "h264", mtu: 1200, latency: 150 });
 * ```
 */
export function packetize(options: PacketizeOptions): TransformStream<Frame, FramePackets> {
  let state = packetizer(options);
  return new TransformStream({
    transform(frame, controller) {
      const result = packetizeFrame(frame, state);
      state = result.state;
      if (result.packets.messages.length > 0) controller.enqueue(result.packets);
    },
  });
}

function callback<F>() {
  const anyFunction: z.ZodType<unknown> = z.instanceof(Function, { error: "must be a function" });
  return (anyFunction as z.ZodType<F, F>).optional();
}

const above0 = z.number({ error: "must be a number" }).positive({ error: "must be above 0" });

const paceOptions = z.strictObject({
  /** 1 for real time, 2 for twice as fast. Default 1. */
  speed: above0.optional(),
  /** The deadline of every message: ms after its frame was to leave. Default: its `deadline`. */
  latency: above0.optional(),
  /** The distance of frames without a decoding time, ms. Default 40, then as it was last. */
  interval: above0.optional(),
  /** The clock, ms. Default `monotonic`, the clock of `deadlineAt`. */
  now: callback<() => number>(),
  /** Waits for so many ms; rejects when the signal fires. */
  sleep: callback<(ms: number, signal: AbortSignal) => Promise<unknown>>(),
  /** Told when the source's time line jumps. */
  onDiscontinuity: callback<(jump: Discontinuity) => void>(),
});

/** Options of {@linkcode pace}. */
export type PaceOptions = z.input<typeof paceOptions>;

/**
 * A stage that lets each frame go at its decoding time, and turns the latency budget into an
 * absolute `deadlineAt`: the clock starts when the frame was to leave, so time that it waits before
 * it is sent counts. Only `messages` are looked at and `dts`. Throws RangeError or TypeError for
 * wrong options. Ending the stream in any way ends a wait.
 *
 * @example
 * ```ts
 * import { pace } from "qsockets";
 * const stage = pace({ latency: 100, onDiscontinuity: ({ from, to }) => console.log(from, to) });
 * ```
 */
export function pace<Packets extends Pick<FramePackets, "dts" | "messages"> = FramePackets>(
  options: PaceOptions = {},
): TransformStream<Packets, Packets> {
  const given = check(paceOptions, options, "pace");
  const now = given.now ?? monotonic;
  const sleep = given.sleep ?? ((ms, signal) => delay(ms, undefined, { signal }));
  const timetable = new Timetable(given);
  const ended = new AbortController();
  let wanted = Promise.withResolvers<void>();
  /** Waits until a frame is due, or the stream has ended; returns the moment. */
  const due = async (dts: number | null): Promise<number> => {
    const { at, discontinuity } = timetable.release(dts, now());
    if (discontinuity) given.onDiscontinuity?.(discontinuity);
    for (let wait = at - now(); wait > 0 && !ended.signal.aborted; wait = at - now()) {
      await sleep(wait, ended.signal).catch((error) => {
        if (!ended.signal.aborted) throw error;
      });
    }
    return at;
  };
  // A TransformStream would hear of an abort only when the wait in progress is over, so the two
  // sides are joined by hand.
  let input: WritableStreamDefaultController;
  let output: ReadableStreamDefaultController<Packets>;
  const readable = new ReadableStream<Packets>({
    start: (controller) => void (output = controller),
    pull: () => wanted.resolve(),
    cancel(reason) {
      ended.abort(reason);
      wanted.resolve();
      input.error(reason);
    },
  }, { highWaterMark: 0 });
  const writable = new WritableStream<Packets>({
    start(controller) {
      input = controller;
      controller.signal.addEventListener("abort", () => {
        ended.abort(controller.signal.reason);
        wanted.resolve();
      });
    },
    async write(packets) {
      try {
        await wanted.promise;
        const at = await due(packets.dts);
        if (ended.signal.aborted) return;
        const messages = packets.messages.map((each) => withDeadline(each, at, given.latency));
        wanted = Promise.withResolvers();
        output.enqueue({ ...packets, messages });
      } catch (error) {
        output.error(error);
        throw error;
      }
    },
    close: () => output.close(),
    abort: (reason) => output.error(reason),
  });
  return { readable, writable };
}

function withDeadline(message: QMessage, at: number, latency: number | undefined): QMessage {
  const budget = latency ?? message.deadline;
  if (budget === undefined) return message;
  const { deadline: _, ...rest } = message;
  return { ...rest, deadlineAt: at + budget };
}

/** The receiving stage, with the counters of its core. */
export interface DepacketizeStream extends TransformStream<Uint8Array, ReceivedFrame> {
  /** Loss, jitter and what was ignored. */
  readonly depacketizer: Depacketizer;
}

/**
 * A stage that puts frames together from RTP datagrams; see {@linkcode DepacketizeOptions}. What is
 * missing makes a frame incomplete, never wrong. Throws RangeError or TypeError for wrong options.
 *
 * @example
 * ```ts
 * import { depacketize } from "qsockets";
 * const stage = depacketize({ format: "mpv" });
 * stage.depacketizer.reception.lost; // 0
 * ```
 */
export function depacketize(options: DepacketizeOptions): DepacketizeStream {
  const depacketizer = new Depacketizer(options);
  const stream = new TransformStream<Uint8Array, ReceivedFrame>({
    transform(datagram, controller) {
      for (const frame of depacketizer.push(datagram, performance.now())) controller.enqueue(frame);
    },
    flush(controller) {
      for (const frame of depacketizer.flush()) controller.enqueue(frame);
    },
  });
  return Object.assign(stream, { depacketizer });
}
