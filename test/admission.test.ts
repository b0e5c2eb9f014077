// Whether a link's streams ask for more than it has: told exactly, and refused or warned of.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CALL, ENUM, FLAG, LIMIT } from "../ffi/abi.ts";
import { qsockinit } from "../ffi/calls.ts";
import { QError } from "../ffi/error.ts";
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
import { run } from "./child.ts";
import { message } from "./counters.ts";
import { type SlotSet, slotSets } from "./model/sets.ts";
import { udpPeer } from "./receiver.ts";

const LONG = { timeout: 24 * 3_600_000 };
const KB = 100_000; // bytes per second: 1000 bytes in 10 ms are all of it
const PPM = 1_000_000n;
const PPM_MAX = BigInt(LIMIT.QSOCKET_UTILISATION_PPM_MAX);
const WINDOWED: Scheduler[] = ["dwcs", "dwcs99", "vds"];
const EQUAL_PERIODS: Scheduler[] = ["dwcs", "dwcs99"];
const SCHEDULERS: Scheduler[] = [...WINDOWED, "edf", "edf-lossless", "sfq", "cbq", "fifo"];

/** The error of a call that is refused for what it asks for. */
function refused(use: () => unknown): QError {
  try {
    use();
  } catch (error) {
    if (error instanceof QError && error.code === "EBUSY") return error;
    throw error;
  }
  assert.fail("it was admitted");
}

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

