import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { annexB } from "../media/rtp_h264.ts";
import { readSdp, writeSdp } from "../media/sdp.ts";

const sps = new Uint8Array([0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9]);
const pps = new Uint8Array([0x68, 0xeb, 0xe3]);
const slice = new Uint8Array([0x65, 0x88, 0x84]);
const to = { hostname: "127.0.0.1", port: 5004, sessionId: 7 };

test("writeSdp describes MPEG video with the assigned payload type 32", () => {
  assert.equal(
    writeSdp({ format: "mpv", ...to, frameRate: 25 }),
    [
      "v=0",
      "o=- 7 7 IN IP4 127.0.0.1",
      "s=Q.Sockets",
      "c=IN IP4 127.0.0.1",
      "t=0 0",
      "m=video 5004 RTP/AVP 32",
      "a=rtpmap:32 MPV/90000",
      "a=recvonly",
      "a=framerate:25",
      "",
    ].join("\r\n"),
  );
});

test("writeSdp describes a transport stream with the assigned payload type 33", () => {
  const sdp = writeSdp({ format: "mp2t", ...to });
  assert.match(sdp, /^m=video 5004 RTP\/AVP 33\r$/m);
  assert.match(sdp, /^a=rtpmap:33 MP2T\/90000\r$/m);
});

test("writeSdp describes H.264 with profile, level and each parameter set once", () => {
  const parameterSets = annexB([sps, pps, slice, sps, pps]);
  const sdp = writeSdp({ format: "h264", ...to, parameterSets });
  const sets = [sps, pps].map((set) => Buffer.from(set).toString("base64")).join(",");
  const config = `packetization-mode=1; profile-level-id=64001E; sprop-parameter-sets=${sets}`;
  assert.ok(sdp.includes(`a=fmtp:96 ${config}\r\n`));
});

test("writeSdp names an IPv6 address and a multicast group as such", () => {
  assert.match(writeSdp({ format: "mpv", ...to, hostname: "::1" }), /^c=IN IP6 ::1\r$/m);
  assert.match(writeSdp({ format: "mpv", ...to, hostname: "239.1.2.3" }), /IP4 239\.1\.2\.3\/16\r/);
});

test("readSdp reads back what writeSdp wrote", () => {
  const parameterSets = annexB([sps, pps]);
  const stream = { format: "h264", ...to, payloadType: 100, marking: 3, parameterSets } as const;
  assert.deepEqual(readSdp(writeSdp(stream)), {
    format: "h264",
    hostname: "127.0.0.1",
    port: 5004,
    payloadType: 100,
    parameterSets: [sps, pps],
    profileLevelId: "64001E",
    marking: 3,
  });
});

test("readSdp takes the first video that can be received", () => {
  const text = [
    "v=0",
    "o=- 0 0 IN IP4 10.0.0.1",
    "s=-",
    "t=0 0",
    "m=audio 5000 RTP/AVP 33",
    "m=video 5002 RTP/AVP 97",
    "a=rtpmap:97 VP8/90000",
    "m=video 5004 RTP/AVP 32",
    "",
  ].join("\r\n");
  const stream = readSdp(text);
  assert.deepEqual([stream.format, stream.port, stream.hostname], ["mpv", 5004, null]);
});

test("readSdp and writeSdp refuse what they cannot use", () => {
  for (const text of ["", "v=0\r\n", "no description", "m=video 1 RTP/AVP 96\r\n"]) {
    assert.throws(() => readSdp(text), {
      name: "TypeError",
      message: "Cannot read session description: it has no video as MPV, MP2T or H264",
    });
  }
  assert.throws(() => writeSdp({ format: "mpv", ...to, hostname: "example.org" }), RangeError);
  assert.throws(() => writeSdp({ format: "mpv", ...to, name: "two\r\nlines" }), RangeError);
  assert.throws(() => writeSdp({ format: "mpv", ...to, port: 0 }), {
    message: "Cannot describe a session: port must be a whole number from 1 to 65535, got 0",
  });
  assert.throws(
    () => writeSdp({ format: "h264", ...to, parameterSets: annexB([slice]) }),
    TypeError,
  );
});
