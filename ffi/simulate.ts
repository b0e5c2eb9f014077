// The scheduler under a clock that the caller owns. The C policy that serves real links runs here
// without threads or sockets: a packet of b bytes begun at t occupies the link until t + b / rate,
// and messages arrive when the caller says. So a test can state what is sent when, and what is
// dropped for which reason, and get the same answer every time.
//
// Arrivals may be given in any order and wait here, sorted, until the clock reaches them. What
// arrives at time t is queued after the transmission that ends at t and before the decision at t.

import { constants } from "node:os";
import { CALL, ENUM, FLAG, LIMIT } from "./abi.ts";
import { admissionOf, type AdmissionRule, refusal, warn } from "./admission.ts";
import { attrFields, attributesOf } from "./attributes.ts";
import { changeLink, changeStream } from "./change.ts";
import { arrangeClasses, type Classes, classNumber } from "./classes.ts";
import { errorName, failure } from "./error.ts";
import { type DropReason, type LinkInfo, readInfo, REASONS, type SocketInfo } from "./info.ts";
import { Args, qrunArgs, qsendArgs } from "./layout.ts";
import { qsocketArgs, qsocketEvent, qsockinitArgs } from "./layout.ts";
import { library } from "./library.ts";
import { checkBytes, deadlineUs, messageFlags } from "./message.ts";
import { check, show, streamAttributes, virtualLinkOptions } from "./options.ts";
import type {
  Admission,
  LinkChanges,
  MessageOptions,
  Scheduler,
  StreamAttributes,
  VirtualLinkOptions,
} from "./options.ts";
import { closeHandle } from "./socket.ts";

/** What became of a message. */
export interface VirtualEvent {
  /** When, in ms: the end of its transmission, or the moment of the decision to drop it. */
  at: number;
  /** The `id` of its stream. */
  stream: number;
  /** Its number in the stream, as `send` returned it. */
  message: number;
  bytes: number;
  /** "late" is sent after the deadline. */
  outcome: "sent" | "late" | "dropped";
  /** Why it was dropped. */
  reason?: DropReason;
}

/** What a stream knows of its link. */
interface VirtualRules extends AdmissionRule {
  readonly classes: Classes;
}

interface Arrival {
  handle: number;
  message: number;
  data_len: number;
  flags: number;
  deadline_us: number;
  at_ns: number;
}

const OUTCOMES = ["sent", "sent", "late", "dropped"] as const;
const LOGGED = ["ENOBUFS", "ETIME", "EPROTO", "EMSGSIZE"];
const EVENTS_MAX = 4096;

const initArgs = new Args(qsockinitArgs);
const openArgs = new Args(qsocketArgs);
const sendArgs = new Args(qsendArgs);
const runArgs = new Args(qrunArgs, qsocketEvent, Math.min(EVENTS_MAX, LIMIT.QSOCKET_EVENTS_MAX));

/**
 * A link in virtual time. Times are milliseconds, to the nanosecond.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { VirtualLink } from "qsockets";
 *
 * using link = new VirtualLink({ scheduler: "dwcs", rate: "10mbit" });
 * const stream = link.open({ ipg: 10, oln: 1, old: 4 });
 * stream.send(1250, { deadline: 40, drop: 3, frame: "whole", level: 1 }, 5);
 * assert.deepEqual(link.run(1000), [
 *   { at: 6, stream: 0, message: 0, bytes: 1250, outcome: "sent" },
 * ]);
 * ```
 */
export class VirtualLink implements Disposable {
  /** The policy that decides what goes next. */
  readonly scheduler: Scheduler;
  /** Its classes, under "cbq". */
  readonly classes: Classes;
  /** What is done about streams that ask for more than there is, where they do not say. */
  readonly admission: Admission;
  /** There is none. */
  readonly device = "";
  #handle: number;
  #rate: number;
  #nowNs = 0;
  #streams = new Map<number, number>();
  #arrivals: Arrival[] = [];

