// The call qchange, of links and streams that are real or virtual: what is asked is checked, C is
// told, and what it says of admission becomes an error or a warning.

import { CALL } from "./abi.ts";
import { admissionOf, type AdmissionRule, refusal, warn } from "./admission.ts";
import { attrFields, changedAttributes } from "./attributes.ts";
import { type Classes, classNumber } from "./classes.ts";
import { failure } from "./error.ts";
import { Args, qchangeArgs } from "./layout.ts";
import { library } from "./library.ts";
import { check, linkChanges } from "./options.ts";
import type { LinkChanges, StreamAttributes } from "./options.ts";

const changeArgs = new Args(qchangeArgs);

/** Changes a link's rate; returns it, in bytes per second. */
export function changeLink(
  handle: number,
  link: AdmissionRule,
  changes: LinkChanges,
  doing: string,
): number {
  const { rate } = check(linkChanges, changes, doing);
  const args = changeArgs.fill({ handle, rate });
  const result = library().qsocketcall(CALL.QCHANGE, args, args.byteLength);
  if (result < 0) throw failure("qchange", result, doing);
  warn(changeArgs.read().admission, { call: "qchange", doing, link });
  return rate;
}

/** Changes those of a stream's attributes that are given; returns all that it has now. */
export function changeStream(
  handle: number,
  link: AdmissionRule & { readonly classes: Classes },
  attributes: StreamAttributes,
  changes: StreamAttributes,
  doing: string,
): StreamAttributes {
  const next = changedAttributes(attributes, changes, doing);
  const classId = classNumber(link.classes, next.class, doing);
  const attr = attrFields(next, classId, admissionOf(link, next));
  const args = changeArgs.fill({ handle, attr });
  const result = library().qsocketcall(CALL.QCHANGE, args, args.byteLength);
  const judged = { call: "qchange", doing, link, attributes: next };
  const told = changeArgs.read().admission;
  if (result < 0) throw refusal(result, told, judged) ?? failure("qchange", result, doing);
  warn(told, judged);
  return next;
}
