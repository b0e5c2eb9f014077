import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type MessageOptions, type Scheduler, virtualLinkOptions } from "../ffi/options.ts";
import { type VirtualEvent, VirtualLink } from "../ffi/simulate.ts";

const SCHEDULERS = virtualLinkOptions.shape.scheduler.unwrap().options;

/** A link on which a message of 1250 bytes takes 1 ms. */
function open(scheduler: Scheduler = "dwcs", queueMessages?: number): VirtualLink {
  return new VirtualLink({ scheduler, rate: 1_250_000, queueMessages });
}

function brief(events: VirtualEvent[]): string[] {
  return events.map(({ at, stream, message, outcome, reason }) =>
    `${at} ${stream}.${message} ${outcome}${reason ? ` ${reason}` : ""}`
  );
}

test("VirtualLink transmits at its rate and tells the end of each transmission", () => {
  using link = open();
  const stream = link.open();
  assert.equal(stream.send(1250, {}, 5), 0);
  assert.equal(stream.send(2500, {}, 5), 1);
  assert.deepEqual(link.run(1000), [
    { at: 6, stream: 0, message: 0, bytes: 1250, outcome: "sent" },
    { at: 8, stream: 0, message: 1, bytes: 2500, outcome: "sent" },
  ]);
  assert.equal(link.now, 1000);
});

test("VirtualLink takes arrivals in any order, and keeps the calls' order at equal times", () => {
  using link = open("fifo");
  const [a, b] = [link.open(), link.open()];
  b.send(1250, {}, 20);
  a.send(1250, {}, 10);
  b.send(1250, {}, 10);
  a.send(1250, {}, 0);
  assert.deepEqual(brief(link.run(100)), [
    "1 0.1 sent",
    "11 0.0 sent",
    "12 1.1 sent",
    "21 1.0 sent",
  ]);
});

test("VirtualLink keeps what arrives after `until` for the next run", () => {
  using link = open();
  const stream = link.open();
  stream.send(1250, {}, 50);
  stream.send(1250, {}, 10);
  assert.deepEqual(brief(link.run(20)), ["11 0.1 sent"]);
  assert.deepEqual(brief(link.run(50)), []);
  assert.deepEqual(brief(link.run(51)), ["51 0.0 sent"]);
  assert.deepEqual(brief(link.run(51)), []);
});

test("VirtualLink hears arrivals at the very time a transmission ends before it decides", () => {
  using link = open("edf");
  const stream = link.open();
  const urgent = link.open();
  stream.send(1250, { deadline: 100 }, 0);
  stream.send(1250, { deadline: 100 }, 0);
  link.run(1);
  urgent.send(1250, { deadline: 2 }, 1);
  assert.deepEqual(brief(link.run(10)), ["2 1.0 sent", "3 0.1 sent"]);
});

test("VirtualLink serves the earliest deadline first under edf, and arrivals under fifo", () => {
  for (const [scheduler, order] of [["edf", [1, 2, 0]], ["fifo", [0, 1, 2]]] as const) {
    using link = open(scheduler);
    [90, 30, 60].forEach((deadline) => link.open().send(1250, { deadline }));
    assert.deepEqual(link.run(100).map((event) => event.stream), order);
  }
});

test("VirtualLink drops a message that cannot make its deadline, and edf-lossless sends it", () => {
  for (const scheduler of ["dwcs", "edf"] as const) {
    using link = open(scheduler);
    link.open({ ipg: 10 }).send(1250, { deadline: 0.5 });
    const [{ outcome, reason }] = link.run(10);
    assert.deepEqual([outcome, reason], ["dropped", "expired"]);
  }
  using link = open("edf-lossless");
  link.open({ ipg: 10 }).send(1250, { deadline: 0.5 });
  assert.deepEqual(brief(link.run(10)), ["1 0.0 late"]);
});

test("VirtualLink takes deadlineAt on its own clock, and drops at once what is past it", () => {
  using link = open();
  const stream = link.open({ ipg: 10 });
  stream.send(1250, { deadlineAt: 7 }, 5);
  stream.send(1250, { deadlineAt: 7 }, 8);
  assert.deepEqual(brief(link.run(20)), ["6 0.0 sent", "8 0.1 dropped expired"]);
});

test("VirtualLink drops the frames that need a lost one, until the next group starts", () => {
  using link = open("edf");
  const stream = link.open();
  const busy: MessageOptions = { deadline: 5, frame: "whole", drop: "never" };
  stream.send(6250, busy); // occupies the link while the reference below expires
  stream.send(1250, { deadline: 4, frame: "whole", level: 1 });
  stream.send(1250, { deadline: 50, frame: "whole", level: 2 });
  stream.send(1250, { deadline: 50, frame: "whole", level: 0 });
  stream.send(1250, { deadline: 50, frame: "whole", level: 1 });
  const reasons = link.run(50).sort((a, b) => a.message - b.message).map((event) => event.reason);
  assert.deepEqual(reasons, [undefined, "expired", "dependency", undefined, undefined]);
});

test("VirtualLink counts a message whose frame marks are out of order as dropped by frame", () => {
  using link = open();
  const stream = link.open();
  stream.send(100, { frame: "end" }, 1);
  stream.send(100, { frame: "start" }, 2);
  stream.send(100, { frame: "start" }, 3);
  stream.send(100, { frame: "end" }, 4);
  const events = link.run(10);
  assert.deepEqual(brief(events.filter((event) => event.outcome === "dropped")), [
    "1 0.0 dropped frame",
    "3 0.2 dropped frame",
  ]);
  assert.equal(events.filter((event) => event.outcome === "sent").length, 2);
});

