/**
 * MP4, QuickTime and Matroska files, whose tables mediabunny reads. Their H.264 samples are stored
 * with the length of each NAL unit before it (ISO/IEC 14496-15 section 5.3.4); here they become the
 * byte stream of Annex B, with the parameter sets, which these files keep apart, before every
 * picture at which decoding can begin.
 *
 * Decoding times are not among what the tables are asked for, so they follow from the presentation
 * times, as they do for a decoder: with `n` frames of reordering, the frame that is decoded when a
 * picture is shown comes `n` places after that picture. The first `n` lie before the first picture.
 */

import {
  BlobSource,
  EncodedPacketSink,
  FilePathSource,
  Input,
  MATROSKA,
  MP4,
  QTFF,
} from "mediabunny";
import type { InputVideoTrack } from "mediabunny";
import type { ElementaryChunk } from "./frame.ts";
import { parseSequenceParameters } from "./parameterset.ts";
import type { MediaReport } from "./report.ts";

const SLICE_IDR = 5;
const SPS = 7;
const DELIMITER = 9;
const START_CODE = Uint8Array.of(0, 0, 0, 1);
const PERIOD_DEFAULT_MS = 40;

/** The record that describes H.264 in these containers (14496-15 section 5.3.3.1). */
export interface AvcConfiguration {
  /** Size of the length before each NAL unit, bytes: 1, 2 or 4. */
  lengthBytes: number;
  /** Sequence and picture parameter sets, without lengths or start codes. */
  parameterSets: Uint8Array[];
}

/** Reads an `avcC` record; null if it breaks the syntax. */
export function parseAvcConfiguration(record: Uint8Array): AvcConfiguration | null {
  if (record.length < 7 || record[0] !== 1) return null;
  const parameterSets: Uint8Array[] = [];
  let at = 5;
  for (const mask of [0x1f, 0xff]) {
    let count = record[at] & mask;
    for (at += 1; count > 0; count--) {
      const length = (record[at] << 8) | record[at + 1];
      if (!(at + 2 + length <= record.length)) return null;
      parameterSets.push(record.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    if (at > record.length) return null;
  }
  return { lengthBytes: (record[4] & 3) + 1, parameterSets };
}

/**
 * Turns a sample with lengths into Annex B. `intact` is false if a length does not fit; what comes
 * before it is kept.
 */
export function toAnnexB(
  sample: Uint8Array,
  { lengthBytes, parameterSets }: AvcConfiguration,
  first: boolean,
): { data: Uint8Array; intact: boolean } {
  const units: Uint8Array[] = [];
  let at = 0;
  while (at + lengthBytes < sample.length) {
    let length = 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + sample[at + i];
    at += lengthBytes;
    if (length > sample.length - at) {
      at = sample.length + 1;
      break;
    }
    if (length > 0) units.push(sample.subarray(at, at + length));
    at += length;
  }
  const has = (type: number) => units.some((unit) => (unit[0] & 31) === type);
  if ((first || has(SLICE_IDR)) && !has(SPS)) {
    // A delimiter, where there is one, comes before all else (7.4.1.2.3).
    const delimited = units.length > 0 && (units[0][0] & 31) === DELIMITER;
    units.splice(delimited ? 1 : 0, 0, ...parameterSets);
  }
  const size = units.reduce((sum, unit) => sum + START_CODE.length + unit.length, 0);
  const data = new Uint8Array(size);
  let end = 0;
  for (const unit of units) {
    data.set(START_CODE, end);
    data.set(unit, end + START_CODE.length);
    end += START_CODE.length + unit.length;
  }
  return { data, intact: at === sample.length };
}

/** Decoding times from presentation times given in decode order, ms. */
export class DecodeTimes {
  readonly #reorderFrames: number;
  /** The latest presentation times, ascending; at most one more than are reordered. */
  readonly #shown: number[] = [];
  #count = 0;
  #last = -Infinity;

  constructor(reorderFrames: number) {
    this.#reorderFrames = reorderFrames;
  }

  next(pts: number, durationMs: number): number {
    const shown = this.#shown;
    let at = shown.length;
    while (at > 0 && shown[at - 1] > pts) at -= 1;
    shown.splice(at, 0, pts);
    const missing = this.#reorderFrames - this.#count++;
    let dts = shown[0] - Math.max(missing, 0) * (durationMs || PERIOD_DEFAULT_MS);
    if (missing <= 0) shown.shift();
    dts = Math.min(Math.max(dts, this.#last), pts);
    this.#last = Math.max(this.#last, dts);
    return dts;
  }
}

/**
 * Reads the H.264 track of an MP4, QuickTime or Matroska file, one access unit a chunk, in decode
 * order. Throws an `Error` that names the codecs if there is no such track.
 */
export async function* readContainer(
  file: string | Blob,
  container: "MP4" | "Matroska",
  report: MediaReport,
): AsyncGenerator<ElementaryChunk> {
  report.container = container;
  const source = typeof file === "string" ? new FilePathSource(file) : new BlobSource(file);
  const input = new Input({ source, formats: [MP4, QTFF, MATROSKA] });
  try {
    const track = await chooseTrack(input, container, report);
    const description = (await track.getDecoderConfig())?.description;
    const configuration = description ? parseAvcConfiguration(toBytes(description)) : null;
    if (description && configuration === null) {
      throw new Error(`Cannot read ${container}: its H.264 configuration record is damaged`);
    }
    yield* readTrack(track, configuration, report);
  } catch (error) {
    const { message } = error as Error;
    if (message.startsWith("Cannot ")) throw error;
    throw new Error(`Cannot read ${container}: ${message}`, { cause: error });
  } finally {
    input.dispose();
  }
}

async function chooseTrack(
  input: Input,
  container: string,
  report: MediaReport,
): Promise<InputVideoTrack> {
  const tracks = await input.getTracks();
  const names = await Promise.all(tracks.map(async (track) => {
    const codec = await track.getCodec();
    return codec ?? `${track.type} ${(await track.getInternalCodecId()) ?? "of unknown codec"}`;
  }));
  const chosen = tracks.findIndex((track, i) => track.isVideoTrack() && names[i] === "avc");
  tracks.forEach((track, i) => {
    if (i !== chosen) report.skip(track.id, names[i]);
  });
  if (chosen >= 0) return tracks[chosen] as InputVideoTrack;
  const found = names.length > 0 ? `it carries ${names.join(", ")}` : "it has no tracks";
  throw new Error(`Cannot read ${container}: it must carry H.264 video, but ${found}`);
}

async function* readTrack(
  track: InputVideoTrack,
  configuration: AvcConfiguration | null,
  report: MediaReport,
): AsyncGenerator<ElementaryChunk> {
  const sps = configuration?.parameterSets.find((unit) => (unit[0] & 31) === SPS);
  const times = new DecodeTimes((sps && parseSequenceParameters(sps)?.reorderFrames) ?? 0);
  let first = true;
  for await (const packet of new EncodedPacketSink(track).packets()) {
    const pts = packet.timestamp * 1000;
    const { data, intact } = configuration === null
      ? { data: packet.data, intact: true }
      : toAnnexB(packet.data, configuration, first || packet.type === "key");
    if (!intact) {
      report.lost("packet", 0, `sample at ${pts} ms: a NAL unit is longer than the sample`);
    }
    const dts = times.next(pts, packet.duration * 1000);
    yield { codec: "h264", data, pts, dts, damaged: !intact, timed: true, whole: true };
    first = false;
  }
}

function toBytes(source: AllowSharedBufferSource): Uint8Array {
  if (ArrayBuffer.isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  }
  return new Uint8Array(source);
}
