/**
 * Publishes the same samples by each way of sending, one after the other, to a subscriber in a
 * process of its own, and shows what became of them side by side.
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { bitrate, StatusLine, table } from "../terminal.ts";
import { publish, type PublishOptions, type Sending } from "./publish.ts";

const COMPARED: readonly Sending[] = ["edf", "edf-lossless", "plain"];
const SUBSCRIBER = fileURLToPath(new URL("../sensor_subscriber.ts", import.meta.url));

/** What the subscriber prints of one run. */
interface Outcome {
  inTime: number;
  late: number;
  missing: number;
  delayMean: number;
  delayMax: number;
}

/** Compares; prints a table, or JSON. */
export async function compare(options: PublishOptions, json: boolean): Promise<void> {
  const status = new StatusLine();
  const subscriber = startSubscriber(COMPARED.length);
  const outcomes: (Outcome & { scheduler: Sending })[] = [];
  try {
    const port = await subscriber.port();
    for (const sending of COMPARED) {
      const to = { hostname: "127.0.0.1", port };
      status.show(`${sending}: ${options.seconds} s`);
      await publish({
        ...options,
        sending,
        to,
        progress: ({ seconds, samples }) =>
          status.show(
            `${sending}: ${seconds.toFixed(0)} of ${options.seconds} s, ${samples} samples`,
          ),
      });
      if (options.stopped.aborted) break;
      outcomes.push({ scheduler: sending, ...await subscriber.outcome() });
    }
  } finally {
    status.clear();
    subscriber.end();
  }
  if (json) console.log(JSON.stringify(outcomes));
  else if (outcomes.length > 0) console.log(comparison(options, outcomes));
}

function startSubscriber(runs: number) {
  const args = [SUBSCRIBER, "--listen", "127.0.0.1:0", "--runs", `${runs}`, "--json"];
  const child = spawn(process.execPath, process.versions.bun ? args : ["run", "-A", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: string[] = [];
  const outcomes: Outcome[] = [];
  let port: number | null = null;
  let gone = false;
  let changed = () => {};
  createInterface({ input: child.stdout }).on("line", (line) => {
    outcomes.push(JSON.parse(line));
    changed();
  });
  createInterface({ input: child.stderr }).on("line", (line) => {
    said.push(line);
    port = Number(/^listening on .*:(\d+)$/.exec(line)?.[1]) || port;
    changed();
  });
  child.on("close", () => {
    gone = true;
    changed();
  });
  /** Waits until there is an answer. */
  const until = async <T>(answer: () => T | null | undefined): Promise<T> => {
    for (;;) {
      const value = answer();
      if (value !== null && value !== undefined) return value;
      if (gone) {
        throw new Error(
          `Cannot compare: the subscriber ended early${said.map((line) => `\n  ${line}`)}`,
        );
      }
      await new Promise<void>((resolve) => changed = resolve);
    }
  };
  return {
    port: () => until(() => port),
    outcome: () => until(() => outcomes.shift()),
    end: () => child.kill("SIGTERM"),
  };
}

function comparison(
  options: PublishOptions,
  outcomes: readonly (Outcome & { scheduler: Sending })[],
): string {
  const { seconds, sensors, rate, load, seed } = options;
  const head = ["", ...outcomes.map(({ scheduler }) => scheduler)];
  const row = (name: string, cell: (outcome: Outcome) => number) => [name, ...outcomes.map(cell)];
  const all = ({ inTime, late, missing }: Outcome) => inTime + late + missing;
  return [
    `${seconds} s of samples from ${sensors} sensors, asking for ${load} times the ` +
    `${bitrate(rate)} of the link (seed ${seed})`,
    "",
    table(head, [
      row("samples", all),
      row("in time", ({ inTime }) => inTime),
      row("late", ({ late }) => late),
      row("never came", ({ missing }) => missing),
      row("in time, %", (outcome) => round(100 * outcome.inTime / Math.max(1, all(outcome)))),
      row("mean delay, ms", ({ delayMean }) => round(delayMean)),
      row("longest delay, ms", ({ delayMax }) => round(delayMax)),
    ]),
  ].join("\n");
}

function round(number: number): number {
  return Number(number.toFixed(1));
}
