/**
 * Prepares a network device for all programs of the machine, shows who sends on it, and gives it
 * back: `qsock init eth0 --rate 10mbit`, `qsock top eth0`, `qsock off eth0`.
 */

import process from "node:process";
import { type Link, QError, qlist, qsockinit, restoreDevice } from "../mod.ts";
import type { LinkOptions } from "../mod.ts";
import { type Arguments, asUsage, type Command, run, UsageError } from "./command.ts";
import { devices, type Found, join } from "./qsock/device.ts";
import { linkLines, linkRecord, streamRecord, streamTable, unseen } from "./qsock/show.ts";
import { top } from "./qsock/top.ts";
import { bitrate, count, table } from "./terminal.ts";

const FILE = "qsock.ts";
const STREAMS = "16384";
const JSON_OPTION = { json: { help: "Print it as JSON, on one line." } };

/** What kind of scheduler below the stack it is. */
const GATES = { syscall: "in the kernel", module: "in a module of the kernel", bpf: "in BPF" };

const init: Command = {
  file: FILE,
  operands: "init DEV --rate RATE",
  summary:
    "Prepares a device for all programs (root, once, at system start). The scheduler is the\n" +
    "device's own queue where the kernel can have it there; else other traffic is kept away\n" +
    "from what each program schedules. It says which, and why it is no better one.\n" +
    "Said again with another rate, group or mode, it changes them.",
  options: {
    rate: { takes: "RATE", help: 'What the device can send: "10mbit", "1200kB/s".' },
    scheduler: {
      takes: "NAME",
      help: "dwcs, dwcs99, vds, edf, edf-lossless, sfq or fifo.",
      default: "dwcs",
    },
    group: { takes: "NAME", help: "The group that may open streams, by name or number." },
    mode: { takes: "MODE", help: "Who may, as of a file's write permission.", default: "0660" },
    streams: { takes: "N", help: "Most of them at once.", default: STREAMS },
    host: { takes: "HOST", help: '"below" or "isolated", and no other. Default: the best.' },
    replace: { help: "Take the place of a qdisc that somebody configured, or another scheduler." },
  },
};

const info: Command = {
  file: FILE,
  operands: "info DEV",
  summary: "Shows a device's scheduler, what became of its traffic, and its streams.",
  options: JSON_OPTION,
};

const watch: Command = {
  file: FILE,
  operands: "top DEV",
  summary: "Shows the streams of a device as they send, the busiest first; q or Ctrl-C ends it.\n" +
    "Root sees those of all programs, where the scheduler is below the stack.",
  options: {
    interval: { takes: "MS", help: "Between two looks.", default: "1000" },
    once: { help: "Look once, after one interval, and end." },
  },
};

const off: Command = {
  file: FILE,
  operands: "off DEV",
  summary: "Makes a device what it was before init (root).",
  options: {},
};

const list: Command = {
  file: FILE,
  operands: "list",
  summary: "Lists the devices that are initialised.",
  options: JSON_OPTION,
};

const all: Command = {
  file: FILE,
  operands: "init|info|top|off|list",
  summary: "A network device with a scheduler, for all programs of this machine:\n\n" +
    "  init DEV --rate RATE   prepares it\n" +
    "  info DEV               its scheduler, counters and streams\n" +
    "  top DEV                its streams as they send\n" +
    "  off DEV                makes it what it was\n" +
    "  list                   those that are initialised\n\n" +
    'Each has its own options: "init --help".',
  options: {},
};

const commands = { init: [init, doInit], info: [info, doInfo], top: [watch, doTop] } as const;
const others = { off: [off, doOff], list: [list, doList] } as const;

function doInit(args: Arguments): void {
  const device = deviceOf(args, init);
  const rate = args.text("rate");
  if (rate === undefined) throw new UsageError("--rate RATE is missing");
  const host = args.text("host");
  if (host !== undefined && host !== "below" && host !== "isolated") {
    throw new UsageError(`--host must be "below" or "isolated", got "${host}"`);
  }
  const options = {
    device,
    rate,
    scheduler: args.text("scheduler"),
    system: true,
    streams: args.whole("streams", { least: 1, most: 131_072 }),
    mode: modeOf(args.text("mode")!),
    replace: args.has("replace"),
    admission: "off",
    ...(args.has("group") && { group: groupOf(args.text("group")!) }),
    ...(host !== undefined && { host }),
  } as LinkOptions;
  using link = asUsage(() => qsockinit(options));
  const share = link.host === "isolated" ? ` of ${rate}, for managed sockets` : "";
  console.log(`${device}: ${link.scheduler} at ${bitrate(link.rate)}${share}, ${where(link)}`);
}

