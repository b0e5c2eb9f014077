// What qlist tells of links whose streams are this program's own. Of a device for all programs it is
// tested in the guest (test/vm/guest/device.test.ts).

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { CALL } from "../ffi/abi.ts";
import { Args, qlistArgs, qlistStream } from "../ffi/layout.ts";
import { library } from "../ffi/library.ts";
import { Link, qlist } from "../mod.ts";

const STREAMS = 600; // more than one call tells of

/** Asks as the binding does, with whatever is to be wrong in it. */
function ask(values: Record<string, number>, bytes = qlistStream.size): number {
  const args = new Args(qlistArgs, qlistStream, 4);
  args.fill({ streams_max: 2, stream_bytes: bytes, ...values });
  const length = qlistArgs.size + (values.streams_max ?? 2) * bytes;
  return library().qsocketcall(CALL.QLIST, args.bytes, length);
}

test("qlist tells of every open stream once, and whose it is", () => {
  using link = new Link({ rate: "10mbit", admission: "off" });
  const sockets = Array.from({ length: STREAMS }, (_, i) => link.open({ ipg: i + 1 }));
  for (const socket of sockets.filter((_, i) => i % 3 === 0)) socket.close();
  const told = [...qlist(link)];
  const expected = sockets.map((_, i) => i + 1).filter((ipg) => ipg % 3 !== 1);
  assert.deepEqual(told.map(({ ipg }) => ipg).sort((a, b) => a - b), expected);
  assert.deepEqual(new Set(told.map(({ pid }) => pid)), new Set([process.pid]));
  assert.deepEqual(new Set(told.map(({ uid }) => uid)), new Set([process.geteuid!()]));
  assert.ok(told.every(({ scope, command }) => scope === "own" && command !== ""));
});

test("qlist tells the counters that qinfo does, and the socket's cookie", () => {
  using link = new Link({ rate: "10mbit" });
  using socket = link.open({ to: { hostname: "127.0.0.1", port: 9 }, ipg: 40, oln: 1, old: 4 });
  socket.send(new Uint8Array(100));
  const [stream] = link.streams();
  const { cookie, pid: _pid, command: _command, uid: _uid, scope: _scope, ...counters } = stream;
  assert.equal(counters.offered, 1);
  assert.deepEqual([counters.ipg, counters.oln, counters.old], [40, 1, 4]);
  assert.deepEqual(Object.keys(counters).sort(), Object.keys(socket.info()).sort());
  assert.ok(cookie > 0);
});

test("qlist of a link without streams, and of one that is closed", () => {
  const link = new Link({ rate: "10mbit" });
  assert.deepEqual([...link.streams()], []);
  link.close();
  assert.throws(() => [...link.streams()], { code: "EBADF" });
});

test("qlist goes on where it was stopped, while streams come and go", () => {
  using link = new Link({ rate: "10mbit", admission: "off" });
  const sockets = Array.from({ length: STREAMS }, (_, i) => link.open({ ipg: i + 1 }));
  const told = [];
  for (const { ipg } of link.streams()) {
    told.push(ipg);
    if (told.length === 1) { for (const socket of sockets.slice(300, 310)) socket.close(); }
  }
  const gone = (ipg: number) => ipg > 300 && ipg <= 310;
  assert.deepEqual(told, sockets.map((_, i) => i + 1).filter((ipg) => !gone(ipg)));
});

test("QLIST cuts its streams to what an older caller knows, and refuses what is no list", () => {
  using link = new Link({ rate: "10mbit" });
  using _a = link.open({ ipg: 10 });
  using _b = link.open({ ipg: 20 });
  const args = new Args(qlistArgs, qlistStream, 4);
  args.bytes.fill(0xa5);
  args.fill({ link: link.handle, streams_max: 2, stream_bytes: 40 });
  const cut = qlistArgs.size + 2 * 40;
  assert.equal(library().qsocketcall(CALL.QLIST, args.bytes, cut), 2);
  assert.ok(args.bytes.subarray(cut).every((byte) => byte === 0xa5), "it wrote beyond");
  const pidAt = qlistArgs.size + qlistStream.offsets.pid;
  const pids = [0, 40].map((at) => new DataView(args.bytes.buffer).getUint32(pidAt + at, true));
  assert.deepEqual(pids, [process.pid, process.pid]);

  const [EBADF, EINVAL, ERANGE] = [-9, -22, -34];
  assert.equal(ask({ link: link.handle }), 2);
  assert.equal(ask({ link: link.handle, after: 1 }), 1);
  assert.equal(ask({ link: link.handle, after: Number.MAX_SAFE_INTEGER }), 0);
  assert.equal(ask({ link: 0 }), EBADF);
  assert.equal(ask({ link: link.handle, scope: 1 }), EINVAL);
  assert.equal(ask({ link: link.handle, zero: 1 }), EINVAL);
  assert.equal(ask({ link: link.handle, streams_max: 0 }), ERANGE);
  assert.equal(ask({ link: link.handle, streams_max: 4097 }, 8), ERANGE);
  assert.equal(ask({ link: link.handle }, 0), EINVAL);
  assert.equal(ask({ link: link.handle }, 41), EINVAL);
  assert.equal(ask({ link: link.handle, streams_len: 1, streams_max: 3 }, 8), 2);
});
