// What callers may pass, and the checks made where it enters. Options of links and sockets are
// checked with zod and their types are inferred from the schemas; the options of a message are
// checked by hand in message.ts, because that path runs for every datagram.

import { readFileSync } from "node:fs";
import * as z from "zod";
import { LIMIT } from "./abi.ts";

const ipgMax = LIMIT.QSOCKET_IPG_NS_MAX / 1e6;

function number(lowest: number, highest: number, unit: string) {
  const error = `must be ${lowest} to ${highest}${unit}`;
  return z.number({ error }).min(lowest, { error }).max(highest, { error });
}

function whole(lowest: number, highest: number, unit = "") {
  return number(lowest, highest, unit).int({
    error: `must be a whole number from ${lowest} to ${highest}${unit}`,
  });
}

const flag = z.boolean({ error: "must be true or false" });

const BITS = { bit: 1, b: 8 } as const;
const PREFIX = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 } as const;

/** Bytes per second of a rate; throws RangeError. The units are decimal, as tc(8) has them. */
export function parseRate(rate: number | string): number {
  let bytes = rate;
  if (typeof bytes === "string") {
    // "b" for bits or "bps" would be read in two ways, so only "bit" and "B" are units.
    const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(bit|B)(?:\/s)?$/.exec(
      bytes.trim().replace(/[KMGT](?=bit|B)/, (prefix) => prefix.toLowerCase()),
    );
    if (!match) {
      throw new RangeError('must be bytes per second, or a string such as "10mbit" or "1200kB/s"');
    }
    const prefix = PREFIX[match[2] as keyof typeof PREFIX];
    bytes = Number(match[1]) * prefix * BITS[match[3].toLowerCase() as keyof typeof BITS] / 8;
  }
  if (!(bytes > 0)) throw new RangeError("must be above 0");
  if (bytes > LIMIT.QSOCKET_RATE_MAX) {
    throw new RangeError(`must be at most ${LIMIT.QSOCKET_RATE_MAX} bytes per second`);
  }
  return Math.ceil(bytes);
}

/** A rate as callers write it, in bytes per second once it is checked. */
export const rate = z.union([z.number(), z.nan(), z.string()], {
  error: 'must be bytes per second, or a string such as "10mbit"',
}).transform((value, context) => {
  try {
    return parseRate(value);
  } catch (error) {
    context.issues.push({ code: "custom", message: (error as Error).message, input: value });
    return z.NEVER;
  }
});

const schedulers = ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "cbq", "fifo"] as const;

const scheduler = z.enum(schedulers, {
  error: 'must be "dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "cbq" or "fifo"',
});

const address = z.strictObject({
  /** An IPv4 or IPv6 address, with `%interface` where it is link-local. Names are not resolved. */
  hostname: z.string({ error: "must be an IP address" }),
  /** 0 to 65535; 0 only in a local address, for any port. */
  port: whole(0, 65535),
}, { error: "must be an address such as { hostname, port }" });

const admission = z.enum(["refuse", "warn", "off"], {
  error: 'must be "refuse", "warn" or "off"',
});

