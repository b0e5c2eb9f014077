// A network that loses, repeats and reorders datagrams as a property test tells it to, and what
// must hold for RTP frames that went through it.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { Depacketizer } from "../media/depacketize.ts";
import type { Frame } from "../media/frame.ts";
import { packetizeFrame, packetizer } from "../media/packetize.ts";
import type { PacketizeOptions } from "../media/packetize.ts";

/** What happens to one datagram: how often it arrives, and after how many others. */
export interface Fate {
  copies: number;
  delay: number;
}

/** Fates for as many datagrams as there may be: they repeat. */
export function fates(options: { loss: boolean; delayMax: number }): fc.Arbitrary<Fate[]> {
  const copies = options.loss
    ? fc.oneof({ weight: 6, arbitrary: fc.constant(1) }, fc.constantFrom(0, 2))
    : fc.oneof({ weight: 4, arbitrary: fc.constant(1) }, fc.constant(2));
  const fate = fc.record({ copies, delay: fc.nat({ max: options.delayMax }) });
  return fc.array(fate, { minLength: 1, maxLength: 50 });
}

/** The datagrams as they arrive. The first one is never delayed behind another. */
export function deliver<T>(datagrams: readonly T[], network: readonly Fate[]): T[] {
  const arriving: { at: number; datagram: T }[] = [];
  for (const [i, datagram] of datagrams.entries()) {
    const { copies, delay } = network[i % network.length];
    for (let copy = 0; copy < copies; copy++) {
      arriving.push({ at: i === 0 ? -1 : i + delay * (copy + 1), datagram });
    }
  }
  return arriving.sort((a, b) => a.at - b.at).map(({ datagram }) => datagram);
}

/** Bytes that hold no start code and no byte 0 or 1, different for each seed. */
export function filler(bytes: number, seed: number): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = seed * 2654435761 >>> 0;
  for (let i = 0; i < bytes; i++) {
    state = state * 1664525 + 1013904223 >>> 0;
    data[i] = 2 + (state >>> 16) % 254;
  }
  return data;
}

/** What is sent through the network: access units with their presentation times, ms. */
export interface Clip {
  units: { data: Uint8Array; pts: number }[];
  options: PacketizeOptions;
}

/** Options that a format must be right with, whatever they are. */
export function sendOptions(
  format: PacketizeOptions["format"],
  mtuMin: number,
): fc.Arbitrary<PacketizeOptions> {
  return fc.record({
    format: fc.constant(format),
    mtu: fc.oneof(
      fc.integer({ min: mtuMin, max: mtuMin + 200 }),
      fc.integer({ min: mtuMin, max: 1500 }),
    ),
    sequence: fc.nat({ max: 0xffff }),
    timestampOffset: fc.nat({ max: 0xffffffff }),
    equalSizes: fc.boolean(),
    marking: fc.option(fc.constant(3), { nil: undefined }),
  });
}

/** The datagrams of each access unit, as lists. */
export function datagramsOf({ units, options }: Clip): Uint8Array[][] {
  let state = packetizer(options);
  return units.map(({ data, pts }, index) => {
    const result = packetizeFrame({ ...FRAME, index, pts, dts: pts, data }, state);
    state = result.state;
    return result.packets.messages.map((message) => message.data);
  });
}

/** Sends a clip with nothing lost: every access unit must come out complete and the same. */
export function assertIdentical(clip: Clip, network: readonly Fate[]): void {
  const { options } = clip;
  const datagrams = datagramsOf(clip).flat();
  for (const datagram of datagrams) assert.ok(datagram.length <= options.mtu!);
  const received = receive(options, deliver(datagrams, network));
  assert.equal(received.length, clip.units.length);
  for (const [i, frame] of received.entries()) {
    assert.deepEqual(frame.data, clip.units[i].data);
    assert.equal(frame.complete, true);
    assert.equal(frame.lost, 0);
  }
}

/**
 * Sends a clip through a network that loses: what is reported complete must be what was sent, and
 * what is not must consist of `parts` of what was sent. A receiver that does not know the first
 * sequence number must be as careful.
 */
export function assertNeverWrong(
  clip: Clip,
  network: readonly Fate[],
  parts: (data: Uint8Array) => Uint8Array[],
): void {
  const { options, units } = clip;
  const lists = datagramsOf(clip);
  const sentAt = new Map<number, Uint8Array>();
  let sequence = options.sequence!;
  for (const [i, list] of lists.entries()) {
    sentAt.set(sequence & 0xffff, units[i].data);
    sequence += list.length;
  }
  const sentParts = new Set(units.flatMap(({ data }) => parts(data).map(hex)));
  const arriving = deliver(lists.flat(), network);
  for (const known of [options, { ...options, sequence: undefined }]) {
    for (const frame of receive(known, arriving)) {
      if (frame.complete) assert.deepEqual(frame.data, sentAt.get(frame.sequence & 0xffff));
      for (const part of parts(frame.data)) assert.ok(sentParts.has(hex(part)), "glued");
    }
  }
}

/** The frames of what arrives. */
export function receive(options: PacketizeOptions, datagrams: readonly Uint8Array[]) {
  const { format, sequence, marking } = options;
  const depacketizer = new Depacketizer({ format, sequence, marking });
  const received = datagrams.flatMap((datagram) => depacketizer.push(datagram));
  return [...received, ...depacketizer.flush()];
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

const FRAME: Omit<Frame, "data"> = {
  index: 0,
  codec: "mpeg2",
  type: "P",
  pts: 0,
  dts: 0,
  keyframe: false,
  reference: true,
  groupStart: false,
  leading: false,
  damaged: false,
};
