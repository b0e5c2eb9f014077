// What is sent next, decided when the link is free: at most one message.
//
// A frame is promised once its first message is sent: it is then seen through, and nothing is
// begun that would break a promise. Before that it can be lost, because it would arrive too
// late (expired) or because a more valuable one would (window).

import {
  DELAY_ENDS_NS,
  doneNs,
  expiryNs,
  expirySet,
  guardNs,
  inExpiryOrder,
  isLossy,
  isManaged,
  LIMITS,
  makeHeadReady,
  NEVER,
  promisedSet,
  remove,
  sum,
  unsentBytes,
} from "./state.ts";
import type { State, Unit } from "./state.ts";
import { countFrame, loseExpired } from "./arrival.ts";
import { lose } from "./loss.ts";
import { order } from "./order.ts";
import { charge, firstByShare } from "./share.ts";
import { missed, served } from "./window.ts";

/** Sends one message or none; returns when the link is free again, or null if none was sent. */
export function decide(state: State, nowNs: number): number | null {
  loseExpired(state, nowNs);
  for (;;) {
    slide(state, nowNs);
    const byTurn = bestEffortTurn(state, nowNs);
    if (byTurn !== null) return serve(state, byTurn, nowNs);
    const head = firstManaged(state, nowNs) ?? bestEffortHeads(state)[0];
    if (head === undefined) return null;
    const chosen = head.begun ? continueOrPromised(state, head, nowNs) : begin(state, head, nowNs);
    if (chosen !== null) return serve(state, chosen, nowNs);
  }
}

function heads(state: State): Unit[] {
  return state.streams.flatMap((stream) => stream.units.slice(0, 1)).filter((unit) => unit.ready);
}

function managedHeads(state: State): Unit[] {
  return heads(state).filter((unit) => isManaged(state, unit)).sort((a, b) =>
    order(state.scheduler, a, b)
  );
}

/** Where no class may send, a frame that is promised is still seen through. */
function firstManaged(state: State, nowNs: number): Unit | undefined {
  if (!state.sharing) return managedHeads(state)[0];
  return firstByShare(state, state.sharing, nowNs) ?? promisedSet(state)[0];
}

function bestEffortHeads(state: State): Unit[] {
  return heads(state).filter((unit) => !isManaged(state, unit))
    .sort((a, b) => a.tag - b.tag || a.seq - b.seq);
}

/** A head that was not served by its rank is ranked again, a period or more later. */
function slide(state: State, nowNs: number): void {
  if (!state.policy.slide) return;
  for (;;) {
    const head = managedHeads(state).find((unit) => unit.rankNs <= nowNs);
    if (head === undefined) return;
    missed(head.stream);
    head.rankNs += head.stream.periodNs;
    head.releaseNs += head.stream.periodNs;
  }
}

/** The best-effort unit whose turn it is although managed ones wait, or null. */
function bestEffortTurn(state: State, nowNs: number): Unit | null {
  for (;;) {
    const unit = bestEffortHeads(state)[0];
    if (unit === undefined || managedHeads(state).length === 0) return null;
    const packet = unit.messages[0].bytes;
    if (state.credit < LIMITS.bestEffortShare * packet) return null;
    if (!unit.begun && isDoomed(state, unit, nowNs)) {
      lose(state, unit, "expired", nowNs);
      continue;
    }
    const harmful = unit.begun
      ? endangers(state, null, packet, NEVER - 1, nowNs)
      : endangers(state, unit, unsentBytes(unit), NEVER - 1, nowNs);
    return harmful || !mayBegin(state, unit) || !fits(state, unit, nowNs) ? null : unit;
  }
}

/** What to send when `head`, not begun, is first: itself, a promised unit, or null: it is lost. */
function begin(state: State, head: Unit, nowNs: number): Unit | null {
  if (isDoomed(state, head, nowNs)) {
    lose(state, head, "expired", nowNs);
    return null;
  }
  const { stream, drop } = head;
  const mayLose = isLossy(state, stream) && isManaged(state, head) && drop < NEVER &&
    (stream.y === 0 || stream.window.lost > 0);
  if (mayLose && endangers(state, head, unsentBytes(head), drop, nowNs)) {
    lose(state, head, "window", nowNs);
    return null;
  }
  return mayBegin(state, head) ? continueOrPromised(state, head, nowNs) : promisedSet(state)[0];
}

function continueOrPromised(state: State, head: Unit, nowNs: number): Unit {
  return fits(state, head, nowNs) ? head : promisedSet(state)[0];
}

/** No more than so many units are promised at once; one of a single message is never owed. */
function mayBegin(state: State, unit: Unit): boolean {
  return unit.begun || unit.messages.length === 1 || expiryNs(state, unit) === Infinity ||
    promisedSet(state).length < LIMITS.begunUnits;
}

