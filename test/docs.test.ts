// The docstrings of what the package exports, as `deno doc` reads them: all there, all examples right.

import { test } from "node:test";
import assert from "node:assert/strict";
import { runtimes } from "../kernel/setup.mjs";
import { checkTypeScript, EXAMPLE_MS_MAX, fences, run, runTypeScript } from "./example.ts";

interface JsDoc {
  doc?: string;
  tags?: { kind: string; doc?: string }[];
}

interface Module {
  module_doc?: JsDoc;
  symbols: { name: string; declarations: { kind: string; jsDoc?: JsDoc }[] }[];
}

interface Export {
  entry: string;
  name: string;
  kinds: string[];
  documented: boolean;
  /** The TypeScript of its examples. */
  examples: string[];
}

/** These may do without an example: those of the calls that use them show them. */
const SHOWN_BY_OTHERS = ["interface", "typeAlias", "variable"];

const ENTRIES = ["mod.ts", "ffi/testing.ts"];

const deno = runtimes.deno;
const exports = deno ? ENTRIES.flatMap((entry) => documentation(deno, entry)) : [];
const skip = deno ? false : "there is no Deno for this machine, whose `doc` reads the docstrings";

for (const entry of ENTRIES) {
  test(`${entry} exports something`, { skip }, () => {
    assert.ok(exports.some((it) => it.entry === entry && it.name !== entry));
  });
}

test("every export has a docstring", { skip }, () => {
  assert.deepEqual(exports.filter((it) => !it.documented).map((it) => it.name), []);
});

test("every module, function and class has an example", { skip }, () => {
  const calls = exports.filter((it) => !it.kinds.every((kind) => SHOWN_BY_OTHERS.includes(kind)));
  assert.deepEqual(calls.filter((it) => it.examples.length === 0).map((it) => it.name), []);
});

// What more than one entry exports has the same examples there.
const examples = Object.fromEntries(
  exports.flatMap(({ name, examples }) =>
    examples.map((code, index) => [examples.length > 1 ? `${name} ${index + 1}` : name, code])
  ),
);

test(
  "the types of all examples are right",
  { skip, timeout: EXAMPLE_MS_MAX },
  () => checkTypeScript(examples, deno!),
);

for (const [name, code] of Object.entries(examples)) {
  test(`the example of ${name} runs`, { timeout: EXAMPLE_MS_MAX }, () => runTypeScript(name, code));
}

function documentation(deno: string, entry: string): Export[] {
  const read = JSON.parse(run(deno, ["doc", "--quiet", "--json", entry]));
  return Object.values<Module>(read.nodes).flatMap(({ module_doc, symbols }) => [
    described(entry, entry, ["module"], [module_doc]),
    ...symbols.map(({ name, declarations }) =>
      described(entry, name, declarations.map((it) => it.kind), declarations.map((it) => it.jsDoc))
    ),
  ]);
}

function described(
  entry: string,
  name: string,
  kinds: string[],
  docs: (JsDoc | undefined)[],
): Export {
  const tags = docs.flatMap((doc) => doc?.tags ?? []).filter((tag) => tag.kind === "example");
  return {
    entry,
    name,
    kinds,
    documented: docs.some((doc) => (doc?.doc ?? "").trim() !== ""),
    examples: tags.flatMap((tag) => fences(tag.doc ?? ""))
      .filter((fence) => fence.language === "ts").map((fence) => fence.code),
  };
}
