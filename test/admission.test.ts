// What is done about streams that ask for more than their link has, and how many it takes.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { qsockinit } from "../ffi/calls.ts";
import { VirtualLink } from "../ffi/simulate.ts";
import { run } from "./child.ts";
import { message } from "./counters.ts";
import { udpPeer } from "./receiver.ts";
import { refused } from "./refused.ts";

const LONG = { timeout: 24 * 3_600_000 };
const KB = 100_000; // bytes per second: 1000 bytes in 10 ms are all of it

describe("admission", () => {
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
      link.open({ ipg: 10 });
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
        link.open({ ipg: 40 });
        link.open({ bytes: 5, oln: 1, old: 2 });
        link.close();
      }`,
    );
    assert.deepEqual(told.map(({ code }) => code), Array(2).fill("QSOCKETS_UNEQUAL_PERIODS"));
    assert.equal(
      told[0].message,
      "The streams of the link have loss windows at different periods (ipg): its scheduler may " +
        'break them even at low load. "vds" is for windows at any mix of periods; or give all ' +
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