  /** Throws a RangeError or TypeError for wrong options. */
  constructor(options: VirtualLinkOptions) {
    const doing = "open a virtual link";
    const {
      scheduler = "dwcs",
      rate,
      queueMessages = 0,
      streams = 0,
      admission = "off",
      ...rest
    } = check(virtualLinkOptions, options, doing);
    const { classes, structs } = arrangeClasses({ scheduler, rate, ...rest }, doing);
    const args = initArgs.fill({
      scheduler,
      rate,
      flags: FLAG.QSOCKINIT_VIRTUAL,
      queue_messages: queueMessages,
      streams,
      classes_len: structs.length,
      classes: structs,
    });
    const handle = library().qsocketcall(CALL.QSOCKINIT, args, args.byteLength);
    if (handle < 0) throw failure("qsockinit", handle, doing);
    this.#handle = handle;
    this.scheduler = scheduler;
    this.#rate = rate;
    this.classes = classes;
    this.admission = admission;
  }

  /** Bytes per second. */
  get rate(): number {
    return this.#rate;
  }

  /** The time that `run` has reached, in ms. */
  get now(): number {
    return this.#nowNs / 1e6;
  }

  /** Opens a stream; they are numbered from 0 in this order. */
  open(attributes: StreamAttributes = {}): VirtualStream {
    const doing = "open a virtual stream";
    const checked = check(streamAttributes, attributes, doing);
    const args = openArgs.fill({
      link: this.#handle,
      type: ENUM.QSOCKET_UDP,
      attr: attrFields(
        checked,
        classNumber(this.classes, checked.class, doing),
        admissionOf(this, checked),
      ),
    });
    const handle = library().qsocketcall(CALL.QSOCKET, args, args.byteLength);
    const judged = { call: "qsocket", doing, link: this, attributes: checked };
    const told = openArgs.read().admission;
    if (handle < 0) {
      throw refusal(handle, told, judged) ??
        failure("qsocket", handle, doing, { EBADF: "the link is closed" });
    }
    warn(told, judged);
    const id = this.#streams.size;
    this.#streams.set(handle, id);
    const arrive = (arrival: Arrival) => this.#arrive(arrival);
    return new VirtualStream(id, handle, checked, this, arrive);
  }

  /** Changes the rate from the link's time on; what is on the wire leaves as it would have. */
  change(changes: LinkChanges): void {
    this.#rate = changeLink(this.#handle, this, changes, "change the virtual link");
  }

