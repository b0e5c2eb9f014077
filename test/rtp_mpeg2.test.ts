import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { mp2t, mpv } from "../media/rtp_mpeg2.ts";
import { concatenate } from "../media/rtp_payload.ts";
import { assertIdentical, assertNeverWrong, datagramsOf, fates, filler, receive } from "./lossy.ts";
import { sendOptions } from "./lossy.ts";
import type { Clip } from "./lossy.ts";

const I = 1, P = 2, B = 3;
const FRAME = 3, TOP = 1, BOTTOM = 2;

function section(code: number, ...body: number[]): Uint8Array {
  return new Uint8Array([0, 0, 1, code, ...body]);
}

function slice(row: number, bytes: number, seed = row): Uint8Array {
  return concatenate([section(row), filler(bytes - 4, seed)]);
}

/** A picture header with temporal reference 5 and, for P and B, the f_codes of MPEG-2. */
function pictureHeader(type: number): Uint8Array {
  const codes = { [I]: [0xf8], [P]: [0xfb, 0x80], [B]: [0xfb, 0xb8] }[type]!;
  return section(0x00, 5 >> 2, (5 & 3) << 6 | type << 3 | 7, 0xff, ...codes);
}

function codingExtension(structure: number, compositeDisplay = false): Uint8Array {
  const last = compositeDisplay ? [0x80 | 0x40 | 0x12, 0x34, 0x56] : [0x80];
  return section(0xb5, 0x8f, 0xff, 0xf0 | 2 << 2 | structure, 0xaa, ...last);
}

const sequenceHeader = concatenate([section(0xb3, ...filler(136, 1)), section(0xb5, 0x14, 8, 9)]);
const gopHeader = section(0xb8, 2, 3, 4, 5);

function packets(data: Uint8Array, payloadBytes: number, equalSizes = true) {
  return mpv.split(data, { payloadBytes, equalSizes }).map((payload) => {
    const bytes = concatenate(payload);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const word = view.getUint32(0);
    const extended = (word & 1 << 26) !== 0;
    return {
      bytes,
      data: bytes.subarray(extended ? 8 : 4),
      extension: extended ? view.getUint32(4) : null,
      temporalReference: word >>> 16 & 0x3ff,
      sequence: (word & 1 << 13) !== 0,
      begins: (word & 1 << 12) !== 0,
      ends: (word & 1 << 11) !== 0,
      type: word >>> 8 & 7,
      codes: word & 0xff,
    };
  });
}

function sections(data: Uint8Array): Uint8Array[] {
  const starts: number[] = [];
  for (let i = 0; i + 3 < data.length; i++) {
    if (data[i] === 0 && data[i + 1] === 0 && data[i + 2] === 1) starts.push(i);
  }
  if (starts.length === 0) return data.length > 0 ? [data] : [];
  if (starts[0] > 0) starts.unshift(0);
  return starts.map((start, i) => data.subarray(start, starts[i + 1] ?? data.length));
}

test("mpv.split repeats the picture header in every payload", () => {
  const data = concatenate([
    pictureHeader(B),
    codingExtension(FRAME),
    slice(1, 300),
    slice(2, 300),
  ]);
  const split = packets(data, 330);
  assert.equal(split.length, 2);
  for (const packet of split) {
    assert.equal(packet.temporalReference, 5);
    assert.equal(packet.type, B);
    assert.equal(packet.codes, 0x77); // f_code 7 both ways: MPEG-2 keeps them in the extension
    assert.equal(packet.extension, (0xf << 26 | 0xff << 18 | 0xfb << 10 | 0xaa << 2 | 2) >>> 0);
  }
});

test("mpv.split leaves f_codes out where the picture has none", () => {
  const codes = (type: number) => {
    return packets(concatenate([pictureHeader(type), slice(1, 20)]), 100)[0].codes;
  };
  assert.equal(codes(I), 0);
  assert.equal(codes(P), 0x07);
});

