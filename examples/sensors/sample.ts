/**
 * A sensor's sample on the wire: a head of 32 bytes, in network order, and whatever it measured.
 *
 * 	 0  magic "QSEN"            4
 * 	 4  kind: 0 sample, 1 end   1
 * 	 5  zero                    1
 * 	 6  sensor                  2
 * 	 8  sensors of the run      2
 * 	10  run: tells publishers apart   2
 * 	12  number: counts from 0 in each sensor; in an end, the samples that there were   4
 * 	16  sent, ms of CLOCK_MONOTONIC as a double                                        8
 * 	24  due, the same                                                                  8
 *
 * The clock is that of one machine, so publisher and subscriber must run on the same one (the same
 * kernel: containers and network namespaces will do).
 */

/** The bytes of the head; no sample is smaller. */
export const SAMPLE_BYTES_MIN = 32;
/** The sensors of one run at most. */
export const SENSORS_MAX = 1000;

const MAGIC = 0x5153454e;

/** The head of a sample, or of the message that ends a sensor's samples. */
export interface Sample {
  kind: "sample" | "end";
  sensor: number;
  sensors: number;
  run: number;
  number: number;
  /** Milliseconds of `monotonic()`. */
  sent: number;
  /** When it must have arrived, on the same clock. */
  due: number;
}

/** Writes the head into the first 32 bytes of `data`. */
export function writeSample(data: Uint8Array, sample: Sample): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  view.setUint32(0, MAGIC);
  view.setUint16(4, sample.kind === "end" ? 0x100 : 0);
  view.setUint16(6, sample.sensor);
  view.setUint16(8, sample.sensors);
  view.setUint16(10, sample.run);
  view.setUint32(12, sample.number);
  view.setFloat64(16, sample.sent);
  view.setFloat64(24, sample.due);
}

/** Reads a head; null when the datagram is no sample. */
export function readSample(data: Uint8Array): Sample | null {
  if (data.byteLength < SAMPLE_BYTES_MIN) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const sensor = view.getUint16(6);
  const sensors = view.getUint16(8);
  const sent = view.getFloat64(16);
  const due = view.getFloat64(24);
  if (view.getUint32(0) !== MAGIC || data[4] > 1 || !Number.isFinite(sent + due)) return null;
  if (sensors > SENSORS_MAX || sensor >= sensors) return null;
  return {
    kind: data[4] === 1 ? "end" : "sample",
    sensor,
    sensors,
    run: view.getUint16(10),
    number: view.getUint32(12),
    sent,
    due,
  };
}
