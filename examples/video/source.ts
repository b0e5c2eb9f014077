/**
 * A video file as a stream of frames that goes on for as long as it is wanted, on one time line:
 * repeated without a jump where the file begins anew, and faster or slower than it was recorded.
 */

import { basename } from "node:path";
import { type Frame, MediaReport, readFrames, type VideoCodec } from "../../mod.ts";

/** How to play a file. */
export interface SourceOptions {
  /** Begin anew at the end, for ever. */
  loop: boolean;
  /** 2 is twice as fast. Times of frames are divided by it, so that players follow. */
  speed: number;
  /** Ends the stream. */
  stopped: AbortSignal;
}

/** A file that has been opened. */
export interface Source {
  frames: ReadableStream<Frame>;
  codec: VideoCodec;
  /** The first frame; that of H.264 has the parameter sets, as a rule. */
  first: Frame;
  /** From one frame to the next, ms, with the speed counted in. */
  interval: number;
  /** What could not be read; grows as the file is read. */
  report: MediaReport;
}

/** Frames read ahead to find out how many there are in a second. */
const LOOK_AHEAD_FRAMES = 24;
const INTERVAL_MS_DEFAULT = 40;

/** Opens a file; throws an Error when it has no video that is understood. */
export async function openSource(path: string, options: SourceOptions): Promise<Source> {
  const report = new MediaReport();
  const reader = play(path, report, options);
  const ahead: Frame[] = [];
  try {
    while (ahead.length < LOOK_AHEAD_FRAMES) {
      const { value, done } = await reader.next();
      if (done) break;
      ahead.push(value);
    }
  } catch (error) {
    throw new Error(`Cannot play ${basename(path)}: ${reason(error)}`, { cause: error });
  }
  if (ahead.length === 0) {
    const other = report.skipped.map(({ codec }) => codec).join(", ");
    throw new Error(
      `Cannot play ${basename(path)}: it holds no MPEG-1, MPEG-2 or H.264 picture` +
        (other && `, but ${other}`),
    );
  }
  const first = ahead.find((frame) => frame.keyframe) ?? ahead[0];
  const interval = usualInterval(ahead);
  return {
    frames: stream(ahead, reader),
    codec: first.codec,
    first,
    interval,
    report,
  };
}

/** All frames, one pass after the other, with times on one line. */
async function* play(
  path: string,
  report: MediaReport,
  { loop, speed, stopped }: SourceOptions,
): AsyncGenerator<Frame, void> {
  let index = 0;
  let shift = 0;
  do {
    const passStart = index;
    let first: number | null = null;
    let last = 0; // decoding time, on the common line
    let lastInterval = INTERVAL_MS_DEFAULT;
    for await (const frame of readFrames(path, { report })) {
      if (stopped.aborted) return;
      const dts = frame.dts === null ? null : frame.dts / speed + shift;
      if (dts !== null) {
        if (first !== null && dts > last) lastInterval = dts - last;
        first ??= dts;
        last = dts;
      }
      const pts = frame.pts === null ? null : frame.pts / speed + shift;
      yield { ...frame, index: index++, pts, dts };
    }
    if (index === passStart) return;
    if (first !== null) shift += last + lastInterval - first;
  } while (loop && !stopped.aborted);
}

/** The frames read ahead, and then the rest as they are wanted. */
function stream(ahead: Frame[], reader: AsyncGenerator<Frame, void>): ReadableStream<Frame> {
  return new ReadableStream({
    async pull(controller) {
      const frame = ahead.shift() ?? (await reader.next()).value;
      if (frame) controller.enqueue(frame);
      else controller.close();
    },
    async cancel() {
      await reader.return();
    },
  });
}

/** The median distance of decoding times: a few odd ones do not matter. */
function usualInterval(frames: readonly Frame[]): number {
  const steps: number[] = [];
  for (let i = 1; i < frames.length; i++) {
    const [a, b] = [frames[i - 1].dts, frames[i].dts];
    if (a !== null && b !== null && b > a) steps.push(b - a);
  }
  steps.sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? INTERVAL_MS_DEFAULT;
}

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^Cannot [^:]*: /, "");
}
