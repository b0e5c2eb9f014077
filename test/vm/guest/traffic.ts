// Texts of programs that send, for device.ts: streams with a contract, and those who know of none.

export const FRAME_MESSAGES = 3;
const PAYLOAD_BYTES = 1000;
/** Of a frame on the wire: IPv4, UDP and Ethernet. */
export const FRAME_BYTES = FRAME_MESSAGES * (PAYLOAD_BYTES + 28 + 14);

/** What a {@linkcode stream} sends. */
export interface StreamOptions {
  /** Its number, the first byte of all of its messages. */
  number: number;
  /** Milliseconds between frames. */
  ipg: number;
  frames: number;
  /** Milliseconds that a frame may take. */
  deadline: number;
  oln: number;
  old: number;
  /** The options of its link, as text. */
  link?: string;
  /** Where to, as text. */
  hostname?: "V4" | "ASIDE";
}

/**
 * Says that it is ready; for every line opens a stream, sends frames of three messages at their times,
 * and says the counters. Every message has its stream's and its frame's number.
 */
export function stream(options: StreamOptions): string {
  const { number, ipg, frames, deadline, oln, old, link = "{ device: DEVICE }" } = options;
  const { hostname = "V4" } = options;
  return `
    const link = new Link(${link});
    const there = { hostname: ${hostname}, port: PORT };
    const data = Buffer.alloc(${PAYLOAD_BYTES}, ${number});
    say("ready");
    for await (const _ of input) {
      const socket = link.open({
        to: there, ipg: ${ipg}, oln: ${oln}, old: ${old}, bytes: ${FRAME_BYTES},
      });
      const start = performance.now();
      for (let sent = 0; sent < ${frames};) {
        const due = Math.min(${frames}, Math.floor((performance.now() - start) / ${ipg}) + 1);
        for (; sent < due; sent++) {
          data.writeUInt32LE(sent, 1);
          for (const frame of ["start", "middle", "end"]) {
            try {
              socket.send(data, { deadline: ${deadline}, frame, drop: 3 });
            } catch (error) {
              if (error.code !== "ENOBUFS") throw error;
            }
          }
        }
        await pause(2);
      }
      say(await drained(socket));
      socket.close();
    }
  `;
}

/** Sends datagrams without a contract, about so many bytes a second, until it is ended. */
export function blast(bytesPerSecond: number, sockets = 1): string {
  return `
    const sockets = Array.from({ length: ${sockets} }, () => createSocket("udp4"));
    const data = Buffer.alloc(${PAYLOAD_BYTES});
    for (const socket of sockets) {
      await new Promise((resolve) => socket.bind(0, resolve));
      socket.on("error", () => {});
    }
    say("ready");
    await input.next();
    for (let sent = 0;; await pause(5)) { // what it is too slow for it does not make good
      for (let i = 0; i < ${Math.ceil(bytesPerSecond / PAYLOAD_BYTES / 200)}; i++, sent++) {
        sockets[sent % sockets.length].send(data, 9, V4, () => {});
      }
    }
  `;
}

/** Keeps so many TCP connections full until it is ended. */
export function bulk(connections: number): string {
  return `
    const data = Buffer.alloc(1 << 16);
    for (let i = 0; i < ${connections}; i++) {
      const socket = connect(PORT, V4, () => {
        const fill = () => { while (socket.write(data)); };
        socket.on("drain", fill);
        fill();
      });
      socket.on("error", () => {});
    }
    say("ready");
    await input.next();
  `;
}

/** Frames of which all messages came, by the frames' numbers as they came. */
export function wholeFrames(numbers: readonly number[] = []): number {
  const messages = new Map<number, number>();
  for (const number of numbers) messages.set(number, (messages.get(number) ?? 0) + 1);
  return [...messages.values()].filter((count) => count === FRAME_MESSAGES).length;
}
