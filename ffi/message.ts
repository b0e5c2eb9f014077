// A message's options as the two numbers that cross into C: the flags of qsocket.h in one u32,
// and the deadline in microseconds from now. This runs for every datagram, so it allocates
// nothing, and checks by hand.

import { FLAG, LIMIT } from "./abi.ts";
import { monotonic } from "./clock.ts";
import { type MessageOptions, show } from "./options.ts";

const MARKS = {
  whole: FLAG.QSOCKET_FRAME | FLAG.QSOCKET_START | FLAG.QSOCKET_END,
  start: FLAG.QSOCKET_FRAME | FLAG.QSOCKET_START,
  middle: FLAG.QSOCKET_FRAME as number,
  end: FLAG.QSOCKET_FRAME | FLAG.QSOCKET_END,
};

const DROP_DEFAULT = 6;
const DEADLINE_US_MAX = 0xffff_ffff;

/** Flags of a message without options. */
export const PLAIN_FLAGS: number = (DROP_DEFAULT << FLAG.QSOCKET_DROP_SHIFT) |
  (FLAG.QSOCKET_LEVEL_NONE << FLAG.QSOCKET_LEVEL_SHIFT);

/** Packs a message's options into flags; throws a RangeError for what no message can have. */
export function messageFlags(options: MessageOptions): number {
  const { drop, frame, level, segment } = options;
  let flags = 0;
  if (frame !== undefined) {
    const mark = MARKS[frame];
    if (typeof mark !== "number") {
      refuse("frame", 'must be "whole", "start", "middle" or "end"', frame);
    }
    flags = mark;
  }
  if (options.leading === true) flags |= FLAG.QSOCKET_LEADING;
  if (drop === undefined) {
    flags |= DROP_DEFAULT << FLAG.QSOCKET_DROP_SHIFT;
  } else if (drop === "never") {
    flags |= FLAG.QSOCKET_DROP_NEVER << FLAG.QSOCKET_DROP_SHIFT;
  } else if (drop >= 0 && drop <= 6 && Number.isInteger(drop)) {
    flags |= drop << FLAG.QSOCKET_DROP_SHIFT;
  } else {
    refuse("drop", 'must be "never" or 0 to 6', drop);
  }
  if (level === undefined) {
    flags |= FLAG.QSOCKET_LEVEL_NONE << FLAG.QSOCKET_LEVEL_SHIFT;
  } else if (level >= 0 && Number.isInteger(level)) {
    flags |= (level < 2 ? level : 2) << FLAG.QSOCKET_LEVEL_SHIFT;
  } else {
    refuse("level", "must be 0, 1, 2 or a larger whole number", level);
  }
  if (segment !== undefined) {
    if (
      !(segment >= 1 && segment <= LIMIT.QSOCKET_MESSAGE_BYTES_MAX && Number.isInteger(segment))
    ) {
      refuse("segment", `must be 1 to ${LIMIT.QSOCKET_MESSAGE_BYTES_MAX} bytes`, segment);
    }
    flags |= segment << FLAG.QSOCKET_SEGMENT_SHIFT;
  }
  if (options.deadline !== undefined || options.deadlineAt !== undefined) {
    flags |= FLAG.QSOCKET_DEADLINE;
  }
  return flags >>> 0;
}

/**
 * The deadline in microseconds from `now` (ms; default: the present), 0 if there is none. A
 * `deadlineAt` that has passed is 0 as well, which C takes for expired: a sender that is late is
 * an event to count, a `deadline` that is not above 0 is a mistake.
 */
export function deadlineUs(options: MessageOptions, now?: number): number {
  const { deadline, deadlineAt } = options;
  if (deadline !== undefined) {
    if (deadlineAt !== undefined) {
      throw new TypeError("Cannot send: give deadline or deadlineAt, not both");
    }
    if (typeof deadline !== "number") refuse("deadline", "must be milliseconds", deadline);
    if (deadline <= 0) throw new RangeError(`Cannot send: deadline is in the past: ${deadline} ms`);
    const us = Math.max(1, Math.round(deadline * 1000));
    if (!(us <= DEADLINE_US_MAX)) {
      refuse("deadline", `must be milliseconds, at most ${DEADLINE_US_MAX / 1000}`, deadline);
    }
    return us;
  }
  if (deadlineAt === undefined) return 0;
  if (typeof deadlineAt !== "number") refuse("deadlineAt", "must be milliseconds", deadlineAt);
  const us = Math.round((deadlineAt - (now ?? monotonic())) * 1000);
  if (!(us <= DEADLINE_US_MAX)) {
    refuse("deadlineAt", `must be at most ${DEADLINE_US_MAX / 1000} ms from now`, deadlineAt);
  }
  return us > 0 ? us : 0;
}

/** Throws unless `data` can be a message, cut into datagrams of `segment` bytes if that is given. */
export function checkData(data: Uint8Array, segment: number | undefined): void {
  if (!(data instanceof Uint8Array)) {
    throw new TypeError(`Cannot send: data must be a Uint8Array, got ${show(data)}`);
  }
  checkBytes(data.byteLength, segment);
}

/** Throws unless a message may have this many bytes. */
export function checkBytes(bytes: number, segment: number | undefined): void {
  if (!(bytes >= 1 && bytes <= LIMIT.QSOCKET_MESSAGE_BYTES_MAX)) {
    const limit = `1 to ${LIMIT.QSOCKET_MESSAGE_BYTES_MAX} bytes`;
    throw new RangeError(`Cannot send: a message must have ${limit}, got ${bytes}`);
  }
  if (segment !== undefined && bytes > segment * LIMIT.QSOCKET_SEGMENTS_MAX) {
    const datagrams = Math.ceil(bytes / segment);
    throw new RangeError(
      `Cannot send: data must be cut into at most ${LIMIT.QSOCKET_SEGMENTS_MAX} datagrams, ` +
        `got ${datagrams} of ${segment} bytes`,
    );
  }
}

function refuse(option: string, rule: string, got: unknown): never {
  throw new RangeError(`Cannot send: ${option} ${rule}, got ${show(got)}`);
}
