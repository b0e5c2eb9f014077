// The report as one HTML file that needs nothing else: figures as inline SVG, tables, and aims.

import { draw } from "./draw.ts";
import type { Aim, Figure, Table } from "./experiment.ts";
import { again, type Chapter, type Circumstances, circumstancesOf } from "./report.ts";

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
  .aims td, .aims th, .summary td, .summary th { text-align: left; }
  .summary td { vertical-align: top; } .aims td:nth-last-child(-n+3),
  .summary td:last-child { white-space: nowrap; } .summary td:first-child { white-space: nowrap; }
  .found { color: #222; font-weight: 600; } .source { font-size: 0.875rem; color: #666; }
  .met { color: #00694a; font-weight: 600; } .missed { color: #a83f00; font-weight: 600; }
  code { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: 0.875em; }
`;

/** Writes the page; returns its HTML. */
export function page(circumstances: Circumstances, chapters: readonly Chapter[]): string {
  const { command, quick, hurried } = circumstances;
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
<p>${escape(circumstancesOf(circumstances))}. ${priority}</p>
<p>Again: <code>${escape(command)}</code></p>
${short}
${summary(chapters)}
<h3>All aims</h3>
${allAims(chapters)}
${chapters.map((chapter) => chapterHtml(chapter, circumstances)).join("\n")}
</html>
`;
}

/** Each figure in a sentence, beside what the paper found. */
function summary(chapters: readonly Chapter[]): string {
  const rows = chapters.flatMap(({ experiment: { name, title }, figures, failure, skipped }) =>
    failure === null
      ? figures.map(({ figure, paper = "", found, aims }) => {
        const met = aims.filter((aim) => aim.met).length;
        const kind = met === aims.length ? "met" : "missed";
        const count = aims.length === 0 ? "" : `${met} of ${aims.length}`;
        return `<tr><td><a href="#${slug(figure)}">${escape(figure)}</a></td><td>${
          escape(paper)
        }</td>` +
          `<td>${escape(found)}</td><td class="${kind}">${count}</td></tr>`;
      })
      : [
        `<tr><td><a href="#experiment-${escape(name)}">${escape(title)}</a></td><td></td><td>${
          skipped ? "Left out" : "Failed"
        }: ${escape(failure)}</td><td></td></tr>`,
      ]
  );
  return `<div class="wide"><table class="summary">
<thead><tr><th></th><th>the paper</th><th>here</th><th>aims met</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table></div>`;
}

function allAims(chapters: readonly Chapter[]): string {
  const rows = chapters.flatMap(({ figures }) =>
    figures.flatMap(({ figure, aims }) => aims.map((aim) => ({ figure, aim })))
  );
  return aimTable(rows.map(({ figure, aim }) => [figure, aim]));
}

function chapterHtml(
  { experiment, figures, failure, skipped }: Chapter,
  circumstances: Circumstances,
): string {
  const why = `${skipped ? "Left out" : "Failed"}: ${escape(failure ?? "")}`;
  const failed = failure === null ? "" : `<p class="missed">${why}</p>`;
  const source = `<p class="source">${escape(circumstancesOf(circumstances))}; <code>${
    escape(again(circumstances, experiment.name))
  }</code></p>`;
  return `<h2 id="experiment-${escape(experiment.name)}">${escape(experiment.title)}</h2>
<p>${escape(experiment.reproduces)}</p>
${failed}${figures.map((figure) => figureHtml(figure, source)).join("\n")}`;
}

function figureHtml(
  { figure, title, paper, found, facts, panels, tables, aims }: Figure,
  source: string,
): string {
  return `<h3 id="${slug(figure)}">${escape(figure)}. ${escape(title)}</h3>
${paper === undefined ? "" : `<p>The paper: ${escape(paper)}</p>`}
<p class="found">${escape(found)}</p>
${panels.length > 0 ? draw(panels) : ""}
${tables.map(tableHtml).join("\n")}
${aims.length > 0 ? aimTable(aims.map((aim) => [null, aim])) : ""}
<ul>
${facts.map((fact) => `<li>${escape(fact)}</li>`).join("\n")}
</ul>
${source}`;
}

/** A figure's panels as an SVG file, which says what it shows and how it was made. */
export function picture(
  { figure, title, facts, panels }: Figure,
  circumstances: Circumstances,
  experiment: string,
): string {
  const made = `${circumstancesOf(circumstances)}; ${again(circumstances, experiment)}`;
  const words = `<title>${escape(figure)}. ${escape(title)}</title>\n` +
    `<desc>${escape([...facts, made].join("\n"))}</desc>\n`;
  return `${draw(panels).replace(/^<svg [^>]*>\n?/, (tag) => tag + words)}\n`;
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

/** A figure's name as that of a file or a place in the page. */
export function slug(figure: string): string {
  return figure.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
