// A program that a test starts in the guest: its text, and what it says line by line.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { slowness } from "./guest.ts";

const ANSWER_MS_MAX = 140_000 * slowness; // on a machine that runs several guests

/** A program whose lines are read as they come, each being JSON. */
export interface Program {
  readonly pid: number;
  // deno-lint-ignore no-explicit-any
  next(): Promise<any>;
  write(line: string): void;
  /** Kills it, and resolves when it is gone, with its sockets. */
  end(): Promise<void>;
}

/** Starts a program. */
export function start(words: readonly string[]): Program {
  const [command, ...args] = words;
  const child: ChildProcess = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr!.on("data", (data) => errors = (errors + data).slice(-4000));
  child.stdin!.on("error", () => {}); // it has ended: next() says so
  const gone = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    pid: child.pid!,
    async next() {
      const timer = setTimeout(() => child.kill("SIGKILL"), ANSWER_MS_MAX);
      const { value, done } = await lines.next();
      clearTimeout(timer);
      if (done) throw new Error(`the program ended, and said\n${errors}`);
      return JSON.parse(value);
    },
    write: (line) => void child.stdin!.write(line + "\n"),
    end() {
      child.kill("SIGKILL");
      return gone;
    },
  };
}

/** For programs that use the library; not all of it, as that takes twice as long to load. */
export const LIBRARY = 'import { Link } from "/project/ffi/link.ts";';

/** What every program's text may use. */
export const PRELUDE = `
  import process from "node:process";
  import { createSocket } from "node:dgram";
  import { createInterface } from "node:readline";
  import { readFileSync } from "node:fs";
  const say = (value) => console.log(JSON.stringify(value));
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const codeOf = (run) => { try { run(); return null; } catch (error) { return error.code; } };
  async function drained(socket) {
    let info = socket.info();
    while (info.queued > 0) { await pause(5); info = socket.info(); }
    return info;
  }
  // A receiver has read all that came, however slow it is: nothing waits at a socket of its network.
  async function allRead(count) {
    const waiting = / [0-9A-F]{8}:(?!0{8})[0-9A-F]{8} /; // what is to be sent, and what to be read
    const isWaiting = () => waiting.test(readFileSync("/proc/self/net/udp6", "utf8"));
    await pause(100);
    for (let last = -1; isWaiting() || last !== count(); await pause(30)) last = count();
  }
`;
