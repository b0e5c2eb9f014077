// A managed socket: messages go in with what they need, counters come out. What happens between
// is C's: a message is copied into a bounded queue, ranked, and sent or dropped by the link.

import { constants } from "node:os";
import { addressFields, peerStruct } from "./address.ts";
import { attrFields, attributesOf } from "./attributes.ts";
import { CALL, ENUM, FLAG, LIMIT } from "./abi.ts";
import { admissionOf, type AdmissionRule, refusal, warn } from "./admission.ts";
import { changeStream } from "./change.ts";
import { type Classes, classNumber } from "./classes.ts";
import { failure, type QError } from "./error.ts";
import { readInfo, type SocketInfo } from "./info.ts";
import { Args, qcloseArgs, qsocketArgs } from "./layout.ts";
import { library } from "./library.ts";
import { checkData, deadlineUs, messageFlags, PLAIN_FLAGS } from "./message.ts";
import { check, show, socketOptions, statsInterval } from "./options.ts";
import type {
  Address,
  MessageOptions,
  QMessage,
  SocketOptions,
  StreamAttributes,
} from "./options.ts";
import { statsStream, writableQueue } from "./stream.ts";

const FRAME_TOO_LONG =
  `the frame has no end after ${LIMIT.QSOCKET_FRAME_MESSAGES_MAX} messages, and was dropped`;
const openArgs = new Args(qsocketArgs);
const closeArgs = new Args(qcloseArgs);

/** What a socket knows of its link. */
export interface LinkLimits extends AdmissionRule {
  readonly handle: number;
  /** Most messages queued on the whole link. */
  readonly queueMessages: number;
  readonly classes: Classes;
}

/**
 * A socket whose messages are scheduled. `Link.open` makes one, `Link.attach` makes one of a
 * socket that exists already.
 *
 * @example
 * ```ts
 * import { qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = link.open({ to: { hostname: "127.0.0.1", port: 5004 }, ipg: 10, oln: 1, old: 4 });
 * socket.send(new Uint8Array(1200), { deadline: 40, drop: 3, frame: "whole", level: 1 });
 * console.log(socket.info().queued);
 * ```
 */
export class QSocket implements Disposable {
  #handle: number;
  #attributes: StreamAttributes;
  #link: LinkLimits;
  #peer: Address | undefined; // where send() goes, if the kernel does not know
  #writable: WritableStream<QMessage | { messages: readonly QMessage[] }> | undefined;
  #draining = 0;
  #drained: Promise<SocketInfo> | undefined;
  #closed = Promise.withResolvers<SocketInfo | null>();
  #send = library().qsend;
  #sendto = library().qsendto;

  /** For a handle that C gave; use `Link.open` or `Link.attach`. */
  constructor(handle: number, attributes: StreamAttributes, link: LinkLimits, peer?: Address) {
    this.#handle = handle;
    this.#peer = peer;
    this.#link = link;
    this.#attributes = attributesOf(attributes);
  }

  /** The number by which C knows the socket; 0 once it is closed. */
  get handle(): number {
    return this.#handle;
  }

  /**
   * Queues a message to the connected peer and returns its bytes. The data is copied.
   *
   * Throws a QError: ENOBUFS, the queue is full; ETIME, `deadlineAt` has passed (both counted as
   * dropped); EPROTO, frame marks out of order; EPIPE, the connection is gone; EBADF, closed. A
   * RangeError or TypeError for what no message can have.
   *
   * @example
   * ```ts
   * import { qsockinit } from "qsockets";
   *
   * using link = qsockinit({ rate: "10mbit" });
   * using socket = link.open({ to: { hostname: "127.0.0.1", port: 5004 } });
   * socket.send(new Uint8Array(1200), { deadline: 40 });
   * ```
   */
  send(data: Uint8Array, options?: MessageOptions): number {
    const result = this.#offer(data, options);
    if (result < 0) throw this.#failure("qsend", result, "send", options);
    return result;
  }

