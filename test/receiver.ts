// Peers on loopback for the tests of sockets: each keeps what it received, and resolves when
// there is enough of it.

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Address } from "../ffi/options.ts";

const PATIENCE_MS = 10_000;

/** What arrived at a peer. */
export interface Peer extends AsyncDisposable {
  address: Address;
  /** Datagrams, or whatever pieces TCP came in. */
  received: Uint8Array[];
  /** The port each datagram came from. */
  ports: number[];
  /** Resolves when the condition holds, looked at after each arrival. */
  until(condition: (peer: Peer) => boolean): Promise<void>;
}

/** A UDP socket on loopback. */
export async function udpPeer(hostname = "127.0.0.1"): Promise<Peer> {
  const socket = createSocket({
    type: hostname.includes(":") ? "udp6" : "udp4",
    recvBufferSize: 4 << 20,
  });
  socket.bind(0, hostname);
  await once(socket, "listening");
  const peer = keeper({ hostname, port: socket.address().port }, () => socket.close());
  socket.on("message", (data, { port }) => peer.arrived(data, port));
  return peer;
}

/** A TCP server on loopback; `connections` are those it accepted. */
export async function tcpPeer(): Promise<Peer & { connections: Socket[] }> {
  const connections: Socket[] = [];
  const server = createServer((connection) => {
    connections.push(connection);
    connection.on("data", (data: Uint8Array) => peer.arrived(data, connection.remotePort ?? 0));
    connection.on("error", () => {});
    peer.arrived(new Uint8Array(0), 0);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const peer = keeper({ hostname: "127.0.0.1", port }, () => {
    connections.forEach((connection) => connection.destroy());
    server.close();
  });
  return Object.assign(peer, { connections });
}

function keeper(address: Address, close: () => void) {
  const waiting = new Set<() => void>();
  const peer = {
    address,
    received: [] as Uint8Array[],
    ports: [] as number[],
    arrived(data: Uint8Array, port: number) {
      peer.received.push(data);
      peer.ports.push(port);
      waiting.forEach((look) => look());
    },
    until(condition: (peer: Peer) => boolean): Promise<void> {
      return new Promise((resolve, reject) => {
        const done = () => {
          waiting.delete(look);
          clearTimeout(timer);
        };
        const timer = setTimeout(() => {
          done();
          reject(new Error(`nothing more after ${peer.received.length} arrivals`));
        }, PATIENCE_MS);
        const look = () => {
          if (!condition(peer)) return;
          done();
          resolve();
        };
        waiting.add(look);
        look();
      });
    },
    [Symbol.asyncDispose]() {
      close();
      return Promise.resolve();
    },
  };
  return peer;
}
