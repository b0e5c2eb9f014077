// The long run: a program that sends without an end, while the link goes down and comes back, the
// receiver disappears, and the rate changes. Does it hold more and more, and do its counters add up?

import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../../../mod.ts";
import { type Child, startProgram } from "../children.ts";
import { type Experiment, type Figure, judge, type Setting } from "../experiment.ts";
import { median } from "../measures.ts";
import { DEVICE, layPlain, RATE, setRate, sh, TO } from "../path.ts";
import type { SoakSample } from "../soaker.ts";

const POINTS_MAX = 600; // of a series in the figure
/** What happens, over and over: from when to when in each cycle, s. */
const CYCLE_S = 30;
const EVENTS = [
  { what: "link down", from: 5, to: 8 },
  { what: "no receiver", from: 13, to: 17 },
  { what: "half the rate", from: 21, to: 26 },
] as const;
type Event = typeof EVENTS[number]["what"];
/** The device's link is a little faster than the program's, as its packets are a little larger. */
const OWN_SHARE = 0.95;
const SHADED_MAX = 40;
/** What the link's own queue holds is there after so long. */
const SETTLE_MS = 500;
/** What happens may begin so much earlier and end so much later than the samples' clock has it, s. */
const EVENT_SLACK = { before: 0.5, after: 1.5 };
/** Of the panel in which what happens is to be told apart: four cycles. */
const SHOWN_S = 4 * CYCLE_S;

export const soak: Experiment = {
  name: "soak",
  title: "The long run",
  reproduces:
    "Memory, descriptors and counters over time, while the link, the receiver and the rate " +
    "come and go.",
  seconds: (setting) => secondsOf(setting) + 3,
  async run(setting) {
    layPlain();
    const receiver = new Receiver();
    await using _receiver = receiver;
    await receiver.appear();
    await using soaker = await startProgram("./soaker.ts", [TO, String(OWN_SHARE * RATE)]);
    const end = new AbortController();
    // It may break while a line is waited for: kept as a value, that is told where all ends.
    const happening = happen(soaker, receiver, end.signal).then(() => null, (error) => {
      end.abort();
      soaker.kill();
      return error as Error;
    });
    try {
      const samples: SoakSample[] = [];
      while (samples.length < secondsOf(setting)) {
        samples.push(JSON.parse(await soaker.line()));
        const left = secondsOf(setting) - samples.length;
        if (left % 10 === 0) setting.progress(`${samples.length} s`, left);
      }
      end.abort();
      const broken = await happening;
      if (broken !== null) throw broken;
      soaker.say("end");
      let last: SoakSample;
      do last = JSON.parse(await soaker.line()); while (!last.last);
      await sleep(SETTLE_MS);
      await receiver.disappear();
      return [figureOf(samples, last, receiver.datagrams)];
    } catch (error) {
      throw (end.signal.aborted ? await happening : null) ?? error;
    } finally {
      end.abort();
      await happening;
    }
  },
};

/** Without --soak (but asked for by name) a minute. */
function secondsOf({ soak }: Setting): number {
  return (soak ?? 1) * 60;
}

/** What takes the datagrams, or does not, and counts them. */
class Receiver implements AsyncDisposable {
  #child: Child | null = null;
  #datagrams = 0;

  /** What came, while it was there. */
  get datagrams(): number {
    return this.#datagrams;
  }

  async appear(): Promise<void> {
    this.#child = await startProgram("../net/receiver.mjs", [], { far: true });
  }

  async disappear(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    await using _child = child;
    const { inTime, late, blasts } = JSON.parse(await child.finish());
    this.#datagrams += inTime + late + blasts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
  }
}

/** Lets it all happen until the signal fires. */
async function happen(soaker: Child, receiver: Receiver, signal: AbortSignal): Promise<void> {
  const begun = monotonic();
  const until = (at: number) =>
    sleep(Math.max(0, begun + at * 1000 - monotonic()), undefined, { signal }).catch(() => {});
  const rate = (factor: number) => {
    setRate(factor * RATE);
    soaker.say(`rate ${factor * OWN_SHARE * RATE}`);
  };
  const begin: Record<Event, () => unknown> = {
    "link down": () => sh(`ip link set ${DEVICE} down`),
    "no receiver": () => receiver.disappear(),
    "half the rate": () => rate(0.5),
  };
  const undo: Record<Event, () => unknown> = {
    "link down": () => sh(`ip link set ${DEVICE} up`),
    "no receiver": () => receiver.appear(),
    "half the rate": () => rate(1),
  };
  for (let cycle = 0; !signal.aborted; cycle += CYCLE_S) {
    for (const { what, from, to } of EVENTS) {
      await until(cycle + from);
      if (signal.aborted) return;
      await begin[what]();
      await until(cycle + to);
      await undo[what]();
    }
    await until(cycle + CYCLE_S);
  }
}

/** Datagrams that were sent in the seconds in which they may not have arrived. */
function exposed(samples: readonly SoakSample[]): number {
  return samples.reduce((sum, { at, datagrams }, i) => {
    const before = samples[i - 1] ?? { at: 0, datagrams: 0 };
    const [begin, end] = [before.at, at].map((it) => it % CYCLE_S);
    const hit = EVENTS.some(({ what, from, to }) =>
      what !== "half the rate" && begin < to + EVENT_SLACK.after && end > from - EVENT_SLACK.before
    );
    return sum + (hit ? datagrams - before.datagrams : 0);
  }, 0);
}