test("mpv.split sends no extension for MPEG-1 nor with composite display information", () => {
  assert.equal(packets(concatenate([pictureHeader(P), slice(1, 20)]), 100)[0].extension, null);
  const composite = [pictureHeader(P), codingExtension(FRAME, true), slice(1, 20)];
  assert.equal(packets(concatenate(composite), 100)[0].extension, null);
});

test("mpv.split puts whole slices together and never a slice behind the rest of another", () => {
  const data = concatenate([pictureHeader(P), ...[40, 40, 300, 40].map((n, i) => slice(i + 1, n))]);
  const split = packets(data, 124);
  assert.deepEqual(split.map(({ begins, ends }) => [begins, ends]), [
    [true, true], // the header and two slices
    [true, false],
    [false, false],
    [false, true],
    [true, true],
  ]);
  assert.deepEqual(split.map((packet) => packet.data.length), [9 + 80, 100, 100, 100, 40]);
  assert.deepEqual(concatenate(split.map((packet) => packet.data)), data);
});

test("mpv.split cuts a slice with the headers before it into equal parts", () => {
  const headers = concatenate([
    sequenceHeader,
    gopHeader,
    pictureHeader(I),
    codingExtension(FRAME),
  ]);
  const split = packets(concatenate([headers, slice(1, 3000)]), 1188);
  const sizes = split.map((packet) => packet.bytes.length);
  assert.equal(sizes.length, 3);
  assert.equal(sizes[0], sizes[1]);
  assert.ok(sizes[2] <= sizes[0] && sizes[2] > sizes[0] - 3);
  assert.deepEqual(split.map(({ sequence }) => sequence), [true, false, false]);
  assert.deepEqual(split.map(({ begins }) => begins), [true, false, false]);
});

test("mpv.split begins a payload with each sequence header, and each picture header of a field", () => {
  const first = [sequenceHeader, gopHeader, pictureHeader(I), codingExtension(TOP), slice(1, 50)];
  const second = [pictureHeader(P), codingExtension(BOTTOM), slice(1, 50)];
  const split = packets(concatenate([...first, ...second]), 1188);
  assert.equal(split.length, 2);
  assert.deepEqual(split.map(({ type }) => type), [I, P]);
  assert.deepEqual(split[1].data, concatenate(second));
  // No GOP header between: the picture header has to begin a payload of its own (3.1, rule 3).
  const bare = [sequenceHeader, pictureHeader(I), codingExtension(FRAME), slice(1, 50)];
  assert.equal(packets(concatenate(bare), 1188).length, 2);
});

test("mpv.split does not cut a header that fits", () => {
  const data = concatenate([sequenceHeader, gopHeader, pictureHeader(I), slice(1, 900)]);
  const split = packets(data, 155);
  assert.deepEqual(split[0].data, sequenceHeader);
});

test("mpv.join skips the optional tails of the extension", () => {
  const body = slice(1, 20);
  const tails: [number, number, number[]][] = [
    [0, 1, [0, 1, 2, 3]], // D: composite display
    [0x40, 0, [2, 9, 9, 9, 9, 9, 9, 9]], // E: two words
    [0x40, 1, [0, 1, 2, 3, 1, 9, 9, 9]],
  ];
  for (const [e, d, tail] of tails) {
    const payload = new Uint8Array([4, 0, 0x18, 0, e, 0, 0, d, ...tail, ...body]);
    const joined = mpv.join([{ payloads: [payload], headLost: false, tailLost: false }]);
    assert.deepEqual(joined, { data: body, intact: true });
  }
});

test("mpv.join keeps only whole slices around a gap", () => {
  const parts = [pictureHeader(P), slice(1, 60), slice(2, 60), slice(3, 250), slice(4, 60)];
  const split = packets(concatenate(parts), 104).map(({ bytes }) => bytes);
  assert.equal(split.length, 6); // header and 1, 2, three parts of 3, 4
  for (const missing of [2, 3, 4]) {
    const joined = mpv.join([
      { payloads: split.slice(0, missing), headLost: false, tailLost: true },
      { payloads: split.slice(missing + 1), headLost: true, tailLost: false },
    ]);
    assert.equal(joined.intact, false);
    assert.deepEqual(joined.data, concatenate([parts[0], parts[1], parts[2], parts[4]]));
  }
});

