// Runs test/net/*.test.ts under Bun and Deno, each file in a network of its own, where it may do to
// devices what it likes: as root in new namespaces, else in those of a new user.
//
//   npm run test:net                  all of it
//   npm run test:net -- bun restore   only there, only files whose name contains one of the words
//
// The last line is `N passed, N failed`, over both runtimes, with `, N skipped` if any were.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { root, runtimes } from "../../kernel/setup.mjs";
import { outcome, testArguments } from "../outcome.mjs";
import { wordsOf } from "../usage.mjs";

const FILE_MS_MAX = 5 * 60_000;

const { positionals: words } = wordsOf(import.meta.url, {}, { words: true });
const places = ["bun", "deno"].filter((place) => words.includes(place));
const names = words.filter((word) => !places.includes(word));
const scratch = mkdtempSync(join(tmpdir(), "qsockets-net-"));
const junit = join(scratch, "deno.xml");
const total = { passed: 0, failed: 0, skipped: 0 };

const files = readdirSync(join(root, "test/net"))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
  .sort();

const [namespaces, why] = findNamespaces();
for (const place of places.length ? places : ["bun", "deno"]) {
  if (!namespaces) {
    report(place, "all files", { passed: 0, failed: 0, skipped: files.length }, why);
  } else if (!runtimes[place]) {
    const none = "no such runtime for this machine";
    report(place, "all files", { passed: 0, failed: 0, skipped: files.length }, none);
  } else {
    for (const file of files) runFile(place, join("test/net", file));
  }
}
rmSync(scratch, { recursive: true });
const { passed, failed, skipped } = total;
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 ? 1 : 0);

/** The arguments of unshare(1) that work here, or undefined and why none does. */
function findNamespaces() {
  const flags = process.getuid() === 0 ? "-nm" : "-Urnm";
  const probe = inside(flags, [
    "sh",
    "-c",
    "ip link add q0 type veth peer name q1 && tc qdisc add dev q0 root htb && ip netns add q",
  ]);
  if (probe.status === 0) return [flags, ""];
  const output = probe.error?.message ?? probe.stderr.trim().split("\n")[0];
  return [undefined, `unshare ${flags} with ip and tc from iproute2, and an HTB: ${output}`];
}

/** Runs a command in new namespaces, with a /run and a loopback of their own. */
function inside(flags, command) {
  const prepare = 'mount -t tmpfs -o mode=755 none /run && ip link set lo up && exec "$@"';
  return spawnSync("unshare", [flags, "sh", "-c", prepare, "sh", ...command], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, TEST_NODE: process.execPath },
    timeout: FILE_MS_MAX,
    killSignal: "SIGKILL",
    maxBuffer: 1 << 26,
  });
}

function runFile(place, file) {
  rmSync(junit, { force: true });
  const started = performance.now();
  const { status, signal, stdout, stderr } = inside(namespaces, [
    runtimes[place],
    ...testArguments(place, file, junit),
  ]);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const output = stdout + stderr;
  const written = existsSync(junit) ? readFileSync(junit, "utf8") : "";
  const counts = outcome(place, status ?? signal, place === "bun" ? output : written);
  report(place, file, counts, `${seconds} s`, output);
}

function report(place, what, counts, note, output = "") {
  for (const key of Object.keys(total)) total[key] += counts[key];
  const parts = [`${counts.passed} passed`];
  if (counts.failed) parts.push(`${counts.failed} FAILED`);
  if (counts.skipped) parts.push(`${counts.skipped} skipped`);
  if (counts.failed) console.log(output.trimEnd());
  console.log(`${place.padEnd(5)} ${what.padEnd(32)} ${parts.join(", ")} (${note})`);
}
