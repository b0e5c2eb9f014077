// Table 1: what each call costs beside the plain call of the C library, above the stack.

import type { Timing } from "../calls.ts";
import { hurry, startProgram } from "../children.ts";
import { type Experiment, type Figure, judge, type Setting } from "../experiment.ts";
import { layPlain, RATE } from "../path.ts";
import { FAR } from "../../net/network.ts";

/** So fast that no datagram waits for the link, which is not what is timed. */
const FAST_RATE = 1000 * RATE;
/** The paper's own ratios, where they are known here. */
const PAPER_SENDTO = 1.159;
/** Like for like: until the datagram has left, on whichever thread. */
const WHOLE = "qsendto, all processor time, sent at once";
const QUEUED = "qsendto, the caller's part, queued";

export const calls: Experiment = {
  name: "calls",
  title: "What the calls cost",
  reproduces:
    "Table 1 of the paper: each call beside the plain one, here with the scheduler above " +
    "the stack.",
  seconds: (setting) => turnsOf(setting) / 7 + 2,
  async run(setting) {
    layPlain(FAST_RATE);
    await using program = await startProgram("./calls.ts", [
      FAR.nobody,
      String(turnsOf(setting)),
    ]);
    hurry(program);
    const timings: Timing[] = JSON.parse(await program.line(10 * 60_000));
    return [figureOfCalls(timings, {
      figure: "Table 1",
      title: "The cost of the calls, above the stack",
      turns: turnsOf(setting),
      facts: ABOVE,
      judged: [WHOLE, QUEUED],
    })];
  },
};

function turnsOf({ quick }: Setting): number {
  return quick ? 40 : 400;
}

const ABOVE = [
  "Datagrams of 1200 bytes into a cable whose far end drops them. A plain call takes its datagram " +
  "through the whole stack. Ours copies it into the link's queue, and the link's thread does the " +
  "rest. The rows with all processor time have both parts: until the datagrams have left a link " +
  "of 100 Mbit/s one by one, each at its moment, or a link without a limit in batches. It is the program's " +
  "until 25 ms after the batch, of the plain calls too, so what the runtime does meanwhile is in both.",
];

/** The table of what was timed; `judged` are the calls that there are aims of. */
export function figureOfCalls(
  timings: readonly Timing[],
  { figure, title, turns, facts, judged }: Pick<Figure, "figure" | "title" | "facts"> & {
    turns: number;
    judged: string[];
  },
): Figure {
  const micro = (ns: number | null) => ns === null ? "" : (ns / 1000).toFixed(2);
  const sends = judged.map((call) => timings.find((timing) => timing.call === call)!);
  return {
    figure,
    title,
    paper: `Its calls cost little more than the plain ones: qsendto ${PAPER_SENDTO} of sendto.`,
    found: `${
      sends.map(({ call, ratio }) => `${call}: ${ratio!.toFixed(2)} of sendto`).join("; ")
    }.`,
    facts: [
      `Medians of ${turns} turns, in each of which a batch of the plain calls is timed and then one ` +
      "of ours, through the same FFI; the ratio is the median of the turns' ratios.",
      ...facts,
      "qattach and qchange stand beside a setsockopt, qinfo beside a getsockopt: there is no plain " +
      "call that does the same, and none at all beside qsockinit.",
      "Of the paper's own figures the one for qsendto is known here.",
    ],
    panels: [],
    tables: [{
      title: "Cost of a call",
      head: ["call", "ours, µs", "plain call", "plain, µs", "ratio", "paper's ratio"],
      rows: timings.map(({ call, beside, ns, plainNs, ratio }) => [
        call,
        micro(ns),
        beside ?? "",
        micro(plainNs),
        ratio === null ? "" : ratio.toFixed(2),
        judged.includes(call) ? String(PAPER_SENDTO) : "",
      ]),
    }],
    aims: sends.map(({ call, ratio }) =>
      judge(`${call}, beside sendto`, ratio!, { atMost: PAPER_SENDTO })
    ),
  };
}
