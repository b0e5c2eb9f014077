// Above or below, the paper's open question: the same video and the same bulk transfer with the
// scheduler in the program above the protocol stack, there with a class of an HTB's of its own, and below
// as the device's queue; and Table 1 below the stack. All of it in one guest (../guest.ts), so that it
// compares.

import type { BelowOrder, BelowResult, Cost } from "../below.ts";
import {
  frameRates,
  isManaged,
  jitterOf,
  jitters,
  NAMES,
  type Run,
  SHORT,
  worstSecond,
} from "../disturbed.ts";
import { type Experiment, type Figure, type Setting } from "../experiment.ts";
import { type Gate, GATES, runInGuest } from "../guest.ts";
import { findVideo, type Video } from "../video.ts";
import { figureOfCalls } from "./calls.ts";

/** A second of the guest takes about so many of this machine, and its boot. */
const SLOWNESS = 1.2;
const BOOT_SECONDS = 25;
const TURN_SECONDS = 1;
const RUN_SECONDS = 4; // to start and to end what takes part in a run

export const below: Experiment = {
  name: "below",
  title: "Above or below the protocol stack",
  reproduces: "The paper's open question: the same load with the scheduler above and below; " +
    "Figures 4 and 5 and Table 1 below the stack. In a guest, where the kernel has a scheduler.",
  notQuick: "a guest alone takes half a minute",
  seconds: (setting) => plansOf(setting).reduce((sum, plan) => sum + secondsOf(plan), 0),
  async run(setting) {
    const video = await findVideo(setting.film);
    const plans = plansOf(setting);
    let left = below.seconds(setting);
    const figures: Figure[] = [];
    for (const plan of plans) {
      setting.progress(`a guest, by ${GATES[plan.gate]}`, left);
      const begun = performance.now();
      const { receiver, idler, scratch } = setting;
      const order = { ...plan, video, receiver, idler, scratch };
      const result = await runInGuest(plan.gate, order, (what) => {
        setting.progress(what, Math.max(0, left - (performance.now() - begun) / 1000));
      });
      left -= secondsOf(plan);
      figures.push(...figuresOf(plan, result, video));
    }
    return figures;
  },
};

interface GuestPlan
  extends Pick<BelowOrder, "ways" | "seconds" | "calmSeconds" | "calmRuns" | "turns"> {
  gate: Gate;
}

/** What is run in each guest. */
function plansOf({ quick }: Setting): GuestPlan[] {
  const ways: GuestPlan["ways"] = ["plain", "fair", "above", "isolated", "below"];
  const full = { seconds: 20, calmSeconds: 6, calmRuns: 5, turns: 30 };
  if (quick) return [{ gate: "bpf", ways: [], seconds: 0, calmSeconds: 0, calmRuns: 0, turns: 8 }];
  return [{ gate: "bpf", ways, ...full }, { gate: "module", ways: ["plain", "below"], ...full }];
}

function secondsOf({ ways, seconds, calmSeconds, calmRuns, turns }: GuestPlan): number {
  const runs = ways.length * (seconds + RUN_SECONDS + calmRuns * (calmSeconds + RUN_SECONDS));
  return BOOT_SECONDS + SLOWNESS * runs + TURN_SECONDS * turns;
}

function figuresOf(plan: GuestPlan, result: BelowResult, video: Video): Figure[] {
  const { runs, costs, timings, kernel, gate } = result;
  const host = GATES[plan.gate];
  const where = [
    `In a guest: Linux ${kernel}, the scheduler below by ${host} (gate "${gate}"). It is emulated, with ` +
    "one processor, and its clocks count instructions, a nanosecond each: what else this machine " +
    "does changes nothing, and times are those of a processor with 1 GHz that does one instruction in each.",
  ];
  const name = (figure: string) =>
    `${figure}, ${plan.gate === "bpf" ? "below" : "below by modules"}`;
  const open = `Above or below${plan.gate === "bpf" ? "" : ", by modules"}`;
  const load = { video, seconds: plan.seconds, where, scratch: "", receiver: "" };
  const reportOnly = plan.gate === "module";
  const figures = runs.length === 0 ? [] : [frameRates(runs, load), jitters(runs, load)];
  return [
    ...figures.map((it) => ({ ...it, figure: name(it.figure), reportOnly })),
    ...(runs.length === 0
      ? []
      : [{ ...comparison(open, runs, costs, plan.calmRuns, where), reportOnly }]),
    ...(timings.length === 0 ? [] : [figureOfCalls(timings, {
      figure: name("Table 1"),
      title: `The cost of the calls, below the stack, by ${host}`,
      turns: plan.turns,
      facts: [
        "Datagrams of 1200 bytes into a cable whose far end drops them, the scheduler dwcs as the " +
        "device's queue in both columns: the plain calls are those of a program without streams. The " +
        "rate is such that nothing waits. All of a send is in its call, until the far end has dropped it.",
        "Through the FFI under Bun: microseconds are those of thousand instructions, the TypeScript " +
        "of the library's calls among them, which for all but the sends is most of it. " +
        "What the kernel's own calls cost without it: test:vm -- --count-instructions --only cost.",
        ...where,
      ],
      judged: ["qsendto"],
    })]),
  ];
}

