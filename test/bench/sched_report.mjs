// What sched.mjs has measured, as Markdown; and whether it is as fast and as small as it is to be.

import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** Parts of the benchmark, and their tables' titles. */
export const PARTS = {
  backlogged:
    "Backlogged: every stream has a message queued; when it leaves, the next one comes, " +
    "due a period later",
  pressed: "Pressed: the same, but the first deadline is nearer than the end of all that is queued",
  sparse: "Sparse: 16 messages are queued in all, each next one is a random stream's",
  queued: "More queued: 1000 streams, and every message due a period after the one before; " +
    "all that is queued fits before the first deadline",
  "queued-pressed": "More queued, pressed",
  memory: "Memory",
};

/** How many times as fast as the faster of the heaps, turn by turn. */
function ratio({ turns }, who = "policy") {
  const heap = median(turns.records) < median(turns.indexed) ? turns.records : turns.indexed;
  return median(turns[who].map((ns, turn) => heap[turn] / ns));
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The aims that what was measured can answer. */
export function judge(cells, weights) {
  const aims = [];
  const aim = (what, measured, limit, unit, met) =>
    aims.push({
      what,
      measured: `${measured} ${unit}`.trim(),
      aim: `${limit} ${unit}`.trim(),
      met,
    });
  const ns = (part, queued) => {
    const cell = cells.find((it) =>
      it.part === part && it.policy === "dwcs" && it.queued === queued && it.turns
    );
    return cell && { cell, ns: median(cell.turns.policy) };
  };
  for (const [streams, most] of [[10_000, 40], [100_000, 100]]) {
    const at = ns("backlogged", streams);
    if (!at) continue;
    aim(
      `dwcs, ${short(streams)} streams backlogged`,
      at.ns.toFixed(0),
      `<= ${most}`,
      "ns",
      at.ns <= most,
    );
  }
  const at = ns("backlogged", 100_000);
  if (at) {
    const times = ratio(at.cell);
    aim("the same beside the faster heap", times.toFixed(2), ">= 2", "times as fast", times >= 2);
  }
  for (const part of ["queued", "queued-pressed"]) {
    const few = ns(part, 1000), many = ns(part, 500_000);
    if (!few || !many) continue;
    const growth = many.ns / few.ns;
    const what = `500k messages queued beside 1k${part === "queued" ? "" : ", pressed"}`;
    aim(what, growth.toFixed(2), "<= 1.5", "times the time", growth <= 1.5);
  }
  const { idle } = weights.find(({ policy }) => policy === "dwcs") ?? {};
  if (idle) aim("an idle stream's memory", idle.toFixed(0), "<= 192", "bytes", idle <= 192);
  return aims;
}

export function printReport(cells, weights, aims) {
  console.log(`${machine()}\n`);
  for (const [part, title] of Object.entries(PARTS)) {
    const own = cells.filter((cell) => cell.part === part && part !== "memory");
    if (own.length > 0) table(title, own, part.startsWith("queued") ? "queued" : "streams");
  }
  if (weights.length > 0) {
    const names = {
      idle: "idle stream (opened, nothing sent)",
      sent: "stream that sent, and lost nothing",
      lost: "stream that sent frames, and lost some",
      stream_reserved: "address space reserved for a stream",
      message: "queued message",
      message_reserved: "address space reserved for a message",
    };
    row(["Memory, bytes", ...weights.map(({ policy }) => `\`${policy}\``)], true);
    for (const [key, name] of Object.entries(names)) {
      row([name, ...weights.map((it) => it[key].toFixed(0))]);
    }
    console.log();
  }
  if (aims.length === 0) return;
  row(["what", "measured", "aim"], true);
  for (const { what, measured, aim, met } of aims) {
    row([what, measured, `${aim}, ${met ? "met" : "missed"}`]);
  }
}

function table(title, own, key) {
  const columns = [...new Set(own.map((cell) => cell[key]))];
  const unit = key === "queued" ? "messages" : "streams";
  const names = [...new Set(own.map(({ policy }) => policy))];
  const by = (policy, column) => own.find((it) => it.policy === policy && it[key] === column);
  // The heaps and the loop ran beside every policy: all turns that had the same periods.
  const all = (who, column) =>
    own.filter((it) => it[key] === column && it.turns && it.spread === own[0].spread)
      .flatMap((it) => it.turns[who]);
  console.log(`${title}.\nNanoseconds a message, the median (lowest to highest).\n`);
  row(["", ...columns.map((n) => `${short(n)} ${unit}`)], true);
  for (const policy of names) {
    row([`\`${policy}\``, ...columns.map((n) => interval(by(policy, n)?.turns?.policy))]);
  }
  const keyed = names.filter((policy) =>
    columns.some((n) => by(policy, n)?.turns?.ordered.length > 0)
  );
  for (const policy of keyed) {
    const turns = columns.map((n) => interval(by(policy, n)?.turns?.ordered));
    row([`\`${policy}\`, its order alone`, ...turns]);
  }
  row(["heap of records", ...columns.map((n) => interval(all("records", n)))]);
  row(["heap of indexes", ...columns.map((n) => interval(all("indexed", n)))]);
  row(["the loop alone", ...columns.map((n) => interval(all("loop", n)))]);
  for (const policy of names) {
    const times = (cell) => cell?.turns ? ratio(cell).toFixed(2) : "-";
    row([`\`${policy}\`, times as fast as a heap`, ...columns.map((n) => times(by(policy, n)))]);
  }
  for (const policy of keyed) {
    const measured = (cell) => cell?.turns?.ordered.length > 0;
    const times = (cell) => measured(cell) ? ratio(cell, "ordered").toFixed(2) : "-";
    row([
      `\`${policy}\`, its order alone, times as fast`,
      ...columns.map((n) => times(by(policy, n))),
    ]);
  }
  console.log();
}

function interval(values) {
  if (!values?.length) return "-";
  const digits = median(values) < 10 ? 1 : 0;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

function row(texts, head = false) {
  console.log(`| ${texts.join(" | ")} |`);
  if (head) console.log(`|${texts.map(() => " --- ").join("|")}|`);
}

export function short(n) {
  return n >= 1_000_000 ? `${n / 1_000_000}M` : n >= 1000 ? `${n / 1000}k` : `${n}`;
}

/** The processor and its caches, as Linux describes them. */
export function machine() {
  const folder = "/sys/devices/system/cpu/cpu0/cache";
  let caches = [];
  try {
    caches = readdirSync(folder).filter((name) => name.startsWith("index")).sort().map((name) => {
      const read = (file) => readFileSync(join(folder, name, file), "utf8").trim();
      const kind = { Data: "d", Instruction: "i" }[read("type")] ?? "";
      return `L${read("level")}${kind} ${read("size").replace("K", " KiB")}`;
    });
  } catch {
    // Some virtual machines and containers do not show them.
  }
  const processors = cpus();
  const model = processors[0]?.model ?? process.arch;
  return `${processors.length} x ${model}${caches.length > 0 ? `, ${caches.join(", ")}` : ""}`;
}
