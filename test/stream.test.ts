import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Frame } from "../media/frame.ts";
import { Depacketizer } from "../media/depacketize.ts";
import { packetizeFrame, packetizer } from "../media/packetize.ts";
import type { FramePackets, PacketizeOptions } from "../media/packetize.ts";
import { parseRtp } from "../media/rtp.ts";
import { annexB } from "../media/rtp_h264.ts";
import { depacketize, pace, packetize } from "../media/stream.ts";
import { filler } from "./lossy.ts";

function frame(bytes: number, facts: Partial<Frame> = {}): Frame {
  const slice = filler(bytes, bytes);
  slice[0] = 0x61;
  return {
    index: 0,
    codec: "h264",
    type: "P",
    pts: 0,
    dts: 0,
    data: annexB([slice]),
    keyframe: false,
    reference: true,
    groupStart: false,
    leading: false,
    damaged: false,
    ...facts,
  };
}

const fixed: PacketizeOptions = { format: "h264", ssrc: 7, sequence: 65534, timestampOffset: 0 };

async function collect<T>(stream: ReadableStream<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

function source<T>(items: readonly T[]): ReadableStream<T> {
  return new ReadableStream({
    start(controller) {
      for (const item of items) controller.enqueue(item);
      controller.close();
    },
  });
}

test("packetizeFrame marks start, middle, end and whole, and flags every message alike", () => {
  const policy = () => ({ drop: 3, level: 1, leading: true } as const);
  const state = packetizer({ ...fixed, mtu: 100, latency: 120, policy });
  const { packets } = packetizeFrame(frame(300), state);
  const marks = packets.messages.map((message) => message.frame);
  assert.deepEqual(marks, ["start", "middle", "middle", "end"]);
  for (const message of packets.messages) {
    const { drop, level, leading, deadline } = message;
    assert.deepEqual({ drop, level, leading, deadline }, {
      drop: 3,
      level: 1,
      leading: true,
      deadline: 120,
    });
  }
  assert.equal(packetizeFrame(frame(30), state).packets.messages[0].frame, "whole");
});

test("packetizeFrame continues sequence numbers over frames and through the wrap", () => {
  const first = packetizeFrame(frame(3000, { pts: 40 }), packetizer(fixed));
  const second = packetizeFrame(frame(10, { pts: 80 }), first.state);
  const headers = [...first.packets.messages, ...second.packets.messages]
    .map(({ data }) => parseRtp(data)!);
  assert.deepEqual(headers.map(({ sequence }) => sequence), [65534, 65535, 0, 1]);
  assert.deepEqual(headers.map(({ marker }) => marker), [false, false, true, true]);
  assert.deepEqual(headers.map(({ timestamp }) => timestamp), [3600, 3600, 3600, 7200]);
});

test("packetizeFrame is pure: the same frame and state give the same packets", () => {
  const state = packetizer({ format: "h264" });
  assert.deepEqual(packetizeFrame(frame(3000), state), packetizeFrame(frame(3000), state));
});

test("packetizeFrame wraps timestamps, below 0 too, and steps where there is no time", () => {
  let state = packetizer({ ...fixed, timestampOffset: 0xffffffff });
  const stamps = [-40, 1, null, null].map((pts) => {
    const result = packetizeFrame(frame(10, { pts }), state);
    state = result.state;
    return parseRtp(result.packets.messages[0].data)!.timestamp;
  });
  assert.deepEqual(stamps, [0xffffffff - 3600, 89, 89 + 3600, 89 + 7200]);
});

test("packetizeFrame never exceeds the mtu and uses equal sizes", () => {
  fc.assert(fc.property(
    fc.integer({ min: 100, max: 1500 }),
    fc.integer({ min: 2, max: 20000 }),
    (mtu, bytes) => {
      const { packets } = packetizeFrame(frame(bytes), packetizer({ ...fixed, mtu }));
      const sizes = packets.messages.map(({ data }) => data.length);
      assert.ok(sizes.every((size) => size <= mtu));
      assert.equal(new Set(sizes.slice(0, -1)).size, sizes.length > 1 ? 1 : 0);
      assert.ok(sizes[sizes.length - 1] <= sizes[0]);
    },
  ));
});

test("packetizeFrame with segments sends the same packets in fewer messages", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 2, max: 90_000 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 200, max: 1500 }),
      (sizes, mtu) => {
        const units = sizes.map((bytes, i) => {
          const unit = filler(bytes, i);
          unit[0] = 0x61;
          return unit;
        });
        const whole = frame(2, { data: annexB(units) });
        const plain = packetizeFrame(whole, packetizer({ ...fixed, mtu })).packets.messages;
        const state = packetizer({ ...fixed, mtu, segments: true });
        const { messages } = packetizeFrame(whole, state).packets;
        const cut = messages.flatMap(({ data, segment }) => {
          if (segment === undefined) return [data];
          const count = Math.ceil(data.length / segment);
          assert.ok(count > 1 && count <= 64 && data.length <= 65507);
          return Array.from(
            { length: count },
            (_, i) => data.subarray(segment * i, segment * (i + 1)),
          );
        });
        assert.deepEqual(cut, plain.map(({ data }) => data));
        assert.equal(messages[0].frame, messages.length === 1 ? "whole" : "start");
      },
    ),
    { numRuns: 50 },
  );
  const one = packetizeFrame(frame(3000), packetizer({ ...fixed, segments: true })).packets;
  assert.equal(one.messages.length, 1);
});

