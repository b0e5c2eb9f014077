/**
 * Receives the samples of sensor_publisher.ts, and counts how many came in time, late or not at all.
 *
 * 	bun examples/sensor_subscriber.ts --listen 127.0.0.1:5010
 */

import { type Command, readAddress, run } from "./command.ts";
import { addressText, openInbox } from "./inbox.ts";
import { type Row, Subscriber } from "./sensors/subscriber.ts";
import type { Counts, Tally } from "./sensors/tally.ts";
import { table } from "./terminal.ts";

const command: Command = {
  file: "sensor_subscriber.ts",
  operands: "",
  summary: "Receives samples and counts those in time, late and missing.",
  options: {
    listen: {
      takes: "HOST:PORT",
      help: "Where to receive; port 0 takes a free one.",
      default: "127.0.0.1:5010",
    },
    runs: {
      takes: "N",
      help: "Publishers to wait for, one after the other; 0 waits for ever.",
      default: "1",
    },
    interval: { takes: "SECONDS", help: "Show counts this often; 0 never.", default: "5" },
    idle: {
      takes: "SECONDS",
      help: "A run ends when nothing came for so long, should its end be lost.",
      default: "10",
    },
    json: { help: "Print each run as one line of JSON instead of a table." },
  },
  notes:
    "It ends when the publisher does, or with Ctrl-C. Both must run on one machine: deadlines\n" +
    "are compared on its monotonic clock.",
};

await run(command, async (args, stopped) => {
  const listen = await readAddress(args.text("listen"), "--listen", 0);
  const runs = args.whole("runs", { least: 0, most: 1e9 })!;
  const intervalMs = args.number("interval", { least: 0, most: 86400, unit: " seconds" })! * 1000;
  const socket = await openInbox(listen);
  console.error(`listening on ${addressText(socket)}`);
  const subscriber = new Subscriber(socket, {
    intervalMs,
    idleMs: args.number("idle", { least: 0.1, most: 86400, unit: " seconds" })! * 1000,
    onRow: (row) => {
      if (!args.has("json")) console.error(rowLine(row));
    },
    stopped,
  });
  try {
    for (let done = 0; !stopped.aborted && (runs === 0 || done < runs); done++) {
      const received = await subscriber.receive();
      if (!received) break;
      const { tally, rows } = received;
      if (args.has("json")) console.log(JSON.stringify(summary(tally, rows)));
      else console.log(`\n${rowsTable(tally, rows)}`);
    }
  } finally {
    socket.close();
  }
});

function summary(tally: Tally, rows: readonly Row[]): unknown {
  const { total, duplicates } = tally;
  return { ...plain(total), duplicates, intervals: rows.map((row) => ({ ...row, ...plain(row) })) };
}

/** Counts with the mean delay instead of the sum. */
function plain({ inTime, late, missing, delaySum, delayMax }: Counts) {
  const came = inTime + late;
  return { inTime, late, missing, delayMean: came > 0 ? delaySum / came : 0, delayMax };
}

function rowLine(row: Row): string {
  const { inTime, late, missing } = row;
  return `${row.to.toFixed(1)} s: ${inTime} in time, ${late} late, ${missing} missing`;
}

function rowsTable(tally: Tally, rows: readonly Row[]): string {
  const head = ["seconds", "samples", "in time", "late", "missing", "in time %", "mean delay ms"];
  const cells = (name: string, counts: Counts) => {
    const { inTime, late, missing, delayMean } = plain(counts);
    const samples = inTime + late + missing;
    const share = Number((100 * inTime / Math.max(1, samples)).toFixed(1));
    return [name, samples, inTime, late, missing, share, Number(delayMean.toFixed(1))];
  };
  return table(head, [
    ...rows.map((row) => cells(`${row.from.toFixed(1)} - ${row.to.toFixed(1)}`, row)),
    cells("all", tally.total),
  ]);
}
