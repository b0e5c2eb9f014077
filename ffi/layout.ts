// The structs of kernel/qsocket.h as data. Offsets follow from C's rule that a field starts at a
// multiple of its own alignment and a struct ends at a multiple of its largest; nothing outside
// this file knows one. test/layout.test.ts compares them with the compiler's offsetof.
//
// Numbers are little-endian, as on every machine that Deno and Bun run on. 64-bit fields are read
// and written as two halves: exact to 2^53, and without the cost of a BigInt.

import { LIMIT } from "./abi.ts";

/** How one C type is read from memory and written to it. */
export interface Field<T> {
  readonly size: number;
  readonly align: number;
  read(view: DataView, offset: number): T;
  write(view: DataView, offset: number, value: T): void;
}

/** A C struct: a field made of named fields. What is left out when writing is zero. */
export interface Struct<T> extends Field<T> {
  readonly name: string;
  readonly offsets: { readonly [K in keyof T]: number };
  readonly sizes: { readonly [K in keyof T]: number };
}

const u8: Field<number> = {
  size: 1,
  align: 1,
  read: (view, offset) => view.getUint8(offset),
  write: (view, offset, value) => view.setUint8(offset, value),
};

const u16: Field<number> = {
  size: 2,
  align: 2,
  read: (view, offset) => view.getUint16(offset, true),
  write: (view, offset, value) => view.setUint16(offset, value, true),
};

const u32: Field<number> = {
  size: 4,
  align: 4,
  read: (view, offset) => view.getUint32(offset, true),
  write: (view, offset, value) => view.setUint32(offset, value, true),
};

const i32: Field<number> = {
  size: 4,
  align: 4,
  read: (view, offset) => view.getInt32(offset, true),
  write: (view, offset, value) => view.setInt32(offset, value, true),
};

const u64: Field<number> = {
  size: 8,
  align: 8,
  read: (view, offset) => view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true),
  write: (view, offset, value) => {
    view.setUint32(offset, value % 2 ** 32, true);
    view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
  },
};

function array<T>(of: Field<T>, length: number): Field<readonly T[]> {
  return {
    size: of.size * length,
    align: of.align,
    read: (view, offset) =>
      Array.from({ length }, (_, index) => of.read(view, offset + index * of.size)),
    write: (view, offset, values) =>
      values.forEach((value, index) => of.write(view, offset + index * of.size, value)),
  };
}

/** `char[length]`, ASCII, ended by a NUL. */
function chars(length: number): Field<string> {
  return {
    size: length,
    align: 1,
    read: (view, offset) => {
      let text = "";
      for (let at = offset; at < offset + length && view.getUint8(at) !== 0; at++) {
        text += String.fromCharCode(view.getUint8(at));
      }
      return text;
    },
    write: (view, offset, value) => {
      for (let at = 0; at < Math.min(value.length, length - 1); at++) {
        view.setUint8(offset + at, value.charCodeAt(at));
      }
    },
  };
}

function struct<T extends Record<string, unknown>>(
  name: string,
  fields: { [K in keyof T]: Field<T[K]> },
): Struct<T> {
  const offsets: Record<string, number> = {};
  const sizes: Record<string, number> = {};
  const names = Object.keys(fields);
  let end = 0;
  let align = 1;
  for (const key of names) {
    const field = fields[key];
    end = Math.ceil(end / field.align) * field.align;
    offsets[key] = end;
    sizes[key] = field.size;
    end += field.size;
    align = Math.max(align, field.align);
  }
  const size = Math.ceil(end / align) * align;
  return {
    name,
    size,
    align,
    offsets: offsets as Struct<T>["offsets"],
    sizes: sizes as Struct<T>["sizes"],
    read(view, offset) {
      const value: Record<string, unknown> = {};
      for (const key of names) value[key] = fields[key].read(view, offset + offsets[key]);
      return value as T;
    },
    write(view, offset, value) {
      new Uint8Array(view.buffer, view.byteOffset + offset, size).fill(0);
      for (const key in value) {
        fields[key].write(view, offset + offsets[key], value[key] as T[typeof key]);
      }
    },
  };
}

/** Memory for one struct, and optionally for `items` more behind it, reused call after call. */
export class Args<T, E = never> {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #struct: Struct<T>;
  readonly #item: Struct<E> | undefined;

  constructor(struct: Struct<T>, item?: Struct<E>, items = 0) {
    this.bytes = new Uint8Array(struct.size + (item ? item.size * items : 0));
    this.#view = new DataView(this.bytes.buffer);
    this.#struct = struct;
    this.#item = item;
  }

  /** Writes the struct, with zeros where nothing is given, and returns its bytes. */
  fill(values: Partial<T>): Uint8Array {
    this.#struct.write(this.#view, 0, values as T);
    return this.bytes;
  }

  /** Reads the struct. */
  read(): T {
    return this.#struct.read(this.#view, 0);
  }

  /** Reads one of the items behind it. */
  item(index: number): E {
    return this.#item!.read(this.#view, this.#struct.size + index * this.#item!.size);
  }
}

const NAME_BYTES = 16;
const REASONS = 8;

/** `struct qsocket_addr` */
export const qsocketAddr = struct("qsocket_addr", {
  family: u16,
  port: u16,
  scope: u32,
  bytes: array(u8, 16),
});

/** `struct qsocket_attr` */
export const qsocketAttr = struct("qsocket_attr", {
  ipg_ns: u64,
  oln: u32,
  old: u32,
  flags: u32,
  queue_messages: u32,
  queue_bytes: u64,
  unit_bytes: u32,
  weight: u32,
  class_id: u32,
  zero: u32,
});

