// qsockets/testing: what it makes is valid, random and shrinks; what it says of frames is so.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  arrivals,
  attributes,
  bulk,
  competing,
  decodable,
  feasible,
  type FrameFate,
  gop,
  lost,
  play,
  type Playback,
  replay,
  samples,
  type TrafficStream,
  video,
  VirtualLink,
} from "qsockets/testing";
import { frameLevel } from "../media/frame.ts";
import { virtualLinkOptions } from "../ffi/options.ts";
import { check, parameters } from "./arbitrary.ts";
import { fences, root, runtime } from "./example.ts";

const SCHEDULERS = virtualLinkOptions.shape.scheduler.unwrap().options;
const scheduler = fc.constantFrom(...SCHEDULERS);

/** As many values as a distribution needs to be seen, from the seed of this run. */
const sample = <T>(arbitrary: fc.Arbitrary<T>, count = 1000): T[] =>
  fc.sample(arbitrary, { numRuns: count, seed: parameters.seed });

/** What an arbitrary shrinks to when a predicate fails. */
function smallest<T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => boolean = () => false): T {
  const run = fc.check(fc.property(arbitrary, holds), { seed: parameters.seed, numRuns: 1000 });
  assert.ok(run.failed, "nothing was found");
  return run.counterexample![0];
}

const types = (frames: { type?: string }[]) => frames.map(({ type }) => type).join("");

/** Traffic that fits, overloads, bursts and competes; some of it has attributes of any kind. */
const traffic: fc.Arbitrary<TrafficStream[]> = fc.tuple(
  video({ rate: "2mbit", frames: { max: 30 }, arrivals: { jitter: 20, start: 100 } }),
  fc.option(attributes(), { nil: undefined }),
  competing({ rate: "3mbit", ms: 500 }),
).map(([stream, attributes, others]) => [
  attributes === undefined ? stream : { ...stream, attributes },
  ...others,
]);
const link = fc.record({ scheduler, rate: fc.constantFrom("1mbit", "2mbit", "4mbit", "20mbit") });

console.log(`properties: QSOCKETS_SEED=${parameters.seed} QSOCKETS_RUNS=${parameters.runs}`);

describe("traffic", () => {
  test("of every kind is plain data that plays on every link, whole", () => {
    check(fc.tuple(link, traffic), ([link, traffic]) => {
      assert.deepEqual(JSON.parse(JSON.stringify(traffic)), traffic);
      const played = play(link, traffic);
      const packets = played.events.length;
      assert.equal(packets, played.info.offered);
      assert.equal(played.info.queued, 0);
      traffic.forEach(({ frames }, i) => {
        const count = frames.reduce((sum, { times = 1 }) => sum + times, 0);
        assert.deepEqual(played.streams[i].frames.map(({ frame }) => frame), [
          ...Array(count).keys(),
        ]);
      });
    });
  });

  test("with any options is in order, within its limits, and plays", () => {
    const options = fc.record({
      gop: fc.integer({ min: 1, max: 30 }),
      bFrames: fc.nat({ max: 7 }),
      open: fc.boolean(),
      pyramid: fc.boolean(),
      frames: fc.integer({ min: 1, max: 60 }),
      fps: fc.constantFrom(1, 24, 29.97, 100),
      rate: fc.constantFrom(1000, "300kbit", "8mbit"),
      spread: fc.constantFrom(0, 0.5, 0.99),
      packet: fc.integer({ min: 500, max: 3000 }),
      deadline: fc.constantFrom(0.5, 100),
      arrivals: fc.record({
        start: fc.constantFrom(0, 10),
        jitter: fc.constantFrom(0, 50),
        burst: fc.constantFrom(1, 5),
        poisson: fc.boolean(),
        on: fc.constantFrom(0, 100),
        off: fc.constantFrom(0, 300),
      }),
    }, { requiredKeys: [] });
    check(options.chain((options) => fc.tuple(fc.constant(options), video(options))), (pair) => {
      const [{ frames: count, packet = 1200 }, { frames, ...stream }] = pair;
      if (count !== undefined) assert.equal(frames.length, count);
      frames.forEach(({ at, needs = [], level, leading = false }, i) => {
        assert.ok(i === 0 || at >= frames[i - 1].at, `frame ${i} is out of order`);
        assert.ok(needs.every((need) => need < i), `frame ${i} needs a later one`);
        assert.ok(needs.every((need) => frames[need].level! < 2), `frame ${i} needs a leaf`);
        assert.ok(level === 0 || needs.length > 0, `frame ${i} needs nothing`);
        const start = frames.findLastIndex((frame, k) => k <= i && frame.level === 0);
        const before = needs.some((need) => need < start || frames[need].leading);
        assert.equal(leading, before, `frame ${i} leads wrongly`);
      });
      const { events } = play({ rate: "1gbit" }, { ...stream, frames });
      assert.ok(events.every(({ bytes }) => bytes <= packet));
    });
  });
});

