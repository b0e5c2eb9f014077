// Records of what a device's scheduler was told and what it decided, read from where it runs, below
// the stack, and replayed by the same scheduler in this process.

import { ENUM, FLAG, LIMIT } from "./abi.ts";
import { errorName, failure } from "./error.ts";
import { type DropReason, REASONS } from "./info.ts";
import { Args, qsocketRecord, qsocketTrace } from "./layout.ts";
import { library } from "./library.ts";
import { check, deviceName } from "./options.ts";
import type { DropPriority, FrameMark, Scheduler, StreamAttributes } from "./options.ts";

/** What a record is of; {@linkcode TraceRecord} says what each has. */
export type TraceKind =
  | "open"
  | "change"
  | "close"
  | "rate"
  | "arrive"
  | "abandon"
  | "refuse"
  | "flush"
  | "lost"
  | "decide";

/**
 * One thing that a scheduler was told, or its answer. Times are milliseconds on the clock of
 * `monotonic()`, to the nanosecond.
 */
export interface TraceRecord {
  /**
   * "open", "change", "close": a stream (`attributes`). "rate": the link's. "arrive": a message, and
   * what came of it: it is queued as `message`, or dropped for a `reason`, or not taken (`error`).
   * "abandon": the end of the open frame was lost on its way. "refuse": the message that just
   * arrived is dropped. "flush": all that the stream has queued is lost. "lost": a queued message.
   * "decide": `message` leaves, or nothing does.
   */
  kind: TraceKind;
  /** What was done in one go has the same. */
  turn: number;
  /** By the scheduler's number, used again after "close"; the first 64 are best effort's flows. */
  stream?: number;
  /** Of an arrival: how many messages may be queued on the link just then, for this sender. */
  room?: number;
  /** And how many of best effort. */
  bestEffortRoom?: number;
  /** By the scheduler's number, used again once it has left or is lost. */
  message?: number;
  /** When it arrived or was decided. */
  at?: number;
  /** When it must have left; `undefined`: no deadline. */
  deadlineAt?: number;
  /** With headers, on the link. */
  bytes?: number;
  drop?: DropPriority;
  frame?: FrameMark;
  level?: number;
  leading?: boolean;
  reason?: DropReason;
  /** "EPROTO": out of order within its frame; "ENOBUFS", "ETIME", "EMSGSIZE". */
  error?: string;
  /** What a message left as. */
  outcome?: "sent" | "late";
  /** When its last byte leaves, at the link's rate. */
  doneAt?: number;
  /** Of a decision that found nothing to send: when to ask again, if nothing arrives. */
  nextAt?: number;
  /** How much earlier the link was free. */
  lag?: number;
  /** Bytes per second. */
  rate?: number;
  attributes?: StreamAttributes;
}

const KINDS: Record<number, TraceKind> = {
  [ENUM.QSOCKET_RECORD_ADD]: "open",
  [ENUM.QSOCKET_RECORD_CHANGE]: "change",
  [ENUM.QSOCKET_RECORD_REMOVE]: "close",
  [ENUM.QSOCKET_RECORD_RATE]: "rate",
  [ENUM.QSOCKET_RECORD_ARRIVE]: "arrive",
  [ENUM.QSOCKET_RECORD_ABANDON]: "abandon",
  [ENUM.QSOCKET_RECORD_REFUSE]: "refuse",
  [ENUM.QSOCKET_RECORD_FLUSH]: "flush",
  [ENUM.QSOCKET_RECORD_LOST]: "lost",
  [ENUM.QSOCKET_RECORD_DECIDE]: "decide",
};

const NONE = 0xffff_ffff;
const traceArgs = new Args(qsocketTrace);

/** The fields of `struct qsocket_trace`, beside the number of records. */
type About = Omit<ReturnType<typeof traceArgs.read>, "records_len" | "zero">;

/**
 * What a link's scheduler was told and decided, from its start on.
 *
 * @example
 * ```ts
 * import { QError, readTrace } from "qsockets";
 *
 * try {
 *   const trace = readTrace("eth9");
 *   for (const { at, stream, message, outcome } of trace.records) {
 *     if (outcome === "late") console.log(`stream ${stream}, message ${message}: late at ${at} ms`);
 *   }
 *   console.log(trace.replay().equals(trace)); // true: it decides the same everywhere
 * } catch (error) {
 *   if (!(error instanceof QError)) throw error;
 *   console.log(error.message); // "Cannot read the trace of eth9: there is no such device (ENODEV)"
 * }
 * ```
 */
