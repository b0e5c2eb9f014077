// A device whose queue is the scheduler, for tests of what programs do to it: a pair of virtual
// devices, the other end of which is in a network namespace and listens there; programs of the
// guest's users; and what root can see of the scheduler's memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Link, type LinkInfo, restoreDevice } from "../../../mod.ts";
import type { LinkOptions } from "../../../ffi/options.ts";
import { asUser, attempt, evaluate, gate, hasCalls, isGuest, sh } from "./guest.ts";
import { LIBRARY, PRELUDE, type Program, start } from "./program.ts";
import { astray } from "./raw.ts";

const TEST_MS_MAX = 200_000; // on a machine that is busy elsewhere
const FILES_MAX = 20_000;
export const DEVICE = "vmshare0";
export const PORT = 5004;
export const V4 = "10.79.0.2";
/** Another address of the other end. */
export const ASIDE = "10.79.0.3";

/** What those of this device may use beside {@linkcode PRELUDE}. */
const NAMES = `
  import { connect, createServer } from "node:net";
  const DEVICE = "${DEVICE}", PORT = ${PORT}, V4 = "${V4}", ASIDE = "${ASIDE}";
  const to = { hostname: V4, port: PORT };
`;

/**
 * A program of one of the guest's users, or of root. `mallory` is bob as a member of the group video,
 * and `other` is root at the other end.
 */
export function program(
  user: "alice" | "bob" | "mallory" | "root" | "other",
  text: string,
): Program {
  // for a library that is not used too much is loaded here
  const library = text.includes("new Link(") ? LIBRARY : "";
  const words = evaluate(library + PRELUDE + NAMES + text);
  const many = ["prlimit", `--nofile=${FILES_MAX}`];
  if (user === "other") return start(["ip", "netns", "exec", "vmshare", ...words]);
  if (user === "root") return start([...many, ...words]);
  if (user !== "mallory") return start([...many, ...asUser(user, words)]);
  return start([...many, "setpriv", "--reuid=bob", "--regid=bob", "--groups=video", ...words]);
}

/**
 * Says, for a line written to it, how many datagrams came since the one before, by their first byte,
 * as `{ messages, order }`; `order` has each one's second to fifth byte as a number, as they came. Of
 * TCP it says the bytes, as `tcp`.
 */
export const COUNTER = `
  let messages = {}, order = {}, tcp = 0, count = 0;
  const socket = createSocket({ type: "udp6", ipv6Only: false, recvBufferSize: 4 << 20 });
  socket.on("message", (data) => {
    const [stream] = data;
    count++;
    messages[stream] = (messages[stream] ?? 0) + 1;
    if (data.length >= 5) (order[stream] ??= []).push(data.readUInt32LE(1));
  });
  createServer((connection) => {
    connection.on("data", (data) => tcp += data.length);
    connection.on("error", () => {});
  }).listen(PORT, "::", () => socket.bind(PORT, "::", async () => {
    say("ready");
    for await (const line of input) {
      await pause(100);
      for (let last = -1; last !== count; await pause(30)) last = count; // slow to read what has come
      say({ messages, order, tcp });
      messages = {}; order = {}; tcp = 0;
    }
  }));
`;

/** What came to a {@linkcode COUNTER}. */
export interface Came {
  messages: Record<number, number>;
  order: Record<number, number[]>;
  tcp: number;
}

export interface Setting {
  /** The program at the other end. */
  other: Program;
  /** This process's own link to the device, root's. */
  link: Link;
  /** What has come to the other end since it was last asked. */
  came(): Promise<Came>;
  /** A program of a user, which ends with the test at the latest. */
  program: typeof program;
}

/** How root has the device prepared. */
export const PREPARED = { device: DEVICE, system: true, group: "video", host: "below" } as const;

/** A test with a device initialised for the group video, and the other end counting what comes. */
export function deviceTest(
  name: string,
  options: Omit<LinkOptions, "device" | "system" | "group">,
  run: (setting: Setting) => Promise<void>,
): void {
  test(name, { skip: !isGuest, timeout: TEST_MS_MAX }, async () => {
    const programs: Program[] = [];
    const kept: typeof program = (user, text) => {
      programs.push(program(user, text));
      return programs.at(-1)!;
    };
    addDevices();
    try {
      const other = kept("other", COUNTER);
      new Link({ ...PREPARED, ...options }).close();
      assert.equal(await other.next(), "ready");
      const link = new Link({ device: DEVICE, admission: "off" });
      assert.equal(link.info().gate, gate);
      const came = () => (other.write(""), other.next());
      try {
        await run({ other, link, came, program: kept });
        assertNothingAstray(link.info());
      } finally {
        link.close();
      }
    } finally {
      for (const one of programs) await one.end();
      try {
        restoreDevice(DEVICE);
      } finally {
        removeDevices();
      }
    }
  });
}

/** The pair of devices; neighbours are known at once, and IPv6 is silent. */
export function addDevices(): void {
  removeDevices(); // of a test that had no time to
  sh(`set -e
    ip netns add vmshare
    ip link add ${DEVICE} type veth peer name vmshare1 netns vmshare
    sysctl -qw net.ipv6.conf.${DEVICE}.disable_ipv6=1
    # what a busy receiver has not read yet must not be lost: Deno's node:dgram sets no buffer's size
    sysctl -qw net.core.rmem_default=16777216
    ip addr add 10.79.0.1/24 dev ${DEVICE}
    ip link set ${DEVICE} up
    ip -n vmshare addr add ${V4}/24 dev vmshare1
    ip -n vmshare addr add ${ASIDE}/24 dev vmshare1
    ip -n vmshare link set lo up
    ip -n vmshare link set vmshare1 up
    ping -c 1 -W 5 ${V4}`);
}

export function removeDevices(): void {
  attempt(`ip link del ${DEVICE}; ip netns del vmshare`);
}

/** Every packet of the device is in exactly one counter, and the qdisc lost sight of none. */
export function assertNothingAstray(info: LinkInfo): void {
  const lost = Object.values(info.dropped).reduce((sum, count) => sum + count, 0);
  assert.equal(info.offered, info.sent + info.late + lost + info.queued);
  if (hasCalls) return; // nobody could tell
  assert.equal(astray(Number(sh(`cat /sys/class/net/${DEVICE}/ifindex`))), 0);
}

/**
 * Sockets that are registered with the scheduler, and whether any is still counted to a user. The
 * kernel's own scheduler counts no user who has none.
 */
export function membersLeft(): { members: number; users: number } {
  if (hasCalls) {
    using link = new Link({ device: DEVICE });
    return { members: link.info().streams, users: 0 };
  }
  const entries = (map: string) => JSON.parse(sh(`bpftool -j map dump ${map}`));
  // deno-lint-ignore no-explicit-any
  const users = entries("name users").filter((entry: any) => {
    const { value } = entry.formatted ?? entry;
    return (typeof value === "object" ? value.members : value) !== 0;
  });
  const [pins] = sh("ls -d /sys/fs/bpf/qsockets/*").trim().split("\n");
  return { members: entries(`pinned ${pins}/members`).length, users: users.length };
}