describe("groups of pictures", () => {
  const groups = sample(gop({ groups: 2, gop: { min: 3, max: 15 }, bFrames: { max: 3 } }));

  test("are of all the kinds that they may be", () => {
    const second = groups.map((frames) =>
      frames.slice(frames.findIndex((frame, i) => i > 0 && frame.level === 0))
    );
    const share = (has: (frames: typeof groups[0]) => boolean) =>
      second.filter(has).length / second.length;
    const leading = share((frames) => frames.some((frame) => frame.leading));
    const pyramids = share((frames) => frames.some((it) => it.type === "B" && it.level === 1));
    const noB = share((frames) => frames.every(({ type }) => type !== "B"));
    assert.ok(leading > 0.2 && leading < 0.6, `${leading} have leading pictures`);
    assert.ok(pyramids > 0.1 && pyramids < 0.5, `${pyramids} are pyramids`);
    assert.ok(noB > 0.1 && noB < 0.5, `${noB} have no B pictures`);
    const lengths = new Set(second.map((frames) => frames.length));
    assert.deepEqual(
      [...lengths].sort((a, b) => a - b),
      Array.from({ length: 13 }, (_, i) => i + 3),
    );
  });

  test("have leading pictures only behind another group, and only if they may be open", () => {
    for (const frames of groups) {
      const next = frames.findIndex((frame, i) => i > 0 && frame.level === 0);
      assert.ok(frames.slice(0, next).every((frame) => !frame.leading));
    }
    const closed = sample(gop({ groups: 3, open: false, bFrames: 2 }), 100).flat();
    assert.ok(closed.every((frame) => !frame.leading));
  });

  test("are in decode order, and refer to each other as their kind has it", () => {
    const of = (options: Parameters<typeof gop>[0]) => {
      const [frames] = sample(gop({ ...options, spread: 0 }), 1);
      return frames.map(({ type, level, leading, needs = [] }) =>
        `${type}${level}${leading ? "L" : ""}${needs.length ? `(${needs})` : ""}`
      ).join(" ");
    };
    assert.equal(of({ gop: 3, bFrames: 0, open: false }), "I0 P1(0) P1(1)");
    assert.equal(
      of({ gop: 6, bFrames: 2, open: false, pyramid: false }),
      "I0 P1(0) B2(0,1) B2(0,1) P1(1) B2(1,4)",
    );
    assert.equal(
      of({ gop: 5, bFrames: 3, open: false, pyramid: true }),
      "I0 P1(0) B1(0,1) B2(0,2) B2(2,1)",
    );
    assert.equal(
      of({ gop: 4, bFrames: 2, open: true, pyramid: false, groups: 2 }),
      "I0 P1(0) B2(0,1) B2(0,1) I0 B2L(1,4) B2L(1,4) P1(4)",
    );
  });

  test("add up to their rate, and differ in size as much as they may", () => {
    for (const frames of sample(gop({ rate: "4mbit", fps: 25, spread: 0, groups: 3 }), 100)) {
      const starts = frames.flatMap(({ type }, i) => type === "I" ? i : []);
      assert.equal(starts.length, 3);
      starts.forEach((start, i) => {
        const group = frames.slice(start, starts[i + 1]);
        const bytes = group.reduce((sum, frame) => sum + frame.bytes, 0);
        assert.ok(Math.abs(bytes - 20_000 * group.length) <= group.length, `${bytes} bytes`);
      });
    }
    const sizes = sample(gop({ rate: "4mbit", gop: 1, spread: 0.3 })).map(([{ bytes }]) => bytes);
    const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
    assert.ok(least >= 14_000 && least < 14_300 && most <= 26_000 && most > 25_700);
    const mean = sizes.reduce((sum, bytes) => sum + bytes, 0) / sizes.length;
    assert.ok(Math.abs(mean - 20_000) < 800, `${mean} bytes on average`);
  });

  test("are flagged by the policy that is given, which sees what the media layer shows it", () => {
    const seen: unknown[] = [];
    const [frames] = sample(
      gop({
        gop: 4,
        bFrames: 2,
        open: true,
        pyramid: false,
        groups: 2,
        policy: (frame, place) => {
          seen.push([frame.type, frame.pts! - frame.dts!, place.position, place.groupFrames]);
          assert.equal(frame.pts! >= frame.dts!, true);
          return { drop: 3, level: frameLevel(frame), leading: frame.leading };
        },
      }),
      1,
    );
    assert.ok(frames.every(({ drop }) => drop === 3));
    assert.deepEqual(seen.slice(-4), [
      ["I", 160, 0, 4], // two pictures of delay, and two that are shown before it
      ["B", 40, 1, 4],
      ["B", 40, 2, 4],
      ["P", 80, 3, 4],
    ]);
  });
});