  /**
   * Queues a message to an address, as `send` does to the connected peer. UDP only.
   *
   * @example
   * ```ts
   * import { qsockinit } from "qsockets";
   *
   * using link = qsockinit({ rate: "10mbit" });
   * using socket = link.open();
   * socket.sendto(new Uint8Array(1200), { hostname: "::1", port: 5004 }, { drop: "never" });
   * ```
   */
  sendto(data: Uint8Array, to: Address, options?: MessageOptions): number {
    const result = this.#offerTo(data, to, options);
    if (result < 0) {
      throw this.#failure("qsendto", result, `send to ${to.hostname} port ${to.port}`, options);
    }
    return result;
  }

  /**
   * Changes the attributes that are given, from the next message on; the others stay. With
   * `admission: "refuse"` throws a QError EBUSY, and changes nothing, where the socket would ask
   * for more than before and the link has not so much.
   */
  change(attributes: StreamAttributes): void {
    const doing = "change the socket";
    const now = this.#attributes;
    this.#attributes = changeStream(this.#handle, this.#link, now, attributes, doing);
  }

  /** The counters as they are now. Throws a QError EBADF once the socket is closed. */
  info(): SocketInfo {
    const { streams: _, ...info } = readInfo(
      this.#handle || this.#draining,
      "read the counters",
      this.#link.classes.names,
    );
    return info;
  }

  /**
   * The counters every `intervalMs` milliseconds after the read before, and once more when the
   * socket is closed; then the stream ends.
   *
   * @example
   * ```ts
   * import type { QSocket } from "qsockets";
   *
   * async function watch(socket: QSocket) {
   *   for await (const { sent, dropped } of socket.stats(1000)) console.log(sent, dropped);
   * }
   * ```
   */
  stats(intervalMs: number): ReadableStream<SocketInfo> {
    const interval = check(statsInterval, intervalMs, "read stats");
    return statsStream(() => this.info(), this.#closed.promise, interval);
  }

  /**
   * Takes messages, or objects that carry several as `messages`, such as `packetize` makes. It
   * waits while the queue is more than half full (but not with a message that has a `deadlineAt`,
   * whose time runs already), and lets the scheduler drop and count what it must; other errors
   * are the stream's. Closing it sends what is queued and closes the socket, and fails if a frame
   * was started and not ended. Aborting it closes the socket at once.
   *
   * @example
   * ```ts
   * import { type QMessage, qsockinit } from "qsockets";
   *
   * using link = qsockinit({ rate: "10mbit" });
   * using socket = link.open({ to: { hostname: "127.0.0.1", port: 5004 } });
   * const source = ReadableStream.from<QMessage>([{ data: new Uint8Array(1200), deadline: 40 }]);
   * await source.pipeTo(socket.writable);
   * ```
   */
  get writable(): WritableStream<QMessage | { messages: readonly QMessage[] }> {
    return this.#writable ??= writableQueue({
      offer: (message) =>
        message.to
          ? this.#offerTo(message.data, message.to, message)
          : this.#offer(message.data, message),
      info: () => this.info(),
      drain: () => this.close({ drain: true }),
      discard: () => this.close(),
      messagesMax: this.#link.queueMessages / 2, // the half that best effort may have
    });
  }

  /**
   * Discards what is queued and closes the socket. A socket that was attached stays open for its
   * owner. Closing twice does nothing.
   */
  close(): void;
  /**
   * Sends what is queued first, taking nothing more, and resolves to the last counters. A frame
   * that was not ended is dropped. Calling `close()` meanwhile gives up the rest.
   */
  close(options: { drain: true }): Promise<SocketInfo>;
  close(options?: { drain?: boolean }): Promise<SocketInfo> | void {
    if (options?.drain) return this.#drained ??= this.#drain();
    const handle = this.#handle || this.#draining;
    if (handle !== 0) this.#end(handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #offer(data: Uint8Array, options: MessageOptions | undefined): number {
    if (this.#peer !== undefined) return this.#offerTo(data, this.#peer, options);
    if (options === undefined) {
      checkData(data, undefined);
      return this.#send(this.#handle, data, data.byteLength, PLAIN_FLAGS, 0);
    }
    checkData(data, options.segment);
    const flags = messageFlags(options);
    return this.#send(this.#handle, data, data.byteLength, flags, deadlineUs(options));
  }

  #offerTo(data: Uint8Array, to: Address, options: MessageOptions | undefined): number {
    if (to === null || typeof to !== "object") {
      throw new TypeError(`Cannot send: to must be { hostname, port }, got ${show(to)}`);
    }
    const peer = peerStruct(to, "send");
    if (options === undefined) {
      checkData(data, undefined);
      return this.#sendto(this.#handle, data, data.byteLength, PLAIN_FLAGS, 0, peer);
    }
    checkData(data, options.segment);
    const flags = messageFlags(options);
    return this.#sendto(this.#handle, data, data.byteLength, flags, deadlineUs(options), peer);
  }

  #failure(call: string, result: number, doing: string, options?: MessageOptions): QError {
    const continues = options?.frame === "middle" || options?.frame === "end";
    const words: Record<string, string> = {
      EBADF: "the socket is closed",
      EPROTO: continues
        ? `no frame was started that this "${options.frame}" could belong to`
        : 'a frame was started before; its "end" comes first',
    };
    if (continues) words.EMSGSIZE = FRAME_TOO_LONG;
    const error = failure(call, result, doing, words);
    if (error.code !== "EPIPE") return error;
    const { lastError } = this.info();
    if (lastError === null || lastError === "EPIPE") return error;
    return failure(call, result, doing, { EPIPE: `the connection is gone, by ${lastError}` });
  }

  async #drain(): Promise<SocketInfo> {
    if (this.#handle === 0) throw failure("qclose", -constants.errno.EBADF, "drain the socket");
    const handle = this.#handle;
    closeHandle(handle, FLAG.QCLOSE_DRAIN, "drain the socket");
    this.#draining = handle;
    this.#handle = 0;
    try {
      let info = this.info();
      while (info.queued > 0 && !info.broken) {
        await new Promise((resolve) => setTimeout(resolve, drainMs(info)));
        if (this.#draining === 0) break;
        info = this.info();
      }
      return info;
    } finally {
      if (this.#draining !== 0) this.#end(handle);
    }
  }

  #end(handle: number): void {
    let last: SocketInfo | null = null;
    try {
      last = this.info();
    } catch { /* the link was closed before its sockets: the counters are gone */ }
    this.#handle = this.#draining = 0;
    closeHandle(handle, 0, "close the socket");
    this.#closed.resolve(last);
  }
}