describe("admission", () => {
  test("tells what exact fractions tell, whatever comes, changes and goes", LONG, () => {
    const scenario = fc.record({
      scheduler: fc.constantFrom(...SCHEDULERS),
      rate: fc.integer({ min: 1, max: 3_000_000 }),
      steps: fc.array(step, { minLength: 1, maxLength: 30 }),
    });
    let refusals = 0;
    check(scenario, ({ scheduler, rate, steps }) => {
      const link = call(CALL.QSOCKINIT, new Args(qsockinitArgs), {
        scheduler,
        rate,
        flags: FLAG.QSOCKINIT_VIRTUAL,
      });
      const streams: { handle: number; stream: RawStream }[] = [];
      for (const step of steps) {
        if (step.kind !== "add" && step.kind !== "rate" && streams.length === 0) continue;
        const place = "at" in step ? step.at % streams.length : streams.length;
        const next = streams.map(({ stream }) => stream);
        if ("stream" in step) next[place] = step.stream;
        else if (step.kind === "remove") next.splice(place, 1);
        else rate = step.rate;
        const { result, told } = apply(link, step, streams[place]?.handle);
        const sum = next.reduce((sum, stream) => sum.plus(asks(scheduler, stream)), NOTHING);
        const slack = new Fraction(BigInt(next.length), 1n << 32n);
        const all = new Fraction(BigInt(rate), 1n);
        const fits = !sum.exceeds(all);
        const tooMuch = sum.exceeds(all.plus(slack));
        if (told) {
          let ppm = new Fraction(sum.over, sum.under * BigInt(rate)).ceil(PPM);
          if (ppm > PPM_MAX) ppm = PPM_MAX;
          const off = ppm - BigInt(told.utilisation_ppm);
          assert.ok(off >= 0n && off <= 1n, `${told.utilisation_ppm} ppm for ${ppm}`);
          const overbooked = (told.flags & FLAG.QSOCKET_OVERBOOKED) !== 0;
          assert.ok(fits ? !overbooked : !tooMuch || overbooked, `${ppm} ppm, ${overbooked}`);
          const periods = new Set(
            next.filter(({ ipg_ns, oln, old }) => ipg_ns > 0 && oln < old)
              .map(({ ipg_ns }) => ipg_ns),
          );
          assert.equal(
            (told.flags & FLAG.QSOCKET_UNEQUAL) !== 0,
            EQUAL_PERIODS.includes(scheduler) && periods.size > 1,
          );
        }
        if ("stream" in step) {
          const before = streams[place] && asks(scheduler, streams[place].stream);
          const after = asks(scheduler, step.stream);
          const more = after.exceeds(before ?? NOTHING);
          const admit = (step.stream.flags & FLAG.QSOCKET_ADMIT) !== 0;
          if (fits || !more || !admit) assert.ok(result >= 0, `refused: ${result}`);
          if (result < 0) {
            refusals++;
            assert.equal(refusedAttr(streams[place]), true);
          } else if (step.kind === "add") {
            streams.push({ handle: result, stream: step.stream });
          } else streams[place].stream = step.stream;
          const slightly = new Fraction(1n, 1n << 32n).plus(before ?? NOTHING);
          if (tooMuch && admit && after.exceeds(slightly)) assert.ok(result < 0, "admitted");
        } else {
          assert.equal(result, 0);
          if (step.kind === "remove") streams.splice(place, 1);
        }
      }
      for (const { handle } of streams) call(CALL.QCLOSE, new Args(qcloseArgs), { handle });
      const info = new Args(qinfoArgs);
      assert.equal(call(CALL.QINFO, info, { handle: link }), 0);
      assert.equal(info.read().info.utilisation_ppm, 0);
      assert.equal(call(CALL.QCLOSE, new Args(qcloseArgs), { handle: link }), 0);
    });
    assert.ok(refusals > 0, "nothing was refused");
  });

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

  /** A stream that was not changed has its old attributes. */
  function refusedAttr(kept: { handle: number; stream: RawStream } | undefined): boolean {
    if (!kept) return true;
    const args = new Args(qinfoArgs);
    assert.equal(call(CALL.QINFO, args, { handle: kept.handle }), 0);
    const { ipg_ns, oln, old, unit_bytes, flags } = args.read().info.attr;
    assert.deepEqual(
      { ipg_ns, oln, old, unit_bytes, flags },
      { ...kept.stream, flags: kept.stream.flags & FLAG.QSOCKET_UNDROPPABLE },
    );
    return true;
  }

  test('"refuse" throws EBUSY with what would be needed, and leaves all as it was', async () => {
    await using peer = await udpPeer();
    using link = qsockinit({ rate: KB, admission: "refuse", device: "lo" });
    using first = link.open({ to: peer.address, ipg: 10, bytes: 750 });
    first.send(message(1));
    await peer.until(({ received }) => received.length === 1);
    while (first.info().queued > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const before = [first.info(), link.info()];
    const descriptors = readdirSync("/proc/self/fd").length;
    const plain = createSocket("udp4").bind(0, "127.0.0.1");
    await once(plain, "listening");
    const cases: [string, string, () => unknown][] = [
      ["qsocket", "open a socket", () => link.open({ to: peer.address, ipg: 10, bytes: 375 })],
      ["qattach", "attach a socket", () => link.attach(plain, { ipg: 10, bytes: 375 })],
      ["qchange", "change the socket", () => first.change({ bytes: 1125, queueMessages: 7 })],
    ];
    for (const [call, doing, use] of cases) {
      const error = refused(use);
      assert.equal(
        error.message,
        `Cannot ${doing} on link lo: its streams would need 112.5 % of it (EBUSY); ask for ` +
          "less (a longer ipg, fewer bytes, a wider oln of old), raise the link's rate, or set " +
          'admission to "warn"',
      );
      assert.deepEqual([error.call, error.utilisation], [call, 1.125]);
    }
    plain.close();
    await once(plain, "close");
    assert.deepEqual([first.info(), link.info()], before);
    assert.equal(readdirSync("/proc/self/fd").length, descriptors);
    first.change({ ipg: 20 });
    assert.equal(first.info().bytes, 750); // not what was refused
    first.send(message(2));
    await peer.until(({ received }) => received.length === 2);
  });

  test("a socket's own word goes before its link's, and stays with it", () => {
    using link = qsockinit({ rate: KB, admission: "refuse" });
    using first = link.open({ ipg: 10, bytes: 2000, admission: "off" });
    first.change({ bytes: 3000 });
    assert.equal(refused(() => first.change({ bytes: 4000, admission: "refuse" })).utilisation, 4);
    assert.equal(first.info().utilisation, 3);
    assert.throws(() => link.open({ ipg: 10, bytes: 1 }), { code: "EBUSY" });
    link.open(); // asks for nothing
    link.open({ ipg: 10 });
  });

  test("asking for less is never refused, though it is still too much", () => {
    using link = qsockinit({ rate: KB, admission: "refuse" });
    using first = link.open({ ipg: 10, bytes: 2000, admission: "off" });
    first.change({ bytes: 1500, admission: "refuse" });
    assert.throws(() => first.change({ bytes: 1501 }), { code: "EBUSY" });
    first.change({ oln: 1, old: 3 });
    assert.equal(first.info().utilisation, 1);
  });

  test("closing gives the share back", async () => {
    using link = qsockinit({ rate: KB, admission: "refuse" });
    const all = { ipg: 10, bytes: 1000 };
    link.open(all).close();
    const drained = link.open(all);
    assert.throws(() => link.open(all), { code: "EBUSY" });
    await drained.close({ drain: true });
    using _ = link.open(all);
    assert.equal(link.info().utilisation, 1);
  });

  test("under cbq what counts is the guarantee of the class, not what it may borrow", () => {
    using link = new VirtualLink({
      scheduler: "cbq",
      rate: KB,
      admission: "refuse",
      classes: { video: { rate: KB / 2, borrow: true }, audio: { rate: KB / 2 } },
    });
    const half = link.open({ ipg: 10, bytes: 250, class: "video" });
    assert.deepEqual([half.info().utilisation, link.info().utilisation], [0.5, 0.5]);
    const error = refused(() => link.open({ ipg: 10, bytes: 500, class: "video" }));
    assert.equal(error.utilisation, 1.5);
    assert.match(error.message, /on class video of the link: its streams would need 150 % of it/);
    const rest = refused(() => link.open({ ipg: 10, bytes: 1 }));
    assert.match(rest.message, /on the link: its streams would need more than it can promise/);
    const other = link.open({ ipg: 10, bytes: 375, class: "audio" });
    assert.equal(link.info().utilisation, 0.75); // of the class that has least left
    assert.equal(refused(() => other.change({ class: "video" })).utilisation, 1.25);
    other.change({ ipg: 20 });
    other.change({ class: "video" });
    assert.deepEqual([other.info().utilisation, link.info().utilisation], [0.375, 0.875]);
    half.change({ ipg: 0 });
    other.change({ ipg: 10, bytes: 500 });
    link.change({ rate: KB / 4 });
    assert.equal(link.info().utilisation, 2); // of the link, which has less than the class now
    using plain = new VirtualLink({ scheduler: "cbq", rate: KB, admission: "refuse" });
    plain.open({ ipg: 10, bytes: 1000 });
    assert.equal(refused(() => plain.open({ ipg: 10, bytes: 1 })).utilisation, 1.001);
  });

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

describe("warnings", () => {
  const root = new URL("../", import.meta.url);
  const calls = new URL("ffi/calls.ts", root).href;
  const simulate = new URL("ffi/simulate.ts", root).href;

  /** What a program is warned of: code and text of each. */
  function warnings(program: string): { name: string; code: string; message: string }[] {
    const { stdout, stderr, status } = run(
      `import process from "node:process";
      import { qsockinit } from ${JSON.stringify(calls)};
      import { VirtualLink } from ${JSON.stringify(simulate)};
      process.on("warning", ({ name, code, message }) =>
        console.log(JSON.stringify({ name, code, message })));
      ${program}`,
    );
    assert.equal(status, 0, stderr);
    const told = stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    for (const { code } of told) assert.ok(stderr.includes(code), stderr);
    return told;
  }

  test("say by how much a link is overbooked, once for each place in the program", () => {
    const told = warnings(
      `const link = qsockinit({ rate: ${KB}, device: "lo" });
      for (let i = 0; i < 4; i++) link.open({ ipg: 10, bytes: 600 });
      link.open();
      const last = link.open({ ipg: 10, bytes: 600, admission: "off" });
      last.change({ bytes: 100, admission: "warn" });
      link.change({ rate: ${KB / 2} });
      link.close();`,
    );
    assert.deepEqual(told.map(({ code }) => code), Array(3).fill("QSOCKETS_OVERBOOKED"));
    assert.equal(told[0].name, "QSocketsWarning");
    assert.equal(
      told[0].message,
      "The streams of link lo need 120 % of it: some will lose more than they allow, or be " +
        "late. Raise its rate, or ask for less (a longer ipg, fewer bytes, a wider oln of old). " +
        'With admission "refuse" this is an error, with "off" nothing is said.',
    );
    assert.match(told[1].message, /need 250 % of it/);
    assert.match(told[2].message, /need 500 % of it/);
  });

  test("name vds where windows have different periods under dwcs, though nothing is refused", () => {
    const told = warnings(
      `for (const scheduler of ["dwcs", "dwcs99", "vds", "edf"]) {
        const link = qsockinit({ rate: "10mbit", scheduler, admission: "refuse" });
        link.open({ ipg: 10, oln: 1, old: 4 });
        link.open({ ipg: 20 });
        link.open({ ipg: 10, oln: 2, old: 3 });
        link.open({ ipg: 20, oln: 4, old: 4 });
        if (scheduler === "dwcs") link.open({ ipg: 20, oln: 1, old: 4 });
        else link.open({ ipg: 30, oln: 1, old: 4 });
        link.close();
      }`,
    );
    assert.deepEqual(told.map(({ code }) => code), Array(2).fill("QSOCKETS_UNEQUAL_PERIODS"));
    assert.equal(
      told[0].message,
      "The streams of the link have loss windows at different periods (ipg): its scheduler may " +
        'break them even at low load. "vds" keeps windows at any mix of periods; or give all ' +
        'the same ipg. With admission "off" nothing is said.',
    );
  });

  test('are not given with "off", nor by a virtual link that was not asked', () => {
    const told = warnings(
      `const link = qsockinit({ rate: ${KB}, admission: "off" });
      link.open({ ipg: 10, bytes: 6000, oln: 1, old: 4 });
      link.open({ ipg: 20, bytes: 6000, oln: 1, old: 4 });
      link.change({ rate: 5 });
      link.close();
      const quiet = new VirtualLink({ rate: ${KB} });
      quiet.open({ ipg: 10, bytes: 6000 }).change({ bytes: 7000 });
      quiet.change({ rate: 5 });
      const loud = new VirtualLink({ rate: ${KB}, admission: "warn" });
      loud.open({ ipg: 10, bytes: 6000 });`,
    );
    assert.deepEqual(told.map(({ message }) => message.slice(0, 37)), [
      "The streams of the link need 600 % of",
    ]);
  });
});

describe("streams", () => {
  test("of a link are as many as it was opened for", () => {
    using link = qsockinit({ rate: KB, streams: 2 });
    const first = link.open();
    link.open();
    assert.throws(() => link.open(), {
      code: "ENOSPC",
      message: "Cannot open a socket: the link has as many streams open as its option streams " +
        "allows (ENOSPC)",
    });
    first.close();
    link.open();
    assert.equal(link.info().streams, 2);
    assert.throws(() => qsockinit({ rate: 1, streams: 0 }), /streams must be 1 to 131072, got 0/);
    assert.throws(() => new VirtualLink({ rate: 1, streams: 131073 }), /streams must be 1 to/);
  });

  test("of a virtual link may be 100000, each with its message", LONG, () => {
    const count = 100_000;
    using link = new VirtualLink({ rate: 1_000_000_000, streams: count });
    const streams = Array.from({ length: count }, () => link.open({ ipg: 10, oln: 1, old: 4 }));
    streams.forEach((stream, i) => stream.send(1000, { deadline: 40 }, i / 1000));
    const events = link.run(1000);
    assert.deepEqual(new Set(events.map(({ outcome }) => outcome)), new Set(["sent"]));
    assert.equal(new Set(events.map(({ stream }) => stream)).size, count);
    assert.deepEqual([link.info().streams, link.info().sent], [count, count]);
    assert.equal(streams[count - 1].info().sent, 1);
  });
});
