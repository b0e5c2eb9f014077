import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { qsockinit } from "../ffi/calls.ts";
import { errorName, failure, QError } from "../ffi/error.ts";
import { run } from "./child.ts";
import { message } from "./counters.ts";
import { openLink } from "./links.ts";
import { udpPeer } from "./receiver.ts";

const root = new URL("../", import.meta.url);
const FAST = "1gbit";

test("QError has the call, the number and the name of the error", () => {
  const error = failure("qsend", -constants.errno.ENOBUFS, "send");
  assert.ok(error instanceof QError && error instanceof Error);
  assert.equal(error.name, "QError");
  assert.equal(error.call, "qsend");
  assert.equal(error.errno, constants.errno.ENOBUFS);
  assert.equal(error.code, "ENOBUFS");
  assert.equal(
    error.message,
    "Cannot send: the queue is full, and holds nothing that is worth less (ENOBUFS)",
  );
});

test("failure reads as a sentence for every error number of the system", () => {
  for (const [name, errno] of Object.entries(constants.errno)) {
    const { message, code } = failure("qsocket", -errno, "open a socket");
    assert.match(message, /^Cannot open a socket: [a-z].{5,} \(E[A-Z0-9]+\)$/, name);
    assert.equal(constants.errno[code as keyof typeof constants.errno], errno);
  }
  assert.equal(errorName(5000), "E5000");
  assert.equal(failure("q", -5000, "try").message, "Cannot try: the system refused (E5000)");
});

test("failure takes the words of a caller that knows more", () => {
  const error = failure("qsocket", -constants.errno.EBADF, "open a socket", {
    EBADF: "the link is closed",
  });
  assert.equal(error.message, "Cannot open a socket: the link is closed (EBADF)");
});

test("the library is opened at the first call, and says how to build it when it is missing", () => {
  const calls = new URL("ffi/calls.ts", root).href;
  const { stdout, stderr, status } = run(
    `import { qsockinit } from ${JSON.stringify(calls)};
    console.log("imported");
    try { qsockinit({ rate: 1 }); } catch (error) { console.log(error.code, error.message); }`,
    { QSOCKETS_LIBRARY: "/nonexistent/libqsocket.so" },
  );
  assert.equal(status, 0, stderr);
  assert.equal(
    stdout,
    "imported\nENOENT Cannot load the C library of Q.Sockets: there is no " +
      "/nonexistent/libqsocket.so; `npm run build` makes it and needs a C compiler, or " +
      "QSOCKETS_LIBRARY names another\n",
  );
});

test("importing works on another system, and the first call says that it needs Linux", () => {
  const calls = new URL("ffi/calls.ts", root).href;
  const { stdout, stderr, status } = run(
    `import process from "node:process";
    Object.defineProperty(process, "platform", { value: "darwin" });
    const { qsockinit } = await import(${JSON.stringify(calls)});
    console.log("imported");
    try { qsockinit({ rate: 1 }); } catch (error) { console.log(error.message); }`,
    {},
  );
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "imported\nCannot load Q.Sockets: it needs Linux, this is darwin\n");
});

test("what the system refuses is a QError that reads as a sentence", async () => {
  await using peer = await udpPeer();
  using link = openLink({ rate: FAST });
  using unconnected = link.open();
  const cases: [() => unknown, string, RegExp][] = [
    [() => qsockinit({ rate: 1, device: "nosuch0" }), "ENODEV", /^Cannot open link nosuch0: there/],
    [() => unconnected.send(message(1)), "EDESTADDRREQ", /^Cannot send: the socket is not connec/],
    [() => link.open({ local: peer.address }), "EADDRINUSE", /^Cannot open a socket: address alr/],
    [
      () => link.open({ local: { hostname: "203.0.113.1", port: 0 } }),
      "EADDRNOTAVAIL",
      /^Cannot open a socket: address not available/,
    ],
    [
      () => link.open({ local: { hostname: "::1", port: 0 }, to: peer.address }),
      "EAFNOSUPPORT",
      /^Cannot open a socket to 127.0.0.1 port \d+: address family/,
    ],
  ];
  for (const [use, code, words] of cases) {
    assert.throws(use, (error: { name: string; code: string; message: string }) => {
      assert.equal(error.name, "QError", String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      return true;
    });
  }
});

test("a device has one scheduler and one rate", () => {
  using first = qsockinit({ device: "lo", rate: FAST, scheduler: "edf" });
  assert.throws(() => qsockinit({ device: "lo", rate: FAST, scheduler: "fifo" }), {
    code: "EBUSY",
    message: "Cannot open link lo: the device has another scheduler already (EBUSY)",
  });
  assert.throws(() => qsockinit({ device: "lo", rate: 1, scheduler: "edf" }), { code: "EEXIST" });
  using second = qsockinit({ device: "lo", rate: FAST, scheduler: "edf" });
  first.close();
  using socket = second.open();
  assert.equal(socket.info().scheduler, "edf");
});
