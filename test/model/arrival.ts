// What happens to a message when it comes in: is it in order within its frame, is there room
// for it, can it still be of use; then it joins its stream's queue.

import {
  doneNs,
  expiryNs,
  expirySet,
  isLossy,
  LEVEL_NONE,
  LIMITS,
  makeHeadReady,
  promisedSet,
  sum,
  unsentBytes,
} from "./state.ts";
import type { Frame, Mark, Message, Reason, State, Stream, Unit } from "./state.ts";
import { dropMessage, lose, tailAfter } from "./loss.ts";
import { missed } from "./window.ts";

/** A message as it arrives; `mark` is undefined for one that belongs to no frame. */
export interface Arrival {
  atNs: number;
  stream: Stream;
  message: Message;
  mark: Mark | undefined;
  level: number; // LEVEL_NONE if it belongs to no frame
  leading: boolean;
}

/** Takes in one message, at its time. */
export function enqueue(state: State, arrival: Arrival): void {
  const { stream, message, mark } = arrival;
  stream.counters.offered += 1;
  stream.counters.offeredBytes += message.bytes;
  if (isOutOfOrder(state, arrival)) {
    return dropMessage(state, stream, message, "frame", arrival.atNs);
  }
  if (mark === "start" || mark === "whole") stream.counters.frames.offered[arrival.level] += 1;
  if (!state.policy.frames) enqueueAlone(state, arrival);
  else if (continuesFrame(mark)) enqueueNext(state, arrival);
  else enqueueFirst(state, arrival);
}

/** Whether its frame was not begun, or another one is not over. */
export function isOutOfOrder(state: State, { stream, mark }: Arrival): boolean {
  const open = state.policy.frames ? openUnit(stream) !== null : stream.frame !== null;
  return continuesFrame(mark) ? !open && stream.discarding === null : open;
}

function continuesFrame(mark: Mark | undefined): boolean {
  return mark === "middle" || mark === "end";
}

/** The unit of this stream whose last message has not come yet. */
export function openUnit(stream: Stream): Unit | null {
  return stream.units.find((unit) => !unit.ended) ?? null;
}

/** A message that starts a unit: alone, the whole of a frame, or the first of one. */
function enqueueFirst(state: State, arrival: Arrival): void {
  const { stream, mark, level, leading } = arrival;
  stream.discarding = null;
  const lossy = isLossy(state, stream);
  const tailWith = () =>
    lossy && level !== LEVEL_NONE ? tailAfter(stream.tail, level, leading) : stream.tail;
  let refused: Reason | null = isPast(arrival)
    ? "expired"
    : tailWith() === "lost"
    ? "dependency"
    : null;
  if (refused === null) {
    if (!makeRoom(state, arrival, null)) refused = "overflow";
    else if (tailWith() === "lost") refused = "dependency"; // by what was lost to make room
  }
  if (refused === null) {
    stream.tail = tailWith() as Stream["tail"];
    append(state, arrival, mark === undefined ? null : newFrame(level));
    return;
  }
  refuseFirst(state, arrival, refused);
  if (mark === "start") stream.discarding = refused === "dependency" ? "dependency" : "frame";
  if (refused !== "dependency" && lossy && level <= 1) stream.tail = "broken";
}

/** On real links a message may have been on its way for longer than it had. */
function isPast({ message, atNs }: Arrival): boolean {
  return message.deadlineNs <= atNs;
}

function refuseFirst(state: State, arrival: Arrival, reason: Reason): void {
  const { stream, mark, level } = arrival;
  dropMessage(state, stream, arrival.message, reason, arrival.atNs);
  missed(stream);
  if (mark !== undefined) stream.counters.frames.dropped[reason][level] += 1;
}

/** A message that continues a frame, or what would have been one. */
function enqueueNext(state: State, arrival: Arrival): void {
  const { stream, message, mark, atNs } = arrival;
  const unit = openUnit(stream);
  if (unit === null) {
    dropMessage(state, stream, message, stream.discarding!, atNs);
  } else if (unit.messages.length >= LIMITS.frameMessages) {
    lose(state, unit, "frame", atNs);
    dropMessage(state, stream, message, "frame", atNs);
  } else if (isPast(arrival)) {
    lose(state, unit, "frame", atNs);
    dropMessage(state, stream, message, "expired", atNs);
  } else if (makeRoom(state, arrival, unit)) {
    return append(state, arrival, unit.frame);
  } else if (!stream.units.includes(unit)) {
    dropMessage(state, stream, message, stream.discarding!, atNs); // lost while making room
  } else {
    lose(state, unit, "frame", atNs);
    dropMessage(state, stream, message, "overflow", atNs);
  }
  if (mark === "end") stream.discarding = null;
}

/** Under fifo each message stands for itself; its frame only matters to the counters. */
function enqueueAlone(state: State, arrival: Arrival): void {
  const { stream, message, mark, level, atNs } = arrival;
  const starts = mark === "start" || mark === "whole";
  const frame = starts ? newFrame(level) : mark === undefined ? null : stream.frame;
  if (frame) frame.ended = !goesOn(mark);
  stream.frame = frame === null || frame.ended ? null : frame;
  const refused = isPast(arrival) ? "expired" : "overflow";
  if (refused === "overflow" && makeRoom(state, arrival, null)) {
    return append(state, arrival, frame);
  }
  dropMessage(state, stream, message, refused, atNs);
  missed(stream);
  if (frame) {
    frame.refused = refused;
    countFrame(stream, frame);
  }
}

