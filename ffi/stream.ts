// A socket's Web Streams: messages in, with backpressure, and counters out.
//
// C bounds every queue by refusing or evicting messages, which is right for a live source and
// wrong for a file that is read as fast as the disk allows. So the writable waits while the queue
// is over half of either limit. How full it is need not be asked each time: what was queued when
// last asked, plus what was written since, is an upper bound.

import { constants } from "node:os";
import { failure, QError } from "./error.ts";
import type { SocketInfo } from "./info.ts";
import type { QMessage } from "./options.ts";

/** What the writable needs of its socket. */
interface Queue {
  /** Queues a message; returns its bytes or -errno. */
  offer(message: QMessage): number;
  info(): SocketInfo;
  drain(): Promise<SocketInfo>;
  discard(): void;
  /** What the link has room for. */
  messagesMax: number;
}

const COUNTED = [-constants.errno.ENOBUFS, -constants.errno.ETIME];
const WAIT_MS_MIN = 1;
const WAIT_MS_MAX = 20;

/** A sink over a socket's queue, as `QSocket.writable` documents it. */
export function writableQueue(
  queue: Queue,
): WritableStream<QMessage | { messages: readonly QMessage[] }> {
  let frameOpen = false;
  // Upper bounds of what is queued, and what they may reach before asking again.
  let messages = Infinity;
  let bytes = Infinity;
  let messagesHigh = 0;
  let bytesHigh = 0;

  async function room(signal: AbortSignal): Promise<void> {
    while (messages > messagesHigh || bytes > bytesHigh) {
      signal.throwIfAborted();
      const info = queue.info();
      if (info.broken) throw failure("qsend", -constants.errno.EPIPE, "send");
      messages = info.queued;
      bytes = info.queuedBytes;
      messagesHigh = Math.min(info.queueMessages, queue.messagesMax) / 2;
      bytesHigh = info.queueBytes / 2;
      if (messages <= messagesHigh && bytes <= bytesHigh) return;
      const excess = Math.max(0, bytes - bytesHigh) / info.rate * 1000;
      await pause(Math.min(WAIT_MS_MAX, Math.max(WAIT_MS_MIN, excess)));
    }
  }

  return new WritableStream({
    async write(chunk, controller) {
      for (const message of "messages" in chunk ? chunk.messages : [chunk]) {
        // A frame leaves only when its end is queued: to wait in its middle could be forever. And
        // where the clock runs already, waiting only shortens what is left: who must go then is
        // for the scheduler to decide.
        if (!frameOpen && message.deadlineAt === undefined) await room(controller.signal);
        const result = queue.offer(message);
        if (result < 0 && !COUNTED.includes(result)) throw failure("qsend", result, "send");
        if (message.frame !== undefined) {
          frameOpen = message.frame === "start" || message.frame === "middle";
        }
        messages++;
        bytes += message.data.byteLength;
      }
    },
    async close() {
      await queue.drain();
      if (frameOpen) throw new RangeError("Cannot close: a frame was started and not ended");
    },
    abort() {
      queue.discard();
    },
  });
}

/** A stream of counters, as `QSocket.stats` documents it. */
export function statsStream(
  read: () => SocketInfo,
  closed: Promise<SocketInfo | null>,
  intervalMs: number,
): ReadableStream<SocketInfo> {
  let ended = false;
  let last: SocketInfo | null = null;
  let wake = () => {};
  closed.then((info) => {
    ended = true;
    last = info;
    wake();
  });
  return new ReadableStream<SocketInfo>({
    async pull(controller) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      if (!ended) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          timer = setTimeout(resolve, intervalMs);
        });
        clearTimeout(timer);
      }
      if (!ended) {
        try {
          return controller.enqueue(read());
        } catch (error) {
          // The link was closed, and the socket with it.
          if (!(error instanceof QError) || error.code !== "EBADF") throw error;
        }
      }
      if (last) controller.enqueue(last);
      controller.close();
    },
    cancel() {
      ended = true;
      wake();
    },
  }, { highWaterMark: 0 });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
