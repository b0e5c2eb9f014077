// Texts of programs that send, for device.ts: streams with a contract, and those who know of none.

export const FRAME_MESSAGES = 3;
const PAYLOAD_BYTES = 1000;
/** Of a frame on the wire: IPv4, UDP and Ethernet. */
export const FRAME_BYTES = FRAME_MESSAGES * (PAYLOAD_BYTES + 28 + 14);

/** What a {@linkcode stream} sends. */
export interface StreamOptions {
  /** Its number, the first byte of all of its messages. */
  number: number;
  /** Milliseconds between frames, as it says, */
  ipg: number;
  /** and as it does: 0 for all at once. Default: the same. */
  gap?: number;
  frames: number;
  /** Milliseconds that a frame may take. */
  deadline?: number;
  oln: number;
  old: number;
  hostname?: string;
  /** The device is told nothing of it. */
  isPlain?: boolean;
}

/**
 * Says that it is ready; for every line, which may change the options, opens a stream, sends frames of
 * three messages at their times, and says the counters. Every message has its stream's and its frame's
 * number.
 */
export function stream(options: StreamOptions): string {
  return `
    const below = new Link({ device: DEVICE, admission: "off" }), above = new Link({ rate: "1gbit" });
    say("ready");
    for await (const line of input) {
      const options = { ...${JSON.stringify(options)}, ...JSON.parse(line) };
      const { number, ipg, gap = ipg, frames, deadline, oln, old, hostname = V4 } = options;
      const data = Buffer.alloc(${PAYLOAD_BYTES}, number);
      const socket = (options.isPlain ? above : below).open({
        to: { hostname, port: PORT }, ipg, oln, old, bytes: ${FRAME_BYTES},
      });
      const start = performance.now();
      for (let sent = 0; sent < frames; await pause(2)) {
        const due = Math.min(frames, Math.floor((performance.now() - start) / gap) + 1);
        for (; sent < due; sent++) {
          data.writeUInt32LE(sent, 1);
          for (const frame of ["start", "middle", "end"]) {
            try {
              socket.send(data, { deadline, frame, drop: 3 });
            } catch (error) {
              if (error.code !== "ENOBUFS") throw error;
            }
          }
        }
      }
      say(await drained(socket));
      socket.close();
    }
  `;
}

/**
 * Sends datagrams without a contract, about so many bytes a second, and keeps so many TCP connections
 * full, until it is ended.
 */
export function bulk(bytesPerSecond: number, sockets: number, connections: number): string {
  return `
    const much = Buffer.alloc(1 << 16), data = Buffer.alloc(${PAYLOAD_BYTES});
    const sockets = Array.from({ length: ${sockets} }, () => createSocket("udp4"));
    for (const socket of sockets) {
      await new Promise((resolve) => socket.bind(0, resolve));
      socket.on("error", () => {});
    }
    say("ready");
    await input.next();
    for (let i = 0; i < ${connections}; i++) {
      const socket = connect(PORT, V4, () => {
        const fill = () => { while (socket.write(much)); };
        socket.on("drain", fill);
        fill();
      });
      socket.on("error", () => {});
    }
    for (let sent = 0;; await pause(5)) { // what it is too slow for it does not make good
      for (let i = 0; i < ${Math.ceil(bytesPerSecond / PAYLOAD_BYTES / 200)}; i++, sent++) {
        sockets[sent % sockets.length].send(data, 9, V4, () => {});
      }
    }
  `;
}

/** Frames of which all messages came, by the frames' numbers as they came. */
export function wholeFrames(numbers: readonly number[] = []): number {
  const messages = new Map<number, number>();
  for (const number of numbers) messages.set(number, (messages.get(number) ?? 0) + 1);
  return [...messages.values()].filter((count) => count === FRAME_MESSAGES).length;
}
