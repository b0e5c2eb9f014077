// What qinfo reads: struct qsocket_info with the names and units of TypeScript.

import { CALL, ENUM, FLAG } from "./abi.ts";
import { errorName, failure } from "./error.ts";
import { Args, qinfoArgs } from "./layout.ts";
import { library } from "./library.ts";
import type { Scheduler } from "./options.ts";

/** Why a message was not sent. */
export type DropReason =
  | "expired"
  | "frame"
  | "dependency"
  | "window"
  | "overflow"
  | "error"
  | "closed";

/** A count for each {@linkcode DropReason}. */
export type DropCounts<T = number> = Record<DropReason, T>;

/** The reasons by their number in C; index 0 is none. */
export const REASONS: readonly (DropReason | undefined)[] = [
  undefined,
  "expired",
  "frame",
  "dependency",
  "window",
  "overflow",
  "error",
  "closed",
];

/**
 * Where the scheduler of a link is: "below" the protocol stack, as the device's qdisc, where it sees
 * all traffic; above it with the device "isolated", so that other traffic cannot take the link;
 * "above" it, where it sees this process's sockets alone; or "virtual", under a test's clock.
 */
export type LinkHost = "below" | "isolated" | "above" | "virtual";

/**
 * By which programs speak to a scheduler below the stack: the system call `qsocketcall` of a kernel
 * that has it, the same from a "module" of a stock kernel, or programs in BPF.
 */
export type LinkGate = "syscall" | "module" | "bpf";

/** Frames by level: index 0, 1, 2 and, at 3, those without a level. */
export interface FrameCounts {
  offered: readonly number[];
  /** Whole, late ones included. */
  sent: readonly number[];
  late: readonly number[];
  dropped: DropCounts<readonly number[]>;
  /** Begun on the wire and not finished. */
  partial: number;
}

/**
 * The counters of a stream. Every message that was offered is in exactly one of `sent`, `late`,
 * `dropped` and `queued`; one that the scheduler refused, for want of room (`ENOBUFS`) or of time
 * (`ETIME`), was offered, and is in `dropped`.
 */
export interface SocketInfo {
  /**
   * Where the scheduler stands: "below" the protocol stack, as the device's own queue; "above" the
   * stack, in this program; "isolated", there as well, with a share of the device of its own; or
   * "virtual".
   */
  host: LinkHost;
  /** What kind of scheduler below the stack that is; null of every other host. */
  gate: LinkGate | null;
  scheduler: Scheduler;
  /** Of the link, bytes per second. */
  rate: number;
  /** Messages offered: accepted, or refused by the scheduler. */
  offered: number;
  /** Messages sent in time, or without a deadline. */
  sent: number;
  /** Messages sent after their deadline. */
  late: number;
  dropped: DropCounts;
  /** Messages dropped by drop priority, 0 to 6, and "never" at 7. */
  droppedByPriority: readonly number[];
  queued: number;
  /**
   * As `offeredBytes`, `sentBytes` and `droppedBytes`: what the messages cost the link, headers
   * included. That is 28 bytes a datagram over IPv4, 48 over IPv6.
   */
  queuedBytes: number;
  /** Cost on the link, headers included. */
  offeredBytes: number;
  /** Cost on the link, headers included; late messages' too. */
  sentBytes: number;
  /** Cost on the link that was saved, headers included. */
  droppedBytes: number;
  frames: FrameCounts;
  /** The current loss window: losses that it still allows, of messages that are left in it. */
  window: { lost: number; left: number };
  /** Losses that the window did not allow. */
  violations: number;
  /** Time in our queue of what was sent, in milliseconds. */
  delay: { mean: number; max: number };
  /**
   * The same as a histogram: how many messages had a delay below `DELAY_EDGES[0]`, from there to
   * below `DELAY_EDGES[1]`, and so on; the last count is of those above all edges. Their sum is
   * `sent` and `late` together. `delayPercentile` reads it.
   */
  delays: readonly number[];
  /** Failed sends, retried ones included. */
  socketErrors: number;
  /** Send calls made to the kernel. */
  syscalls: number;
  /** The last failed send: "ECONNREFUSED". */
  lastError: string | null;
  /** Waits for room in the socket's buffer. */
  blocked: boolean;
  /** Sends what is queued and takes no more. */
  closing: boolean;
  /** The connection is gone. */
  broken: boolean;
  /** A frame was started and not ended. */
  frameOpen: boolean;
  /** Milliseconds. */
  ipg: number;
  oln: number;
  old: number;
  droppable: boolean;
  /** Of a frame, as the stream was said to send; 0: not said. */
  bytes: number;
  /**
   * What its `bytes` and `ipg` come to: a stream's share of the link (under "cbq", of what its
   * class is guaranteed), of a link the sum; above 1 it is more than there is.
   */
  utilisation: number;
  queueMessages: number;
  queueBytes: number;
  /** Its share beside other streams, under "sfq" and "cbq". */
  weight: number;
  /** Its class under "cbq"; null for the class of the rest, and under other schedulers. */
  class: string | null;
  /** What the protocol stack says of the socket; of a link, zeros. */
  stack: StackInfo;
}

