// The part of the lab that needs a scheduler below the stack: runs in the guest (guest.ts starts it
// there), and says what came of it on its standard output.
//
//     below.ts JSON             `BelowOrder`
//     stdout  LAB PROGRESS {}   `{ what }`, what it goes on with
//     stdout  LAB RESULT {}     `BelowResult`, in the end

import { readFileSync } from "node:fs";
import process from "node:process";
import { qsockinit } from "../../mod.ts";
import { startProgram } from "./children.ts";
import type { Timing } from "./calls.ts";
import { jitterOf, type Run, runWay, type Way } from "./disturbed.ts";
import { clear, DEVICE, layBelow, RATE } from "./path.ts";
import type { Video } from "./video.ts";
import { FAR } from "../net/network.ts";

/** What guest.ts asks for. */
export interface BelowOrder {
  /** The ways to send it by, each in the same guest. */
  ways: Way[];
  video: Video;
  /** Of each run beside bulk transfer, and of each without, of which there are some by turns. */
  seconds: number;
  calmSeconds: number;
  calmRuns: number;
  /** Of the calls that are timed; 0: none are. */
  turns: number;
  receiver: string;
  idler: string;
  scratch: string;
}

/**
 * What a message cost by one way, without bulk transfer: of the runs the one in the middle by what the
 * machine did.
 */
export interface Cost {
  way: Way;
  messages: number;
  /** Processor time of the program that sends, and of all that the machine did meanwhile, ms. */
  cpuMs: number;
  machineMs: number;
  /** Of all runs, the least and the most. */
  machineMsRange: [number, number];
  jitterP99: number;
}

export interface BelowResult {
  /** By which the library spoke to the scheduler below. */
  gate: string | null;
  kernel: string;
  runs: Run[];
  costs: Cost[];
  timings: Timing[];
}

/** So fast that no datagram waits for the link, which is not what is timed. */
const FAST_RATE = 1000 * RATE;
const CALLS_MS_MAX = 30 * 60_000;

if (import.meta.main) {
  const result = await measure(JSON.parse(process.argv[2]));
  process.stdout.write(`LAB RESULT ${JSON.stringify(result)}\n`, () => process.exit());
}

async function measure(order: BelowOrder): Promise<BelowResult> {
  const runs: Run[] = [];
  for (const way of order.ways) {
    tell(`${way}, beside bulk transfer`);
    runs.push(await runWay(way, { ...order, idler: null }));
  }
  const calm = new Map<Way, Run[]>(order.ways.map((way) => [way, []]));
  for (let turn = 1; turn <= order.calmRuns; turn++) {
    for (const [way, all] of calm) {
      tell(`${way}, alone, ${turn} of ${order.calmRuns}`);
      all.push(await runWay(way, { ...order, seconds: order.calmSeconds, calm: true }));
    }
  }
  const timings = order.turns > 0 ? await timeCalls(order.turns) : [];
  const gate = gateBelow();
  clear();
  return {
    gate,
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    runs,
    costs: [...calm.values()].map(costOf),
    timings,
  };
}

function costOf(runs: readonly Run[]): Cost {
  const sorted = runs.toSorted((a, b) => a.busy!.busyMs - b.busy!.busyMs);
  const run = sorted[Math.floor(sorted.length / 2)];
  const { way, frames, sender: { cpuMs }, busy } = run;
  return {
    way,
    messages: frames.reduce((sum, { packets }) => sum + packets, 0),
    cpuMs,
    machineMs: busy!.busyMs,
    machineMsRange: [sorted[0].busy!.busyMs, sorted.at(-1)!.busy!.busyMs],
    jitterP99: jitterOf(run, 0.99),
  };
}

async function timeCalls(turns: number): Promise<Timing[]> {
  tell("the calls");
  layBelow("dwcs", FAST_RATE);
  await using program = await startProgram("./calls.ts", [FAR.nobody, String(turns), DEVICE]);
  return JSON.parse(await program.line(CALLS_MS_MAX));
}

function gateBelow(): string | null {
  layBelow("dwcs");
  using link = qsockinit({ device: DEVICE });
  using socket = link.open({});
  return socket.info().gate;
}

function tell(what: string): void {
  console.log(`LAB PROGRESS ${JSON.stringify({ what })}`);
}