describe("arrivals", () => {
  const gaps = (times: number[]) => times.slice(1).map((at, i) => at - times[i]);
  const mean = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

  test("come in the pattern that is asked for", () => {
    assert.deepEqual(sample(arrivals({ every: 10, count: 4 }), 1), [[0, 10, 20, 30]]);
    assert.deepEqual(sample(arrivals({ every: 10, count: 5, burst: 2 }), 1), [[0, 0, 20, 20, 40]]);
    for (const times of sample(arrivals({ every: 10, jitter: 3, count: 50 }), 200)) {
      times.forEach((at, i) => assert.ok(at >= 10 * i && at <= 10 * i + 3, `${i}: ${at}`));
    }
    for (const times of sample(arrivals({ every: 10, on: 50, off: 100, count: 50 }), 200)) {
      const pauses = gaps(times).map((gap, i) => i % 5 === 4 ? gap - 10 : (gap - 10) * 1e6);
      assert.ok(pauses.every((ms) => ms > -0.001 && ms <= 200.001), `${pauses}`);
    }
    const starts = sample(arrivals({ every: 10, start: 70, count: 1 })).map(([at]) => at);
    assert.ok(Math.max(...starts) <= 70 && Math.max(...starts) > 60);
  });

  test("as of a Poisson process have its mean and its variance", () => {
    const all = sample(arrivals({ every: 10, poisson: true, count: 50 }), 400).flatMap(gaps);
    const average = mean(all);
    const deviation = Math.sqrt(mean(all.map((gap) => (gap - average) ** 2)));
    assert.ok(average > 9 && average < 11.5, `${average} ms on average`);
    assert.ok(deviation / average > 0.8 && deviation / average < 1.2, `${deviation} ms`);
  });

  test("are in order, and as many as they may be", () => {
    const options = { every: 5, count: { min: 2, max: 9 }, jitter: 50, poisson: true, burst: 3 };
    const lengths = new Set(
      sample(arrivals(options)).map((times) => {
        assert.ok(gaps(times).every((gap) => gap >= 0));
        return times.length;
      }),
    );
    assert.equal(lengths.size, 8);
  });
});

