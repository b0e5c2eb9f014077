import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as abi from "../ffi/abi.ts";
import * as layout from "../ffi/layout.ts";
import { library } from "../ffi/library.ts";
import { SYMBOLS } from "../ffi/symbols.ts";

const header = readFileSync(new URL("../kernel/qsocket.h", import.meta.url), "utf8");

type AnyStruct = layout.Struct<Record<string, unknown>>;

const structs = Object.values(layout as Record<string, unknown>).filter((value) =>
  typeof value === "object"
) as AnyStruct[];

/** Lines as qsocket_layout() writes them, of the bindings' own structs. */
function ownLines(): string[] {
  return structs.flatMap(({ name, size, offsets, sizes }) => [
    `${name} ${size}`,
    ...Object.keys(offsets).map((field) => `${name}.${field} ${offsets[field]} ${sizes[field]}`),
  ]);
}

test("layout has every struct, offset and size that the C compiler has", () => {
  const text = new Uint8Array(65536);
  const length = library().qsocket_layout(text, text.byteLength);
  assert.ok(length > 0, `qsocket_layout returned ${length}`);
  const lines = new TextDecoder().decode(text.subarray(0, length)).trim().split("\n");
  const compiled = lines.map((line) => line.trim());
  assert.deepEqual(ownLines().sort(), compiled.sort());
});

test("abi has the numbers of qsocket.h", () => {
  const numbers = new Map<string, number>();
  for (const [, name, value] of header.matchAll(/#define (\w+) \(?([0-9a-fx]+)u?(?:ll)?\b/g)) {
    numbers.set(name, Number(value));
  }
  for (const [, name, base, shift] of header.matchAll(/#define (\w+) \((\d+)u << (\d+)\)/g)) {
    numbers.set(name, Number(base) << Number(shift));
  }
  for (const [, name, value] of header.matchAll(/\b(Q\w+) = (\d+)/g)) {
    numbers.set(name, Number(value));
  }
  for (const [name, value] of Object.values(abi).flatMap(Object.entries)) {
    assert.equal(value, numbers.get(name), name);
  }
});

test("symbols are prototyped in qsocket.h with as many parameters", () => {
  for (const [name, { parameters }] of Object.entries(SYMBOLS)) {
    const declared = new RegExp(`\\b${name}\\(([^)]*)\\);`).exec(header);
    assert.ok(declared, name);
    const words = declared[1].trim();
    assert.equal(words === "void" ? 0 : words.split(",").length, parameters.length, name);
  }
});

test("Args reads what it wrote, and zero where nothing was written", () => {
  const args = new layout.Args(layout.qsendArgs);
  const to = { family: 10, port: 5004, scope: 3, bytes: Array.from({ length: 16 }, (_, i) => i) };
  args.fill({ handle: 7, at_ns: Number.MAX_SAFE_INTEGER, flags: 0xffff_ffff, to });
  assert.deepEqual(args.read(), {
    handle: 7,
    flags: 0xffff_ffff,
    data: 0,
    data_len: 0,
    deadline_us: 0,
    at_ns: Number.MAX_SAFE_INTEGER,
    message: 0,
    zero: 0,
    to,
  });
  args.fill({ message: 1 });
  assert.equal(args.read().at_ns, 0);
});

test("Args keeps a name within its field and ends it with a NUL", () => {
  const args = new layout.Args(layout.qsockinitArgs);
  args.fill({ device: "a-name-that-is-too-long", scheduler: "edf-lossless" });
  assert.equal(args.read().device, "a-name-that-is-");
  assert.equal(args.read().scheduler, "edf-lossless");
});
