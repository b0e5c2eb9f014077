// fast-check, which only those install who test with it: an optional peer of this package. Only
// `qsockets/testing` loads it. The import waits, because a static one would fail with a message
// that does not say what to do.

import type * as FastCheck from "fast-check";

const MISSING = "Cannot load qsockets/testing: it needs the package fast-check, which is not " +
  "installed. Install it with `npm install --save-dev fast-check`, `bun add --dev fast-check` or " +
  "`deno add --dev npm:fast-check`";

/** fast-check; throws an Error that says how to install it where it is missing. */
export const fc: typeof FastCheck = await load();

async function load(): Promise<typeof FastCheck> {
  try {
    return await import("fast-check");
  } catch (cause) {
    const { code, message } = cause as { code?: string; message?: string };
    const missing = code === "ERR_MODULE_NOT_FOUND" || /fast-check/.test(message ?? "");
    throw missing ? new Error(MISSING, { cause }) : cause;
  }
}