/** Which host serves a link, by which gate, and why no better one. */
function where(link: Link): string {
  const { gate } = link.info();
  const words = {
    below: `as the device's own queue, below the protocol stack${gate ? `, ${GATES[gate]}` : ""}`,
    isolated: "in each program, other traffic being kept away",
    above: "in each program, for its own traffic alone: nothing was changed",
    virtual: "under a test's clock",
  };
  return words[link.host] + (link.hostReason === "" ? "" : ` (why no better: ${link.hostReason})`);
}

function doInfo(args: Arguments): void {
  const device = deviceOf(args, info);
  using link = join(device);
  const counters = link.info();
  const streams = [...qlist(link)];
  if (args.has("json")) {
    const record = linkRecord(device, link, counters);
    console.log(JSON.stringify({ ...record, streams: streams.map(streamRecord) }));
    return;
  }
  console.log(`${device}: ${link.scheduler} at ${bitrate(link.rate)}, ${where(link)}`);
  console.log(linkLines(counters));
  console.log(`\n${count(streams.length, "stream")} to see. ${unseen(link)}`.trimEnd());
  if (streams.length > 0) console.log(streamTable(streams.map((stream) => ({ stream }))));
}

async function doTop(args: Arguments, stopped: AbortSignal): Promise<void> {
  const device = deviceOf(args, watch);
  const interval = args.number("interval", { least: 10, most: 3_600_000, unit: " ms" })!;
  using link = join(device);
  await top(device, link, { interval, once: args.has("once") }, stopped);
}

function doOff(args: Arguments): void {
  const device = deviceOf(args, off);
  asUsage(() => restoreDevice(device));
  console.log(`${device}: as it was before`);
}

function doList(args: Arguments): void {
  const [extra] = args.operands.slice(1);
  if (extra !== undefined) throw new UsageError(`list takes no DEV, got "${extra}"`);
  const found = devices();
  if (args.has("json")) {
    console.log(JSON.stringify(found));
  } else if (found.length === 0) {
    console.error("no device is initialised");
  } else {
    console.log(table(["device", "scheduler", "rate", "host", "streams"], found.map(row)));
  }
}

function row({ device, scheduler, rate, host, gate, streams }: Found): (string | number)[] {
  if (scheduler === null) return [device, "", "", "(not open to you)", ""];
  return [device, scheduler, bitrate(rate!), gate ? `${host} (${gate})` : host!, streams!];
}

function deviceOf(args: Arguments, { operands }: Command): string {
  const [, device, extra] = args.operands;
  const name = operands.split(" ")[0];
  if (device === undefined) throw new UsageError(`${name} needs a DEV, such as eth0`);
  if (extra !== undefined) throw new UsageError(`${name} takes one DEV, got "${extra}" too`);
  return device;
}

function modeOf(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) {
    throw new UsageError(`--mode must be octal, such as 0660, got "${text}"`);
  }
  return parseInt(text, 8);
}

function groupOf(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** What the library would have a program do, as this program's user does it. */
function inOptions(error: unknown): unknown {
  if (!(error instanceof QError)) return error;
  const message = error.message.replace("pass replace: true", "pass --replace");
  return new Error(message);
}

const wanted = process.argv[2];
const chosen = { ...commands, ...others }[wanted as keyof typeof commands | keyof typeof others];
const [command, main] = chosen ?? [all, () => {
  if (wanted === undefined) throw new UsageError("say what to do: init, info, top, off or list");
  throw new UsageError(`there is no "${wanted}": only init, info, top, off and list`);
}];
await run(command, async (args, stopped) => {
  try {
    await main(args, stopped);
  } catch (error) {
    throw inOptions(error);
  }
});
