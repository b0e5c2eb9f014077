import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

const NAMES = new Map<number, string>();
for (const [name, errno] of Object.entries(constants.errno)) {
  // Two names may share a number (EAGAIN and EWOULDBLOCK): the first one listed is kept.
  if (!NAMES.has(errno)) NAMES.set(errno, name);
}
// Linux's, which node:os does not list.
for (
  const [name, errno] of [["ENONET", 64], ["ENOTUNIQ", 76], ["EHOSTDOWN", 112], [
    "ENOTRECOVERABLE",
    131,
  ]] as const
) {
  NAMES.set(errno, name);
}

/** What an error number means here, where the system's own words would mislead. */
const MEANINGS: Record<string, string> = {
  EACCES: "only root, or whom the device's group and mode let in, may do that",
  EAGAIN: "the socket is just leaving the device's scheduler; try again",
  EBADF: "it is closed",
  EBUSY: "the device has another scheduler already",
  EDESTADDRREQ: "the socket is not connected; give the peer with sendto",
  EMFILE: "too many sockets are open",
  EMSGSIZE: "the message is too large: a datagram carries 65507 bytes at most, 64 segments",
  ENFILE: "too many sockets are open",
  EDQUOT:
    "this user's streams on the device are as many, or have as short periods, as one may have",
  ENOBUFS: "the queue is full, and holds nothing that is worth less",
  ENODEV: "there is no such network device",
  ENOLINK: "the route does not lead to the link's device, or its scheduler is gone",
  ENOSPC: "the link has as many streams open as its option streams allows",
  ENOTUNIQ: "several sockets match; give the peer, or the descriptor as { fd }",
  EPERM: "this needs root, or the capability CAP_NET_ADMIN",
  EPIPE: "the connection is gone",
  EPROTO: "frame marks are out of order: a frame is started, continued and ended, one at a time",
  ETIME: "the deadline has passed",
};

/**
 * An error of the system or of the scheduler: which call failed, and why.
 *
 * `send` and `sendto` throw it with the code ENOBUFS (the queue is full) or ETIME (the deadline
 * has passed) for messages that were counted, as dropped by `overflow` and `expired`; with every
 * other code the message was not accepted and not counted.
 *
 * @example
 * ```ts
 * import { QError, type QSocket } from "qsockets";
 *
 * function offer(socket: QSocket, data: Uint8Array): boolean {
 *   try {
 *     socket.send(data, { deadline: 40 });
 *     return true;
 *   } catch (error) {
 *     if (error instanceof QError && error.code === "ENOBUFS") return false;
 *     throw error;
 *   }
 * }
 * ```
 */
export class QError extends Error {
  /** The call that failed: "qsend", "qsockinit", ... */
  readonly call: string;
  /** The error number, above 0. */
  readonly errno: number;
  /** Its name: "ENOBUFS". */
  readonly code: string;
  /**
   * Of EBUSY from `qsocket`, `qattach` and `qchange`: what the link's streams would need of it in
   * all, above 1. Under "cbq" what a class's would need of their guarantee, where that is more;
   * 1e9 where they have none.
   */
  readonly utilisation?: number;

  constructor(call: string, errno: number, message: string, utilisation?: number) {
    super(message);
    this.name = "QError";
    this.call = call;
    this.errno = errno;
    this.code = errorName(errno);
    if (utilisation !== undefined) this.utilisation = utilisation;
  }
}

/** The name of an error number: "ENOBUFS" of 105. */
export function errorName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

/**
 * The error for a negative result of a call: "Cannot send: the deadline has passed (ETIME)".
 * `why` replaces the words of one error number, for a caller that knows more.
 */
export function failure(
  call: string,
  result: number,
  doing: string,
  why: Record<string, string> = {},
): QError {
  const code = errorName(-result);
  const words = why[code] ?? MEANINGS[code] ?? getSystemErrorMap().get(result)?.[1] ??
    "the system refused";
  return new QError(call, -result, `Cannot ${doing}: ${words} (${code})`);
}