test("packetizeFrame tells the policy the place of each frame in its group", () => {
  const places: unknown[] = [];
  let state = packetizer({
    ...fixed,
    policy: (_frame, place) => {
      places.push([place.position, place.groupFrames]);
      return { drop: 0, level: 2, leading: false };
    },
  });
  for (const type of ["P", "I", "P", "B", "I", "P"] as const) {
    state = packetizeFrame(frame(10, { type, groupStart: type === "I" }), state).state;
  }
  assert.deepEqual(places, [[1, null], [0, 2], [1, 2], [2, 2], [0, 3], [1, 3]]);
});

test("packetizer refuses options that are wrong", () => {
  const wrong = [
    { format: "mpeg" },
    { format: "mpv", mtu: 99 },
    { format: "mp2t", mtu: 199 },
    { format: "mpv", payloadType: 128 },
    { format: "mpv", latency: 0 },
    { format: "mpv", policy: {} },
    { format: "mpv", marking: 15 },
    { format: "mpv", size: 3 },
  ];
  for (const options of wrong) {
    assert.throws(() => packetizer(options as PacketizeOptions), /^(Range|Type)Error: Cannot pack/);
  }
});

test("packetizer chooses ssrc, sequence and timestamp offset at random", () => {
  const [a, b] = [packetizer({ format: "mpv" }), packetizer({ format: "mpv" })];
  assert.notDeepEqual([a.sequence, a.options], [b.sequence, b.options]);
});

test("packetize leaves out frames with nothing to carry", async () => {
  const empty = frame(2, { data: new Uint8Array(0) });
  const packets = await collect(source([empty, frame(9)]).pipeThrough(packetize(fixed)));
  assert.equal(packets.length, 1);
});

/** A clock that only sleeping moves; each sleep overshoots by `late` ms. */
function clock(late = 0) {
  let time = 5000;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => time,
    sleep: (ms: number) => {
      sleeps.push(ms);
      time += ms + late;
      return Promise.resolve();
    },
  };
}

function packetsAt(dts: number | null, deadline?: number): FramePackets {
  const message = { data: new Uint8Array(1), ...(deadline !== undefined && { deadline }) };
  return { frame: frame(2), dts, messages: [message] };
}

