// The lab itself, inside the network namespaces that run.mjs made for it: runs the experiments one
// after the other and writes the report after each, so that an interrupted lab leaves one too.
//
//     lab.ts JSON               `Order`; only run.mjs calls it

import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { mayHurry } from "./children.ts";
import { type Experiment, Missing, type Setting } from "./experiment.ts";
import { EXPERIMENTS } from "./experiments.ts";
import { page, picture, slug } from "./page.ts";
import { clear } from "./path.ts";
import { type Chapter, type Circumstances, jsonReport, machine, tell } from "./report.ts";

/** What run.mjs asks for. */
interface Order {
  quick: boolean;
  only: string[];
  seed: number;
  json: string | null;
  out: string;
  figures: string | null;
  soak: number | null;
  scratch: string;
  video: string | null;
  receiver: string;
  idler: string;
  command: string;
  commit: string | null;
  list?: boolean;
}

const EXIT_USAGE = 2;
const EXIT_ABANDONED = 130;

const order: Order = JSON.parse(process.argv[2]);
if (order.list) {
  for (const { name, title } of EXPERIMENTS) console.log(`  ${name.padEnd(14)} ${title}`);
} else {
  // Our namespaces end with us, and so with run.mjs, whose end is that of our input.
  process.stdin.on("end", () => process.exit(EXIT_ABANDONED)).on("error", () => {}).resume();
  process.exitCode = await main();
}
process.exit();

async function main(): Promise<number> {
  const unknown = order.only.find((name) => EXPERIMENTS.every((it) => it.name !== name));
  if (unknown !== undefined) {
    const names = EXPERIMENTS.map(({ name }) => name).join(", ");
    console.error(`There is no experiment "${unknown}"; there are: ${names}.`);
    return EXIT_USAGE;
  }
  const chosen = EXPERIMENTS.filter(({ name }) =>
    order.only.length > 0 ? order.only.includes(name) : name !== "soak" || order.soak !== null
  );
  const circumstances: Circumstances = {
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    command: order.command,
    seed: order.seed,
    quick: order.quick,
    soak: order.soak,
    machine: machine(),
    commit: order.commit,
    load: Number(loadavg()[0].toFixed(1)),
    hurried: mayHurry(),
  };
  const chapters: Chapter[] = [];
  mkdirSync(order.out, { recursive: true });
  for (const [i, experiment] of chosen.entries()) {
    const why = whyNot(experiment);
    const after = chosen.slice(i + 1).filter((it) => whyNot(it) === null);
    chapters.push(why === null ? await runOne(experiment, after) : leftOut(experiment, why));
    write(circumstances, chapters);
  }
  console.log(`report ${join(order.out, "index.html")}`);
  return chapters.some(({ failure, skipped }) => failure !== null && !skipped) ? 1 : 0;
}

/** Why a quick run does without it, unless it is asked for by name. */
function whyNot({ name, notQuick }: Experiment): string | null {
  if (notQuick === undefined || !order.quick || order.only.length > 0) return null;
  return `${notQuick}; npm run lab -- --quick --only ${name}`;
}

function leftOut({ name, title, reproduces }: Experiment, why: string): Chapter {
  console.error(`${name} is left out: ${why}`);
  return { experiment: { name, title, reproduces }, figures: [], failure: why, skipped: true };
}

async function runOne(experiment: Experiment, after: readonly Experiment[]): Promise<Chapter> {
  const { name, title, reproduces } = experiment;
  const setting: Setting = {
    quick: order.quick,
    seed: order.seed,
    soak: order.soak,
    scratch: order.scratch,
    film: order.video,
    receiver: order.receiver,
    idler: order.idler,
    progress: (what, left) => progress(`${name}: ${what}`, left + sum(after, setting)),
  };
  progress(name, experiment.seconds(setting) + sum(after, setting));
  const begun = performance.now();
  try {
    const figures = await experiment.run(setting);
    for (const figure of figures) console.log(`${tell(figure)}\n`);
    console.error(`${name}: done in ${((performance.now() - begun) / 1000).toFixed(0)} s`);
    return { experiment: { name, title, reproduces }, figures, failure: null, skipped: false };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    const skipped = error instanceof Missing;
    const words = `${name} ${skipped ? "is left out" : "FAILED"}: ${failure}`;
    console.error(process.env.DEBUG ? error : words);
    return { experiment: { name, title, reproduces }, figures: [], failure, skipped };
  } finally {
    clear();
  }
}

function sum(experiments: readonly Experiment[], setting: Setting): number {
  return experiments.reduce((all, { seconds }) => all + seconds(setting), 0);
}

function progress(what: string, secondsLeft: number): void {
  const minutes = Math.floor(secondsLeft / 60);
  const left = minutes > 0 ? `${minutes} min ` : "";
  console.error(`${what} (about ${left}${Math.round(secondsLeft % 60)} s left)`);
}

function write(circumstances: Circumstances, chapters: readonly Chapter[]): void {
  const json = `${JSON.stringify(jsonReport(circumstances, chapters), null, 1)}\n`;
  writeFileSync(join(order.out, "report.json"), json);
  if (order.json !== null) writeFileSync(order.json, json);
  writeFileSync(join(order.out, "index.html"), page(circumstances, chapters));
  if (order.figures !== null) writeFigures(order.figures, circumstances, chapters);
}

/** Each figure that README.md shows as a file of its own. */
function writeFigures(
  folder: string,
  circumstances: Circumstances,
  chapters: readonly Chapter[],
): void {
  mkdirSync(folder, { recursive: true });
  for (const { experiment, figures } of chapters) {
    for (
      const figure of figures.filter(({ panels, reportOnly }) => panels.length > 0 && !reportOnly)
    ) {
      const svg = picture(figure, circumstances, experiment.name);
      writeFileSync(join(folder, `${slug(figure.figure)}.svg`), svg);
    }
  }
}
