// The root qdiscs of a whole kernel: what is replaced by a device's initialisation comes back in all
// that tc(8) shows, or is refused by name.
//
// runtime: bun, as nothing of a runtime is tested

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { QError } from "../../../ffi/error.ts";
import { Link, restoreDevice } from "../../../ffi/link.ts";
import { attempt, guestTest, isGuest, sh } from "./guest.ts";

const DEVICE = "vmkept0";

const KEPT = [
  "sfq",
  "sfq quantum 3000 perturb 10 limit 200 depth 50 flows 99 divisor 256 headdrop",
  "sfq limit 300 redflowlimit 100000 min 8000 max 60000 probability 0.1 ecn",
  "fq",
  "fq limit 500 flow_limit 50 quantum 3000 initial_quantum 9000 maxrate 5mbit refill_delay 80ms " +
  "low_rate_threshold 1mbit orphan_mask 511 timer_slack 20us ce_threshold 7ms horizon 3s horizon_cap",
  "codel",
  "codel limit 500 target 7ms interval 77ms ecn ce_threshold 3ms",
  "fq_codel",
  "fq_codel limit 500 flows 77 target 4321us interval 98765us quantum 999 ce_threshold 1234us " +
  "memory_limit 1mb drop_batch 32 noecn",
  "cake",
  "cake bandwidth 20mbit diffserv8 dual-srchost nat wash ack-filter rtt 50ms overhead 38 mpu 84 " +
  "memlimit 2mb split-gso fwmark 0xff",
  "cake raw no-split-gso besteffort flows",
  "pfifo_fast",
  "noqueue",
  "mq",
  "pfifo_head_drop limit 9",
  "tbf rate 7mbit burst 1514 peakrate 9mbit mtu 1514 limit 20000",
];

const REFUSED: [string, string, RegExp][] = [
  ["prio", "", /a prio could not be brought back: the kernel does not show all/],
  ["netem delay 10ms", "", /a netem could not be brought back/],
  ["red limit 60000 avpkt 1000", "", /a red could not be brought back/],
  ["cake bandwidth 20mbit autorate-ingress", "", /it measures its rate itself/],
  ["handle 1: mq", "tc qdisc add dev vmkept0 parent 1:1 fq", /it has another qdisc below it/],
  [
    "handle 1: tbf rate 1mbit burst 5kb limit 9000",
    "tc qdisc add dev vmkept0 parent 1:1 sfq",
    /below/,
  ],
  ["stab overhead 20 fq_codel", "", /it has a size table/],
  ["estimator 1s 4s fq_codel", "", /it has a rate estimator/],
  [
    "handle 1: fq_codel",
    "tc filter add dev vmkept0 parent 1: protocol ip u32 match ip tos 4 0xff flowid 1:1",
    /it has filters/,
  ],
];

// One device serves for all, and each look is one process: to start one takes long here.
before(() => {
  if (!isGuest) return;
  sh(`ip link add ${DEVICE} numtxqueues 4 type veth peer name vmkept1 && ip link set ${DEVICE} up`);
});

after(() => {
  if (isGuest) attempt(`ip link del ${DEVICE}`);
});

const SHOW = `printf "%s show dev ${DEVICE}\\n" qdisc class filter | tc -d -batch -`;

/** With a qdisc that somebody configured, and more below it; gives what tc(8) shows of that. */
function configured(qdisc: string, more: string, run: (shown: string) => void): void {
  sh(`set -e
    tc qdisc add dev ${DEVICE} root ${qdisc}
    ${more}`);
  const shown = sh(SHOW);
  assert.notEqual(shown, "");
  try {
    run(shown);
  } finally {
    attempt(`tc qdisc del dev ${DEVICE} root`);
  }
}

/** Which host it came to. */
function initialise(): string {
  const system = { system: true, replace: true, host: "isolated" } as const;
  using link = new Link({ device: DEVICE, rate: "10mbit", ...system });
  return link.host;
}

for (const qdisc of KEPT) {
  guestTest(`what tc(8) shows of a configured ${qdisc} comes back`, () => {
    configured(qdisc, "", (shown) => {
      for (let i = 0; i < 2; i++) { // nor does it wear off
        assert.equal(initialise(), "isolated");
        restoreDevice(DEVICE);
      }
      assert.equal(sh(SHOW), shown);
    });
  });
}

for (const [qdisc, more, why] of REFUSED) {
  guestTest(
    `a configured ${qdisc} with ${more || "nothing more"} is refused by name, and stays`,
    () => {
      configured(qdisc, more, (shown) => {
        assert.throws(initialise, (error: unknown) => {
          assert.ok(error instanceof QError);
          assert.equal(error.code, "ENOTSUP");
          assert.match(error.message, why);
          return true;
        });
        assert.equal(sh(SHOW), shown);
      });
    },
  );
}
