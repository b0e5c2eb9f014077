// The model in the place of a scheduler that was recorded (ffi/trace.ts): it is told the same at the
// same times, those of the decisions included, and must make the same of it. So nothing is left to
// the clock, and no difference is put down to it: not one message may fare otherwise.

import assert from "node:assert/strict";
import type { Trace, TraceRecord } from "../../ffi/trace.ts";
import { newState, newStream } from "../model.ts";
import { enqueue, isOutOfOrder, openUnit } from "./arrival.ts";
import type { Arrival } from "./arrival.ts";
import { decide } from "./decision.ts";
import { dropMessage, dropUnit, lose } from "./loss.ts";
import { expiryNs, expirySet, LEVEL_NONE, makeHeadReady, NEVER } from "./state.ts";
import type { Attributes, Reason, State, Stream } from "./state.ts";

const RECORDS_SHOWN = 12; // that led to a difference
const UNNUMBERED = -1; // a message that the scheduler did not queue

/** What a trace was seen to hold, so that a test can ask for enough of it. */
export interface Replayed {
  arrivals: number;
  decisions: number;
  contested: number; // of them, with a choice among streams
  sent: number;
  late: number;
  lost: Record<string, number>;
  errors: Record<string, number>;
}

/** Throws at the first record in which the model does otherwise. */
export function replayOnModel(trace: Trace, queueMessages = trace.queueMessages): Replayed {
  const replay = new Replay(trace, queueMessages);
  trace.records.forEach((record, index) => {
    try {
      replay.step(record);
    } catch (error) {
      const shown = trace.records.slice(Math.max(0, index - RECORDS_SHOWN), index + 1);
      const lines = shown.map((one) => JSON.stringify(one)).join("\n");
      assert.fail(
        `Record ${index} under ${trace.scheduler}: ${(error as Error).message}\n${lines}`,
      );
    }
  });
  replay.endTurn();
  return replay.seen;
}

class Replay {
  readonly seen: Replayed = {
    arrivals: 0,
    decisions: 0,
    contested: 0,
    sent: 0,
    late: 0,
    lost: {},
    errors: {},
  };
  readonly #state: State;
  readonly #queueMessages: number;
  readonly #streams = new Map<number, Stream>();
  #turn = 0;
  #nowNs = 0;
  #lost = new Map<number, string>(); // of this turn, not yet met in the trace
  #refused: Arrival | null = null; // as it was out of order

  constructor(trace: Trace, queueMessages: number) {
    const { scheduler, rate } = trace;
    this.#state = newState({ scheduler, rate, queueMessages });
    this.#queueMessages = queueMessages;
    this.#state.guardNs = ns(trace.guard);
  }

