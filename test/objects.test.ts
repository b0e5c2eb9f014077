// The schedulers for below the stack are shipped as objects, so that no machine needs the compiler
// for them: they must be what that compiler makes of the sources that lie beside them.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const kernel = fileURLToPath(new URL("../kernel", import.meta.url));
const built = join(kernel, "bpf", "built");
const OBJECTS = ["dwcs", "dwcs99", "edf", "edf-lossless", "fifo", "sfq", "vds"]
  .map((name) => `${name}.bpf.o`).sort();
const BYTES_MAX = 2_100_000; // of all, in every copy of the package: packed, a quarter of that
const PROGRAMS = /^(\.text|struct_ops\/|cgroup\/|\.maps$|\.struct_ops|qsockets$)/;
const noCompiler = spawnSync("clang-19", ["--version"]).status === 0 ? false : "no clang-19 here";

function make(...args: string[]): string {
  const done = spawnSync("make", ["-s", "-C", kernel, ...args], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trim();
}

/** An object's sections by their names: a small-endian ELF of 64 bits. */
function sections(path: string): Map<string, Uint8Array> {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = Number(view.getBigUint64(0x28, true));
  const headers = Array.from({ length: view.getUint16(0x3c, true) }, (_, i) => at + i * 64);
  const content = (header: number) => {
    const offset = Number(view.getBigUint64(header + 24, true));
    return bytes.subarray(offset, offset + Number(view.getBigUint64(header + 32, true)));
  };
  const names = content(headers[view.getUint16(0x3e, true)]);
  return new Map(headers.map((header) => {
    const name = names.subarray(view.getUint32(header, true));
    return [new TextDecoder().decode(name.subarray(0, name.indexOf(0))), content(header)];
  }));
}

test("the shipped objects are all there, and small", () => {
  assert.deepEqual(readdirSync(built).sort(), OBJECTS);
  const bytes = OBJECTS.map((name) => statSync(join(built, name)).size);
  assert.ok(bytes.reduce((sum, size) => sum + size) < BYTES_MAX, `they have ${bytes} bytes`);
});

test("the shipped objects say that they are of these very sources", () => {
  const stamp = make("bpf-stamp");
  assert.match(stamp, /^[0-9a-f]{16}$/);
  for (const name of OBJECTS) {
    const said =
      new TextDecoder().decode(sections(join(built, name)).get("qsockets")).split("\0")[0];
    assert.equal(said, `qsockets sources ${stamp}`, `${name} is outdated: npm run build:bpf`);
  }
});

test("the shipped objects hold no path of the machine that built them", () => {
  for (const name of OBJECTS) {
    const text = readFileSync(join(built, name), "latin1");
    assert.doesNotMatch(text, /\/(home|root|tmp|work|usr|builds?)\//, name);
  }
});

test("the shipped objects' programs are what the compiler makes of the sources", {
  skip: noCompiler,
}, () => {
  const folder = mkdtempSync(join(tmpdir(), "qsockets-"));
  try {
    make(`BUILD=${folder}`, "bpf");
    for (const name of OBJECTS) {
      const shipped = sections(join(built, name));
      const fresh = sections(join(folder, "bpf", name));
      assert.deepEqual([...shipped.keys()], [...fresh.keys()], name);
      const programs = [...fresh].filter(([section]) => PROGRAMS.test(section));
      assert.ok(programs.length >= 8, `${name} has only ${programs.map(([section]) => section)}`);
      for (const [section, content] of programs) {
        const same = Buffer.compare(content, shipped.get(section)!) === 0;
        assert.ok(
          same,
          `${section} of ${name} is not what clang-19 makes of it: npm run build:bpf`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
