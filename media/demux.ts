/**
 * From bytes to frames in two stages, each a `TransformStream` over a synchronous core. `demux()`
 * finds out what the input is and takes the video out of its container; `frames()` cuts it into
 * access units. Both give the same result however the input is cut, and hold no more than one
 * access unit of at most `ACCESS_UNIT_BYTES_MAX`.
 */

import * as z from "zod";
import { check } from "../ffi/options.ts";
import type { ElementaryChunk, Frame, VideoCodec } from "./frame.ts";
import { H264Parser } from "./h264.ts";
import { Mpeg2Parser } from "./mpeg2.ts";
import { PsDemuxer } from "./mpegps.ts";
import { TsDemuxer } from "./mpegts.ts";
import { MediaReport } from "./report.ts";
import { sniff, SNIFF_BYTES_MIN } from "./sniff.ts";
import type { Container } from "./sniff.ts";

const report = z.instanceof(MediaReport, { error: "must be a MediaReport" }).optional();

export const demuxOptions = z.strictObject({
  /** Takes note of what is lost or skipped, and of the container. */
  report,
  /** Reads the input as a bare elementary stream of this codec, whatever it looks like. */
  codec: z.enum(["mpeg1", "mpeg2", "h264"], { error: 'must be "mpeg1", "mpeg2" or "h264"' })
    .optional(),
});

export const framesOptions = z.strictObject({
  /** Takes note of what is lost. */
  report,
  /** Larger access units are thrown away and reported, bytes. */
  accessUnitBytesMax: z.number().int().positive({ error: "must be above 0" }).optional(),
});

/** Options of {@linkcode demux}: where to report, and which codec to take a bare stream for. */
export type DemuxOptions = z.infer<typeof demuxOptions>;
/** Options of {@linkcode frames}: where to report, and how large an access unit may be. */
export type FramesOptions = z.infer<typeof framesOptions>;

/** What both stages are made of. */
interface Core<I, O> {
  push(input: I): O[];
  end(): O[];
}

/**
 * Bytes to chunks of one elementary stream; the synchronous core of `demux()`, with its errors.
 *
 * @example
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { Demuxer } from "qsockets";
 * const demuxer = new Demuxer();
 * const chunks = [...demuxer.push(readFileSync("examples/clip.m2t")), ...demuxer.end()];
 * console.log(chunks[0].codec); // mpeg2
 * ```
 */
export class Demuxer implements Core<Uint8Array, ElementaryChunk> {
  readonly #report: MediaReport;
  #inner: Core<Uint8Array, ElementaryChunk> | null = null;
  /** What came before it was known what the input is. */
  #head: Uint8Array[] = [];
  #headBytes = 0;
  #wantedBytes = SNIFF_BYTES_MIN;

  constructor(options: DemuxOptions = {}) {
    const { report, codec } = check(demuxOptions, options, "demux");
    this.#report = report ?? new MediaReport();
    if (codec !== undefined) this.#begin("elementary stream", codec);
  }

