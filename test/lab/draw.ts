// Draws a figure's panels, one below the other, as SVG, with ECharts and without a browser.
//
// Colours are those of Okabe and Ito, which remain apart for colour-blind readers. A legend is
// drawn only where a panel has several series: else its heading says what it shows.

import * as echarts from "echarts";
import type { Panel, Series } from "./experiment.ts";

const WIDTH = 1000;
const LEFT = 76;
const RIGHT = 52; // what a level means stands there
const HEIGHT_DEFAULT = 240;
/** Above the axes: the heading, and a row of the legend; below them: the axis's numbers and name. */
const HEADING = 34;
const LEGEND_ROW = 26;
const FOOT = 58;
const LEGEND_WIDTH = 780;
const LEGEND_ROW_MAX = 5; // series
const DOT_SIZE = 4;
/** Of the width: shaded stretches that are no further apart have their names in rows of their own. */
const NEAR = 0.1;
const INK = "#222222";
const FAINT = "#666666";
const FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif";
export const COLOURS = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#222222",
  "#f0e442",
];
/** Of the same series in shape, so that no one needs the colours. */
const SYMBOLS = ["circle", "triangle", "rect", "diamond", "roundRect", "pin", "arrow"];

/** Draws the panels; returns the text of an SVG file. */
export function draw(panels: readonly Panel[]): string {
  const tops: number[] = [];
  let height = 0;
  for (const panel of panels) {
    height += HEADING + legendHeight(panel);
    tops.push(height);
    height += (panel.height ?? HEIGHT_DEFAULT) + FOOT;
  }
  const size = { width: WIDTH, height };
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, ...size });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: FONT, color: INK },
    title: panels.map((panel, i) => heading(panel, tops[i])),
    legend: panels.flatMap((panel, i) =>
      panel.series.length > 1 ? [legend(panel, i, tops[i])] : []
    ),
    grid: panels.map((panel, i) => ({
      left: LEFT,
      right: RIGHT,
      top: tops[i],
      height: panel.height ?? HEIGHT_DEFAULT,
    })),
    xAxis: panels.map(xAxis),
    yAxis: panels.map(yAxis),
    series: panels.flatMap((panel, i) => panel.series.map((it, j) => series(panel, i, it, j))),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return plainer(svg);
}

