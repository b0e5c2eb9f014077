/**
 * Sends a video file as RTP to a player, in time, and drops whole frames when the link is too slow.
 *
 * 	bun examples/video_server.ts film.ts --to 127.0.0.1:5004
 * 	ffplay -protocol_whitelist file,udp,rtp -i film.sdp
 */

import { writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Address,
  type Frame,
  type FramePackets,
  Link,
  monotonic,
  nalUnits,
  pace,
  packetize,
  type QSocket,
  RTP_HEADER_BYTES,
  RTP_MARKING_BYTES,
  type RtpFormat,
  type SocketInfo,
  writeSdp,
} from "../mod.ts";
import { type Arguments, asUsage, type Command, readAddress, run, UsageError } from "./command.ts";
import { StatusLine } from "./terminal.ts";
import { Reporter } from "./video/reports.ts";
import { Levels, progressLine, type Sending, summaryText } from "./video/sending.ts";
import { openSource, type Source } from "./video/source.ts";
import { transport } from "./video/transport.ts";

const SCHEDULERS = ["dwcs", "dwcs99", "vds", "edf", "edf-lossless", "sfq", "cbq", "fifo"] as const;

const command: Command = {
  file: "video_server.ts",
  operands: "FILE",
  summary: "Sends the video of FILE (MPEG-TS, MPEG-PS, MP4, Matroska, MPEG-1/2 or H.264) as RTP.",
  options: {
    to: { takes: "HOST:PORT", help: "The player; RTCP goes to the port after it." },
    rate: { takes: "RATE", help: 'Of the link: "1.5mbit", "200kB/s".', default: "20mbit" },
    scheduler: {
      takes: "NAME",
      help: "dwcs, dwcs99, vds, edf, edf-lossless, sfq, cbq or fifo.",
      default: "dwcs",
    },
    device: { takes: "NAME", help: "The network device of the link, if it is to be a real one." },
    latency: {
      takes: "MS",
      help: "A frame must have left so long after its time, or is dropped.",
      default: "200",
    },
    oln: { takes: "N", help: "At most so many frames may be lost ..." },
    old: { takes: "N", help: "... of so many." },
    loop: { help: "Begin anew at the end." },
    speed: { takes: "FACTOR", help: "2 is twice as fast.", default: "1" },
    sdp: {
      takes: "FILE",
      help: "Where to write the session description; - is standard output.\n" +
        "Default: FILE's name with .sdp, in the current directory.",
    },
    delay: {
      takes: "SECONDS",
      help: "Wait so long after writing it, for a player to start.",
      default: "0",
    },
    mtu: { takes: "BYTES", help: "Of a packet at most, RTP header included.", default: "1200" },
    format: {
      takes: "NAME",
      help: "mpv (MPEG-1/2), h264, or mp2t (either, in a transport stream).\n" +
        "Default: by the video.",
    },
    stats: { takes: "SECONDS", help: "Show what was done this often; 0 never.", default: "1" },
    json: { help: "Print the summary as JSON." },
  },
  notes: "Ctrl-C ends the video and prints the summary; a second one ends the program.",
};

/** The header extension's number for frame marking (RFC 9626), told in the SDP. */
const MARKING_ID = 1;
const IPV4_UDP_BYTES = 20 + 8;
const IPV6_UDP_BYTES = 40 + 8;
const SPS = 7;
const STATS_MS_MAX = 2 ** 31 - 1;
const FORMATS: Record<Source["codec"], RtpFormat> = { mpeg1: "mpv", mpeg2: "mpv", h264: "h264" };

await run(command, async (args, stopped) => {
  const path = args.operands[0];
  if (path === undefined) throw new UsageError("FILE is missing");
  if (args.operands.length > 1) {
    throw new UsageError(`one FILE only, got also "${args.operands[1]}"`);
  }
  const speed = args.number("speed", { least: 0.01, most: 1000 })!;
  const delay = args.number("delay", { least: 0, most: 3600, unit: " seconds" })! * 1000;
  const statsMs = args.number("stats", { least: 0, most: 3600, unit: " seconds" })! * 1000;
  const to = await readAddress(args.text("to"), "--to");
  using link = openLink(args);

  const source = await openSource(path, { loop: args.has("loop"), speed, stopped });
  const format = args.choice("format", ["mpv", "h264", "mp2t"]) ?? FORMATS[source.codec];
  if (format === "mp2t") source.frames = source.frames.pipeThrough(transport());
  else if (format !== FORMATS[source.codec]) {
    throw new UsageError(`--format ${format} cannot carry ${source.codec} video`);
  }
  const ssrc = crypto.getRandomValues(new Uint32Array(1))[0];
  const latency = args.number("latency", { least: 1, most: 60_000, unit: " ms" })!;
  const mtu = args.whole("mtu", { least: 100, most: 65_507, unit: " bytes" })!;
  const packets = packetize({ format, mtu, ssrc, latency, marking: MARKING_ID });
  using socket = openSocket(link, args, { to, ipg: source.interval });

  const sdp = writeSdp({
    format,
    ...to,
    marking: MARKING_ID,
    frameRate: Number((1000 / source.interval).toFixed(3)),
    name: basename(path),
    ...(format === "h264" && parameterSets(source.first)),
  });
  const sdpPath = args.text("sdp") ?? `${basename(path, extname(path))}.sdp`;
  const status = new StatusLine();
  if (sdpPath === "-") console.log(sdp.trimEnd());
  else {
    await writeFile(sdpPath, sdp);
    status.say(
      `wrote ${sdpPath}; play it with: ffplay -protocol_whitelist file,udp,rtp -i ${sdpPath}`,
    );
  }
  await wait(delay, stopped);

  const sending = { source, packets, socket, to, ssrc, statsMs, stopped };
  const summary = await send(sending, status);
  status.clear();
  const text = args.has("json") ? JSON.stringify(summary) : summaryText(summary);
  if (sdpPath === "-") console.error(text);
  else console.log(text);
});

