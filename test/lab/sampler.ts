// Publishes aperiodic samples (examples/sensors) by one way of sending, as a program of its own.
//
//     sampler.ts PLAN           a JSON text, `SamplerPlan`
//     stdout  ready
//     stdin   a line            begin
//     stdout  {...}             what the sender knows of their fate; then it ends

import process from "node:process";
import { createInterface } from "node:readline";
import { publish, type PublishOptions } from "../../examples/sensors/publish.ts";

/** What is published, and how. */
export type SamplerPlan = Omit<PublishOptions, "stopped" | "progress">;

const plan: SamplerPlan = JSON.parse(process.argv[2]);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log("ready");
await input.next();
const published = await publish({ ...plan, stopped: new AbortController().signal });
process.stdout.write(`${JSON.stringify(published)}\n`, () => process.exit());
