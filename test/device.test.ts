// The options that initialise a device for all processes: what is refused before anything is done.
// What is done is tested in test/net.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Link, restoreDevice, VirtualLink } from "../mod.ts";

/** Options that are no initialisation, and what is said of them. */
const REFUSED: [object, string][] = [
  [{ rate: 1000, system: true }, "open a link: device must be given with system, got undefined"],
  [{ device: "lo", system: true }, "initialise lo: rate must be bytes per second"],
  [{ rate: 1000, group: 1 }, "open a link: group must not be given without system: true, got 1"],
  [{ rate: 1000, mode: 0o600 }, "open a link: mode must not be given without system: true"],
  [{ rate: 1000, replace: true }, "open a link: replace must not be given without system: true"],
  [{ rate: 1000, host: "above" }, "open a link: host must not be given without system: true"],
  [
    { device: "lo", rate: 1000, system: true, mode: 0o1777 },
    "initialise lo: mode must be 0 to 511, got 1023",
  ],
  [{ device: "lo", rate: 1000, system: true, group: "no-such-group-here" }, "initialise lo: group"],
  [
    { device: "lo", rate: 1000, system: true, group: -1 },
    "initialise lo: group must be 0 to 4294967294",
  ],
  [{ device: "lo", rate: 1000, system: true, host: "virtual" }, "initialise lo: host must be"],
  [{ device: "lo", rate: 1000, system: "yes" }, "open link lo: system must be true or false"],
];

for (const [options, why] of REFUSED) {
  test(`a link is refused: ${why}`, () => {
    assert.throws(
      () => new Link(options),
      (error: Error) => error.message.startsWith(`Cannot ${why}`),
    );
  });
}

test("restoreDevice refuses what names no device", () => {
  const wrong: unknown[] = ["", "a/b", "longer-than-a-name", 7, undefined];
  for (const name of wrong) {
    assert.throws(() => restoreDevice(name as string), /^(Type|Range)Error: Cannot restore/);
  }
});

test("a link says which host serves it, and why no better one does", () => {
  using own = new Link({ rate: 1000 });
  assert.deepEqual([own.host, own.hostReason, own.info().host], ["above", "", "above"]);
  using device = new Link({ device: "lo", rate: 1000 });
  assert.equal(device.host, "above");
  assert.match(device.hostReason, /qsockinit has not initialised the device/);
  using virtual = new VirtualLink({ rate: 1000 });
  assert.equal(virtual.info().host, "virtual");
});