interface Outgoing {
  source: Source;
  packets: TransformStream<Frame, FramePackets>;
  socket: QSocket;
  to: Address;
  ssrc: number;
  /** 0: no progress is shown. */
  statsMs: number;
  stopped: AbortSignal;
}

/** Sends all of it, or until it is stopped. */
async function send(outgoing: Outgoing, status: StatusLine): Promise<Sending> {
  const { source, packets, socket, to, ssrc, statsMs, stopped } = outgoing;
  const levels = new Levels();
  const start = monotonic();
  const seconds = () => (monotonic() - start) / 1000;
  let info = socket.info();
  let refused = false;
  const watching = (async () => {
    for await (info of socket.stats(statsMs || STATS_MS_MAX)) {
      if (info.lastError === "ECONNREFUSED" && !refused) {
        refused = true;
        status.say(`nobody listens at ${to.hostname} port ${to.port} yet`);
      }
      if (statsMs > 0) status.show(progressLine(seconds(), levels.counts(info), info));
    }
  })();
  const sent = () => sentSoFar(socket.handle === 0 ? info : socket.info(), to);
  const reporter = new Reporter({ to, ssrc, sent });
  try {
    await source.frames
      .pipeThrough(packets)
      .pipeThrough(pace({ interval: source.interval }))
      .pipeThrough(observe((frame) => {
        levels.add(frame.frame);
        reporter.frame(timestampOf(frame), displayDelay(frame));
      }))
      .pipeTo(socket.writable, { signal: stopped });
  } catch (error) {
    if (!stopped.aborted) throw error;
  } finally {
    socket.close();
    await watching; // it ends with the last counters
    await reporter.close(stopped.aborted ? "stopped" : "end of file");
  }
  const receivers = [...reporter.receivers.values()];
  return {
    levels: levels.counts(info),
    info,
    seconds: seconds(),
    receivers,
    report: source.report,
  };
}

function openLink(args: Arguments): Link {
  const device = args.text("device");
  return asUsage(() =>
    new Link({
      rate: args.text("rate")!,
      scheduler: args.choice("scheduler", SCHEDULERS),
      ...(device !== undefined && { device }),
    })
  );
}

function openSocket(link: Link, args: Arguments, options: { to: Address; ipg: number }): QSocket {
  const most = 65535;
  const oln = args.whole("oln", { least: 0, most });
  const old = args.whole("old", { least: 0, most });
  return asUsage(() =>
    link.open({ ...options, ...(oln !== undefined && { oln }), ...(old !== undefined && { old }) })
  );
}

/** The parameter sets of H.264, for the SDP; a file whose pictures come without them has none. */
function parameterSets(frame: Frame): { parameterSets?: Uint8Array } {
  const complete = nalUnits(frame.data).some((unit) => (unit[0] & 0x1f) === SPS);
  return complete ? { parameterSets: frame.data } : {};
}

function observe<T>(see: (value: T) => void): TransformStream<T, T> {
  return new TransformStream({
    transform(value, controller) {
      see(value);
      controller.enqueue(value);
    },
  });
}

/** The RTP timestamp of a frame's packets. */
function timestampOf({ messages }: FramePackets): number {
  const { data } = messages[0];
  return new DataView(data.buffer, data.byteOffset).getUint32(4);
}

/** How long after its decoding a frame is shown, ms. */
function displayDelay({ frame: { pts, dts } }: FramePackets): number {
  return pts === null || dts === null ? 0 : pts - dts;
}

/** For the RTCP report: every message is one packet, and the link counts its headers too. */
function sentSoFar({ sent, late, sentBytes }: SocketInfo, to: Address) {
  const packets = sent + late;
  const headers = (to.hostname.includes(":") ? IPV6_UDP_BYTES : IPV4_UDP_BYTES) +
    RTP_HEADER_BYTES + RTP_MARKING_BYTES;
  return { packets, octets: sentBytes - packets * headers };
}

async function wait(ms: number, stopped: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal: stopped }).catch(() => {});
}
