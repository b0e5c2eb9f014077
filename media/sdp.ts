/**
 * Session descriptions (SDP, RFC 8866) for the streams that rtp.ts makes: what a player needs to
 * know before it can make sense of the packets. The text is written and read by sdp-transform; this
 * file knows what to say:
 *
 * - MPEG video is payload type 32 and a transport stream 33, both assigned by RFC 3551; the rtpmap
 *   is written all the same, since it does no harm and some players want it.
 * - H.264 has a dynamic type and says `packetization-mode=1`, its profile and level (three bytes of
 *   the sequence parameter set in hex) and the parameter sets themselves in base64 (RFC 6184,
 *   8.1), so that a decoder can start before the first key frame repeats them.
 * - Frame marking is announced by RFC 9626's name as an extension map (RFC 8285).
 */

import * as z from "zod";
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { parse, write } from "sdp-transform";
import { check } from "../ffi/options.ts";
import { RTP_FORMATS } from "./packetize.ts";
import type { RtpFormat } from "./packetize.ts";
import { RTP_CLOCK_HZ } from "./rtp.ts";
import { nalUnits } from "./rtp_h264.ts";

const MARKING_URI = "urn:ietf:params:rtp-hdrext:framemarking";
const ENCODINGS: Record<RtpFormat, string> = { mpv: "MPV", mp2t: "MP2T", h264: "H264" };
const SPS = 7;
const PPS = 8;

const integer = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const bytes: z.ZodType<Uint8Array, Uint8Array> = z.instanceof(Uint8Array, {
  error: "must be a Uint8Array",
});

const sdpOptions = z.strictObject({
  format: z.enum(["mpv", "mp2t", "h264"], { error: 'must be "mpv", "mp2t" or "h264"' }),
  /** Where the packets go: the player's address, or a multicast group. */
  hostname: z.string({ error: "must be an IP address" })
    .refine((text) => isIP(text) !== 0, { error: "must be an IP address" }),
  /** The port the packets go to. */
  port: integer(1, 65535),
  /** Default 32 for mpv, 33 for mp2t, 96 for h264. */
  payloadType: integer(0, 127).optional(),
  /** Default "Q.Sockets". */
  name: z.string({ error: "must be text of one line" })
    .regex(/^[^\r\n\0]+$/, { error: "must be text of one line" }).optional(),
  /** H.264: bytes that hold the parameter sets, such as the first key frame (Annex B). */
  parameterSets: bytes.optional(),
  /** The number of the frame marking extension, where `packetize` has one. */
  marking: integer(1, 14).optional(),
  /** Frames per second, where known. */
  frameRate: z.number({ error: "must be a number" }).positive({ error: "must be above 0" })
    .optional(),
  /** Tells sessions of one host apart. Default: the time of the call, as RFC 8866 suggests. */
  sessionId: integer(0, Number.MAX_SAFE_INTEGER).optional(),
});

/** Options of {@linkcode writeSdp}. */
export type SdpOptions = z.input<typeof sdpOptions>;

/** What {@linkcode readSdp} finds: all that `depacketize` and a decoder need. */
export interface SdpStream {
  format: RtpFormat;
  /** The connection address; null when the description has none. */
  hostname: string | null;
  port: number;
  payloadType: number;
  /** H.264: the NAL units of `sprop-parameter-sets`; else none. */
  parameterSets: Uint8Array[];
  /** H.264: `profile-level-id`, six hex digits. */
  profileLevelId: string | null;
  /** The number of the frame marking extension. */
  marking: number | null;
}

/**
 * The session description of one RTP video stream, with CRLF at the end of every line. Throws
 * RangeError or TypeError for options that are wrong.
 *
 * @example
 * ```ts
 * import { writeSdp } from "qsockets";
 * const sdp = writeSdp({ format: "mpv", hostname: "127.0.0.1", port: 5004 });
 * // m=video 5004 RTP/AVP 32
 * ```
 */
