// Finds the C library and opens it at the first call, so that importing the module never fails.

import { existsSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { QError } from "./error.ts";
import { type Calls, dlopen } from "./runtime.ts";
import { SYMBOLS } from "./symbols.ts";

let opened: Calls<typeof SYMBOLS> | undefined;

/**
 * The functions of the C library, opened at the first call. The file is named by the environment
 * variable QSOCKETS_LIBRARY, or is the one that `npm run build` makes.
 */
export function library(): Calls<typeof SYMBOLS> {
  return opened ??= open();
}

function open(): Calls<typeof SYMBOLS> {
  if (process.platform !== "linux") {
    throw new Error(`Cannot load Q.Sockets: it needs Linux, this is ${process.platform}`);
  }
  const path = process.env.QSOCKETS_LIBRARY || builtPath();
  if (!existsSync(path)) {
    throw new QError(
      "dlopen",
      constants.errno.ENOENT,
      `Cannot load the C library of Q.Sockets: there is no ${path}; ` +
        "`npm run build` makes it and needs a C compiler, or QSOCKETS_LIBRARY names another",
    );
  }
  return dlopen(path, SYMBOLS);
}

function builtPath(): string {
  const url = new URL("../kernel/build/libqsocket.so", import.meta.url);
  return url.protocol === "file:" ? fileURLToPath(url) : url.href;
}