/** A dot as ECharts draws it, of a series: up to its place, its colour, and the end. */
const DOT =
  /<path d="M1 0A[^"]*" transform="matrix\([\d.]+,0,0,[\d.]+,([\d.]+),([\d.]+)\)" fill="([^"]+)" fill-opacity="([\d.]+)" ecmeta_series_index="(\d+)"[^>]*><\/path>\n?/g;

/** The same picture without what a pointer would do to it, and with the dots of a series as one path. */
function plainer(svg: string): string {
  const dots = new Map<string, { colour: string; opacity: string; path: string }>();
  return svg
    // Its own width would hold against the page's.
    .replace(/^<svg width="\d+" height="\d+"/, "<svg")
    .replace(DOT, (_, x, y, colour, opacity, series) => {
      const first = !dots.has(series);
      const known = dots.get(series) ?? { colour, opacity, path: "" };
      known.path += `M${Number(x).toFixed(1)} ${Number(y).toFixed(1)}h.1`;
      dots.set(series, known);
      return first ? `<!--${series}-->` : "";
    })
    .replace(/<!--(\d+)-->/g, (_, series) => {
      const { colour, opacity, path } = dots.get(series)!;
      return `<path d="${path}" fill="none" stroke="${colour}" stroke-opacity="${opacity}" ` +
        `stroke-width="${DOT_SIZE}" stroke-linecap="round"/>\n`;
    })
    .replace(/<style >.*?<\/style>\s*/s, "")
    .replace(/ (class|ecmeta_\w+|pointer-events)="[^"]*"/g, "");
}

function legendHeight({ series }: Pick<Panel, "series">): number {
  if (series.length < 2) return 0;
  return LEGEND_ROW * (series.length > LEGEND_ROW_MAX ? 2 : 1);
}

function heading({ title, series }: Panel, top: number) {
  return {
    text: title,
    left: LEFT - 6,
    top: top - HEADING - legendHeight({ series }) + 4,
    textStyle: { fontSize: 15, color: INK },
  };
}

/** ECharts tells series of one chart apart by name, so names are made the panel's own. */
function legend({ series }: Panel, i: number, top: number) {
  return {
    // As it is drawn: what has no symbol has none here.
    data: series.map(({ name, as }) => ({
      name: `${i}:${name}`,
      ...(as === "step" && { icon: "rect" }),
    })),
    formatter: (name: string) => name.slice(name.indexOf(":") + 1),
    left: LEFT - 6,
    top: top - legendHeight({ series }),
    width: LEGEND_WIDTH,
    padding: [2, 5],
    itemWidth: 20,
    itemHeight: 10,
    itemGap: series.length > LEGEND_ROW_MAX ? LEGEND_ROW - 12 : 30,
    textStyle: { fontSize: 12, color: INK },
  };
}

function xAxis(panel: Panel, gridIndex: number) {
  const base = { ...axis(gridIndex, panel.x, 30), splitLine: { show: false } };
  const axisLabel = { ...base.axisLabel, interval: 0 }; // each is named, or it is not known what it is
  return panel.categories
    ? {
      ...base,
      type: "category",
      data: panel.categories,
      axisTick: { alignWithLabel: true },
      axisLabel,
    }
    : { ...base, type: "value", min: 0, max: panel.xMax };
}

function yAxis(panel: Panel, gridIndex: number) {
  return {
    ...axis(gridIndex, panel.y, 52),
    type: panel.log ? "log" : "value",
    min: panel.yMin ?? (panel.log ? undefined : 0),
    max: panel.yMax,
    splitNumber: (panel.height ?? HEIGHT_DEFAULT) < 180 ? 3 : 5,
  };
}

function axis(gridIndex: number, name: string, nameGap: number) {
  return {
    gridIndex,
    name,
    nameGap,
    nameLocation: "middle",
    nameTextStyle: { color: FAINT, fontSize: 12 },
    axisLabel: { color: FAINT, fontSize: 11 },
    axisLine: { show: true, lineStyle: { color: FAINT } },
    splitLine: { lineStyle: { color: "#e8e8e8" } },
  };
}

function series(panel: Panel, i: number, { name, points, as = "line", colour }: Series, j: number) {
  const color = colour ?? COLOURS[j % COLOURS.length];
  const symbol = SYMBOLS[j % SYMBOLS.length];
  return {
    name: `${i}:${name}`,
    xAxisIndex: i,
    yAxisIndex: i,
    color,
    data: points,
    ...shape(as, symbol),
    ...(as === "line" || as === "step") && { lineStyle: { color, width: 2 } },
    ...(j === 0 && panel.shaded && { markArea: shades(panel.shaded, panel.xMax) }),
    ...(j === 0 && panel.level && { markLine: level(panel.level) }),
  };
}

function shape(as: Series["as"], symbol: string) {
  if (as === "dots") {
    return { type: "scatter", symbol: "circle", symbolSize: DOT_SIZE, itemStyle: { opacity: 0.8 } };
  }
  if (as === "bars") return { type: "bar", barMaxWidth: 48, barGap: "10%" };
  if (as === "step") return { type: "line", step: "end", symbol: "none" };
  return { type: "line", symbol, symbolSize: 7, connectNulls: false };
}

function shades(areas: NonNullable<Panel["shaded"]>, xMax = Infinity) {
  let row = 0; // names of neighbours do not find room side by side
  const rows = areas.map(({ from }, i) => {
    const near = i > 0 && from - areas[i - 1].to < NEAR * xMax;
    return row = near ? row + 1 : 0;
  });
  return {
    silent: true,
    itemStyle: { color: "#000000", opacity: 0.07 },
    label: { show: true, position: "insideTop", color: FAINT, fontSize: 11 },
    data: areas.map(({ what, from, to }, i) => [
      { xAxis: from, name: what, label: { distance: 5 + 14 * rows[i] } },
      { xAxis: to },
    ]),
  };
}

function level({ at, what }: NonNullable<Panel["level"]>) {
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: FAINT, type: "dashed", width: 1 },
    label: {
      formatter: what,
      position: "end",
      color: FAINT,
      fontSize: 11,
    },
    data: [{ yAxis: at }],
  };
}