/** `struct qsocket_class` */
export const qsocketClass = struct("qsocket_class", {
  rate: u64,
  ceil: u64,
  parent: u32,
  priority: u8,
  flags: u8,
  zero: u16,
});

/** `struct qsocket_admission` */
export const qsocketAdmission = struct("qsocket_admission", {
  utilisation_ppm: u64,
  flags: u32,
  zero: u32,
});

/** `struct qsockinit_args` */
export const qsockinitArgs = struct("qsockinit_args", {
  device: chars(NAME_BYTES),
  scheduler: chars(NAME_BYTES),
  rate: u64,
  flags: u32,
  queue_messages: u32,
  classes_len: u32,
  streams: u32,
  gid: u32,
  mode: u32,
  host: u32,
  zero: u32,
  obstacle: chars(NAME_BYTES),
  why: chars(LIMIT.QSOCKET_WHY_BYTES),
  classes: array(qsocketClass, LIMIT.QSOCKET_CLASSES_MAX),
});

/** `struct qsocket_args` */
export const qsocketArgs = struct("qsocket_args", {
  link: u32,
  type: u32,
  attr: qsocketAttr,
  local: qsocketAddr,
  peer: qsocketAddr,
  admission: qsocketAdmission,
});

/** `struct qattach_args` */
export const qattachArgs = struct("qattach_args", {
  link: u32,
  type: u32,
  fd: i32,
  zero: u32,
  attr: qsocketAttr,
  local: qsocketAddr,
  peer: qsocketAddr,
  admission: qsocketAdmission,
});

/** `struct qchange_args` */
export const qchangeArgs = struct("qchange_args", {
  handle: u32,
  zero: u32,
  rate: u64,
  attr: qsocketAttr,
  admission: qsocketAdmission,
});

/** `struct qsend_args` */
export const qsendArgs = struct("qsend_args", {
  handle: u32,
  flags: u32,
  data: u64,
  data_len: u32,
  deadline_us: u32,
  at_ns: u64,
  message: u32,
  zero: u32,
  to: qsocketAddr,
});

/** `struct qclose_args` */
export const qcloseArgs = struct("qclose_args", { handle: u32, flags: u32 });

/** `struct qsocket_info` */
export const qsocketInfo = struct("qsocket_info", {
  kind: u32,
  host: u32,
  scheduler: chars(NAME_BYTES),
  rate: u64,
  attr: qsocketAttr,
  window_lost: u32,
  window_left: u32,
  violations: u64,
  offered: u64,
  sent: u64,
  late: u64,
  dropped: array(u64, REASONS),
  dropped_by_priority: array(u64, 8),
  offered_bytes: u64,
  sent_bytes: u64,
  dropped_bytes: u64,
  queued: u64,
  queued_bytes: u64,
  frames_offered: array(u64, 4),
  frames_sent: array(u64, 4),
  frames_late: array(u64, 4),
  frames_dropped: array(array(u64, REASONS), 4),
  frames_partial: u64,
  delay_ns_sum: u64,
  delay_ns_max: u64,
  delays: array(u64, LIMIT.QSOCKET_DELAYS),
  socket_errors: u64,
  syscalls: u64,
  state: u32,
  last_error: i32,
  streams: u32,
  gate: u32,
  utilisation_ppm: u64,
  sndbuf_bytes: u64,
  unsent_bytes: u64,
  peer_window_bytes: u64,
  cwnd: u32,
  rtt_us: u32,
  retransmits: u64,
});

/** `struct qinfo_args` */
export const qinfoArgs = struct("qinfo_args", { handle: u32, zero: u32, info: qsocketInfo });

/** `struct qsocket_event` */
export const qsocketEvent = struct("qsocket_event", {
  at_ns: u64,
  stream: u32,
  message: u32,
  bytes: u32,
  outcome: u8,
  reason: u8,
  zero: u16,
});

/** `struct qrun_args`, without the events behind it. */
export const qrunArgs = struct("qrun_args", {
  link: u32,
  events_max: u32,
  until_ns: u64,
  now_ns: u64,
  events_len: u32,
  zero: u32,
});

/** `struct qlist_stream` */
export const qlistStream = struct("qlist_stream", {
  cookie: u64,
  handle: u32,
  pid: u32,
  uid: u32,
  zero: u32,
  command: chars(LIMIT.QSOCKET_COMMAND_BYTES),
  info: qsocketInfo,
});

/** `struct qlist_args`, without the streams behind it. */
export const qlistArgs = struct("qlist_args", {
  link: u32,
  streams_max: u32,
  stream_bytes: u32,
  scope: u32,
  after: u64,
  streams_len: u32,
  zero: u32,
});

/** `struct qsocket_record` */
export const qsocketRecord = struct("qsocket_record", {
  turn: u32,
  kind: u8,
  reason: u8,
  outcome: u8,
  zero: u8,
  stream: u32,
  message: u32,
  at_ns: u64,
  time_ns: u64,
  value: u64,
  bytes: u32,
  flags: u32,
  result: i32,
  zero2: u32,
  attr: qsocketAttr,
});

/** `struct qsocket_trace` */
export const qsocketTrace = struct("qsocket_trace", {
  device: chars(NAME_BYTES),
  scheduler: chars(NAME_BYTES),
  rate: u64,
  guard_ns: u64,
  streams_max: u32,
  messages_max: u32,
  records_len: u32,
  zero: u32,
  missed: u64,
});
