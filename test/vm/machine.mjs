// A running guest: QEMU without virtualisation, its console, and the port over which commands go in
// and their output comes back (guest/init.sh is the other end).

import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import { isEmulators } from "./kernellog.mjs";

const BOOT_SECONDS_MAX = 180;
const GRACE_SECONDS = 30; // beyond a command's time, for the guest itself to end it
const CONSOLE_CHARS_MAX = 1 << 20;
const CONSOLE_LINES_SHOWN = 60;
const BOOTS_MAX = 3;
const TICKS_PER_SECOND = 100; // USER_HZ
const COMMAND_LINE = "console=ttyS0 loglevel=5 oops=panic panic=-1 random.trust_cpu=on " +
  "log_buf_len=4M mitigations=off net.ifnames=0";

/**
 * Its ACPI tables are lists of what interrupts its devices have. Those of QEMU's usual machine are a program that
 * computes it, and a kernel that looks for its own faults takes half a minute to run it, for each device.
 */
const MACHINE = "q35";

/** The guest's processors, each with a thread of its own; its time is the host's. */
const PARALLEL = ["-accel", "tcg,thread=multi", "-smp", "2"];

/**
 * One processor that runs an instruction in a nanosecond of the guest's time, by all clocks; time in
 * which it has nothing to do is skipped. So a measured time is a count of instructions, the kernel's
 * among them, and how busy the host is changes nothing.
 */
const COUNTING = ["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=0,sleep=off"];
/** Its clock ticks while it waits for a disk too: what is skipped is a tick, not all until a test's limit. */
const COUNTING_WORDS = ["nohz=off", "QSOCKETS_COUNTS_INSTRUCTIONS=1"];

/**
 * Starts a guest of `base` with `disks`, and resolves when it takes commands. `port` is the path of its
 * socket; `interactive` leaves the console to the terminal; `onConsole` gets what it prints. One that its
 * emulator kills on the way is started again: that told nothing of the project.
 */
export async function start(options) {
  for (let boots = 1;; boots++) {
    const machine = new Machine(options);
    const { status, why } = await machine.booted();
    if (status === 0) return machine;
    await machine.stop();
    if (boots < BOOTS_MAX && isEmulators(machine.console)) continue;
    throw new Error(`Cannot boot the guest: ${why}; its console ended with\n${machine.tail}`);
  }
}

class Machine {
  #marker = randomBytes(16).toString("hex");
  #console = "";
  #pending = ""; // what came over the port and belongs to no finished command
  #onOutput = () => {};
  #finish = null; // takes the result of the command that runs
  #port = null;
  #child;
  #server;
  #ended;
  #isGone = false;
  #bootSeconds;

