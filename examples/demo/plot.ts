/**
 * The plot: frames per second of both runs, the delay of every frame, and what was dropped and
 * why. ECharts draws it as SVG without a browser.
 *
 * Colours are those of Okabe and Ito, which remain apart for colour-blind readers; frames differ
 * in shape too.
 */

import * as echarts from "echarts";
import { type Burst, type Kind, KINDS } from "./log.ts";
import type { Fate, RunReport } from "./measure.ts";

/** What is plotted of a run. */
export interface PlottedRun {
  report: RunReport;
  fates: readonly Fate[];
  /** Received bulk transfer, bytes per second, by second. */
  bulk: readonly number[];
}

/** What both runs share. */
export interface PlotFacts {
  seconds: number;
  /** The source's frames per second. */
  fps: number;
  /** The latency budget, ms. */
  latency: number;
  bursts: readonly Burst[];
}

const WIDTH = 1000;
const HEIGHT = 1190;
/** A panel without a legend has its heading so much nearer. */
const HEADING_ONLY = 26;
/** Left and right edge of the panels, and the middle gap where two stand side by side. */
const LEFT = 64;
const RIGHT = 24;
const GAP = 64;
/** Top and height of each row of panels. */
const ROWS = {
  fps: { top: 78, height: 210 },
  bulk: { top: 346, height: 110 },
  delay: { top: 566, height: 270 },
  drops: { top: 946, height: 190 },
};
const INK = "#222222";
const FAINT = "#666666";
const FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif";
const RUN_COLOURS = ["#d55e00", "#0072b2"];
const KIND_MARKS: Record<Kind, { colour: string; symbol: string; size: number }> = {
  I: { colour: "#222222", symbol: "diamond", size: 9 },
  P: { colour: "#009e73", symbol: "triangle", size: 7 },
  B: { colour: "#56b4e9", symbol: "circle", size: 4 },
};
/** Frames without a delay, as a row of strokes above the delays. */
const MISSING = { name: "lost or partial", colour: "#d55e00", size: [1.5, 9] };
const REASON_COLOURS: Record<string, string> = {
  overflow: "#d55e00",
  expired: "#e69f00",
  window: "#56b4e9",
  dependency: "#999999",
  frame: "#cc79a7",
  error: "#222222",
  closed: "#f0e442",
};

/** Draws the plot; returns the text of an SVG file. */
export function plot(runs: readonly PlottedRun[], facts: PlotFacts): string {
  const chart = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: HEIGHT,
  });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: FONT, color: INK },
    ...panels(runs, facts),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function panels(runs: readonly PlottedRun[], facts: PlotFacts): echarts.EChartsCoreOption {
  const half = (WIDTH - LEFT - RIGHT - GAP * (runs.length - 1)) / runs.length;
  const sides = runs.map((_, i) => ({ left: LEFT + i * (half + GAP), width: half }));
  const full = { left: LEFT, right: RIGHT };
  return {
    title: [
      heading("Frames that can be shown, per second", ROWS.fps.top),
      heading("Bulk transfer received", ROWS.bulk.top + HEADING_ONLY),
      ...runs.map((run, i) =>
        heading(`Delay of each frame: ${run.report.scheduler}`, ROWS.delay.top, sides[i].left)
      ),
      heading("Frames dropped by the scheduler, by reason", ROWS.drops.top),
    ],
    legend: [
      legend(runs.map(({ report }) => report.scheduler), ROWS.fps.top, "roundRect"),
      legend([...KINDS, MISSING.name], ROWS.delay.top),
      legend(reasonsOf(runs), ROWS.drops.top, "roundRect"),
    ],
    grid: [
      { ...ROWS.fps, ...full },
      { ...ROWS.bulk, ...full },
      ...sides.map((side) => ({ ...ROWS.delay, ...side })),
      { ...ROWS.drops, ...full, left: LEFT + 16 },
    ],
    xAxis: [
      timeAxis(0, facts, ""),
      timeAxis(1, facts),
      ...runs.map((_, i) => timeAxis(2 + i, facts)),
      { ...axis(2 + runs.length, "frames", 28), type: "value", minInterval: 1 },
    ],
    yAxis: [
      {
        ...axis(0, "frames/s", 40),
        type: "value",
        min: 0,
        max: Math.ceil(facts.fps * 1.1 / 5) * 5,
      },
      { ...axis(1, "Mbit/s", 40), type: "value", min: 0, splitNumber: 3 },
      ...runs.map((_, i) => ({
        ...axis(2 + i, "ms", 44),
        type: "value",
        min: 0,
        max: delayMax(runs, facts),
      })),
      {
        ...axis(2 + runs.length, "", 0),
        type: "category",
        inverse: true,
        data: barNames(runs),
        splitLine: { show: false },
      },
    ],
    series: [
      ...runs.flatMap((run, i) => [fpsLine(run, i, facts), bulkLine(run, i, facts)]),
      ...runs.flatMap((run, i) => KINDS.map((kind) => delays(run, i, kind, facts))),
      ...runs.map((run, i) => missing(run, i, delayMax(runs, facts))),
      ...reasonsOf(runs).map((reason) => drops(runs, reason)),
    ],
  };
}

function heading(text: string, top: number, left = LEFT): Record<string, unknown> {
  return { text, left: left - 6, top: top - 58, textStyle: { fontSize: 15, color: INK } };
}

function legend(data: string[], top: number, icon?: string): Record<string, unknown> {
  return {
    data,
    icon,
    left: LEFT - 6,
    top: top - 34,
    padding: [4, 5],
    itemWidth: 14,
    itemHeight: 10,
    textStyle: { fontSize: 12, color: INK },
  };
}

