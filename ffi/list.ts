// What qlist tells: the streams of a link one after another, and whose they are.

import { CALL, ENUM } from "./abi.ts";
import { failure } from "./error.ts";
import { infoOf, type SocketInfo } from "./info.ts";
import { Args, qlistArgs, qlistStream } from "./layout.ts";
import { library } from "./library.ts";

const PART_STREAMS = 256; // told of by one call

/** A stream of a link, as {@linkcode Link.streams} tells of it. */
export interface LinkStream extends SocketInfo {
  /** What the kernel knows its socket by, for as long as the machine runs; 0: it has none yet. */
  cookie: number;
  /** The process that opened it, as the machine's first PID namespace numbers it. */
  pid: number;
  /** The process's name, at most 15 bytes of it. */
  command: string;
  /** The process's user. */
  uid: number;
  /** Whether it is told of among those of all processes, or as one of this program's own. */
  scope: "all" | "own";
}

/**
 * The streams of a link, with what they have sent so far. Throws a QError EBADF once it is closed,
 * and EPROTO where another version of the library initialised its device.
 */
export function* listStreams(
  handle: number,
  doing: string,
  classNames: readonly string[] = [],
): Generator<LinkStream, void, undefined> {
  // Not one for all: two lists may be read in turns.
  const args = new Args(qlistArgs, qlistStream, PART_STREAMS);
  let after = 0;
  for (;;) {
    const asked = {
      link: handle,
      streams_max: PART_STREAMS,
      stream_bytes: qlistStream.size,
      after,
    };
    const length = library().qsocketcall(CALL.QLIST, args.fill(asked), args.bytes.byteLength);
    if (length < 0) {
      throw failure("qlist", length, doing, {
        EPROTO: "another version of the library initialised its device",
      });
    }
    const told = args.read();
    for (let i = 0; i < length; i++) {
      const { cookie, pid, uid, command, info } = args.item(i);
      const { streams: _, ...counters } = infoOf(info, classNames);
      const scope = told.scope === ENUM.QLIST_ALL ? "all" : "own";
      yield { cookie, pid, uid, command, scope, ...counters };
    }
    if (length < PART_STREAMS) return;
    after = told.after;
  }
}
