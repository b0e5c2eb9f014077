// Programs that tests run in a process of their own, of the runtime that runs the test.

import { spawnSync } from "node:child_process";
import { execPath } from "node:process";
import { fileURLToPath } from "node:url";

/** Runs a module's text to its end and returns its exit code and output. */
export function run(program: string, env: Record<string, string> = {}) {
  const args = "Bun" in globalThis ? ["-e", program] : ["eval", "--ext=ts", program];
  const { status, signal, stdout, stderr } = spawnSync(execPath, args, {
    cwd: fileURLToPath(new URL("../", import.meta.url)),
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, signal, stdout, stderr };
}
