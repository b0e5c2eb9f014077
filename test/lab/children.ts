// The processes that send, receive and disturb, each started here and told when to end. Programs of
// the lab say a line when they are ready, and end with their input.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const root = fileURLToPath(new URL("../../", import.meta.url));
const LINE_MS_MAX = 60_000;
const REAL_TIME_PRIORITY = "10";

/** A running program. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #name: string;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<void>;
  #errors = "";
  #told = false;
  /** How it ended: a number, or the signal that ended it. */
  #end: number | string | null = null;

  /** Starts a command, in the far end's network if asked to. */
  constructor(command: readonly string[], { far = false } = {}) {
    const [program, ...args] = far ? ["ip", "netns", "exec", "far", ...command] : command;
    this.#name = command.slice(0, 2).map((word) => word.split("/").pop()).join(" ");
    this.#process = spawn(program, args, { cwd: root, stdio: "pipe" });
    this.#process.stdin.on("error", () => {}); // it is gone: said by the line that does not come
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(-2000);
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => {
      this.#process.on("close", (code, signal) => {
        this.#end ??= code ?? signal;
        resolve();
      });
      this.#process.on("error", (error) => {
        this.#errors += error.message;
        this.#end ??= "it could not be started";
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** Its next line. Throws an error with what it complained about if it ends instead. */
  async line(msMax = LINE_MS_MAX): Promise<string> {
    let silent = false;
    const timer = setTimeout(() => {
      silent = true;
      this.kill();
    }, msMax);
    try {
      const { value, done } = await this.#lines.next();
      if (!done) return value;
    } finally {
      clearTimeout(timer);
    }
    await this.#ended;
    if (silent) throw new Error(`${this.#name} said nothing for ${msMax / 1000} s, and was ended`);
    throw new Error(`${this.#name} ended early: ${this.#errors.trim() || "it said nothing"}`);
  }

  say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** Ends its input; returns the line that it says at last. */
  async finish(): Promise<string> {
    this.#process.stdin.end();
    const line = await this.line();
    await this.#ended;
    return line;
  }

  /** Resolves when it has ended by itself, or when it was ended after so many ms. */
  async ended(msMax: number): Promise<void> {
    const timer = setTimeout(() => this.kill(), msMax);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Whether it was told to stop while it ran. */
  get wasEnded(): boolean {
    return this.#told;
  }

  /** Why it is of no use: it failed, or (if it is to run on) ended, before it was told to stop. Or null. */
  broken({ mayEnd }: { mayEnd: boolean }): string | null {
    if (this.#told || this.#end === null || (this.#end === 0 && mayEnd)) return null;
    const last = this.#errors.trim().split("\n").at(-1) || "it said nothing";
    return `${this.#name} ended by itself (${this.#end}): ${last}`;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (this.#end === null) this.#told = true;
    this.#process.kill(signal);
  }

  /** Whatever it does: when this is over it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#ended;
  }
}

/** Starts a program of the lab: TypeScript under this runtime, .mjs under Node. */
export async function startProgram(
  file: string,
  args: readonly string[],
  { far = false } = {},
): Promise<Child> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const node = file.endsWith(".mjs");
  const runtime = node
    ? [process.env.LAB_NODE ?? "node"]
    : process.versions.deno
    ? [process.execPath, "run", "-A", "--no-check"]
    : [process.execPath];
  const child = new Child([...runtime, path, ...args], { far });
  await child.line();
  return child;
}

/** Starts programs at once; the stack ends them. */
export async function startPrograms(
  stack: AsyncDisposableStack,
  programs: readonly Parameters<typeof startProgram>[],
): Promise<Child[]> {
  const begun = await Promise.allSettled(programs.map((program) => startProgram(...program)));
  for (const it of begun) if (it.status === "fulfilled") stack.use(it.value);
  return begun.map((it) => {
    if (it.status === "rejected") throw it.reason;
    return it.value;
  });
}

/**
 * Puts a program before whatever else the machine does, so that what is measured is the network, and
 * says whether that is allowed: root may. To be called when the program has made its threads.
 */
export function hurry(child: Child): boolean {
  const args = ["--all-tasks", "--rr", "--pid", REAL_TIME_PRIORITY, String(child.pid)];
  return spawnSync("chrt", args, { stdio: "ignore" }).status === 0;
}

/** Whether `hurry` is allowed here. */
export function mayHurry(): boolean {
  return spawnSync("chrt", ["--rr", REAL_TIME_PRIORITY, "true"], { stdio: "ignore" }).status === 0;
}

/** Starts the receiver on ports of the far end; it writes down what comes in `file`. */
export async function startReceiver(
  program: string,
  file: string,
  ports: readonly number[],
): Promise<{ finish(): Promise<void> } & AsyncDisposable> {
  const child = new Child([program, file, ...ports.map(String)], { far: true });
  await child.line();
  return {
    async finish() {
      const { lost } = JSON.parse(await child.finish());
      // What is lost there is not the link's doing, and would be counted as if it were.
      if (lost > 0) throw new Error(`The receiver's own buffer lost ${lost} datagrams`);
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