/** Whether a unit would be late even if it were sent now, after what is promised before it. */
function isDoomed(state: State, unit: Unit, nowNs: number): boolean {
  const expiry = expiryNs(state, unit);
  if (expiry === Infinity) return false;
  const first = inExpiryOrder(state, [...promisedSet(state), unit]);
  const before = first.slice(0, first.indexOf(unit) + 1);
  return doneNs(state, nowNs + guardNs(state, unit), sum(before.map(unsentBytes))) > expiry;
}

/** Whether the next message of a unit can be sent now and every promise still be kept. */
function fits(state: State, unit: Unit, nowNs: number): boolean {
  const packet = unit.messages[0].bytes;
  const promised = promisedSet(state).filter((other) => other !== unit);
  let bytes = packet;
  for (const member of inExpiryOrder(state, [...promised, unit])) {
    bytes += unsentBytes(member) - (member === unit ? packet : 0);
    if (doneNs(state, nowNs, bytes) > expiryNs(state, member)) return false;
  }
  return true;
}

/**
 * Whether sending `bytes` now (of `unit`, which is left out) would make a unit late that is
 * worth more than `drop` and would otherwise be in time. Only so many units are looked at. They
 * are judged once for each worth above `drop`, among those of that worth or more, so that the
 * time for the most valuable is never counted as taken by others.
 */
function endangers(
  state: State,
  unit: Unit | null,
  bytes: number,
  drop: number,
  nowNs: number,
): boolean {
  const seen = expirySet(state).slice(0, LIMITS.lookaheadUnits)
    .filter((other) => other !== unit && isManaged(state, other));
  for (let worth = drop + 1; worth <= NEVER; worth++) {
    let accepted = 0;
    for (const other of seen.filter((one) => one.drop >= worth)) {
      if (!canArrive(state, other, accepted, nowNs)) continue;
      if (!canArrive(state, other, accepted + bytes, nowNs)) return true;
      accepted += unsentBytes(other);
    }
  }
  return false;
}

/**
 * Whether a unit can be in time after `ahead` bytes, and every promise be kept all the same. What is
 * planned for is asked for the guard twice: it must not be doomed by a small delay.
 */
function canArrive(state: State, unit: Unit, ahead: number, nowNs: number): boolean {
  let promised = 0;
  let behind = false;
  return inExpiryOrder(state, [...promisedSet(state), unit]).every((member) => {
    if (member === unit) behind = true;
    else promised += unsentBytes(member);
    const bytes = ahead + promised + (behind ? unsentBytes(unit) : 0);
    const spareNs = member === unit ? 2 * guardNs(state, unit) : 0;
    return !behind || doneNs(state, nowNs, bytes) <= expiryNs(state, member) - spareNs;
  });
}

/** Sends the next message of a unit; returns when the link has sent it. */
function serve(state: State, unit: Unit, nowNs: number): number {
  const stream = unit.stream;
  const atNs = doneNs(state, nowNs, unit.messages[0].bytes);
  account(state, unit);
  if (state.sharing) charge(state, state.sharing, unit, nowNs, atNs);
  unit.begun = true;
  const message = unit.messages.shift()!;
  const late = atNs > message.deadlineNs;
  stream.counters[late ? "late" : "sent"] += 1;
  stream.counters.sentBytes += message.bytes;
  const above = DELAY_ENDS_NS.filter((endNs) => atNs - message.arrivalNs >= endNs);
  stream.counters.delays[above.length] += 1;
  const { number, bytes } = message;
  const outcome = late ? "late" : "sent";
  state.events.push({ at: atNs / 1e6, stream: stream.id, message: number, bytes, outcome });
  if (unit.frame && late) unit.frame.late = true;
  if (unit.messages.length === 0) complete(state, unit, atNs);
  return atNs;
}

/** Best effort saves up a sixteenth of what managed streams send while it waits. */
function account(state: State, unit: Unit): void {
  const bytes = unit.messages[0].bytes;
  const share = LIMITS.bestEffortShare;
  if (!isManaged(state, unit)) {
    state.vtime = unit.tag;
    state.credit = Math.max(0, state.credit - share * bytes);
  } else if (bestEffortHeads(state).length > 0) {
    state.credit = Math.min(state.credit + bytes, share * LIMITS.creditBytes);
  } else {
    state.credit = 0;
  }
}

function complete(state: State, unit: Unit, atNs: number): void {
  const { stream, frame } = unit;
  remove(unit);
  if (atNs <= unit.rankNs) served(stream);
  else missed(stream);
  if (frame) {
    frame.sent += 1;
    frame.queued -= 1;
    countFrame(stream, frame);
  }
  makeHeadReady(state, stream);
}
