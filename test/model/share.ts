// Sharing a link by weight (sfq) and by class (cbq).
//
// What was used is metered exactly: a meter adds up what each packet takes at a rate, as a fraction,
// and shows whole units of it, rounded down. A stream's finish tag, a class's clocks and a class's
// share of what is left are such meters. Tags count 2^-20 of a byte at weight 1, clocks nanoseconds.
//
// The rules are at the top of kernel/sched/fair.c, cbq.c and class.c. Papers: Goyal, Vin, Cheng,
// "Start-Time Fair Queuing", SIGCOMM 1996; Floyd, Van Jacobson, "Link-sharing and Resource
// Management Models for Packet Networks", IEEE/ACM Trans. Networking 3(4), 1995.

import { durationNs, LIMITS } from "./state.ts";
import type { State, Stream, Unit } from "./state.ts";

/** What has been used at a rate. */
export class Meter {
  readonly rate: bigint;
  readonly unitsPerByte: bigint;
  #used = 0n; // in 1/rate of a unit

  constructor(rate: bigint, unitsPerByte: bigint) {
    this.rate = rate;
    this.unitsPerByte = unitsPerByte;
  }

  /** In whole units. */
  get at(): bigint {
    return this.#used / this.rate;
  }

  /** Forgets what lies before; the fraction of a unit stays. */
  raise(least: bigint): void {
    if (this.at < least) this.#used += (least - this.at) * this.rate;
  }

  add(bytes: number): void {
    this.#used += BigInt(bytes) * this.unitsPerByte;
  }
}

const TAG = 1n << 20n;
const SECOND_NS = 1_000_000_000n;

/** Streams that share by weight: those of a link, or of a class. */
export interface Queue {
  virtual: bigint; // start tag of the packet in service
  highest: bigint; // finish tag served
  freeNs: number; // when the last packet served has left
}

/** What a stream has of its queue. */
export interface Share {
  meter: Meter; // the finish tag of what was served
  start: bigint; // the tag of what waits
}

/** A class as it is asked for; rates in bytes per second. */
export interface ClassAttributes {
  rate?: number;
  ceil?: number;
  priority?: number;
  borrow?: boolean;
  parent?: string;
}

interface Class {
  name: string | undefined; // none: of the streams that name no class
  parent: Class | undefined; // none: the link
  priority: number;
  borrows: boolean;
  rated: Meter | undefined; // the clock at its rate; none: nothing is guaranteed
  ceiled: Meter | undefined;
  left: Record<Source, Meter>;
  freeNs: number;
  queue: Queue;
}

type Source = "own" | "class" | "link";
const SOURCES: Source[] = ["own", "class", "link"];

export interface Sharing {
  queue: Queue; // under sfq
  classes: Class[] | undefined; // under cbq, parents first
  virtual: Map<string, bigint>; // of what is left, by source and priority
  turn: Class | undefined;
}

const newQueue = (): Queue => ({ virtual: 0n, highest: 0n, freeNs: 0 });

/** What a link keeps for these policies; `undefined` for the others. */
export function newSharing(
  scheduler: string,
  rate: number,
  attributes: Record<string, ClassAttributes>,
): Sharing | undefined {
  if (scheduler !== "sfq" && scheduler !== "cbq") return undefined;
  const classes: Class[] = [];
  const add = (name: string | undefined, asked: ClassAttributes) => {
    const weight = BigInt(Math.max(asked.rate ?? 0, Math.floor(rate / 256), 1));
    const meter = (rate: number | undefined) =>
      rate ? new Meter(BigInt(rate), SECOND_NS) : undefined;
    const left = () => new Meter(weight, SECOND_NS);
    classes.push({
      name,
      parent: classes.find((one) => one.name !== undefined && one.name === asked.parent),
      priority: asked.priority ?? 7,
      borrows: asked.borrow ?? false,
      rated: meter(asked.rate),
      ceiled: meter(asked.ceil),
      left: { own: left(), class: left(), link: left() },
      freeNs: 0,
      queue: newQueue(),
    });
  };
  add(undefined, { borrow: true });
  for (const [name, asked] of Object.entries(attributes)) add(name, asked);
  return {
    queue: newQueue(),
    classes: scheduler === "cbq" ? classes : undefined,
    virtual: new Map(),
    turn: undefined,
  };
}

export function newShare(weight: number): Share {
  return { meter: new Meter(BigInt(weight), TAG), start: 0n };
}

const max = (a: bigint, b: bigint) => a > b ? a : b;

function classOf(sharing: Sharing, stream: Stream): Class {
  return sharing.classes!.find((one) => one.name === stream.className)!;
}

function queueOf(sharing: Sharing, stream: Stream): Queue {
  return sharing.classes ? classOf(sharing, stream).queue : sharing.queue;
}

/** The class and those above it, from below. */
function path(leaf: Class | undefined): Class[] {
  return leaf ? [leaf, ...path(leaf.parent)] : [];
}

function readyHeads(state: State): Unit[] {
  return state.streams.flatMap((stream) => stream.units.slice(0, 1)).filter((unit) => unit.ready);
}

/** A head became ready: it has its start tag, and its classes something to send. */
export function join(state: State, sharing: Sharing, unit: Unit): void {
  const { stream } = unit;
  const queue = queueOf(sharing, stream);
  const others = readyHeads(state).filter((other) => other !== unit).map((other) => other.stream);
  const wasIdle = (freeNs: number, among: Stream[]) => among.length === 0 && unit.wholeNs > freeNs;
  const inQueue = others.filter((other) => queueOf(sharing, other) === queue);
  if (wasIdle(queue.freeNs, inQueue)) queue.virtual = queue.highest;
  stream.share.meter.raise(queue.virtual);
  stream.share.start = stream.share.meter.at;
  for (const one of sharing.classes ? path(classOf(sharing, stream)) : []) {
    const below = others.filter((other) => path(classOf(sharing, other)).includes(one));
    if (one.rated && wasIdle(one.freeNs, below)) {
      one.rated.raise(max(0n, BigInt(unit.wholeNs) - burstNs(one.rated)));
    }
  }
}

