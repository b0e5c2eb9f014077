// What a link's streams ask of it in all: against exact fractions, and against the scheduler.

import assert from "node:assert/strict";
import { constants } from "node:os";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CALL, ENUM, FLAG, LIMIT } from "../ffi/abi.ts";
import {
  Args,
  qchangeArgs,
  qcloseArgs,
  qinfoArgs,
  qsocketArgs,
  qsockinitArgs,
} from "../ffi/layout.ts";
import { library } from "../ffi/library.ts";
import type { Scheduler, StreamAttributes } from "../ffi/options.ts";
import { VirtualLink } from "../ffi/simulate.ts";
import { check } from "./arbitrary.ts";
import { type SlotSet, slotSets } from "./model/sets.ts";
import { refused } from "./refused.ts";

const LONG = { timeout: 24 * 3_600_000 };
const KB = 100_000; // bytes per second: 1000 bytes in 10 ms are all of it
const PPM = 1_000_000n;
const PPM_MAX = BigInt(LIMIT.QSOCKET_UTILISATION_PPM_MAX);
const WINDOWED: Scheduler[] = ["dwcs", "dwcs99", "vds"];
const EQUAL_PERIODS: Scheduler[] = ["dwcs", "dwcs99"];
const SCHEDULERS: Scheduler[] = [...WINDOWED, "edf", "edf-lossless", "sfq", "cbq", "fifo"];

describe("utilisation", () => {
  const third = { ipg: 10, bytes: 500, oln: 1, old: 3 };

  for (const scheduler of SCHEDULERS) {
    const windowed = WINDOWED.includes(scheduler);
    test(`under ${scheduler} is ${windowed ? "what a window leaves of " : ""}C/T`, () => {
      const cases: [StreamAttributes, number][] = [
        [third, windowed ? 0.333334 : 0.5], // rounded up to a millionth
        [{ ...third, droppable: false }, 0.5],
        [{ ipg: 10, bytes: 500 }, 0.5],
        [{ ipg: 10, bytes: 500, oln: 4, old: 4 }, windowed ? 0 : 0.5],
        [{ ipg: 10, oln: 1, old: 3 }, 0],
        [{ bytes: 500 }, 0],
        [{ ipg: 20, bytes: 5000 }, 2.5],
      ];
      for (const [attributes, expected] of cases) {
        using link = new VirtualLink({ scheduler, rate: KB });
        const stream = link.open(attributes);
        assert.equal(stream.info().utilisation, expected, JSON.stringify(attributes));
        assert.equal(link.info().utilisation, expected);
        link.open();
        link.change({ rate: 2 * KB });
        assert.equal(link.info().utilisation, Math.ceil(expected * 500_000) / 1e6);
        stream.change({ bytes: 1, ipg: 3_600_000 });
        assert.ok(link.info().utilisation < 1e-5);
      }
    });
  }

  test("of exactly 1 is admitted, and not a byte more", () => {
    for (const streams of [3, 6, 9]) {
      using link = new VirtualLink({ rate: streams / 3 * KB, admission: "refuse" });
      for (let i = 0; i < streams; i++) link.open(third);
      assert.equal(link.info().utilisation, 1);
      const error = refused(() => link.open({ ipg: 3_600_000, bytes: 1, oln: 65534, old: 65535 }));
      assert.equal(error.utilisation, 1.000001);
      assert.equal(link.info().utilisation, 1);
    }
    using sevenths = new VirtualLink({ rate: 7, scheduler: "edf", admission: "refuse" });
    for (let i = 0; i < 21; i++) sevenths.open({ ipg: 3000, bytes: 1 });
    assert.equal(refused(() => sevenths.open({ ipg: 3000, bytes: 1 })).utilisation, 1.047620);
  });

  test("of attributes at their limits stays a number, and goes when they do", () => {
    const most = { ipg: 1e-6, bytes: LIMIT.QSOCKET_UNIT_BYTES_MAX };
    for (const rate of [1, 1e12]) {
      using link = new VirtualLink({ rate });
      const streams = Array.from({ length: 1000 }, () => link.open(most));
      assert.equal(link.info().utilisation, rate === 1 ? 1e9 : 8000);
      assert.ok(refused(() => link.open({ ...most, admission: "refuse" })).message.length < 300);
      for (const stream of streams) stream.change({ ipg: 0 });
      assert.equal(link.info().utilisation, 0);
    }
    using slow = new VirtualLink({ rate: 1, admission: "refuse" });
    slow.open({ ipg: 3_600_000, bytes: 1, oln: 65534, old: 65535 });
    assert.equal(slow.info().utilisation, 1e-6);
  });
});

