// How a unit is lost, and what its loss takes along.
//
// A referenced unit (level 0 or 1) takes with it what needs it: all that follows in its group,
// and of the next group the pictures that lean on this one (the leading pictures of an open
// GOP: they come after the group's first picture in coding order and before it in display
// order). The walk over the queue and the check of later arrivals are the same three states.

import { isLossy, LEVEL_NONE, makeHeadReady, remove } from "./state.ts";
import type { Message, Reason, State, Stream, Unit } from "./state.ts";
import { missed } from "./window.ts";

/** Writes down that a message is not sent. */
export function dropMessage(
  state: State,
  stream: Stream,
  message: Message,
  reason: Reason,
  nowNs: number,
): void {
  stream.counters.dropped[reason] += 1;
  stream.counters.droppedByPriority[message.drop] += 1;
  stream.counters.droppedBytes += message.bytes;
  state.events.push({
    at: nowNs / 1e6,
    stream: stream.id,
    message: message.number,
    bytes: message.bytes,
    outcome: "dropped",
    reason,
  });
}

/** Drops one unit, without looking at what depends on it. */
export function dropUnit(state: State, unit: Unit, reason: Reason, nowNs: number): void {
  const stream = unit.stream;
  remove(unit);
  missed(stream);
  for (const message of unit.messages) dropMessage(state, stream, message, reason, nowNs);
  if (!unit.ended) stream.discarding = reason === "dependency" ? "dependency" : "frame";
  if (unit.frame) {
    stream.counters.frames.dropped[reason][unit.frame.level] += 1;
    if (unit.begun) stream.counters.frames.partial += 1;
  }
}

/** Loses a unit, and after it what is queued behind it and needs it. */
export function lose(state: State, unit: Unit, reason: Reason, nowNs: number): void {
  const stream = unit.stream;
  const behind = stream.units.slice(stream.units.indexOf(unit) + 1);
  dropUnit(state, unit, reason, nowNs);
  if (isLossy(state, stream) && unit.level <= 1) {
    let tail: Stream["tail"] = "broken";
    for (const next of behind) {
      if (next.level === LEVEL_NONE) continue;
      const after = tailAfter(tail, next.level, next.leading);
      if (after === "lost") dropUnit(state, next, "dependency", nowNs);
      else tail = after;
      if (tail === "sound") break;
    }
    // Broken behind the queue's end it stays, whatever starts before that.
    if (tail !== "sound" && stream.tail !== "broken") stream.tail = tail;
  }
  makeHeadReady(state, stream);
}

/** The state after a unit with a level, or "lost" if the unit itself cannot be decoded. */
export function tailAfter(
  tail: Stream["tail"],
  level: number,
  leading: boolean,
): Stream["tail"] | "lost" {
  if (tail === "broken") return level === 0 ? "recovering" : "lost";
  if (tail === "recovering") return leading ? "lost" : "sound";
  return "sound";
}
