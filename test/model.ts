// The scheduler a second time, obvious and slow: what the C scheduler is held to.
//
// `ModelLink` is driven as `VirtualLink` is: open streams, send messages at their times, run the
// clock. The rules are in model/: state (what is kept), arrival (a message comes in), loss (a
// frame is lost and what needs it), decision (the link is free), order (by deadlines and windows),
// share (by weights and classes), window (losses counted).

import { enqueue } from "./model/arrival.ts";
import type { Arrival } from "./model/arrival.ts";
import { decide } from "./model/decision.ts";
import { type ClassAttributes, newShare, newSharing, nextByShare } from "./model/share.ts";
import {
  expiryNs,
  expirySet,
  LEVEL_NONE,
  LIMITS,
  NEVER,
  noCounters,
  POLICIES,
  sum,
  unsentBytes,
} from "./model/state.ts";
import type {
  Attributes,
  Counters,
  Event,
  Options,
  Scheduler,
  State,
  Stream,
} from "./model/state.ts";

/** A link under the test's clock, whose `rate` is in bytes per second. */
export interface ModelOptions {
  scheduler: Scheduler;
  rate: number;
  queueMessages?: number;
  classes?: Record<string, ClassAttributes>; // under cbq, parents first
}

/** The counters of a stream or of a whole link, named as `qinfo` names them. */
export interface ModelInfo extends Counters {
  queued: number;
  queuedBytes: number;
  window: { lost: number; left: number };
}

/** A link without streams. */
export function newState(options: ModelOptions): State {
  return {
    scheduler: options.scheduler,
    policy: POLICIES[options.scheduler],
    rate: options.rate,
    guardNs: 0,
    lagNs: 0,
    messagesMax: options.queueMessages || LIMITS.linkMessages,
    bestEffortMax: Math.floor((options.queueMessages || LIMITS.linkMessages) / 2),
    streams: [],
    seq: 0,
    vtime: 0,
    credit: 0,
    sharing: newSharing(options.scheduler, options.rate, options.classes ?? {}),
    events: [],
  };
}

/** A stream that has nothing queued. */
export function newStream(id: number, attributes: Attributes): Stream {
  const x = attributes.oln ?? 0;
  const y = attributes.old ?? 0;
  return {
    id,
    periodNs: Math.round((attributes.ipg ?? 0) * 1e6),
    x,
    y,
    droppable: attributes.droppable ?? true,
    messagesMax: attributes.queueMessages || LIMITS.streamMessages,
    bytesMax: attributes.queueBytes || LIMITS.streamBytes,
    window: { lost: x, left: y, tagged: false },
    units: [],
    releaseNs: null,
    finish: 0,
    className: attributes.class,
    share: newShare(attributes.weight ?? 1),
    tail: "sound",
    discarding: null,
    frame: null,
    counters: noCounters(),
  };
}

/** The model of one link and its scheduler; times are milliseconds from its start. */
export class ModelLink {
  readonly state: State;
  readonly streams: ModelStream[] = [];
  #arrivals: Arrival[] = [];
  #decideAtNs = Infinity; // when the link is free, or something is due while it idles
  #busy = false;

  constructor(options: ModelOptions) {
    this.state = newState(options);
  }

  /** Opens a stream; they are numbered from 0. */
  open(attributes: Attributes = {}): ModelStream {
    const stream = newStream(this.streams.length, attributes);
    this.state.streams.push(stream);
    const opened = new ModelStream(stream, (arrival) => this.#arrivals.push(arrival));
    this.streams.push(opened);
    return opened;
  }

  /**
   * Advances the clock to `until`, with the completions up to and at it and the decisions before
   * it, and returns what became of messages since the last call, in order of time.
   */
  run(until: number): Event[] {
    const untilNs = Math.round(until * 1e6);
    this.#arrivals.sort((a, b) => a.atNs - b.atNs);
    for (;;) {
      const next = this.#arrivals[0];
      if (next && next.atNs <= this.#decideAtNs && next.atNs <= untilNs) {
        this.#arrivals.shift();
        enqueue(this.state, next);
        if (!this.#busy) this.#decideAtNs = next.atNs;
      } else if (this.#decideAtNs < untilNs) {
        this.#decide();
      } else {
        return this.#take(until);
      }
    }
  }

  #decide(): void {
    const state = this.state;
    const freeAtNs = decide(state, this.#decideAtNs);
    this.#busy = freeAtNs !== null;
    const first = expirySet(state)[0];
    const expiresAtNs = first ? expiryNs(state, first) : Infinity;
    const sharesAtNs = state.sharing ? nextByShare(state, state.sharing) : Infinity;
    this.#decideAtNs = freeAtNs ?? Math.min(expiresAtNs, sharesAtNs);
  }

  #take(until: number): Event[] {
    const due = this.state.events.filter((event) => event.at <= until);
    this.state.events = this.state.events.filter((event) => event.at > until);
    return due.sort((a, b) => a.at - b.at);
  }

  /** The counters of all streams together. */
  info(): ModelInfo {
    const total = this.streams.map((stream) => stream.info()).reduce(add, {
      ...noCounters(),
      queued: 0,
      queuedBytes: 0,
      window: { lost: 0, left: 0 },
    });
    return { ...total, window: { lost: 0, left: 0 } };
  }
}

/** One stream of a `ModelLink`. */
export class ModelStream {
  readonly id: number;
  readonly #stream: Stream;
  readonly #arrive: (arrival: Arrival) => void;
  #messages = 0;

  constructor(stream: Stream, arrive: (arrival: Arrival) => void) {
    this.id = stream.id;
    this.#stream = stream;
    this.#arrive = arrive;
  }

  /** Has a message of so many bytes arrive at `at`; returns its number, from 0. */
  send(bytes: number, options: Options = {}, at = 0): number {
    const number = this.#messages++;
    const atNs = Math.round(at * 1e6);
    const afterNs = options.deadline === undefined ? Infinity : Math.round(options.deadline * 1e6);
    const drop = options.drop === "never" ? NEVER : options.drop ?? 6;
    const none = options.frame === undefined || options.level === undefined;
    const level = none ? LEVEL_NONE : Math.min(options.level!, LEVEL_NONE - 1);
    this.#arrive({
      atNs,
      stream: this.#stream,
      message: { number, bytes, arrivalNs: atNs, deadlineNs: atNs + afterNs, drop },
      mark: options.frame,
      level,
      leading: options.leading ?? false,
    });
    return number;
  }

  /** The stream's counters, and what is left of its window. */
  info(): ModelInfo {
    const stream = this.#stream;
    return {
      ...structuredClone(stream.counters),
      queued: sum(stream.units.map((unit) => unit.messages.length)),
      queuedBytes: sum(stream.units.map(unsentBytes)),
      window: { lost: stream.window.lost, left: stream.window.left },
    };
  }
}

/** Adds up numbers, field by field, however deep they lie. */
function add<T>(a: T, b: T): T {
  if (typeof a === "number") return (a + (b as number)) as T;
  const entries = Object.entries(a as object).map(([key, value]) => [
    key,
    add(value, (b as Record<string, unknown>)[key]),
  ]);
  return (Array.isArray(a) ? entries.map(([, value]) => value) : Object.fromEntries(entries)) as T;
}
