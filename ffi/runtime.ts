// The one file that names Deno or Bun: everything else is written against the web's and Node's
// interfaces, which both have.

/** The types of a C function, named as both runtimes name them. Never `usize`: slow in Deno. */
export interface Prototype {
  readonly parameters: readonly ("u32" | "i32" | "buffer")[];
  readonly result: "i32" | "u64";
}

interface TypeOf {
  u32: number;
  i32: number;
  u64: bigint | number;
  buffer: Uint8Array;
}

type Values<T extends readonly (keyof TypeOf)[]> = { -readonly [K in keyof T]: TypeOf[T[K]] };

/** The JavaScript function of a {@linkcode Prototype}. */
export type Call<P extends Prototype> = (...args: Values<P["parameters"]>) => TypeOf[P["result"]];

/** The JavaScript functions of a symbol table. */
export type Calls<T extends Record<string, Prototype>> = { readonly [K in keyof T]: Call<T[K]> };

interface Dlopen {
  (path: string, symbols: Record<string, unknown>): { symbols: Record<string, unknown> };
}

interface Runtimes {
  Bun?: { FFI: { dlopen: Dlopen } };
  Deno?: { dlopen: Dlopen };
}

/**
 * Opens a shared library and binds the symbols of the table. Nothing here keeps the process
 * alive: the calls are synchronous, and the library calls nothing back.
 */
export function dlopen<T extends Record<string, Prototype>>(path: string, table: T): Calls<T> {
  const { Bun, Deno } = globalThis as unknown as Runtimes;
  const entries = Object.entries(table);
  if (Bun) {
    const symbols = Object.fromEntries(
      entries.map((
        [name, { parameters, result }],
      ) => [name, { args: parameters, returns: result }]),
    );
    return Bun.FFI.dlopen(path, symbols).symbols as Calls<T>;
  }
  if (Deno) return Deno.dlopen(path, { ...table }).symbols as Calls<T>;
  throw new Error("Cannot load Q.Sockets: it needs Bun or Deno, whose FFI calls its C library");
}
