// How a file of tests is run under Bun or Deno, and how many of its tests passed.

/**
 * The arguments after the runtime's name. Deno also writes its outcome into the file `junit`; Bun ends a test that
 * says nothing of its time after `msMax`.
 */
export function testArguments(place, file, junit, msMax = 60_000) {
  return place === "bun"
    ? ["test", "--timeout", `${msMax}`, `./${file}`]
    : ["test", "-A", "--no-check", `--junit-path=${junit}`, file];
}

/**
 * The counts of a file, from what Bun printed or Deno wrote into its report. A file that crashed,
 * could not be loaded or has no test counts as one that failed.
 */
export function outcome(place, code, text) {
  const counts = place === "bun" ? countBun(text) : countDeno(text);
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed + counts.failed + counts.skipped === 0) counts.failed = 1;
  return counts;
}

/** Bun closes with lines like ` 3 pass`, ` 2 skip`, ` 1 todo`, ` 1 fail`. */
function countBun(output) {
  const count = (word) => Number(output.match(new RegExp(`^ *(\\d+) ${word}$`, "m"))?.[1] ?? 0);
  return { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") };
}

/** Deno's closing line counts a suite as one test, so its JUnit report is read: all but the suites. */
function countDeno(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const cases = report.matchAll(/<testcase name="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g);
  const tests = [...cases].map(([, name, body]) => ({ name, body }));
  for (const { name, body } of tests) {
    if (tests.some((other) => other.name.startsWith(`${name} &gt; `))) continue;
    const outcome = /<(failure|error)\b/.test(body) ? "failed" : "passed";
    counts[body.includes("<skipped/>") ? "skipped" : outcome]++;
  }
  return counts;
}
