// Tests in a guest: boots a stock Debian kernel (7.x, with CONFIG_NET_SCH_BPF) under QEMU, without
// virtualisation, and runs test/vm/guest/*.test.ts in it as root, under Bun and under Deno. Two guests
// share the files, where the machine has two processors and the memory.
//
//   npm run test:vm                              all of it, in fourteen minutes at most
//   npm run test:vm -- --only host               only files whose name contains the word; repeatable
//   npm run test:vm -- --runtime bun             only there: bun or deno
//   npm run test:vm -- --kernel rt               another kernel: cloud (the default), generic or rt;
//                                                trixie or bookworm, Debian's older ones; patched,
//                                                built here with the system call; debug: that,
//                                                with KASAN, lockdep and PROVE_RCU; leaks: with
//                                                kmemleak alone. Each is built once, in ten minutes
//   npm run test:vm -- --gate module             with the modules of kernel/linux loaded, which the library
//                                                then prefers to schedulers in BPF
//   npm run test:vm -- --guests 1                one guest alone, for what is to be looked at in peace
//   npm run test:vm -- --time-limit 900          seconds for all tests together, else 780
//                                                (3300 with the kernel debug, 1980 with leaks)
//   npm run test:vm -- --twice                   a file that fails is run once more, and that counts: for a
//                                                machine that others keep busy
//   npm run test:vm -- --shell 'COMMAND'         no test: runs COMMAND as root in /project, shows its
//                                                output and ends with its status
//   npm run test:vm -- --add FILE=/guest/path    puts another file or folder there; repeatable
//   npm run test:vm -- --count-instructions      the guest's clocks count its instructions, one a
//                                                nanosecond, on one processor: for measuring
//   npm run test:vm -- --keep                    a shell on the guest's console in the end
//   npm run test:vm -- --refresh                 makes the cached guest anew, of the newest packages
//   npm run test:vm -- --verbose                 all that the tests and the kernel's console print
//
// The guest is Debian sid's kernel, iproute2, bpftool, libbpf, util-linux and coreutils, with the
// users root, alice (1000, also of the group video) and bob (1001). The project lies in /project: all
// files that git would commit, the built library, and the packages it imports. What the guest
// writes is forgotten with it. Its schedulers in BPF are those shipped, kernel/bpf/built; if these are
// not of the library's sources, then what `make -C kernel bpf` has built of them, and it is said.
//
// Debian's packages are downloaded once. The guest made of them is kept in $XDG_CACHE_HOME/qsockets/vm
// (by default in ~/.cache), and with it the kernel's version, until --refresh. Other places to
// download from: QSOCKETS_VM_MIRROR=http://HOST/debian and QSOCKETS_VM_SUITE=sid.
//
// After each file the kernel's log is read: a warning in it is a failure of its own, and so is memory that
// the kernel leaks finds lost. A guest that complains before any part of its kernel was started is booted
// anew, twice at most. QSOCKETS_FUZZ_SECONDS=60 has module_life.test call at random for so long. A machine that
// lacks QEMU or another tool is told what to install, and the tests count as skipped. The last line
// is `N passed, N failed`, with `, N skipped` if any were.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { base } from "./base.mjs";
import { start } from "./machine.mjs";
import { loadModules, modules } from "./modules.mjs";
import { chooseObjects } from "./objects.mjs";
import { parse, whatIsMissing } from "./options.mjs";
import { filesBy, guestTests, plan, runTests } from "./tests.mjs";

const LINES_SHOWN = 300; // of what a file that fails printed
const SHELL_SECONDS_MAX = 24 * 3600;
const kernel = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "kernel");

