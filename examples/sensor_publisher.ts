/**
 * Publishes aperiodic sensor samples with deadlines over a link that is too slow for them, under
 * several ways of sending; sensor_subscriber.ts counts what came of them.
 *
 * 	bun examples/sensor_subscriber.ts &
 * 	bun examples/sensor_publisher.ts --scheduler edf
 * 	bun examples/sensor_publisher.ts --compare
 */

import { Link } from "../mod.ts";
import { type Arguments, asUsage, type Command, readAddress, run, UsageError } from "./command.ts";
import { compare } from "./sensors/compare.ts";
import { publish, type Published, type PublishOptions, type Sending } from "./sensors/publish.ts";
import { SAMPLE_BYTES_MIN, SENSORS_MAX } from "./sensors/sample.ts";
import { bitrate, count, percent, StatusLine } from "./terminal.ts";

const command: Command = {
  file: "sensor_publisher.ts",
  operands: "",
  summary: "Publishes samples at random moments, each of which is worthless after its deadline.",
  options: {
    to: { takes: "HOST:PORT", help: "The subscriber.", default: "127.0.0.1:5010" },
    scheduler: {
      takes: "NAME",
      help: "edf: earliest deadline first, and drops what cannot be in time;\n" +
        "edf-lossless: earliest deadline first, and sends all of it;\n" +
        "plain: first come, first served, as datagrams leave a link of this rate;\n" +
        "none: node:dgram without any rate, for a path that has one.",
      default: "edf",
    },
    compare: {
      help: "Run edf, edf-lossless and plain one after the other, with a subscriber of\n" +
        "its own, and show them side by side.",
    },
    rate: { takes: "RATE", help: 'Of the link: "2mbit", "250kB/s".', default: "2mbit" },
    device: { takes: "NAME", help: "The network device of the link, if it is to be a real one." },
    load: {
      takes: "SHARE",
      help: "What the samples ask of the link; above 1 is too much.",
      default: "1.3",
    },
    seconds: { takes: "N", help: "How long to publish.", default: "10" },
    sensors: { takes: "N", help: "How many publish; each has a socket.", default: "8" },
    sizes: { takes: "BYTES", help: "Of a sample, least and most.", default: "200-1200" },
    deadlines: {
      takes: "MS",
      help: "The usual deadline of the fastest and of the slowest sensor.",
      default: "40-400",
    },
    margin: {
      takes: "MS",
      help: "Time kept for the way and for the subscriber's own delays.",
      default: "10",
    },
    seed: { takes: "N", help: "The same seed makes the same samples.", default: "1" },
    json: { help: "Print the result as JSON." },
  },
  notes: "A sample has half to one and a half of its sensor's usual deadline. Ctrl-C ends early.",
};

const BYTES_MAX = 1400; // no fragments on any usual path

await run(command, async (args, stopped) => {
  if (args.operands.length > 0) {
    throw new UsageError(`there is no file to give, got "${args.operands[0]}"`);
  }
  const options = await readOptions(args, stopped);
  if (args.has("compare")) return await compare(options, args.has("json"));
  const status = new StatusLine();
  const published = await publish({ ...options, progress: (now) => status.show(line(now)) });
  status.clear();
  if (args.has("json")) console.log(JSON.stringify({ scheduler: options.sending, ...published }));
  else console.log(report(options, published));
});

async function readOptions(args: Arguments, stopped: AbortSignal): Promise<PublishOptions> {
  const sending: Sending = args.choice("scheduler", ["edf", "edf-lossless", "plain", "none"])!;
  const device = args.text("device");
  // The link itself reads the rate, so that all programs understand the same.
  const link = asUsage(() => new Link({ scheduler: "fifo", rate: rateOf(args) }));
  const { rate } = link;
  link.close();
  const deadlines = args.range("deadlines", { least: 1, most: 60_000, unit: " ms" });
  const margin = args.number("margin", { least: 0, most: 60_000, unit: " ms" })!;
  if (margin >= deadlines[0] / 2) {
    throw new UsageError(
      `--margin must be below half of the shortest deadline, ${
        deadlines[0] / 2
      } ms, got "${margin}"`,
    );
  }
  return {
    sending,
    to: await readAddress(args.text("to"), "--to"),
    ...(device !== undefined && { device }),
    rate,
    load: args.number("load", { least: 0.01, most: 100 })!,
    seconds: args.number("seconds", { least: 0.1, most: 86400 })!,
    sensors: args.whole("sensors", { least: 1, most: SENSORS_MAX })!,
    sizes: wholeRange(args.range("sizes", { least: SAMPLE_BYTES_MIN, most: BYTES_MAX })),
    deadlines,
    margin,
    seed: args.whole("seed", { least: 0, most: 2 ** 32 - 1 })!,
    stopped,
  };
}

function wholeRange([least, most]: [number, number]): [number, number] {
  return [Math.round(least), Math.round(most)];
}

function rateOf(args: Arguments): string | number {
  const text = args.text("rate")!;
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function line({ seconds, samples, inTime, late, expired, overflow }: Published): string {
  return `${seconds.toFixed(0)} s: ${samples} samples, ${inTime} in time, ${late} late, ` +
    `${expired} expired, ${overflow} refused`;
}

function report(options: PublishOptions, published: Published): string {
  const { samples, bytes, seconds, inTime, late, expired, overflow, failed } = published;
  const { sending, rate } = options;
  const lines = [
    `${count(samples, "sample")} in ${seconds.toFixed(1)} s by ${sending}` +
    (sending === "none" ? "" : ` on a link of ${bitrate(rate)}`) +
    `, ${bitrate(bytes / options.seconds)} asked for`,
    `  left in time      ${inTime} (${percent(inTime / samples)})`,
    `  left late         ${late}`,
    `  dropped, expired  ${expired}`,
    `  dropped, no room  ${overflow}`,
  ];
  if (failed > 0) lines.push(`  not sent          ${failed} (does a subscriber listen there?)`);
  return lines.join("\n");
}