/** Attributes as C has them, and what becomes of streams: by raw calls, which tell everything. */
interface RawStream {
  ipg_ns: number;
  oln: number;
  old: number;
  unit_bytes: number;
  flags: number;
}

type Step =
  | { kind: "add"; stream: RawStream }
  | { kind: "change"; at: number; stream: RawStream }
  | { kind: "remove"; at: number }
  | { kind: "rate"; rate: number };

const rawStream: fc.Arbitrary<RawStream> = fc.record({
  ipg_ns: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(0, 10_000_000, 20_000_000) },
    fc.integer({ min: 1_000, max: 60_000_000 }),
    fc.integer({ min: 0, max: LIMIT.QSOCKET_IPG_NS_MAX }),
  ),
  window: fc.oneof(
    fc.constant([0, 0]),
    fc.constantFrom([1, 3], [6, 7], [4, 4], [0, 5]),
    fc.integer({ min: 1, max: 65535 }).chain((old) =>
      fc.integer({ min: 0, max: old }).map((oln) => [oln, old])
    ),
  ),
  unit_bytes: fc.oneof(fc.constantFrom(0, 1, 1000), fc.integer({ min: 0, max: 70_000 })),
  undroppable: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  admit: fc.boolean(),
}).map(({ window: [oln, old], undroppable, admit, ...rest }) => ({
  ...rest,
  oln,
  old,
  flags: (undroppable ? FLAG.QSOCKET_UNDROPPABLE : 0) | (admit ? FLAG.QSOCKET_ADMIT : 0),
}));

const at = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("add" as const), stream: rawStream }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("change" as const), at, stream: rawStream }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), at }) },
  fc.record({
    kind: fc.constant("rate" as const),
    rate: fc.oneof(fc.integer({ min: 1, max: 3_000_000 }), fc.constant(LIMIT.QSOCKET_RATE_MAX)),
  }),
);

/** A fraction of bigints. */
class Fraction {
  readonly over: bigint;
  readonly under: bigint;

  constructor(over: bigint, under: bigint) {
    this.over = over;
    this.under = under;
  }

  plus(other: Fraction): Fraction {
    return new Fraction(
      this.over * other.under + other.over * this.under,
      this.under * other.under,
    );
  }

  exceeds(other: Fraction): boolean {
    return this.over * other.under > other.over * this.under;
  }

  ceil(times: bigint): bigint {
    return (this.over * times + this.under - 1n) / this.under;
  }
}

/** Bytes per second that a stream asks for, exactly: at most eight times the largest rate. */
function asks(scheduler: Scheduler, { ipg_ns, oln, old, unit_bytes, flags }: RawStream): Fraction {
  if (ipg_ns === 0) return NOTHING;
  const some = WINDOWED.includes(scheduler) && old > 0 && !(flags & FLAG.QSOCKET_UNDROPPABLE);
  const [sent, of] = some ? [old - oln, old] : [1, 1];
  const rate = new Fraction(
    BigInt(unit_bytes) * 1_000_000_000n * BigInt(sent),
    BigInt(ipg_ns) * BigInt(of),
  );
  const most = new Fraction(8n * BigInt(LIMIT.QSOCKET_RATE_MAX), 1n);
  return rate.exceeds(most) ? most : rate;
}