describe("attributes", () => {
  test("are valid on every link, and of all kinds", () => {
    const all = sample(attributes());
    for (const scheduler of SCHEDULERS) {
      using link = new VirtualLink({ scheduler, rate: "10mbit" });
      all.forEach((each) => link.open(each).info());
    }
    const share = (has: (each: typeof all[0]) => unknown) => all.filter(has).length / all.length;
    for (const name of ["ipg", "old", "droppable", "weight", "queueBytes"] as const) {
      const given = share((each) => each[name] !== undefined);
      assert.ok(given > 0.05 && given < 0.95, `${given} have ${name}`);
    }
    assert.ok(share(({ oln }) => oln === 0) > 0 && share(({ oln = 0 }) => oln > 5) > 0);
  });

  test("that are feasible fit, mostly ask for more, and lose no more than they may", () => {
    const bytes = 1250; // 1 ms
    let overloaded = 0, violatedByEdf = 0, sets = 0;
    const playSet = (scheduler: "dwcs" | "edf", set: { ipg: number }[]) =>
      play(
        { scheduler, rate: "10mbit" },
        set.map((attributes) => {
          const { ipg } = attributes;
          const frames = [{ at: 0, bytes, times: 60, every: ipg, deadline: ipg }];
          return { attributes, packet: bytes, frames };
        }),
      ).info.violations;
    const feasibles = fc.constantFrom(0.5, 0.9, 1).chain((utilisation) =>
      fc.tuple(fc.constant(utilisation), feasible({ rate: "10mbit", bytes, utilisation }))
    );
    check(feasibles, ([utilisation, set]) => {
      const needed = set.reduce((sum, { oln, old, ipg }) => sum + (1 - oln / old) / ipg, 0);
      assert.ok(needed <= utilisation + 1e-6, `${needed} of the link`);
      assert.equal(playSet("dwcs", set), 0);
      sets += 1;
      overloaded += Number(set.length > set[0].ipg);
      violatedByEdf += Number(playSet("edf", set) > 0);
    });
    assert.ok(overloaded > sets / 2, `${overloaded} of ${sets} ask for more than the link has`);
    assert.ok(violatedByEdf > sets / 4, `edf violates only ${violatedByEdf} of ${sets}`);
  });
});

describe("counterexamples", () => {
  test("shrink to next to nothing where nothing matters", () => {
    const frame = { type: "I", at: 0, bytes: 20_000, drop: "never", level: 0 };
    const stream = { name: "video", attributes: { ipg: 40 }, deadline: 100, frames: [frame] };
    assert.deepEqual(
      smallest(video({ arrivals: { start: 100, jitter: 20, poisson: true } })),
      stream,
    );
    assert.deepEqual(smallest(gop()), [frame]);
    const sample = { name: "samples", attributes: { ipg: 10 }, deadline: 10 };
    assert.deepEqual(smallest(samples({ every: 10, start: 50, on: 20, off: 50 })), {
      ...sample,
      frames: [{ at: 0, bytes: 16 }],
    });
    assert.deepEqual(smallest(bulk({ rate: "1mbit" })).frames, []);
    assert.deepEqual(smallest(competing({ rate: "1mbit" })), []);
    assert.deepEqual(smallest(attributes()), {});
    assert.deepEqual(smallest(arrivals({ every: 10, jitter: 5 })), []);
    const shaken = arrivals({
      every: 10,
      count: 3,
      start: 9,
      jitter: 5,
      poisson: true,
      on: 5,
      off: 2,
    });
    assert.deepEqual(smallest(shaken), [0, 14, 28]); // each behind two silences
    assert.deepEqual(smallest(feasible({ rate: "10mbit", bytes: 1250 })), [
      { ipg: 1, oln: 0, old: 1 },
      { ipg: 1, oln: 1, old: 1 },
    ]);
  });

  test("shrink to the few frames that matter", () => {
    const has = (type: string) => ({ frames }: TrafficStream) =>
      frames.every((frame) => frame.type !== type);
    assert.equal(types(smallest(video(), has("P")).frames), "IP");
    assert.match(types(smallest(video(), has("B")).frames), /^[IP]{2,5}B$/); // mostly IPB
    const open = smallest(video(), ({ frames }) => frames.every((frame) => !frame.leading));
    assert.match(types(open.frames), /^[IP]{1,4}IB$/); // mostly IIB
    const large = smallest(
      video({ gop: 12 }),
      ({ frames }) => frames.every(({ bytes }) => bytes < 60_000),
    );
    const sizes = large.frames.map(({ bytes }) => bytes);
    assert.equal(sizes.filter((bytes) => bytes >= 60_000).length, 1, "one frame is enough");
    assert.equal(
      sizes.indexOf(Math.max(...sizes)),
      sizes.length - 1,
      "what follows does not matter",
    );
  });

  test("are as README.md prints them, and repeat", () => {
    const camera = video({ rate: "4mbit", fps: 25, gop: 12, bFrames: 2, deadline: 100 });
    const others = bulk({ rate: "20mbit", ms: 2000 });
    const noLostI = (rate: string, traffic: TrafficStream[]) =>
      lost(play({ scheduler: "dwcs", rate }, traffic), { type: "I" }).length === 0;
    const printed = fences(readFileSync(join(root, "README.md"), "utf8"))
      .find(({ language, code }) => language === "text" && code.startsWith("Property failed"))!
      .code;
    const [, seed, path, json] = printed.match(
      /seed: (\d+), path: "([\d:]+)"[^]*Counterexample: (\[[^]*\])\n/,
    )!;
    const traffic = JSON.parse(json);
    const property = fc.property(others, camera, camera, (...all) => noLostI("10mbit", all));
    const again = fc.check(property, { seed: Number(seed), path, endOnFailure: true });
    assert.deepEqual([again.failed, again.counterexample], [true, traffic]);
    assert.ok(noLostI("14mbit", traffic), "is lost at 14 Mbit/s too");
    const [none, left, right] = smallest(
      fc.tuple(others, camera, camera),
      (all) => noLostI("10mbit", all),
    );
    assert.deepEqual([none.frames.length, types(left.frames)[0], types(right.frames)[0]], [
      0,
      "I",
      "I",
    ]);
  });
});

