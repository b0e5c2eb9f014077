// The calls under the names that the paper gives them ("A Quality-of-Service Enhanced Socket API
// in GNU/Linux", Abbasi, Poellabauer, Schwan, Losik, West). The classes do the work.

import type { AttachTarget } from "./attach.ts";
import type { LinkInfo, SocketInfo } from "./info.ts";
import { Link } from "./link.ts";
import type { LinkStream } from "./list.ts";
import type {
  Address,
  AttachOptions,
  LinkChanges,
  LinkOptions,
  MessageOptions,
  SocketOptions,
  StreamAttributes,
} from "./options.ts";
import { QSocket } from "./socket.ts";

/**
 * Opens a link with its scheduler and rate; see {@linkcode Link}.
 *
 * @example
 * ```ts
 * import { qsend, qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ scheduler: "edf", rate: "10mbit" });
 * using socket = qsocket(link, { to: { hostname: "127.0.0.1", port: 5004 } });
 * qsend(socket, new Uint8Array(1200), { deadline: 40 });
 * ```
 */
export function qsockinit(options: LinkOptions): Link {
  return new Link(options);
}

/**
 * Opens a managed socket on a link.
 *
 * With `bytes` and `ipg` it says what it will need of the link: the sum of bytes / ipg over the
 * link's sockets, of which "dwcs", "dwcs99" and "vds" count the share 1 - oln / old that a window
 * must not lose. Where that is more than the link's rate, `admission` decides: "refuse" throws a
 * QError EBUSY with `utilisation`, "warn" (the default) emits a warning with the code
 * QSOCKETS_OVERBOOKED, once for each place in the program, "off" says nothing. Windows at unequal
 * periods under "dwcs" and "dwcs99" are warned of with QSOCKETS_UNEQUAL_PERIODS, and never refused,
 * as they may work.
 *
 * What does not fit is kept by no scheduler. What fits can still lose more, or be late, by what the
 * sum does not cover: windows that allow more than no loss and less than all but one, in rare sets;
 * a packet on the wire, which is not taken back for one that is due earlier; packets of very
 * different sizes; a socket that sends more, or earlier, than it said; best effort, which has a
 * sixteenth of a busy link; a rate that the path does not have.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit", admission: "refuse" });
 * using video = qsocket(link, { ipg: 10, oln: 1, old: 4, bytes: 15_000 }); // 3/4 of 12 Mbit/s
 * assert.equal(link.info().utilisation, 0.9);
 * assert.throws(() => qsocket(link, { ipg: 10, bytes: 1500 }), { code: "EBUSY", utilisation: 1.02 });
 * ```
 */
export function qsocket(link: Link, options?: SocketOptions): QSocket {
  return link.open(options);
}

/**
 * Manages a socket that the program has open already. Throws a QError if the process has none at
 * the target's addresses, and EBUSY where it is refused as {@linkcode qsocket} says.
 *
 * @example
 * ```ts
 * import { createSocket } from "node:dgram";
 * import { once } from "node:events";
 * import { qattach, qsockinit } from "qsockets";
 *
 * const plain = createSocket("udp4").bind(0, "127.0.0.1");
 * await once(plain, "listening");
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = qattach(link, plain, { ipg: 10 });
 * plain.close();
 * ```
 */
export function qattach(link: Link, target: AttachTarget, options?: AttachOptions): QSocket {
  return link.attach(target, options);
}

/**
 * Changes a socket's attributes, or a link's rate. A socket that asks for more than before can be
 * refused (EBUSY), and then keeps what it had; see {@linkcode qsocket}.
 *
 * @example
 * ```ts
 * import { qchange, qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = qsocket(link, { ipg: 10, oln: 1, old: 4 });
 * qchange(socket, { ipg: 20 });
 * qchange(link, { rate: "5mbit" });
 * ```
 */
export function qchange(socket: QSocket, attributes: StreamAttributes): void;
/** Changes a link's rate. */
export function qchange(link: Link, changes: LinkChanges): void;
export function qchange(target: QSocket | Link, changes: StreamAttributes | LinkChanges): void {
  if (target instanceof QSocket) target.change(changes as StreamAttributes);
  else target.change(changes as LinkChanges);
}

/**
 * Reads the counters of a socket or a link.
 *
 * @example
 * ```ts
 * import { qinfo, qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = qsocket(link);
 * console.log(qinfo(socket).dropped.expired, qinfo(link).streams);
 * ```
 */
export function qinfo(socket: QSocket): SocketInfo;
/** Reads the counters of a link. */
export function qinfo(link: Link): LinkInfo;
export function qinfo(target: QSocket | Link): SocketInfo | LinkInfo {
  return target.info();
}

/**
 * The streams of a link and whose they are; see {@linkcode Link.streams}.
 *
 * @example
 * ```ts
 * import { qlist, qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = qsocket(link, { ipg: 10 });
 * console.log([...qlist(link)].map(({ pid, ipg }) => [pid, ipg]));
 * ```
 */
export function qlist(link: Link): Generator<LinkStream, void, undefined> {
  return link.streams();
}

/**
 * Queues a message to the connected peer and returns its bytes; see {@linkcode QSocket.send}.
 *
 * @example
 * ```ts
 * import { qsend, qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = qsocket(link, { to: { hostname: "127.0.0.1", port: 5004 } });
 * qsend(socket, new Uint8Array(1200), { deadline: 40, drop: 3 });
 * ```
 */
export function qsend(socket: QSocket, data: Uint8Array, options?: MessageOptions): number {
  return socket.send(data, options);
}

/**
 * Queues a message to an address and returns its bytes; see {@linkcode QSocket.sendto}.
 *
 * @example
 * ```ts
 * import { qsendto, qsocket, qsockinit } from "qsockets";
 *
 * using link = qsockinit({ rate: "10mbit" });
 * using socket = qsocket(link);
 * qsendto(socket, new Uint8Array(1200), { hostname: "127.0.0.1", port: 5004 });
 * ```
 */
export function qsendto(
  socket: QSocket,
  data: Uint8Array,
  to: Address,
  options?: MessageOptions,
): number {
  return socket.sendto(data, to, options);
}

/**
 * Closes a socket or a link and discards what is queued; with `drain`, sends what a socket has
 * queued first and resolves to its last counters.
 *
 * @example
 * ```ts
 * import { qclose, qsend, qsocket, qsockinit } from "qsockets";
 *
 * const link = qsockinit({ rate: "10mbit" });
 * const socket = qsocket(link, { to: { hostname: "127.0.0.1", port: 5004 } });
 * qsend(socket, new Uint8Array(1200));
 * console.log((await qclose(socket, { drain: true })).sent);
 * qclose(link);
 * ```
 */
export function qclose(target: QSocket | Link): void;
/** Sends what a socket has queued, then closes it. */
export function qclose(socket: QSocket, options: { drain: true }): Promise<SocketInfo>;
export function qclose(
  target: QSocket | Link,
  options?: { drain: true },
): Promise<SocketInfo> | void {
  if (options?.drain && target instanceof QSocket) return target.close({ drain: true });
  target.close();
}
