/** Plain UDP sockets that receive. */

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import process from "node:process";
import ipaddr from "ipaddr.js";
import type { Address } from "../mod.ts";

const BUFFER_BYTES = 4 << 20; // a key frame's packets come all at once

/**
 * A socket that receives at an address (port 0: any free one), or is a member of its multicast
 * group. Throws an Error that says why not.
 */
export async function openInbox({ hostname, port }: Address): Promise<Socket> {
  const multicast = ipaddr.parse(hostname).range() === "multicast";
  const socket = createSocket({
    type: hostname.includes(":") ? "udp6" : "udp4",
    reuseAddr: multicast,
    // Deno 2 takes this for the memory to allocate for each datagram, which costs seconds.
    ...(process.versions.bun && { recvBufferSize: BUFFER_BYTES }),
  });
  try {
    socket.bind(port, hostname);
    await once(socket, "listening");
    if (multicast) socket.addMembership(hostname);
  } catch (error) {
    socket.close();
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "EADDRINUSE" ? "another program receives there" : message;
    throw new Error(`Cannot receive at ${hostname} port ${port}: ${why}`);
  }
  return socket;
}

/** "127.0.0.1:5004" of a socket that receives. */
export function addressText(socket: Socket): string {
  const { address, port } = socket.address();
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}
