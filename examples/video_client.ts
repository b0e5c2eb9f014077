/**
 * Receives video as RTP and says what arrived: frames by type, losses, jitter.
 *
 * 	bun examples/video_client.ts film.sdp
 * 	bun examples/video_client.ts --listen 127.0.0.1:5004 --out film.m2v
 */

import type { Socket } from "node:dgram";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Address, readSdp, type RtpFormat, type SdpStream } from "../mod.ts";
import { type Arguments, type Command, readAddress, run, UsageError } from "./command.ts";
import { addressText, openInbox } from "./inbox.ts";
import { StatusLine } from "./terminal.ts";
import { receivedText, Receiver } from "./video/receiver.ts";

const command: Command = {
  file: "video_client.ts",
  operands: "[FILE.sdp]",
  summary: "Receives video as RTP and counts frames by type, losses and jitter.",
  options: {
    listen: { takes: "HOST:PORT", help: "Where to receive, if there is no session description." },
    format: {
      takes: "NAME",
      help: "mpv, mp2t or h264. Default: by the payload type (32, 33, others).",
    },
    out: { takes: "FILE", help: "Write the whole frames there, one after the other." },
    seconds: { takes: "N", help: "End after so long. Default: never." },
    idle: {
      takes: "MS",
      help: "End when nothing came for so long after the first packet.",
      default: "10000",
    },
    json: { help: "Print the summary as JSON." },
  },
  notes: "It ends with the sender's goodbye (RTCP BYE) too, or with Ctrl-C.",
};

/** The number of the frame marking extension where no session description tells it. */
const MARKING_ID = 1;
const TICK_MS = 50;
const REPORT_MS = 1000;
/** Video that is still on its way when the goodbye comes, which has another port. */
const AFTER_BYE_MS = 200;

/** What to receive, and where. */
interface Described {
  listen: Address;
  format: RtpFormat | undefined;
  payloadType: number | undefined;
  marking: number;
}

await run(command, async (args, stopped) => {
  const { listen, ...described } = await readDescription(args);
  const secondsMax = args.number("seconds", { least: 0.01, most: 1e9 }) ?? Infinity;
  const idleMs = args.number("idle", { least: 1, most: 1e9, unit: " ms" })!;
  const out = args.text("out");
  const video = await openInbox(listen);
  const control = listen.port < 65535
    ? await openInbox({ ...listen, port: video.address().port + 1 })
    : null;
  const file = out === undefined ? null : await openFile(out);
  console.error(`listening on ${addressText(video)}`);
  const receiver = new Receiver({ ...described, write: (data) => file?.write(data) });
  const status = new StatusLine();
  await receive({ video, control, receiver, status, secondsMax, idleMs, stopped });
  video.close();
  control?.close();
  receiver.flush();
  status.clear();
  if (file) await closeFile(file);
  const received = receiver.received();
  console.log(args.has("json") ? JSON.stringify(received) : receivedText(received));
});

interface Receiving {
  video: Socket;
  control: Socket | null;
  receiver: Receiver;
  status: StatusLine;
  secondsMax: number;
  idleMs: number;
  stopped: AbortSignal;
}

/** Receives until there is no more to come. */
async function receive(receiving: Receiving): Promise<void> {
  const { video, control, receiver, status, secondsMax, idleMs, stopped } = receiving;
  const start = performance.now();
  let reported = start;
  let byeAt = Infinity;
  video.on("message", (datagram) => receiver.video(datagram));
  control?.on("message", (datagram, from) => {
    if (receiver.control(datagram, from)) byeAt = Math.min(byeAt, performance.now());
  });
  await new Promise<void>((resolve) => {
    const finish = () => {
      clearInterval(timer);
      stopped.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setInterval(() => {
      const now = performance.now();
      const idle = receiver.last !== null && now - receiver.last >= idleMs;
      if (idle || now - start >= secondsMax * 1000 || now - byeAt >= AFTER_BYE_MS) {
        finish();
      } else if (now - reported >= REPORT_MS && receiver.last !== null) {
        reported = now;
        status.show(receiver.line());
        if (control) receiver.answer(control);
      }
    }, TICK_MS);
    stopped.addEventListener("abort", finish);
    if (stopped.aborted) finish();
  });
}

async function readDescription(args: Arguments): Promise<Described> {
  const [path] = args.operands;
  if (args.operands.length > 1) {
    throw new UsageError(`one FILE only, got "${args.operands[1]}" too`);
  }
  const wanted = args.choice("format", ["mpv", "mp2t", "h264"]);
  if (path === undefined) {
    if (!args.has("listen")) throw new UsageError("give FILE.sdp, or --listen HOST:PORT");
    const listen = await readAddress(args.text("listen"), "--listen", 0);
    return { listen, format: wanted, payloadType: undefined, marking: MARKING_ID };
  }
  const { format, payloadType, hostname, port, marking } = await readSession(path);
  const listen = args.has("listen")
    ? await readAddress(args.text("listen"), "--listen", 0)
    : { hostname: hostname ?? "0.0.0.0", port };
  return { listen, format: wanted ?? format, payloadType, marking: marking ?? MARKING_ID };
}

async function readSession(path: string): Promise<SdpStream> {
  try {
    return readSdp(await readFile(path, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT"
      ? "there is no such file"
      : message.replace(/^Cannot [^:]*: /, "");
    throw new Error(`Cannot read ${path}: ${why}`);
  }
}

async function openFile(path: string): Promise<WriteStream> {
  const file = createWriteStream(path);
  await once(file, "open");
  return file;
}

async function closeFile(file: WriteStream): Promise<void> {
  file.end();
  await once(file, "finish");
}
