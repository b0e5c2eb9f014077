// Senders that a user would otherwise pick, as their own documentation has them started: ffmpeg and
// GStreamer over RTP (RFC 2250), and SRT, which repeats what is lost and gives up what is too late.

import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Child, hurry } from "./children.ts";
import { TO } from "./path.ts";
import type { Packing } from "./quality.ts";
import type { Video } from "./video.ts";

/** Loopback ports of the SRT programs, on either side. */
const SRT_PORT = 5020;
const SRT_INPUT_PORT = 5022;
const SRT_CONNECT_MS = 500;
/** What the pipeline of GStreamer is made of. */
const GSTREAMER = [
  "filesrc",
  "tsdemux",
  "mpegvideoparse",
  "identity",
  "rtpmpvpay",
  "udpsink",
] as const;
/** Frames that GStreamer's payloader has not sent when its input ends. */
const HELD_BACK = 2;
const STOP_MS = 4000; // for what ends by itself when the video does

/** One of them; `start` resolves when it sends, to `port` of the far end. */
export interface Foreign {
  name: string;
  packing: Packing;
  /** It keeps everything back for the whole latency, so that of it nothing is left to its receiver. */
  spendsLatency?: boolean;
  /** Why it cannot be used here; null if it can. */
  missing: () => string | null;
  start: (options: {
    video: Video;
    seconds: number;
    latency: number;
    /** What one who paces is told that the link takes, bytes per second. */
    rate: number;
    port: number;
    children: AsyncDisposableStack;
  }) => Promise<Started>;
}

/** A sender that runs. */
export interface Started {
  /** Resolves when it has sent; says whether it was not done in time, and was ended. */
  ended(): Promise<{ cutOff: boolean }>;
}

export const FOREIGN: readonly Foreign[] = [
  {
    name: "ffmpeg -re, RTP",
    packing: "rtp",
    missing: () => lacks("ffmpeg", ["-version"]),
    start({ video, seconds, port, children }) {
      const to = `rtp://${TO}:${port}?pkt_size=1200`;
      return Promise.resolve(
        run(children, seconds, [...ffmpeg(video, seconds), "-f", "rtp", to]),
      );
    },
  },
  {
    name: "GStreamer, RTP",
    packing: "rtp",
    missing: () =>
      [
        lacks("gst-launch-1.0", ["--version"]),
        ...GSTREAMER.map((element) => lacks("gst-inspect-1.0", [element])),
      ].find((why) => why !== null) ?? null,
    start({ video, seconds, port, children }) {
      const frames = Math.round(seconds * video.fps) + HELD_BACK;
      const pipeline = `filesrc location=${video.path} ! tsdemux ! mpegvideoparse ! ` +
        `identity eos-after=${frames} ! rtpmpvpay mtu=1200 ! udpsink host=${TO} port=${port} sync=true`;
      return Promise.resolve(
        run(children, seconds, ["gst-launch-1.0", "-q", ...pipeline.split(" ")]),
      );
    },
  },
  {
    name: "SRT",
    packing: "ts",
    spendsLatency: true,
    missing: () => lacks("srt-live-transmit", ["-version"]) ?? lacks("ffmpeg", ["-version"]),
    async start({ video, seconds, latency, rate, port, children }) {
      const srt = ["srt-live-transmit", "-q", "-loglevel:fatal"];
      const out = `udp://127.0.0.1:${port}`;
      const listen = `srt://:${SRT_PORT}?mode=listener&latency=${latency}`;
      const call = `srt://${TO}:${SRT_PORT}?mode=caller&latency=${latency}&tlpktdrop=1` +
        `&maxbw=${Math.round(rate)}`;
      const taker = children.use(new Child([...srt, listen, out], { far: true }));
      hurry(taker);
      await sleep(SRT_CONNECT_MS);
      const giver = children.use(new Child([...srt, `udp://127.0.0.1:${SRT_INPUT_PORT}`, call]));
      hurry(giver);
      await sleep(SRT_CONNECT_MS);
      const to = `udp://127.0.0.1:${SRT_INPUT_PORT}?pkt_size=1316`;
      const sending = run(children, seconds, [...ffmpeg(video, seconds), "-f", "mpegts", to]);
      return {
        async ended() {
          const end = await sending.ended();
          await sleep(2 * latency); // what is still under way is delivered, or given up
          for (const child of [taker, giver]) mustWork(child, { mayEnd: false });
          return end;
        },
      };
    },
  },
];

function ffmpeg({ path }: Video, seconds: number): string[] {
  return [
    "ffmpeg",
    "-v",
    "error",
    "-nostdin",
    "-re",
    "-i",
    path,
    "-t",
    String(seconds),
    "-an",
    "-c:v",
    "copy",
  ];
}

/** Starts a program that sends for so long and then ends; it is stopped a while after that. */
function run(
  children: AsyncDisposableStack,
  seconds: number,
  command: readonly string[],
): Started {
  const child = children.use(new Child(command));
  hurry(child);
  return {
    async ended() {
      await child.ended(seconds * 1000 + STOP_MS);
      mustWork(child, { mayEnd: true });
      return { cutOff: child.wasEnded };
    },
  };
}

/** A sender that broke must not be taken for one of which nothing arrives. */
function mustWork(child: Child, how: { mayEnd: boolean }): void {
  const why = child.broken(how);
  if (why !== null) throw new Error(why);
}

/** Why a program cannot be used, or null; `args` make it end at once. */
function lacks(program: string, args: readonly string[]): string | null {
  const { error, status } = spawnSync(program, args, { stdio: "ignore" });
  if (error) return `no ${program} here`;
  return status === 0 || program.startsWith("srt") ? null : `${program} lacks ${args.join(" ")}`;
}