  constructor(options) {
    const { base, port, interactive, onConsole = () => {} } = options;
    this.#bootSeconds = BOOT_SECONDS_MAX * base.slowness;
    this.#server = createServer((socket) => this.#listen(socket)).listen(port);
    const args = qemuArguments(options, this.#marker);
    // setpriv lets the machine die with this process, however that ends.
    const [command, ...rest] = canTie()
      ? ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", ...args]
      : ["qemu-system-x86_64", ...args];
    this.#child = spawn(command, rest, {
      stdio: interactive ? ["inherit", "inherit", "pipe"] : ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => {
        this.#console = (this.#console + text).slice(-CONSOLE_CHARS_MAX);
        onConsole(text);
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.on("error", (error) => resolve(error.message));
      this.#child.on("close", (code, signal) => resolve(`it ended with ${signal ?? code}`));
    });
    this.#ended.then((why) => {
      this.#isGone = true;
      this.#finish?.({ status: null, why: `the guest is gone: ${why}` });
    });
    process.on("exit", () => this.#child.kill("SIGKILL"));
  }

  /** What the kernel wrote to the console so far. */
  get console() {
    return this.#console;
  }

  /** The console's last lines. */
  get tail() {
    return this.#console.trimEnd().split("\n").slice(-CONSOLE_LINES_SHOWN).join("\n");
  }

  /** Whether it can run nothing more. */
  get isGone() {
    return this.#isGone;
  }

  /** Resolves with status 0 when it takes commands, else with why it does not. */
  booted() {
    return this.#result(this.#bootSeconds);
  }

  /**
   * Runs a shell command as root in /project. `status` is null if the guest died or hangs, and `why`
   * says so; a command that the guest had to end has status 143 or 137.
   */
  async run(command, { seconds, onOutput = () => {} }) {
    let output = "";
    this.#onOutput = (text) => {
      output += text;
      onOutput(text);
    };
    const started = performance.now(), before = this.processorSeconds;
    const result = this.#result(seconds + GRACE_SECONDS);
    this.#port?.write(`${seconds} ${Buffer.from(command).toString("base64")}\n`);
    const { status, why } = await result;
    const processorSeconds = this.processorSeconds - before;
    return { status, why, output, seconds: (performance.now() - started) / 1000, processorSeconds };
  }

  /** The host's processor time that it has taken: what a test costs, however busy the host is. */
  get processorSeconds() {
    try {
      const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8").split(") ")[1].split(
        " ",
      );
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    } catch {
      return NaN; // it is gone
    }
  }

  /** Ends it at once: what it wrote is in no file of ours. */
  async stop() {
    this.#child.kill("SIGKILL");
    await this.#ended;
    this.#port?.destroy();
    this.#server.close();
  }

  #result(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => {
          this.#isGone = true; // it may answer yet, but no longer to what is asked next
          this.#finish({ status: null, why: `the guest hangs: no answer within ${seconds} s` });
        },
        seconds * 1000,
      );
      this.#finish = (result) => {
        clearTimeout(timer);
        if (result.status === null) this.#onOutput(this.#pending.replaceAll(this.#marker, ""));
        this.#finish = null;
        resolve(result);
      };
    });
  }

  #listen(socket) {
    this.#port = socket.setEncoding("utf8");
    socket.on("error", () => {}); // the machine's end says it all
    socket.on("data", (text) => {
      this.#pending += text;
      const at = this.#pending.indexOf(`\n${this.#marker} `);
      const end = at < 0 ? -1 : this.#pending.indexOf("\n", at + 1);
      if (end < 0) {
        // All but what may be the start of the marker.
        const sure = at >= 0 ? at : Math.max(0, this.#pending.length - this.#marker.length - 2);
        this.#onOutput(this.#pending.slice(0, sure));
        this.#pending = this.#pending.slice(sure);
        return;
      }
      this.#onOutput(this.#pending.slice(0, at));
      const status = Number(this.#pending.slice(at + this.#marker.length + 2, end));
      this.#pending = this.#pending.slice(end + 1);
      this.#finish?.({ status });
    });
  }
}

function qemuArguments({ base, disks, port, interactive, countInstructions, gate }, marker) {
  const kernel = [COMMAND_LINE, `marker=${marker}`];
  if (process.getuid() !== 0) kernel.push("owner=chown"); // base.mjs
  // What the kernel does not know becomes the environment of process 1, and so of all.
  kernel.push(`QSOCKETS_GATE=${gate}`, `QSOCKETS_SLOWNESS=${base.slowness}`);
  const { QSOCKETS_FUZZ_SECONDS: fuzz } = process.env;
  if (fuzz) kernel.push(`QSOCKETS_FUZZ_SECONDS=${Number(fuzz)}`);
  if (countInstructions) kernel.push(...COUNTING_WORDS);
  const quoted = (name) => name.replaceAll(",", ",,");
  return [
    ...(countInstructions ? COUNTING : PARALLEL),
    ...["-machine", MACHINE, "-cpu", "max", "-m", `${base.megabytes}`],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ...["-serial", interactive ? "mon:stdio" : "stdio"],
    ...["-kernel", base.kernel, "-initrd", base.initrd, "-append", kernel.join(" ")],
    ...disks.flatMap((file) => [
      "-drive",
      `file=${quoted(file)},if=virtio,format=raw,snapshot=on,cache=unsafe`,
    ]),
    ...["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"],
    ...["-chardev", `socket,id=port,path=${quoted(port)}`],
    ...["-device", "virtserialport,chardev=port,name=qsockets"],
  ];
}

function canTie() {
  return spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0;
}
