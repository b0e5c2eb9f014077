// What the tests of a prepared device share: a device with another network at its end, what root does
// with it, and the command examples/qsock.ts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { Link } from "../../../ffi/link.ts";
import type { LinkOptions } from "../../../ffi/options.ts";
import { asUser, attempt, type Done, isGuest, sh } from "./guest.ts";

/** The device, */
export const DEVICE = "vmdevice0";
/** and who is at its other end. */
export const OTHER = "10.79.0.2";
const REMOVE = `ip link del ${DEVICE}; ip netns del vmdevice`;
const TEST_MS_MAX = 150_000; // on a machine that runs several guests
const QSOCK = ("Bun" in globalThis ? "" : "run -A --no-check ") + "/project/examples/qsock.ts";

/** Runs the command as a user of the shell does. */
export async function qsock(args: string, user?: "alice" | "bob"): Promise<Done> {
  const words = [process.execPath, ...QSOCK.split(" "), ...args.split(" ")];
  const [command, ...rest] = user ? asUser(user, words) : words;
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"], timeout: TEST_MS_MAX });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output += data);
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { status, output };
}

/** The same, where it must succeed: what it printed. */
export async function qsockDoes(args: string, user?: "alice" | "bob"): Promise<string> {
  const { status, output } = await qsock(args, user);
  assert.equal(status, 0, `qsock ${args} said ${output}`);
  return output;
}

/** A device whose other end is in another network, and takes what comes. */
export function deviceTest(name: string, run: () => Promise<void> | void): void {
  test(name, { skip: !isGuest, timeout: TEST_MS_MAX }, async () => {
    attempt(REMOVE); // of a test that was cut off
    sh(`set -e
      ip netns add vmdevice
      ip link add ${DEVICE} type veth peer name vmdevice1 netns vmdevice
      ip addr add 10.79.0.1/24 dev ${DEVICE}
      ip link set ${DEVICE} up
      ip -n vmdevice addr add ${OTHER}/24 dev vmdevice1
      ip -n vmdevice link set vmdevice1 up
      ping -c 1 -W 5 ${OTHER}`);
    try {
      await run();
    } finally {
      attempt(REMOVE); // its scheduler goes with it, and what is pinned with the next one's
    }
  });
}

/** Initialises the device as this process, root's; says what came of it. */
export function initialise(
  options: Partial<LinkOptions>,
): Pick<Link, "host" | "hostReason" | "rate"> {
  using link = new Link({ device: DEVICE, system: true, streams: 256, ...options } as LinkOptions);
  const { host, hostReason, rate } = link;
  return { host, hostReason, rate };
}

/** Initialises the device below the stack, or fails. */
export function initialiseBelow(options: Partial<LinkOptions>): void {
  const { host, hostReason } = initialise(options);
  assert.equal(host, "below", hostReason);
}