function comparison(
  figure: string,
  runs: readonly Run[],
  costs: readonly Cost[],
  costRuns: number,
  where: readonly string[],
): Figure {
  const plain = costs.find(({ way }) => way === "plain")!;
  const micro = ({ messages }: Cost, ms: number) => (1000 * ms / messages).toFixed(1);
  const ratio = ({ machineMs, messages }: Cost) =>
    (machineMs / messages / (plain.machineMs / plain.messages)).toFixed(2);
  const count = (run: Run, fate: string) => `${run.fates.filter((it) => it.fate === fate).length}`;
  const ms = (value: number) => Number.isFinite(value) ? value.toFixed(2) : "-";
  const managed = runs.filter(isManaged);
  return {
    figure,
    title: "The same load with the scheduler above, above with an HTB, and below",
    paper: "Left open: it built the scheduler below, and asked what one above would cost and give.",
    found: `Processor time for a message, beside unmanaged: ${
      costs.filter(isManaged).map((cost) => `${ratio(cost)} ${SHORT[cost.way]}`)
        .join(", ")
    }. In time of the worst second's frames, beside bulk transfer of other processes: ${
      managed.map((run) => `${worstSecond(run).toFixed(0)} % ${SHORT[run.way]}`).join(", ")
    }.`,
    facts: [
      "Frame rate, jitter and late frames: of the runs of the figures above, with their two " +
      "perturbations. Cost: of runs of the same video without, in which a program that takes only what " +
      "nobody else wants counts what is left of the processor; the rest, divided by the messages, is all " +
      "that the machine did for one: the sender, its link's thread, the kernel, and the receiver, " +
      "which is the same each time.",
      `Runs of that kind were made ${costRuns} times by turns: the one in the middle counts, and behind it are the ` +
      "least and the most. They differ by what the runtime does beside (it compiles, and collects garbage).",
      "The program's own part is what the kernel puts down to its process, with its thread.",
      ...where,
    ],
    panels: [{
      title: "Processor time for one message, alone on the link",
      x: "",
      y: "µs",
      categories: costs.map(({ way }) => SHORT[way]),
      height: 180,
      series: [
        {
          name: "all of the machine's",
          as: "bars",
          points: costs.map((cost, i) => [i, Number(micro(cost, cost.machineMs))]),
        },
        {
          name: "the sending program's",
          as: "bars",
          points: costs.map((cost, i) => [i, Number(micro(cost, cost.cpuMs))]),
        },
      ],
    }],
    tables: [{
      title: "Beside bulk transfer of other processes",
      head: ["", "worst second, %", "jitter p50, ms", "p99", "late", "partial", "lost"],
      rows: runs.map((run) => [
        NAMES[run.way],
        worstSecond(run).toFixed(0),
        ...[0.5, 0.99].map((p) => ms(jitterOf(run, p))),
        ...["late", "partial", "lost"].map((fate) => count(run, fate)),
      ]),
    }, {
      title: "Alone on the link",
      head: [
        "",
        "messages",
        "jitter p99, ms",
        "program, µs a message",
        "machine, µs a message",
        "machine, beside unmanaged",
      ],
      rows: costs.map((cost) => [
        NAMES[cost.way],
        `${cost.messages}`,
        ms(cost.jitterP99),
        micro(cost, cost.cpuMs),
        `${micro(cost, cost.machineMs)} (${
          cost.machineMsRange.map((ms) => micro(cost, ms)).join(" to ")
        })`,
        ratio(cost),
      ]),
    }],
    aims: [], // those of the figures above
  };
}
