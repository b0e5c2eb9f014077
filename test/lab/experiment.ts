// What an experiment is and what it leaves: figures, made of panels and tables, and aims that were
// met or missed. Everything in the report (report.ts, page.ts) is made of these.

/** Numbers over numbers, or over the names of `Panel.categories`, by their index. */
export interface Series {
  name: string;
  points: [x: number, y: number | null][];
  /** How it is drawn. Default "line". */
  as?: "line" | "step" | "dots" | "bars";
  colour?: string;
}

/** One system of axes. */
export interface Panel {
  title: string;
  /** The axes' names, with their units. */
  x: string;
  y: string;
  series: Series[];
  /** Names of the places on the x axis, where those are no numbers. */
  categories?: string[];
  xMax?: number;
  yMin?: number;
  yMax?: number;
  log?: boolean;
  /** Stretches of x that are shaded, and what they are. */
  shaded?: { what: string; from: number; to: number }[];
  /** A level that is drawn across. */
  level?: { at: number; what: string };
  /** Pixels. */
  height?: number;
}

export interface Table {
  title: string;
  head: string[];
  rows: string[][];
}

/** What was to be reached, in words and numbers, and what was. */
export interface Aim {
  name: string;
  aim: string;
  measured: string;
  met: boolean;
}

export interface Figure {
  /** As the paper counts, where it has it: "Figure 4". */
  figure: string;
  title: string;
  /** What the paper found, where it measured the same; and what was found here, in a sentence. */
  paper?: string;
  found: string;
  /** What was measured, and how: a sentence each. */
  facts: string[];
  panels: Panel[];
  /** One more of a kind: the report has it, but it is not written as a file of its own. */
  reportOnly?: boolean;
  tables: Table[];
  aims: Aim[];
}

/** What a run of the lab gives every experiment. */
export interface Setting {
  quick: boolean;
  seed: number;
  /** A folder for what is needed only while the lab runs. */
  scratch: string;
  /** The lab's programs in C, compiled: receiver.c, idler.c. */
  receiver: string;
  idler: string;
  /** The video file that was asked for, if one was. */
  film: string | null;
  /** For a soak, how long, minutes; else null. */
  soak: number | null;
  /** Tells what is going on, and for how many seconds more of this experiment. */
  progress: (what: string, secondsLeft: number) => void;
}

export interface Experiment {
  name: string;
  title: string;
  /** What of the paper it repeats, or what it answers. */
  reproduces: string;
  /** Why it is no part of a quick run that does not name it. */
  notQuick?: string;
  /** How long it will take, in seconds. */
  seconds: (setting: Setting) => number;
  run: (setting: Setting) => Promise<Figure[]>;
}

/** An experiment that cannot be run on this machine, which lacks what the message says: no failure. */
export class Missing extends Error {}

/** What a number is not to exceed, to reach, to stay below or above. */
export type Bound =
  | { atMost: number }
  | { atLeast: number }
  | { below: number }
  | { above: number };

/** Judges a number by its bound. NaN and infinities, what is left where nothing arrived, are misses. */
export function judge(name: string, measured: number, bound: Bound, unit = ""): Aim {
  const written = (value: number) => `${Number(value.toPrecision(3))} ${unit}`.trim();
  const [aim, met] = "atMost" in bound
    ? [`at most ${written(bound.atMost)}`, measured <= bound.atMost]
    : "atLeast" in bound
    ? [`at least ${written(bound.atLeast)}`, measured >= bound.atLeast]
    : "below" in bound
    ? [`below ${written(bound.below)}`, measured < bound.below]
    : [`above ${written(bound.above)}`, measured > bound.above];
  const measurable = Number.isFinite(measured);
  return {
    name,
    aim,
    measured: measurable ? written(measured) : "nothing to measure",
    met: measurable && met,
  };
}
