/**
 * Frames of a file, a Blob or anything that yields bytes: the convenient way in, over the stages of
 * `demux.ts` and the container reader of `mp4.ts`.
 */

import { open, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { check } from "../ffi/options.ts";
import { Demuxer, demuxOptions, FrameParser, framesOptions } from "./demux.ts";
import type { DemuxOptions, FramesOptions } from "./demux.ts";
import type { ElementaryChunk, Frame } from "./frame.ts";
import { MediaReport } from "./report.ts";
import { containerByMagic } from "./sniff.ts";

const READ_BYTES = 256 * 1024;
const MAGIC_BYTES = 16;
const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
};

const readOptions = framesOptions.extend(demuxOptions.shape);

/** Options of `readFrames()`: those of both stages. */
export type ReadOptions = DemuxOptions & FramesOptions;

/** A path, a Blob or `File`, or bytes as they come (a `ReadableStream`, a Node stream, an array). */
export type FrameSource = string | URL | Blob | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Reads the video of a source, frame by frame in decode order, holding only what it must.
 *
 * Throws an `Error` that says what was found if it is no video, or of no codec that is understood,
 * and why if a path cannot be read, with the system's error as its `cause`; TypeError for another
 * kind of source. MP4 and Matroska need a path or a Blob. Leaving the loop early closes the source.
 *
 * @example
 * ```ts
 * import { readFrames } from "qsockets";
 * for await (const { type, pts, data } of readFrames("examples/clip.m2t")) {
 *   console.log(type, pts, data.length);
 * }
 * ```
 */
export async function* readFrames(
  source: FrameSource,
  options: ReadOptions = {},
): AsyncGenerator<Frame, void, undefined> {
  const { codec, accessUnitBytesMax, report = new MediaReport() } = check(
    readOptions,
    options,
    "read frames",
  );
  const parser = new FrameParser({ report, accessUnitBytesMax });
  for await (const chunk of readChunks(source, codec, report)) yield* parser.push(chunk);
  yield* parser.end();
}

async function* readChunks(
  source: FrameSource,
  codec: DemuxOptions["codec"],
  report: MediaReport,
): AsyncGenerator<ElementaryChunk> {
  const path = source instanceof URL ? fileURLToPath(source) : source;
  if (typeof path === "string" || path instanceof Blob) {
    const container = codec ? null : containerByMagic(await magicOf(path));
    if (container !== null) {
      // Loaded on first use: most programs never read these.
      const { readContainer } = await import("./mp4.ts");
      return yield* readContainer(path, container, report);
    }
  }
  let bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  if (typeof path === "string") bytes = readFile(path);
  else bytes = path instanceof Blob ? path.stream() : path;
  if (!isIterable(bytes)) {
    throw new TypeError(
      `Cannot read frames: source must be a path, a Blob or an iterable of Uint8Array, got ${bytes}`,
    );
  }
  const demuxer = new Demuxer({ codec, report });
  for await (const piece of bytes) yield* demuxer.push(piece);
  yield* demuxer.end();
}

async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  const unreadable = refuse(path);
  const file = await open(path).catch(unreadable);
  try {
    for (;;) {
      const { buffer, bytesRead } = await file
        .read(new Uint8Array(READ_BYTES), 0, READ_BYTES, null)
        .catch(unreadable);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Says of the system's error which file it is about, and what is wrong with that. */
function refuse(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const why = REASONS[error.code ?? ""] ?? error.message;
    throw new Error(`Cannot read ${path}: ${why}`, { cause: error });
  };
}

function isIterable(value: unknown): boolean {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

async function magicOf(source: string | Blob): Promise<Uint8Array> {
  if (source instanceof Blob) {
    return new Uint8Array(await source.slice(0, MAGIC_BYTES).arrayBuffer());
  }
  // A pipe cannot be looked into without taking from it.
  const unreadable = refuse(source);
  if (!(await stat(source).catch(unreadable)).isFile()) return new Uint8Array(0);
  const file = await open(source).catch(unreadable);
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(MAGIC_BYTES), 0, MAGIC_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
