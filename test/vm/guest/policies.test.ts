// The policies below the stack: what each of them promises, with traffic whose outcome does not hang on
// the moment. A virtual link with the same arrivals comes to the same counters.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { QError, VirtualLink } from "../../../mod.ts";
import type { QMessage, QSocket, Scheduler, SocketInfo, StreamAttributes } from "../../../mod.ts";
import { DEVICE, deviceTest, PORT, type Setting, V4 } from "./device.ts";
import { sh } from "./guest.ts";

const TO = { hostname: V4, port: PORT };
const RATE = 20_000; // bytes per second: a message of 1000 bytes takes 52 ms
const MESSAGE_BYTES = 1000;
const BLOCKER_MESSAGES = 20; // one packet for the queue: the rest is there when it has left
const AGES = 60_000; // ms: a deadline that is kept
const SOON = 400; // ms: one that has passed when the blocker has left

type Needs = Omit<QMessage, "data" | "to">;

/** What a burst came to, without what hangs on the moment. */
type Outcome = Pick<
  SocketInfo,
  "offered" | "sent" | "late" | "queued" | "dropped" | "droppedByPriority" | "violations" | "frames"
>;

function outcomeOf(info: SocketInfo): Outcome {
  const { offered, sent, late, queued, dropped, droppedByPriority, violations, frames } = info;
  return { offered, sent, late, queued, dropped, droppedByPriority, violations, frames };
}

const BLOCKER: Needs = { deadline: AGES, segment: MESSAGE_BYTES };

/** What the scheduler makes of a burst on a virtual link. */
function foretold(scheduler: Scheduler, attributes: StreamAttributes, burst: Needs[]): Outcome {
  using link = new VirtualLink({ scheduler, rate: RATE });
  const stream = link.open(attributes);
  stream.send(BLOCKER_MESSAGES * MESSAGE_BYTES, BLOCKER, 0);
  for (const needs of burst) stream.send(MESSAGE_BYTES, needs, 1);
  link.run(2 * AGES);
  return outcomeOf(stream.info());
}

/** What the device's makes of it, and the numbers of the messages that came, as they came. */
async function seen({ link, came }: Setting, attributes: StreamAttributes, burst: Needs[]) {
  using socket = link.open({ to: TO, ...attributes });
  socket.send(new Uint8Array(BLOCKER_MESSAGES * MESSAGE_BYTES).fill(1), BLOCKER);
  for (const [number, needs] of burst.entries()) taken(() => socket.send(data(2, number), needs));
  await drained(socket);
  const { order } = await came();
  return { outcome: outcomeOf(socket.info()), order: order[2] ?? [] };
}

function data(first: number, number = 0): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_BYTES).fill(first);
  new DataView(bytes.buffer).setUint32(1, number, true);
  return bytes;
}

async function drained(socket: QSocket): Promise<void> {
  while (socket.info().queued > 0) await pause(5);
}

/** A test of bursts, each with what must come of it beside what the virtual link says. */
function policyTest(
  scheduler: Scheduler,
  promise: string,
  bursts: {
    attributes?: StreamAttributes;
    burst: Needs[];
    /** The numbers of those that come. */
    come: number[];
    expect: (outcome: Outcome) => void;
  }[],
  then: (setting: Setting) => Promise<void> = () => Promise.resolve(),
): void {
  deviceTest(`${scheduler} below the stack ${promise}`, { scheduler, rate: RATE }, async (it) => {
    for (const { attributes = {}, burst, come, expect } of bursts) {
      const { outcome, order } = await seen(it, attributes, burst);
      assert.deepEqual(outcome, foretold(scheduler, attributes, burst));
      assert.deepEqual(order, come);
      expect(outcome);
    }
    await then(it);
  });
}

const MIXED: Needs[] = [AGES, SOON, AGES, SOON, SOON, AGES].map((deadline) => ({ deadline }));

policyTest("edf", "drops what is late, and sends nothing late", [{
  burst: MIXED,
  come: [0, 2, 5],
  expect: ({ late, dropped }) => assert.deepEqual([late, dropped.expired], [0, 3]),
}]);

policyTest("edf-lossless", "sends everything, late if need be", [{
  burst: MIXED,
  come: [0, 1, 2, 3, 4, 5],
  expect: ({ late, dropped }) => assert.deepEqual([late, dropped.expired], [3, 0]),
}]);

policyTest("fifo", "keeps the order, and refuses what comes to a full queue", [{
  attributes: { queueMessages: 4 },
  burst: MIXED,
  come: [0, 1, 2, 3],
  expect: ({ late, dropped }) => assert.deepEqual([late, dropped.overflow], [2, 2]),
}], surviveReset);

const frame = (level: number, deadline = AGES, drop: Needs["drop"] = 3): Needs => {
  return { frame: "whole", level, deadline, drop };
};

policyTest("dwcs", "drops frames whole, with what needs them, and the least valuable first", [{
  // A group of which a reference is late, and one that is whole.
  attributes: { ipg: 10_000, oln: 1, old: 4 },
  burst: [frame(0), frame(2), frame(1, SOON), frame(2), frame(1), frame(0), frame(2)],
  come: [0, 1, 5, 6],
  expect({ dropped, frames, violations }) {
    assert.deepEqual([dropped.expired, dropped.dependency], [1, 2]);
    assert.deepEqual(frames.sent, [2, 0, 2, 0]);
    assert.equal(violations, 2); // one loss of four was allowed
  },
}, {
  // A frame of three of which one part is late.
  burst: [
    { frame: "start", level: 2, deadline: AGES },
    { frame: "middle", deadline: SOON },
    { frame: "end", deadline: AGES },
    frame(2),
  ],
  come: [3],
  expect({ dropped, frames }) {
    assert.equal(dropped.expired, 3);
    assert.deepEqual([frames.sent[2], frames.dropped.expired[2], frames.partial], [1, 1, 0]);
  },
}, {
  // Room for four.
  attributes: { queueMessages: 4 },
  burst: ([0, 5, 1, 5, 5, 5, 0] as const).map((drop) => frame(2, AGES, drop)),
  come: [1, 3, 4, 5],
  expect({ dropped, droppedByPriority }) {
    assert.equal(dropped.overflow, 3);
    assert.deepEqual(droppedByPriority.slice(0, 2), [2, 1]);
  },
}]);

/** What waits when a device goes down is lost and counted; the stream goes on when it is up again. */
async function surviveReset({ link, came }: Setting): Promise<void> {
  using socket = link.open({ to: TO });
  socket.send(new Uint8Array(BLOCKER_MESSAGES * MESSAGE_BYTES).fill(1), BLOCKER);
  for (let i = 0; i < 5; i++) taken(() => socket.send(data(3)));
  sh(`ip link set ${DEVICE} down; ip link set ${DEVICE} up`);
  const { dropped, queued } = socket.info();
  assert.equal(queued, 0);
  assert.ok(dropped.error > 0, "nothing was queued any more");
  assert.ok(link.info().dropped.error >= dropped.error);
  while (!taken(() => socket.send(data(4)))) await pause(5);
  await drained(socket);
  const { messages } = await came();
  assert.equal((messages[3] ?? 0) + dropped.error, 5);
  assert.equal(messages[4], 1);
  assert.equal(socket.info().sent, 1 + (messages[3] ?? 0) + 1); // the blocker's is one
}

/** Whether it was sent; the device may not be up again. */
function taken(send: () => void): boolean {
  try {
    send();
    return true;
  } catch (error) {
    if (!(error instanceof QError)) throw error;
    return false;
  }
}
