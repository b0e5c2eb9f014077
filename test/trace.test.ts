// Decisions at any time, late by anything, with a guard: the scheduler as its hosts on real links
// drive it, recorded and replayed, against the model. What a device below the stack records is held
// to the same in test/vm/guest/trace.test.ts.

import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, test } from "node:test";
import { ENUM } from "../ffi/abi.ts";
import { attrFields } from "../ffi/attributes.ts";
import { qsocketRecord } from "../ffi/layout.ts";
import { messageFlags } from "../ffi/message.ts";
import { Link } from "../ffi/link.ts";
import { readTrace, Trace } from "../ffi/trace.ts";
import { check, parameters, scenario } from "./arbitrary.ts";
import { replayOnModel } from "./model/replay.ts";
import type { Scenario } from "./model/play.ts";
import type { Scheduler } from "./model/state.ts";

console.log(`properties: QSOCKETS_SEED=${parameters.seed} QSOCKETS_RUNS=${parameters.runs}`);

const LONG = { timeout: 24 * 3_600_000 };
const STREAMS_MAX = 64;
const DECISIONS_MAX = 200; // between two messages

/** Those that need nothing but attributes of streams. */
const SCHEDULERS: Scheduler[] = ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "fifo"];

type Fields = Partial<ReturnType<typeof qsocketRecord.read>>;

/** When a host asks, and what else happens, beside a scenario's messages. */
interface Host {
  guardUs: number;
  /** Each a share of an average message's time on the link, until the decision after it ... */
  gaps: number[];
  /** ... which is late by so many ns. */
  lags: number[];
  /** Messages that may be queued when one arrives; 0: as many as ever. */
  rooms: number[];
  /** Streams that end, change, are flushed or have their frame abandoned, at some message. */
  events: { at: number; stream: number; what: "close" | "change" | "flush" | "abandon" }[];
}

const host: fc.Arbitrary<Host> = fc.record({
  guardUs: fc.constantFrom(0, 0, 100, 1000, 5000),
  gaps: fc.array(fc.double({ min: 0, max: 4, noNaN: true }), { minLength: 1, maxLength: 20 }),
  lags: fc.array(
    fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 50_000 }),
      fc.integer({ max: 10_000_000 })
        .map(Math.abs).map((lag) => Math.min(lag, 10_000_000)),
    ),
    { minLength: 1, maxLength: 10 },
  ),
  rooms: fc.oneof(
    fc.constant<number[]>([0]),
    fc.array(fc.constantFrom<number[]>(0, 0, 0, 1, 3, 10), { minLength: 1, maxLength: 9 }),
  ),
  events: fc.array(
    fc.record({
      at: fc.nat({ max: 150 }),
      stream: fc.nat({ max: 8 }),
      what: fc.constantFrom("close", "change", "flush", "abandon", "abandon"),
    }),
    { maxLength: 6 },
  ),
});

/** A trace without any answers: a scenario's messages, and decisions in between. */
function asked({ scheduler, rate, queueMessages, streams, messages }: Scenario, host: Host): Trace {
  const records: Fields[] = [];
  let turn = 1;
  const add = (kind: number, fields: Fields) => records.push({ kind, turn, ...fields });
  const opened = streams.map((attributes, stream) => {
    add(ENUM.QSOCKET_RECORD_ADD, { stream, attr: attrFields(attributes) });
    return { ...attributes };
  });
  const open = new Set(opened.keys());
  const arrivals = messages.map((message) => ({ ...message, atNs: Math.round(message.at * 1e6) }))
    .sort((a, b) => a.atNs - b.atNs);
  const bytes = arrivals.reduce((sum, message) => sum + message.bytes, 0) /
    Math.max(1, arrivals.length);
  let nextNs = 0, decisions = 0;
  const decideUntil = (untilNs: number) => {
    // A link that is a thousand times faster than its traffic need not be asked all the time.
    for (let most = DECISIONS_MAX; nextNs < untilNs && most > 0; decisions++, most--) {
      turn += 2;
      const value = host.lags[decisions % host.lags.length];
      add(ENUM.QSOCKET_RECORD_DECIDE, { at_ns: nextNs, value });
      const gap = host.gaps[decisions % host.gaps.length] + 0.05;
      nextNs += Math.ceil(gap * bytes * 1e9 / rate);
    }
    nextNs = Math.max(nextNs, untilNs);
  };
  arrivals.forEach(({ stream, bytes, atNs, at: _, deadline, ...options }, index) => {
    decideUntil(atNs);
    turn += 2;
    for (const event of host.events.filter(({ at }) => at === index)) {
      happen(event.what, event.stream % streams.length);
    }
    if (!open.has(stream)) return;
    const time_ns = deadline === undefined ? Infinity : atNs + Math.round(deadline * 1e6);
    add(ENUM.QSOCKET_RECORD_ARRIVE, {
      stream,
      at_ns: atNs,
      time_ns,
      value: Math.min(host.rooms[index % host.rooms.length], queueMessages ?? Infinity),
      bytes,
      flags: messageFlags({ deadline, ...options }),
    });
  });
  decideUntil(nextNs + 60 * Math.ceil(bytes * 1e9 / rate));

  function happen(what: Host["events"][number]["what"], stream: number): void {
    if (!open.has(stream)) return;
    if (what === "close") {
      open.delete(stream);
      add(ENUM.QSOCKET_RECORD_REMOVE, { stream });
    } else if (what === "flush") {
      add(ENUM.QSOCKET_RECORD_FLUSH, { stream, reason: ENUM.QSOCKET_ERROR });
    } else if (what === "abandon") {
      add(ENUM.QSOCKET_RECORD_ABANDON, { stream });
    } else {
      const attributes = opened[stream];
      const old = (attributes.old ?? 0) + 1;
      opened[stream] = { ...attributes, ipg: (attributes.ipg ?? 0) * 2, old };
      add(ENUM.QSOCKET_RECORD_CHANGE, { stream, attr: attrFields(opened[stream]) });
    }
  }

  const memory = new Uint8Array(records.length * qsocketRecord.size);
  const view = new DataView(memory.buffer);
  records.forEach((record, index) => {
    const offset = index * qsocketRecord.size;
    qsocketRecord.write(view, offset, record as Required<Fields>);
    if (record.time_ns === Infinity) memory.fill(0xff, ...timeOf(offset)); // UINT64_MAX
  });
  return new Trace({
    device: "",
    scheduler,
    rate,
    guard_ns: host.guardUs * 1000,
    streams_max: STREAMS_MAX,
    messages_max: queueMessages ?? 8192,
    missed: 0,
  }, memory);
}