test("mpv.opening is certain only where nothing can have stood before", () => {
  const opening = (...parts: Uint8Array[]) => {
    const data = concatenate([...parts, slice(1, 20)]);
    const [first] = mpv.split(data, { payloadBytes: 1188, equalSizes: true });
    return mpv.opening(concatenate(first));
  };
  assert.equal(opening(sequenceHeader, gopHeader, pictureHeader(I)), "certain");
  assert.equal(opening(pictureHeader(P), codingExtension(FRAME)), "certain");
  assert.equal(opening(pictureHeader(B)), "certain"); // MPEG-1
  // A sequence header may be lost before these, a first field before that.
  assert.equal(opening(gopHeader, pictureHeader(I)), "likely");
  assert.equal(opening(pictureHeader(I), codingExtension(FRAME)), "likely");
  assert.equal(opening(pictureHeader(P), codingExtension(BOTTOM)), "likely");
  assert.equal(opening(), "no");
});

test("mpv.join never throws on random bytes", () => {
  const run = fc.record({
    payloads: fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 5 }),
    headLost: fc.boolean(),
    tailLost: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(run, { maxLength: 4 }), (runs) => {
    mpv.join(runs);
    for (const { payloads } of runs) payloads.forEach((payload) => mpv.opening(payload));
  }));
});

const slices = fc.array(
  fc.record({ bytes: fc.integer({ min: 5, max: 1500 }), seed: fc.nat() }),
  { minLength: 1, maxLength: 6 },
).map((list) => list.map(({ bytes, seed }, i) => slice(i + 1, bytes, seed)));
const picture = fc.record({
  type: fc.constantFrom(I, P, B),
  mpeg2: fc.boolean(),
  fields: fc.boolean(),
  composite: fc.boolean(),
  sequence: fc.boolean(),
  gop: fc.boolean(),
  userData: fc.option(fc.integer({ min: 1, max: 200 }), { nil: 0 }),
  slices,
}).map((p) => {
  const parts: Uint8Array[] = [];
  if (p.type === I && p.sequence) parts.push(sequenceHeader);
  if (p.type === I && p.gop) parts.push(gopHeader);
  const fields = p.mpeg2 && p.fields;
  for (const structure of fields ? [TOP, BOTTOM] : [FRAME]) {
    parts.push(pictureHeader(p.type));
    if (p.mpeg2) parts.push(codingExtension(structure, p.composite));
    if (p.userData > 0) parts.push(concatenate([section(0xb2), filler(p.userData, 7)]));
    parts.push(...p.slices);
  }
  return concatenate(parts);
});
const clip: fc.Arbitrary<Clip> = fc.record({
  units: fc.array(
    fc.record({ data: picture, pts: fc.nat({ max: 5 }).map((n) => 40 * n) }),
    { minLength: 1, maxLength: 6 },
  ),
  options: sendOptions("mpv", 100),
});

test("MPEG video arrives as it was sent when nothing is lost, in whatever order", () => {
  fc.assert(fc.property(clip, fates({ loss: false, delayMax: 20 }), assertIdentical), {
    numRuns: 60,
  });
});

test("MPEG video without any start code arrives as it was sent too", () => {
  const unit = fc.record({
    data: fc.uint8Array({ minLength: 1, maxLength: 600 }),
    pts: fc.constant(0),
  });
  const bytes = fc.record({
    units: fc.array(unit, { minLength: 1, maxLength: 3 }),
    options: sendOptions("mpv", 100),
  });
  fc.assert(fc.property(bytes, (sent) => assertIdentical(sent, [{ copies: 1, delay: 0 }])));
});