describe("play", () => {
  const counts = (frames: FrameFate[], outcome: string) => {
    const levels = [0, 0, 0, 0]; // 3: not told
    for (const fate of frames) if (fate.outcome === outcome) levels[fate.level ?? 3] += 1;
    return levels;
  };
  const sum = (lists: Iterable<readonly number[]>) =>
    [...lists].reduce<number[]>((sum, list) => sum.map((n, i) => n + list[i]), [0, 0, 0, 0]);

  /** The counters must say of frames, level by level, what the fates do. */
  function agrees({ frames, info }: Playback["streams"][0]): void {
    const dropped = sum([counts(frames, "dropped"), counts(frames, "partial")]);
    const sent = sum([counts(frames, "whole"), counts(frames, "late")]);
    assert.deepEqual(info.frames.sent, sent);
    assert.deepEqual(info.frames.late, counts(frames, "late"));
    assert.deepEqual(sum(Object.values(info.frames.dropped)), dropped);
    assert.equal(info.frames.partial, frames.filter((it) => it.outcome === "partial").length);
    for (const { outcome, reason, at, arrived } of frames) {
      assert.equal(reason === undefined, outcome === "whole" || outcome === "late");
      assert.ok(at >= arrived);
    }
  }

  test("says of every frame what the counters say of its level", () => {
    const seen = new Set<string>();
    check(fc.tuple(link, traffic), ([link, traffic]) => {
      const played = play(link, traffic);
      played.streams.forEach(agrees);
      played.frames.forEach(({ outcome }) => seen.add(outcome));
    }, 12); // one in a hundred or so has a frame that is cut off
    assert.deepEqual([...seen].sort(), ["dropped", "late", "partial", "whole"]);
  });

  test("has a reason for every drop, which the counters of the stream know", () => {
    check(fc.tuple(link, traffic), ([link, traffic]) => {
      for (const { frames, info } of play(link, traffic).streams) {
        for (const { reason } of frames) if (reason) assert.ok(info.dropped[reason] > 0, reason);
      }
    });
  });

  test("does the same again from its JSON", () => {
    check(fc.tuple(link, traffic), ([link, traffic]) => {
      const once = play(link, traffic);
      const again = replay(once.json);
      assert.deepEqual([again.events, again.streams, again.json], [
        once.events,
        once.streams,
        once.json,
      ]);
    }, 0.3);
  });

  test("counts times on a given link from its present, beside what that carries", () => {
    using link = new VirtualLink({ scheduler: "edf", rate: 1_250_000 });
    const mine = link.open();
    link.run(100);
    mine.send(12_500, { deadline: 11 }, 100);
    const { frames, events } = play(link, {
      deadline: 50,
      frames: [{ at: 5, bytes: 1000 }],
    });
    assert.deepEqual(frames, [{ stream: 0, frame: 0, arrived: 105, at: 110.8, outcome: "whole" }]);
    assert.deepEqual(events.map(({ stream, at }) => [stream, at]), [[0, 110], [1, 110.8]]);
  });

  test("cuts frames in equal packets, and numbers repeated ones", () => {
    const { events, frames } = play({ rate: 1_000_000 }, {
      packet: 1000,
      frames: [{ at: 0, bytes: 2500 }, { at: 10, bytes: 1000, times: 3, every: 10 }],
    });
    assert.deepEqual(events.slice(0, 3).map(({ bytes }) => bytes), [834, 833, 833]);
    assert.deepEqual(frames.map(({ arrived, at }) => [arrived, at]), [
      [0, 2.5],
      [10, 11],
      [20, 21],
      [30, 31],
    ]);
  });

  test("waits for all that is queued, however slow the link", () => {
    const { info, frames } = play({ rate: 1000, scheduler: "edf-lossless" }, {
      frames: [{ at: 0, bytes: 1000, times: 500, deadline: 1 }],
    });
    assert.deepEqual([info.late, info.queued, frames[499].at], [500, 0, 500_000]);
  });

  test("refuses traffic that cannot be, and says why", () => {
    const refused = (stream: unknown, message: RegExp | string) =>
      assert.throws(() => play({ rate: "1mbit" }, stream as TrafficStream), { message });
    const frame = { at: 0, bytes: 1 };
    refused(
      { frames: [{ ...frame, bytes: 0 }] },
      /^Cannot play: 0.frames.0.bytes must be .* got 0$/,
    );
    refused({ frames: [{ ...frame, at: -1 }] }, /0.frames.0.at must be 0 to 9000000000 ms, got -1/);
    refused(
      { frames: [{ ...frame, drop: 7 }] },
      /0.frames.0.drop must be "never" or 0 to 6, got 7/,
    );
    refused({ frames: [{ ...frame, size: 7 }] }, /there is no option "size" in 0.frames.0/);
    refused(
      { frames: [frame, { ...frame, needs: [1] }] },
      "Cannot play: frame 1 of stream 0 must need frames before it, got 1",
    );
    refused(
      { name: "cam", packet: 100, frames: [{ at: 0, bytes: 102_401 }] },
      "Cannot play: frame 0 of stream cam must have at most 1024 packets, got 1025",
    );
    refused({ attributes: { oln: 2, old: 1 }, frames: [] }, /oln must be at most old/);
    refused({ frames: [{ ...frame, times: 1_000_000 }, frame] }, /at most 1000000 frames/);
    assert.throws(() => replay("{"), SyntaxError);
    assert.throws(() => replay("[]"), /^TypeError: Cannot replay: the argument must be an object/);
    assert.throws(() => replay('{"link":{"rate":0},"traffic":[]}'), /rate must be above 0/);
  });
});