export class Trace {
  /** The records as C has them, one after the other. */
  readonly bytes: Uint8Array;
  readonly #about: About;
  #records: TraceRecord[] | undefined;

  /** Use `readTrace`, or `replay`. */
  constructor(about: About, bytes: Uint8Array) {
    this.#about = about;
    this.bytes = bytes;
  }

  get scheduler(): Scheduler {
    return this.#about.scheduler as Scheduler;
  }

  /** At its start, in bytes per second. */
  get rate(): number {
    return this.#about.rate;
  }

  /** What a decision may be late, as the scheduler reckons with, in ms. */
  get guard(): number {
    return this.#about.guard_ns / 1e6;
  }

  /** Most messages queued on the link. */
  get queueMessages(): number {
    return this.#about.messages_max;
  }

  /** Records that there was no room for: the trace ends before them. */
  get missed(): number {
    return this.#about.missed;
  }

  /** All there are, in their order. */
  get records(): readonly TraceRecord[] {
    return this.#records ??= this.#read();
  }

  /**
   * Has the scheduler of this process do the same at the same times: what it makes of that. Another
   * `scheduler` shows what would have come of it, had each decision been due when it was. Throws a
   * QError EINVAL for records that no scheduler can have made.
   */
  replay(scheduler: Scheduler = this.scheduler): Trace {
    const about = { ...this.#about, scheduler };
    const records = this.bytes.byteLength / qsocketRecord.size;
    // Another scheduler may lose more: twice, for each record of a loss that there may be.
    const bytes = new Uint8Array(Math.max(1, 2 * records) * qsocketRecord.size);
    const args = traceArgs.fill({ ...about, records_len: records });
    const given = records > 0 ? this.bytes : new Uint8Array(qsocketRecord.size);
    const result = library().qsocket_trace_replay(args, given, bytes, 2 * records);
    if (result < 0) throw failure("qsocket_trace_replay", result, "replay a trace");
    return new Trace(about, bytes.subarray(0, result * qsocketRecord.size));
  }

  /** Whether both have the same records, bit by bit. */
  equals(other: Trace): boolean {
    return this.differsAt(other) === -1;
  }

  /** The first record in which another trace differs, or -1. */
  differsAt(other: Trace): number {
    const [a, b] = [this.bytes, other.bytes];
    const length = Math.min(a.byteLength, b.byteLength);
    for (let at = 0; at < length; at++) {
      if (a[at] !== b[at]) return Math.floor(at / qsocketRecord.size);
    }
    return a.byteLength === b.byteLength ? -1 : length / qsocketRecord.size;
  }

  #read(): TraceRecord[] {
    const { buffer, byteOffset, byteLength } = this.bytes;
    const view = new DataView(buffer, byteOffset, byteLength);
    return Array.from(
      { length: byteLength / qsocketRecord.size },
      (_, index) => recordOf(qsocketRecord.read(view, index * qsocketRecord.size)),
    );
  }
}

/**
 * What the scheduler of a device was told and decided since the device was initialised with `trace:
 * true`. Throws a QError ENODATA if it was initialised without a trace, ENOENT if its scheduler is not below the stack,
 * ENODEV if there is no such device, EPERM to others than root.
 *
 * @example
 * ```ts
 * import { Link, QError, readTrace, restoreDevice } from "qsockets";
 *
 * try {
 *   const device = { device: "eth9", system: true, host: "below" } as const;
 *   using link = new Link({ ...device, rate: "10mbit", trace: true });
 *   // later, of the traffic of any program:
 *   const lost = readTrace("eth9").records.filter(({ kind }) => kind === "lost");
 *   console.log(lost.map(({ stream, reason }) => `${stream}: ${reason}`), link.info().sent);
 *   restoreDevice("eth9");
 * } catch (error) {
 *   if (!(error instanceof QError)) throw error;
 * }
 * ```
 */
