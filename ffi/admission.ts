// What is done about streams that ask for more than their link has: C tells, from what they said
// of themselves (kernel/sched/feasible.c), and refuses where it is told to; the caller is warned
// here, once for each place in its code.

import process from "node:process";
import { fileURLToPath } from "node:url";
import { FLAG, LIMIT } from "./abi.ts";
import { failure, QError } from "./error.ts";
import type { Admission, StreamAttributes } from "./options.ts";

/** What C tells of a call that added or changed a stream, or a link's rate. */
interface Told {
  readonly utilisation_ppm: number;
  readonly flags: number;
}

/** What a link says to this. */
export interface AdmissionRule {
  /** Where a stream does not say. */
  readonly admission: Admission;
  /** Its device, "" for a link of this program's own. */
  readonly device: string;
}

/** What is judged. */
export interface Judged {
  readonly call: string;
  readonly doing: string;
  readonly link: AdmissionRule;
  /** Of the stream; none where a link's rate changed. */
  readonly attributes?: StreamAttributes;
}

/** The rule for a stream: its own, or its link's. */
export function admissionOf(link: AdmissionRule, attributes: StreamAttributes): Admission {
  return attributes.admission ?? link.admission;
}

const SITES_MAX = 1000; // places in the caller's code that are remembered
const warned = new Set<string>();
const ASK_LESS = "ask for less (a longer ipg, fewer bytes, a wider oln of old)";

/** The error of a stream that C refused for what it asks for; undefined for another. */
export function refusal(result: number, told: Told, judged: Judged): QError | undefined {
  const { call, doing } = judged;
  const { code, errno } = failure(call, result, doing);
  if (code !== "EBUSY" || !(told.flags & FLAG.QSOCKET_OVERBOOKED)) return;
  return new QError(
    call,
    errno,
    `Cannot ${doing} on ${place(judged)}: its streams would need ` +
      `${percent(told.utilisation_ppm)} (EBUSY); ${ASK_LESS}, raise the link's rate, ` +
      'or set admission to "warn"',
    told.utilisation_ppm / 1e6,
  );
}

/** Warns of what was let in though it may not work. */
export function warn(told: Told, judged: Judged): void {
  const { link, attributes = { ipg: 1, bytes: 1 } } = judged;
  if (told.flags === 0 || admissionOf(link, attributes) === "off") return;
  const { ipg = 0, bytes = 0, oln = 0, old = 0 } = attributes;
  if (told.flags & FLAG.QSOCKET_OVERBOOKED && ipg > 0 && bytes > 0) {
    warnOnce(
      "QSOCKETS_OVERBOOKED",
      `The streams of ${place(judged)} need ${percent(told.utilisation_ppm)}: some will lose ` +
        `more than they allow, or be late. Raise its rate, or ${ASK_LESS}. With admission ` +
        '"refuse" this is an error, with "off" nothing is said.',
    );
  }
  if (told.flags & FLAG.QSOCKET_UNEQUAL && ipg > 0 && oln < old) {
    warnOnce(
      "QSOCKETS_UNEQUAL_PERIODS",
      `The streams of ${place(judged)} have loss windows at different periods (ipg): its ` +
        'scheduler may break them even at low load. "vds" is for windows at any mix of periods; ' +
        'or give all the same ipg. With admission "off" nothing is said.',
    );
  }
}

function place({ link, attributes }: Judged): string {
  const name = link.device === "" ? "the link" : `link ${link.device}`;
  return attributes?.class === undefined ? name : `class ${attributes.class} of ${name}`;
}

/** "112.5 % of it"; a class that is guaranteed nothing has no such number. */
function percent(ppm: number): string {
  if (ppm >= LIMIT.QSOCKET_UTILISATION_PPM_MAX) return "more than it can promise";
  return `${Number((ppm / 1e4).toPrecision(15))} % of it`;
}

function warnOnce(code: string, message: string): void {
  const site = `${code} ${callSite()}`;
  if (warned.has(site)) return;
  if (warned.size >= SITES_MAX) warned.clear();
  warned.add(site);
  process.emitWarning(message, { type: "QSocketsWarning", code });
}

const folder = new URL(".", import.meta.url);
const folders = [folder.href, folder.pathname];
if (folder.protocol === "file:") folders.push(fileURLToPath(folder));

/** The line of the stack that called this library. */
function callSite(): string {
  const lines = new Error().stack?.split("\n").slice(1) ?? [];
  return lines.find((line) => !folders.some((folder) => line.includes(folder))) ??
    lines.join("\n");
}