const NOTHING = new Fraction(0n, 1n);

describe("a sum of streams", () => {
  test("tells what exact fractions tell, whatever comes, changes and goes", LONG, () => {
    const scenario = fc.record({
      scheduler: fc.constantFrom(...SCHEDULERS),
      rate: fc.integer({ min: 1, max: 3_000_000 }),
      steps: fc.array(step, { minLength: 1, maxLength: 30 }),
    });
    let refusals = 0;
    check(scenario, ({ scheduler, rate, steps }) => {
      const flags = FLAG.QSOCKINIT_VIRTUAL;
      const link = call(CALL.QSOCKINIT, new Args(qsockinitArgs), { scheduler, rate, flags });
      const open: Opened[] = [];
      for (const step of steps) {
        if (open.length === 0 && step.kind !== "add" && step.kind !== "rate") continue;
        const at = "at" in step ? step.at % open.length : open.length;
        if (step.kind === "rate") rate = step.rate;
        const next = open.map(({ stream }) => stream);
        if (step.kind === "remove") next.splice(at, 1);
        else if ("stream" in step) next[at] = step.stream;
        const sum = next.reduce((sum, stream) => sum.plus(asks(scheduler, stream)), NOTHING);
        const { result, told } = apply(link, step, open[at]?.handle);
        if (told) isTold(told, scheduler, rate, sum, next);
        if (!("stream" in step)) {
          assert.equal(result, 0);
          if (step.kind === "remove") open.splice(at, 1);
          continue;
        }
        isAnswered(result, step.stream, open[at]?.stream, scheduler, rate, sum, next.length);
        if (result >= 0) open[at] = { handle: open[at]?.handle ?? result, stream: step.stream };
        else if (open[at]) isUnchanged(open[at]);
        refusals += result < 0 ? 1 : 0;
      }
      for (const { handle } of open) call(CALL.QCLOSE, new Args(qcloseArgs), { handle });
      const info = new Args(qinfoArgs);
      assert.equal(call(CALL.QINFO, info, { handle: link }), 0);
      assert.equal(info.read().info.utilisation_ppm, 0);
      assert.equal(call(CALL.QCLOSE, new Args(qcloseArgs), { handle: link }), 0);
    });
    assert.ok(refusals > 0, "nothing was refused");
  });

  interface Opened {
    handle: number;
    stream: RawStream;
  }

  /** By how much a sum of so many rounded shares may be above the rate without being seen. */
  const slack = (streams: number) => new Fraction(BigInt(streams), 1n << 32n);

  function isTold(
    told: { utilisation_ppm: number; flags: number },
    scheduler: Scheduler,
    rate: number,
    sum: Fraction,
    streams: RawStream[],
  ): void {
    let ppm = new Fraction(sum.over, sum.under * BigInt(rate)).ceil(PPM);
    if (ppm > PPM_MAX) ppm = PPM_MAX;
    const off = ppm - BigInt(told.utilisation_ppm);
    assert.ok(off >= 0n && off <= 1n, `${told.utilisation_ppm} ppm for ${ppm}`);
    const all = new Fraction(BigInt(rate), 1n);
    const overbooked = (told.flags & FLAG.QSOCKET_OVERBOOKED) !== 0;
    if (!sum.exceeds(all)) assert.ok(!overbooked, `${ppm} ppm fit`);
    if (sum.exceeds(all.plus(slack(streams.length)))) assert.ok(overbooked, `${ppm} ppm do not`);
    const periods = new Set(
      streams.filter(({ ipg_ns, oln, old }) => ipg_ns > 0 && oln < old).map(({ ipg_ns }) => ipg_ns),
    );
    assert.equal(
      (told.flags & FLAG.QSOCKET_UNEQUAL) !== 0,
      EQUAL_PERIODS.includes(scheduler) && periods.size > 1,
    );
  }

  /** Refused is what does not fit and asks for more than it had, and only that. */
  function isAnswered(
    result: number,
    stream: RawStream,
    before: RawStream | undefined,
    scheduler: Scheduler,
    rate: number,
    sum: Fraction,
    streams: number,
  ): void {
    const all = new Fraction(BigInt(rate), 1n);
    const had = before ? asks(scheduler, before) : NOTHING;
    const wants = asks(scheduler, stream);
    const admit = (stream.flags & FLAG.QSOCKET_ADMIT) !== 0;
    if (!sum.exceeds(all) || !wants.exceeds(had) || !admit) {
      assert.ok(result >= 0, `refused: ${result}`);
    }
    if (sum.exceeds(all.plus(slack(streams))) && wants.exceeds(had.plus(slack(1))) && admit) {
      assert.equal(result, -constants.errno.EBUSY, "admitted");
    }
  }

  function call<T>(number: number, args: Args<T>, values: Partial<T>): number {
    const bytes = args.fill(values);
    return library().qsocketcall(number, bytes, bytes.byteLength);
  }

  function apply(link: number, step: Step, handle: number) {
    if (step.kind === "remove") {
      return { result: call(CALL.QCLOSE, new Args(qcloseArgs), { handle }), told: undefined };
    }
    const attr = (stream: RawStream) => ({
      queue_messages: 0,
      queue_bytes: 0,
      weight: 0,
      class_id: 0,
      zero: 0,
      ...stream,
    });
    if (step.kind === "add") {
      const args = new Args(qsocketArgs);
      const values = { link, type: ENUM.QSOCKET_UDP, attr: attr(step.stream) };
      const result = call(CALL.QSOCKET, args, values);
      return { result, told: args.read().admission };
    }
    const args = new Args(qchangeArgs);
    const result = step.kind === "rate"
      ? call(CALL.QCHANGE, args, { handle: link, rate: step.rate })
      : call(CALL.QCHANGE, args, { handle, attr: attr(step.stream) });
    return { result, told: args.read().admission };
  }

  /** A stream that was refused a change has its old attributes. */
  function isUnchanged({ handle, stream }: Opened): void {
    const args = new Args(qinfoArgs);
    assert.equal(call(CALL.QINFO, args, { handle }), 0);
    const { ipg_ns, oln, old, unit_bytes, flags } = args.read().info.attr;
    assert.deepEqual(
      { ipg_ns, oln, old, unit_bytes, flags },
      { ...stream, flags: stream.flags & FLAG.QSOCKET_UNDROPPABLE },
    );
  }
});

