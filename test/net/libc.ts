// Sockets as C has them: with options, and of types, that neither runtime's own sockets offer.

import assert from "node:assert/strict";
import { dlopen } from "../../ffi/runtime.ts";

const libc = dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
});

export const AF_INET = 2, AF_INET6 = 10;
const SOCK_RAW = 3, IPPROTO_ICMPV6 = 58;

/** Level and name of a socket's option. */
export const OPTION = {
  SO_PRIORITY: [1, 12],
  IP_TOS: [0, 1],
  IPV6_TCLASS: [41, 67],
  IPV6_UNICAST_HOPS: [41, 16],
} as const;

type Option = keyof typeof OPTION;

/** FAR.ipv6 of network.ts, fd77::2 */
export const FAR6 = Uint8Array.of(0xfd, 0x77, ...new Uint8Array(13), 2);

export class Socket implements Disposable {
  readonly fd: number;

  constructor(family: number, type = 2, protocol = 0) {
    this.fd = libc.socket(family, type, protocol) as number;
    assert.ok(this.fd >= 0);
  }

  static icmp6(): Socket {
    return new Socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  }

  set(option: Option, value: number): void {
    const bytes = new Uint8Array(Int32Array.of(value).buffer);
    assert.equal(libc.setsockopt(this.fd, ...OPTION[option], bytes, 4), 0);
  }

  get(option: Option): number {
    const bytes = new Uint8Array(4), length = Uint8Array.of(4, 0, 0, 0);
    assert.equal(libc.getsockopt(this.fd, ...OPTION[option], bytes, length), 0);
    return new DataView(bytes.buffer).getInt32(0, true);
  }

  /** To an IPv6 address of 16 bytes. */
  sendto6(data: Uint8Array, address: Uint8Array): void {
    const to = new Uint8Array(28);
    to[0] = AF_INET6;
    to.set(address, 8);
    assert.equal(libc.sendto(this.fd, data, data.length, 0, to, to.length), data.length);
  }

  [Symbol.dispose](): void {
    libc.close(this.fd);
  }
}
