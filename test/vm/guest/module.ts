// What the tests of kernel/linux share: its modules loaded, unless it is built into the kernel, a device to
// use it on, and the programs that make the calls: gate.c, wrong.c, guarded.c. What arrives at the other end of
// the device is counted by that network's own kernel.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { asUser, attempt, gate as usual, isGuest, sh, slowness } from "./guest.ts";

export const FOLDER = "/opt/qsockets";
export const GATE = `${FOLDER}/gate`;
export const V4 = "10.79.0.2";
export const V6 = "fd79::2";
export const SLOW = 125_000; // bytes per second: 1 Mbit/s
export const FAST = 1_250_000;
const WAIT_MS_MAX = 20_000 * slowness;
const TEST_MS_MAX = 150_000 * slowness;

/** Whether the kernel has the system call; then its manager is no module, and cannot be unloaded. */
export const isBuiltIn = isGuest && attempt(`${GATE} entry`).output.trim() === '"system call"';

export type User = "alice" | "bob" | "root";

/** What a line of the gate's program says. */
// deno-lint-ignore no-explicit-any
export type Line = any;

type Words = readonly (string | number)[];

function command(program: string, user: User, words: Words): string[] {
  const all = [`${FOLDER}/${program}`, ...words.map(String)];
  return user === "root" ? all : asUser(user, all);
}

/** Runs a program that makes the calls to its end: the lines that it said. */
export function run(program: string, user: User, ...words: Words): Line[] {
  const text = sh(command(program, user, words).join(" "));
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** Runs the gate's program. */
export function gate(user: User, ...words: Words): Line[] {
  return run("gate", user, ...words);
}

export interface Running {
  pid: number;
  next(): Promise<Line>;
  kill(): Promise<void>;
}

/** Starts one that stays. */
export function stay(user: User, ...words: Words): Running {
  return start(command("gate", user, words));
}

/** Starts another program that says lines of JSON. */
export function start([program, ...args]: string[]): Running {
  const child: ChildProcess = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    pid: child.pid!,
    async next() {
      const { value, done } = await lines.next();
      assert.ok(!done, "the program ended");
      return JSON.parse(value);
    },
    kill() {
      child.kill("SIGKILL");
      return gone;
    },
  };
}

/** The link's counters, once they are as expected. */
export async function linkWhere(holds: (link: Line) => boolean): Promise<Line> {
  const end = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const [link] = gate("root", "info", "vmmod0");
    if (holds(link)) return link;
    assert.ok(performance.now() < end, `still ${JSON.stringify(link)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Datagrams that have arrived at the other end, where nobody listens. */
export function arrived(): number {
  const v4 = sh("ip netns exec vmmod sh -c 'grep ^Udp: /proc/net/snmp | tail -n 1'").split(" ");
  const v6 = sh("ip netns exec vmmod grep Udp6NoPorts /proc/net/snmp6").trim().split(/\s+/);
  return Number(v4[2]) + Number(v6[1]);
}

/** Loaded modules of ours, and how often each is used. */
export function loaded(): Map<string, number> {
  const lines = sh("grep ^qsocket /proc/modules || true").split("\n").filter(Boolean);
  return new Map(lines.map((line) => [line.split(" ")[0], Number(line.split(" ")[2])]));
}

/** That no device has a scheduler any more, as far as its module can tell. */
export function assertUnused(name: string): void {
  if (!isBuiltIn) assert.equal(loaded().get(name), 0);
}

export function load(): void {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".ko"));
  assert.ok(files.length > 1, `no modules in ${FOLDER}`);
  for (const file of ["qsockets.ko", ...files.filter((name) => name !== "qsockets.ko")]) {
    sh(`insmod ${FOLDER}/${file}`);
  }
}

/** The library would prefer them to schedulers in BPF, in whatever test comes next. */
after(() => {
  if (!isGuest || usual !== "bpf") return;
  const names = [...loaded().keys()].sort((a, b) =>
    Number(a === "qsockets") - Number(b === "qsockets")
  );
  for (const name of names) sh(`rmmod ${name}`);
});

/**
 * With a pair of devices, the other one in a network of its own; the first test loads the modules. `form`
 * is the one that alone it is about, if any: modules or built into the kernel.
 */
export function moduleTest(
  name: string,
  body: () => void | Promise<void>,
  { form, fillsLink = false }: { form?: "modules" | "built-in"; fillsLink?: boolean } = {},
): void {
  const isOther = form !== undefined && (form === "built-in") !== isBuiltIn;
  const why = (isOther && `here kernel/linux is ${isBuiltIn ? "built in" : "modules"}`) ||
    (fillsLink && slowness > 1 && "a kernel that looks for its own faults cannot fill the link");
  test(name, { skip: isGuest ? why : true, timeout: TEST_MS_MAX }, async () => {
    if (!isBuiltIn && loaded().size === 0) load();
    try {
      sh(`set -e
        ip netns add vmmod
        ip link add vmmod0 type veth peer name vmmod1 netns vmmod
        ethtool -K vmmod0 tx-udp-segmentation off
        ip addr add 10.79.0.1/24 dev vmmod0
        ip addr add fd79::1/64 dev vmmod0 nodad
        ip link set vmmod0 up
        ip -n vmmod addr add ${V4}/24 dev vmmod1
        ip -n vmmod addr add ${V6}/64 dev vmmod1 nodad
        ip -n vmmod link set lo up
        ip -n vmmod link set vmmod1 up
        ping -c 1 -W 5 ${V4} && ping -6 -c 1 -W 5 ${V6}`);
      await body();
    } finally {
      attempt("ip link del vmmod0; ip netns del vmmod");
    }
  });
}