/** A socket as the protocol stack beneath sees it: socket(7), tcp(7). */
export interface StackInfo {
  /** The send buffer as the kernel counts it: about twice the payload that it takes. */
  sndbufBytes: number;
  /**
   * In the send buffer. Of UDP also as the kernel counts; of TCP the payload that was not yet
   * acknowledged.
   */
  unsentBytes: number;
  /** The rest is of TCP; null of UDP. */
  tcp: {
    /** Congestion window, in segments. */
    cwnd: number;
    /** Smoothed round-trip time in milliseconds. */
    rtt: number;
    /** What the peer has room for. */
    peerWindowBytes: number;
    /** Segments sent again, in all. */
    retransmits: number;
  } | null;
}

/**
 * The counters of a link: those of its streams together, closed ones included. Of a link whose host
 * is "below" those of messages are the whole device's, other programs' and best effort included;
 * of frames, violations, calls and errors it knows what this program's streams have.
 */
export interface LinkInfo extends SocketInfo {
  /** Streams open on it. */
  streams: number;
}

type InfoStruct = ReturnType<typeof args.read>["info"];

const args = new Args(qinfoArgs);

/**
 * Reads the counters of a stream or a link, whose classes have these names; throws QError EBADF
 * once it is closed.
 */
export function readInfo(
  handle: number,
  doing: string,
  classNames: readonly string[] = [],
): LinkInfo {
  const result = library().qsocketcall(CALL.QINFO, args.fill({ handle }), args.bytes.byteLength);
  if (result < 0) throw failure("qinfo", result, doing);
  return infoOf(args.read().info, classNames);
}

/** `struct qsocket_info` as callers read it. */
export function infoOf(info: InfoStruct, classNames: readonly string[] = []): LinkInfo {
  const sentMessages = info.sent + info.late;
  return {
    host: hostName(info.host),
    gate: GATES[info.gate] ?? null,
    scheduler: info.scheduler as Scheduler,
    rate: info.rate,
    offered: info.offered,
    sent: info.sent,
    late: info.late,
    dropped: byReason((reason) => info.dropped[reason]),
    droppedByPriority: info.dropped_by_priority,
    queued: info.queued,
    queuedBytes: info.queued_bytes,
    offeredBytes: info.offered_bytes,
    sentBytes: info.sent_bytes,
    droppedBytes: info.dropped_bytes,
    frames: {
      offered: info.frames_offered,
      sent: info.frames_sent,
      late: info.frames_late,
      dropped: byReason((reason) => info.frames_dropped.map((counts) => counts[reason])),
      partial: info.frames_partial,
    },
    window: { lost: info.window_lost, left: info.window_left },
    violations: info.violations,
    delay: {
      mean: sentMessages > 0 ? info.delay_ns_sum / sentMessages / 1e6 : 0,
      max: info.delay_ns_max / 1e6,
    },
    delays: info.delays,
    socketErrors: info.socket_errors,
    syscalls: info.syscalls,
    lastError: info.last_error === 0 ? null : errorName(info.last_error),
    blocked: (info.state & FLAG.QSOCKET_STATE_BLOCKED) !== 0,
    closing: (info.state & FLAG.QSOCKET_STATE_CLOSING) !== 0,
    broken: (info.state & FLAG.QSOCKET_STATE_BROKEN) !== 0,
    frameOpen: (info.state & FLAG.QSOCKET_STATE_FRAME_OPEN) !== 0,
    ipg: info.attr.ipg_ns / 1e6,
    oln: info.attr.oln,
    old: info.attr.old,
    droppable: (info.attr.flags & FLAG.QSOCKET_UNDROPPABLE) === 0,
    bytes: info.attr.unit_bytes,
    utilisation: info.utilisation_ppm / 1e6,
    queueMessages: info.attr.queue_messages,
    queueBytes: info.attr.queue_bytes,
    weight: info.attr.weight,
    class: classNames[info.attr.class_id - 1] ?? null,
    stack: {
      sndbufBytes: info.sndbuf_bytes,
      unsentBytes: info.unsent_bytes,
      // no connection has a congestion window of nothing
      tcp: info.cwnd === 0 ? null : {
        cwnd: info.cwnd,
        rtt: info.rtt_us / 1000,
        peerWindowBytes: info.peer_window_bytes,
        retransmits: info.retransmits,
      },
    },
    streams: info.streams,
  };
}

/** The names of enum qsocket_gate. */
const GATES: Record<number, LinkGate> = {
  [ENUM.QSOCKET_GATE_SYSCALL]: "syscall",
  [ENUM.QSOCKET_GATE_MODULE]: "module",
  [ENUM.QSOCKET_GATE_BPF]: "bpf",
};

const HOSTS: Record<number, LinkHost> = {
  [ENUM.QSOCKET_ABOVE]: "above",
  [ENUM.QSOCKET_VIRTUAL]: "virtual",
  [ENUM.QSOCKET_BELOW]: "below",
  [ENUM.QSOCKET_ISOLATED]: "isolated",
};

/** The name of a host, of its number. */
export function hostName(host: number): LinkHost {
  return HOSTS[host] ?? "above";
}

function byReason<T>(count: (reason: number) => T): DropCounts<T> {
  return {
    expired: count(ENUM.QSOCKET_EXPIRED),
    frame: count(ENUM.QSOCKET_INCOMPLETE),
    dependency: count(ENUM.QSOCKET_DEPENDENCY),
    window: count(ENUM.QSOCKET_WINDOW),
    overflow: count(ENUM.QSOCKET_OVERFLOW),
    error: count(ENUM.QSOCKET_ERROR),
    closed: count(ENUM.QSOCKET_CLOSED),
  };
}
