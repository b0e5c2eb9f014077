// The network path: a cable (veth) between two network namespaces, whose near end is a link of a
// given rate for everything that this host sends. Each call lays a new one.
//
// A plain link is what a host has without this library: an HTB that holds the rate, and behind it the
// kernel's own queue, first come, first served, of as many packets as any device has by default, or
// the one that is named, as many distributions have fq_codel.
// An isolated one has the same rate, from the HTB that `qsockinit` prepares for all programs, one below
// from the scheduler itself, in the place of an HTB.

import { Link, restoreDevice, type Scheduler } from "../../mod.ts";
import { cable, DEVICE, FAR, sh } from "../net/network.ts";

export { DEVICE, sh };
/** The far end's address. */
export const TO = FAR.ipv4;
/** 10 Mbit/s, in bytes per second. */
export const RATE = 1_250_000;
/** IPv4, UDP and Ethernet, which the link's HTB counts. */
export const HEADERS_BYTES = 20 + 8 + 14;

/** What a prepared device keeps for managed streams; the rest is best effort's. */
export const MANAGED_SHARE = 15 / 16;

let prepared = false;

export function layPlain(rate = RATE, queue?: "fq_codel"): void {
  clear();
  cable();
  sh(`tc qdisc add dev ${DEVICE} root handle 1: htb default 1`);
  setRate(rate);
  if (queue !== undefined) sh(`tc qdisc add dev ${DEVICE} parent 1:1 ${queue}`);
}

/**
 * What root can do without this library: a class of the HTB for one UDP port, with as much of the link
 * as an isolated one keeps for its managed streams and first in line for the rest.
 */
export function layClassed(rate: number, port: number): void {
  clear();
  cable();
  sh(`tc qdisc add dev ${DEVICE} root handle 1: htb default 2`);
  const bits = Math.round(rate * 8);
  const rates = (share: number) =>
    `rate ${Math.round(bits * share)}bit ceil ${bits}bit burst 3k cburst 3k`;
  sh(`tc class add dev ${DEVICE} parent 1: classid 1:9 htb ${rates(1)}
    tc class add dev ${DEVICE} parent 1:9 classid 1:1 htb prio 0 ${rates(MANAGED_SHARE)}
    tc class add dev ${DEVICE} parent 1:9 classid 1:2 htb prio 1 ${rates(1 - MANAGED_SHARE)}
    tc filter add dev ${DEVICE} parent 1: protocol ip u32 match ip protocol 17 0xff \
      match ip dport ${port} 0xffff flowid 1:1`);
}

/** Of a plain link; an isolated one is changed by preparing it again. */
export function setRate(rate: number): void {
  const bits = Math.round(rate * 8);
  const rates = `rate ${bits}bit ceil ${bits}bit burst 3k cburst 3k`;
  sh(`tc class replace dev ${DEVICE} parent 1: classid 1:1 htb ${rates}`);
}

/** Where the kernel can have one, the scheduler as the device's queue; else throws. */
export function layBelow(scheduler: Scheduler, rate = RATE): void {
  prepare("below", scheduler, rate);
}

export function layIsolated(scheduler: Scheduler, rate = RATE): void {
  prepare("isolated", scheduler, rate);
}

function prepare(host: "below" | "isolated", scheduler: Scheduler, rate: number): void {
  clear();
  cable();
  new Link({ device: DEVICE, rate, scheduler, system: true, host }).close();
  prepared = true;
}

/** Takes back what was prepared, so that nothing of it is remembered for the next cable. */
export function clear(): void {
  if (prepared) restoreDevice(DEVICE);
  prepared = false;
}
