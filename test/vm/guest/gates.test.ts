// Which scheduler below the stack a device gets where there are two: the kernel's own, as modules, and
// those in BPF; and what becomes of streams when one takes the place of another.
//
// gate: module
// runtime: bun, as nothing of a runtime is tested

import assert from "node:assert/strict";
import { Link, restoreDevice } from "../../../ffi/link.ts";
import type { LinkOptions } from "../../../ffi/options.ts";
import { attempt, gate, sh } from "./guest.ts";
import { DEVICE, deviceTest, initialise, OTHER } from "./prepared.ts";

const RATE = "10mbit";
const TO = { hostname: OTHER, port: 5004 };
const MODULE = "/opt/qsockets/qsocket-fifo.ko";

/** With the modules alone can one of them be away. */
function modulesTest(name: string, run: () => Promise<void> | void): void {
  deviceTest(name, run, gate !== "module");
}

/** Which gate the device is spoken to by. */
function serves(options: Partial<LinkOptions>): string | null {
  const { host, hostReason } = initialise({ rate: RATE, ...options });
  assert.equal(host, "below", hostReason);
  using link = new Link({ device: DEVICE });
  return link.info().gate;
}

modulesTest("the kernel's own scheduler is preferred, and BPF has what it has not", () => {
  assert.equal(serves({ scheduler: "fifo" }), "module");
  restoreDevice(DEVICE);
  sh("rmmod qsocket_fifo");
  try {
    assert.equal(serves({ scheduler: "fifo" }), "bpf");
  } finally {
    sh(`insmod ${MODULE}`);
  }
  // it is as it was asked for: what is queued there stays
  assert.equal(serves({ scheduler: "fifo" }), "bpf");
  assert.equal(serves({ scheduler: "edf", replace: true }), "module");
  assert.equal(attempt("ls /sys/fs/bpf/qsockets | grep .").status, 1, "something is still pinned");
  assert.equal(serves({ scheduler: "fifo", replace: true }), "module");
  restoreDevice(DEVICE);
});

modulesTest("what another program made of a device by the kernel's calls is taken over", () => {
  sh(`/opt/qsockets/gate init ${DEVICE} edf 125000`);
  using link = new Link({ device: DEVICE });
  assert.deepEqual([link.scheduler, link.rate, link.info().gate], ["edf", 125_000, "module"]);
  assert.equal(initialise({ rate: RATE, scheduler: "edf" }).host, "below");
  assert.equal(link.info().rate, 1_250_000);
  sh(`/opt/qsockets/gate init ${DEVICE} edf 250000 replace`);
  assert.equal(link.info().rate, 250_000);
  assert.equal(initialise({ rate: RATE, scheduler: "edf" }).host, "below"); // and not as it was left
  assert.equal(link.info().rate, 1_250_000);
  restoreDevice(DEVICE);
  assert.match(sh(`tc qdisc show dev ${DEVICE} root`), /^qdisc noqueue /);
});

modulesTest("a stream goes on at the device's next scheduler, and loses no message by it", () => {
  assert.equal(serves({ scheduler: "dwcs" }), "module");
  using link = new Link({ device: DEVICE, admission: "off" });
  using socket = link.open({ to: TO, ipg: 20, oln: 1, old: 4 });
  socket.send(new Uint8Array(100), { deadline: 1000 });
  assert.equal(serves({ scheduler: "edf", replace: true }), "module");
  for (let i = 0; i < 3; i++) socket.send(new Uint8Array(100), { deadline: 1000 });
  const { offered, dropped, ipg } = socket.info();
  assert.deepEqual([offered, dropped.error, ipg], [3, 0, 20]);
  assert.equal(link.info().streams, 1);
  restoreDevice(DEVICE);
});

modulesTest("a route that leads elsewhere is noticed, of each peer", () => {
  assert.equal(serves({ scheduler: "dwcs" }), "module");
  using link = new Link({ device: DEVICE });
  using socket = link.open();
  socket.sendto(new Uint8Array(100), TO);
  assert.throws(() => socket.sendto(new Uint8Array(100), { hostname: "127.0.0.1", port: 9 }), {
    code: "ENOLINK",
  });
  socket.sendto(new Uint8Array(100), TO);
  const { offered, dropped } = socket.info();
  assert.deepEqual([offered, dropped.error], [3, 1]);
  restoreDevice(DEVICE);
});
