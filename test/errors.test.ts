import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { execPath } from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { errorName, failure, QError } from "../ffi/error.ts";

const root = new URL("../", import.meta.url);

/** Runs a program in a process of the same runtime. */
function run(program: string, env: Record<string, string> = {}) {
  const isBun = "Bun" in globalThis;
  const args = isBun ? ["-e", program] : ["eval", "--ext=ts", program];
  return spawnSync(execPath, args, {
    cwd: fileURLToPath(root),
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 20_000,
  });
}

test("QError has the call, the number and the name of the error", () => {
  const error = failure("qsend", -constants.errno.ENOBUFS, "send");
  assert.ok(error instanceof QError && error instanceof Error);
  assert.equal(error.name, "QError");
  assert.equal(error.call, "qsend");
  assert.equal(error.errno, constants.errno.ENOBUFS);
  assert.equal(error.code, "ENOBUFS");
  assert.equal(
    error.message,
    "Cannot send: the queue is full, and holds nothing that is worth less (ENOBUFS)",
  );
});

test("failure reads as a sentence for every error number of the system", () => {
  for (const [name, errno] of Object.entries(constants.errno)) {
    const { message, code } = failure("qsocket", -errno, "open a socket");
    assert.match(message, /^Cannot open a socket: [a-z].{5,} \(E[A-Z0-9]+\)$/, name);
    assert.equal(constants.errno[code as keyof typeof constants.errno], errno);
  }
  assert.equal(errorName(5000), "E5000");
  assert.equal(failure("q", -5000, "try").message, "Cannot try: the system refused (E5000)");
});

test("failure takes the words of a caller that knows more", () => {
  const error = failure("qsocket", -constants.errno.EBADF, "open a socket", {
    EBADF: "the link is closed",
  });
  assert.equal(error.message, "Cannot open a socket: the link is closed (EBADF)");
});

test("the library is opened at the first call, and says how to build it when it is missing", () => {
  const calls = new URL("ffi/calls.ts", root).href;
  const { stdout, stderr, status } = run(
    `import { qsockinit } from ${JSON.stringify(calls)};
    console.log("imported");
    try { qsockinit({ rate: 1 }); } catch (error) { console.log(error.code, error.message); }`,
    { QSOCKETS_LIBRARY: "/nonexistent/libqsocket.so" },
  );
  assert.equal(status, 0, stderr);
  assert.equal(
    stdout,
    "imported\nENOENT Cannot load the C library of Q.Sockets: there is no " +
      "/nonexistent/libqsocket.so; `npm run build` makes it and needs a C compiler, or " +
      "QSOCKETS_LIBRARY names another\n",
  );
});

test("only ffi/runtime.ts names the runtimes", () => {
  const files = ["mod.ts"];
  for (const folder of ["ffi", "media"]) {
    for (const file of readdirSync(new URL(folder, root))) files.push(`${folder}/${file}`);
  }
  const naming = files.filter((file) => {
    if (!file.endsWith(".ts") || file === "ffi/runtime.ts") return false;
    try {
      return /\b(Deno|Bun)\.\w|bun:ffi/.test(readFileSync(new URL(file, root), "utf8"));
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return false;
      throw error;
    }
  });
  assert.deepEqual(naming, []);
});