describe("decodable", () => {
  /** Whether everything that was sent of a video can be decoded. */
  const useful = ({ streams: [{ frames }] }: Playback) =>
    decodable(frames).length === frames.filter((fate) => fate.outcome === "whole").length;

  test("is all that a scheduler sends which knows of dependencies", () => {
    let losses = 0;
    for (const scheduler of ["dwcs", "edf"] as const) {
      const videos = video({ rate: "2mbit", arrivals: { poisson: true } });
      check(fc.tuple(videos, bulk({ rate: "10mbit", ms: 2000 })), (traffic) => {
        const played = play({ scheduler, rate: "1.5mbit" }, traffic);
        losses += lost(played, { stream: 0, reason: "dependency" }).length;
        assert.ok(useful(played), played.json);
      });
    }
    assert.ok(losses > 0, "nothing was ever lost that others need");
  });

  test("is less than what a fifo sends", () => {
    const stream = smallest(
      video({ attributes: { queueBytes: 60_000 }, rate: "4mbit", deadline: 10_000 }),
      (stream) => useful(play({ scheduler: "fifo", rate: "3mbit" }, stream)),
    );
    const { frames } = play({ scheduler: "fifo", rate: "3mbit" }, stream);
    assert.ok(decodable(frames).length < frames.filter((it) => it.outcome === "whole").length);
  });

  test("counts what is late only for a receiver that waits", () => {
    const { frames } = play({ scheduler: "edf-lossless", rate: 1_000_000 }, {
      frames: [
        { type: "I", at: 0, bytes: 1000, deadline: 0.5 },
        { type: "P", at: 0, bytes: 1000, needs: [0] },
        { type: "B", at: 0, bytes: 1000, needs: [1] },
      ],
    });
    assert.deepEqual(decodable(frames), []);
    assert.deepEqual(decodable(frames, { late: true }), frames);
    assert.deepEqual(decodable(frames.slice(1), { late: true }), [], "its I frame is not there");
    const other = frames.slice(1).map((fate) => ({ ...fate, stream: 1 }));
    assert.deepEqual(decodable([...other, frames[0]], { late: true }), [frames[0]]);
  });
});

