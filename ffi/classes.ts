// The classes of a link under cbq: a record by name in TypeScript, a numbered list in C, where a
// parent comes before its children. What the whole tree must fulfil is checked here, because only
// here the classes have names to blame; C checks it again.

import { FLAG, LIMIT } from "./abi.ts";
import { show } from "./options.ts";
import type { ClassOptions, Scheduler } from "./options.ts";

/** A class whose rates are bytes per second already. */
type ParsedClass = Omit<ClassOptions, "rate" | "ceil"> & { rate?: number; ceil?: number };
type Tree = Map<string, ParsedClass>;

/** What a link knows of its classes. */
export interface Classes {
  /** In the order of their numbers, which begin at 1. */
  readonly names: readonly string[];
  /** Those with classes below them: streams join the others. */
  readonly inner: ReadonlySet<string>;
}

/** The classes of a link without any. */
export const NO_CLASSES: Classes = { names: [], inner: new Set() };

interface LinkShape {
  scheduler: Scheduler;
  rate: number;
  classes?: Record<string, ParsedClass>;
}

/** Puts classes in the order that C wants; throws a RangeError that names what cannot be kept. */
export function arrangeClasses({ scheduler, rate, classes }: LinkShape, doing: string) {
  if (classes === undefined) return { classes: NO_CLASSES, structs: [] };
  if (scheduler !== "cbq") {
    throw new RangeError(
      `Cannot ${doing}: scheduler must be "cbq" where classes are given, got ${show(scheduler)}`,
    );
  }
  const tree: Tree = new Map(Object.entries(classes));
  const names = parentsFirst(tree, doing);
  const inner = new Set([...tree.values()].flatMap(({ parent }) => parent ?? []));
  if (names.length > LIMIT.QSOCKET_CLASSES_MAX) {
    throw new RangeError(
      `Cannot ${doing}: classes must be at most ${LIMIT.QSOCKET_CLASSES_MAX}, got ${names.length}`,
    );
  }
  for (const name of names) checkClass(tree, name, inner.has(name), doing);
  const guaranteed = childrenRate(tree, undefined);
  if (guaranteed > rate) {
    throw new RangeError(
      `Cannot ${doing}: rate must be at least ${guaranteed}, which is what ` +
        `${namesBelow(tree, undefined)} are guaranteed in all, got ${rate}`,
    );
  }
  const structs = names.map((name) => {
    const { rate = 0, ceil = 0, priority = LOWEST, borrow = false, parent } = tree.get(name)!;
    return {
      rate,
      ceil,
      parent: parent === undefined ? 0 : names.indexOf(parent) + 1,
      priority,
      flags: borrow ? FLAG.QSOCKET_BORROWS : 0,
      zero: 0,
    };
  });
  return { classes: { names, inner }, structs };
}

/** The number of a class that a stream may join, 0 for none; throws a RangeError. */
export function classNumber(classes: Classes, name: string | undefined, doing: string): number {
  if (name === undefined) return 0;
  const number = classes.names.indexOf(name) + 1;
  if (number > 0 && !classes.inner.has(name)) return number;
  const leaves = classes.names.filter((name) => !classes.inner.has(name)).map(show);
  const wanted = leaves.length > 0
    ? `must be one of the link's classes ${leaves.join(", ")}`
    : "must not be given: the link has no classes";
  const why = number > 0 ? ", as others have classes below them" : "";
  throw new RangeError(`Cannot ${doing}: class ${wanted}${why}, got ${show(name)}`);
}

const LOWEST = LIMIT.QSOCKET_CLASS_PRIORITIES - 1;

/** The names in the order given, but each behind its parent. */
function parentsFirst(tree: Tree, doing: string): string[] {
  const names: string[] = [];
  const place = (name: string, below: string[]) => {
    if (names.includes(name)) return;
    const { parent } = tree.get(name)!;
    if (parent !== undefined) {
      if (!tree.has(parent)) {
        throw new RangeError(
          `Cannot ${doing}: classes.${name}.parent must name another class, got ${show(parent)}`,
        );
      }
      if (parent === name || below.includes(parent)) {
        throw new RangeError(
          `Cannot ${doing}: classes.${name}.parent must not be the class itself or below it, ` +
            `got ${show(parent)}`,
        );
      }
      place(parent, [...below, name]);
    }
    names.push(name);
  };
  for (const name of tree.keys()) place(name, []);
  return names;
}

function checkClass(tree: Tree, name: string, isInner: boolean, doing: string): void {
  const { rate = 0, ceil } = tree.get(name)!;
  if (ceil !== undefined && rate > ceil) {
    throw new RangeError(
      `Cannot ${doing}: classes.${name}.rate must be at most its ceil, ${ceil}, got ${rate}`,
    );
  }
  const guaranteed = childrenRate(tree, name);
  if (guaranteed > rate) {
    throw new RangeError(
      `Cannot ${doing}: classes.${name}.rate must be at least ${guaranteed}, which is what ` +
        `${namesBelow(tree, name)} are guaranteed in all, got ${rate}`,
    );
  }
  if (!isInner && !hasSource(tree, name)) {
    throw new RangeError(
      `Cannot ${doing}: classes.${name} must have a rate, or borrow of a class that has, ` +
        "or it would never send",
    );
  }
}

/** Whether a class can ever send: by a rate of its own, or of one that it borrows of. */
function hasSource(tree: Tree, name: string): boolean {
  const { rate = 0, borrow = false, parent } = tree.get(name)!;
  return rate > 0 || (borrow && (parent === undefined || hasSource(tree, parent)));
}

function below(tree: Tree, parent: string | undefined): [string, ParsedClass][] {
  return [...tree].filter(([, child]) => child.parent === parent);
}

function childrenRate(tree: Tree, parent: string | undefined): number {
  return below(tree, parent).reduce((sum, [, { rate = 0 }]) => sum + rate, 0);
}

function namesBelow(tree: Tree, parent: string | undefined): string {
  return below(tree, parent).map(([name]) => name).join(", ");
}
