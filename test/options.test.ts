import assert from "node:assert/strict";
import { test } from "node:test";
import { addressFields, peerStruct } from "../ffi/address.ts";
import { changedAttributes } from "../ffi/attributes.ts";
import { checkBytes, checkData, deadlineUs, messageFlags, PLAIN_FLAGS } from "../ffi/message.ts";
import {
  check,
  linkOptions,
  type MessageOptions,
  parseRate,
  socketOptions,
  statsInterval,
} from "../ffi/options.ts";

test("parseRate reads bytes per second, and strings with decimal units", () => {
  const rates: [number | string, number][] = [
    [1_250_000, 1_250_000],
    [0.5, 1],
    ["10mbit", 1_250_000],
    ["10 Mbit", 1_250_000],
    ["1.5gbit", 187_500_000],
    ["500kbit", 62_500],
    ["1200kB/s", 1_200_000],
    ["8bit", 1],
    ["100B", 100],
  ];
  for (const [rate, bytes] of rates) assert.equal(parseRate(rate), bytes, String(rate));
});

test("parseRate refuses what is no rate, and units that mean two things", () => {
  for (const rate of ["", "10", "fast", "-1mbit", "10mb", "10mbps", "1e6bit", "NaN", "0bit"]) {
    assert.throws(() => parseRate(rate), RangeError, rate);
  }
  for (const rate of [0, -1, NaN, Infinity, 1e13]) assert.throws(() => parseRate(rate), RangeError);
});

test("check says what cannot be done, which option is wrong and what it got", () => {
  const opening = (options: unknown) => () => check(linkOptions, options, "open link eth0");
  const cases: [unknown, typeof Error, string][] = [
    [{ rate: -1 }, RangeError, "Cannot open link eth0: rate must be above 0, got -1"],
    [{ rate: NaN }, RangeError, "Cannot open link eth0: rate must be above 0, got NaN"],
    [
      { rate: 1, scheduler: "cake" },
      RangeError,
      'Cannot open link eth0: scheduler must be "dwcs", "dwcs99", "vds", "edf", "edf-lossless", ' +
      '"sfq", "cbq" or "fifo", got "cake"',
    ],
    [{ rate: 1, speed: 2 }, TypeError, 'Cannot open link eth0: there is no option "speed"'],
    [undefined, TypeError, "Cannot open link eth0: the argument must be an object, got undefined"],
    [
      { rate: 1, queueMessages: 0 },
      RangeError,
      "Cannot open link eth0: queueMessages must be 1 to 262144, got 0",
    ],
  ];
  for (const [options, type, message] of cases) {
    assert.throws(opening(options), (error) => {
      assert.ok(error instanceof type, String(error));
      assert.equal(error.message, message);
      return true;
    });
  }
  assert.throws(opening({}), TypeError);
  assert.throws(opening({ rate: 1, device: "a/b" }), /device must be a device name/);
  assert.throws(() => check(statsInterval, 0, "read stats"), /the argument must be 1 to/);
});

test("check refuses a loss window that allows more losses than it has messages", () => {
  const opening = (options: unknown) => () => check(socketOptions, options, "open a socket");
  assert.throws(opening({ oln: 5, old: 4 }), /oln must be at most old, which is 4, got 5/);
  assert.throws(opening({ oln: 1 }), /oln must be at most old, which is 0, got 1/);
  assert.throws(opening({ old: 65536 }), /old must be 0 to 65535/);
  assert.throws(opening({ old: 1.5 }), /old must be a whole number/);
  assert.throws(opening({ ipg: -1 }), /ipg must be 0 to 3600000 ms, got -1/);
  assert.throws(opening({ type: "tcp" }), /to must be given for a TCP socket/);
  assert.throws(opening({ bytes: 0 }), /bytes must be 1 to 67079168, got 0/);
  assert.throws(opening({ admission: "deny" }), /admission must be "refuse", "warn" or "off"/);
  assert.doesNotThrow(opening({ oln: 4, old: 4, ipg: 0.5, droppable: false }));
});

test("changedAttributes keeps what is not changed, and checks the whole", () => {
  const current = { ipg: 10, oln: 1, old: 4 };
  assert.deepEqual(changedAttributes(current, { ipg: 20 }, "change"), { ipg: 20, oln: 1, old: 4 });
  assert.deepEqual(changedAttributes(current, { oln: undefined }, "change"), current);
  assert.throws(() => changedAttributes(current, { oln: 5 }, "change"), /oln must be at most old/);
});

test("messageFlags packs each option where qsocket.h says", () => {
  const none = 3 << 8;
  const cases: [MessageOptions, number][] = [
    [{}, PLAIN_FLAGS],
    [{ drop: 0 }, none],
    [{ drop: "never" }, none | 7 << 4],
    [{ drop: 3, frame: "whole", level: 1 }, 0x7 | 3 << 4 | 1 << 8],
    [{ drop: 0, frame: "start", level: 0 }, 0x5],
    [{ drop: 0, frame: "middle", level: 9 }, 0x4 | 2 << 8],
    [{ drop: 0, frame: "end", leading: true }, 0x6 | 0x8 | none],
    [{ drop: 0, deadline: 1 }, none | 0x80],
    [{ drop: 0, deadlineAt: 1 }, none | 0x80],
    [{ drop: 0, segment: 65507 }, (none | 65507 << 16) >>> 0],
  ];
  for (const [options, flags] of cases) {
    assert.equal(messageFlags(options), flags, JSON.stringify(options));
  }
});

