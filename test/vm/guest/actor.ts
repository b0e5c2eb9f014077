// A process of one of the guest's users that does what it is told, one text after the other: to start
// a runtime for each thing that a user does would take most of the tests' time there.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { asUser, evaluate } from "./guest.ts";

const ANSWER_MS_MAX = 140_000; // on a machine that runs several guests

/** A program whose lines are read as they come, each being JSON. */
export interface Program {
  readonly pid: number;
  // deno-lint-ignore no-explicit-any
  next(): Promise<any>;
  write(line: string): void;
  /** Kills it, and resolves when it is gone, with its sockets. */
  end(): Promise<void>;
}

export interface Actor extends Program {
  /** Runs the body of a function, which may use {@linkcode PRELUDE}; what it says and gives is next. */
  starts(text: string): void;
  /** The same, and gives the next that it says. */
  // deno-lint-ignore no-explicit-any
  does(text: string): Promise<any>;
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

/** What every program's text may use; not all of the library, as that takes twice as long to load. */
export const PRELUDE = `
  import process from "node:process";
  import { Link } from "/project/ffi/link.ts";
  import { createSocket } from "node:dgram";
  import { createInterface } from "node:readline";
  const say = (value) => console.log(JSON.stringify(value));
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const codeOf = (run) => { try { run(); return null; } catch (error) { return error.code; } };
  async function drained(socket) {
    let info = socket.info();
    while (info.queued > 0) { await pause(5); info = socket.info(); }
    return info;
  }
`;

const ACTOR = `
  const AsyncFunction = (async () => {}).constructor;
  const known = { process, Link, createSocket, say, input, pause, codeOf, drained };
  for await (const line of input) {
    try {
      const run = new AsyncFunction(...Object.keys(known), JSON.parse(line));
      const value = await run(...Object.values(known));
      if (value !== undefined) say(value);
    } catch (error) {
      say({ thrown: error.stack });
    }
  }
`;

/** An actor of a user's; it starts while others do. */
export function actor(user: "alice" | "bob" | "root"): Actor {
  const words = evaluate(PRELUDE + ACTOR);
  const program = start(user === "root" ? words : asUser(user, words));
  const next = async () => {
    const said = await program.next();
    if (said?.thrown) throw new Error(`${user}'s program failed: ${said.thrown}`);
    return said;
  };
  const starts = (text: string) => program.write(JSON.stringify(text));
  return { ...program, next, starts, does: (text) => (starts(text), next()) };
}