  /**
   * Advances the clock to `until` (ms) and returns what happened, in order of time: transmissions
   * that end by then, and decisions made before it. What arrives later stays pending.
   */
  run(until: number): VirtualEvent[] {
    const untilNs = Math.round(until * 1e6);
    if (!(untilNs >= this.#nowNs && untilNs <= Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(`Cannot run: until must be ${this.now} ms or later, got ${show(until)}`);
    }
    const events: VirtualEvent[] = [];
    this.#arrivals.sort((a, b) => a.at_ns - b.at_ns);
    let arrived = 0;
    for (const arrival of this.#arrivals) {
      if (arrival.at_ns > untilNs) break;
      if (arrival.at_ns > this.#nowNs) this.#advance(arrival.at_ns, events);
      this.#enqueue(arrival, events);
      arrived++;
    }
    this.#arrivals.splice(0, arrived);
    this.#advance(untilNs, events);
    return events;
  }

  /** The counters of all its streams together. */
  info(): LinkInfo {
    return readInfo(this.#handle, "read the counters of the virtual link");
  }

  /** Closes the link and its streams; pending arrivals are forgotten. Twice does nothing. */
  close(): void {
    if (this.#handle === 0) return;
    const handle = this.#handle;
    this.#handle = 0;
    this.#arrivals = [];
    closeHandle(handle, 0, "close the virtual link");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #arrive(arrival: Arrival): void {
    if (this.#handle === 0) {
      throw failure("qsend", -constants.errno.EBADF, "send", { EBADF: "the link is closed" });
    }
    const { at_ns } = arrival;
    if (!(at_ns >= this.#nowNs && at_ns <= Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(
        `Cannot send: at must be ${this.now} ms, the link's time, or later, got ${at_ns / 1e6}`,
      );
    }
    this.#arrivals.push(arrival);
  }

  #enqueue(arrival: Arrival, events: VirtualEvent[]): void {
    for (;;) {
      const args = sendArgs.fill(arrival);
      const result = library().qsocketcall(CALL.QSEND, args, args.byteLength);
      if (result >= 0) return;
      const code = errorName(-result);
      // Refused for what is counted and logged as an event: run() reports it.
      if (LOGGED.includes(code)) return;
      if (code !== "EAGAIN") throw failure("qsend", result, "send on a virtual link");
      this.#advance(arrival.at_ns, events); // empties C's log, which was full
    }
  }

  #advance(untilNs: number, events: VirtualEvent[]): void {
    const call = { link: this.#handle, events_max: EVENTS_MAX, until_ns: untilNs };
    for (;;) {
      const args = runArgs.fill(call);
      const result = library().qsocketcall(CALL.QRUN, args, args.byteLength);
      if (result < 0) throw failure("qrun", result, "run", { EBADF: "the link is closed" });
      const { events_len, now_ns } = runArgs.read();
      for (let index = 0; index < events_len; index++) {
        const { at_ns, stream, message, bytes, outcome, reason } = runArgs.item(index);
        events.push({
          at: at_ns / 1e6,
          stream: this.#streams.get(stream) ?? -1,
          message,
          bytes,
          outcome: OUTCOMES[outcome],
          ...(outcome === ENUM.QSOCKET_DROPPED && { reason: REASONS[reason] }),
        });
      }
      if (now_ns >= untilNs && events_len < EVENTS_MAX) break;
    }
    this.#nowNs = untilNs;
  }
}

/**
 * A stream of a {@linkcode VirtualLink}.
 *
 * @example
 * ```ts
 * import { VirtualLink, type VirtualStream } from "qsockets";
 *
 * using link = new VirtualLink({ scheduler: "edf", rate: "1mbit" });
 * const streams: VirtualStream[] = [link.open(), link.open()];
 * for (const stream of streams) stream.send(1250, { deadline: 15 });
 * link.run(100);
 * console.log(streams.map((stream) => stream.info().dropped.expired)); // [ 0, 1 ]
 * ```
 */
export class VirtualStream {
  /** Counts from 0 in the order of opening. */
  readonly id: number;
  /** The number by which C knows the stream. */
  readonly handle: number;
  #attributes: StreamAttributes;
  #link: VirtualRules;
  #arrive: (arrival: Arrival) => void;
  #messages = 0;

  /** Use `VirtualLink.open`. */
  constructor(
    id: number,
    handle: number,
    attributes: StreamAttributes,
    link: VirtualRules,
    arrive: (arrival: Arrival) => void,
  ) {
    this.id = id;
    this.handle = handle;
    this.#attributes = attributesOf(attributes);
    this.#link = link;
    this.#arrive = arrive;
  }

  /**
   * Lets a message of so many bytes arrive at the time `at` (ms) and returns its number in the
   * stream, from 0. `deadline` counts from `at`, and `deadlineAt` is on the link's own clock.
   */
  send(bytes: number, options: MessageOptions = {}, at = 0): number {
    checkBytes(bytes, options.segment);
    this.#arrive({
      handle: this.handle,
      message: this.#messages,
      data_len: bytes,
      flags: messageFlags(options),
      deadline_us: deadlineUs(options, at),
      at_ns: Math.round(at * 1e6),
    });
    return this.#messages++;
  }

  /** Changes the attributes that are given, from the link's time on; the others stay. */
  change(attributes: StreamAttributes): void {
    const doing = "change the virtual stream";
    const now = this.#attributes;
    this.#attributes = changeStream(this.handle, this.#link, now, attributes, doing);
  }

  /** The counters as they are at the link's time. */
  info(): SocketInfo {
    const doing = "read the counters of the stream";
    const { streams: _, ...info } = readInfo(this.handle, doing, this.#link.classes.names);
    return info;
  }
}
