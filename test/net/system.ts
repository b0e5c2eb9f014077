// A device for all processes, as the tests of it ask for one.

import { readFileSync, writeFileSync } from "node:fs";
import { Link, type LinkOptions, QError } from "../../mod.ts";
import { DEVICE, states } from "./network.ts";

export const RATE = 1_250_000;
/** What of it is the managed sockets'. */
export const MANAGED = RATE - RATE / 16;
export const SYSTEM = { device: DEVICE, rate: RATE, scheduler: "edf", system: true } as const;

export function initialise(options: Partial<LinkOptions> = {}): Link {
  return new Link({ ...SYSTEM, host: "isolated", ...options });
}

/** What a failing call says. */
export function refusal(call: () => unknown): { code: string; message: string } {
  try {
    call();
  } catch (error) {
    if (error instanceof QError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it did not fail");
}

/** Changes the only state file there is. */
export function damage(change: (state: Buffer) => void): void {
  const file = `/run/qsockets/${states()[0]}`;
  const state = readFileSync(file);
  change(state);
  writeFileSync(file, state);
}
