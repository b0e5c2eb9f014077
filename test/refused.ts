// What admission says to a call that asks for too much.

import assert from "node:assert/strict";
import { QError } from "../ffi/error.ts";

/** The error of a call that is refused for what it asks for. */
export function refused(use: () => unknown): QError {
  try {
    use();
  } catch (error) {
    if (error instanceof QError && error.code === "EBUSY") return error;
    throw error;
  }
  assert.fail("it was admitted");
}
