// Random class trees for cbq that can be kept.

import fc from "fast-check";
import type { ClassAttributes } from "./share.ts";

/** Classes of a link as fractions of what their parents have left, so that all can be kept. */
export const classTrees: fc.Arbitrary<ClassShape[]> = fc.array(
  fc.record({
    parent: fc.nat({ max: 9 }), // of those before it; else the link
    rate: fc.constantFrom(0, 0.1, 0.3, 0.5, 0.9, 1),
    ceil: fc.option(fc.constantFrom(1, 1.05, 1.5, 3), { nil: undefined }), // times the rate
    priority: fc.nat({ max: 2 }),
    borrow: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

/** A class of such a tree. */
export interface ClassShape {
  parent: number;
  rate: number;
  ceil: number | undefined;
  priority: number;
  borrow: boolean;
}

/** The classes on a link of a rate: parents first; what could never send may borrow. */
export function classesOf(shapes: ClassShape[], rate: number): Record<string, ClassAttributes> {
  const left = new Map<string | undefined, number>([[undefined, rate]]);
  const classes: Record<string, ClassAttributes> = {};
  shapes.forEach((shape, i) => {
    const parent = shape.parent < i ? `c${shape.parent}` : undefined;
    const own = Math.floor(shape.rate * left.get(parent)!);
    left.set(parent, left.get(parent)! - own);
    left.set(`c${i}`, own);
    classes[`c${i}`] = {
      ...(own > 0 ? { rate: own } : {}),
      ...(own > 0 && shape.ceil !== undefined
        ? { ceil: Math.min(1e12, Math.ceil(own * shape.ceil)) }
        : {}),
      priority: shape.priority,
      borrow: shape.borrow || own === 0,
      ...(parent === undefined ? {} : { parent }),
    };
  });
  return classes;
}

/** The classes that streams may join. */
export function leavesOf(classes: Record<string, ClassAttributes>): string[] {
  const parents = Object.values(classes).map(({ parent }) => parent);
  return Object.keys(classes).filter((name) => !parents.includes(name));
}