describe("lost", () => {
  test("finds what a filter says, of all that did not leave whole and in time", () => {
    const played = play({ scheduler: "fifo", rate: "1mbit" }, [
      { attributes: { queueBytes: 2000 }, frames: [{ type: "I", at: 0, bytes: 4000, level: 0 }] },
      { deadline: 1, frames: [{ type: "P", at: 0, bytes: 1000, level: 1 }] },
      { frames: [{ type: "P", at: 0, bytes: 1000, level: 1 }] },
    ]);
    const outcomes = (filter: Parameters<typeof lost>[1]) =>
      lost(played, filter).map(({ outcome }) => outcome);
    assert.deepEqual(outcomes({}), ["partial", "late"]);
    assert.deepEqual(outcomes({ type: "P" }), ["late"]);
    assert.deepEqual(outcomes({ level: 0, reason: "overflow" }), ["partial"]);
    assert.deepEqual(outcomes({ stream: 1, outcome: "dropped" }), []);
  });
});

test("options that cannot be are refused, with what they must be", () => {
  const refusals: [() => unknown, string][] = [
    [() => video({ gop: 0 }), "Cannot make video: gop must be a whole number of pictures from 1"],
    [() => video({ gop: { min: 5, max: 4 } }), "Cannot make video: gop must have min at most max"],
    [() => video({ spread: 1 }), "Cannot make video: spread must be 0 to 0.99 of the mean, got 1"],
    [() => video({ groups: 2 } as object), 'Cannot make video: there is no option "groups"'],
    [() => gop({ rate: "fast" }), "Cannot make groups of pictures: rate must be bytes per second"],
    [() => samples({ every: 0 }), "Cannot make samples: every must be 0.001 to 3600000 ms, got 0"],
    [() => arrivals({} as { every: number }), "Cannot make arrivals: every must be"],
    [() => bulk({ rate: -1 }), "Cannot make bulk traffic: rate must be above 0, got -1"],
    [
      () => feasible({ rate: "1mbit", bytes: 1000, utilisation: 2 }),
      "Cannot make a feasible set: utilisation must be 0.01 to 1 of the link, got 2",
    ],
  ];
  for (const [make, message] of refusals) {
    assert.throws(make, (error: Error) => {
      assert.ok(error instanceof TypeError || error instanceof RangeError, error.name);
      assert.ok(error.message.startsWith(message), error.message);
      return true;
    });
  }
});

test("qsockets does without fast-check, and qsockets/testing says that it needs it", () => {
  const folder = mkdtempSync(join(tmpdir(), "qsockets-testing-"));
  try {
    for (const part of ["package.json", "mod.ts", "ffi", "media"]) {
      cpSync(join(root, part), join(folder, part), { recursive: true });
    }
    mkdirSync(join(folder, "node_modules"));
    for (const name of ["ipaddr.js", "mediabunny", "sdp-transform", "zod"]) {
      symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
    }
    const imported = (name: string) => {
      writeFileSync(join(folder, "user.ts"), `await import("${name}"); console.log("loaded");`);
      const args = runtime === "bun" ? ["user.ts"] : ["run", "-A", "--no-check", "user.ts"];
      const { stdout, stderr } = spawnSync(process.execPath, args, {
        cwd: folder,
        encoding: "utf8",
      });
      return stdout + stderr;
    };
    assert.match(imported("qsockets"), /^loaded/);
    const message = /Cannot load qsockets\/testing: it needs the package fast-check, which is not/;
    const refused = imported("qsockets/testing");
    assert.match(refused, message);
    assert.match(refused, /npm install --save-dev fast-check/);
    assert.doesNotMatch(refused, /loaded/);
    symlinkSync(join(root, "node_modules/fast-check"), join(folder, "node_modules/fast-check"));
    assert.match(imported("qsockets/testing"), /^loaded/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