/** Ten milliseconds, or the time of 3000 bytes where that is longer. */
function burstNs({ rate }: Meter): bigint {
  return max(10_000_000n, 3000n * SECOND_NS / rate);
}

/** The head to judge next: undefined where no class may send. */
export function firstByShare(state: State, sharing: Sharing, nowNs: number): Unit | undefined {
  const byStart = readyHeads(state).sort((a, b) => {
    const [one, other] = [a.stream.share.start, b.stream.share.start];
    return one === other ? a.seq - b.seq : one < other ? -1 : 1;
  });
  if (!sharing.classes) return byStart[0];
  const headOf = (leaf: Class) => byStart.find(({ stream }) => classOf(sharing, stream) === leaf);
  const candidates = sharing.classes.flatMap((leaf) => {
    const source = sourceOf(leaf, nowNs);
    return headOf(leaf) && isOpen(state, leaf, nowNs) && source ? [{ leaf, source }] : [];
  }).sort((a, b) => {
    const [one, other] = [a, b].map(({ leaf, source }) => startOf(sharing, leaf, source));
    return SOURCES.indexOf(a.source) - SOURCES.indexOf(b.source) ||
      a.leaf.priority - b.leaf.priority || (one === other ? 0 : one < other ? -1 : 1);
  });
  sharing.turn = candidates[0]?.leaf;
  return sharing.turn && headOf(sharing.turn);
}

function isPast(clock: Meter | undefined, nowNs: number): boolean {
  return clock !== undefined && clock.at <= BigInt(nowNs);
}

/** A ceiling at the link's rate or above holds nobody back. */
function ceiling(state: State, one: Class): Meter | undefined {
  return one.ceiled && one.ceiled.rate < BigInt(state.rate) ? one.ceiled : undefined;
}

/** Whether all its ceilings let it send. */
function isOpen(state: State, leaf: Class, nowNs: number): boolean {
  return path(leaf).every((one) => !ceiling(state, one) || isPast(ceiling(state, one), nowNs));
}

/** By whose rate a class may send. */
function sourceOf(leaf: Class, nowNs: number): Source | undefined {
  if (isPast(leaf.rated, nowNs)) return "own";
  for (let one = leaf; one.borrows; one = one.parent) {
    if (!one.parent) return "link";
    if (isPast(one.parent.rated, nowNs)) return "class";
  }
  return undefined;
}

function startOf(sharing: Sharing, leaf: Class, source: Source): bigint {
  return max(leaf.left[source].at, sharing.virtual.get(source + leaf.priority) ?? 0n);
}

/** When a class may send, if nothing is sent before; Infinity if none has anything to send. */
export function nextByShare(state: State, sharing: Sharing): number {
  if (!sharing.classes) return Infinity;
  return Math.min(
    ...readyHeads(state).map(({ stream }) => {
      const leaf = classOf(sharing, stream);
      const ceilings = path(leaf).map((one) => Number(ceiling(state, one)?.at ?? 0n));
      const lenders = path(leaf).filter((_, i, all) => all.slice(0, i).every((b) => b.borrows));
      const rates = lenders.map(({ rated }) => rated ? Number(rated.at) : Infinity);
      if (path(leaf).every((one) => one.borrows)) rates.push(0);
      return Math.max(...ceilings, Math.min(...rates));
    }),
  );
}

/** A message of a unit is sent from `nowNs` to `doneNs`. */
export function charge(
  state: State,
  sharing: Sharing,
  unit: Unit,
  nowNs: number,
  doneNs: number,
): void {
  const { stream, messages: [{ bytes }] } = unit;
  const queue = queueOf(sharing, stream);
  if (sharing.classes) {
    chargeClasses(state, sharing, classOf(sharing, stream), bytes, nowNs, doneNs);
  }
  queue.virtual = readyHeads(state).filter((head) => queueOf(sharing, head.stream) === queue)
    .map((head) => head.stream.share.start).reduce((a, b) => a < b ? a : b);
  queue.freeNs = doneNs;
  stream.share.meter.add(bytes);
  stream.share.start = stream.share.meter.at;
  queue.highest = max(queue.highest, stream.share.start);
}

function chargeClasses(
  state: State,
  sharing: Sharing,
  leaf: Class,
  bytes: number,
  nowNs: number,
  doneNs: number,
): void {
  const source = sourceOf(leaf, nowNs);
  if (source) {
    const start = startOf(sharing, leaf, source);
    if (sharing.turn === leaf) sharing.virtual.set(source + leaf.priority, start);
    leaf.left[source].raise(start);
    leaf.left[source].add(bytes);
  }
  // What the others can hold a class up by: a large packet of each.
  const heldNs = BigInt(durationNs(state, sharing.classes!.length * LIMITS.creditBytes));
  for (const one of path(leaf)) {
    one.freeNs = doneNs;
    one.rated?.raise(max(0n, BigInt(nowNs) - heldNs - burstNs(one.rated)));
    one.rated?.add(bytes);
    one.ceiled?.raise(max(0n, BigInt(nowNs) - burstNs(one.ceiled)));
    one.ceiled?.add(bytes);
  }
}
