// Addresses as struct qsocket_addr. The per-message path asks for the same few peers again and
// again, so their structs are kept.

import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";
import { Args, qsocketAddr } from "./layout.ts";
import { type Address, show } from "./options.ts";

/** The fields of a struct qsocket_addr. */
export interface AddressFields {
  family: number;
  port: number;
  scope: number;
  bytes: readonly number[];
}

const AF_INET = 2;
const AF_INET6 = 10;
const CACHED_MAX = 4096;

let cached = 0;
const cache = new Map<string, Map<number, Uint8Array>>();
let lastHostname = "";
let lastPort = -1;
let lastStruct: Uint8Array = new Uint8Array(0);

/**
 * The struct of a peer's address, for the FFI to read and nobody to write. Throws a TypeError or
 * RangeError for what is no address of a peer.
 */
export function peerStruct(to: Address, doing: string): Uint8Array {
  const { hostname, port } = to;
  if (port === lastPort && hostname === lastHostname) return lastStruct;
  let ports = cache.get(hostname);
  let struct = ports?.get(port);
  if (!struct) {
    if (port === 0) throw new RangeError(`Cannot ${doing}: port must be 1 to 65535, got 0`);
    struct = new Args(qsocketAddr).fill(addressFields(to, doing));
    if (cached++ >= CACHED_MAX) {
      cached = 1;
      cache.clear();
      ports = undefined;
    }
    if (!ports) cache.set(hostname, ports = new Map());
    ports.set(port, struct);
  }
  lastHostname = hostname;
  lastPort = port;
  return lastStruct = struct;
}

/** The fields of struct qsocket_addr for an address; port 0 is allowed. */
export function addressFields({ hostname, port }: Address, doing: string): AddressFields {
  if (typeof hostname !== "string") {
    throw new TypeError(`Cannot ${doing}: hostname must be a string, got ${show(hostname)}`);
  }
  if (!(port >= 0 && port <= 65535 && Number.isInteger(port))) {
    throw new RangeError(`Cannot ${doing}: port must be 1 to 65535, got ${show(port)}`);
  }
  // ipaddr.js also reads "10.1" and "0x7f.1", which hardly anyone means.
  if (ipaddr.IPv4.isValidFourPartDecimal(hostname)) {
    const bytes = ipaddr.IPv4.parse(hostname).toByteArray();
    return { family: AF_INET, port, scope: 0, bytes };
  }
  if (!hostname.includes(":") || !ipaddr.IPv6.isValid(hostname)) {
    throw new RangeError(
      `Cannot ${doing}: hostname must be an IP address (names are not resolved), ` +
        `got ${show(hostname)}`,
    );
  }
  const parsed = ipaddr.IPv6.parse(hostname);
  const scope = parsed.zoneId === undefined ? 0 : scopeOf(parsed.zoneId, hostname, doing);
  return { family: AF_INET6, port, scope, bytes: parsed.toByteArray() };
}

/** The interface index of a zone: "2", or "eth0" (RFC 4007, section 11). */
function scopeOf(zone: string, hostname: string, doing: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  // Only the entry of a link-local address tells the index; without one, no zone is needed.
  for (const entry of networkInterfaces()[zone] ?? []) {
    if (entry.family === "IPv6" && entry.scopeid) return entry.scopeid;
  }
  throw new RangeError(
    `Cannot ${doing}: there is no interface "${zone}" with a link-local address, ` +
      `got ${show(hostname)}`,
  );
}
