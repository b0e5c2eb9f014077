/** The page: the plot and the table in one HTML file that needs nothing else. */

import type { Aim } from "./aims.ts";
import type { Row } from "./table.ts";

const STYLE = `
  body { margin: 2rem auto; max-width: 1000px; padding: 0 1rem; color: #222; background: #fff;
         font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }
  h1 { font-size: 1.5rem; margin-bottom: 0.25rem; }
  p { margin: 0.25rem 0; color: #555; }
  svg { width: 100%; height: auto; margin: 1rem 0; }
  table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; margin: 1.5rem 0; }
  th, td { padding: 0.25rem 0.75rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
  th:first-child, td:first-child { text-align: left; }
  tr.part td { color: #666; }
  tr.part td:first-child { padding-left: 1.75rem; }
  li { margin: 0.125rem 0; }
  .met { color: #00724f; } .missed { color: #b34700; }
`;

/** What the page shows. */
export interface PageContent {
  title: string;
  /** What was done, a line each. */
  facts: readonly string[];
  /** The plot, as SVG. */
  svg: string;
  /** The runs' names, and the table. */
  runs: readonly string[];
  rows: readonly Row[];
  aims: readonly Aim[];
}

/** Writes the page; returns its HTML. */
export function page({ title, facts, svg, runs, rows, aims }: PageContent): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
<h1>${escape(title)}</h1>
${facts.map((fact) => `<p>${escape(fact)}</p>`).join("\n")}
${svg}
<table>
<thead><tr><th></th>${runs.map((run) => `<th>${escape(run)}</th>`).join("")}</tr></thead>
<tbody>
${rows.map(tableRow).join("\n")}
</tbody>
</table>
${aims.length > 0 ? `<ul>\n${aims.map(aimItem).join("\n")}\n</ul>` : ""}
</html>
`;
}

function tableRow({ name, cells }: Row): string {
  const part = name.startsWith(" ") ? ' class="part"' : "";
  const columns = [name.trim(), ...cells].map((cell) => `<td>${escape(cell)}</td>`);
  return `<tr${part}>${columns.join("")}</tr>`;
}

function aimItem({ claim, met, numbers }: Aim): string {
  const word = met ? "met" : "missed";
  return `<li><strong class="${word}">${word}</strong> ${escape(claim)}: ${escape(numbers)}</li>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
