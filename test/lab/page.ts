// The report as one HTML file that needs nothing else: figures as inline SVG, tables, and aims.

import { draw } from "./draw.ts";
import type { Aim, Figure, Table } from "./experiment.ts";
import type { Chapter, Circumstances } from "./report.ts";

const STYLE = `
  body { margin: 2rem auto; max-width: 1040px; padding: 0 1rem; color: #222; background: #fff;
         font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }
  h1 { font-size: 1.75rem; margin-bottom: 0.25rem; }
  h2 { font-size: 1.375rem; margin: 3rem 0 0.25rem; padding-top: 1rem; border-top: 2px solid #222; }
  h3 { font-size: 1.125rem; margin: 2rem 0 0.25rem; }
  p, li { color: #444; } p { margin: 0.25rem 0; } li { margin: 0.125rem 0; }
  ul { margin: 0.5rem 0; padding-left: 1.25rem; }
  svg { display: block; width: 100%; height: auto; margin: 0.75rem 0; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; margin: 0.75rem 0 1.5rem; }
  caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
  th, td { padding: 0.25rem 0.625rem; text-align: right; border-bottom: 1px solid #e0e0e0;
           vertical-align: bottom; font-variant-numeric: tabular-nums; }
  th { font-weight: 600; border-bottom: 1px solid #888; }
  th:first-child, td:first-child { text-align: left; padding-left: 0; }
  .aims td, .aims th { text-align: left; }
  .met { color: #00694a; font-weight: 600; } .missed { color: #a83f00; font-weight: 600; }
  code { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: 0.875em; }
`;

/** Writes the page; returns its HTML. */
export function page(circumstances: Circumstances, chapters: readonly Chapter[]): string {
  const { date, machine, seed, command, quick, hurried } = circumstances;
  const aims = chapters.flatMap(({ figures }) => figures.flatMap((it) => it.aims));
  const met = aims.filter((aim) => aim.met).length;
  const short = quick
    ? "<p>A short run (<code>--quick</code>): fewer seconds, rougher numbers.</p>"
    : "";
  const priority = hurried
    ? "Senders ran at real-time priority, so that what else the machine did delayed them less."
    : "Senders ran at the usual priority: what else the machine did delayed them.";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Q.Sockets: the lab</title>
<style>${STYLE}</style>
<h1>Q.Sockets: the lab</h1>
<p>The experiments of "A Quality-of-Service Enhanced Socket API in GNU/Linux", and others, on real
network paths. ${met} of ${aims.length} aims met.</p>
<p>${escape(date)}. ${escape(machine)}. Seed ${seed}. ${priority}</p>
<p>Again: <code>${escape(command)}</code></p>
${short}
${summary(chapters)}
${chapters.map(chapterHtml).join("\n")}
</html>
`;
}

function summary(chapters: readonly Chapter[]): string {
  const rows = chapters.flatMap(({ figures }) =>
    figures.flatMap(({ figure, aims }) => aims.map((aim) => ({ figure, aim })))
  );
  return aimTable(rows.map(({ figure, aim }) => [figure, aim]));
}

function chapterHtml({ experiment, figures, failure }: Chapter): string {
  const failed = failure === null ? "" : `<p class="missed">Not run: ${escape(failure)}</p>`;
  return `<h2 id="${escape(experiment.name)}">${escape(experiment.title)}</h2>
<p>${escape(experiment.reproduces)}</p>
${failed}${figures.map(figureHtml).join("\n")}`;
}

function figureHtml({ figure, title, facts, panels, tables, aims }: Figure): string {
  return `<h3>${escape(figure)}. ${escape(title)}</h3>
<ul>
${facts.map((fact) => `<li>${escape(fact)}</li>`).join("\n")}
</ul>
${panels.length > 0 ? draw(panels) : ""}
${tables.map(tableHtml).join("\n")}
${aims.length > 0 ? aimTable(aims.map((aim) => [null, aim])) : ""}`;
}

function tableHtml({ title, head, rows }: Table): string {
  const cells = (tag: "th" | "td", row: readonly string[]) =>
    row.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join("");
  return `<div class="wide"><table>
<caption>${escape(title)}</caption>
<thead><tr>${cells("th", head)}</tr></thead>
<tbody>
${rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n")}
</tbody>
</table></div>`;
}

/** Aims, with the figure that each is of where that is not clear. */
function aimTable(rows: readonly (readonly [figure: string | null, aim: Aim])[]): string {
  if (rows.length === 0) return "";
  const named = rows.some(([figure]) => figure !== null);
  const first = (text: string, tag: string) => named ? `<${tag}>${escape(text)}</${tag}>` : "";
  const lines = rows.map(([figure, { name, aim, measured, met }]) =>
    `<tr>${first(figure ?? "", "td")}<td>${escape(name)}</td><td>${escape(aim)}</td>` +
    `<td>${escape(measured)}</td>` +
    `<td class="${met ? "met" : "missed"}">${met ? "met" : "missed"}</td></tr>`
  );
  return `<div class="wide"><table class="aims">
<thead><tr>${first("", "th")}<th>what</th><th>aim</th><th>measured</th><th></th></tr></thead>
<tbody>
${lines.join("\n")}
</tbody>
</table></div>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