test("MPEG video with losses is never wrong, and no slice is glued", () => {
  // Headers larger than a packet may be cut by a loss (RFC 2250 asks for room for 261 bytes), so
  // only slices are looked at.
  const onlySlices = (data: Uint8Array) => {
    return sections(data).filter((part) => part[3] > 0 && part[3] <= 0xaf && part[2] === 1);
  };
  fc.assert(
    fc.property(
      clip,
      fates({ loss: true, delayMax: 20 }),
      (sent, network) => assertNeverWrong(sent, network, onlySlices),
    ),
    { numRuns: 100 },
  );
});

test("P and B frames behind frames dropped whole at the source are complete without marks", () => {
  const data = [B, P, B, B, P].map((type, i) => {
    return concatenate([pictureHeader(type), codingExtension(FRAME), slice(1, 500, i)]);
  });
  const options = { format: "mpv", mtu: 300, sequence: 0 } as const;
  const units = data.map((bytes, i) => ({ data: bytes, pts: 40 * i }));
  const lists = datagramsOf({ units, options });
  const received = receive(options, [lists[0], lists[3], lists[4]].flat());
  assert.deepEqual(received.map(({ complete }) => complete), [true, true, true]);
});

const TS = 188;

test("mp2t.split takes 7 transport packets at most, and whole ones only", () => {
  const data = filler(15 * TS, 1);
  const bytes = (payloadBytes: number, equalSizes = true) => {
    return mp2t.split(data, { payloadBytes, equalSizes }).map((payload) => payload[0].length / TS);
  };
  assert.deepEqual(bytes(9000, false), [7, 7, 1]);
  assert.deepEqual(bytes(9000), [5, 5, 5]);
  assert.deepEqual(bytes(2 * TS + 100, false), [2, 2, 2, 2, 2, 2, 2, 1]);
  assert.throws(() => mp2t.split(data.subarray(1), { payloadBytes: 1316, equalSizes: true }), {
    name: "RangeError",
    message: "Cannot packetize a transport stream: need whole packets of 188 bytes, got 2819 bytes",
  });
  assert.throws(() => mp2t.split(data, { payloadBytes: 187, equalSizes: true }), RangeError);
});

test("mp2t.join leaves out payloads that are not whole transport packets", () => {
  const payloads = [filler(TS, 1), filler(100, 2), filler(2 * TS, 3)];
  const joined = mp2t.join([{ payloads, headLost: false, tailLost: false }]);
  assert.deepEqual(joined, { data: concatenate([payloads[0], payloads[2]]), intact: false });
});

test("a transport stream arrives as it was sent, and is never wrong with losses", () => {
  const unit = fc.record({ packets: fc.integer({ min: 1, max: 20 }), seed: fc.nat() });
  const stream = fc.record({
    units: fc.array(unit, { minLength: 2, maxLength: 6 }).map((list) => {
      return list.map(({ packets: n, seed }, i) => ({ data: filler(n * TS, seed), pts: 40 * i }));
    }),
    options: sendOptions("mp2t", 12 + 8 + TS),
  });
  const cut = (data: Uint8Array) => {
    return Array.from({ length: data.length / TS }, (_, i) => data.subarray(TS * i, TS * (i + 1)));
  };
  fc.assert(fc.property(stream, fates({ loss: true, delayMax: 20 }), (sent, network) => {
    assertNeverWrong(sent, network, cut);
    const marked = { ...sent, options: { ...sent.options, marking: 3 } };
    assertIdentical(marked, network.map(({ delay }) => ({ copies: 1, delay })));
    // Unmarked, only the next frame's timestamp shows where one ends: the last stays open.
    const unmarked = { ...sent.options, marking: undefined };
    const received = receive(unmarked, datagramsOf({ ...sent, options: unmarked }).flat());
    assert.deepEqual(received.map(({ data }) => data), sent.units.map(({ data }) => data));
    assert.deepEqual(received.map(({ complete }) => complete).indexOf(false), received.length - 1);
  }));
});
