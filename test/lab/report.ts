// The report as JSON, and the words in which figures are told on a terminal.

import { cpus, release, totalmem } from "node:os";
import process from "node:process";
import type { Aim, Experiment, Figure, Series } from "./experiment.ts";

/** What all figures of a report have in common. */
export interface Circumstances {
  date: string;
  /** The command that makes the report again. */
  command: string;
  seed: number;
  quick: boolean;
  /** Of a long run, minutes. */
  soak: number | null;
  machine: string;
  /** Of the library, as git names it, with "-dirty" where files differ; null without git. */
  commit: string | null;
  /** The machine's load average before: of what others did there. */
  load: number;
  /** Senders ran before whatever else the machine does. */
  hurried: boolean;
}

/** One experiment's part of the report. */
export interface Chapter {
  experiment: Pick<Experiment, "name" | "title" | "reproduces">;
  figures: Figure[];
  /** Why it has no figures, if it could not be run. */
  failure: string | null;
  /** It was left out, as the machine lacks what `failure` says; else it broke. */
  skipped: boolean;
}

export interface JsonFigure {
  experiment: string;
  figure: string;
  title: string;
  paper: string | null;
  found: string;
  facts: string[];
  /** Makes this figure again. */
  command: string;
  series: (Series & { panel: string; x: string; y: string })[];
  tables: Figure["tables"];
  aims: Aim[];
}

export interface JsonReport extends Circumstances {
  figures: JsonFigure[];
  failures: { experiment: string; why: string; skipped: boolean }[];
}

/** The report as `--json` and report.json have it. */
export function jsonReport(
  circumstances: Circumstances,
  chapters: readonly Chapter[],
): JsonReport {
  return {
    ...circumstances,
    figures: chapters.flatMap(({ experiment, figures }) =>
      figures.map(({ figure, title, paper = null, found, facts, panels, tables, aims }) => ({
        experiment: experiment.name,
        figure,
        title,
        paper,
        found,
        facts,
        command: again(circumstances, experiment.name),
        series: panels.flatMap(({ title: panel, x, y, series, categories }) =>
          series.map((it) => ({ ...it, panel, x: categories ? categories.join(" | ") : x, y }))
        ),
        tables,
        aims,
      }))
    ),
    failures: chapters.flatMap(({ experiment, failure, skipped }) =>
      failure === null ? [] : [{ experiment: experiment.name, why: failure, skipped }]
    ),
  };
}

/** The command that makes one experiment's figures again. */
export function again({ seed, quick, soak }: Circumstances, experiment: string): string {
  const what = experiment === "soak" && soak !== null ? `--soak ${soak}` : `--only ${experiment}`;
  return `npm run lab -- ${what} --seed ${seed}${quick ? " --quick" : ""}`;
}

/** A figure's tables and aims, for a terminal. */
export function tell({ figure, title, found, tables, aims }: Figure): string {
  const lines = [`${figure}: ${title}`, `  ${found}`];
  for (const { title, head, rows } of tables) {
    const all = [[title, ...head.slice(1)], ...rows];
    const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
    for (const row of all) {
      const cells = row.map((cell, i) =>
        i === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[i])
      );
      lines.push(`  ${cells.join("  ")}`);
    }
  }
  for (const { name, aim, measured, met } of aims) {
    lines.push(`  ${met ? "met   " : "MISSED"} ${name}: ${measured} (aim: ${aim})`);
  }
  return lines.join("\n");
}

/** Where, when and of what a report was made, in a line. */
export function circumstancesOf({ machine, date, commit, load, seed }: Circumstances): string {
  const of = commit === null ? [] : [`commit ${commit}`];
  return [machine, date, ...of, `load average before ${load}`, `seed ${seed}`].join("; ");
}

/** The machine, as far as it matters to what was measured. */
export function machine(): string {
  const all = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const { bun, deno } = process.versions;
  const runtime = deno ? `Deno ${deno}` : `Bun ${bun}`;
  return `${all.length} x ${
    all[0]?.model ?? process.arch
  }, ${memory}, Linux ${release()}, ${runtime}`;
}
