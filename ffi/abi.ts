// The constants of kernel/qsocket.h: call numbers, flags, limits. test/layout.test.ts compares
// every name here with the header's text.

/** The number of each call, for `qsocketcall`. */
export const CALL = {
  QSOCKINIT: 1,
  QSOCKET: 2,
  QATTACH: 3,
  QCHANGE: 4,
  QINFO: 5,
  QSEND: 6,
  QSENDTO: 7,
  QCLOSE: 8,
  QRUN: 9,
} as const;

/** Limits that options are checked against. */
export const LIMIT = {
  QSOCKET_NAME_BYTES: 16,
  QSOCKET_QUEUE_MESSAGES_MAX: 65536,
  QSOCKET_QUEUE_MESSAGES_DEFAULT: 8192,
  QSOCKET_MESSAGE_BYTES_MAX: 65507,
  QSOCKET_SEGMENTS_MAX: 64,
  QSOCKET_FRAME_MESSAGES_MAX: 1024,
  QSOCKET_WINDOW_MAX: 65535,
  QSOCKET_RATE_MAX: 1_000_000_000_000,
  QSOCKET_IPG_NS_MAX: 3_600_000_000_000,
  QSOCKET_EVENTS_MAX: 65536,
} as const;

/** Flags of a message, of the calls, and of a stream's state. */
export const FLAG = {
  QSOCKET_START: 0x1,
  QSOCKET_END: 0x2,
  QSOCKET_FRAME: 0x4,
  QSOCKET_LEADING: 0x8,
  QSOCKET_DROP_SHIFT: 4,
  QSOCKET_DROP_NEVER: 7,
  QSOCKET_DEADLINE: 0x80,
  QSOCKET_LEVEL_SHIFT: 8,
  QSOCKET_LEVEL_NONE: 3,
  QSOCKET_SEGMENT_SHIFT: 16,
  QSOCKINIT_VIRTUAL: 0x1,
  QSOCKET_UNDROPPABLE: 0x1,
  QCLOSE_DRAIN: 0x1,
  QSOCKET_STATE_BLOCKED: 0x1,
  QSOCKET_STATE_CLOSING: 0x2,
  QSOCKET_STATE_BROKEN: 0x4,
  QSOCKET_STATE_FRAME_OPEN: 0x8,
} as const;

/** Transports, hosts and outcomes, as the C enums number them. */
export const ENUM = {
  QSOCKET_UDP: 1,
  QSOCKET_TCP: 2,
  QSOCKET_ABOVE: 1,
  QSOCKET_VIRTUAL: 2,
  QSOCKET_LINK: 1,
  QSOCKET_STREAM: 2,
  QSOCKET_SENT: 1,
  QSOCKET_LATE: 2,
  QSOCKET_DROPPED: 3,
  QSOCKET_EXPIRED: 1,
  QSOCKET_INCOMPLETE: 2,
  QSOCKET_DEPENDENCY: 3,
  QSOCKET_WINDOW: 4,
  QSOCKET_OVERFLOW: 5,
  QSOCKET_ERROR: 6,
  QSOCKET_CLOSED: 7,
  QSOCKET_REASONS: 8,
} as const;