  push(bytes: Uint8Array): ElementaryChunk[] {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Cannot demux: input must be Uint8Array, got ${typeof bytes}`);
    }
    if (this.#inner !== null) return this.#inner.push(bytes);
    this.#head.push(bytes);
    this.#headBytes += bytes.length;
    return this.#headBytes < this.#wantedBytes ? [] : this.#sniff(false);
  }

  end(): ElementaryChunk[] {
    const chunks = this.#inner === null ? this.#sniff(true) : [];
    return chunks.concat(this.#inner!.end());
  }

  #sniff(final: boolean): ElementaryChunk[] {
    const head = new Uint8Array(this.#headBytes);
    let at = 0;
    for (const part of this.#head) {
      head.set(part, at);
      at += part.length;
    }
    this.#head = [head];
    while (this.#wantedBytes <= this.#headBytes) this.#wantedBytes *= 2;
    const found = sniff(head, final);
    if (found === null) return [];
    this.#head = [];
    return this.#begin(found.container, found.codec).push(head);
  }

  #begin(container: Container, codec: VideoCodec | null): Core<Uint8Array, ElementaryChunk> {
    if (container === "MP4" || container === "Matroska") {
      throw new Error(
        `Cannot demux a stream of ${container}: its index may stand at the end; ` +
          "give the file's path or a Blob to readFrames()",
      );
    }
    const report = this.#report;
    report.container = container;
    if (container === "MPEG-TS") this.#inner = new TsDemuxer({ report });
    else if (container === "MPEG-PS") this.#inner = new PsDemuxer({ report, codec: codec! });
    else this.#inner = bare(codec!);
    return this.#inner;
  }
}

/** An elementary stream without a container is its own only chunk. */
function bare(codec: VideoCodec): Core<Uint8Array, ElementaryChunk> {
  return {
    push: (data) => [{ codec, data, pts: null, dts: null, damaged: false }],
    end: () => [],
  };
}

/**
 * Chunks to frames; the synchronous core of `frames()`.
 *
 * @example
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { Demuxer, FrameParser } from "qsockets";
 * const parser = new FrameParser();
 * for (const chunk of new Demuxer().push(readFileSync("examples/clip.m2t"))) {
 *   for (const frame of parser.push(chunk)) console.log(frame.type, frame.pts);
 * }
 * ```
 */
export class FrameParser implements Core<ElementaryChunk, Frame> {
  readonly #options: FramesOptions;
  #inner: Core<ElementaryChunk, Frame> | null = null;
  #family: "mpeg" | "h264" | null = null;
  #index = 0;

  constructor(options: FramesOptions = {}) {
    this.#options = check(framesOptions, options, "cut frames");
  }

  push(chunk: ElementaryChunk): Frame[] {
    const family = chunk.codec === "h264" ? "h264" : "mpeg";
    const frames: Frame[] = [];
    if (family !== this.#family) {
      frames.push(...this.end());
      this.#family = family;
      this.#inner = chunk.codec === "h264"
        ? new H264Parser(this.#options)
        : new Mpeg2Parser({ ...this.#options, codec: chunk.codec });
    }
    return frames.concat(this.#count(this.#inner!.push(chunk)));
  }

  end(): Frame[] {
    return this.#inner === null ? [] : this.#count(this.#inner.end());
  }

  /** Frames are counted through, also where the codec changes. */
  #count(frames: Frame[]): Frame[] {
    for (const frame of frames) frame.index = this.#index++;
    return frames;
  }
}

/**
 * A stage that takes the video out of an MPEG transport or program stream, or passes on a bare
 * MPEG-1, MPEG-2 or H.264 stream. It errs if the input is none of these, or carries no such video,
 * and says what it carries instead. MP4 and Matroska cannot be read front to back: see
 * `readFrames()`.
 *
 * @example
 * ```ts
 * import { openAsBlob } from "node:fs";
 * import { demux, frames } from "qsockets";
 * const file = await openAsBlob("examples/clip.m2t");
 * for await (const frame of file.stream().pipeThrough(demux()).pipeThrough(frames())) {
 *   console.log(frame.type, frame.pts);
 * }
 * ```
 */
export function demux(options?: DemuxOptions): TransformStream<Uint8Array, ElementaryChunk> {
  return stage(new Demuxer(options));
}

/**
 * A stage that cuts elementary streams into frames, in decode order.
 *
 * @example
 * ```ts
 * import { frames, MediaReport } from "qsockets";
 * const report = new MediaReport();
 * const stage = frames({ report });
 * ```
 */
export function frames(options?: FramesOptions): TransformStream<ElementaryChunk, Frame> {
  return stage(new FrameParser(options));
}

function stage<I, O>(core: Core<I, O>): TransformStream<I, O> {
  return new TransformStream<I, O>({
    transform(input, controller) {
      for (const output of core.push(input)) controller.enqueue(output);
    },
    flush(controller) {
      for (const output of core.end()) controller.enqueue(output);
    },
  });
}