function axis(gridIndex: number, name: string, nameGap: number): Record<string, unknown> {
  return {
    gridIndex,
    name,
    nameGap,
    nameLocation: "middle",
    nameTextStyle: { color: FAINT, fontSize: 12 },
    axisLabel: { color: FAINT, fontSize: 11 },
    axisLine: { lineStyle: { color: FAINT } },
    splitLine: { lineStyle: { color: "#e8e8e8" } },
  };
}

function timeAxis(gridIndex: number, { seconds }: PlotFacts, name = "seconds") {
  const base = axis(gridIndex, name, 28);
  return { ...base, type: "value", min: 0, max: seconds, splitLine: { show: false } };
}

/** Both delay panels have one scale: to above the largest delay, and to above the deadline. */
function delayMax(runs: readonly PlottedRun[], { latency }: PlotFacts): number {
  let largest = latency;
  for (const { fates } of runs) {
    for (const { delay } of fates) largest = Math.max(largest, delay ?? 0);
  }
  return Math.ceil(largest * 1.1 / 50) * 50;
}

/** Where the link was overloaded, as a shade behind a panel. */
function shade({ bursts }: PlotFacts, label: boolean) {
  return {
    silent: true,
    itemStyle: { color: "#000000", opacity: 0.06 },
    label: { show: label, position: "insideBottom", color: FAINT, fontSize: 11 },
    data: bursts.map(([from, to]) => [
      { xAxis: from / 1000, name: "bulk transfer" },
      { xAxis: to / 1000 },
    ]),
  };
}

function line(at: number, text: string, position: string) {
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: FAINT, type: "dashed", width: 1 },
    label: { formatter: text, position, color: FAINT, fontSize: 11, backgroundColor: "#ffffffcc" },
    data: [{ yAxis: at }],
  };
}

/** Each second as a level stretch, drawn to the second's end. */
function steps(values: readonly number[], seconds: number): [number, number][] {
  const points = values.map((value, i): [number, number] => [i, value]);
  if (values.length > 0) points.push([seconds, values[values.length - 1]]);
  return points;
}

function fpsLine({ report }: PlottedRun, i: number, facts: PlotFacts) {
  return {
    ...runLine(report.scheduler, i),
    xAxisIndex: 0,
    yAxisIndex: 0,
    data: steps(report.fps, facts.seconds),
    ...(i === 0 && { markArea: shade(facts, true) }),
  };
}

function bulkLine({ report, bulk }: PlottedRun, i: number, facts: PlotFacts) {
  return {
    ...runLine(report.scheduler, i),
    xAxisIndex: 1,
    yAxisIndex: 1,
    data: steps(bulk.map((bytes) => bytes * 8 / 1e6), facts.seconds),
    ...(i === 0 && { markArea: shade(facts, false) }),
  };
}

function runLine(name: string, i: number) {
  const color = RUN_COLOURS[i % RUN_COLOURS.length];
  return {
    name,
    type: "line",
    step: "end",
    symbol: "none",
    color,
    lineStyle: { color, width: 2.5 },
  };
}

function delays({ fates }: PlottedRun, i: number, kind: Kind, facts: PlotFacts) {
  const { colour, symbol, size } = KIND_MARKS[kind];
  return {
    name: kind,
    type: "scatter",
    xAxisIndex: 2 + i,
    yAxisIndex: 2 + i,
    color: colour,
    symbol,
    symbolSize: size,
    itemStyle: { opacity: 0.85 },
    data: fates.filter((fate) => fate.kind === kind && fate.delay !== null)
      .map(({ dts, delay }) => [dts / 1000, delay]),
    ...(kind === "I" && {
      markArea: shade(facts, false),
      markLine: line(facts.latency, `deadline ${facts.latency} ms`, "insideEndTop"),
    }),
  };
}

function missing({ fates }: PlottedRun, i: number, top: number) {
  return {
    name: MISSING.name,
    type: "scatter",
    xAxisIndex: 2 + i,
    yAxisIndex: 2 + i,
    color: MISSING.colour,
    symbol: "rect",
    symbolSize: MISSING.size,
    data: fates.filter(({ delay }) => delay === null).map(({ dts }) => [dts / 1000, top * 0.97]),
  };
}

function barNames(runs: readonly PlottedRun[]): string[] {
  return runs.flatMap(({ report }) => KINDS.map((kind) => `${report.scheduler} ${kind}`));
}

function reasonsOf(runs: readonly PlottedRun[]): string[] {
  const used = new Set(
    runs.flatMap(({ report }) => KINDS.flatMap((kind) => Object.keys(report.frames[kind].dropped))),
  );
  return Object.keys(REASON_COLOURS).filter((reason) => used.has(reason));
}

function drops(runs: readonly PlottedRun[], reason: string) {
  const index = 2 + runs.length;
  return {
    name: reason,
    type: "bar",
    stack: "drops",
    xAxisIndex: index,
    yAxisIndex: index,
    barWidth: 16,
    color: REASON_COLOURS[reason],
    label: { show: true, fontSize: 11, color: INK, formatter: visible },
    data: runs.flatMap(({ report }) =>
      KINDS.map((kind) => (report.frames[kind].dropped as Record<string, number>)[reason] ?? 0)
    ),
  };
}

/** The number on a piece of a bar, unless it is none. */
function visible({ value }: { value: number }): string {
  return value > 0 ? String(value) : "";
}