describe("admission and the scheduler", () => {
  const PERIODS = 300;
  const plays = (link: VirtualLink, { slots, streams }: SlotSet) => {
    const opened = streams.map((window) => link.open({ ipg: slots, bytes: 1000, ...window }));
    for (let k = 0; k < PERIODS; k++) {
      for (const stream of opened) stream.send(1000, { deadline: slots }, k * slots);
    }
    link.run(PERIODS * slots + 1000);
    return opened.reduce((sum, stream) => sum + stream.info().violations, 0);
  };

  test("what is refused by more than a packet's share breaks windows; less does not", LONG, () => {
    let broken = 0;
    const more = fc.integer({ min: 1, max: 4 });
    check(fc.tuple(slotSets, more), ([{ slots, streams }, times]) => {
      using fitting = new VirtualLink({ rate: 1_000_000, admission: "refuse" });
      assert.equal(plays(fitting, { slots, streams }), 0);
      // a stream without losses, and another, until a slot more than all are asked for
      const crowd = [...streams, ...Array.from({ length: times + 1 }, () => ({ oln: 0, old: 5 }))];
      using link = new VirtualLink({ rate: 1_000_000 });
      const violations = plays(link, { slots, streams: crowd });
      const { utilisation } = link.info();
      if (utilisation <= 1 + 1 / slots) return;
      broken++;
      assert.ok(violations > 0, `${utilisation} of the link, and no window broken`);
    }, 0.2);
    assert.ok(broken > 0, "no set was too much");
  });
});