  step(record: TraceRecord): void {
    if (record.turn !== this.#turn) this.endTurn();
    this.#turn = record.turn;
    switch (record.kind) {
      case "open":
        this.#streams.set(record.stream!, newStream(record.stream!, attributesOf(record)));
        break;
      case "change":
        this.#change(this.#stream(record), attributesOf(record));
        break;
      case "close":
        this.#flush(this.#stream(record), "closed");
        this.#state.streams = this.#state.streams.filter(({ id }) => id !== record.stream);
        this.#streams.delete(record.stream!);
        break;
      case "rate":
        this.#state.rate = record.rate!;
        break;
      case "arrive":
        this.#arrive(record);
        break;
      case "abandon":
        this.#abandon(this.#stream(record));
        break;
      case "refuse":
        this.#refuse(record);
        break;
      case "flush":
        this.#flush(this.#stream(record), record.reason as Reason);
        break;
      case "lost":
        this.#meet(record);
        break;
      case "decide":
        this.#decide(record);
        break;
    }
  }

  /** All that the model lost in a turn must be in the trace. */
  endTurn(): void {
    const [left] = this.#lost;
    if (left) assert.fail(`the model loses message ${left[0]}, ${left[1]}`);
  }

  /** The model looks at all of its streams: of those that never sent anything it need not know. */
  #stream({ stream: id }: TraceRecord): Stream {
    const stream = this.#streams.get(id!);
    assert.ok(stream, `there is no stream ${id}`);
    if (!this.#state.streams.includes(stream)) this.#state.streams.push(stream);
    return stream;
  }

  #arrive(record: TraceRecord): void {
    const { message: number = UNNUMBERED, frame, level, error, reason } = record;
    this.#nowNs = ns(record.at!);
    this.seen.arrivals++;
    if (error) count(this.seen.errors, error);
    const arrival: Arrival = {
      atNs: this.#nowNs,
      stream: this.#stream(record),
      message: {
        number,
        bytes: record.bytes!,
        arrivalNs: this.#nowNs,
        deadlineNs: record.deadlineAt === undefined ? Infinity : ns(record.deadlineAt),
        drop: record.drop === "never" ? NEVER : record.drop!,
      },
      mark: frame,
      level: frame === undefined || level === undefined ? LEVEL_NONE : level,
      leading: record.leading ?? false,
    };
    this.#refused = isOutOfOrder(this.#state, arrival) ? arrival : null;
    assert.equal(error === "EPROTO", this.#refused !== null, "out of order, to one of both");
    if (this.#refused) return;
    this.#state.messagesMax = record.room ?? this.#queueMessages;
    this.#state.bestEffortMax = record.bestEffortRoom ?? Math.floor(this.#queueMessages / 2);
    enqueue(this.#state, arrival);
    const own = this.#take().find((event) => event.message === number);
    const errors: Record<string, string> = { ENOBUFS: "overflow", ETIME: "expired" };
    const expected = error === "EMSGSIZE" ? "frame" : errors[error!] ?? reason;
    assert.equal(own?.reason, expected, "what becomes of the message at once");
    assert.equal(own === undefined, record.message !== undefined, "whether it is queued");
    if (own) count(this.seen.lost, own.reason!);
  }

  /** What a message costs that is out of order. One too many for its frame has paid already. */
  #refuse(record: TraceRecord): void {
    assert.equal(record.reason, "frame");
    if (!this.#refused) return;
    const { stream, message } = this.#refused;
    dropMessage(this.#state, stream, message, "frame", this.#nowNs);
    this.#state.events.pop();
    count(this.seen.lost, "frame");
  }

  #abandon(stream: Stream): void {
    const unit = this.#state.policy.frames ? openUnit(stream) : null;
    if (unit) lose(this.#state, unit, "frame", this.#nowNs);
    stream.frame = null;
    stream.discarding = null;
    this.#take();
  }

  #flush(stream: Stream, reason: Reason): void {
    while (stream.units.length > 0) dropUnit(this.#state, stream.units[0], reason, this.#nowNs);
    stream.frame = null;
    this.#take();
  }

  /** A window that did not change goes on; the head is ranked anew by another period. */
  #change(stream: Stream, attributes: Attributes): void {
    const next = newStream(stream.id, attributes);
    const head = stream.units[0];
    assert.equal(
      next.periodNs > 0,
      stream.periodNs > 0,
      "the model knows no change to best effort",
    );
    assert.equal(next.droppable, stream.droppable, "the model knows no change of that");
    if (next.x !== stream.x || next.y !== stream.y) stream.window = next.window;
    if (next.periodNs !== stream.periodNs) {
      stream.releaseNs = null;
      if (head && !head.begun) head.ready = false;
    }
    const { periodNs, x, y, messagesMax, bytesMax } = next;
    Object.assign(stream, { periodNs, x, y, messagesMax, bytesMax });
    makeHeadReady(this.#state, stream);
  }

  #decide(record: TraceRecord): void {
    this.#nowNs = ns(record.at!);
    this.#state.lagNs = ns(record.lag!);
    this.seen.decisions++;
    const heads = this.#state.streams.filter(({ units: [head] }) => head?.ready);
    if (heads.length > 1) this.seen.contested++;
    const doneNs = decide(this.#state, this.#nowNs);
    const sent = this.#take().find(({ outcome }) => outcome !== "dropped");
    const { stream, message, bytes, outcome } = record;
    assert.deepEqual(
      sent && { ...sent, at: doneNs },
      message === undefined
        ? undefined
        : { at: ns(record.doneAt!), stream, message, bytes, outcome },
      "what leaves",
    );
    if (outcome) this.seen[outcome]++;
    if (message !== undefined) return;
    const first = expirySet(this.#state)[0];
    const nextNs = first && expiryNs(this.#state, first);
    assert.equal(
      nextNs,
      record.nextAt === undefined ? undefined : ns(record.nextAt),
      "what is next",
    );
  }

  #meet({ stream, message, reason }: TraceRecord): void {
    assert.equal(reason, this.#lost.get(message!), `why message ${message} of ${stream} is lost`);
    this.#lost.delete(message!);
    count(this.seen.lost, reason!);
  }

  /** The model's events since the last time; losses of queued messages are to be met. */
  #take() {
    const events = this.#state.events.splice(0);
    for (const { message, reason } of events) {
      if (reason && message !== UNNUMBERED) this.#lost.set(message, reason);
    }
    return events;
  }
}

function attributesOf({ attributes }: TraceRecord): Attributes {
  const { ipg, oln, old, droppable, queueMessages, queueBytes } = attributes!;
  return { ipg, oln, old, droppable, queueMessages, queueBytes };
}

/** Exact: a time is whole nanoseconds, and below 2^53. */
function ns(ms: number): number {
  return Math.round(ms * 1e6);
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