const attributeFields = {
  /** The stream's period, or inter-packet gap, in milliseconds. 0: none, best effort. */
  ipg: number(0, ipgMax, " ms").optional(),
  /** At most `oln` losses ... */
  oln: whole(0, LIMIT.QSOCKET_WINDOW_MAX).optional(),
  /** ... in every `old` frames (messages, where frames are not marked). 0: no loss window. */
  old: whole(0, LIMIT.QSOCKET_WINDOW_MAX).optional(),
  /** `false`: send late rather than drop. */
  droppable: flag.optional(),
  /**
   * Bytes of a frame (of a message, where frames are not marked) on the link, headers included: 28
   * a datagram over IPv4, 48 over IPv6. With `ipg` it says what the stream will need, for
   * `admission`. Default: it does not count there.
   */
  bytes: whole(1, LIMIT.QSOCKET_UNIT_BYTES_MAX).optional(),
  /**
   * What is done where the link's streams would need more than it has: "refuse" throws EBUSY,
   * "warn" warns once for each place in the program, "off" says nothing. Default: the link's.
   */
  admission: admission.optional(),
  /** Most messages queued on this stream. Default 2048. */
  queueMessages: whole(1, LIMIT.QSOCKET_QUEUE_MESSAGES_MAX).optional(),
  /** Most bytes queued on this stream. Default 4 MiB. */
  queueBytes: whole(1, Number.MAX_SAFE_INTEGER).optional(),
  /** Its share beside other streams, under "sfq" and within a class of "cbq". Default 1. */
  weight: whole(1, LIMIT.QSOCKET_WEIGHT_MAX).optional(),
  /** Its class under "cbq", by name: one without classes below it. Default: a class for the rest. */
  class: z.string({ error: "must be the name of a class" }).optional(),
};

const windowRule = {
  error: (issue: { input?: unknown }) =>
    `must be at most old, which is ${(issue.input as { old?: number }).old ?? 0}`,
  path: ["oln"],
};

function windowFits(attributes: { oln?: number; old?: number }): boolean {
  return (attributes.oln ?? 0) <= (attributes.old ?? 0);
}

/** Schema of {@linkcode StreamAttributes}. */
export const streamAttributes = z.strictObject(attributeFields).refine(windowFits, windowRule);

/** Schema of attributes to change: what is not given stays, so the window is checked later. */
export const attributeChanges = z.strictObject(attributeFields);

/** Schema of {@linkcode SocketOptions}. */
export const socketOptions = z.strictObject({
  ...attributeFields,
  /** The transport. Default "udp". */
  type: z.enum(["udp", "tcp"], { error: 'must be "udp" or "tcp"' }).optional(),
  /** The address to bind. Default: any. */
  local: address.optional(),
  /** The peer to connect to. A UDP socket may do without and use `sendto`. */
  to: address.optional(),
}).refine(windowFits, windowRule).refine((options) => options.type !== "tcp" || options.to, {
  error: "must be given for a TCP socket",
  path: ["to"],
});

/** Schema of {@linkcode AttachOptions}. */
export const attachOptions = z.strictObject({
  ...attributeFields,
  /** The transport, where the target does not tell: for `{ fd }`. Default "udp". */
  type: z.enum(["udp", "tcp"], { error: 'must be "udp" or "tcp"' }).optional(),
}).refine(windowFits, windowRule);

/** The gid of a group by number, or by its name in /etc/group. */
const group = z.union([whole(0, 2 ** 32 - 2), z.string()], {
  error: "must be the name or the number of a group",
}).transform((value, context) => {
  const gid = typeof value === "number" ? value : groupId(value);
  if (gid !== undefined) return gid;
  context.issues.push({
    code: "custom",
    message: "must be the name or the number of a group",
    input: value,
  });
  return z.NEVER;
});

function groupId(name: string): number | undefined {
  let lines: string[] = [];
  try {
    lines = readFileSync("/etc/group", "utf8").split("\n");
  } catch {
    // a system without names has none of this name
  }
  const line = lines.map((line) => line.split(":")).find(([first]) => first === name);
  return line && /^\d+$/.test(line[2] ?? "") ? Number(line[2]) : undefined;
}

/** A network device, by its name. */
export const deviceName = z.string({ error: "must be the name of a network device" })
  .regex(/^[^\s/\0]{1,15}$/, { error: "must be a device name of 1 to 15 characters" });

const queueMessages = whole(1, LIMIT.QSOCKET_QUEUE_MESSAGES_MAX).optional();
const streams = whole(1, LIMIT.QSOCKET_STREAMS_MAX).optional();

const priorityMax = LIMIT.QSOCKET_CLASS_PRIORITIES - 1;

