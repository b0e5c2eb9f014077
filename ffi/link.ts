// A link: a rate, one scheduler, and the sockets that share them.

import { CALL, LIMIT } from "./abi.ts";
import { attachSocket, type AttachTarget } from "./attach.ts";
import { changeLink } from "./change.ts";
import { arrangeClasses, type Classes } from "./classes.ts";
import { failure } from "./error.ts";
import { type LinkInfo, readInfo } from "./info.ts";
import { Args, qsockinitArgs } from "./layout.ts";
import { library } from "./library.ts";
import { check, linkOptions } from "./options.ts";
import type {
  Admission,
  AttachOptions,
  LinkChanges,
  LinkOptions,
  Scheduler,
  SocketOptions,
} from "./options.ts";
import { closeHandle, openSocket, type QSocket } from "./socket.ts";

const initArgs = new Args(qsockinitArgs);

/**
 * A link of a given rate that its sockets share, and the scheduler that shares it out.
 *
 * @example
 * ```ts
 * import { Link } from "qsockets";
 *
 * using link = new Link({ scheduler: "dwcs", rate: "10mbit" });
 * using socket = link.open({ to: { hostname: "127.0.0.1", port: 5004 } });
 * socket.send(new TextEncoder().encode("hello"));
 * ```
 *
 * @example Classes, each with what it is guaranteed
 * ```ts
 * import { Link } from "qsockets";
 *
 * using link = new Link({
 *   scheduler: "cbq",
 *   rate: "10mbit",
 *   classes: {
 *     video: { rate: "5mbit", ceil: "8mbit", priority: 0, borrow: true },
 *     bulk: { rate: "1mbit", borrow: true },
 *   },
 * });
 * using camera = link.open({ class: "video", weight: 3 });
 * console.log(camera.info().class); // "video"
 * ```
 */
export class Link implements Disposable {
  /** The policy that decides what goes next. */
  readonly scheduler: Scheduler;
  /** The network device, "" for a link of this program's own. */
  readonly device: string;
  /** Most messages queued on the whole link. */
  readonly queueMessages: number;
  /** What is done about sockets that ask for more than there is, where they do not say. */
  readonly admission: Admission;
  /** Its classes, under "cbq". */
  readonly classes: Classes;
  #handle: number;
  #rate: number;

  /**
   * Opens a link. Throws a QError if the device does not exist (ENODEV) or has another scheduler
   * already (EBUSY) or another rate (EEXIST), a RangeError or TypeError for wrong options.
   */
  constructor(options: LinkOptions) {
    const {
      device = "",
      scheduler = "dwcs",
      rate,
      queueMessages = LIMIT.QSOCKET_QUEUE_MESSAGES_DEFAULT,
      streams = LIMIT.QSOCKET_STREAMS_DEFAULT,
      admission = "warn",
      ...rest
    } = check(linkOptions, options, opening(options?.device));
    const { classes, structs } = arrangeClasses({ scheduler, rate, ...rest }, opening(device));
    const args = initArgs.fill({
      device,
      scheduler,
      rate,
      queue_messages: queueMessages,
      streams,
      classes_len: structs.length,
      classes: structs,
    });
    const handle = library().qsocketcall(CALL.QSOCKINIT, args, args.byteLength);
    if (handle < 0) {
      throw failure("qsockinit", handle, opening(device), {
        EEXIST: "it is open already, with another rate or other classes",
      });
    }
    this.#handle = handle;
    this.#rate = rate;
    this.scheduler = scheduler;
    this.device = device;
    this.queueMessages = queueMessages;
    this.admission = admission;
    this.classes = classes;
  }

  /** The number by which C knows the link; 0 once it is closed. */
  get handle(): number {
    return this.#handle;
  }

  /** Bytes per second. */
  get rate(): number {
    return this.#rate;
  }

  /** Opens a socket on this link; the same as `qsocket(link, options)`. */
  open(options?: SocketOptions): QSocket {
    return openSocket(this, options);
  }

  /** Manages a socket that exists already; the same as `qattach(link, target, options)`. */
  attach(target: AttachTarget, options?: AttachOptions): QSocket {
    return attachSocket(this, target, options);
  }

  /**
   * Changes the rate, from the next decision on. That is never refused, as the link is what it is;
   * where its streams now need more than it has, a warning says so, but with `admission: "off"`.
   */
  change(changes: LinkChanges): void {
    this.#rate = changeLink(this.#handle, this, changes, "change the link");
  }

  /** The counters of all its sockets together. Throws a QError EBADF once the link is closed. */
  info(): LinkInfo {
    return readInfo(this.#handle, "read the counters of the link");
  }

  /** Closes the link and its sockets, discarding what they have queued. Twice does nothing. */
  close(): void {
    if (this.#handle === 0) return;
    const handle = this.#handle;
    this.#handle = 0;
    closeHandle(handle, 0, "close the link");
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function opening(device: unknown): string {
  return typeof device === "string" && device !== "" ? `open link ${device}` : "open a link";
}
