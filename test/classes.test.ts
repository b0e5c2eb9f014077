// The classes of a link as a program says them: which trees are refused and in which words, what a
// socket is told of its class, and that a link of real sockets keeps to them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Link } from "../ffi/link.ts";
import type { LinkOptions, VirtualLinkOptions } from "../ffi/options.ts";
import { VirtualLink } from "../ffi/simulate.ts";
import { udpPeer } from "./receiver.ts";

type Classes = NonNullable<LinkOptions["classes"]>;

const RATE = 1_000_000;
const options = (classes: Classes) => ({ scheduler: "cbq" as const, rate: RATE, classes });

/** Both kinds of link refuse it, in the same words. */
function refuses(name: string, wrong: object, why: string, kind = RangeError): void {
  test(`classes are refused: ${name}`, () => {
    const given = { scheduler: "cbq", rate: RATE, ...wrong } as VirtualLinkOptions;
    const refused = (doing: string) => (error: unknown) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.message, `Cannot ${doing}: ${why}`);
      return true;
    };
    assert.throws(() => new Link(given), refused("open a link"));
    assert.throws(() => new VirtualLink(given), refused("open a virtual link"));
  });
}

describe("classes", () => {
  refuses(
    "another scheduler",
    { scheduler: "sfq", classes: { a: { rate: 1 } } },
    'scheduler must be "cbq" where classes are given, got "sfq"',
  );
  refuses(
    "the default scheduler",
    { scheduler: undefined, classes: {} },
    'scheduler must be "cbq" where classes are given, got "dwcs"',
  );
  refuses(
    "an unknown parent",
    { classes: { a: { rate: 1, parent: "b" } } },
    'classes.a.parent must name another class, got "b"',
  );
  refuses(
    "its own parent",
    { classes: { a: { rate: 1, parent: "a" } } },
    'classes.a.parent must not be the class itself or below it, got "a"',
  );
  refuses(
    "a circle",
    { classes: { a: { parent: "c" }, b: { parent: "a" }, c: { parent: "b" } } },
    'classes.b.parent must not be the class itself or below it, got "a"',
  );
  refuses(
    "more than the link has",
    { classes: { a: { rate: "6mbit" }, b: { rate: "3mbit" } } },
    "rate must be at least 1125000, which is what a, b are guaranteed in all, got 1000000",
  );
  refuses(
    "more than the parent has",
    { classes: { a: { rate: 6, parent: "c" }, b: { rate: 5, parent: "c" }, c: { rate: 10 } } },
    "classes.c.rate must be at least 11, which is what a, b are guaranteed in all, got 10",
  );
  refuses(
    "a ceiling below the rate",
    { classes: { a: { rate: 6, ceil: 5 } } },
    "classes.a.rate must be at most its ceil, 5, got 6",
  );
  refuses(
    "a class that would never send",
    { classes: { a: { borrow: true, parent: "b" }, b: {} } },
    "classes.a must have a rate, or borrow of a class that has, or it would never send",
  );
  refuses(
    "too many",
    { classes: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`c${i}`, { rate: 1 }])) },
    "classes must be at most 64, got 65",
  );
  refuses(
    "a priority that there is not",
    { classes: { a: { rate: 1, priority: 8 } } },
    "classes.a.priority must be 0 to 7, got 8",
  );
  refuses(
    "a rate without a unit",
    { classes: { a: { rate: "fast" } } },
    'classes.a.rate must be bytes per second, or a string such as "10mbit" or "1200kB/s", ' +
      'got "fast"',
  );
  refuses(
    "an option that there is not",
    { classes: { a: { rat: 1 } } },
    'there is no option "rat" in classes.a',
    TypeError,
  );
  refuses(
    "a list",
    { classes: [{ rate: 1 }] },
    "classes must be an object of classes, got an array",
    TypeError,
  );

  test("are taken in any order, and 64 of them", () => {
    const names = Array.from({ length: 64 }, (_, i) => `c${i}`);
    const chain = Object.fromEntries(names.map((name, i): [string, Classes[string]] => [name, {
      rate: 1000 + i,
      ...(i < 63 ? { parent: names[i + 1] } : {}),
    }]));
    using link = new VirtualLink(options(chain));
    assert.deepEqual(link.classes.names, names.toReversed());
    const stream = link.open({ class: "c0" });
    stream.send(1000);
    assert.equal(link.run(10).length, 1);
    assert.throws(() => link.open({ class: "c1" }), RangeError);
  });

  test("a stream joins a leaf, and its counters say which", () => {
    const classes: Classes = {
      video: { rate: "2mbit", parent: "all" },
      all: { rate: "4mbit" },
      bulk: { borrow: true },
    };
    for (const link of [new Link(options(classes)), new VirtualLink(options(classes))]) {
      using _ = link;
      const stream = link.open({ class: "video", weight: 7 });
      assert.equal(stream.info().class, "video");
      assert.equal(stream.info().weight, 7);
      stream.change({ weight: 9 });
      assert.equal(stream.info().class, "video");
      assert.equal(stream.info().weight, 9);
      stream.change({ class: "bulk" });
      assert.equal(stream.info().class, "bulk");
      const rest = link.open();
      assert.equal(rest.info().class, null);
      assert.equal(rest.info().weight, 1);
      const refused = (error: Error) => {
        assert.match(
          error.message,
          /: class must be one of the link's classes "video", "bulk", as others have classes below them, got "all"$/,
        );
        return error instanceof RangeError;
      };
      assert.throws(() => link.open({ class: "all" }), refused);
      assert.throws(() => stream.change({ class: "all" }), refused);
      assert.equal(stream.info().class, "bulk");
    }
    using plain = new VirtualLink({ scheduler: "sfq", rate: RATE });
    assert.throws(
      () => plain.open({ class: "video" }),
      /class must not be given: the link has no classes, got "video"/,
    );
    assert.throws(() => plain.open({ weight: 65_536 }), /weight must be 1 to 65535, got 65536/);
    assert.throws(() => plain.open({ weight: 0 }), /weight must be 1 to 65535, got 0/);
  });

  test("a device's link is shared by those who say the same classes", () => {
    const classes: Classes = { a: { rate: 1000 } };
    using _link = new Link({ ...options(classes), device: "lo" });
    using _same = new Link({ ...options(classes), device: "lo" });
    assert.throws(
      () => new Link({ ...options({ a: { rate: 1001 } }), device: "lo" }),
      /with another rate or other classes \(EEXIST\)/,
    );
  });

  test("a link of real sockets keeps to a ceiling, and goes on once it may", async () => {
    await using peer = await udpPeer();
    using link = new Link({
      scheduler: "cbq",
      rate: "80mbit",
      classes: { slow: { rate: "1mbit", ceil: "8mbit", borrow: true }, fast: { rate: "40mbit" } },
    });
    const slow = link.open({ to: peer.address, class: "slow" });
    const fast = link.open({ to: peer.address, class: "fast" });
    const count = 200, bytes = 1000 - 28;
    const begun = performance.now();
    for (let i = 0; i < count; i++) slow.send(new Uint8Array(bytes));
    for (let i = 0; i < count; i++) fast.send(new Uint8Array(bytes));
    assert.equal((await fast.close({ drain: true })).sent, count);
    assert.equal((await slow.close({ drain: true })).sent, count);
    const tookMs = performance.now() - begun;
    // 1000 bytes a millisecond, 10 ms saved up, and the last packet's own time is not waited for.
    assert.ok(tookMs >= count - 10 - 1, `${count} packets of 1 ms took ${tookMs} ms`);
  });
});
