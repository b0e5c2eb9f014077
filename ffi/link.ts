// A link: a rate, one scheduler, and the sockets that share them.

import { CALL, ENUM, FLAG, LIMIT } from "./abi.ts";
import { attachSocket, type AttachTarget } from "./attach.ts";
import { changeLink } from "./change.ts";
import { arrangeClasses, type Classes } from "./classes.ts";
import { errorName, failure } from "./error.ts";
import { hostName, type LinkHost, type LinkInfo, readInfo } from "./info.ts";
import { Args, qsockinitArgs } from "./layout.ts";
import { library } from "./library.ts";
import { type LinkStream, listStreams } from "./list.ts";
import { check, deviceName, linkOptions, show } from "./options.ts";
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
 *
 * @example A device for all processes, by root at system start; programs then join it
 * ```ts
 * import { Link, QError, restoreDevice } from "qsockets";
 *
 * try {
 *   const options = { rate: "10mbit", system: true, group: 100 } as const;
 *   using device = new Link({ device: "eth9", scheduler: "dwcs", ...options });
 *   console.log(device.host, device.hostReason); // "isolated", and why not "below"
 *   using joined = new Link({ device: "eth9" }); // any program of the group, later
 *   console.log(joined.rate, joined.scheduler);
 *   restoreDevice("eth9"); // by root again
 * } catch (error) {
 *   if (!(error instanceof QError)) throw error;
 *   console.log(error.message); // "Cannot initialise eth9: only root may do that (EPERM)"
 * }
 * ```
 */
export class Link implements Disposable {
  /** Where the scheduler is: on a device that is initialised for all processes, or here alone. */
  readonly host: LinkHost;
  /** Why no better host serves, in words; "" where none is better, or no device was asked for. */
  readonly hostReason: string;
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
   * already (EBUSY) or another rate (EEXIST), or its owner lets this program open none there
   * (EACCES); a RangeError or TypeError for wrong options. With `system`, also EPERM to others than
   * root, and EEXIST where somebody configured the device's root qdisc. With `system`, of a device
   * that is initialised already, another rate, group or mode is set in place, and taken over by
   * every link that is open on it.
   */
  constructor(options: LinkOptions) {
    const {
      device = "",
      scheduler,
      rate = 0,
      queueMessages = LIMIT.QSOCKET_QUEUE_MESSAGES_DEFAULT,
      streams = 0, // the host's default
      admission = "warn",
      system = false,
      replace = false,
      group,
      mode = 0,
      host,
      trace = false,
      ...rest
    } = check(linkOptions, options, opening(options?.device, options?.system));
    const doing = opening(device, system);
    const { classes, structs } = arrangeClasses(
      { scheduler: scheduler ?? "dwcs", rate: rate || Infinity, ...rest },
      doing,
    );
    const args = initArgs.fill({
      device,
      scheduler: scheduler ?? (device === "" || system ? "dwcs" : ""),
      rate,
      flags: (system ? FLAG.QSOCKINIT_SYSTEM : 0) | (replace ? FLAG.QSOCKINIT_REPLACE : 0) |
        (trace ? FLAG.QSOCKINIT_TRACE : 0),
      queue_messages: queueMessages,
      streams,
      gid: system ? group ?? NO_GROUP : 0,
      mode,
      host: host === undefined ? 0 : HOSTS[host],
      classes_len: structs.length,
      classes: structs,
    });
    const handle = library().qsocketcall(CALL.QSOCKINIT, args, args.byteLength);
    const answer = initArgs.read();
    if (handle < 0) {
      throw failure("qsockinit", handle, doing, {
        EEXIST: "it is open already, with another rate or other classes",
        ...reasons(answer, handle, rate, system),
      });
    }
    this.#handle = handle;
    this.#rate = answer.rate;
    this.scheduler = answer.scheduler as Scheduler;
    this.device = device;
    this.host = hostName(answer.host || ENUM.QSOCKET_ABOVE);
    this.hostReason = answer.why;
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

  /**
   * Its open streams one by one, with their counters: to root, of a device whose host is "below",
   * those of all processes (`scope: "all"`); to everybody else, and of any other link, those of this
   * program (`"own"`). Those that open or close meanwhile may be told of, or not. Throws a QError
   * EBADF once the link is closed, EPROTO where another version of the library initialised the
   * device.
   *
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import process from "node:process";
   * import { Link } from "qsockets";
   *
   * using link = new Link({ rate: "10mbit" });
   * using socket = link.open({ ipg: 40, oln: 1, old: 4 });
   * const [stream] = link.streams();
   * assert.deepEqual([stream.pid, stream.ipg, stream.offered], [process.pid, 40, 0]);
   * for (const { command, uid, sent, dropped, queued } of link.streams()) {
   *   console.log(command, uid, sent, dropped.expired, queued);
   * }
   * ```
   */
  streams(): Generator<LinkStream, void, undefined> {
    return listStreams(this.#handle, "list the link's streams", this.classes.names);
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

/**
 * Undoes what `system: true` made of a device: it has the qdisc again that it had before. Links that
 * are open on it stay, without what isolates them. Throws a QError ENOENT if the device is not
 * initialised, ENODEV if there is none, EPERM to others than root; and, though the device is given
 * back, EEXIST if somebody has given it another root qdisc since, which is left, and ENOTRECOVERABLE
 * if what came back is not in all what was there: the message says what is not.
 *
 * @example
 * ```ts
 * import { QError, restoreDevice } from "qsockets";
 *
 * try {
 *   restoreDevice("eth9");
 * } catch (error) {
 *   if (!(error instanceof QError)) throw error; // ENOENT: it was as it should be
 * }
 * ```
 */
export function restoreDevice(device: string): void {
  const doing = `restore ${typeof device === "string" ? device : "a device"}`;
  const args = initArgs.fill({
    device: check(deviceName, device, doing),
    flags: FLAG.QSOCKINIT_OFF,
  });
  const result = library().qsocketcall(CALL.QSOCKINIT, args, args.byteLength);
  if (result < 0) {
    throw failure("qsockinit", result, doing, {
      ENOENT: "it is not initialised",
      ...reasons(initArgs.read(), result, 0, true),
    });
  }
}

const NO_GROUP = 0xffff_ffff;

const HOSTS = {
  below: ENUM.QSOCKET_BELOW,
  isolated: ENUM.QSOCKET_ISOLATED,
  above: ENUM.QSOCKET_ABOVE,
} as const;

interface Answer {
  host: number;
  why: string;
  obstacle: string;
}

/** What an error means, where C said more than its number. */
function reasons(
  { host, why, obstacle }: Answer,
  result: number,
  rate: number,
  system: boolean,
): Record<string, string> {
  const code = errorName(-result);
  if (obstacle !== "") {
    const qdisc = `its root qdisc is ${show(obstacle)}, which somebody configured`;
    return {
      [code]: `${qdisc}, and ${why}`,
      EEXIST: `${qdisc}; pass replace: true to take its place`,
    };
  }
  // The device was found as it should be: what failed came after that.
  if (host !== 0) {
    return rate === 0 && why !== "" ? { EINVAL: `rate must be given, as ${why}` } : {};
  }
  if (why === "") return {};
  const again = system && code === "EBUSY" ? "; pass replace: true to change that" : "";
  return { [code]: `${why}${again}` };
}

function opening(device: unknown, system?: unknown): string {
  if (typeof device !== "string" || device === "") return "open a link";
  return system === true ? `initialise ${device}` : `open link ${device}`;
}
