// A network to do anything to: two ends of a cable, the far one in a namespace of its own. Only for
// tests that test/net/run.mjs started, in namespaces that end with them.

import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const DEVICE = "near";
/** The far end's addresses; what is sent to `nobody` reaches it, and is not answered. */
export const FAR = { ipv4: "10.77.0.2", ipv6: "fd77::2", nobody: "10.77.0.3" };
const STATES = "/run/qsockets";

/** Runs a command and returns its output; throws an error with it if it fails. */
export function sh(command: string): string {
  const { status, stdout, stderr } = spawnSync("sh", ["-c", command], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
  return stdout;
}

/** Makes the cable, in place of the last one; a near end of several queues can have an mq. */
export function cable(queues = 1): void {
  sh(`ip link del ${DEVICE} 2>/dev/null; ip netns del far 2>/dev/null; true`);
  sh(
    `ip netns add far && ip link add ${DEVICE} numtxqueues ${queues} type veth peer name far netns far`,
  );
  sh(`ip addr add 10.77.0.1/24 dev ${DEVICE} && ip addr add fd77::1/64 dev ${DEVICE} nodad`);
  sh(`ip link set ${DEVICE} up && ip -n far link set lo up`);
  sh(
    `ip -n far addr add ${FAR.ipv4}/24 dev far && ip -n far addr add ${FAR.ipv6}/64 dev far nodad`,
  );
  sh("ip -n far link set far up");
  // A test that counts packets counts none that look for the neighbour, or wait for it.
  const mac = sh("ip -n far -br link show far").split(/\s+/)[2];
  for (const address of Object.values(FAR)) {
    sh(`ip neigh replace ${address} lladdr ${mac} dev ${DEVICE} nud permanent`);
  }
}

/** All that tc(8) shows of the device: qdiscs, classes and filters. */
export function traffic(): string {
  return ["qdisc", "class", "filter"].map((what) => sh(`tc ${what} show dev ${DEVICE}`)).join("");
}

/** The names of the state files there are. */
export function states(): string[] {
  try {
    return readdirSync(STATES).filter((name) => !name.startsWith("."));
  } catch {
    return [];
  }
}

/** Packets that a class of the device has sent. */
export function sent(classId: string): number {
  const text = sh(`tc -s class show dev ${DEVICE} classid ${classId}`);
  return Number(/Sent \d+ bytes (\d+) pkt/.exec(text)![1]);
}

/** Arguments that run a module's text under the runtime that runs this test. */
export function program(text: string): string[] {
  return "Bun" in globalThis ? ["-e", text] : ["eval", "--ext=ts", text];
}

/** The checkout, where a program finds "./mod.ts". */
export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Starts a program of test/net under Node, which says a line when it is ready, beyond the cable or not. */
export async function start(file: string, args: string[], far: boolean) {
  const command = [process.env.TEST_NODE!, `test/net/${file}`, ...args];
  if (far) command.unshift("ip", "netns", "exec", "far");
  const child = spawn(command[0], command.slice(1), {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  let changed = () => {};
  child.stdout.setEncoding("utf8").on("data", (data: string) => {
    text += data;
    changed();
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    changed = () => text.includes("\n") && resolve();
    child.on("close", () => reject(new Error(`${file} ended early`)));
    changed();
  });
  return {
    /** Lets it end, and returns all that it has said. */
    async end(): Promise<string> {
      child.stdin.end();
      await ended;
      return text;
    },
  };
}