function timeOf(offset: number): [number, number] {
  const { offsets, sizes } = qsocketRecord;
  return [offset + offsets.time_ns, offset + offsets.time_ns + sizes.time_ns];
}

describe("a scheduler that is asked late, and asks for a guard,", () => {
  for (const scheduler of SCHEDULERS) {
    test(`does what the model does under ${scheduler}`, LONG, () => {
      check(fc.tuple(scenario(scheduler), host), ([scenario, host]) => {
        replayOnModel(asked(scenario, host).replay());
      });
    });
  }

  test("does the same with its own records", LONG, () => {
    const any = fc.constantFrom(...SCHEDULERS).chain((name) => fc.tuple(scenario(name), host));
    check(any, ([scenario, host]) => {
      const trace = asked(scenario, host).replay();
      assert.equal(trace.replay().differsAt(trace), -1);
    });
  });
});

describe("a trace", () => {
  const streams = [{ ipg: 5, oln: 1, old: 3, droppable: false }];
  const example = asked({
    scheduler: "edf",
    rate: 1_000_000,
    streams,
    messages: [
      { stream: 0, bytes: 1000, at: 1, deadline: 3, drop: 2, frame: "start", level: 1 },
      { stream: 0, bytes: 500, at: 1, deadline: 2.5, drop: 2, frame: "end", level: 1 },
      { stream: 0, bytes: 700, at: 2, drop: "never" },
      { stream: 0, bytes: 700, at: 2, deadline: 4, frame: "middle", leading: true },
    ],
  }, { guardUs: 1000, gaps: [1], lags: [100], rooms: [0], events: [] }).replay();

  test("says in words what a scheduler was told and what it did", () => {
    const [open, ...rest] = example.records;
    assert.deepEqual(open, { kind: "open", turn: 1, stream: 0, attributes: streams[0] });
    const arrivals = rest.filter(({ kind }) => kind === "arrive").map(({ turn: _, ...it }) => it);
    const all = { kind: "arrive", stream: 0 };
    const framed = { drop: 2, level: 1 };
    assert.deepEqual(arrivals, [
      { ...all, message: 0, at: 1, deadlineAt: 4, bytes: 1000, ...framed, frame: "start" },
      { ...all, message: 1, at: 1, deadlineAt: 3.5, bytes: 500, ...framed, frame: "end" },
      { ...all, message: 0, at: 2, bytes: 700, drop: "never" },
      {
        ...all,
        message: undefined,
        at: 2,
        deadlineAt: 6,
        bytes: 700,
        drop: 6,
        frame: "middle",
        leading: true,
        error: "EPROTO",
      },
    ]);
    const sent = rest.filter(({ outcome }) => outcome !== undefined);
    assert.deepEqual(sent.map(({ message, outcome, lag }) => [message, outcome, lag]), [
      [0, "sent", 0.0001],
      [1, "sent", 0.0001],
      [0, "sent", 0.0001],
    ]);
  });

  test("tells where another one differs from it", () => {
    assert.ok(example.equals(example.replay()));
    const bytes = example.bytes.slice();
    bytes[3 * qsocketRecord.size]++;
    const about = { device: "", scheduler: "edf", rate: 1e6, guard_ns: 0, missed: 0 };
    const sizes = { streams_max: STREAMS_MAX, messages_max: 8192 };
    assert.equal(example.differsAt(new Trace({ ...about, ...sizes }, bytes)), 3);
    const shorter = new Trace({ ...about, ...sizes }, example.bytes.slice(0, -qsocketRecord.size));
    assert.equal(example.differsAt(shorter), example.records.length - 1);
  });

  test("of another scheduler is what that makes of it", () => {
    const messages = [0, 1].map(() => ({ stream: 0, bytes: 1000, at: 1, deadline: 1.5 }));
    const late = asked({ scheduler: "edf", rate: 1_000_000, streams: [{}], messages }, {
      guardUs: 0,
      gaps: [1],
      lags: [0],
      rooms: [0],
      events: [],
    });
    const fates = (trace: Trace) =>
      trace.records.flatMap(({ outcome, reason }) => outcome ?? reason ?? []);
    assert.deepEqual(fates(late.replay()), ["sent", "expired"]);
    assert.deepEqual(fates(late.replay("fifo")), ["sent", "late"]);
  });

  test("of no device cannot be read", () => {
    assert.throws(() => readTrace("eth9"), { code: "ENODEV" });
    assert.throws(() => readTrace("a name"), /Cannot read the trace of a name: .* device name/);
  });

  test("can be asked for below the stack alone", () => {
    const device = { device: "eth9", rate: 1000, system: true, trace: true };
    assert.throws(() => new Link(device), /trace must have host: "below" beside it, got true/);
    assert.throws(() => new Link({ rate: 1000, trace: true }), /trace must have host: "below"/);
  });
});
