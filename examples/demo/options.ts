/** The demo's command line. */

import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { VirtualLink } from "../../mod.ts";
import { faultOf } from "../command.ts";

/** The clip that is sent when no file is named. */
const CLIP = fileURLToPath(new URL("../clip.m2t", import.meta.url));
const SECONDS_DEFAULT = 22;
const SECONDS_MAX = 3600;
/** A frame's latency budget: past this no one would call it live. */
export const LATENCY_MS_MAX = 60_000;

export const HELP =
  `Streams a video over a link that bulk transfer overloads, first with the scheduler fifo, then
with dwcs, to a receiver in a process of its own, and shows what arrived.

  npm run demo                       the clip of this folder, 10 Mbit/s, 2 x 22 seconds
  npm run demo -- film.mp4           another video: MPEG-TS or -PS, MPEG-1/2, H.264, MP4, MKV
  npm run demo -- --rate 1mbit       a link on which the video alone does not fit

  --seconds N      how much of the video to send, 2 to ${SECONDS_MAX}; repeats it if it is shorter (${SECONDS_DEFAULT})
  --rate R         rate of the link: 10mbit, 500kbit, 1200kB/s, or bytes per second (10mbit)
  --latency MS     how long after it was due to leave a frame may arrive
                   (200, or more where the link needs more for an I frame)
  --seed N         seed of the bulk transfer's irregularity (1)
  --json FILE      write the results to FILE as JSON
  --out DIR        folder for the plot and the page (a new one for temporary files)
  --check          exit with 1 if an aim is missed
  --help           this text`;

/** What the command line asked for. */
export interface DemoOptions {
  video: string;
  seconds: number;
  /** Of the link, bytes per second. */
  rate: number;
  /** Latency budget of a frame, ms; null: as much as the link needs. */
  latency: number | null;
  seed: number;
  json: string | null;
  /** Folder of the plots; null: a new one for temporary files. */
  out: string | null;
  check: boolean;
}

/** A command line that makes no sense; the message says why. */
export class UsageError extends Error {}

/** Reads the command line; null when it asks for help. Throws UsageError. */
export function parseOptions(args: readonly string[]): DemoOptions | null {
  const { values, positionals } = parse(args);
  if (values.help) return null;
  if (positionals.length > 1) {
    throw new UsageError(
      `one video at a time, got ${positionals.length}: ${positionals.join(" ")}`,
    );
  }
  return {
    video: positionals[0] ?? CLIP,
    seconds: number(values, "seconds", 2, SECONDS_MAX) ?? SECONDS_DEFAULT,
    rate: rate(values.rate ?? "10mbit"),
    latency: number(values, "latency", 1, LATENCY_MS_MAX),
    seed: number(values, "seed", 0, 2 ** 32 - 1, true) ?? 1,
    json: values.json ?? null,
    out: values.out ?? null,
    check: values.check ?? false,
  };
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: text,
        rate: text,
        latency: text,
        seed: text,
        json: text,
        out: text,
        check: flag,
        help: { ...flag, short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(faultOf(error));
  }
}

function number<K extends string>(
  values: Partial<Record<K, string | boolean>>,
  name: K,
  least: number,
  most: number,
  whole = false,
): number | null {
  const text = values[name];
  if (text === undefined) return null;
  const value = text === "" ? NaN : Number(text);
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  const what = whole ? "a whole number" : "a number";
  throw new UsageError(`--${name} must be ${what} from ${least} to ${most}, got "${text}"`);
}

/** The library reads rates; it knows the units. */
function rate(text: string): number {
  try {
    using link = new VirtualLink({ rate: /^[\d.]+$/.test(text) ? Number(text) : text });
    return link.rate;
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new UsageError(
      `--rate ${error.message.replace(/^Cannot open a virtual link: rate /, "")}`,
    );
  }
}
