// `bun test` loads this first: it makes a fresh clone ready, and gives a test a minute instead of 5 s.
import "../kernel/setup.mjs";
import { setDefaultTimeout } from "bun:test";

setDefaultTimeout(60_000);