test("pace releases on time, and late timers do not add up", async () => {
  const { now, sleep, sleeps } = clock(1.5);
  const list = [0, 40, 80, 120].map((dts) => packetsAt(dts));
  const released = await collect(
    source(list).pipeThrough(pace({ latency: 100, now, sleep }))
      .pipeThrough(
        new TransformStream<FramePackets, number>({
          transform(packets, controller) {
            controller.enqueue(packets.messages[0].deadlineAt! - 100);
          },
        }),
      ),
  );
  assert.deepEqual(released, [5000, 5040, 5080, 5120]);
  assert.deepEqual(sleeps, [40, 38.5, 38.5]);
});

test("pace turns each message's own budget into a deadline on the clock", async () => {
  const { now, sleep } = clock();
  const paced = await collect(
    source([packetsAt(0, 70), packetsAt(40, 70), packetsAt(80)]).pipeThrough(pace({ now, sleep })),
  );
  const deadlines = paced.map(({ messages: [{ deadline, deadlineAt }] }) => [deadline, deadlineAt]);
  assert.deepEqual(deadlines, [[undefined, 5070], [undefined, 5110], [undefined, undefined]]);
});

test("pace says when the time line jumps", async () => {
  const { now, sleep } = clock();
  const jumps: unknown[] = [];
  const stage = pace({ now, sleep, onDiscontinuity: (jump) => jumps.push(jump) });
  await collect(source([packetsAt(50), packetsAt(10)]).pipeThrough(stage));
  assert.deepEqual(jumps, [{ from: 50, to: 10 }]);
});

test("pace ends its wait when either side goes away", async () => {
  for (const end of ["cancel", "abort"] as const) {
    let waiting!: () => void;
    const waits = new Promise<void>((resolve) => waiting = resolve);
    let woken = false;
    const stage = pace({
      now: () => 0,
      sleep: (_ms, signal) =>
        new Promise((_resolve, reject) => {
          waiting();
          signal.addEventListener("abort", () => {
            woken = true;
            reject(signal.reason);
          });
        }),
    });
    const writer = stage.writable.getWriter();
    const reader = stage.readable.getReader();
    writer.closed.catch(() => {});
    reader.closed.catch(() => {});
    writer.write(packetsAt(0)).catch(() => {});
    writer.write(packetsAt(1000)).catch(() => {});
    await reader.read();
    const next = reader.read().catch(() => ({ done: true }));
    await waits;
    await (end === "cancel" ? reader.cancel("gone") : writer.abort("gone"));
    assert.equal(woken, true, end);
    assert.equal((await next).done, true, end);
  }
});

test("pace passes a failing sleep on", async () => {
  const stage = pace({ now: () => 0, sleep: () => Promise.reject(new Error("no timer")) });
  const all = collect(source([packetsAt(0), packetsAt(1)]).pipeThrough(stage));
  await assert.rejects(all, /no timer/);
});

test("pace refuses options that are wrong", () => {
  assert.throws(() => pace({ speed: 0 }), {
    name: "RangeError",
    message: "Cannot pace: speed must be above 0, got 0",
  });
  assert.throws(() => pace({ latency: -1 }), RangeError);
  assert.throws(() => pace({ now: 3 as unknown as () => number }), TypeError);
});

test("frames go through packetize, pace and depacketize and come out the same", async () => {
  const { now, sleep } = clock();
  const frames = [3000, 10, 1199].map((bytes, i) => frame(bytes, { pts: 40 * i, dts: 40 * i }));
  const stage = depacketize({ format: "h264", sequence: 65534 });
  const received = await collect(
    source(frames)
      .pipeThrough(packetize(fixed))
      .pipeThrough(pace({ now, sleep }))
      .pipeThrough(
        new TransformStream<FramePackets, Uint8Array>({
          transform(packets, controller) {
            for (const { data } of packets.messages) controller.enqueue(data);
          },
        }),
      )
      .pipeThrough(stage),
  );
  assert.deepEqual(received.map(({ data }) => data), frames.map(({ data }) => data));
  assert.deepEqual(received.map(({ pts }) => pts), [0, 40, 80]);
  assert.equal(stage.depacketizer.reception.lost, 0);
});

