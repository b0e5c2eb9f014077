// The rules of style that a machine can check, over every file of the project.

import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NOT_OURS = /^(node_modules|build|report|\.git|\.example-.*)$/;

/** Text of every file that is text, by its path from the checkout's root. */
const texts = new Map(
  filesBelow("").map((file) => [file, readFileSync(join(root, file))] as const)
    .filter(([, bytes]) => !bytes.includes(0))
    .map(([file, bytes]) => [file, bytes.toString("utf8")]),
);

test("only ffi/runtime.ts names Deno or Bun", () => {
  const shipped = [...texts.keys()].filter((file) => /^(mod\.ts|(ffi|media)\/.*\.ts)$/.test(file));
  assert.ok(shipped.length > 0, "no file of the library found");
  assert.deepEqual(
    shipped.filter((file) => file !== "ffi/runtime.ts").flatMap((file) =>
      linesWith(file, /\b(Deno|Bun)\b|["']bun:/, withoutProse)
    ),
    [],
  );
});

test("names in ffi/runtime.ts are seen by the rule about them", () => {
  assert.notDeepEqual(linesWith("ffi/runtime.ts", /\b(Deno|Bun)\b/, withoutProse), []);
});

test("no file names a path of one machine", () => {
  const path = /(?<![\w.$}\])/-])\/(work|root|home\/\w+|Users\/\w+|mnt)\/\w/;
  assert.match(` ${"/ro"}ot/x`, path);
  assert.deepEqual([...texts.keys()].flatMap((file) => linesWith(file, path)), []);
});

test("no file names a package registry's host", () => {
  // In two parts each, so that this file does not name them either.
  const names = [
    ["registry", "npm"],
    ["npmmirror", "com"],
    ["pypi", "org"],
    ["deb", "debian"],
    ["jsr", "io"],
    ["proxy", "golang"],
  ].map((parts) => parts.join("."));
  const hosts = new RegExp(names.map((name) => name.replace(".", "\\.")).join("|"));
  const files = [...texts.keys()].filter((file) => file !== "test/style.test.ts");
  assert.deepEqual(files.flatMap((file) => linesWith(file, hosts)), []);
});

test("no file is a drawer for everything", () => {
  const drawer = /(^|\/)(util|utils|misc|common|helper|helpers)\.\w+$/;
  assert.deepEqual(filesBelow("").filter((file) => drawer.test(file)), []);
});

test("every file of kernel/sched may also be used under the GPL", () => {
  const sched = [...texts.keys()].filter((file) => /^kernel\/sched\/.*\.[ch]$/.test(file));
  assert.ok(sched.length > 0, "no file of the scheduler found");
  const licence = "SPDX-License-Identifier: MIT OR GPL-2.0-only";
  assert.deepEqual(sched.filter((file) => !texts.get(file)!.includes(licence)), []);
});

test("every file of kernel/bpf says which licence it is under", () => {
  const bpf = [...texts.keys()].filter((file) => /^kernel\/bpf\/.*\.[ch]$/.test(file));
  assert.ok(bpf.length > 0, "no file of the qdisc found");
  const licence = /SPDX-License-Identifier: (GPL-2\.0-only|MIT OR GPL-2\.0-only)$/m;
  assert.deepEqual(bpf.filter((file) => !licence.test(texts.get(file)!)), []);
});

/** "file:line: text" of each line that matches. */
function linesWith(file: string, pattern: RegExp, view = (text: string) => text): string[] {
  return view(texts.get(file)!).split("\n").flatMap((line, index) =>
    pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : []
  );
}

/** The source with comments, and messages in quotes or templates, blanked; lines stay where they are. */
function withoutProse(source: string): string {
  const prose =
    /\/\*[\s\S]*?\*\/|(?<![:"'`])\/\/[^\n]*|(["'])(?:\\.|(?!\1)[^\\\n])*\1|`(?:\\.|[^\\`])*`/g;
  return source.replace(prose, (text) => {
    const module = /^["'](bun:|node:)/.test(text);
    return module ? text : text.replace(/[^\n]/g, " ");
  });
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    if (NOT_OURS.test(entry.name)) return [];
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}
