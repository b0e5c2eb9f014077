/** The devices that are initialised for all programs, as any program finds them. */

import { readFileSync } from "node:fs";
import { Link, QError } from "../../mod.ts";
import { asUsage } from "../command.ts";

/** A device that is initialised; without the rest where its owner lets this user open nothing. */
export interface Found {
  device: string;
  scheduler: string | null;
  rate: number | null;
  host: string | null;
  /** What kind of scheduler below the stack that is; null elsewhere. */
  gate: string | null;
  /** Open on it: of all programs, where the scheduler is below the stack. */
  streams: number | null;
}

/** Joins what is there; throws an error that says so where there is nothing. */
export function join(device: string): Link {
  try {
    return asUsage(() => new Link({ device, admission: "off" }));
  } catch (error) {
    // Without a scheduler on the device, a link would need a rate of its own.
    if (!(error instanceof QError) || error.code !== "EINVAL") throw error;
    const why = /, as (.*) \(EINVAL\)$/.exec(error.message)?.[1] ?? "it has no scheduler";
    if (why === "qsockinit has not initialised the device") {
      throw new Error(`${device} is not initialised: see "qsock init --help"`);
    }
    throw new Error(`${device} is not initialised: ${why}`);
  }
}

/** All there are, in the order in which the kernel has them. */
export function devices(): Found[] {
  // Not /sys/class/net: that may be another network namespace's.
  const lines = readFileSync("/proc/net/dev", "utf8").split("\n").slice(2);
  const names = lines.map((line) => line.split(":")[0].trim()).filter(Boolean);
  return names.flatMap((device): Found[] => {
    try {
      using link = join(device);
      const { scheduler, rate, host } = link;
      const { gate, streams } = link.info();
      return [{ device, scheduler, rate, host, gate, streams }];
    } catch (error) {
      const closed = error instanceof QError && error.code === "EACCES";
      const unknown = { scheduler: null, rate: null, host: null, gate: null, streams: null };
      return closed ? [{ device, ...unknown }] : [];
    }
  });
}