process.umask(0o022); // what is made here is for all users of the guest
const options = parse();
const isTest = options.shell === undefined;
const chosen = isTest ? guestTests(options.only) : [];
const files = filesBy(options.gate, chosen);
if (isTest && chosen.length === 0) {
  end({ passed: 0, failed: 0, skipped: 0 }, "no test file has such a name");
}
if (isTest && files.length === 0) {
  const why = `${chosen.join(", ")}: not for the gate ${options.gate}, as they say themselves`;
  end({ passed: 0, failed: 0, skipped: 0 }, why);
}
const missing = whatIsMissing(options.kernel);
if (missing) end({ passed: 0, failed: 0, skipped: 1 }, `skipped  tests in a guest: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), "qsockets-vm-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
  process.on(signal, () => process.exit(128 + number)); // and the machine ends with this process
}
if (!isTest) makeOrGoOn();
try {
  const boot = await prepare();
  const { machines, result } = isTest ? await test(boot) : await shell(boot);
  if (options.keep && !machines[0].isGone) await keep(machines[0]);
  for (const machine of machines) await machine.stop();
  if (!isTest) process.exit(result);
  end(result);
} catch (error) {
  say(error.message);
  if (!isTest) process.exit(1);
  end({ passed: 0, failed: 1, skipped: 0 });
}

/** Makes the disks: a function that boots a guest with them. */
async function prepare() {
  // Imported late: it builds the library, and ends the process if it cannot.
  const { runtimes, runtimesDisk, workDisk } = await import("./project.mjs");
  delete process.env.MAKE; // makeOrGoOn's, for that alone: a kernel has to be made
  options.places = options.places.filter((place) => runtimes[place]);
  const { added, countInstructions, gate, keep, refresh, verbose } = options;
  const objects = schedulers();
  const guest = await base(options.kernel, { anew: refresh, say });
  const parts = gate === "module" || files.some((file) => file.startsWith("module"))
    ? await modules(guest, { anew: refresh, say })
    : [];
  const work = workDisk(folder, { added: [...guest.modules, ...parts, ...added], objects });
  const disks = [guest.disk, await runtimesDisk({ anew: refresh, say }), work];
  const onConsole = verbose ? (text) => process.stderr.write(text) : undefined;
  let boots = 0;
  return async () => {
    const started = performance.now();
    const machine = await start({
      base: guest,
      disks,
      port: join(folder, `port${boots++}`),
      interactive: keep,
      countInstructions,
      gate,
      onConsole,
    });
    if (gate === "module") await loadModules(machine);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (isTest) say(`Linux ${guest.version} is up after ${seconds} s`);
    return machine;
  };
}

async function test(boot) {
  const { gate, places, seconds, twice, verbose } = options;
  const onOutput = verbose ? (text) => process.stdout.write(text) : undefined;
  const runs = plan(files, places, gate);
  for (const place of places) {
    const others = files.filter((file) =>
      !runs.some((it) => it.file === file && it.place === place)
    );
    if (others.length > 0) say(`not for ${place}, as they say themselves: ${others.join(", ")}`);
  }
  const guests = Math.min(options.guests, runs.length);
  const { slowness } = options;
  const { machines, total } = await runTests({
    boot,
    guests,
    runs,
    seconds,
    slowness,
    twice,
    report,
    onOutput,
  });
  return { machines, result: total };
}

async function shell(boot) {
  const machine = await boot();
  const { status, why } = await machine.run(options.shell, {
    seconds: options.seconds,
    onOutput: (text) => process.stdout.write(text),
  });
  if (why) say(`${why}; its console ended with\n${machine.tail}`);
  return { machines: [machine], result: status ?? 1 };
}

/** Only the console is a terminal: the shell there is a session of its own with it. */
async function keep(machine) {
  say("a shell on the guest's console; `exit` ends it, Ctrl-A X the whole machine");
  const command = "TERM=vt100 exec setsid -c -w sh -i < /dev/ttyS0 > /dev/ttyS0 2>&1";
  await machine.run(command, { seconds: SHELL_SECONDS_MAX });
}

/** A library that does not build must keep nobody from the guest: the one there is used. */
function makeOrGoOn() {
  const { status } = spawnSync("make", ["-s", "-C", kernel], { stdio: "ignore" });
  if (status !== 0) say("the C library does not build: going on with the one there is");
  process.env.MAKE = "true"; // kernel/setup.mjs need not try again
}

/** The folder of the schedulers in BPF for the guest. A shell does without them. */
function schedulers() {
  try {
    const { folder, words } = chooseObjects(kernel);
    say(words);
    return folder;
  } catch (error) {
    if (isTest) throw error;
    say(error.message);
  }
}

function report(place, what, counts, note, output) {
  const parts = [`${counts.passed} passed`];
  if (counts.failed) parts.push(`${counts.failed} FAILED`);
  if (counts.skipped) parts.push(`${counts.skipped} skipped`);
  if (counts.failed && output && !options.verbose) {
    const lines = output.trimEnd().split("\n");
    if (lines.length > LINES_SHOWN) console.log(`... after ${lines.length - LINES_SHOWN} lines`);
    console.log(lines.slice(-LINES_SHOWN).join("\n"));
  }
  console.log(`${place.padEnd(5)} ${what.padEnd(32)} ${parts.join(", ")} (${note})`);
}

function say(text) {
  process.stderr.write(`vm: ${text}\n`);
}

function end({ passed, failed, skipped }, why) {
  if (why) console.log(why);
  console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
  process.exit(failed > 0 || passed + skipped === 0 || (!isTest && skipped) ? 1 : 0);
}
