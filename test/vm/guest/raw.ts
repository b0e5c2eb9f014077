// Calls of the C library that no library of JavaScript makes, as a hostile program would make them:
// options of sockets and calls of the scheduler with whatever length and pointer, and messages with a
// time of sending.

import { dlopen, type Prototype } from "../../../ffi/runtime.ts";
import { gate, hasCalls } from "./guest.ts";

const AF_INET = 2, SOCK_DGRAM = 2, SOL_SOCKET = 1, SO_TXTIME = 61, SO_COOKIE = 57, UDP = 17;
const CLOCK_MONOTONIC = 1, MSG_DONTWAIT = 0x40;
export const AF_UNIX = 1;

/** bpf/gate.h's. */
export const GATE = { stream: 0x51530001, link: 0x51530002, leave: 0x51530003 };
export const ATTR_BYTES = 48;

/** A prototype with addresses in it, which the library itself passes nowhere. */
function words(parameters: readonly string[], result = "i32"): Prototype {
  return { parameters, result } as unknown as Prototype;
}

const { open, ioctl, syscall, socket, setsockopt, getsockopt, sendmsg } = dlopen("libc.so.6", {
  open: words(["buffer", "i32"]),
  ioctl: words(["i32", "u64", "u64"]),
  syscall: words(["u64", "u64", "u64", "u64"]),
  socket: words(["i32", "i32", "i32"]),
  setsockopt: words(["i32", "i32", "i32", "u64", "u32"]),
  getsockopt: words(["i32", "i32", "i32", "u64", "buffer"]),
  sendmsg: words(["i32", "buffer", "i32"]),
}) as unknown as Record<string, (...args: unknown[]) => number>;

/** Where the bytes are; the caller keeps them for as long. */
function addressOf(bytes: Uint8Array): bigint {
  // deno-lint-ignore no-explicit-any
  const { Bun, Deno } = globalThis as any;
  return BigInt(Bun ? Bun.FFI.ptr(bytes) : Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}

const SYSCALL = 1000n;
const READ_AND_WRITE = 2, LINK_HANDLE = 0x4000_0000, UDP_STREAM = 1, ATTR_AT = 16;

/** By the kernel's own calls, where it has them: linux/gate.h's. */
export const CALLS = { attach: 3, change: 4, info: 5, close: 8 };
let device: number | undefined;

/** Makes a call of so many bytes of arguments, whatever they are: whether it was taken. */
export function call(number: number, args: Uint8Array | null, length = args?.length ?? 0): boolean {
  const pointer = args ? addressOf(args) : 0n;
  if (gate === "syscall") return syscall(SYSCALL, BigInt(number), pointer, BigInt(length)) >= 0;
  device ??= open(new TextEncoder().encode("/dev/qsockets\0"), READ_AND_WRITE);
  const command = 3n << 30n | BigInt(length) << 16n | 0xd7n << 8n | BigInt(number);
  return ioctl(device, command, pointer) >= 0;
}

/** Struct qattach_args. */
export function attachArgs(fd: number, ifindex: number, attr: Uint8Array): Uint8Array {
  const args = new Uint8Array(128);
  new Uint32Array(args.buffer).set([LINK_HANDLE | ifindex, UDP_STREAM, fd]);
  args.set(attr, ATTR_AT);
  return args;
}

/** Struct qchange_args. */
function changeArgs(fd: number, attr: Uint8Array): Uint8Array {
  const args = new Uint8Array(80);
  new Uint32Array(args.buffer).set([fd]);
  args.set(attr, ATTR_AT);
  return args;
}

/** Struct qsocket_attr. */
export function attr(fields: { ipgNs?: bigint; oln?: number; old?: number; flags?: number } = {}) {
  const view = new DataView(new ArrayBuffer(ATTR_BYTES));
  view.setBigUint64(0, fields.ipgNs ?? 0n, true);
  view.setUint32(8, fields.oln ?? 0, true);
  view.setUint32(12, fields.old ?? 0, true);
  view.setUint32(16, fields.flags ?? 0, true);
  return new Uint8Array(view.buffer);
}

/** A socket by its number. */
export class RawSocket {
  readonly fd: number;

  constructor(family = AF_INET, type = SOCK_DGRAM) {
    this.fd = socket(family, type, 0);
    if (this.fd < 0) throw new Error("Cannot open a socket: there may be too many");
  }

  /** Asks for its cookie, without which nobody knows it. */
  known(): this {
    this.get(SOL_SOCKET, SO_COOKIE, new Uint8Array(8));
    return this;
  }

  /** Whether it is a stream of the device now, with these attributes. */
  register(ifindex: number, fields?: Parameters<typeof attr>[0]): boolean {
    const wanted = attr(fields);
    if (!hasCalls) return this.set(GATE.stream, ifindex, wanted);
    return call(CALLS.attach, attachArgs(this.fd, ifindex, wanted)) ||
      call(CALLS.change, changeArgs(this.fd, wanted)); // it is one already
  }

  /** Whether it was a stream until now. */
  leave(ifindex: number): boolean {
    if (!hasCalls) return this.set(GATE.leave, ifindex, new Uint8Array(1));
    return call(CALLS.close, new Uint8Array(new Uint32Array([this.fd, 0]).buffer));
  }

  /** Lets messages have a time of sending. */
  timed(): this {
    const txtime = new Uint8Array(new Uint32Array([CLOCK_MONOTONIC, 0]).buffer);
    if (!this.set(SOL_SOCKET, SO_TXTIME, txtime)) throw new Error("Cannot set SO_TXTIME");
    return this;
  }

  /** Whether an option was taken. */
  set(level: number, name: number, value: Uint8Array | null, length = value?.length ?? 0): boolean {
    return setsockopt(this.fd, level, name, value ? addressOf(value) : 0n, length) === 0;
  }

  /** Whether an option was told, into `value`. */
  get(level: number, name: number, value: Uint8Array | null, length = value?.length ?? 0): boolean {
    const bytes = new Uint8Array(new Uint32Array([length]).buffer);
    return getsockopt(this.fd, level, name, value ? addressOf(value) : 0n, bytes) === 0;
  }

  /** Sends a datagram with any 64 bits as its time of sending: whether the kernel took it. */
  send(data: Uint8Array, to: { hostname: string; port: number }, time: bigint): boolean {
    const name = new Uint8Array(16), control = new DataView(new ArrayBuffer(24));
    new DataView(name.buffer).setUint16(0, AF_INET, true);
    new DataView(name.buffer).setUint16(2, to.port);
    name.set(to.hostname.split(".").map(Number), 4);
    control.setBigUint64(0, 24n, true); // its length, the level and type, and the time
    control.setInt32(8, SOL_SOCKET, true);
    control.setInt32(12, SO_TXTIME, true);
    control.setBigUint64(16, time, true);
    const bytes = new Uint8Array(control.buffer);
    const vector = new BigUint64Array([addressOf(data), BigInt(data.length)]);
    const message = new BigUint64Array([
      addressOf(name),
      16n,
      addressOf(new Uint8Array(vector.buffer)),
      1n,
      addressOf(bytes),
      24n,
      0n,
    ]);
    return sendmsg(this.fd, new Uint8Array(message.buffer), MSG_DONTWAIT) === data.length;
  }
}

/** Packets that the scheduler of a device lost sight of (struct qs_gate_link). */
export function astray(ifindex: number): number {
  const told = new Uint8Array(1024), at = 32;
  if (!new RawSocket().get(GATE.link, ifindex, told)) throw new Error("no scheduler answers");
  return Number(new DataView(told.buffer).getBigUint64(at, true));
}

export { AF_INET, UDP };
