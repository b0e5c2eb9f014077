// A stream's attributes as struct qsocket_attr has them.

import { FLAG } from "./abi.ts";
import { attributeChanges, check, streamAttributes } from "./options.ts";
import type { Admission, StreamAttributes } from "./options.ts";

/** The fields of struct qsocket_attr; what is not given is 0, for which C takes its default. */
export function attrFields(
  attributes: StreamAttributes,
  classId = 0,
  admission: Admission = "off",
) {
  const undroppable = attributes.droppable === false ? FLAG.QSOCKET_UNDROPPABLE : 0;
  return {
    ipg_ns: Math.round((attributes.ipg ?? 0) * 1e6),
    oln: attributes.oln ?? 0,
    old: attributes.old ?? 0,
    flags: undroppable | (admission === "refuse" ? FLAG.QSOCKET_ADMIT : 0),
    queue_messages: attributes.queueMessages ?? 0,
    queue_bytes: attributes.queueBytes ?? 0,
    unit_bytes: attributes.bytes ?? 0,
    weight: attributes.weight ?? 0,
    class_id: classId,
    zero: 0,
  };
}

/** Only the attributes among the options of a socket. */
export function attributesOf(options: StreamAttributes): StreamAttributes {
  const { ipg, oln, old, droppable, queueMessages, queueBytes, weight, bytes, admission } = options;
  const share = { weight, class: options.class, bytes, admission };
  return { ipg, oln, old, droppable, queueMessages, queueBytes, ...share };
}

/** The attributes with some of them changed; throws for what is not valid, or not together. */
export function changedAttributes(
  current: StreamAttributes,
  changes: StreamAttributes,
  doing: string,
): StreamAttributes {
  const next = { ...current };
  for (const [name, value] of Object.entries(check(attributeChanges, changes, doing))) {
    if (value !== undefined) Object.assign(next, { [name]: value });
  }
  return check(streamAttributes, next, doing);
}
