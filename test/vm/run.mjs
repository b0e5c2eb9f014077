import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { base } from "./base.mjs";
import { start } from "./machine.mjs";
import { spawnSync } from "node:child_process";

const { values } = parseArgs({ options: {
  shell: { type: "string" }, add: { type: "string", multiple: true, default: [] },
  kernel: { type: "string", default: "cloud" }, verbose: { type: "boolean", default: false },
  refresh: { type: "boolean", default: false }, "time-limit": { type: "string", default: "540" },
}});
if (values.shell) { // a library that does not build must not keep anyone from the guest
  if (spawnSync("make", ["-s", "-C", join(import.meta.dirname, "../../kernel")], { stdio: "ignore" }).status !== 0) process.stderr.write("vm: the library does not build: goes on with the one there\n");
  process.env.MAKE = "true";
}
const { parseAdded, runtimesDisk, workDisk } = await import("./project.mjs");
const say = (text) => process.stderr.write(`vm: ${text}\n`);
const folder = mkdtempSync(join(tmpdir(), "qsockets-vm-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));
const it = await base(values.kernel, { anew: values.refresh, say });
const runtimes = await runtimesDisk({ anew: values.refresh, say });
const work = workDisk(folder, values.add.map(parseAdded));
const machine = await start({ base: it, disks: [it.disk, runtimes, work], folder,
  onConsole: values.verbose ? (text) => process.stderr.write(text) : undefined });
const { status, why } = await machine.run(values.shell, {
  seconds: Number(values["time-limit"]), onOutput: (text) => process.stdout.write(text) });
if (why) say(why);
await machine.stop();
process.exit(status ?? 1);