export function writeSdp(options: SdpOptions): string {
  const given = check(sdpOptions, options, "describe a session");
  const payload = given.payloadType ?? RTP_FORMATS[given.format].payloadType;
  const address = {
    ip: isMulticast(given.hostname) ? `${given.hostname}/16` : given.hostname, // with its TTL
    version: isIP(given.hostname) as 4 | 6,
  };
  const sessionId = given.sessionId ?? Date.now();
  const fmtp = given.format === "h264"
    ? [{ payload, config: h264Parameters(given.parameterSets) }]
    : [];
  return write({
    version: 0,
    origin: {
      username: "-",
      sessionId,
      sessionVersion: sessionId,
      netType: "IN",
      ipVer: address.version,
      address: given.hostname,
    },
    name: given.name ?? "Q.Sockets",
    timing: { start: 0, stop: 0 },
    connection: address,
    media: [{
      type: "video",
      port: given.port,
      protocol: "RTP/AVP",
      payloads: String(payload),
      rtp: [{ payload, codec: ENCODINGS[given.format], rate: RTP_CLOCK_HZ }],
      fmtp,
      direction: "recvonly",
      ...(given.frameRate !== undefined && { framerate: given.frameRate }),
      ...(given.marking !== undefined && { ext: [{ value: given.marking, uri: MARKING_URI }] }),
    }],
  });
}

/**
 * The first video stream of a session description that can be received here. Throws TypeError when
 * there is none.
 *
 * @example
 * ```ts
 * import { readSdp, writeSdp } from "qsockets";
 * const sdp = writeSdp({ format: "mp2t", hostname: "::1", port: 5004 });
 * readSdp(sdp).payloadType; // 33
 * ```
 */
export function readSdp(text: string): SdpStream {
  const session = parse(text);
  for (const media of session.media ?? []) {
    for (const payload of String(media.payloads ?? "").split(" ").filter(Boolean).map(Number)) {
      const format = formatOf(payload, media.rtp?.find((map) => map.payload === payload)?.codec);
      if (media.type !== "video" || format === null) continue;
      const config = media.fmtp?.find((line) => line.payload === payload)?.config ?? "";
      const connection = media.connection ?? session.connection;
      return {
        format,
        hostname: connection?.ip.split("/")[0] ?? null,
        port: media.port,
        payloadType: payload,
        parameterSets: readParameterSets(parameter(config, "sprop-parameter-sets")),
        profileLevelId: parameter(config, "profile-level-id"),
        marking: media.ext?.find(({ uri }) => uri === MARKING_URI)?.value ?? null,
      };
    }
  }
  throw new TypeError("Cannot read session description: it has no video as MPV, MP2T or H264");
}

function h264Parameters(data: Uint8Array | undefined): string {
  const parameters = ["packetization-mode=1"];
  const units = data === undefined ? [] : nalUnits(data);
  const sets = units.filter((unit) => [SPS, PPS].includes(unit[0] & 0x1f));
  const sps = sets.find((unit) => (unit[0] & 0x1f) === SPS && unit.length >= 4);
  if (data !== undefined && !sps) {
    throw new TypeError(
      "Cannot describe a session: parameterSets must hold an H.264 sequence parameter set",
    );
  }
  if (sps) {
    const texts = sets.map((set) => Buffer.from(set).toString("base64"));
    parameters.push(
      `profile-level-id=${Buffer.from(sps.subarray(1, 4)).toString("hex").toUpperCase()}`,
      `sprop-parameter-sets=${[...new Set(texts)].join(",")}`, // key frames repeat them
    );
  }
  return parameters.join("; ");
}

function formatOf(payload: number, codec: string | undefined): RtpFormat | null {
  const name = codec?.toUpperCase();
  for (const format of ["mpv", "mp2t", "h264"] as const) {
    const assigned = payload < 96 && payload === RTP_FORMATS[format].payloadType;
    if (name === undefined ? assigned : name === ENCODINGS[format]) return format;
  }
  return null;
}

/** The value of a parameter of an fmtp line; base64 may hold "=", so only the first one splits. */
function parameter(config: string, name: string): string | null {
  for (const entry of config.split(";")) {
    const at = entry.indexOf("=");
    if (at > 0 && entry.slice(0, at).trim().toLowerCase() === name) {
      return entry.slice(at + 1).trim();
    }
  }
  return null;
}

function readParameterSets(text: string | null): Uint8Array[] {
  if (!text) return [];
  return text.split(",").map((set) => new Uint8Array(Buffer.from(set, "base64")))
    .filter((set) => set.length > 0);
}

function isMulticast(address: string): boolean {
  const first = Number(address.split(".")[0]);
  return isIP(address) === 4 && first >= 224 && first <= 239;
}
