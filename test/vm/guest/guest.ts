// What the guest's tests share: being skipped elsewhere, commands of the system, and its users.

import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";

const COMMAND_MS_MAX = 60_000;
const OUTPUT_BYTES_MAX = 64 << 20;
const OUTPUT_CHARS_SHOWN = 4000;

/** Whether this is the guest of `npm run test:vm`, which tests may turn upside down. */
export const isGuest = process.env.QSOCKETS_GUEST === "1";

/** Whether clocks count instructions there, a nanosecond each (`--count-instructions`). */
export const countsInstructions = process.env.QSOCKETS_COUNTS_INSTRUCTIONS === "1";

/** By which the library speaks to a scheduler below the stack there (`--gate`). */
export const gate = process.env.QSOCKETS_GATE ?? "bpf";

/** Whether that is the kernel's own calls, and not options of sockets. */
export const hasCalls = gate !== "bpf";

/** A test that runs in the guest alone, where it is root; elsewhere it counts as skipped. */
export function guestTest(name: string, run: () => void | Promise<void>): void {
  test(name, { skip: !isGuest }, run);
}

/** One of what there is of schedulers in BPF alone. */
export function bpfTest(name: string, run: () => void | Promise<void>): void {
  test(name, { skip: !isGuest || hasCalls }, run);
}

/** What a shell command did; `output` is both its streams, as they came. */
export interface Done {
  status: number | null;
  output: string;
}

/** Runs a shell command to its end, whatever that is. */
export function attempt(command: string): Done {
  const done = spawnSync("sh", ["-c", `exec 2>&1\n${command}`], {
    encoding: "utf8",
    maxBuffer: OUTPUT_BYTES_MAX,
    timeout: COMMAND_MS_MAX,
    killSignal: "SIGKILL",
  });
  return { status: done.status, output: done.stdout ?? "" };
}

/** Runs a shell command that must succeed: what it printed. */
export function sh(command: string): string {
  const { status, output } = attempt(command);
  if (status === 0) return output;
  const said = output.slice(-OUTPUT_CHARS_SHOWN);
  throw new Error(`Cannot run "${command}": it ended with ${status} and said\n${said}`);
}

/** The arguments that start a program as one of the guest's unprivileged users. */
export function asUser(user: "alice" | "bob", program: readonly string[]): string[] {
  const drop = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--init-groups"];
  return [...drop, "env", `HOME=/home/${user}`, `USER=${user}`, ...program];
}

/** Text of a program for this runtime, as arguments that run it. */
export function evaluate(text: string): string[] {
  return "Bun" in globalThis
    ? [process.execPath, "-e", text]
    : [process.execPath, "eval", "--no-check", text];
}
