// What the receiver (receiver.c) wrote down, read back: the datagrams of each port with the moment of
// their arrival, and the frames that they carried.

import { readFileSync } from "node:fs";
import { Depacketizer, parseRtp, type RtpFormat, Unroller } from "../../mod.ts";
import { digestOf, type ReceiverLog } from "../../examples/demo/log.ts";
import { MARKING } from "../../examples/demo/video.ts";

const HEAD_BYTES = 16;

/** A datagram as it arrived. */
export interface Datagram {
  /** ms of `monotonic()`, by the kernel's own stamp. */
  at: number;
  data: Uint8Array;
}

/** The datagrams by port. Throws where the file ends in the middle of one. */
export function readArrivals(file: string): Map<number, Datagram[]> {
  return parseArrivals(readFileSync(file));
}

/** The same of bytes; they are views of `bytes`. */
export function parseArrivals(bytes: Uint8Array): Map<number, Datagram[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ports = new Map<number, Datagram[]>();
  for (let from = 0; from < bytes.length;) {
    const whole = bytes.length - from >= HEAD_BYTES;
    const length = whole ? view.getUint32(from + 12, true) : 0;
    const data = bytes.subarray(from + HEAD_BYTES, from + HEAD_BYTES + length);
    if (!whole || data.length < length) {
      throw new Error(`Cannot read arrivals: cut off at byte ${from} of ${bytes.length}`);
    }
    const at = Number(view.getBigUint64(from, true)) / 1e6;
    const port = view.getUint32(from + 8, true);
    const list = ports.get(port);
    if (list) list.push({ at, data });
    else ports.set(port, [{ at, data }]);
    from += HEAD_BYTES + length;
  }
  return ports;
}

/**
 * Puts a stream's frames together again. Times count from `start`, numbers from the stream's first
 * packet, which has the sequence number 0 and is marked (RFC 9626), as our senders do.
 */
export function reassemble(
  datagrams: readonly Datagram[],
  format: RtpFormat,
  start: number,
): Omit<ReceiverLog, "bulk" | "stall"> {
  const sequences = new Unroller(16);
  const depacketizer = new Depacketizer({ format, marking: MARKING, sequence: 0 });
  sequences.unroll(0);
  const packets: [number, number][] = [];
  const frames: [number, string][] = [];
  const note = (received: ReturnType<Depacketizer["flush"]>) => {
    for (const { complete, sequence, data } of received) {
      if (complete) frames.push([sequence, digestOf(data)]);
    }
  };
  for (const { at, data } of datagrams) {
    const packet = parseRtp(data);
    if (packet === null) continue;
    packets.push([sequences.unroll(packet.sequence), at - start]);
    note(depacketizer.push(data, at));
  }
  note(depacketizer.flush());
  return { packets, frames };
}
