// Managing a socket that the program has open already. Neither runtime shows the descriptor of
// every kind of socket, so C finds it among the process's own by its addresses, and keeps a
// duplicate: the owner may go on reading from its socket, and close it.
//
// The kinds are told apart by the properties that hold their addresses.

import { isIP } from "node:net";
import { constants } from "node:os";
import { CALL, ENUM } from "./abi.ts";
import { admissionOf, refusal, warn } from "./admission.ts";
import { classNumber } from "./classes.ts";
import { addressFields } from "./address.ts";
import { attrFields } from "./attributes.ts";
import { failure } from "./error.ts";
import { Args, qattachArgs } from "./layout.ts";
import { library } from "./library.ts";
import { type Address, type AttachOptions, attachOptions, check, show } from "./options.ts";
import { type LinkLimits, QSocket } from "./socket.ts";

/**
 * What can be attached: `{ fd }`; a bound socket of `node:dgram`, Bun's `udpSocket` or Deno's
 * `listenDatagram`; a connected one of `node:net`, Bun's `connect` or Deno's `connect`.
 */
export type AttachTarget =
  | { readonly fd: number }
  | { readonly address: unknown }
  | { readonly addr: unknown }
  | { readonly localAddr: unknown; readonly remoteAddr: unknown }
  | { readonly localAddress?: string; readonly localPort?: number };

interface Endpoints {
  type: "udp" | "tcp" | undefined;
  fd: number;
  local?: Address;
  peer?: Address;
}

const DOING = "attach a socket";
const args = new Args(qattachArgs);

/** Manages an existing socket on a link. */
export function attachSocket(
  link: LinkLimits,
  target: AttachTarget,
  options: AttachOptions = {},
): QSocket {
  const { type, ...attributes } = check(attachOptions, options, DOING);
  const classId = classNumber(link.classes, attributes.class, DOING);
  const ends = endpoints(target);
  const transport = ends.type ?? type ?? "udp";
  const attach = (peer: Address | undefined) => {
    const filled = args.fill({
      link: link.handle,
      type: transport === "tcp" ? ENUM.QSOCKET_TCP : ENUM.QSOCKET_UDP,
      fd: ends.fd,
      attr: attrFields(attributes, classId, admissionOf(link, attributes)),
      ...(ends.local && { local: addressFields(ends.local, DOING) }),
      ...(peer && { peer: addressFields(peer, DOING) }),
    });
    return library().qsocketcall(CALL.QATTACH, filled, filled.byteLength);
  };
  let handle = attach(ends.peer);
  let peer: Address | undefined;
  if (handle === -constants.errno.ENOENT && transport === "udp" && ends.peer) {
    // A runtime may keep the peer to itself: its "connected" socket is not, to the kernel.
    peer = ends.peer;
    handle = attach(undefined);
  }
  const judged = { call: "qattach", doing: DOING, link, attributes };
  const told = args.read().admission;
  if (handle < 0) {
    const words = link.handle === 0 ? { EBADF: "the link is closed" } : meanings(ends, transport);
    throw refusal(handle, told, judged) ?? failure("qattach", handle, DOING, words);
  }
  warn(told, judged);
  return new QSocket(handle, attributes, link, peer);
}

function meanings({ fd, local }: Endpoints, type: string): Record<string, string> {
  const none = local
    ? `this process has no ${type} socket at ${local.hostname} port ${local.port}`
    : `descriptor ${fd} is no ${type} socket`;
  return { EBADF: none, ENOENT: none, ENOTSOCK: none, ENOTCONN: "it is not connected" };
}

function endpoints(target: unknown): Endpoints {
  if (target === null || typeof target !== "object") {
    throw new TypeError(`Cannot ${DOING}: target must be a socket or { fd }, got ${show(target)}`);
  }
  const at = target as Record<string, unknown>;
  const fd = typeof at.fd === "number" && at.fd >= 0 ? at.fd : -1;
  if (isAddress(at.localAddr)) { // Deno's TcpConn
    return { type: "tcp", fd, local: at.localAddr, peer: addressOf(at.remoteAddr) };
  }
  if (isAddress(at.addr)) return { type: "udp", fd, local: at.addr }; // Deno's DatagramConn
  if (typeof at.localPort === "number") { // net.Socket, and a TCP socket of Bun
    const local = addressOf({ address: at.localAddress, port: at.localPort });
    return {
      type: "tcp",
      fd,
      local,
      peer: addressOf({ address: at.remoteAddress, port: at.remotePort }),
    };
  }
  if (typeof at.address === "function" && typeof at.remoteAddress === "function") { // node:dgram
    const local = addressOf(ask(target, "address"));
    const peer = addressOf(ask(target, "remoteAddress"));
    if (local) return { type: "udp", fd, local, peer };
  }
  const local = addressOf(at.address); // Bun's udpSocket
  if (local) return { type: "udp", fd, local, peer: addressOf(at.remoteAddress) };
  if ("fd" in at) {
    if (fd >= 0 && Number.isInteger(fd)) return { type: undefined, fd };
    throw new RangeError(`Cannot ${DOING}: fd must be an open descriptor, got ${show(at.fd)}`);
  }
  throw new TypeError(
    `Cannot ${DOING}: target must be a socket that is bound or connected, or { fd }, ` +
      `got ${show(target)}`,
  );
}

/** What a socket of node:dgram says of its addresses; it throws where there is none. */
function ask(socket: object, method: string): unknown {
  try {
    return (socket as Record<string, () => unknown>)[method]();
  } catch {
    return undefined;
  }
}

function isAddress(value: unknown): value is Address {
  const address = value as Partial<Address> | undefined;
  return typeof address?.hostname === "string" && typeof address.port === "number";
}

function addressOf(value: unknown): Address | undefined {
  if (isAddress(value)) return { hostname: value.hostname, port: value.port };
  const { address, port } = (value ?? {}) as { address?: unknown; port?: unknown };
  if (typeof address !== "string" || typeof port !== "number" || isIP(address) === 0) return;
  return { hostname: address, port };
}