test("VirtualLink refuses the newcomer when its queue is full of messages worth as much", () => {
  using link = open();
  const stream = link.open({ queueMessages: 2 });
  for (let message = 0; message < 4; message++) stream.send(1250, {}, 0);
  const info = stream.info();
  assert.equal(info.offered, 0, "nothing arrives before the clock runs");
  const events = link.run(100);
  assert.deepEqual(events.filter(({ reason }) => reason === "overflow").length, 2);
  assert.equal(stream.info().dropped.overflow, 2);
  assert.equal(stream.info().sent, 2);
});

test("VirtualLink reports more events than one call returns, in order of time", () => {
  using link = open("fifo", 65536);
  const stream = link.open({ queueMessages: 20_000, queueBytes: 1e9 });
  const lost = link.open({ queueMessages: 1 });
  for (let message = 0; message < 10_000; message++) stream.send(125, {}, message * 0.01);
  for (let message = 0; message < 10_000; message++) lost.send(125, {}, 50);
  const events = link.run(5000);
  assert.equal(events.length, 20_000);
  for (let index = 1; index < events.length; index++) {
    assert.ok(events[index].at >= events[index - 1].at, `event ${index}`);
  }
});

test("VirtualLink reports every drop of more messages at one time than C's log holds", () => {
  using link = open("fifo", 1);
  const stream = link.open({ queueMessages: 1 });
  for (let message = 0; message < 70_000; message++) stream.send(125);
  const events = link.run(1);
  assert.equal(events.length, 70_000);
  assert.equal(new Set(events.map((event) => event.message)).size, 70_000);
});

test("VirtualLink gives the same events for the same arrivals, however run is divided", () => {
  const arrival = fc.record({
    stream: fc.nat(2),
    bytes: fc.integer({ min: 1, max: 5000 }),
    at: fc.integer({ min: 0, max: 400 }).map((tenths) => tenths / 10),
    deadline: fc.option(fc.integer({ min: 1, max: 300 }).map((tenths) => tenths / 10), {
      nil: undefined,
    }),
    drop: fc.constantFrom<MessageOptions["drop"][]>("never", 0, 3, 6),
  });
  const stops = fc.array(fc.integer({ min: 0, max: 500 }).map((tenths) => tenths / 10));
  fc.assert(
    fc.property(fc.constantFrom(...SCHEDULERS), fc.array(arrival), stops, (scheduler, all, at) => {
      const runs = [[], [...at].sort((a, b) => a - b)].map((times) => {
        using link = open(scheduler);
        const attributes = [{ ipg: 4, oln: 1, old: 3 }, { ipg: 7 }, {}];
        const streams = attributes.map((each) => link.open(each));
        for (const { stream, bytes, at, ...options } of all) {
          streams[stream].send(bytes, options, at);
        }
        const events = [...times, 1e6].flatMap((until) => link.run(until));
        const { offered, sent, late, dropped, queued } = link.info();
        const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
        assert.equal(offered, sent + late + lost + queued);
        assert.equal(events.length, all.length);
        return events;
      });
      assert.deepEqual(runs[0], runs[1]);
    }),
    { numRuns: 100 },
  );
});

test("VirtualLink refuses times before its own, and times that are none", () => {
  using link = open();
  const stream = link.open();
  link.run(10);
  assert.throws(() => stream.send(100, {}, 9), {
    name: "RangeError",
    message: "Cannot send: at must be 10 ms, the link's time, or later, got 9",
  });
  assert.throws(() => stream.send(100, {}, NaN), RangeError);
  assert.throws(() => link.run(9), {
    name: "RangeError",
    message: "Cannot run: until must be 10 ms or later, got 9",
  });
  assert.throws(() => link.run(NaN), RangeError);
  assert.throws(() => link.run(Infinity), RangeError);
  assert.throws(() => stream.send(0), RangeError);
  assert.throws(() => stream.send(65508), RangeError);
});

test("VirtualLink throws after it is closed, and closes twice without complaint", () => {
  const link = open();
  const stream = link.open();
  link.close();
  link.close();
  for (
    const use of [() => link.run(1), () => link.open(), () => link.info(), () => stream.info()]
  ) {
    assert.throws(use, { name: "QError", code: "EBADF" });
  }
  assert.throws(() => stream.send(100), { code: "EBADF", message: /the link is closed/ });
});

test("VirtualStream.info has the stream's attributes, scheduler and host", () => {
  using link = open("dwcs");
  const attributes = { ipg: 10, oln: 1, old: 4, queueMessages: 9, queueBytes: 1e4 };
  const info = link.open({ ...attributes, droppable: false }).info();
  assert.deepEqual({ ...info, ...attributes, droppable: false }, info);
  assert.equal(info.host, "virtual");
  assert.equal(info.scheduler, "dwcs");
  assert.equal(info.rate, 1_250_000);
  assert.deepEqual(info.window, { lost: 1, left: 4 });
  assert.equal(link.info().streams, 1);
});

test("VirtualStream.info has the mean and the longest time from arrival to the end of sending", () => {
  for (const scheduler of SCHEDULERS) {
    using link = open(scheduler);
    const stream = link.open({ ipg: 1 });
    assert.deepEqual(stream.info().delay, { mean: 0, max: 0 });
    for (const at of [0, 0, 0, 10]) stream.send(1250, {}, at); // they end at 1, 2, 3 and 11
    link.run(20);
    assert.deepEqual(stream.info().delay, { mean: 7 / 4, max: 3 }, scheduler);
  }
});