test("Depacketizer proves the first frame by its sequence number or by an opening", () => {
  const delimited = frame(2, { data: annexB([new Uint8Array([9, 0xf0]), filler(30, 1)]) });
  const first = (sent: Frame, known: { sequence?: number }) => {
    const { packets } = packetizeFrame(sent, packetizer(fixed));
    return new Depacketizer({ format: "h264", ...known }).push(packets.messages[0].data)[0];
  };
  assert.equal(first(frame(30), {}).complete, false);
  assert.equal(first(frame(30), { sequence: 65534 }).complete, true);
  assert.equal(first(frame(30), { sequence: 65533 }), undefined); // one may still come
  assert.equal(first(delimited, {}).complete, true);
});

test("Depacketizer gives a missing packet up after as many as its depth", () => {
  const options = { format: "h264", sequence: 65534, depth: 2 } as const;
  const depacketizer = new Depacketizer(options);
  let state = packetizer(fixed);
  const sent: Uint8Array[] = [];
  for (let i = 0; i < 5; i++) {
    const result = packetizeFrame(frame(20 + i, { pts: 40 * i }), state);
    state = result.state;
    sent.push(result.packets.messages[0].data);
  }
  const counts = [sent[0], sent[2], sent[3], sent[4]].map((datagram) => {
    return depacketizer.push(datagram).length;
  });
  assert.deepEqual(counts, [1, 0, 0, 3]);
  assert.equal(depacketizer.push(sent[1]).length, 0); // too late
  assert.equal(depacketizer.reception.lost, 0);
});

test("Depacketizer follows a source that starts anew, and does not trust it blindly", () => {
  const depacketizer = new Depacketizer({ format: "h264", sequence: 10 });
  const send = (sequence: number, pts: number) => {
    const state = packetizer({ ...fixed, sequence });
    const { packets } = packetizeFrame(frame(9, { pts }), state);
    return depacketizer.push(packets.messages[0].data);
  };
  assert.equal(send(10, 0)[0].complete, true);
  assert.equal(send(40000, 5).length, 0);
  const [first] = send(40001, 6);
  assert.equal(first.complete, false);
  assert.equal(send(40002, 7)[0].complete, true);
});

test("Depacketizer ignores other sources, other payload types and what is no RTP", () => {
  const depacketizer = new Depacketizer({ format: "h264", payloadType: 96 });
  const send = (options: Partial<PacketizeOptions>) => {
    const { packets } = packetizeFrame(frame(9), packetizer({ ...fixed, ...options }));
    return depacketizer.push(packets.messages[0].data).length;
  };
  assert.equal(send({ payloadType: 97 }), 0);
  assert.equal(send({}), 1);
  assert.equal(send({ ssrc: 8, sequence: 65535 }), 0);
  assert.equal(depacketizer.push(new Uint8Array(5)).length, 0);
  assert.equal(depacketizer.ignored, 3);
});

test("Depacketizer never throws on random packets, whatever the format", () => {
  const packet = fc.record({
    sequence: fc.nat({ max: 8 }),
    timestamp: fc.nat({ max: 2 }),
    marker: fc.boolean(),
    payload: fc.uint8Array({ maxLength: 24 }),
  });
  fc.assert(fc.property(
    fc.constantFrom("mpv", "mp2t", "h264"),
    fc.array(packet, { maxLength: 30 }),
    (format, list) => {
      const depacketizer = new Depacketizer({ format, depth: 3, marking: 3 });
      for (const { sequence, timestamp, marker, payload } of list) {
        const second = marker ? 0xe0 : 0x60;
        const head = [0x80, second, 0, sequence, 0, 0, 0, timestamp, 0, 0, 0, 1];
        depacketizer.push(new Uint8Array([...head, ...payload]), sequence);
      }
      depacketizer.flush();
    },
  ));
});