const classOptions = z.strictObject({
  /** Guaranteed, as the rate of a link is given. Default: nothing. */
  rate: rate.optional(),
  /** Never more than this, but for a short burst. Default: the link's rate. */
  ceil: rate.optional(),
  /** 0 is served first, of classes that may all send. Default 7, the last. */
  priority: whole(0, priorityMax).optional(),
  /** Beyond its rate it may use what its parent has left. Default `false`. */
  borrow: flag.optional(),
  /** The name of the class of which it is a part. Default: the link. */
  parent: z.string({ error: "must be the name of a class" }).optional(),
}, { error: "must be an object such as { rate, ceil, priority, borrow, parent }" });

/** For "cbq": the classes of the link, by name. A parent may come before its children or after. */
const classes = z.record(z.string(), classOptions, { error: "must be an object of classes" })
  .optional();

/** Schema of {@linkcode LinkOptions}. */
export const linkOptions = z.strictObject({
  /** The network device, for a link that everyone shares. Default: a link of this program's own. */
  device: deviceName.optional(),
  /** The scheduler. Default: the device's, where it is initialised, else "dwcs". */
  scheduler: scheduler.optional(),
  /**
   * Bytes per second, or a string with its unit: "10mbit", "1.5gbit", "1200kB/s". A device that is
   * initialised for all processes needs none.
   */
  rate: rate.optional(),
  /** Most messages queued on the whole link. Default 8192. */
  queueMessages,
  /**
   * Most sockets open on the link at once. Default 1024; of a device whose scheduler is below the
   * stack 16384 with `system`, for all programs together, and as many for a program that joins it.
   */
  streams,
  /** What `admission` is for its sockets, where they do not say. Default "warn". */
  admission: admission.optional(),
  /** For "cbq": the classes of the link, by name. A parent may come before its children or after. */
  classes,
  /** Initialise the device for all processes, until `restoreDevice`. Only root may do that. */
  system: flag.optional(),
  /** With `system`: the group that may open sockets on the device, by name or number. */
  group: group.optional(),
  /** With `system`: who may open sockets, as of a file's write permission. Default 0o660. */
  mode: whole(0, 0o777).optional(),
  /** With `system`: take the place of whatever qdisc or scheduler the device has. */
  replace: flag.optional(),
  /** With `system`: this host and no other. Default: the best that works. */
  host: z.enum(["below", "isolated", "above"], {
    error: 'must be "below", "isolated" or "above"',
  }).optional(),
  /**
   * With `host: "below"`: record what the scheduler is told and decides, for `readTrace`; of each
   * message that may be queued eight records, until there is no more room.
   */
  trace: flag.optional(),
}).check((context) => {
  const options = context.value;
  const wrong = (name: keyof typeof options, message: string) =>
    context.issues.push({ code: "custom", path: [name], message, input: options[name] });
  if (options.rate === undefined && (options.device === undefined || options.system)) {
    context.issues.push({
      code: "invalid_type",
      expected: "number",
      path: ["rate"],
      message: 'must be bytes per second, or a string such as "10mbit"',
      input: undefined,
    });
  }
  if (options.system && options.device === undefined) wrong("device", "must be given with system");
  for (const name of ["group", "mode", "replace", "host"] as const) {
    if (options[name] !== undefined && !options.system) {
      wrong(name, "must not be given without system: true");
    }
  }
  if (options.trace && options.host !== "below") {
    wrong("trace", 'must have host: "below" beside it');
  }
});

/** Schema of {@linkcode LinkChanges}. */
export const linkChanges = z.strictObject({ rate });

/** Schema of {@linkcode VirtualLinkOptions}. */
export const virtualLinkOptions = z.strictObject({
  scheduler: scheduler.optional(),
  rate,
  queueMessages,
  streams,
  /** Default "off": a test may overload its link as it likes. */
  admission: admission.optional(),
  classes,
});

