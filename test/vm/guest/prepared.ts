// What the tests of a prepared device share: a device with another network at its end, what root does
// with it, and the command examples/qsock.ts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { Link } from "../../../ffi/link.ts";
import type { LinkOptions } from "../../../ffi/options.ts";
import { asUser, attempt, type Done, evaluate, gate, hasCalls, isGuest, sh } from "./guest.ts";
import { LIBRARY, PRELUDE, type Program, start } from "./program.ts";

/** The device, */
export const DEVICE = "vmdevice0";
/** and who is at its other end. */
export const OTHER = "10.79.0.2";
const REMOVE = `ip link del ${DEVICE}; ip netns del vmdevice`;
const TEST_MS_MAX = 150_000; // on a machine that runs several guests
const QSOCK = ("Bun" in globalThis ? "" : "run -A --no-check ") + "/project/examples/qsock.ts";

type User = "alice" | "bob";

function wordsOf(args: string, user?: User): string[] {
  const words = [process.execPath, ...QSOCK.split(" "), ...args.split(" ")];
  return user ? asUser(user, words) : words;
}

/** Runs the command as a user of the shell does. */
export function qsock(args: string, user?: User): Done {
  return attempt(wordsOf(args, user).map((word) => `'${word}'`).join(" "));
}

/** The same, where it must succeed: what it printed. */
export function qsockDoes(args: string, user?: User): string {
  const { status, output } = qsock(args, user);
  assert.equal(status, 0, `qsock ${args} said ${output}`);
  return output;
}

/** The same, while others run: it takes its time to start. */
export async function qsockStarts(args: string, user?: User): Promise<string> {
  const [command, ...rest] = wordsOf(args, user);
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"], timeout: TEST_MS_MAX });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output += data);
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  assert.equal(status, 0, `qsock ${args} said ${output}`);
  return output;
}

/** A device whose other end is in another network, and takes what comes. */
export function deviceTest(name: string, run: () => Promise<void> | void, skip = !isGuest): void {
  test(name, { skip, timeout: TEST_MS_MAX }, async () => {
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

/** The same, of what there is of schedulers in BPF alone. */
export function bpfDeviceTest(name: string, run: () => Promise<void> | void): void {
  deviceTest(name, run, !isGuest || hasCalls);
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
  using link = new Link({ device: options.device ?? DEVICE });
  assert.equal(link.info().gate, gate);
}

const PINS = "/sys/fs/bpf/qsockets";
const entries = (map: string) => JSON.parse(sh(`bpftool -j map dump ${map}`));

/** Sockets that are registered with the device's scheduler, */
export function members(): number {
  if (!hasCalls) return entries(`pinned ${PINS}/*/members`).length;
  using link = new Link({ device: DEVICE });
  return link.info().streams;
}

/** and of all users but root, as it counts them. The kernel's own tells nobody. */
export function counted(): number {
  if (hasCalls) return members();
  // deno-lint-ignore no-explicit-any
  return entries("name users").reduce((sum: number, entry: any) => {
    const { key, value } = entry.formatted ?? entry;
    return key === 0 ? sum : sum + (typeof value === "object" ? value.members : value);
  }, 0);
}

const PEER = `const to = { hostname: "${OTHER}", port: 5004 };`;

/** A program of alice's or root's, whose lines are read as they come. */
export function program(user: "alice" | "root", text: string): Program {
  const words = evaluate(LIBRARY + PRELUDE + PEER + text);
  return start(user === "root" ? words : asUser(user, words));
}

/** What a line tells the owner to do with the device: options to initialise it, or one of these. */
export interface Order {
  // deno-lint-ignore no-explicit-any
  [option: string]: any;
  off?: true;
  info?: true;
}

/** A program of root's that does what it is told, and answers; quicker than the command each time. */
// deno-lint-ignore no-explicit-any
export function owner(): Program & { does(order: Order): Promise<any> } {
  const root = program(
    "root",
    `
    import { restoreDevice } from "/project/mod.ts";
    function does({ off, info, device = "${DEVICE}", ...options }) {
      if (off) return restoreDevice(device) ?? { off };
      const system = { system: true, streams: 256, ...options };
      using link = new Link({ device, ...(!info && system) });
      const { host, hostReason, rate } = link;
      return { host, hostReason, rate, info: link.info(), streams: [...link.streams()] };
    }
    for await (const line of input) {
      try {
        say(does(JSON.parse(line)));
      } catch ({ code, message }) {
        say({ code, message });
      }
    }
  `,
  );
  return {
    ...root,
    does(order) {
      root.write(JSON.stringify(order));
      return root.next();
    },
  };
}
