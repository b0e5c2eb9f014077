/** The receiver's process, as the sender sees it. */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { RtpFormat } from "../../mod.ts";
import type { ReceiverLog } from "./log.ts";

const START_MS_MAX = 20_000;
const LOG_MS_MAX = 20_000;

/** A running receiver. */
export interface Remote {
  /** Its UDP ports on 127.0.0.1. */
  ports: { video: number; bulk: number };
  /** Tells it that the run is over and returns its log; its times are on `monotonic`. */
  finish(): Promise<ReceiverLog>;
  /** Ends it, whatever it does. */
  kill(): void;
}

/** Starts a receiver that lives for `seconds` at most. */
export async function startReceiver(format: RtpFormat, seconds: number): Promise<Remote> {
  const program = fileURLToPath(new URL("./receiver.ts", import.meta.url));
  const args = [program, format, String(Math.ceil(seconds))];
  if (process.versions.deno) args.unshift("run", "-A", "--no-check");
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // it is gone: said by the line that does not come
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const kill = () => void child.kill("SIGKILL");
  const read = async (what: string, msMax: number) => {
    const timer = setTimeout(kill, msMax);
    try {
      const { value, done } = await lines.next();
      if (!done) return JSON.parse(value);
    } finally {
      clearTimeout(timer);
    }
    throw new Error(`The receiver ended before it gave ${what}${await how(child)}`);
  };
  return {
    ports: await read("its ports", START_MS_MAX),
    finish() {
      child.stdin.end();
      return read("its log", LOG_MS_MAX);
    },
    kill,
  };
}

/** How a process ended: ", exit code 1". */
async function how(child: ChildProcess): Promise<string> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => child.once("exit", resolve));
  }
  return child.signalCode ? `, by ${child.signalCode}` : `, exit code ${child.exitCode}`;
}