/** Schema of the interval of `stats`, in milliseconds. */
export const statsInterval = number(1, 2 ** 31 - 1, " ms");

/** What is done about streams that ask for more than their link has. */
export type Admission = z.infer<typeof admission>;
/** The policies that decide what goes next. */
export type Scheduler = z.infer<typeof scheduler>;
/** An IP address and a port. */
export type Address = z.infer<typeof address>;
/** What a stream needs of its link: period in ms, loss window, queue limits. All optional. */
export type StreamAttributes = z.input<typeof attributeChanges>;
/** Options of `qsocket`: transport, addresses and {@linkcode StreamAttributes}. */
export type SocketOptions = z.input<typeof socketOptions>;
/** Options of `qattach`: {@linkcode StreamAttributes}, and the transport of a bare descriptor. */
export type AttachOptions = z.input<typeof attachOptions>;
/** A class of a link under "cbq": its guarantee, its ceiling, and where it stands. */
export type ClassOptions = z.input<typeof classOptions>;
/** Options of `qsockinit`. */
export type LinkOptions = z.input<typeof linkOptions>;
/** What `change` may change about a link. */
export type LinkChanges = z.input<typeof linkChanges>;
/** Options of a `VirtualLink`. */
export type VirtualLinkOptions = z.input<typeof virtualLinkOptions>;

/**
 * The drop priority of a message: 0 is given up first, 6 last, "never" only when its own deadline
 * has passed.
 */
export type DropPriority = "never" | 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** Where a message stands in its frame. */
export type FrameMark = "whole" | "start" | "middle" | "end";

/** What one message needs. Everything is optional; times are in milliseconds. */
export interface MessageOptions {
  /** When it must have left, in milliseconds from now; above 0. */
  deadline?: number;
  /** The same on the clock of `monotonic()`, instead of `deadline`. May have passed. */
  deadlineAt?: number;
  /** Default 6. */
  drop?: DropPriority;
  /** Frames are sent and dropped whole. Default: a message that belongs to no frame. */
  frame?: FrameMark;
  /** 0 starts a group, 1 is referenced by others, 2 and above is a leaf. Default: not told. */
  level?: number;
  /** The frame leans on the group before its own as well (a leading picture of an open GOP). */
  leading?: boolean;
  /** UDP: cut the data into datagrams of this many bytes, the last one shorter; 64 at most. */
  segment?: number;
}

/** One message with its options, as `QSocket.writable` takes it. */
export interface QMessage extends MessageOptions {
  data: Uint8Array;
  /** The peer, for a socket that is not connected. */
  to?: Address;
}

/**
 * Returns `value` as the schema understands it; throws a RangeError or TypeError that says which
 * option is wrong: "Cannot open link eth0: rate must be above 0, got -1".
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, doing: string): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue.code === "unrecognized_keys") {
    const where = issue.path.length > 0 ? ` in ${issue.path.join(".")}` : "";
    throw new TypeError(`Cannot ${doing}: there is no option "${issue.keys[0]}"${where}`);
  }
  const got = issue.path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  const objectMissing = issue.code === "invalid_type" && issue.expected === "object";
  const wrong = objectMissing ? "must be an object" : issue.message;
  const name = issue.path.length > 0 ? issue.path.join(".") : "the argument";
  const message = `Cannot ${doing}: ${name} ${wrong}, got ${show(got)}`;
  const wrongType = issue.code === "invalid_union" || issue.code === "invalid_type";
  // NaN and Infinity are numbers out of range, whatever the schema calls them.
  const badNumber = typeof got === "number" && !Number.isFinite(got);
  throw new (wrongType && !badNumber ? TypeError : RangeError)(message);
}

/** A value as an error message shows it, on one line and not for long. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value)) return "an array";
  const name = value.constructor?.name ?? "Object";
  return name === "Object" ? "an object" : `an object of class ${name}`;
}