/** Whether more of the frame is to come after a message. */
function goesOn(mark: Mark | undefined): boolean {
  return mark === "start" || mark === "middle";
}

function newFrame(level: number): Frame {
  return { level, ended: false, queued: 0, sent: 0, refused: null, late: false };
}

/** Counts a frame once all of it was sent or refused. */
export function countFrame(stream: Stream, frame: Frame): void {
  if (!frame.ended || frame.queued > 0) return;
  const counters = stream.counters.frames;
  if (frame.refused === null) {
    counters.sent[frame.level] += 1;
    if (frame.late) counters.late[frame.level] += 1;
  } else {
    counters.dropped[frame.refused][frame.level] += 1;
    if (frame.sent > 0) counters.partial += 1;
  }
}

/** Puts a message in the queue: at the end of the open unit, or as a new one. */
function append(state: State, arrival: Arrival, frame: Frame | null): void {
  const { stream, message, mark } = arrival;
  let unit = state.policy.frames ? openUnit(stream) : null;
  if (unit === null) {
    unit = {
      stream,
      seq: state.seq++,
      arrivalNs: arrival.atNs,
      wholeNs: arrival.atNs,
      drop: message.drop,
      level: arrival.level,
      leading: arrival.leading,
      dueNs: Infinity,
      messages: [],
      ended: false,
      begun: false,
      frame,
      ready: false,
      releaseNs: 0,
      rankNs: Infinity,
      tag: 0,
    };
    stream.units.push(unit);
    if (frame) frame.queued += 1;
  }
  unit.messages.push({ ...message, bestEffort: isBestEffort(state, stream, message) });
  unit.wholeNs = arrival.atNs;
  unit.dueNs = Math.min(unit.dueNs, message.deadlineNs);
  unit.ended = !state.policy.frames || !goesOn(mark);
  if (frame) frame.ended = !goesOn(mark);
  makeHeadReady(state, stream);
}

function isFull(state: State, stream: Stream, message: Message): boolean {
  const queued = (of: Stream) => sum(of.units.map((unit) => unit.messages.length));
  return queued(stream) >= stream.messagesMax ||
    sum(stream.units.map(unsentBytes)) + message.bytes > stream.bytesMax ||
    sum(state.streams.map(queued)) >= state.messagesMax ||
    bestEffortIsFull(state, stream, message);
}

function bestEffortIsFull(state: State, stream: Stream, message: Message): boolean {
  return isBestEffort(state, stream, message) && queuedBestEffort(state) >= state.bestEffortMax;
}

function isBestEffort(state: State, stream: Stream, message: Message): boolean {
  return state.policy.frames && !state.policy.all && stream.periodNs === 0 &&
    (!state.policy.byDeadline || message.deadlineNs === Infinity);
}

function queuedBestEffort({ streams }: State): number {
  const queued = streams.flatMap(({ units }) => units.flatMap(({ messages }) => messages));
  return queued.filter(({ bestEffort }) => bestEffort).length;
}

/** Whether losing a unit makes room for one message. */
function makesRoom(state: State, { stream, message }: Arrival, victim: Unit): boolean {
  return !bestEffortIsFull(state, stream, message) ||
    (queuedBestEffort(state) === state.bestEffortMax && victim.messages[0].bestEffort === true);
}

/** Evicts until there is room for a message; false if it is worth no more than what is queued. */
function makeRoom(state: State, arrival: Arrival, continued: Unit | null): boolean {
  const { stream, message, atNs } = arrival;
  if (message.bytes > stream.bytesMax) return false;
  const newcomer = continued ?? { drop: message.drop, level: arrival.level };
  while (isFull(state, stream, message)) {
    loseExpired(state, atNs);
    if (continued && !stream.units.includes(continued)) return false;
    if (!isFull(state, stream, message)) return true;
    if (!isLossy(state, stream)) return false;
    const victim = stream.units
      .filter((unit) => !unit.begun && unit !== continued)
      .sort((a, b) => a.drop - b.drop || b.level - a.level || b.seq - a.seq)[0];
    if (victim === undefined || victim.drop > newcomer.drop) return false;
    if (victim.drop === newcomer.drop && victim.level <= newcomer.level) return false;
    if (!makesRoom(state, arrival, victim)) return false;
    lose(state, victim, "overflow", atNs);
    if (continued && !stream.units.includes(continued)) return false;
  }
  return true;
}

/**
 * Gives up the promised units that the link has become too slow for; then loses, first to expire
 * first, whatever can expire and was not begun in time.
 */
export function loseExpired(state: State, nowNs: number): void {
  for (const unit of promisedSet(state)) {
    if (doneNs(state, nowNs, unsentBytes(unit)) > expiryNs(state, unit)) {
      lose(state, unit, "frame", nowNs);
    }
  }
  for (;;) {
    const first = expirySet(state)[0];
    if (first === undefined || expiryNs(state, first) > nowNs) return;
    lose(state, first, first.ended ? "expired" : "frame", nowNs);
  }
}