export function readTrace(device: string): Trace {
  const doing = `read the trace of ${typeof device === "string" ? device : "a device"}`;
  const args = traceArgs.fill({ device: check(deviceName, device, doing) });
  const bytes = new Uint8Array(LIMIT.QSOCKET_TRACE_RECORDS * qsocketRecord.size);
  const result = library().qsocket_trace_read(args, bytes, LIMIT.QSOCKET_TRACE_RECORDS);
  if (result < 0) {
    throw failure("qsocket_trace_read", result, doing, {
      ENODATA: "it was not initialised with trace: true",
      ENOENT: "its scheduler is not below the stack",
      ENODEV: "there is no such device",
      EPERM: "only root may do that",
      EACCES: "only root may do that",
    });
  }
  const { records_len: _, zero: __, ...about } = traceArgs.read();
  return new Trace(about, bytes.slice(0, result * qsocketRecord.size));
}

type Fields = ReturnType<typeof qsocketRecord.read>;

/** A record in the words of this module. */
function recordOf(fields: Fields): TraceRecord {
  const kind = KINDS[fields.kind];
  const { turn, bytes } = fields;
  const at = fields.at_ns / 1e6, time = fields.time_ns / 1e6;
  const stream = fields.stream === NONE ? undefined : fields.stream;
  const message = fields.message === NONE ? undefined : fields.message;
  const reason = REASONS[fields.reason];
  const due = fields.time_ns >= 2 ** 63 ? undefined : time; // UINT64_MAX, as a number can be
  switch (kind) {
    case "open":
    case "change":
      return { kind, turn, stream, attributes: attributesOf(fields.attr) };
    case "rate":
      return { kind, turn, rate: fields.value };
    case "arrive":
      return {
        kind,
        turn,
        stream,
        message,
        at,
        ...(due !== undefined && { deadlineAt: due }),
        bytes,
        ...(fields.value > 0 && {
          room: fields.value % 2 ** 32,
          bestEffortRoom: Math.floor(fields.value / 2 ** 32),
        }),
        ...optionsOf(fields.flags),
        ...(reason !== undefined && { reason }),
        ...(fields.result !== 0 && { error: errorName(-fields.result) }),
      };
    case "lost":
      return { kind, turn, stream, message, reason };
    case "refuse":
    case "flush":
      return { kind, turn, stream, reason };
    case "decide":
      return message === undefined ? { kind, turn, at, lag: fields.value / 1e6, nextAt: due } : {
        kind,
        turn,
        stream,
        message,
        at,
        lag: fields.value / 1e6,
        bytes,
        outcome: fields.outcome === ENUM.QSOCKET_LATE ? "late" : "sent",
        doneAt: time,
      };
    default:
      return { kind, turn, stream };
  }
}

function attributesOf(attr: Fields["attr"]): StreamAttributes {
  return {
    ipg: attr.ipg_ns / 1e6,
    oln: attr.oln,
    old: attr.old,
    droppable: !(attr.flags & FLAG.QSOCKET_UNDROPPABLE),
    ...(attr.queue_messages && { queueMessages: attr.queue_messages }),
    ...(attr.queue_bytes && { queueBytes: attr.queue_bytes }),
    ...(attr.unit_bytes && { bytes: attr.unit_bytes }),
    ...(attr.weight && { weight: attr.weight }),
  };
}

const FRAME_MARKS = ["middle", "start", "end", "whole"] as const;

/** What flags say of a message, as `send` was told it. */
function optionsOf(flags: number): Partial<TraceRecord> {
  const drop = flags >> FLAG.QSOCKET_DROP_SHIFT & FLAG.QSOCKET_DROP_NEVER;
  const level = flags >> FLAG.QSOCKET_LEVEL_SHIFT & FLAG.QSOCKET_LEVEL_NONE;
  const framed = (flags & FLAG.QSOCKET_FRAME) !== 0;
  return {
    drop: drop === FLAG.QSOCKET_DROP_NEVER ? "never" : drop as DropPriority,
    ...(framed && { frame: FRAME_MARKS[flags & (FLAG.QSOCKET_START | FLAG.QSOCKET_END)] }),
    ...(framed && level !== FLAG.QSOCKET_LEVEL_NONE && { level }),
    ...((flags & FLAG.QSOCKET_LEADING) !== 0 && { leading: true }),
  };
}