test("messageFlags refuses what no message can have", () => {
  const cases: [Record<string, unknown>, string][] = [
    [{ drop: 9 }, 'Cannot send: drop must be "never" or 0 to 6, got 9'],
    [{ drop: "always" }, 'Cannot send: drop must be "never" or 0 to 6, got "always"'],
    [{ drop: 1.5 }, 'Cannot send: drop must be "never" or 0 to 6, got 1.5'],
    [{ drop: null }, 'Cannot send: drop must be "never" or 0 to 6, got null'],
    [{ level: -1 }, "Cannot send: level must be 0, 1, 2 or a larger whole number, got -1"],
    [{ segment: 0 }, "Cannot send: segment must be 1 to 65507 bytes, got 0"],
    [{ segment: 70000 }, "Cannot send: segment must be 1 to 65507 bytes, got 70000"],
    [
      { frame: "half" },
      'Cannot send: frame must be "whole", "start", "middle" or "end", got "half"',
    ],
    [
      { frame: "constructor" },
      'Cannot send: frame must be "whole", "start", "middle" or "end", got "constructor"',
    ],
  ];
  for (const [options, message] of cases) {
    assert.throws(() => messageFlags(options as MessageOptions), { name: "RangeError", message });
  }
});

test("deadlineUs is microseconds from now, and 0 for a deadlineAt that has passed", () => {
  assert.equal(deadlineUs({}), 0);
  assert.equal(deadlineUs({ deadline: 40 }), 40_000);
  assert.equal(deadlineUs({ deadline: 1e-9 }), 1);
  assert.equal(deadlineUs({ deadlineAt: 1.5 }, 1), 500);
  assert.equal(deadlineUs({ deadlineAt: 1 }, 5), 0);
});

test("deadlineUs refuses a deadline that is no time to come", () => {
  const message = "Cannot send: deadline is in the past: -3 ms";
  assert.throws(() => deadlineUs({ deadline: -3 }), { name: "RangeError", message });
  assert.throws(() => deadlineUs({ deadline: 0 }), RangeError);
  assert.throws(() => deadlineUs({ deadline: NaN }), RangeError);
  assert.throws(() => deadlineUs({ deadline: 5e6 }), /at most 4294967.295, got 5000000/);
  assert.throws(() => deadlineUs({ deadlineAt: NaN }, 0), RangeError);
  assert.throws(() => deadlineUs({ deadlineAt: Infinity }, 0), RangeError);
  assert.throws(() => deadlineUs({ deadline: 1, deadlineAt: 1 }, 0), TypeError);
});

test("checkData refuses what is no message, and what no datagrams can carry", () => {
  checkData(new Uint8Array(65507), undefined);
  checkData(new Uint8Array(64 * 100), 100);
  assert.throws(() => checkData("text" as never, undefined), {
    name: "TypeError",
    message: 'Cannot send: data must be a Uint8Array, got "text"',
  });
  assert.throws(() => checkBytes(65508, undefined), {
    message: "Cannot send: a message must have 1 to 65507 bytes, got 65508",
  });
  assert.throws(() => checkBytes(0, undefined), RangeError);
  assert.throws(() => checkBytes(NaN, undefined), RangeError);
  assert.throws(() => checkBytes(6401, 100), /at most 64 datagrams, got 65 of 100 bytes/);
});

test("addressFields reads IPv4, IPv6 and zones", () => {
  const ipv4 = addressFields({ hostname: "192.0.2.1", port: 5004 }, "send");
  assert.deepEqual(ipv4, { family: 2, port: 5004, scope: 0, bytes: [192, 0, 2, 1] });
  const ipv6 = addressFields({ hostname: "fe80::1%7", port: 1 }, "send");
  assert.equal(ipv6.family, 10);
  assert.equal(ipv6.scope, 7);
  assert.deepEqual(ipv6.bytes, [0xfe, 0x80, ...new Array(13).fill(0), 1]);
});

test("addressFields refuses names, odd spellings of IPv4 and bad ports", () => {
  for (
    const hostname of ["localhost", "", "10.1", "0x7f.0.0.1", "256.1.1.1", "1.2.3.4.5", ":::1"]
  ) {
    assert.throws(() => addressFields({ hostname, port: 1 }, "send"), {
      name: "RangeError",
      message: "Cannot send: hostname must be an IP address (names are not resolved), " +
        `got ${JSON.stringify(hostname)}`,
    });
  }
  for (const port of [-1, 65536, 1.5, NaN]) {
    assert.throws(() => addressFields({ hostname: "::1", port }, "send"), /port must be/);
  }
  assert.throws(
    () => addressFields({ hostname: "fe80::1%nowhere0", port: 1 }, "send"),
    /no interface "nowhere0"/,
  );
});

test("peerStruct gives the same struct for the same address, also after many others", () => {
  const first = peerStruct({ hostname: "192.0.2.1", port: 7 }, "send").slice();
  for (let port = 1; port <= 9000; port++) peerStruct({ hostname: "192.0.2.2", port }, "send");
  assert.deepEqual(peerStruct({ hostname: "192.0.2.1", port: 7 }, "send"), first);
  const other = peerStruct({ hostname: "192.0.2.2", port: 7 }, "send");
  assert.notDeepEqual(other, first);
  assert.throws(() => peerStruct({ hostname: "::1", port: 0 }, "send"), /port must be 1 to 65535/);
});
