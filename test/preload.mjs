// Bun ends a test after 5 seconds unless told otherwise; some here run programs for longer.
import { setDefaultTimeout } from "bun:test";
setDefaultTimeout(60_000);
