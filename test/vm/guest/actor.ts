// A process of one of the guest's users that does what it is told, one text after the other: to start
// a runtime for each thing that a user does would take most of the tests' time there.

import { asUser, evaluate } from "./guest.ts";
import { LIBRARY, PRELUDE, type Program, start } from "./program.ts";

export interface Actor extends Program {
  /** Runs the body of a function, which may use {@linkcode PRELUDE}; what it says and gives is next. */
  starts(text: string): void;
  /** The same, and gives the next that it says. */
  // deno-lint-ignore no-explicit-any
  does(text: string): Promise<any>;
}

const ACTOR = `
  const AsyncFunction = (async () => {}).constructor;
  const known = { process, Link, createSocket, say, input, pause, codeOf, drained };
  for await (const line of input) {
    try {
      const run = new AsyncFunction(...Object.keys(known), JSON.parse(line));
      const value = await run(...Object.values(known));
      if (value !== undefined) say(value);
    } catch (error) {
      say({ thrown: error.stack });
    }
  }
`;

/** An actor of a user's; it starts while others do. */
export function actor(user: "alice" | "bob" | "root"): Actor {
  const words = evaluate(LIBRARY + PRELUDE + ACTOR);
  const program = start(user === "root" ? words : asUser(user, words));
  const next = async () => {
    const said = await program.next();
    if (said?.thrown) throw new Error(`${user}'s program failed: ${said.thrown}`);
    return said;
  };
  const starts = (text: string) => program.write(JSON.stringify(text));
  return { ...program, next, starts, does: (text) => (starts(text), next()) };
}