/** Of a sample each second, the one at the end, and the datagrams that the far end took. */
function figureOf(
  samples: readonly SoakSample[],
  final: SoakSample,
  received: number,
): Figure {
  const seconds = samples.length;
  const step = Math.ceil(seconds / POINTS_MAX);
  const thin = samples.filter((_, i) => i % step === 0);
  const points = (value: (sample: SoakSample) => number) =>
    thin.map((it): [number, number] => [Number(it.at.toFixed(1)), value(it)]);
  /** Of each second, drawn from its beginning on. */
  const rates = (value: (sample: SoakSample) => number) =>
    shown.slice(1).map((it, i): [number, number] => [
      Number(shown[i].at.toFixed(1)),
      Number(((value(it) - value(shown[i])) / (it.at - shown[i].at)).toFixed(1)),
    ]);
  const shown = samples.slice(0, SHOWN_S);
  const fifth = (n: number, value: (sample: SoakSample) => number) =>
    median(
      samples.slice(Math.floor(n * seconds / 5), Math.floor((n + 1) * seconds / 5)).map(value),
    );
  const growth = (value: (sample: SoakSample) => number) => fifth(4, value) - fifth(1, value);
  const unbalanced = [...samples, final].flatMap((it) => it.unbalanced);
  const missing = final.datagrams - received;
  const excused = exposed([...samples, final]);
  const last = samples.at(-1)!;
  const panel = { x: "time, s", xMax: seconds, height: 150, shaded: shadesOf(seconds, false) };
  return {
    figure: "Soak",
    title: `${seconds} s with everything that may happen`,
    found:
      `${
        last.accepted + last.refused
      } messages, ${unbalanced.length} of ${seconds} samples in which they do not ` +
      `add up; memory ${(samples[0].rssBytes / 2 ** 20).toFixed(0)} MB in the beginning and ${
        (last.rssBytes / 2 ** 20).toFixed(0)
      } MB in the end.`,
    facts: [
      "One program: eight streams of 25 frames/s, a best-effort one that asks for the rest and more, " +
      "and four more streams every second that are closed in the next, half of them at once.",
      `Every ${CYCLE_S} s: ${
        EVENTS.map(({ what, from, to }) => `${what} for ${to - from} s`).join(", ")
      }.`,
      "Each second the counters of the link and of every open stream are read: what the program handed " +
      "over, by its own count of what send took and what the scheduler refused, must be sent, late, " +
      "dropped (which what was refused is too) or queued, to the message.",
      `What was sent is ${final.datagrams} datagrams, of which the far end's programs took ${received}. The ` +
      `other ${missing} must be among the ${excused} that were sent while the link was down or nobody ` +
      `listened, ${EVENT_SLACK.before} s before and ${EVENT_SLACK.after} s after included.`,
      ...(last.unseen === 0 ? [] : [
        `${last.unseen} messages more were refused before a scheduler saw them, as the program was told.`,
      ]),
      ...(seconds > SHOWN_S
        ? [`Of the messages only the first ${SHOWN_S} of ${seconds} s are drawn.`]
        : []),
      ...unbalanced.slice(0, 5),
    ],
    panels: [
      {
        ...panel,
        xMax: shown.length,
        shaded: shadesOf(shown.length, true),
        title: "Messages per second",
        y: "messages/s",
        series: [
          { name: "handed over", points: rates((it) => it.accepted + it.refused) },
          { name: "sent", points: rates((it) => it.sent + it.late) },
          { name: "dropped or refused", points: rates((it) => it.dropped) },
        ].map((it) => ({ ...it, as: "step" as const })),
      },
      {
        ...panel,
        title: "Memory (resident set)",
        y: "MB",
        series: [{ name: "memory", as: "step", points: points((it) => it.rssBytes / 2 ** 20) }],
      },
      {
        ...panel,
        title: "Descriptors and open streams",
        y: "number",
        series: [
          { name: "descriptors", as: "step", points: points((it) => it.descriptors) },
          { name: "streams", as: "step", points: points((it) => it.streams) },
        ],
      },
    ],
    tables: [{
      title: "Messages and what the program holds, at the end",
      head: [
        "accepted",
        "refused",
        "sent",
        "late",
        "dropped",
        "queued",
        "memory, MB",
        "descriptors",
      ],
      rows: [[
        ...[last.accepted, last.refused, last.sent, last.late, last.dropped, last.queued].map(
          String,
        ),
        (last.rssBytes / 2 ** 20).toFixed(1),
        `${last.descriptors}`,
      ]],
    }],
    aims: [
      judge("samples in which the messages do not add up", unbalanced.length, { atMost: 0 }),
      judge(
        "datagrams that the far end has beyond what was sent, or misses without an excuse",
        Math.max(-missing, missing - excused, 0),
        { atMost: 0 },
      ),
      judge(
        "memory, last fifth beside the second",
        100 * growth((it) => it.rssBytes) / fifth(1, (it) => it.rssBytes),
        { atMost: 10 },
        "% more",
      ),
      judge("descriptors, the same", growth((it) => it.descriptors), { atMost: 0 }, "more"),
      judge(
        "messages sent in the last second",
        last.sent + last.late - samples.at(-2)!.sent - samples.at(-2)!.late,
        { above: 0 },
      ),
    ],
  };
}

/** What happens when; its names are in the way where much is drawn. */
function shadesOf(seconds: number, named: boolean) {
  const cycles = Math.ceil(seconds / CYCLE_S);
  if (cycles * EVENTS.length > SHADED_MAX) return undefined;
  return Array.from({ length: cycles }, (_, cycle) =>
    EVENTS.map(({ what, from, to }) => ({
      what: named && cycle === 0 ? what : "",
      from: cycle * CYCLE_S + from,
      to: cycle * CYCLE_S + to,
    }))).flat().filter(({ from }) => from < seconds);
}
