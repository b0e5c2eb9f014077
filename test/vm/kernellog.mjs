// What a kernel's log must not say. A kernel that found a fault in itself goes on if it can, and the
// tests may pass nevertheless: the log is where it is seen.

const LINES_MAX = 60; // of one complaint: a report with registers and a stack has about as many

/** What a kernel says of its own faults. Not of a program's: those fail the program's test. */
const FAULTS = [
  /\bWARNING:/, // WARN_ON, and lockdep's and RCU's reports
  /\bBUG:/, // KASAN, soft lockups, sleeping in atomic context, bad dereferences
  /\bkernel BUG at\b/,
  /\bOops\b/,
  /\bKernel panic\b/,
  /^(Unable to handle|general protection fault, probably)/i,
  /\bINFO: .*(stall|lock|RCU|blocked for more than)/, // RCU stalls, hung tasks, lockdep turned off
  /\bINFO: trying to register non-static key\b/, // lockdep: a lock that nobody initialised
  /\bkmemleak: .*(new suspected memory leaks|pool empty)\b|^unreferenced object 0x/,
  /\bpossible (recursive|circular|irq lock inversion|deadlock)/,
  /\bUBSAN:|\bKASAN:|\bKCSAN:|\bKFENCE:/,
  /\brefcount_t:/,
  /\blist_(add|del) corruption\b/,
  /\bscheduling while atomic\b/,
  /\bunregister_netdevice: waiting for\b/, // a device that something still refers to
  /\bOut of memory:|\binvoked oom-killer\b/,
  /\bCall Trace:/,
];

const ENDS = /---\[ end (trace|Kernel panic)/;

/**
 * Lines that match a fault and are none, each with the reason. Emulation without virtualisation makes
 * a processor wait long enough to look stuck only if the host itself gives it no time: that has not
 * been seen, so no lockup is excused here.
 */
export const EXCUSED = [
  {
    line: /\b(Spectre V2|RETBleed|MDS|TAA|MMIO Stale Data) ?: WARNING:/i,
    why: "the guest runs with mitigations=off, and the kernel says what that leaves open",
  },
];

/**
 * The complaints in a log, each `{ line, text }`: its first line without the time, and that line with
 * what follows, up to its end or to as many lines as such a report has. What comes within is told with it.
 */
export function complaints(log, excused = EXCUSED) {
  const found = [];
  let open = null;
  for (const raw of log.split("\n")) {
    const line = withoutTime(raw);
    if (!open && isFault(line) && !excused.some((it) => it.line.test(line))) {
      open = { line, lines: [] };
      found.push(open);
    }
    open?.lines.push(raw);
    if (open && (ENDS.test(line) || open.lines.length >= LINES_MAX)) open = null;
  }
  return found.map(({ line, lines }) => ({ line, text: lines.join("\n").trimEnd() }));
}

function isFault(line) {
  return FAULTS.some((fault) => fault.test(line));
}

/**
 * Whether a guest died of its emulator. A kernel changes its code under a breakpoint, which it removes
 * when every processor has seen the change; QEMU 7.2 with a thread per processor can still run what it
 * translated before, and then nobody knows the breakpoint. Seen about once in a thousand changes of
 * static keys while other programs had the host's processors. Nothing of ours sets a breakpoint.
 */
export function isEmulators(log) {
  const [first] = complaints(log);
  return first !== undefined && /\bOops: int3: /.test(first.line);
}

/** Without `<4>[   12.345678][  T123] ` or parts of it. */
function withoutTime(line) {
  return line.trimEnd().replace(/^(<\d+>)?(\[ *\d+\.\d+\] ?)?(\[ *[TC]\d+\] ?)?/, "");
}
