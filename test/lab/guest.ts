// Starts the guest of test/vm, which has schedulers below the stack, runs the lab's part for it there
// (below.ts), and reads back what came of it.
//
// The guest is emulated, and its clocks count instructions, a nanosecond each (`--count-instructions`
// of test/vm): times in it are those of a processor with one core of 1 GHz that does one thing at a
// time, and what else this machine does changes none of them.

import { spawn } from "node:child_process";
import { basename } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { root } from "./children.ts";
import { Missing } from "./experiment.ts";
import type { BelowOrder, BelowResult } from "./below.ts";

const FOLDER = "/opt/lab";
const GUEST_SECONDS_MAX = 3600;
const TAIL_LINES = 12;
const SKIPPED = "skipped"; // as test/vm says that this machine lacks something

/** By which the library speaks to the scheduler below. */
export type Gate = "bpf" | "module";
export const GATES: Record<Gate, string> = { bpf: "a BPF program", module: "kernel modules" };

/** Runs the order there. Throws an error with the guest's last words if it fails, or there can be none. */
export async function runInGuest(
  gate: Gate,
  order: BelowOrder,
  progress: (what: string) => void,
): Promise<BelowResult> {
  const { receiver, idler, video } = order;
  const files = Object.fromEntries(
    [receiver, idler, video.path].map((path) => [path, `${FOLDER}/${basename(path)}`]),
  );
  const there: BelowOrder = {
    ...order,
    receiver: files[receiver],
    idler: files[idler],
    video: { ...video, path: files[video.path] },
    scratch: "/tmp",
  };
  const command = `LAB_NODE=/opt/runtimes/bin/bun bun test/lab/below.ts '${
    JSON.stringify(there).replaceAll("'", `'\\''`)
  }'`;
  const child = spawn(process.env.LAB_NODE ?? "node", [
    "test/vm/run.mjs",
    "--count-instructions",
    ...["--gate", gate, "--time-limit", String(GUEST_SECONDS_MAX)],
    ...Object.entries(files).flatMap(([file, path]) => ["--add", `${file}=${path}`]),
    ...["--shell", command],
  ], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: order.scratch }, // its disks go with it, however this ends
  });
  const said: string[] = [];
  child.on("error", (error) => said.push(error.message));
  let result: BelowResult | null = null;
  const listen = (stream: NodeJS.ReadableStream) =>
    createInterface({ input: stream }).on("line", (line) => {
      const [, kind, text] = /^LAB (PROGRESS|RESULT) (.*)/.exec(line) ?? [];
      if (kind === "RESULT") result = JSON.parse(text);
      else if (kind === "PROGRESS") progress(JSON.parse(text).what);
      else if (line.trim() !== "") said.push(line);
    });
  const closed = [child.stdout, child.stderr].map((stream) =>
    new Promise((resolve) => listen(stream).on("close", resolve))
  );
  try {
    await Promise.all(closed);
  } finally {
    child.kill();
  }
  if (result === null) {
    const lacking = said.find((line) => line.startsWith(SKIPPED));
    if (lacking !== undefined) {
      throw new Missing(`there can be no guest: ${lacking.slice(lacking.indexOf(": ") + 2)}`);
    }
    const why = said.slice(-TAIL_LINES).join("\n") || "it said nothing";
    throw new Error(`Cannot measure in the guest: ${why}`);
  }
  return result;
}
