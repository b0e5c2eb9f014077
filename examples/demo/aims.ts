/** What dwcs is for, as claims that a run keeps or breaks, with the numbers that say so. */

import { type Kind, KINDS } from "./log.ts";
import type { RunReport } from "./measure.ts";

/** How much of the video must be decodable when it fits the link alone. */
const DECODABLE_MIN = 0.97;
/** By how much less of it fifo must bring. */
const WORSE_MIN = 0.1;

/** A claim, and whether the run kept it. */
export interface Aim {
  claim: string;
  met: boolean;
  /** The numbers it was judged by. */
  numbers: string;
}

/**
 * Judges the run with dwcs, beside the one with fifo. `fits` says whether the video alone fits the
 * link: if so nothing of it may be lost to the bulk transfer, if not the right frames must go.
 */
export function judgeAims(fifo: RunReport, dwcs: RunReport, fits: boolean): Aim[] {
  const { I } = dwcs.frames;
  const allI = aim(
    "every I frame arrives whole and in time",
    I.arrived - I.late === I.offered,
    `${I.arrived - I.late} of ${I.offered}`,
  );
  const whole = aim(
    "no partial frame on the wire",
    dwcs.partialFrames === 0,
    `${dwcs.partialFrames}, fifo ${fifo.partialFrames}`,
  );
  const late = aim(
    "no late frame",
    dwcs.lateFrames === 0,
    `${dwcs.lateFrames}, fifo ${fifo.lateFrames}`,
  );
  return fits
    ? [allI, whole, late, mostDecodable(dwcs), worse(fifo, dwcs)]
    : [allI, whole, late, lessOfP(dwcs), nothingUseless(dwcs)];
}

function mostDecodable({ decodable }: RunReport): Aim {
  return aim(
    `at least ${percent(DECODABLE_MIN)} of the frames can be decoded`,
    decodable >= DECODABLE_MIN,
    percent(decodable),
  );
}

function worse(fifo: RunReport, dwcs: RunReport): Aim {
  return aim(
    "fifo is clearly worse",
    fifo.decodable <= dwcs.decodable - WORSE_MIN,
    `${percent(fifo.decodable)} can be decoded`,
  );
}

function lessOfP({ frames }: RunReport): Aim {
  const lost = (kind: Kind) => {
    const { offered, arrived, late } = frames[kind];
    return offered === 0 ? 0 : 1 - (arrived - late) / offered;
  };
  return aim(
    "of the B frames at least as large a share is lost as of the P frames",
    lost("B") > 0 && lost("P") <= lost("B"),
    `lost: ${percent(lost("B"))} of B, ${percent(lost("P"))} of P`,
  );
}

function nothingUseless({ frames, decodable }: RunReport): Aim {
  const sum = (count: (kind: Kind) => number) => KINDS.reduce((all, kind) => all + count(kind), 0);
  const offered = sum((kind) => frames[kind].offered);
  const inTime = sum((kind) => frames[kind].arrived - frames[kind].late);
  const shown = Math.round(decodable * offered);
  return aim("what is sent can be decoded", shown >= inTime, `${shown} of ${inTime}`);
}

function aim(claim: string, met: boolean, numbers: string): Aim {
  return { claim, met, numbers };
}

/** A share as it is written: "97 %", "99.5 %". */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