/** How long the queue takes to empty at the link's rate; ms, within what is worth a timer. */
function drainMs({ queuedBytes, rate }: SocketInfo): number {
  return Math.min(20, Math.max(1, queuedBytes / rate * 1000));
}

/** Closes a stream or a link; one that its link closed already is no error. */
export function closeHandle(handle: number, flags: number, doing: string): void {
  const args = closeArgs.fill({ handle, flags });
  const result = library().qsocketcall(CALL.QCLOSE, args, args.byteLength);
  if (result < 0) {
    const error = failure("qclose", result, doing);
    if (error.code !== "EBADF") throw error;
  }
}

/** Opens a socket on a link. */
export function openSocket(link: LinkLimits, options: SocketOptions = {}): QSocket {
  const doing = "open a socket";
  const { type, local, to, ...attributes } = check(socketOptions, options, doing);
  const args = openArgs.fill({
    link: link.handle,
    type: type === "tcp" ? ENUM.QSOCKET_TCP : ENUM.QSOCKET_UDP,
    attr: attrFields(
      attributes,
      classNumber(link.classes, attributes.class, doing),
      admissionOf(link, attributes),
    ),
    ...(local && { local: addressFields(local, doing) }),
    ...(to && { peer: addressFields(to, doing) }),
  });
  const handle = library().qsocketcall(CALL.QSOCKET, args, args.byteLength);
  const judged = { call: "qsocket", doing, link, attributes };
  const told = openArgs.read().admission;
  if (handle < 0) {
    const where = to ? ` to ${to.hostname} port ${to.port}` : "";
    throw refusal(handle, told, judged) ??
      failure("qsocket", handle, doing + where, { EBADF: "the link is closed" });
  }
  warn(told, judged);
  return new QSocket(handle, attributes, link);
}
